//! A cache with tiers behind it, as whoever embeds Larder meets it; and the tier of the example, which readers copy.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../../../examples/embed_custom_backend/folder_tier.rs"]
mod folder_tier;

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use folder_tier::FolderTier;
use larder::core::{ErrorKind, Result};
use larder::reapi::{Action, ActionResult, Directory, FileNode, Message, OutputDirectory, Tree};
use larder::remote::s3::S3Config;
use larder::remote::{Offer, Publication, Receipt, Tier};
use larder::store::message::to_message;
use larder::store::trust::Secret;
use larder::store::{ActionDigest, LookUp};
use larder::tiers::{TierConfig, runtime};
use larder::{Cache, Config};

fn config(home: &Path, secret: &str) -> Config {
    let mut config = Config::new(home);
    config.signing.secret = Some(Secret::new(secret).unwrap());
    config
}

const SECRET: &str = "a secret of the team, long enough to be one";

fn machine(home: &Path, tiers: impl IntoIterator<Item = TierConfig>) -> Cache {
    Cache::open(&config(home, SECRET)).unwrap().with_tiers(tiers, runtime()).unwrap()
}

fn action(cache: &Cache, number: u32) -> Action {
    cache.action(["test", &number.to_string()], [("src/input", cache.digest(b"input"))])
}

/// Records `content` as what came of action `number`.
fn make(cache: &Cache, number: u32, content: &[u8]) {
    let output = cache.put(&mut &content[..]).unwrap();
    cache.record(&action(cache, number), &cache.result([("out", output)])).unwrap();
}

/// What came of action `number`, and which tier had it.
fn find(cache: &Cache, number: u32) -> Option<(Vec<u8>, &'static str)> {
    let hit = cache.lookup(&action(cache, number)).hit()?;
    let output = cache.output(&hit.result, "out").unwrap();
    Some((cache.read(&output, 1 << 30).unwrap(), hit.tier))
}

fn shared(folder: &Path) -> PathBuf {
    let shared = folder.join("shared");
    fs::create_dir_all(&shared).unwrap();
    shared
}

#[test]
fn machines_share_through_every_kind_of_folder() {
    let kinds: [fn(PathBuf) -> TierConfig; 4] = [
        |folder| TierConfig::new(folder),
        |folder| TierConfig::new(folder).prefix("team").compression(0),
        |folder| TierConfig::new(folder).encrypted_with(SECRET.as_bytes()),
        |folder| TierConfig::own(FolderTier::new(folder).unwrap()),
    ];
    for tier in kinds {
        let folder = tempfile::tempdir().unwrap();
        let tier = || tier(shared(folder.path()));
        let one = machine(&folder.path().join("one"), [tier()]);
        let large: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()).collect();
        make(&one, 1, b"small");
        make(&one, 2, &large);
        make(&one, 3, b"");
        let finished = one.finish();
        assert_eq!((finished.sent.results, finished.sent.given_up), (3, 0), "{finished:?}");
        assert_eq!(finished.warnings, []);
        assert_eq!(find(&one, 1).unwrap().1, "local");

        let two = machine(&folder.path().join("two"), [tier()]);
        let name = tier().name();
        assert_eq!(find(&two, 1), Some((b"small".to_vec(), name)));
        assert_eq!(find(&two, 2), Some((large, name)));
        assert_eq!(find(&two, 3), Some((Vec::new(), name)));
        assert_eq!(find(&two, 1).unwrap().1, "local", "it was kept");
        assert_eq!(find(&two, 4), None);
        assert_eq!(two.finish().sent.results, 0, "nothing is sent back");
    }
}

#[test]
fn the_last_clone_waits_for_what_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let tier = || TierConfig::own(FolderTier::new(shared(folder.path())).unwrap());
    let one = machine(&folder.path().join("one"), [tier()]);
    let clone = one.clone();
    drop(one);
    for number in 0..20 {
        make(&clone, number, &number.to_le_bytes());
    }
    drop(clone);
    let two = machine(&folder.path().join("two"), [tier()]);
    assert!((0..20).all(|number| find(&two, number).is_some()));
}

#[test]
fn a_finished_cache_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let one = machine(&folder.path().join("one"), [TierConfig::new(shared(folder.path()))]);
    make(&one, 1, b"1");
    assert_eq!(one.finish().sent.results, 1);
    make(&one, 2, b"2");
    assert_eq!(one.finish().sent.results, 2);
}

