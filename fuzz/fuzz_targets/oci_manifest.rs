//! A manifest that is read is written as one that reads the same.
#![no_main]

use larder_oci::Document;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(document) = Document::parse(bytes, None) {
        let written = match &document {
            Document::Manifest(manifest) => manifest.to_bytes(),
            Document::Index(index) => index.to_bytes(),
        };
        assert_eq!(Document::parse(&written, None), Ok(document));
    }
});
