//! Garbage collection through the public interface: what is kept, what goes, in which order, and what it gives back.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use larder_core::{Digest, ErrorKind};
use larder_reapi::{ActionResult, Directory, FileNode, Message, OutputDirectory, OutputFile, Tree};
use larder_store::envelope::{self, Context};
use larder_store::local::gc::{GcOptions, PackAction, Policy};
use larder_store::local::index::{Condition, NewResult, Origin};
use larder_store::message::to_message;
use larder_store::trust::Signer;
use larder_store::{LocalStore, Options};

const NS: &str = "default";

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn open(folder: &Path) -> LocalStore {
    LocalStore::open(&folder.join("home"), Options::default()).unwrap()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Options that spare nothing for being young.
fn hard() -> GcOptions {
    GcOptions { grace: Duration::ZERO, ..GcOptions::default() }
}

fn record(store: &LocalStore, key: &[u8], result: &ActionResult, at: u64) {
    let context = Context { namespace: NS, function: "blake3", action_digest: key };
    let payload = envelope::seal(&Signer::Unsigned, &context, &result.encode_to_vec(), at).unwrap();
    let new = NewResult { namespace: NS, key, payload: &payload, origin: Origin::Built };
    store.index().unwrap().put_result(&new, Condition::Always, at).unwrap();
}

/// A result with one output file and a tree of `files` in one directory.
fn build(store: &LocalStore, key: &[u8], file: &[u8], files: &[&[u8]], at: u64) -> Vec<Digest> {
    let mut digests = vec![store.put(NS, file).unwrap()];
    let mut directory = Directory::default();
    for (number, content) in files.iter().enumerate() {
        let digest = store.put(NS, content).unwrap();
        directory.files.push(FileNode {
            name: format!("f{number}"),
            digest: Some(to_message(&digest)),
            ..FileNode::default()
        });
        digests.push(digest);
    }
    let tree = Tree { root: Some(directory), children: Vec::new() };
    let tree = store.put(NS, &tree.encode_to_vec()).unwrap();
    digests.push(tree);
    let result = ActionResult {
        output_files: vec![OutputFile {
            path: "out".to_owned(),
            digest: Some(to_message(&digests[0])),
            ..OutputFile::default()
        }],
        output_directories: vec![OutputDirectory {
            path: "dir".to_owned(),
            tree_digest: Some(to_message(&tree)),
            ..OutputDirectory::default()
        }],
        ..ActionResult::default()
    };
    record(store, key, &result, at);
    digests
}

fn here(store: &LocalStore, digests: &[Digest]) -> bool {
    let all = store.find_missing(NS, digests).unwrap().is_empty();
    if all {
        digests.iter().for_each(|digest| assert!(store.get(NS, digest, u64::MAX).is_ok()));
    }
    all
}

fn has_result(store: &LocalStore, key: &[u8]) -> bool {
    store.index().unwrap().get_result(NS, key).unwrap().is_some()
}

#[test]
fn the_least_recently_used_goes_first_and_shared_content_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let shared = noise(0, 300_000);
    let day = 86_400;
    let old = build(&store, b"old", &noise(1, 500_000), &[&shared], now() - 9 * day);
    let middle = build(&store, b"middle", &noise(2, 500_000), &[], now() - 5 * day);
    let new = build(&store, b"new", &noise(3, 500_000), &[&shared], now() - day);
    let before = store.stats().unwrap();
    assert_eq!(before.results, 3);
    let options = GcOptions { to_size: Some(before.physical_bytes - 300_000), ..hard() };
    let plan = store.plan_gc(&options).unwrap();
    assert_eq!(plan.results.len(), 1);
    assert_eq!(plan.results[0].key, "6f6c64");
    assert!(serde_json::to_string(&plan).unwrap().contains("6f6c64"));
    assert!(here(&store, &old), "a plan deletes nothing");
    let report = store.run_gc(plan).unwrap();
    assert_eq!(report.results, 1);
    assert!(report.bytes_after <= before.physical_bytes - 300_000, "{report:?} {before:?}");
    assert!(!has_result(&store, b"old") && has_result(&store, b"middle") && has_result(&store, b"new"));
    assert!(here(&store, &middle) && here(&store, &new));
    assert_eq!(store.get(NS, &old[0], u64::MAX).unwrap_err().kind(), ErrorKind::NotFound);
    drop(store);
    let later = open(folder.path());
    assert!(here(&later, &middle) && here(&later, &new));
    assert_eq!(later.find_missing(NS, &old).unwrap(), &old[..1], "its tree is that of the newer one");
}