#[test]
fn a_later_tier_fills_the_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let far = || TierConfig::own(FolderTier::new(folder.path().join("far")).unwrap());
    let one = machine(&folder.path().join("one"), [far().read_only()]);
    make(&one, 1, b"1");
    assert_eq!(one.finish().sent.results, 0, "a tier that is only read is sent nothing");
    let one = machine(&folder.path().join("one"), [far()]);
    assert!(find(&one, 1).is_some(), "what is here already is offered when it is used");
    assert_eq!(one.finish().sent.results, 1);

    let near = || TierConfig::new(shared(folder.path()));
    let two = machine(&folder.path().join("two"), [near(), far()]);
    assert_eq!(find(&two, 1).unwrap().1, "folder");
    assert_eq!(two.finish().sent.results, 1);
    assert_eq!(find(&machine(&folder.path().join("three"), [near()]), 1).unwrap().1, "dir");
}

#[test]
fn nothing_is_believed_without_its_signature() {
    let folder = tempfile::tempdir().unwrap();
    let tier = || TierConfig::own(FolderTier::new(shared(folder.path())).unwrap());
    make(&machine(&folder.path().join("one"), [tier()]), 1, b"1");
    let other = config(&folder.path().join("two"), "the secret of somebody else");
    let other = Cache::open(&other).unwrap().with_tiers([tier()], runtime()).unwrap();
    assert!(find(&other, 1).is_none());
    let warnings = other.finish().warnings;
    assert!(warnings[0].message.contains("not believed"), "{warnings:?}");
}

#[test]
fn a_tree_travels_with_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let tier = || TierConfig::own(FolderTier::new(shared(folder.path())).unwrap());
    let one = machine(&folder.path().join("one"), [tier()]);
    let file = one.put(&mut &b"in a folder"[..]).unwrap();
    let node = FileNode { name: "file".into(), digest: Some(to_message(&file)), ..FileNode::default() };
    let tree =
        Tree { root: Some(Directory { files: vec![node], ..Directory::default() }), ..Tree::default() };
    let tree = one.put(&mut &tree.encode_to_vec()[..]).unwrap();
    let output = OutputDirectory { tree_digest: Some(to_message(&tree)), ..OutputDirectory::default() };
    let result = ActionResult { output_directories: vec![output], ..ActionResult::default() };
    one.record(&action(&one, 1), &result).unwrap();
    drop(one);
    let two = machine(&folder.path().join("two"), [tier()]);
    assert_eq!(two.lookup(&action(&two, 1)).hit().unwrap().result, result);
    assert_eq!(two.read(&file, 100).unwrap(), b"in a folder");
}

#[test]
fn damage_in_a_tier_is_a_miss_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let tier = || TierConfig::own(FolderTier::new(shared(folder.path())).unwrap());
    make(&machine(&folder.path().join("one"), [tier()]), 1, b"content");
    let files: Vec<PathBuf> =
        fs::read_dir(shared(folder.path())).unwrap().map(|entry| entry.unwrap().path()).collect();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (number, file) in files.iter().enumerate() {
        let half = whole[number][..whole[number].len() / 2].to_vec();
        for (how, damaged) in [Vec::new(), vec![0xff; 40], half].into_iter().enumerate() {
            fs::write(file, damaged).unwrap();
            let another = |name: &str| machine(&folder.path().join(format!("{name}{number}{how}")), [tier()]);
            let two = another("two");
            assert_eq!(find(&two, 1), None);
            make(&two, 1, b"content");
            drop(two);
            assert_eq!(find(&another("three"), 1), Some((b"content".to_vec(), "folder")));
        }
    }
}

/// A tier that is not what it should be.
#[derive(Debug)]
struct Panics;

#[async_trait]
impl Tier for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }
    fn identity(&self) -> String {
        "panics".into()
    }
    async fn look_up(&self, _: &str, _: &ActionDigest) -> Result<Option<Box<dyn Offer>>> {
        Ok(None)
    }
    async fn publish(&self, _: &Publication<'_>) -> Result<Receipt> {
        panic!("as a test")
    }
}

