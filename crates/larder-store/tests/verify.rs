//! Proof and repair: what is damaged is found, told, and after a repair the store says only what it can keep.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use larder_core::{Digest, Format};
use larder_reapi::{ActionResult, Message};
use larder_store::envelope::{self, Context};
use larder_store::local::index::{Condition, NewResult, Origin};
use larder_store::local::verify::{VerifyOptions, VerifyReport};
use larder_store::message::to_message;
use larder_store::trust::Signer;
use larder_store::{LocalStore, Options};

const NS: &str = "default";
const REPAIR: VerifyOptions = VerifyOptions { repair: true };

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn open(folder: &Path) -> LocalStore {
    let options = Options { format: Format::Raw, level: 0, ..Options::default() };
    LocalStore::open(&folder.join("home"), options).unwrap()
}

fn verify(store: &LocalStore, repair: bool) -> VerifyReport {
    store.verify(&VerifyOptions { repair }, &mut |_| {}).unwrap()
}

fn files(folder: &Path, below: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("home").join(below)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// A store of forty blobs of 100 kB in one sealed pack.
fn filled(folder: &Path) -> Vec<Digest> {
    let store = open(folder);
    (0..40).map(|seed| store.put(NS, &noise(seed, 100_000)).unwrap()).collect()
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

#[test]
fn a_sound_store_is_clean_and_progress_is_told() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let store = open(folder.path());
    let mut last = None;
    let report = store.verify(&VerifyOptions::default(), &mut |progress| last = Some(progress)).unwrap();
    assert!(report.is_clean() && !report.repaired, "{report:?}");
    assert_eq!((report.packs, report.blobs), (1, 40));
    assert!(report.bytes >= 4_000_000 && last.is_some_and(|last| last.done == last.total));
}

#[test]
fn a_flipped_bit_costs_one_blob_and_its_result_and_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let digests = filled(folder.path());
    let store = open(folder.path());
    for (key, digest) in [(b"a", &digests[0]), (b"b", &digests[20])] {
        let result = ActionResult { stdout_digest: Some(to_message(digest)), ..ActionResult::default() };
        let context = Context { namespace: NS, function: "blake3", action_digest: key };
        let payload = envelope::seal(&Signer::Unsigned, &context, &result.encode_to_vec(), 1).unwrap();
        let new = NewResult { namespace: NS, key, payload: &payload, origin: Origin::Built };
        store.index().unwrap().put_result(&new, Condition::Always, 1).unwrap();
    }
    let pack = files(folder.path(), "packs", "pack").pop().unwrap();
    flip(&pack, 50_000);
    let report = verify(&store, false);
    assert_eq!((report.corrupt_chunks.len(), report.broken_blobs.len()), (1, 1), "{report:?}");
    assert_eq!(report.broken_blobs[0].digest, digests[0].to_string());
    assert_eq!(report.broken_results.len(), 1);
    let report = store.verify(&REPAIR, &mut |_| {}).unwrap();
    assert!(report.repaired && !report.is_clean());
    for store in [&store, &open(folder.path())] {
        let report = verify(store, false);
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.blobs, report.results), (39, 1));
        assert_eq!(store.find_missing(NS, &digests).unwrap(), digests[..1]);
    }
    assert_eq!(store.put(NS, &noise(0, 100_000)).unwrap(), digests[0]);
    assert!(store.get(NS, &digests[0], u64::MAX).unwrap() == noise(0, 100_000));
}

#[test]
fn a_damaged_table_is_made_again_and_what_follows_a_damaged_frame_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let digests = filled(folder.path());
    let pack = files(folder.path(), "packs", "pack").pop().unwrap();
    let size = fs::metadata(&pack).unwrap().len();
    flip(&pack, size - 20);
    // The header of the first frame, right behind the pack's.
    flip(&pack, 16 + 5);
    let store = open(folder.path());
    let report = verify(&store, true);
    assert_eq!(report.damaged_packs.len(), 1);
    let missing = store.find_missing(NS, &digests).unwrap();
    assert!(!missing.is_empty() && missing.len() <= 2, "only what the first frame held: {}", missing.len());
    let report = verify(&open(folder.path()), false);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.blobs, 40 - missing.len() as u64);
}

