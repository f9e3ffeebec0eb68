//! Partial blobs: complete ones become blobs, all are counted and collected, pinned ones stay.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use larder_core::{Digest, DigestFunction, ErrorKind};
use larder_store::local::complete::Completed;
use larder_store::local::gc::GcOptions;
use larder_store::local::{LocalStore, Options};

const SPACE: &str = "default";

fn store() -> (tempfile::TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(&folder.path().join("home"), Options::default()).unwrap();
    (folder, store)
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}

fn sha(bytes: &[u8]) -> Digest {
    DigestFunction::Sha256.digest(bytes)
}

/// Keeps a part of a blob, last used so many hours ago.
fn part(store: &LocalStore, blob: &[u8], length: usize, hours: u64) -> Digest {
    let digest = sha(blob);
    store.partial_blob(SPACE, &digest).unwrap().write(0, &blob[..length]).unwrap();
    let name = format!("sha256-{}-{}.data", digest.hash.to_hex(), digest.size);
    for space in fs::read_dir(store.home().join("partial")).unwrap() {
        if let Ok(file) = File::options().write(true).open(space.unwrap().path().join(&name)) {
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        }
    }
    digest
}

fn left(store: &LocalStore) -> Vec<Digest> {
    store.partial_blobs(None).unwrap().into_iter().map(|entry| entry.digest).collect()
}

#[test]
fn a_complete_one_becomes_a_blob_and_can_be_forgotten() {
    let (_folder, store) = store();
    let bytes = noise(1, 300_000);
    let digest = sha(&bytes);
    let parts = store.partial_blob(SPACE, &digest).unwrap();
    parts.write(100_000, &bytes[100_000..]).unwrap();
    assert!(!parts.is_complete());
    assert_eq!(store.complete_partial_blob(SPACE, &digest).unwrap(), Completed::NotYet);
    assert_eq!(store.find_missing(SPACE, &[digest]).unwrap(), [digest]);
    assert!(!store.use_blob(SPACE, &digest).unwrap());
    parts.write(0, &bytes[..100_000]).unwrap();
    assert_eq!(store.complete_partial_blob("another", &digest).unwrap(), Completed::NotYet);
    assert_eq!(store.complete_partial_blob(SPACE, &digest).unwrap(), Completed::Whole);
    assert_eq!(store.get(SPACE, &digest, 1 << 20).unwrap(), bytes);
    assert!(store.use_blob(SPACE, &digest).unwrap());
    assert!(left(&store).is_empty());
    assert_eq!(parts.read(5..10).unwrap(), bytes[5..10], "who has it open reads on");
    assert_eq!(store.complete_partial_blob(SPACE, &digest).unwrap(), Completed::NotYet);
    let stats = store.stats().unwrap();
    assert_eq!((stats.partial_blobs, stats.sizes.partial, stats.blobs), (0, 0, 1));
    assert_eq!(stats.logical_bytes, 300_000);

    // The same content as a build's output takes no more room.
    store.put(SPACE, &bytes).unwrap();
    assert_eq!(store.stats().unwrap().chunk_bytes, stats.chunk_bytes);
    let other = store.put(SPACE, &noise(2, 50_000)).unwrap();
    assert_eq!(store.forget_blobs(SPACE, &[digest, sha(b"not here")]).unwrap(), 1);
    assert_eq!(store.find_missing(SPACE, &[digest, other]).unwrap(), [digest]);
    assert_eq!(store.get(SPACE, &other, 1 << 20).unwrap(), noise(2, 50_000));
}

#[test]
fn a_complete_one_with_another_digest_is_no_blob() {
    let (_folder, store) = store();
    let bytes = noise(1, 100_000);
    let digest = sha(&bytes);
    let parts = store.partial_blob(SPACE, &digest).unwrap();
    parts.write(0, &noise(2, 100_000)).unwrap();
    assert_eq!(store.complete_partial_blob(SPACE, &digest).unwrap(), Completed::Wrong);
    assert_eq!(store.find_missing(SPACE, &[digest]).unwrap(), [digest]);
    assert_eq!(left(&store), [digest]);
    parts.forget(&(0..100_000));
    parts.write(0, &bytes).unwrap();
    assert_eq!(store.complete_partial_blob(SPACE, &digest).unwrap(), Completed::Whole);

    assert!(store.refused(SPACE, &digest).is_empty());
    store.refuse(SPACE, &digest, &[7; 32]).unwrap();
    store.refuse(SPACE, &digest, &[8; 32]).unwrap();
    assert_eq!(store.refused(SPACE, &digest), [[7; 32], [8; 32]]);
    assert!(store.refused("another", &digest).is_empty());
}

