//! Many processes, and processes that die: nothing acknowledged is lost, nothing half-written is shown.
//!
//! The child is this test binary itself, started again with `LARDER_TEST_CHILD`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_core::{Digest, ErrorKind};
use larder_reapi::{ActionResult, Message, OutputFile};
use larder_store::envelope::{self, Context};
use larder_store::local::gc::GcOptions;
use larder_store::local::index::{Condition, NewResult, Origin};
use larder_store::local::verify::VerifyOptions;
use larder_store::message::to_message;
use larder_store::trust::Signer;
use larder_store::{LocalStore, Options};

const NS: &str = "default";
const CHILD: &str = "LARDER_TEST_CHILD";

fn content(seed: u64) -> Vec<u8> {
    // Every third blob shares its first half with others, so that chunks are shared; sizes from 1 kB to 300 kB.
    let mut out = vec![0; 1000 + (seed as usize * 7919) % 300_000];
    let middle = out.len() / 2;
    let begin = if seed.is_multiple_of(3) { seed % 30 } else { seed };
    blake3::Hasher::new().update(&begin.to_le_bytes()).finalize_xof().fill(&mut out[..middle]);
    blake3::Hasher::new().update(&(seed + 1_000_000).to_le_bytes()).finalize_xof().fill(&mut out[middle..]);
    out
}

fn open(home: &Path) -> LocalStore {
    LocalStore::open(home, Options::default()).unwrap()
}

fn record(store: &LocalStore, seed: u64, digest: &Digest) {
    let file = OutputFile { path: "o".to_owned(), digest: Some(to_message(digest)), ..OutputFile::default() };
    let result = ActionResult { output_files: vec![file], ..ActionResult::default() };
    let key = seed.to_le_bytes();
    let context = Context { namespace: NS, function: "blake3", action_digest: &key };
    let payload = envelope::seal(&Signer::Unsigned, &context, &result.encode_to_vec(), 1).unwrap();
    let new = NewResult { namespace: NS, key: &key, payload: &payload, origin: Origin::Built };
    store.index().unwrap().put_result(&new, Condition::Always, seed).unwrap();
}

/// Tells the parent, at once.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// Puts for ever, and says on its standard output what is acknowledged.
fn child_puts(home: &Path, first: u64) {
    for seed in first.. {
        // A new store now and then, so that packs are sealed.
        let store = open(home);
        for seed in seed * 5..seed * 5 + 5 {
            let digest = store.put(NS, &content(seed)).unwrap();
            record(&store, seed, &digest);
            say(&format!("put {seed}"));
        }
    }
}

/// Collects garbage for ever: everything but what is pinned.
fn child_gcs(home: &Path) {
    let store = open(home);
    for round in 0u64.. {
        for seed in 0..6 {
            let digest = store.put(NS, &content(500_000 + round * 6 + seed)).unwrap();
            record(&store, 500_000 + round * 6 + seed, &digest);
        }
        say("gc");
        let options = GcOptions { to_size: Some(1), grace: Duration::ZERO, ..GcOptions::default() };
        store.gc(&options).unwrap();
        store.merge_small().ok();
    }
}

fn start(home: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{role} {}", home.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (role, home) = told.split_once(' ').unwrap();
    let home = PathBuf::from(home);
    match role.split_once('-') {
        Some((_, first)) => child_puts(&home, first.parse().unwrap()),
        None => child_gcs(&home),
    }
}

fn verify(home: &Path, round: u64) {
    let report = open(home).verify(&VerifyOptions::default(), &mut |_| {}).unwrap();
    assert!(report.is_clean(), "after kill {round}: {report:?}");
}

#[test]
fn a_kill_at_any_moment_of_gc_leaves_a_clean_store_and_what_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let store = open(&home);
    let pinned: Vec<_> = (0..6).map(|seed| store.put(NS, &content(seed)).unwrap()).collect();
    for (seed, digest) in (0..).zip(&pinned) {
        record(&store, seed, digest);
        store.pin_result(NS, &seed.to_le_bytes(), "me", "a test").unwrap();
    }
    drop(store);
    for round in 0..20 {
        let mut child = start(&home, "gc");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // From the first collection on, so that the kill meets one.
        assert!(lines.any(|line| line.unwrap().ends_with("gc")));
        std::thread::sleep(Duration::from_millis(round * 7 % 90));
        child.kill().unwrap();
        child.wait().unwrap();
        verify(&home, round);
        let store = open(&home);
        for (seed, digest) in (0..).zip(&pinned) {
            assert!(store.get(NS, digest, u64::MAX).unwrap() == content(seed), "round {round}");
            assert!(store.index().unwrap().get_result(NS, &seed.to_le_bytes()).unwrap().is_some());
        }
    }
}

