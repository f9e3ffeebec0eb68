//! What is remembered of a tier, across processes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::Write;

use larder_core::DigestFunction;
use larder_reapi::Action;
use larder_remote::seen::Seen;
use larder_store::ActionDigest;

fn action(number: u8) -> ActionDigest {
    ActionDigest::of(DigestFunction::Blake3, &Action { salt: vec![number], ..Action::default() })
}

/// As another process sees it.
fn open(folder: &tempfile::TempDir) -> Seen {
    Seen::new(folder.path(), "s3:bucket", "default")
}

#[test]
fn what_was_noted_forgotten_or_distrusted_is_known_to_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let seen = open(&folder);
    for number in 1..=4 {
        seen.note(&action(number)).unwrap();
    }
    seen.forget(&action(2)).unwrap();
    seen.distrust(&action(3)).unwrap();
    seen.distrust(&action(4)).unwrap();
    seen.note(&action(4)).unwrap();
    for seen in [seen, open(&folder)] {
        let known = [1, 2, 3, 4, 5].map(|number| (seen.has(&action(number)), seen.is_bad(&action(number))));
        assert_eq!(known, [(true, false), (false, false), (false, true), (true, false), (false, false)]);
    }
    assert!(!Seen::new(folder.path(), "s3:bucket", "other").has(&action(1)), "namespaces are apart");
    assert!(!Seen::new(folder.path(), "s3:elsewhere", "default").has(&action(1)), "tiers are apart");
}

#[test]
fn a_torn_record_spoils_none_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).note(&action(1)).unwrap();
    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    File::options().append(true).open(&file).unwrap().write_all(b"torn").unwrap();
    let seen = open(&folder);
    assert!(seen.has(&action(1)));
    seen.note(&action(2)).unwrap();
    assert!(open(&folder).has(&action(1)) && open(&folder).has(&action(2)));
}

#[test]
fn flipped_bits_make_nothing_known() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).note(&action(1)).unwrap();
    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, bytes).unwrap();
        assert!(!open(&folder).has(&action(1)), "bit {bit}");
    }
}
