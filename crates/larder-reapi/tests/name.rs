//! Names travel through messages unchanged, whatever their bytes.

use larder_reapi::name::{decode, encode};
use proptest::prelude::*;

#[test]
fn a_byte_that_is_not_utf8_becomes_one_character() {
    assert_eq!(encode(b"a\xffb"), "a\u{10FFFF}b");
    assert_eq!(encode("é".as_bytes()), "é");
}

#[test]
fn the_escape_range_itself_is_escaped() {
    let text = "\u{10FF41}";
    assert_ne!(encode(text.as_bytes()), text);
    assert_eq!(decode(&encode(text.as_bytes())), text.as_bytes());
    assert_ne!(encode(text.as_bytes()), encode(b"A"));
}

proptest! {
    #[test]
    fn every_name_comes_back(name in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(decode(&encode(&name)).into_owned(), name);
    }

    #[test]
    fn text_stays_readable(name in "[a-zA-Zé€😀/._-]{0,20}") {
        prop_assert_eq!(encode(name.as_bytes()).into_owned(), name);
    }
}
