//! A layout in any tar file never gives bytes that are not what their digest says.
#![no_main]

use larder_oci::layout::LayoutReader;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = LayoutReader::archive(bytes::Bytes::copy_from_slice(bytes)) else { return };
    for (digest, size) in reader.blobs() {
        let Ok(Some(blob)) = reader.blob(&digest) else { panic!("a blob that is listed is there") };
        assert!(size <= bytes.len() as u64);
        if let Ok(content) = blob.read_all(1 << 20) {
            assert!(digest.is_of(&content));
        }
    }
});