#[test]
fn what_is_pinned_leased_rooted_or_young_stays_whatever_the_size() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let pinned = build(&store, b"pinned", &noise(1, 100_000), &[&noise(2, 100_000)], 1000);
    let loose = build(&store, b"loose", &noise(3, 100_000), &[], 2000);
    let blob = store.put(NS, &noise(4, 100_000)).unwrap();
    let leased = store.put("other", &noise(5, 100_000)).unwrap();
    let rooted = store.put(NS, &noise(6, 100_000)).unwrap();
    store.pin_result(NS, b"pinned", "me", "a test").unwrap();
    store.pin_blob(NS, &blob, "me", "a test").unwrap();
    let lease = store.lease_namespace("other", Duration::from_secs(60)).unwrap();
    lease.renew().unwrap();
    store.index().unwrap().set_root(NS, "tag", &envelope::digest_bytes(&rooted), 5).unwrap();
    let nothing = GcOptions { to_size: Some(0), ..hard() };
    let young = GcOptions { to_size: Some(0), ..GcOptions::default() };
    store.gc(&young).unwrap();
    assert!(here(&store, &loose), "younger than the grace");
    store.gc(&nothing).unwrap();
    assert!(here(&store, &pinned) && here(&store, &[blob, rooted]) && has_result(&store, b"pinned"));
    assert!(store.get("other", &leased, u64::MAX).is_ok());
    assert!(!here(&store, &loose) && !has_result(&store, b"loose"));
    drop(lease);
    assert!(store.unpin_result(NS, b"pinned").unwrap() && store.unpin_blob(NS, &blob).unwrap());
    store.gc(&nothing).unwrap();
    assert_eq!(store.find_missing(NS, &[pinned[0], pinned[1], blob]).unwrap().len(), 3);
    assert_eq!(store.get("other", &leased, u64::MAX).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(here(&store, &[rooted]));
}

#[test]
fn age_and_size_are_policies_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let old = build(&store, b"old", &noise(1, 1000), &[], now() - 1000);
    let small = build(&store, b"small", &noise(2, 10_000), &[], now() - 500);
    let large = build(&store, b"large", &noise(3, 2_000_000), &[], now() - 1);
    let aged = GcOptions { older_than: Some(Duration::from_secs(700)), ..hard() };
    let report = store.gc(&aged).unwrap();
    assert_eq!(report.results, 1);
    assert!(!here(&store, &old[..1]) && here(&store, &small) && here(&store, &large));
    let largest = GcOptions { to_size: Some(1_000_000), policy: Policy::LargestFirst, ..hard() };
    store.gc(&largest).unwrap();
    assert!(here(&store, &small) && !has_result(&store, b"large"));
}

#[test]
fn a_result_whose_blobs_went_goes_and_a_foreign_value_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let gone = ActionResult {
        stdout_digest: Some(to_message(&Digest::blake3(b"never written, and not empty"))),
        ..ActionResult::default()
    };
    let empty =
        ActionResult { stdout_digest: Some(to_message(&Digest::blake3(b""))), ..ActionResult::default() };
    record(&store, b"gone", &gone, now());
    record(&store, b"empty", &empty, now());
    let foreign = NewResult { namespace: NS, key: b"foreign", payload: b"\xff\xfe", origin: Origin::Built };
    store.index().unwrap().put_result(&foreign, Condition::Always, now()).unwrap();
    let plan = store.plan_gc(&GcOptions::default()).unwrap();
    assert!(plan.results.len() == 1 && plan.results[0].incomplete);
    store.run_gc(plan).unwrap();
    assert!(!has_result(&store, b"gone") && has_result(&store, b"empty") && has_result(&store, b"foreign"));
}

