//! The conformance suite against every backend and wrapper.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::executor::block_on;
use larder_core::{Digest, ErrorKind};
use larder_store::local::backend::LocalBackend;
use larder_store::memory::MemoryStore;
use larder_store::seam::{BlobStore, Leases};
use larder_store::wrap::{Metered, Retry, RetryPolicy, ThreadSleep, Tiered, Verify};
use larder_store::{LocalStore, Options};
use larder_testing::conformance::{Backend, noise, run};
use larder_testing::flaky::{Faults, FlakyStore};
use larder_testing::strict::StrictStore;

fn memory() -> Backend {
    let store = MemoryStore::new();
    let (one, two) = (Arc::new(store.backend("one")), Arc::new(store.backend("two")));
    Backend {
        blobs: one.clone(),
        other: two.clone(),
        cache: Some(one.clone()),
        other_cache: Some(two),
        sweep: Some(one.clone()),
        leases: Some(one),
        keep: Box::new(()),
    }
}

fn wrapped(wrap: impl Fn(Arc<dyn BlobStore>) -> Arc<dyn BlobStore>) -> Backend {
    let memory = memory();
    let blobs = wrap(memory.blobs.clone());
    Backend { blobs, other: wrap(memory.other.clone()), sweep: None, leases: None, cache: None, ..memory }
}

#[test]
fn memory_conforms() {
    run(&memory);
}

#[test]
fn local_conforms() {
    run(&|| {
        let home = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::open(home.path(), Options::default()).unwrap());
        let one = Arc::new(LocalBackend::new(store.clone(), "one"));
        let two = Arc::new(LocalBackend::new(store, "two"));
        Backend {
            blobs: one.clone(),
            other: two.clone(),
            cache: Some(one.clone()),
            other_cache: Some(two),
            sweep: None,
            leases: Some(one),
            keep: Box::new(home),
        }
    });
}

#[test]
fn two_processes_worth_of_local_stores_conform() {
    // What one handle wrote, the other sees: no case may depend on what is remembered in memory.
    run(&|| {
        let home = tempfile::tempdir().unwrap();
        let open = || Arc::new(LocalStore::open(home.path(), Options::default()).unwrap());
        let one = Arc::new(LocalBackend::new(open(), "one"));
        let two = Arc::new(LocalBackend::new(open(), "two"));
        Backend {
            blobs: one.clone(),
            other: two.clone(),
            cache: Some(one),
            other_cache: Some(two),
            sweep: None,
            leases: None,
            keep: Box::new(home),
        }
    });
}

#[test]
fn strict_conforms() {
    run(&|| {
        let store = MemoryStore::new();
        let strict = |namespace| Arc::new(StrictStore::new(store.backend(namespace)));
        let memory = memory();
        Backend { blobs: strict("one"), other: strict("two"), sweep: None, leases: None, ..memory }
    });
}

#[test]
fn verify_conforms() {
    run(&|| wrapped(|inner| Arc::new(Verify::new(inner))));
}

#[test]
fn metered_conforms() {
    run(&|| wrapped(|inner| Arc::new(Metered::new(inner))));
}

fn patient(inner: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
    let policy = RetryPolicy { attempts: 3, first: Duration::ZERO, longest: Duration::ZERO };
    Arc::new(Retry::new(inner, policy, Arc::new(ThreadSleep)))
}

#[test]
fn retry_over_a_failing_store_conforms() {
    let faults = Faults { fail_every: Some(2), ..Faults::default() };
    run(&|| wrapped(|inner| patient(Arc::new(FlakyStore::new(inner, faults)))));
}

#[test]
fn tiered_conforms() {
    run(&|| {
        wrapped(|inner| {
            let near = MemoryStore::new().backend(&inner.info().namespace);
            Arc::new(Tiered::new(vec![Arc::new(near), inner]).unwrap())
        })
    });
}

#[test]
fn tiered_over_a_failing_far_tier_conforms() {
    let faults = Faults { fail_every: Some(1), ..Faults::default() };
    run(&|| {
        wrapped(|inner| {
            let near = MemoryStore::new().backend(&inner.info().namespace);
            Arc::new(Tiered::new(vec![Arc::new(near), Arc::new(FlakyStore::new(inner, faults))]).unwrap())
        })
    });
}

fn sample(length: usize) -> (Digest, Vec<u8>) {
    let bytes = noise(7, length);
    (Digest::blake3(&bytes), bytes)
}

fn write(store: &dyn BlobStore, digest: Digest, bytes: &[u8]) {
    let blobs = [(digest, bytes.to_vec().into())];
    block_on(store.write_many(&blobs)).unwrap().remove(0).unwrap();
}

fn read(store: &dyn BlobStore, digest: &Digest, range: std::ops::Range<u64>) -> (Vec<u8>, Option<ErrorKind>) {
    block_on(async {
        let mut out = Vec::new();
        let mut pieces = match store.read(digest, range).await {
            Ok(pieces) => pieces,
            Err(error) => return (out, Some(error.kind())),
        };
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(bytes) => out.extend_from_slice(&bytes),
                Err(error) => return (out, Some(error.kind())),
            }
        }
        (out, None)
    })
}