#[test]
fn a_fan_out_that_hides_rows_is_found_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let digests = filled(folder.path());
    let pack = files(folder.path(), "packs", "pack").pop().unwrap();
    let bytes = fs::read(&pack).unwrap();
    let tail = bytes.len() - 64;
    let table = u64::from_le_bytes(bytes[tail + 32..tail + 40].try_into().unwrap());
    // Every slot but the last says that its rows begin far behind the end.
    for slot in 1..60 {
        flip(&pack, table + slot * 4 + 3);
    }
    let store = open(folder.path());
    let report = verify(&store, true);
    assert_eq!(report.damaged_packs.len(), 1, "{report:?}");
    assert!(store.find_missing(NS, &digests).unwrap().is_empty(), "nothing was lost");
    assert!(verify(&store, false).is_clean() && verify(&open(folder.path()), false).is_clean());
}

#[test]
fn a_damaged_row_goes_and_a_damaged_table_of_rows_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let other: Vec<_> = {
        let store = open(folder.path());
        (100..137).map(|seed| store.put("other", &noise(seed, 1000)).unwrap()).collect()
    };
    let rows = files(folder.path(), "blobs/default", "table").pop().unwrap();
    let size = fs::metadata(&rows).unwrap().len();
    flip(&rows, size - 64 - 30);
    let others = files(folder.path(), "blobs/other", "table").pop().unwrap();
    let size = fs::metadata(&others).unwrap().len();
    flip(&others, size - 1);
    let store = open(folder.path());
    let report = verify(&store, true);
    assert_eq!((report.unsound_rows, report.blobs), (2, 39), "{report:?}");
    assert!(store.find_missing("other", &other).unwrap().is_empty());
    assert!(verify(&store, false).is_clean() && verify(&open(folder.path()), false).is_clean());
}

#[test]
fn a_damaged_index_is_told_and_put_aside_and_content_stays() {
    let folder = tempfile::tempdir().unwrap();
    let digests = filled(folder.path());
    let store = open(folder.path());
    let index = store.index().unwrap();
    for key in 0..2000u32 {
        let key = key.to_le_bytes();
        let new = NewResult { namespace: NS, key: &key, payload: &[7; 100], origin: Origin::Built };
        index.put_result(&new, Condition::Always, 1).unwrap();
    }
    drop((index, store));
    let path = folder.path().join("home/index.db");
    let size = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().write_all_at(&[0x55; 20_000], size / 2).unwrap();
    let store = open(folder.path());
    let report = verify(&store, true);
    assert!(!report.index_problems.is_empty());
    assert!(verify(&store, false).is_clean() && verify(&open(folder.path()), false).is_clean());
    assert!(store.find_missing(NS, &digests).unwrap().is_empty());
}

#[test]
fn one_repair_is_enough_wherever_the_damage_is() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound");
    let options = Options::default();
    let texts: Vec<Vec<u8>> = (0..3u8).map(|seed| vec![b'a' + seed; 300 + usize::from(seed)]).collect();
    let store = LocalStore::open(&sound, options.clone()).unwrap();
    let digests: Vec<Digest> = texts.iter().map(|text| store.put(NS, text).unwrap()).collect();
    let result = ActionResult { stdout_digest: Some(to_message(&digests[0])), ..ActionResult::default() };
    let key = [7; 40];
    let context = Context { namespace: NS, function: "b3", action_digest: &key };
    let payload = envelope::seal(&Signer::Unsigned, &context, &result.encode_to_vec(), 1).unwrap();
    let new = NewResult { namespace: NS, key: &key, payload: &payload, origin: Origin::Built };
    store.index().unwrap().put_result(&new, Condition::Always, 1).unwrap();
    drop(store);
    let pack = fs::read_dir(sound.join("packs")).unwrap().next().unwrap().unwrap().file_name();
    let length = fs::metadata(sound.join("packs").join(&pack)).unwrap().len();
    for at in (0..length.saturating_sub(8)).step_by(24) {
        let home = folder.path().join(format!("damaged-{at}"));
        let copied = std::process::Command::new("cp").arg("-a").arg(&sound).arg(&home).status().unwrap();
        assert!(copied.success());
        let file = File::options().read(true).write(true).open(home.join("packs").join(&pack)).unwrap();
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        file.write_all_at(&bytes.map(|byte| byte ^ 0x55), at).unwrap();
        drop(file);
        verify(&LocalStore::open(&home, options.clone()).unwrap(), true);
        let after = verify(&LocalStore::open(&home, options.clone()).unwrap(), false);
        assert!(after.is_clean(), "damage at {at} of {length}: {after:?}");
        fs::remove_dir_all(home).unwrap();
    }
}