#[test]
fn what_came_after_the_plan_lives_even_if_it_needs_what_was_doomed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let content = noise(1, 400_000);
    let doomed = build(&store, b"doomed", &content, &[&noise(2, 400_000)], 1000);
    store.flush().unwrap();
    let plan = store.plan_gc(&GcOptions { to_size: Some(0), ..hard() }).unwrap();
    assert!(plan.packs.iter().all(|pack| pack.action == PackAction::Unlink));
    // The same chunks in another namespace: only a row is written.
    let copy = store.put("late", &content).unwrap();
    let other = open(folder.path());
    store.run_gc(plan).unwrap();
    for store in [&store, &other, &open(folder.path())] {
        assert!(store.get("late", &copy, u64::MAX).unwrap() == content);
        assert_eq!(store.get(NS, &doomed[1], u64::MAX).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn a_mostly_dead_pack_is_compacted_and_readers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let keep = noise(1, 100_000);
    let kept = build(&store, b"kept", &keep, &[], now());
    build(&store, b"dead", &noise(2, 3_000_000), &[], 1000);
    store.flush().unwrap();
    let reader = open(folder.path());
    assert!(here(&reader, &kept));
    let before = store.stats().unwrap().physical_bytes;
    let options = GcOptions { older_than: Some(Duration::from_secs(86_400)), ..hard() };
    let plan = store.plan_gc(&options).unwrap();
    assert_eq!(plan.packs[0].action, PackAction::Compact);
    let report = store.run_gc(plan).unwrap();
    assert!(report.bytes_after + 2_900_000 < before, "{report:?}");
    assert!(report.bytes_copied > 100_000);
    assert!(here(&reader, &kept) && here(&store, &kept) && here(&open(folder.path()), &kept));
}

#[test]
fn a_store_over_its_limit_is_brought_below_it_and_many_small_packs_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for seed in 0..20 {
        let store = open(folder.path());
        digests.push(store.put(NS, &noise(seed, 20_000)).unwrap());
    }
    let store = open(folder.path());
    assert_eq!(store.stats().unwrap().packs, 20);
    let done = store.maintain(None).unwrap();
    assert_eq!((done.merged_packs, done.merged_tables), (20, 20));
    assert!(here(&store, &digests) && here(&open(folder.path()), &digests));
    assert_eq!(store.stats().unwrap().packs, 1);
    assert_eq!(store.maintain(None).unwrap(), larder_store::local::merge::Maintained::default());
    let limited = store.maintain(Some(100_000)).unwrap();
    assert!(limited.gc.is_some());
    assert!(here(&store, &digests), "all are young");
}

#[test]
fn another_process_notices_what_was_evicted_and_what_it_writes_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = (open(folder.path()), open(folder.path()));
    let content = noise(1, 200_000);
    let digest = store.put(NS, &content).unwrap();
    store.flush().unwrap();
    assert!(here(&other, &[digest]));
    let unsealed = other.put(NS, &noise(2, 200_000)).unwrap();
    store.gc(&GcOptions { to_size: Some(0), ..hard() }).unwrap();
    assert_eq!(other.find_missing(NS, &[digest, unsealed]).unwrap(), [digest]);
    assert!(here(&store, &[unsealed]), "its writer has it open");
    // The other process must not rely on the chunks that it saw before.
    assert_eq!(other.put(NS, &content).unwrap(), digest);
    assert!(here(&other, &[digest]) && here(&store, &[digest]));
    drop(other);
    assert!(here(&open(folder.path()), &[digest, unsealed]));
    store.gc(&GcOptions { to_size: Some(0), ..hard() }).unwrap();
    assert_eq!(store.find_missing(NS, &[digest, unsealed]).unwrap().len(), 2, "nobody has it open any more");
    assert!(std::fs::read_dir(folder.path().join("home/packs")).unwrap().next().is_none());
}

