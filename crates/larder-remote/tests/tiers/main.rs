//! What every tier must do, over an object store in memory, one in a folder, and one that fails.
//!
//! ```text
//! suite.rs    the checks, each given a way to open the tier anew
//! world.rs    stores with content in them, results to publish, another machine
//! collect.rs  deletion in two phases
//! registry.rs a repository of a real registry
//! sealed.rs   tiers that are encrypted
//! reapi/      servers of the Remote Execution API
//! faulty.rs   an object store that counts, and fails, cuts, flips or delays on demand
//! ```

#![expect(clippy::unwrap_used, reason = "tests")]

mod collect;
mod faulty;
mod orchestra;
mod reapi;
mod registry;
mod sealed;
mod suite;
mod world;

use std::sync::Arc;

use larder_remote::Patience;
use larder_remote::Tier;
use larder_remote::bucket::BucketOptions;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use faulty::Faulty;

fn options() -> BucketOptions {
    let patience = Patience { answer: std::time::Duration::from_millis(500), slowest: 64 << 10 };
    BucketOptions { prefix: "team/cache".into(), patience, ..BucketOptions::default() }
}

/// A tier over an object store that can be told to fail.
fn bucket(store: &Arc<Faulty>) -> Arc<dyn Tier> {
    Arc::new(larder_remote::bucket::tier(store.clone(), "s3", "test", options()))
}

#[test]
fn a_bucket_in_memory() {
    let store = Faulty::new(Arc::new(InMemory::new()));
    suite::run(&|| bucket(&store), 100 << 20);
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Faulty::new(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()));
    suite::run(&|| bucket(&store), 8 << 20);
    let folder = tempfile::tempdir().unwrap();
    suite::run(&|| Arc::new(larder_remote::dir::open(folder.path(), options()).unwrap()), 8 << 20);
}

#[test]
fn a_bucket_that_ignores_conditions() {
    let store = Faulty::new(Arc::new(InMemory::new()));
    store.ignore_conditions();
    suite::run(&|| bucket(&store), 8 << 20);
}
