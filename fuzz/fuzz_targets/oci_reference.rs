//! A reference that is read prints as one that reads the same.
#![no_main]

use larder_oci::Reference;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let shown = reference.to_string();
        assert_eq!(shown.parse::<Reference>().as_ref(), Ok(&reference), "{shown}");
        assert!(!shown.contains(char::is_whitespace), "{shown}");
    }
});
