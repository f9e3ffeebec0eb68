//! The one conformance suite. Its parts are the four sentences of the contract (`larder_store::seam`), and what the
//! traits say beyond them. A failure is a panic with the sentence in it.
//!
//! `run` makes a fresh, empty backend for every case, so cases never help one another.

mod cache;
mod kept;
mod reading;
mod uploads;
mod writing;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::executor::block_on;
use larder_core::{Digest, DigestFunction};
use larder_store::seam::{ActionCache, BlobSource, BlobStore, Leases, Sweep};

/// What is tested: one content, seen from two namespaces.
pub struct Backend {
    /// The blobs of one namespace.
    pub blobs: Arc<dyn BlobStore>,
    /// The blobs of another namespace of the same content.
    pub other: Arc<dyn BlobStore>,
    /// The action cache of the first namespace, if the backend has one.
    pub cache: Option<Arc<dyn ActionCache>>,
    /// The action cache of the other namespace.
    pub other_cache: Option<Arc<dyn ActionCache>>,
    /// Listing and deleting in the first namespace, if the backend can.
    pub sweep: Option<Arc<dyn Sweep>>,
    /// Leases in the first namespace, if the backend has them.
    pub leases: Option<Arc<dyn Leases>>,
    /// Whatever must live as long as the backend: a folder, a server.
    pub keep: Box<dyn Any>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("blobs", &self.blobs).finish_non_exhaustive()
    }
}

/// The contract, in its words.
const SENTENCES: [&str; 4] = [
    "the callee verifies the digest before the blob becomes visible",
    "the empty blob always exists",
    "writing a present blob succeeds and moves nothing",
    "`read` never passes off short or wrong bytes as success",
];

type Case = (&'static str, fn(&Backend));

/// Runs every case against backends that `make` makes.
///
/// # Panics
/// At the first case that does not hold, with its sentence.
pub fn run(make: &dyn Fn() -> Backend) {
    let parts: [(&str, &[Case]); 7] = [
        (SENTENCES[0], writing::VERIFIED),
        (SENTENCES[1], writing::EMPTY),
        (SENTENCES[2], writing::PRESENT),
        (SENTENCES[3], reading::CASES),
        ("an upload learns its digest last", uploads::CASES),
        ("the action cache keeps its conditions", cache::CASES),
        ("what is listed, deleted and leased", kept::CASES),
    ];
    for (sentence, cases) in parts {
        for (name, case) in cases {
            let backend = make();
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&backend)));
            if let Err(panic) = outcome {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default();
                panic!("{sentence}: {name}: {text}");
            }
        }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(future)
}

/// Bytes that do not compress and differ with `seed`.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A blob, its digest, and how often its source was opened.
struct Sample {
    digest: Digest,
    bytes: Vec<u8>,
    opened: Arc<AtomicUsize>,
}

impl Sample {
    fn new(seed: u64, length: usize) -> Self {
        Self::with(DigestFunction::Blake3, noise(seed, length))
    }

    fn with(function: DigestFunction, bytes: Vec<u8>) -> Self {
        Self { digest: function.digest(&bytes), bytes, opened: Arc::default() }
    }

    /// A source that counts its openings.
    fn source(&self) -> BlobSource {
        let (bytes, opened) = (Bytes::from(self.bytes.clone()), self.opened.clone());
        BlobSource::opened_by(move || {
            opened.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Cursor::new(bytes.clone())))
        })
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Writes it, which must succeed.
    fn write(&self, blobs: &dyn BlobStore) -> u64 {
        let mut written = wait(blobs.write_many(&[(self.digest, self.source())])).expect("write");
        written.remove(0).expect("write of the right bytes").moved
    }

    /// Whether it is visible, which asking and reading must agree on.
    fn is_visible(&self, blobs: &dyn BlobStore) -> bool {
        let missing = wait(blobs.find_missing(&[self.digest])).expect("ask");
        let read = reading::whole(blobs, &self.digest);
        assert_eq!(missing.is_empty(), read.is_ok(), "what is not missing can be read, and the reverse");
        if let Ok(bytes) = read {
            assert!(bytes == self.bytes, "what is read is the blob");
        }
        missing.is_empty()
    }
}
