//! Anything as an image's archive: never a panic, and its layers are read only within it.
#![no_main]

use std::io::{Read as _, Write as _};

use larder_oci::image::{ImageReference, ImageSource as _, LayoutSource};
use larder_oci::manifest::Platform;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file is written");
    for kind in ["docker-archive", "oci-archive"] {
        let reference = format!("{kind}:{}", file.path().display());
        let reference: ImageReference = reference.parse().expect("a name of a file");
        let Ok(source) = LayoutSource::open(&reference) else { continue };
        let platform =
            Platform { architecture: "amd64".to_owned(), os: "linux".to_owned(), ..Platform::default() };
        let Ok(found) = source.manifest(&platform) else { continue };
        if let Ok(content) = source.content(&found.manifest.config) {
            assert!(found.manifest.config.digest.is_of(&content));
        }
        for layer in &found.manifest.layers {
            let mut read = Vec::new();
            let _ = source.layer(layer).map(|mut layer| layer.read_to_end(&mut read));
            assert!(read.len() <= bytes.len());
            let _ = source.range(layer, 0..layer.size.min(1 << 20));
        }
    }
});