#[test]
fn several_at_once_make_one_blob() {
    let (_folder, store) = store();
    let bytes = noise(3, 2_000_000);
    let digest = sha(&bytes);
    store.partial_blob(SPACE, &digest).unwrap().write(0, &bytes).unwrap();
    let home = store.home().path().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = LocalStore::open(&home, Options::default()).unwrap();
                assert_ne!(store.complete_partial_blob(SPACE, &digest).unwrap(), Completed::Wrong);
            });
        }
    });
    assert_eq!(store.get(SPACE, &digest, 1 << 30).unwrap(), bytes);
    assert!(left(&store).is_empty());
}

#[test]
fn they_are_counted_and_go_before_blobs_the_oldest_first_save_for_pinned_ones() {
    let (_folder, store) = store();
    let built = store.put(SPACE, &noise(9, 400_000)).unwrap();
    let old = part(&store, &noise(1, 1_000_000), 300_000, 50);
    let pinned = part(&store, &noise(2, 1_000_000), 300_000, 40);
    let young = part(&store, &noise(3, 1_000_000), 300_000, 1);
    store.pin_blob(SPACE, &pinned, "me", "").unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(stats.partial_blobs, 3);
    assert!((900_000..1_200_000).contains(&stats.sizes.partial), "{}", stats.sizes.partial);
    assert_eq!(stats.physical_bytes, stats.sizes.total());

    let goal = |bytes: u64| GcOptions {
        to_size: Some(stats.physical_bytes - bytes),
        grace: Duration::ZERO,
        ..GcOptions::default()
    };
    let plan = store.plan_gc(&goal(200_000)).unwrap();
    assert_eq!(plan.partial_blobs.len(), 1);
    assert_eq!(plan.partial_blobs[0].digest, old.to_string());
    assert!(plan.bytes_before - plan.bytes_after >= 300_000);
    assert_eq!(left(&store), [old, pinned, young], "a plan deletes nothing");
    assert_eq!(store.run_gc(plan).unwrap().partial_blobs, 1);
    assert_eq!(left(&store), [pinned, young]);

    // One that was used since the plan stays.
    let plan = store.plan_gc(&goal(500_000)).unwrap();
    assert_eq!(plan.partial_blobs.len(), 1);
    drop(store.partial_blob(SPACE, &young).unwrap());
    assert_eq!(store.run_gc(plan).unwrap().partial_blobs, 0);
    assert_eq!(store.gc(&goal(500_000)).unwrap().partial_blobs, 1);
    assert_eq!(left(&store), [pinned]);
    assert!(store.find_missing(SPACE, &[built]).unwrap().is_empty(), "a blob went before parts");

    // Pinned parts stay whatever is asked, also when nobody used them for long.
    let all = GcOptions { older_than: Some(Duration::ZERO), ..goal(stats.physical_bytes) };
    store.gc(&all).unwrap();
    assert_eq!(left(&store), [pinned]);
    assert_eq!(store.find_missing(SPACE, &[built]).unwrap(), [built]);
    let month = Duration::from_secs(31 * 24 * 3600);
    let later = GcOptions { now: GcOptions::default().now + month.as_secs(), ..GcOptions::default() };
    store.gc(&later).unwrap();
    assert_eq!(left(&store), [pinned]);
    store.unpin_blob(SPACE, &pinned).unwrap();
    store.gc(&later).unwrap();
    assert!(left(&store).is_empty());
}

#[test]
fn what_is_no_partial_blob_is_left_alone() {
    let (_folder, store) = store();
    let digest = part(&store, &noise(1, 100_000), 10, 0);
    let space = fs::read_dir(store.home().join("partial")).unwrap().next().unwrap().unwrap().path();
    for name in ["x.data", "sha256-00-5.data", "sha256-x-y-z.data", "sha512-00-1.data"] {
        fs::write(space.join(name), "?").unwrap();
    }
    assert_eq!(left(&store), [digest]);
    store.gc(&GcOptions { to_size: Some(0), ..GcOptions::default() }).unwrap();
    assert!(left(&store).is_empty());
    assert!(space.join("x.data").exists());
    let missing = store.get(SPACE, &digest, 1 << 20).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}