#[test]
fn a_writer_at_work_is_waited_for_and_then_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let digest = store.put(NS, &noise(1, 10_000)).unwrap();
    let writer = store.writer(NS).unwrap();
    let other = open(folder.path());
    let impatient = GcOptions { to_size: Some(0), patience: Duration::from_millis(50), ..hard() };
    assert_eq!(other.gc(&impatient).unwrap_err().kind(), ErrorKind::Busy);
    assert!(here(&other, &[digest]));
    drop(writer);
    drop(store);
    other.gc(&impatient).unwrap();
    assert!(!here(&other, &[digest]));
}

#[test]
fn namespaces_of_any_name_are_collected_and_a_manifest_keeps_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let name = "Registry/ghcr: ü";
    let put = |bytes: &[u8]| {
        let mut writer = store.writer(name).unwrap();
        let function = larder_core::DigestFunction::Sha256;
        let digest = writer.put_reader(&mut &*bytes, function, &mut |_| {}).unwrap();
        writer.commit().unwrap();
        digest
    };
    let (layer, loose) = (put(&noise(1, 50_000)), put(&noise(2, 50_000)));
    let manifest = format!(
        r#"{{"schemaVersion":2,"layers":[{{"digest":"sha256:{}","size":{}}}]}}"#,
        layer.hash, layer.size
    );
    let manifest = put(manifest.as_bytes());
    store.index().unwrap().set_root(name, "v1", &envelope::digest_bytes(&manifest), 1).unwrap();
    drop(store);
    let store = open(folder.path());
    store.gc(&GcOptions { to_size: Some(0), ..hard() }).unwrap();
    assert_eq!(store.find_missing(name, &[layer, loose, manifest]).unwrap(), [loose]);
}

#[test]
fn figures_are_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let empty = store.stats().unwrap();
    assert_eq!((empty.blobs, empty.chunks, empty.mean_chunk_size, empty.dedup_ratio), (0, 0, None, None));
    let content = noise(1, 500_000);
    for namespace in ["a", "b"] {
        store.put(namespace, &content).unwrap();
    }
    store.put("a", &b"words ".repeat(50_000)).unwrap();
    store.flush().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.blobs, stats.logical_bytes), (3, 1_300_000));
    assert!(stats.dedup_ratio.unwrap() > 1.5 && stats.compression_ratio.unwrap() > 1.0, "{stats:?}");
    let on_disk: u64 = std::fs::read_dir(folder.path().join("home/packs"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(stats.sizes.packs, on_disk);
    assert!(stats.default_limit > 0 && stats.default_limit <= 50 << 30);
    assert!(serde_json::to_string(&stats).unwrap().contains("\"logical_bytes\":1300000"));
}

#[test]
fn evictions_are_in_the_event_log_and_rubbish_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    build(&store, b"old", &noise(1, 1000), &[], 1000);
    let home = folder.path().join("home");
    let past = std::time::SystemTime::now() - Duration::from_secs(3 * 86_400);
    for name in ["tmp/a.open", "locks/x.lock", "quarantine/gone.bad", "tmp/young"] {
        let file = std::fs::File::create(home.join(name)).unwrap();
        if name != "tmp/young" {
            file.set_modified(past).unwrap();
        }
    }
    std::fs::File::create(home.join("quarantine/huge.pack")).unwrap().set_len(65 << 20).unwrap();
    store.gc(&GcOptions { to_size: Some(0), ..hard() }).unwrap();
    assert_eq!(store.event_statistics(0).unwrap().evictions.count, 1);
    for name in ["tmp/a.open", "locks/x.lock", "quarantine/gone.bad", "quarantine/huge.pack"] {
        assert!(!home.join(name).exists(), "{name}");
    }
    assert!(home.join("tmp/young").exists());
}
