//! Reading: whole, in ranges, in batches; absent blobs and ranges that make no sense.

use std::ops::Range;

use futures::TryStreamExt;
use larder_core::{Digest, ErrorKind, Result};
use larder_store::seam::BlobStore;

use super::{Backend, Case, Sample, wait};

pub(super) const CASES: &[Case] = &[
    ("sizes around every boundary", sizes),
    ("ranges", ranges),
    ("a range beyond the blob is invalid", beyond),
    ("an absent blob is not found", absent),
    ("a digest of another size names nothing", other_size),
    ("small blobs in a batch", batch),
    ("ten thousand at once", ten_thousand),
];

pub(super) fn range(blobs: &dyn BlobStore, digest: &Digest, range: Range<u64>) -> Result<Vec<u8>> {
    wait(async {
        let mut pieces = blobs.read(digest, range).await?;
        let mut out = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            assert!(!piece.is_empty(), "no piece is empty");
            out.extend_from_slice(&piece);
        }
        Ok(out)
    })
}

pub(super) fn whole(blobs: &dyn BlobStore, digest: &Digest) -> Result<Vec<u8>> {
    range(blobs, digest, 0..digest.size)
}

fn sizes(backend: &Backend) {
    for length in [1, 2, 2047, 2048, 2049, 65_535, 65_536, 65_537, 262_144, (1 << 20) + 1, 3_000_000] {
        let sample = Sample::new(length as u64, length);
        assert!(!sample.is_visible(&*backend.blobs));
        assert_eq!(sample.write(&*backend.blobs), length as u64);
        assert!(sample.is_visible(&*backend.blobs));
    }
}

fn ranges(backend: &Backend) {
    let sample = Sample::new(20, 1_500_000);
    sample.write(&*backend.blobs);
    let end = sample.digest.size;
    let middle = end / 2;
    for part in [0..0, 0..1, 0..end, middle..middle, middle - 7..middle + 70_001, end - 1..end, end..end] {
        let read = range(&*backend.blobs, &sample.digest, part.clone()).expect("a range inside");
        assert!(read == sample.bytes[part.start as usize..part.end as usize], "{part:?}");
    }
}

fn beyond(backend: &Backend) {
    let sample = Sample::new(21, 1000);
    sample.write(&*backend.blobs);
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    for part in [0..1001, 1000..1001, 5000..6000, 0..u64::MAX, 10..9] {
        let read = range(&*backend.blobs, &sample.digest, part.clone());
        assert_eq!(read.expect_err("beyond").kind(), ErrorKind::Invalid, "{part:?}");
    }
}

fn absent(backend: &Backend) {
    let sample = Sample::new(22, 1000);
    let kind = |read: Result<Vec<u8>>| read.expect_err("absent").kind();
    assert_eq!(kind(whole(&*backend.blobs, &sample.digest)), ErrorKind::NotFound);
    assert_eq!(kind(range(&*backend.blobs, &sample.digest, 1..2)), ErrorKind::NotFound);
    let read = wait(backend.blobs.read_many(&[sample.digest])).expect("batch");
    assert_eq!(read[0].as_ref().expect_err("absent").kind(), ErrorKind::NotFound);
    let chunks = wait(backend.blobs.chunks(&sample.digest, 0));
    assert_eq!(chunks.expect_err("absent").kind(), ErrorKind::NotFound);
}

fn other_size(backend: &Backend) {
    let sample = Sample::new(23, 1000);
    sample.write(&*backend.blobs);
    for size in [1, 999, 1001, 1 << 50] {
        let digest = Digest { size, ..sample.digest };
        assert_eq!(wait(backend.blobs.find_missing(&[digest])).expect("ask"), [digest]);
        assert_eq!(range(&*backend.blobs, &digest, 0..1).expect_err("none").kind(), ErrorKind::NotFound);
    }
}

fn batch(backend: &Backend) {
    let samples: Vec<Sample> = (0..50).map(|seed| Sample::new(100 + seed, 1 + 100 * seed as usize)).collect();
    let blobs: Vec<_> = samples.iter().step_by(2).map(|sample| (sample.digest, sample.source())).collect();
    let written = wait(backend.blobs.write_many(&blobs)).expect("batch");
    assert!(written.iter().all(Result::is_ok));
    let digests: Vec<Digest> = samples.iter().map(|sample| sample.digest).collect();
    let read = wait(backend.blobs.read_many(&digests)).expect("batch");
    assert_eq!(read.len(), digests.len());
    for (at, (read, sample)) in read.into_iter().zip(&samples).enumerate() {
        match read {
            Ok(bytes) => assert!(at % 2 == 0 && bytes == sample.bytes),
            Err(error) => assert!(at % 2 == 1 && error.kind() == ErrorKind::NotFound, "{error}"),
        }
    }
    assert!(wait(backend.blobs.read_many(&[])).expect("nothing").is_empty());
    assert!(wait(backend.blobs.write_many(&[])).expect("nothing").is_empty());
}

fn ten_thousand(backend: &Backend) {
    let here: Vec<Sample> = (0..20).map(|seed| Sample::new(200 + seed, 500)).collect();
    for sample in &here {
        sample.write(&*backend.blobs);
    }
    let mut asked: Vec<Digest> = (0..10_000u32).map(|at| Digest::blake3(&at.to_le_bytes())).collect();
    for (at, sample) in here.iter().enumerate() {
        asked[at * 400] = sample.digest;
    }
    let mut missing = Vec::new();
    for part in asked.chunks(backend.blobs.capabilities().batch.max(1)) {
        missing.extend(wait(backend.blobs.find_missing(part)).expect("ask"));
    }
    let expected: Vec<Digest> =
        asked.iter().filter(|digest| here.iter().all(|sample| sample.digest != **digest)).copied().collect();
    assert!(missing == expected, "in their order");
}