#[test]
fn verify_never_passes_wrong_bytes() {
    let spoils = [
        Faults { flip: true, ..Faults::default() },
        Faults { truncate: true, ..Faults::default() },
        Faults { extend: true, ..Faults::default() },
    ];
    for faults in spoils {
        // Below and above what is proven before anything is passed on.
        for length in [1, 1000, 100_000, 9 << 20] {
            let inner: Arc<dyn BlobStore> = Arc::new(MemoryStore::new().backend("one"));
            let (digest, bytes) = sample(length);
            write(&*inner, digest, &bytes);
            let verify = Verify::new(Arc::new(FlakyStore::new(inner, faults)));
            let end = digest.size;
            for range in [0..end, 0..1, end - 1..end] {
                let (_, error) = read(&verify, &digest, range.clone());
                assert_eq!(error, Some(ErrorKind::Corrupt), "{faults:?} {length} {range:?}");
            }
            let many = block_on(verify.read_many(&[digest])).unwrap().remove(0);
            assert_eq!(many.unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}

#[test]
fn a_boasting_store_is_found_out() {
    let inner: Arc<dyn BlobStore> = Arc::new(MemoryStore::new().backend("one"));
    let boast = Faults { boast: true, ..Faults::default() };
    let verify = Verify::new(Arc::new(FlakyStore::new(inner, boast)));
    let (digest, _) = sample(100);
    assert_eq!(read(&verify, &digest, 0..100), (Vec::new(), Some(ErrorKind::NotFound)));
}

#[test]
fn retry_gives_up_and_does_not_repeat_what_cannot_pass() {
    let inner: Arc<dyn BlobStore> = Arc::new(MemoryStore::new().backend("one"));
    let flaky = Arc::new(FlakyStore::new(inner.clone(), Faults { fail_every: Some(1), ..Faults::default() }));
    let (digest, _) = sample(100);
    let error = block_on(patient(flaky.clone()).find_missing(&[digest])).unwrap_err();
    assert_eq!((error.kind(), flaky.calls()), (ErrorKind::Unavailable, 3));
    let fine = Arc::new(FlakyStore::new(inner, Faults::default()));
    assert_eq!(read(&*patient(fine.clone()), &digest, 0..1).1, Some(ErrorKind::NotFound));
    assert_eq!(fine.calls(), 1);
}

#[test]
fn a_hit_is_promoted_and_the_far_tier_is_not_asked_again() {
    let near: Arc<dyn BlobStore> = Arc::new(MemoryStore::new().backend("one"));
    let far = Metered::new(Arc::new(MemoryStore::new().backend("one")));
    let (digest, bytes) = sample(1 << 20);
    write(&far, digest, &bytes);
    let tiered = Tiered::new(vec![near.clone(), Arc::new(far.clone())]).unwrap();
    assert_eq!(read(&tiered, &digest, 10..20), (bytes[10..20].to_vec(), None));
    assert!(block_on(near.find_missing(&[digest])).unwrap().is_empty());
    let before = far.figures();
    assert_eq!(before.read, 1 << 20);
    assert_eq!(read(&tiered, &digest, 0..1 << 20), (bytes, None));
    assert_eq!(far.figures(), before);
}

#[test]
fn a_corrupt_near_blob_comes_from_the_far_tier() {
    let (digest, bytes) = sample(100_000);
    let inner: Arc<dyn BlobStore> = Arc::new(MemoryStore::new().backend("one"));
    let far: Arc<dyn BlobStore> = Arc::new(MemoryStore::new().backend("one"));
    write(&*inner, digest, &bytes);
    write(&*far, digest, &bytes);
    let flip = Faults { flip: true, ..Faults::default() };
    let near = Arc::new(Verify::new(Arc::new(FlakyStore::new(inner, flip))));
    let tiered = Tiered::new(vec![near, far]).unwrap();
    assert_eq!(read(&tiered, &digest, 0..100_000), (bytes.clone(), None));
    assert!(block_on(tiered.read_many(&[digest])).unwrap().remove(0).unwrap() == bytes);
}

#[test]
fn a_strict_store_forgets_what_no_lease_keeps() {
    let memory = MemoryStore::new().backend("one");
    let strict = StrictStore::new(memory.clone());
    let (kept, lost) = (sample(10), sample(20));
    write(&strict, kept.0, &kept.1);
    write(&strict, lost.0, &lost.1);
    let lease = block_on(memory.lease(&[kept.0], 3600)).unwrap();
    assert_eq!(block_on(strict.forget()).unwrap(), 1);
    assert_eq!(block_on(strict.find_missing(&[kept.0, lost.0])).unwrap(), [lost.0]);
    block_on(lease.release()).unwrap();
    assert_eq!(block_on(strict.forget()).unwrap(), 1);
}
