//! Key texts and trust files from anywhere never panic; what is read is written as it was meant, and a change of a file says
//! what was wanted.
#![no_main]

use std::path::Path;

use larder::keys::trust_file::{Change, Entry, Key, TrustFile};
use larder::store::trust::{Namespaces, PublicKey, SecretKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = SecretKey::parse(text) {
        assert!(SecretKey::parse(&key.to_text()).is_ok_and(|again| again == key));
    }
    if let Ok(key) = PublicKey::parse(text) {
        assert!(PublicKey::parse(&key.to_string()).is_ok_and(|again| again == key));
    }
    let path = Path::new("/trust.yml");
    let Ok(file) = TrustFile::parse(text, path) else { return };
    let key = Key::Public(SecretKey::from_seed(&[1; 32]).public().clone());
    let entry = Entry { name: None, key, namespaces: Namespaces::All, not_before: 0, not_after: Some(1) };
    if let Ok(changed) = TrustFile::changed(text, path, &Change::Add(entry.clone())) {
        let found = TrustFile::parse(&changed, path).expect("what was written is read");
        assert_eq!(found.keys.split_last(), Some((&entry, &file.keys[..])));
    }
    if let Ok(changed) = TrustFile::changed(text, path, &Change::Remove(0)) {
        let found = TrustFile::parse(&changed, path).expect("what was written is read");
        assert_eq!(found.keys[..], file.keys[1..]);
    }
});
