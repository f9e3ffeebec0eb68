//! A pack from anywhere never gives bytes that are not what their digest says.
#![no_main]

use larder_core::Digest;
use larder_store::{LocalStore, Options};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let home = folder.path().join("home");
    let blob = b"a small blob that is surely in the store".repeat(3);
    let Ok(store) = LocalStore::open(&home, Options::default()) else { return };
    let Ok(digest) = store.put("default", &blob) else { return };
    drop(store);
    for name in ["packs", "blobs/default"] {
        for entry in std::fs::read_dir(home.join(name)).into_iter().flatten().flatten() {
            let Ok(mut file) = std::fs::read(entry.path()) else { continue };
            for pair in bytes.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([pair[0], pair[1]])) % file.len().max(1);
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= pair[2];
                }
            }
            let _ = std::fs::write(entry.path(), file);
        }
    }
    let Ok(store) = LocalStore::open(&home, Options::default()) else { return };
    if let Ok(found) = store.get("default", &digest, 1 << 20) {
        assert_eq!(Digest::blake3(&found), digest);
    }
});
