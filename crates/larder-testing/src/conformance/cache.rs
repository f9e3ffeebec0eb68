//! The action cache: entries, conditions, also under concurrency.

use std::sync::atomic::{AtomicUsize, Ordering};

use larder_core::{Digest, DigestFunction};
use larder_reapi::ActionResult;
use larder_store::ActionDigest;
use larder_store::seam::{ActionCache, ActionCacheExt, Condition, NewEntry, Origin, Outcome, payload_hash};
use larder_store::trust::{Place, Secret, SigningConfig};

use super::{Backend, Case, wait};

pub(super) const CASES: &[Case] = &[
    ("entries come back in order", entries),
    ("conditions", conditions),
    ("one of many creates", one_creates),
    ("counting with replace-if loses nothing", replace_if_counts),
    ("where an entry comes from is kept", origins),
    ("action results are judged", results),
];

fn new(key: &[u8], payload: &[u8]) -> NewEntry {
    NewEntry { key: key.to_vec(), payload: payload.to_vec().into(), origin: Origin::Built }
}

fn put(cache: &dyn ActionCache, key: &[u8], payload: &[u8], condition: Condition) -> Outcome {
    wait(cache.put(&[new(key, payload)], condition)).expect("put").remove(0)
}

fn get(cache: &dyn ActionCache, key: &[u8]) -> Option<Vec<u8>> {
    let entry = wait(cache.get(&[key])).expect("get").remove(0)?;
    Some(entry.payload.to_vec())
}

fn entries(backend: &Backend) {
    let (Some(cache), Some(other)) = (&backend.cache, &backend.other_cache) else { return };
    let all = [new(b"a", b"1"), new(b"b", b""), new(b"\0\xff", b"3")];
    let outcomes = wait(cache.put(&all, Condition::Always)).expect("put");
    assert_eq!(outcomes, [Outcome::Created; 3]);
    let found = wait(cache.get(&[b"\0\xff", b"absent", b"a", b"b", b"a"])).expect("get");
    let found: Vec<Option<Vec<u8>>> =
        found.into_iter().map(|entry| entry.map(|entry| entry.payload.to_vec())).collect();
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    assert_eq!(found, [some(b"3"), None, some(b"1"), some(b""), some(b"1")]);
    assert_eq!(get(&**other, b"a"), None, "another namespace sees nothing");
    assert_eq!(wait(cache.remove(&[b"a", b"absent"])).expect("remove"), 1);
    assert_eq!((get(&**cache, b"a"), get(&**cache, b"b")), (None, some(b"")));
}

fn conditions(backend: &Backend) {
    let Some(cache) = backend.cache.as_deref() else { return };
    let hash = |payload: &[u8]| Condition::ReplaceIf(payload_hash(payload));
    assert_eq!(put(cache, b"k", b"1", hash(b"1")), Outcome::Refused, "nothing to replace");
    assert_eq!(put(cache, b"k", b"1", Condition::CreateOnly), Outcome::Created);
    assert_eq!(put(cache, b"k", b"2", Condition::CreateOnly), Outcome::Refused);
    assert_eq!(put(cache, b"k", b"1", Condition::Always), Outcome::Unchanged);
    assert_eq!(put(cache, b"k", b"2", hash(b"0")), Outcome::Refused);
    assert_eq!(get(cache, b"k").as_deref(), Some(&b"1"[..]));
    assert_eq!(put(cache, b"k", b"2", hash(b"1")), Outcome::Replaced);
    assert_eq!(put(cache, b"k", b"3", Condition::Always), Outcome::Replaced);
    assert_eq!(get(cache, b"k").as_deref(), Some(&b"3"[..]));
}

fn one_creates(backend: &Backend) {
    let Some(cache) = backend.cache.as_deref() else { return };
    let created = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let created = &created;
            scope.spawn(move || {
                for key in 0..20u8 {
                    if put(cache, &[key], &[thread], Condition::CreateOnly) == Outcome::Created {
                        created.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(get(cache, &[key]), Some(vec![thread]));
                    }
                }
            });
        }
    });
    assert_eq!(created.into_inner(), 20);
}

fn replace_if_counts(backend: &Backend) {
    let Some(cache) = backend.cache.as_deref() else { return };
    put(cache, b"n", &0u32.to_le_bytes(), Condition::CreateOnly);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    loop {
                        let seen = get(cache, b"n").expect("there");
                        let value = u32::from_le_bytes(seen[..].try_into().expect("four bytes"));
                        let next = (value + 1).to_le_bytes();
                        let condition = Condition::ReplaceIf(payload_hash(&seen));
                        if put(cache, b"n", &next, condition) == Outcome::Replaced {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(get(cache, b"n"), Some(40u32.to_le_bytes().to_vec()));
}

fn origins(backend: &Backend) {
    let Some(cache) = &backend.cache else { return };
    let promoted = NewEntry { origin: Origin::Promoted, ..new(b"promoted", b"1") };
    wait(cache.put(&[promoted, new(b"built", b"1")], Condition::Always)).expect("put");
    let found = wait(cache.get(&[b"promoted", b"built"])).expect("get");
    let places: Vec<Place> = found.into_iter().flatten().map(|entry| entry.place).collect();
    assert!(places == [Place::Promoted, Place::Built] || places == [Place::Remote; 2], "{places:?}");
}

fn results(backend: &Backend) {
    let Some(cache) = &backend.cache else { return };
    let secret = Secret::new("a secret of at least thirty-two bytes").expect("long enough");
    let (signer, trust, _) = SigningConfig { secret: Some(secret), ..SigningConfig::default() }.resolve();
    let action = ActionDigest(Digest::blake3(b"action"));
    let result = ActionResult { exit_code: 7, ..ActionResult::default() };
    assert!(wait(cache.get_result(&action, &trust)).expect("get").is_none());
    let outcome = wait(cache.put_result(&action, &result, &signer, Condition::Always)).expect("put");
    assert_eq!(outcome, Outcome::Created);
    let found = wait(cache.get_result(&action, &trust)).expect("get").expect("there");
    assert_eq!(found.expect("believed"), result);
    // The same bytes under another key are not believed.
    let moved = ActionDigest(DigestFunction::Blake3.digest(b"another action"));
    let payload = wait(cache.get(&[&action.key()])).expect("get").remove(0).expect("there").payload;
    put(&**cache, &moved.key(), &payload, Condition::Always);
    assert!(wait(cache.get_result(&moved, &trust)).expect("get").expect("there").is_err());
}
