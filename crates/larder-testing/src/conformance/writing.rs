//! Writing: verified, idempotent, and the empty blob.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Digest, DigestFunction, ErrorKind};
use larder_store::seam::{BlobSource, ChunkSource};

use super::{Backend, Case, Sample, noise, reading, wait};

pub(super) const VERIFIED: &[Case] = &[
    ("wrong bytes are refused", wrong_bytes),
    ("a wrong size is refused", wrong_size),
    ("each of a batch is judged alone", batch_is_judged_alone),
    ("a source that fails leaves nothing", failing_source),
    ("chunks that are another blob are refused", wrong_chunks),
    ("another namespace sees nothing", namespaces),
];

pub(super) const EMPTY: &[Case] = &[
    ("it is not missing", empty_is_there),
    ("it is read as nothing", empty_is_read),
    ("it can be written", empty_is_written),
    ("another blob of no bytes does not exist", empty_is_one),
];

pub(super) const PRESENT: &[Case] = &[
    ("a second write opens no source", second_write),
    ("a blob twice in a batch", twice_in_a_batch),
    ("chunk lists of a present blob", present_chunks),
    ("two functions name the same bytes", aliases),
];

fn refused(backend: &Backend, digest: &Digest, source: BlobSource) {
    let written = wait(backend.blobs.write_many(&[(*digest, source)])).expect("the batch itself is fine");
    let error = written.into_iter().next().expect("one answer").expect_err("wrong content");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(wait(backend.blobs.find_missing(&[*digest])).expect("ask"), [*digest]);
    assert!(reading::whole(&*backend.blobs, digest).is_err());
}

fn wrong_bytes(backend: &Backend) {
    for length in [1, 100, 20_000, 300_000] {
        let right = Sample::new(1, length);
        let mut wrong = right.bytes.clone();
        wrong[length / 2] ^= 1;
        refused(backend, &right.digest, wrong.into());
        assert!(!right.is_visible(&*backend.blobs));
    }
}

fn wrong_size(backend: &Backend) {
    let right = Sample::new(2, 50_000);
    for size in [0, 49_999, 50_001, u64::MAX] {
        refused(backend, &Digest { size, ..right.digest }, right.bytes.clone().into());
    }
    refused(backend, &right.digest, right.bytes[..49_999].to_vec().into());
    refused(backend, &right.digest, [&right.bytes[..], b"!"].concat().into());
}

fn batch_is_judged_alone(backend: &Backend) {
    let samples: Vec<Sample> = (0..7).map(|seed| Sample::new(seed, 3000)).collect();
    let blobs: Vec<_> = samples
        .iter()
        .enumerate()
        .map(|(at, sample)| {
            let source = if at == 3 { BlobSource::from(noise(99, 3000)) } else { sample.source() };
            (sample.digest, source)
        })
        .collect();
    let written = wait(backend.blobs.write_many(&blobs)).expect("batch");
    let fine: Vec<bool> = written.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [true, true, true, false, true, true, true]);
    for (sample, fine) in samples.iter().zip(fine) {
        assert_eq!(sample.is_visible(&*backend.blobs), fine);
    }
}

fn failing_source(backend: &Backend) {
    struct Breaks(usize);
    impl io::Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("the source broke"));
            }
            let count = self.0.min(buffer.len());
            self.0 -= count;
            buffer[..count].fill(7);
            Ok(count)
        }
    }
    let sample = Sample::with(DigestFunction::Blake3, vec![7; 100_000]);
    let source = BlobSource::opened_by(|| Ok(Box::new(Breaks(60_000))));
    let written = wait(backend.blobs.write_many(&[(sample.digest, source)])).expect("batch");
    assert!(written[0].is_err());
    assert!(!sample.is_visible(&*backend.blobs));
    let gone = BlobSource::File("/nonexistent/blob".into());
    let written = wait(backend.blobs.write_many(&[(sample.digest, gone)])).expect("batch");
    assert!(written[0].is_err());
    assert!(!sample.is_visible(&*backend.blobs));
    sample.write(&*backend.blobs);
    assert!(sample.is_visible(&*backend.blobs));
}