#[test]
fn a_kill_at_any_moment_of_a_put_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut acknowledged = Vec::new();
    for round in 0..20u64 {
        let mut child = start(&home, &format!("put-{}", round * 100));
        let mut output = child.stdout.take().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 13 % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut told = String::new();
        output.read_to_string(&mut told).unwrap();
        let whole = told.rfind('\n').map_or("", |end| &told[..end]);
        acknowledged.extend(whole.lines().filter_map(|line| {
            let (_, seed) = line.split_once("put ")?;
            seed.parse::<u64>().ok()
        }));
        if round % 4 == 3 {
            open(&home).maintain(Some(u64::MAX)).unwrap();
        }
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    verify(&home, 20);
    let store = open(&home);
    for seed in acknowledged {
        let content = content(seed);
        let read = store.get(NS, &Digest::blake3(&content), u64::MAX).unwrap();
        assert!(read == content);
        assert!(store.index().unwrap().get_result(NS, &seed.to_le_bytes()).unwrap().is_some());
    }
}

/// One store instance stands for one process: instances share nothing but the folder.
#[test]
fn puts_reads_and_collections_at_once_lose_nothing_that_is_young_or_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    drop(open(&home));
    let (acknowledged, stop) = (Mutex::new(Vec::<u64>::new()), AtomicBool::new(false));
    let (reads, collections) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for worker in 0..3u64 {
            let (home, acknowledged, stop) = (&home, &acknowledged, &stop);
            workers.push(scope.spawn(move || {
                let mut store = open(home);
                for seed in worker * 100_000.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let digest = store.put(NS, &content(seed)).unwrap();
                    record(&store, seed, &digest);
                    acknowledged.lock().unwrap().push(seed);
                    if seed % 20 == 19 {
                        store = open(home);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }));
        }
        for worker in 0..2u64 {
            let (home, acknowledged, stop, reads) = (&home, &acknowledged, &stop, &reads);
            workers.push(scope.spawn(move || {
                let store = open(home);
                for turn in worker.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let seed = {
                        let known = acknowledged.lock().unwrap();
                        known.get((turn as usize * 7919) % known.len().max(1)).copied()
                    };
                    let Some(seed) = seed else { continue };
                    let content = content(seed);
                    let digest = Digest::blake3(&content);
                    assert!(store.get(NS, &digest, u64::MAX).unwrap() == content, "seed {seed}");
                    assert!(store.find_missing(NS, &[digest]).unwrap().is_empty());
                    // What was never written, and what is doomed, is absent or right, never anything else.
                    let doomed = content_of_doomed(turn % 50);
                    match store.get("doomed", &Digest::blake3(&doomed), u64::MAX) {
                        Ok(read) => assert!(read == doomed),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}"),
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        for worker in 0..2 {
            let (home, stop, collections) = (&home, &stop, &collections);
            workers.push(scope.spawn(move || {
                let store = open(home);
                let mut round = worker;
                while !stop.load(Ordering::Relaxed) {
                    for seed in 0..10 {
                        store.put("doomed", &content_of_doomed(seed + worker * 25)).unwrap();
                    }
                    // In turn: all but one namespace is doomed; or nothing is, save for what cannot be read.
                    round += 1;
                    let held = round % 2 == 0;
                    let lease = held.then(|| store.lease_namespace(NS, Duration::from_secs(60)).unwrap());
                    let to_size = held.then_some(1);
                    let options = GcOptions { to_size, grace: Duration::ZERO, ..GcOptions::default() };
                    match store.gc(&options) {
                        Ok(_) => drop(collections.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}"),
                    }
                    drop(lease);
                    if let Err(error) = store.merge_small() {
                        assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
                    }
                }
            }));
        }
        let until = Instant::now() + Duration::from_secs(4);
        while Instant::now() < until && workers.iter().all(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (reads, collections) = (reads.into_inner(), collections.into_inner());
    assert!(reads > 20 && collections > 1, "{reads} reads, {collections} collections");
    verify(&home, 0);
    let store = open(&home);
    for seed in acknowledged.into_inner().unwrap() {
        let content = content(seed);
        assert!(store.get(NS, &Digest::blake3(&content), u64::MAX).unwrap() == content);
        assert!(store.index().unwrap().get_result(NS, &seed.to_le_bytes()).unwrap().is_some(), "{seed}");
    }
}

fn content_of_doomed(seed: u64) -> Vec<u8> {
    content(900_000 + seed)
}