#[test]
fn a_tier_that_panics_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let one = machine(folder.path(), [TierConfig::own(Panics)]);
    make(&one, 1, b"1");
    let finished = one.finish();
    assert_eq!(finished.sent.given_up, 1);
    assert!(finished.warnings[0].message.contains("panicked"), "{finished:?}");
    assert!(find(&one, 1).is_some());
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let here = || TierConfig::new(shared(folder.path()));
    let open = |tier: TierConfig| {
        let cache = Cache::open(&config(&folder.path().join("one"), SECRET)).unwrap();
        cache.with_tiers([tier], runtime()).map(drop).unwrap_err()
    };
    let unsigned = Cache::open(&Config::new(folder.path().join("two"))).unwrap();
    let error = unsigned.with_tiers([here()], runtime()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.hint().unwrap().contains("Config::signing"));

    let error = open(TierConfig::new(folder.path().join("none")));
    assert!(error.to_string().contains("there is no such folder"), "{error}");
    assert!(open(here().encrypted_with(b"short")).to_string().contains("at least 16"));
    assert!(
        open(TierConfig::own(Panics).encrypted_with(SECRET.as_bytes())).to_string().contains("encrypted")
    );
    assert!(open(TierConfig::own(Panics).prefix("team")).to_string().contains("prefix"));
    let elsewhere =
        S3Config { bucket: "b".into(), region: None, endpoint: Some("http://127.0.0.1:1".into()) };
    assert_eq!(open(TierConfig::new(elsewhere)).kind(), ErrorKind::Permission);

    let one_thread = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cache = Cache::open(&config(&folder.path().join("one"), SECRET)).unwrap();
    let error = cache.with_tiers([here()], one_thread.handle().clone()).unwrap_err();
    assert!(error.to_string().contains("one thread"), "{error}");
}

#[test]
fn asynchronous_programs_hand_over_their_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cache = Cache::open(&config(&folder.path().join("one"), SECRET)).unwrap();
    let tier = TierConfig::new(shared(folder.path()));
    let cache = cache.with_tiers([tier], threads.handle().clone()).unwrap();
    threads.block_on(async {
        let working = cache.clone();
        let found = tokio::task::spawn_blocking(move || {
            make(&working, 1, b"1");
            working.finish().sent.results + u64::from(find(&working, 2).is_none())
        });
        assert_eq!(found.await.unwrap(), 2);
        // With the last clone: no runtime is dropped here, and nothing is blocked on.
        drop(cache);
    });
}

#[test]
fn secrets_are_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let tier = TierConfig::new(shared(folder.path()))
        .credentials([("AWS_SECRET_ACCESS_KEY", "hush-hush")])
        .encrypted_with(b"hush-hush, and more of it");
    let text = format!("{tier:?}");
    assert!(text.contains("AWS_SECRET_ACCESS_KEY") && !text.contains("hush"), "{text}");
}

#[test]
fn actions_are_told_apart_and_never_change() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&Config::new(folder.path())).unwrap();
    let (a, b) = (cache.digest(b"a"), cache.digest(b"b"));
    let of = |arguments: &[&str], inputs: &[(&str, _)]| {
        cache.digest_of(&cache.action(arguments.iter().copied(), inputs.iter().copied())).to_string()
    };
    let told = of(&["cc", "-c"], &[("src/a.c", a), ("src/b.c", b)]);
    assert_eq!(told, of(&["cc", "-c"], &[("src/b.c", b), ("src/a.c", a)]), "order of inputs says nothing");
    let others = [
        of(&["-c", "cc"], &[("src/a.c", a), ("src/b.c", b)]),
        of(&["cc -c"], &[("src/a.c", a), ("src/b.c", b)]),
        of(&["cc", "-c"], &[("src/a.c", b), ("src/b.c", a)]),
        of(&["cc", "-c"], &[("a.c", a), ("src/b.c", b)]),
        of(&["cc", "-c"], &[("src/a.c", a)]),
        of(&["cc", "-c"], &[]),
    ];
    assert!(!others.contains(&told));
    let distinct: std::collections::HashSet<&String> = others.iter().collect();
    assert_eq!(distinct.len(), others.len());
    assert_eq!(told, "b3:cec4c5d0a162af123697d18d4a7d57f7de6931f6178e7938c8cba364718fb865/140");
    assert!(matches!(cache.lookup(&cache.action(["x"; 1], [("/".repeat(100_000), a)])), LookUp::Miss(_)));
}
