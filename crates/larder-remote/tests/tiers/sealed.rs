//! Tiers that are encrypted: nothing is read without the key, and nothing is taken from where it does not belong.

use std::sync::Arc;

use futures::StreamExt;
use larder_core::ErrorKind;
use larder_remote::Tier;
use larder_remote::bucket::{self, BucketOptions};
use larder_remote::packed::PackOptions;
use larder_remote::packed::seal::Seal;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::faulty::Faulty;
use crate::options;
use crate::suite::{self, bring, publish, wait};
use crate::world::Machine;

fn sealed(store: &Arc<dyn ObjectStore>, secret: &[u8]) -> Arc<dyn Tier> {
    let packs = PackOptions { seal: Some(Seal::new(secret).unwrap()), ..PackOptions::default() };
    Arc::new(bucket::tier(store.clone(), "s3", "test", BucketOptions { packs, ..options() }))
}

fn names(store: &Arc<dyn ObjectStore>) -> Vec<Path> {
    wait(store.list(None).map(|object| object.unwrap().location).collect::<Vec<_>>())
}

const KEY: &[u8] = b"sixteen bytes at least";

#[test]
fn the_suite_holds() {
    let store: Arc<dyn ObjectStore> = Faulty::new(Arc::new(InMemory::new()));
    suite::run(&|| sealed(&store, KEY), 100 << 20);
}

#[test]
fn nothing_can_be_read_or_named() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let a = Machine::new();
    let said = b"a sentence that nobody else may read; ".repeat(40);
    let action = a.build(1, std::slice::from_ref(&said));
    publish(&*sealed(&store, KEY), &a, &action, false).unwrap();
    let hash = action.0.hash.to_hex();
    for path in names(&store) {
        assert!(!path.as_ref().contains(&hash), "{path} names the action");
        let object = wait(async { store.get(&path).await.unwrap().bytes().await.unwrap() });
        for part in [&said[..16], b"suite:recipe", b"file0000", hash.as_bytes(), &action.0.hash.0, b"LRES"] {
            assert!(!object.windows(part.len()).any(|window| window == part), "{path} shows {part:?}");
        }
    }
    let b = Machine::new();
    assert!(bring(&*sealed(&store, KEY), &b, &action).unwrap().is_some());
    assert_eq!(b.files(&action).unwrap(), [said]);
}

#[test]
fn another_key_and_no_key_find_nothing() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let a = Machine::new();
    let action = a.build(1, &[b"content".to_vec()]);
    publish(&*sealed(&store, KEY), &a, &action, false).unwrap();
    let b = Machine::new();
    assert!(bring(&*sealed(&store, b"another key of the team"), &b, &action).unwrap().is_none());
    let plain = bucket::tier(store, "s3", "test", options());
    assert!(bring(&plain, &b, &action).unwrap().is_none());
}

#[test]
fn what_is_moved_or_changed_does_not_open() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let tier = sealed(&store, KEY);
    let a = Machine::new();
    let one = a.build(1, &[b"one".to_vec()]);
    publish(&*tier, &a, &one, false).unwrap();
    let of_one = names(&store).into_iter().find(|path| path.as_ref().contains("/results/")).unwrap();
    let other = a.build(2, &[b"two".to_vec()]);
    publish(&*tier, &a, &other, false).unwrap();
    let results = names(&store).into_iter().filter(|path| path.as_ref().contains("/results/"));
    let of_other = results.into_iter().find(|path| *path != of_one).unwrap();
    wait(store.copy(&of_one, &of_other)).unwrap();
    let b = Machine::new();
    let error = bring(&*tier, &b, &other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    // Every byte of a pack counts.
    for pack in names(&store).into_iter().filter(|path| path.as_ref().contains("/packs/")) {
        let mut bytes = wait(async { store.get(&pack).await.unwrap().bytes().await.unwrap() }).to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        wait(store.put(&pack, bytes.into())).unwrap();
    }
    let error = bring(&*tier, &b, &one).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(b.files(&one).is_none());
}

#[test]
fn a_short_secret_is_refused() {
    let error = Seal::new(b"fifteen bytes..").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.hint().is_some_and(|hint| hint.contains("urandom")), "{error}");
}
