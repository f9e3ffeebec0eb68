//! Uploads: in pieces, resumed, refused.

use bytes::Bytes;
use larder_core::ErrorKind;
use larder_store::seam::Upload;

use super::{Backend, Case, Sample, wait};

pub(super) const CASES: &[Case] = &[
    ("pieces become a blob", pieces),
    ("dropped and resumed", resumed),
    ("a wrong offset changes nothing", wrong_offset),
    ("a wrong digest is refused and gone", wrong_digest),
    ("aborted is gone", aborted),
    ("an id is of one namespace and no path", ids),
    ("a present blob, and the empty one", present),
];

fn begin(backend: &Backend) -> Box<dyn Upload> {
    wait(backend.blobs.begin_upload()).expect("begin")
}

fn append(upload: &mut dyn Upload, bytes: &[u8]) {
    let offset = upload.offset();
    wait(upload.append(offset, Bytes::copy_from_slice(bytes))).expect("append");
    assert_eq!(upload.offset(), offset + bytes.len() as u64);
}

fn resume_fails(backend: &Backend, id: &str) -> ErrorKind {
    wait(backend.blobs.resume_upload(id)).expect_err("no such upload").kind()
}

fn pieces(backend: &Backend) {
    let sample = Sample::new(30, 300_000);
    let mut upload = begin(backend);
    let id = upload.id().to_owned();
    for piece in sample.bytes.chunks(70_001) {
        append(&mut *upload, piece);
        assert!(!sample.is_visible(&*backend.blobs), "not before the commit");
    }
    assert_eq!(wait(upload.commit(&sample.digest)).expect("commit").moved, 300_000);
    assert!(sample.is_visible(&*backend.blobs));
    assert_eq!(resume_fails(backend, &id), ErrorKind::NotFound);
}

fn resumed(backend: &Backend) {
    let sample = Sample::new(31, 100_000);
    let mut upload = begin(backend);
    append(&mut *upload, &sample.bytes[..40_000]);
    let id = upload.id().to_owned();
    assert_eq!(resume_fails(backend, &id), ErrorKind::Busy, "somebody holds it");
    drop(upload);
    let mut upload = wait(backend.blobs.resume_upload(&id)).expect("resume");
    assert_eq!((upload.offset(), upload.id()), (40_000, &id[..]));
    append(&mut *upload, &sample.bytes[40_000..]);
    wait(upload.commit(&sample.digest)).expect("commit");
    assert!(sample.is_visible(&*backend.blobs));
}

fn wrong_offset(backend: &Backend) {
    let sample = Sample::new(32, 1000);
    let mut upload = begin(backend);
    append(&mut *upload, &sample.bytes[..500]);
    for offset in [0, 499, 501, u64::MAX] {
        let error = wait(upload.append(offset, Bytes::from_static(b"x"))).expect_err("wrong offset");
        assert_eq!((error.kind(), upload.offset()), (ErrorKind::Invalid, 500));
    }
    append(&mut *upload, &sample.bytes[500..]);
    wait(upload.commit(&sample.digest)).expect("commit");
    assert!(sample.is_visible(&*backend.blobs));
}

fn wrong_digest(backend: &Backend) {
    let (sample, other) = (Sample::new(33, 1000), Sample::new(34, 1000));
    for length in [1000, 999] {
        let mut upload = begin(backend);
        let id = upload.id().to_owned();
        append(&mut *upload, &sample.bytes[..length]);
        let error = wait(upload.commit(&other.digest)).expect_err("another content");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(resume_fails(backend, &id), ErrorKind::NotFound);
    }
    assert!(!other.is_visible(&*backend.blobs));
    assert!(!sample.is_visible(&*backend.blobs));
    // Not even for a blob that is here: what was sent was another.
    other.write(&*backend.blobs);
    let mut upload = begin(backend);
    append(&mut *upload, &sample.bytes);
    assert_eq!(wait(upload.commit(&other.digest)).expect_err("another").kind(), ErrorKind::Invalid);
    assert!(other.is_visible(&*backend.blobs));
}

fn aborted(backend: &Backend) {
    let mut upload = begin(backend);
    let id = upload.id().to_owned();
    append(&mut *upload, b"some bytes");
    wait(upload.abort()).expect("abort");
    assert_eq!(resume_fails(backend, &id), ErrorKind::NotFound);
}

fn ids(backend: &Backend) {
    let upload = begin(backend);
    let id = upload.id().to_owned();
    assert_ne!(begin(backend).id(), id);
    drop(upload);
    let elsewhere = wait(backend.other.resume_upload(&id)).expect_err("of another namespace");
    assert_eq!(elsewhere.kind(), ErrorKind::NotFound);
    for hostile in ["", "..", "../../etc/passwd", "a/b", "\0", &"a".repeat(10_000)] {
        let kind = resume_fails(backend, hostile);
        assert!(matches!(kind, ErrorKind::NotFound | ErrorKind::Invalid), "{kind}");
    }
    wait(backend.blobs.resume_upload(&id)).expect("it is there all the same");
}

fn present(backend: &Backend) {
    for length in [0, 10_000] {
        let sample = Sample::new(35, length);
        sample.write(&*backend.blobs);
        let mut upload = begin(backend);
        append(&mut *upload, &sample.bytes);
        assert_eq!(wait(upload.commit(&sample.digest)).expect("commit").moved, 0);
        assert!(sample.is_visible(&*backend.blobs));
    }
}
