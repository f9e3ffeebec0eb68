//! Several tiers behind a store: order, promotion, failures, forgeries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::Result;
use larder_remote::Tier;
use larder_remote::tiers::{Configured, Open, Runtime, Tiers, TiersOptions};
use larder_store::ActionDigest;
use larder_store::store::{Fetched, Upstream};
use larder_store::trust::{Secret, SigningConfig};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::bucket;
use crate::faulty::{Fault, Faulty};
use crate::suite::{publish, wait};
use crate::world::{Machine, key, noise};

fn configured(name: &'static str, store: &Arc<Faulty>) -> Configured {
    let store = store.clone();
    let open: Open = Box::new(move || Ok(bucket(&store)));
    Configured { name, identity: name.to_owned(), open, write: true }
}

fn tiers(machine: &Machine, stores: &[(&'static str, &Arc<Faulty>)]) -> Tiers {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let configured = stores.iter().map(|(name, store)| configured(name, store)).collect();
    let runtime = Runtime::when_needed(move || Ok(runtime.handle().clone()));
    let options = TiersOptions { stalled: Duration::from_secs(2) };
    Tiers::new(machine.store.clone(), configured, runtime, options)
}

fn memory() -> Arc<Faulty> {
    Faulty::new(Arc::new(InMemory::new()))
}

fn tier_of(fetched: &Fetched) -> Option<&'static str> {
    match fetched {
        Fetched::Hit { tier, .. } => Some(*tier),
        Fetched::Miss(_) => None,
    }
}

/// A machine that has built, and two stores of which the second has the result.
fn second_has_it() -> (Arc<Faulty>, Arc<Faulty>, ActionDigest, Vec<Vec<u8>>) {
    let (near, far) = (memory(), memory());
    let files = vec![noise(1, 300_000), b"small".to_vec()];
    let ours = Machine::new();
    let action = ours.build(1, &files);
    publish(&*bucket(&far), &ours, &action, false).unwrap();
    (near, far, action, files)
}

#[test]
fn the_first_tier_that_has_it_wins_and_earlier_ones_get_it() {
    let (near, far, action, files) = second_has_it();
    let machine = Machine::new();
    let behind = tiers(&machine, &[("near", &near), ("far", &far)]);
    assert_eq!(tier_of(&behind.fetch(&action, "a:b")), Some("far"));
    assert_eq!(machine.files(&action).as_ref(), Some(&files));
    assert_eq!(behind.finish().results, 1);
    let other = Machine::new();
    let behind = tiers(&other, &[("near", &near), ("far", &far)]);
    assert_eq!(tier_of(&behind.fetch(&action, "a:b")), Some("near"));
    assert_eq!(other.files(&action).as_ref(), Some(&files));
}

#[test]
fn what_is_made_is_sent_once_and_what_is_known_is_not_asked() {
    let store = memory();
    let machine = Machine::new();
    let action = machine.build(1, &[noise(2, 50_000)]);
    let behind = tiers(&machine, &[("s3", &store)]);
    behind.offer(&action, "a:b");
    behind.offer(&action, "a:b");
    assert_eq!(behind.finish().results, 1);
    store.count();
    let again = tiers(&machine, &[("s3", &store)]);
    again.offer(&action, "a:b");
    assert_eq!(again.finish().results, 0);
    let count = store.count();
    assert_eq!(count.reads + count.writes, 0, "{count:?}");
}

#[test]
fn what_replaces_is_sent_each_time_and_wins() {
    let store = memory();
    let (first, second) = (Machine::new(), Machine::new());
    for (machine, seed) in [(&first, 3), (&second, 4), (&first, 5)] {
        let files = vec![noise(seed, 20_000)];
        let action = machine.build(1, &files);
        let behind = tiers(machine, &[("s3", &store)]);
        assert!(behind.sends());
        behind.replace(&action, "a:b");
        assert_eq!(behind.finish().results, 1);
        let third = Machine::new();
        let asked = tiers(&third, &[("s3", &store)]);
        assert_eq!(tier_of(&asked.fetch(&action, "a:b")), Some("s3"));
        assert_eq!(third.files(&action), Some(files));
    }
    let reads = Configured { write: false, ..configured("s3", &store) };
    let runtime = Runtime::when_needed(|| panic!("nothing is asked"));
    let reading = Tiers::new(first.store.clone(), vec![reads], runtime, TiersOptions::default());
    assert!(!reading.sends());
}

#[test]
fn a_tier_that_fails_is_a_miss_and_one_warning() {
    for fault in [Fault::Fail, Fault::Deny, Fault::Delay(Duration::from_secs(60))] {
        let (near, far, action, files) = second_has_it();
        near.fault("get", "", fault.clone());
        near.fault("put", "", fault.clone());
        let machine = Machine::new();
        let behind = tiers(&machine, &[("near", &near), ("far", &far)]);
        let begun = Instant::now();
        assert_eq!(tier_of(&behind.fetch(&action, "a:b")), Some("far"), "{fault:?}");
        assert_eq!(behind.fetch(&key(77), "a:c"), Fetched::Miss(None));
        assert!(begun.elapsed() < Duration::from_secs(20), "{fault:?}");
        behind.finish();
        assert_eq!(machine.files(&action).as_ref(), Some(&files));
        let warnings = behind.take_warnings();
        assert_eq!(
            warnings.iter().filter(|warning| warning.message.contains("`near`")).count(),
            1,
            "{warnings:?}"
        );
    }
}

#[test]
fn wrong_bytes_are_a_miss_and_are_replaced() {
    for (part, fault) in [
        ("packs/", Fault::Flip),
        ("packs/", Fault::Cut),
        ("packs/", Fault::Fail),
        ("results/", Fault::Flip),
        ("results/", Fault::Cut),
    ] {
        let (_, far, action, files) = second_has_it();
        far.fault("get", part, fault.clone());
        let machine = Machine::new();
        let behind = tiers(&machine, &[("far", &far)]);
        assert_eq!(tier_of(&behind.fetch(&action, "a:b")), None, "{part} {fault:?}");
        assert!(machine.files(&action).is_none());
        behind.finish();
        far.mend();
        let behind = tiers(&machine, &[("far", &far)]);
        assert_eq!(tier_of(&behind.fetch(&action, "a:b")), Some("far"), "{part} {fault:?}");
        assert_eq!(machine.files(&action).as_ref(), Some(&files));
    }
}

/// Changes an object of the store in place.
fn tamper(store: &Faulty, part: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    use futures::TryStreamExt;
    wait(async {
        let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
        for object in objects.iter().filter(|object| object.location.as_ref().contains(part)) {
            let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
            store.put(&object.location, change(bytes.to_vec()).into()).await.unwrap();
        }
    });
}

#[test]
fn a_damaged_object_is_made_whole_by_who_builds_again() {
    for part in ["packs/", "results/"] {
        let (_, far, action, files) = second_has_it();
        tamper(&far, part, |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
            bytes
        });
        let machine = Machine::new();
        let behind = tiers(&machine, &[("far", &far)]);
        assert_eq!(tier_of(&behind.fetch(&action, "a:b")), None, "{part}");
        machine.build(1, &files);
        behind.offer(&action, "a:b");
        assert_eq!(behind.finish().results, 1, "{part}");
        let third = Machine::new();
        let behind = tiers(&third, &[("far", &far)]);
        assert_eq!(tier_of(&behind.fetch(&action, "a:b")), Some("far"), "{part}");
        assert_eq!(third.files(&action).as_ref(), Some(&files));
    }
}