fn namespaces(backend: &Backend) {
    let sample = Sample::new(3, 40_000);
    sample.write(&*backend.blobs);
    assert!(sample.is_visible(&*backend.blobs));
    assert!(!sample.is_visible(&*backend.other));
    sample.write(&*backend.other);
    assert!(sample.is_visible(&*backend.other));
}

/// Gives slices of one content.
struct Slices {
    pieces: Vec<(larder_core::Chunk, Bytes)>,
    asked: std::sync::atomic::AtomicUsize,
}

impl Slices {
    fn new(content: &[u8], length: usize) -> Self {
        let pieces = content
            .chunks(length)
            .map(|piece| {
                let chunk =
                    larder_core::Chunk { hash: larder_core::Hash::blake3(piece), length: piece.len() as u64 };
                (chunk, Bytes::copy_from_slice(piece))
            })
            .collect();
        Self { pieces, asked: 0.into() }
    }

    fn list(&self) -> Vec<larder_core::Chunk> {
        self.pieces.iter().map(|(chunk, _)| *chunk).collect()
    }

    fn asked(&self) -> usize {
        self.asked.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[async_trait]
impl ChunkSource for Slices {
    async fn chunk(&self, chunk: &larder_core::Chunk) -> larder_core::Result<Bytes> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let found = self.pieces.iter().find(|(known, _)| known == chunk).map(|(_, bytes)| bytes.clone());
        found.ok_or_else(|| larder_core::Error::new(ErrorKind::NotFound, "give a chunk"))
    }
}

fn wrong_chunks(backend: &Backend) {
    let sample = Sample::new(4, 100_000);
    let slices = Slices::new(&sample.bytes, 9_000);
    let mut list = slices.list();
    list.swap(1, 2);
    let put = wait(backend.blobs.put_chunks(&sample.digest, &list, &slices));
    assert_eq!(put.expect_err("another order").kind(), ErrorKind::Invalid);
    assert!(!sample.is_visible(&*backend.blobs));
    list.swap(1, 2);
    let put = wait(backend.blobs.put_chunks(&sample.digest, &list[..5], &slices));
    assert_eq!(put.expect_err("too few").kind(), ErrorKind::Invalid);
    assert!(!sample.is_visible(&*backend.blobs));
    wait(backend.blobs.put_chunks(&sample.digest, &list, &slices)).expect("the right list");
    assert!(sample.is_visible(&*backend.blobs));
}

fn present_chunks(backend: &Backend) {
    let sample = Sample::new(5, 200_000);
    sample.write(&*backend.blobs);
    let slices = Slices::new(&sample.bytes, 9_000);
    let written =
        wait(backend.blobs.put_chunks(&sample.digest, &slices.list(), &slices)).expect("put chunks");
    assert_eq!((written.moved, slices.asked()), (0, 0));
    let mut list = Vec::new();
    let mut offset = 0;
    while let Some(page) = wait(backend.blobs.chunks(&sample.digest, offset)).expect("chunks") {
        assert_eq!(page.offset, offset, "pages follow one another");
        list.extend(page.chunks);
        match page.next {
            Some(next) => offset = next,
            None => break,
        }
    }
    assert_eq!(backend.blobs.capabilities().chunked, !list.is_empty());
    if list.is_empty() {
        return;
    }
    assert_eq!(list.iter().map(|chunk| chunk.length).sum::<u64>(), sample.digest.size);
    let mut at = 0;
    for chunk in &list {
        let end = at + chunk.length as usize;
        assert_eq!(larder_core::Hash::blake3(&sample.bytes[at..end]), chunk.hash);
        at = end;
    }
    // A changed copy moves what differs: its own list, of which most is here.
    let mut changed = sample.bytes.clone();
    changed[100_000] ^= 1;
    let mut pieces = Vec::new();
    let mut at = 0;
    for chunk in &list {
        let end = at + chunk.length as usize;
        let piece = Bytes::copy_from_slice(&changed[at..end]);
        let chunk = larder_core::Chunk { hash: larder_core::Hash::blake3(&piece), length: chunk.length };
        pieces.push((chunk, piece));
        at = end;
    }
    let slices = Slices { pieces, asked: 0.into() };
    let changed = Sample::with(DigestFunction::Blake3, changed);
    wait(backend.blobs.put_chunks(&changed.digest, &slices.list(), &slices)).expect("put chunks");
    assert_eq!(slices.asked(), 1, "only the chunk that differs");
    assert!(changed.is_visible(&*backend.blobs));
}

fn second_write(backend: &Backend) {
    for length in [1, 3000, 400_000] {
        let sample = Sample::new(6, length);
        assert_eq!(sample.write(&*backend.blobs), length as u64);
        let opened = sample.opened();
        assert_eq!(sample.write(&*backend.blobs), 0);
        assert_eq!(sample.opened(), opened, "the source is not opened again");
        assert!(sample.is_visible(&*backend.blobs));
    }
}

fn twice_in_a_batch(backend: &Backend) {
    let sample = Sample::new(7, 5000);
    let blobs = [(sample.digest, sample.source()), (sample.digest, sample.source())];
    let written = wait(backend.blobs.write_many(&blobs)).expect("batch");
    let moved: u64 = written.into_iter().map(|written| written.expect("write").moved).sum();
    assert_eq!(moved, 5000);
    let missing = Digest::blake3(b"missing");
    let asked = [sample.digest, missing, sample.digest, missing];
    assert_eq!(wait(backend.blobs.find_missing(&asked)).expect("ask"), [missing, missing]);
    let read = wait(backend.blobs.read_many(&[sample.digest, sample.digest])).expect("read");
    assert!(read.into_iter().all(|read| read.expect("read") == sample.bytes));
}

fn aliases(backend: &Backend) {
    let bytes = noise(8, 30_000);
    for function in [DigestFunction::Sha256, DigestFunction::Blake3] {
        let sample = Sample::with(function, bytes.clone());
        assert_eq!(sample.digest.function, function);
        sample.write(&*backend.blobs);
        assert!(sample.is_visible(&*backend.blobs));
        let other = Sample::with(function, noise(9, 30_000));
        refused(backend, &other.digest, bytes.clone().into());
    }
}

const FUNCTIONS: [DigestFunction; 2] = [DigestFunction::Blake3, DigestFunction::Sha256];

fn empty_is_there(backend: &Backend) {
    let empty = FUNCTIONS.map(Digest::empty);
    assert_eq!(wait(backend.blobs.find_missing(&empty)).expect("ask"), []);
    assert_eq!(wait(backend.other.find_missing(&empty)).expect("ask"), []);
}

fn empty_is_read(backend: &Backend) {
    for empty in FUNCTIONS.map(Digest::empty) {
        assert_eq!(reading::whole(&*backend.blobs, &empty).expect("read"), b"");
        let read = wait(backend.blobs.read_many(&[empty])).expect("read");
        assert_eq!(read.into_iter().next().expect("one").expect("read"), b""[..]);
        let page = wait(backend.blobs.chunks(&empty, 0)).expect("chunks");
        assert!(page.is_none_or(|page| page.chunks.is_empty() && page.next.is_none()));
    }
}

fn empty_is_written(backend: &Backend) {
    for function in FUNCTIONS {
        let sample = Sample::with(function, Vec::new());
        assert_eq!(sample.write(&*backend.blobs), 0);
        assert!(sample.is_visible(&*backend.blobs));
    }
}

fn empty_is_one(backend: &Backend) {
    let not_empty = Digest { size: 0, ..Digest::blake3(b"something") };
    assert_eq!(wait(backend.blobs.find_missing(&[not_empty])).expect("ask"), [not_empty]);
    assert!(reading::whole(&*backend.blobs, &not_empty).is_err());
    refused(backend, &not_empty, Vec::new().into());
}
