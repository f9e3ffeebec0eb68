//! Layouts: the same content gives the same bytes, and nothing that is damaged is taken for whole.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Read;

use bytes::Bytes;
use larder_oci::OciDigest;
use larder_oci::layout::{LayoutError, LayoutReader, LayoutWriter};
use larder_oci::manifest::{Descriptor, Manifest, media_type};

fn layout() -> (Vec<u8>, Descriptor) {
    let mut writer = LayoutWriter::new(Vec::new()).unwrap();
    let layer = writer.bytes(media_type::LAYER, &[7; 1000]).unwrap();
    assert!(!writer.blob(&layer.digest, layer.size, std::io::empty()).unwrap(), "each blob once");
    let config = writer.bytes(media_type::EMPTY, b"{}").unwrap();
    let manifest = Manifest::new(config, vec![layer]);
    let entry = writer.bytes(media_type::MANIFEST, &manifest.to_bytes()).unwrap();
    writer.list(entry.clone(), Some("v1"));
    writer.annotate("b", "2");
    writer.annotate("a", "1");
    (writer.finish().unwrap(), entry)
}

#[test]
fn what_is_written_is_read() {
    let (bytes, entry) = layout();
    assert_eq!(bytes, layout().0);
    let reader = LayoutReader::archive(Bytes::from(bytes)).unwrap();
    let found = reader.named("v1").unwrap();
    assert_eq!(found.digest, entry.digest);
    assert!(reader.named("v2").is_none());
    assert_eq!(reader.index().annotations["a"], "1");
    let manifest = Manifest::parse(&reader.fetch(found, 4096).unwrap()).unwrap();
    assert_eq!(reader.blobs().count(), 3);
    let layer = reader.blob(&manifest.layers[0].digest).unwrap().unwrap();
    let mut some = [0; 10];
    layer.read_exact_at(&mut some, 990).unwrap();
    assert_eq!(some, [7; 10]);
    assert!(layer.read_exact_at(&mut some, 991).is_err());
    let mut all = Vec::new();
    layer.reader().read_to_end(&mut all).unwrap();
    assert_eq!(all, [7; 1000]);
    assert!(matches!(layer.read_all(999), Err(LayoutError::TooLarge { .. })));
    assert!(reader.blob(&OciDigest::sha256(b"x")).unwrap().is_none());
}

#[test]
fn a_cut_archive_is_refused_wherever_it_is_cut() {
    let (bytes, _) = layout();
    for length in (0..bytes.len() - 512).step_by(256) {
        let cut = Bytes::copy_from_slice(&bytes[..length]);
        assert!(LayoutReader::archive(cut).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn changed_content_is_noticed() {
    let (mut bytes, _) = layout();
    let at = bytes.iter().position(|byte| *byte == 7).unwrap();
    bytes[at + 5] = 8;
    let reader = LayoutReader::archive(Bytes::from(bytes)).unwrap();
    let digest = OciDigest::sha256(&[7; 1000]);
    let blob = reader.blob(&digest).unwrap().unwrap();
    assert!(matches!(blob.read_all(4096), Err(LayoutError::Corrupt(found)) if found == digest));
    assert!(blob.reader().read_to_end(&mut Vec::new()).is_err());
    assert!(blob.reader().read_exact(&mut [0; 1000]).is_err());
}

#[test]
fn the_same_name_twice_is_refused() {
    let (bytes, _) = layout();
    let body = bytes.len() - 1024;
    let twice = [&bytes[..body], &bytes].concat();
    assert!(matches!(LayoutReader::archive(Bytes::from(twice)), Err(LayoutError::Twice(_))));
}

#[test]
fn content_must_be_what_was_said() {
    let digest = OciDigest::sha256(b"four");
    for (size, content) in [(5, &b"four"[..]), (3, b"four"), (4, b"five")] {
        let mut writer = LayoutWriter::new(Vec::new()).unwrap();
        assert!(writer.blob(&digest, size, content).is_err());
        assert!(matches!(writer.bytes("x/y", b"more"), Err(LayoutError::Abandoned)));
        assert!(matches!(writer.finish(), Err(LayoutError::Abandoned)));
    }
    let mut writer = LayoutWriter::new(Vec::new()).unwrap();
    writer.list(Descriptor::of(media_type::MANIFEST, b"{}"), None);
    assert!(matches!(writer.finish(), Err(LayoutError::NoBlob(_))));
}

#[test]
fn sha512_is_written_and_read() {
    let digest = larder_oci::Algorithm::Sha512.digest(b"long name");
    let mut writer = LayoutWriter::new(Vec::new()).unwrap();
    writer.blob(&digest, 9, &b"long name"[..]).unwrap();
    let reader = LayoutReader::archive(Bytes::from(writer.finish().unwrap())).unwrap();
    assert_eq!(&reader.blob(&digest).unwrap().unwrap().read_all(9).unwrap()[..], b"long name");
}

#[test]
fn what_is_no_layout_is_told_as_that() {
    assert!(matches!(
        LayoutReader::archive(Bytes::from(vec![0; 1024])),
        Err(LayoutError::Missing("oci-layout"))
    ));
    assert!(LayoutReader::archive(Bytes::from(vec![b'x'; 2048])).is_err());
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(LayoutReader::folder(folder.path()), Err(LayoutError::Missing(_))));
    std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(LayoutReader::folder(folder.path()), Err(LayoutError::Version)));
}

#[test]
fn links_in_a_folder_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(path.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    std::fs::create_dir_all(path.join("blobs/sha256")).unwrap();
    let digest = OciDigest::sha256(b"x");
    std::os::unix::fs::symlink("/etc/hostname", path.join("blobs/sha256").join(digest.hex())).unwrap();
    assert!(LayoutReader::folder(path).unwrap().blob(&digest).is_err());
}