#[test]
fn a_result_under_another_key_is_not_believed_and_cannot_squat() {
    let (_, far, action, _) = second_has_it();
    let target = key(55);
    wait(async {
        use futures::TryStreamExt;
        let objects: Vec<_> = far.list(None).try_collect().await.unwrap();
        let from = objects.iter().find(|object| object.location.as_ref().contains("results/")).unwrap();
        let hex = target.0.hash.to_hex();
        let name = format!("team/cache/larder1/default/results/{}/b3-{hex}-{}", &hex[..2], target.0.size);
        far.copy(&from.location, &Path::from(name)).await.unwrap();
    });
    let machine = Machine::new();
    let behind = tiers(&machine, &[("far", &far)]);
    assert!(matches!(behind.fetch(&target, "a:b"), Fetched::Miss(Some(_))));
    machine.build(55, &[b"right".to_vec()]);
    behind.offer(&target, "a:b");
    assert_eq!(behind.finish().results, 1);
    let third = Machine::new();
    let behind = tiers(&third, &[("far", &far)]);
    assert_eq!(tier_of(&behind.fetch(&target, "a:b")), Some("far"));
    assert_eq!(third.files(&target).unwrap(), [b"right".to_vec()]);
    assert_eq!(tier_of(&behind.fetch(&action, "a:b")), Some("far"));
}

#[test]
fn another_teams_results_are_not_believed() {
    let (_, far, action, _) = second_has_it();
    let secret = Secret::new(&b"the secret of another team altogether"[..]).unwrap();
    let stranger = Machine::with(SigningConfig { secret: Some(secret), ..SigningConfig::default() });
    let behind = tiers(&stranger, &[("far", &far)]);
    assert!(matches!(behind.fetch(&action, "a:b"), Fetched::Miss(Some(_))));
    assert!(stranger.files(&action).is_none());
}

#[test]
fn a_machine_without_a_key_publishes_nothing() {
    let store = memory();
    let machine = Machine::with(SigningConfig::default());
    let action = machine.build(1, &[b"x".to_vec()]);
    let behind = tiers(&machine, &[("s3", &store)]);
    behind.offer(&action, "a:b");
    assert_eq!(behind.finish().results, 0);
    assert_eq!(store.count().writes, 0);
}

#[test]
fn a_tier_that_hangs_while_it_is_written_to_is_given_up() {
    let store = memory();
    store.fault("put", "packs/", Fault::Delay(Duration::from_secs(3600)));
    let machine = Machine::new();
    let action = machine.build(1, &[noise(9, 100_000)]);
    let behind = tiers(&machine, &[("s3", &store)]);
    behind.offer(&action, "a:b");
    let begun = Instant::now();
    let sent = behind.finish();
    assert_eq!((sent.results, sent.given_up), (0, 1));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(behind.take_warnings().len(), 1);
}

#[test]
fn a_tier_that_cannot_be_opened_is_one_warning() {
    let machine = Machine::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let open: Open = Box::new(|| -> Result<Arc<dyn Tier>> {
        Err(larder_core::Error::new(larder_core::ErrorKind::Invalid, "open a cache tier")
            .with_hint("mend it"))
    });
    let configured = Configured { name: "dir", identity: "dir".into(), open, write: true };
    let runtime = Runtime::when_needed(move || Ok(runtime.handle().clone()));
    let behind = Tiers::new(machine.store.clone(), vec![configured], runtime, TiersOptions::default());
    for number in 0..3 {
        assert_eq!(tier_of(&behind.fetch(&key(number), "a:b")), None);
    }
    let warnings = behind.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].hint.as_deref(), Some("mend it"));
}
