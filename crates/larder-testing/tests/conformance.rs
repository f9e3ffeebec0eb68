//! The conformance suite against every backend and wrapper.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use larder_store::local::backend::LocalBackend;
use larder_store::memory::MemoryStore;
use larder_store::seam::BlobStore;
use larder_store::{LocalStore, Options};
use larder_testing::conformance::{Backend, run};
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
