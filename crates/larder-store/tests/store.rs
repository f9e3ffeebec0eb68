//! The handle: results are found only when they are believed and complete.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use larder_core::{Digest, DigestFunction, ErrorKind};
use larder_reapi::{
    Action, ActionResult, Directory, DirectoryNode, FileNode, OutputDirectory, OutputFile, Tree,
};
use larder_store::event::{Kind, MissReason};
use larder_store::message::{encode, to_message};
use larder_store::store::{Ask, Check, LOCAL_TIER, LookUp, Miss, Note, Store};
use larder_store::trust::{Secret, SigningConfig};
use larder_store::{ActionDigest, Options};

fn open_as(home: &Path, namespace: &str, signing: SigningConfig) -> Store {
    Store::local(home, Options::default(), namespace, signing).unwrap()
}

fn open(home: &Path) -> Store {
    open_as(home, "default", SigningConfig::default())
}

fn signing(secret: &str) -> SigningConfig {
    SigningConfig { secret: Some(Secret::new(secret).unwrap()), ..SigningConfig::default() }
}

fn action(salt: &str) -> ActionDigest {
    ActionDigest::of(DigestFunction::Blake3, &Action { salt: salt.as_bytes().to_vec(), ..Action::default() })
}

fn file(name: &str, digest: &Digest) -> FileNode {
    FileNode { name: name.to_owned(), digest: Some(to_message(digest)), ..FileNode::default() }
}

/// A result with one directory of two files, one below another directory.
fn tree_result(tree: &Tree) -> (ActionResult, Digest, Vec<u8>) {
    let (digest, bytes) = encode(DigestFunction::Blake3, tree);
    let directory = OutputDirectory { tree_digest: Some(to_message(&digest)), ..OutputDirectory::default() };
    (ActionResult { output_directories: vec![directory], ..ActionResult::default() }, digest, bytes)
}

fn two_files(one: &Digest, two: &Digest) -> Tree {
    let child = Directory { files: vec![file("two", two)], ..Directory::default() };
    let (child_digest, _) = encode(DigestFunction::Blake3, &child);
    let below = DirectoryNode { name: "below".to_owned(), digest: Some(to_message(&child_digest)) };
    let root = Directory { files: vec![file("one", one)], directories: vec![below], ..Directory::default() };
    Tree { root: Some(root), children: vec![child] }
}

fn miss(look_up: LookUp) -> Miss {
    match look_up {
        LookUp::Miss(miss) => miss,
        LookUp::Hit(hit) => panic!("a hit: {hit:?}"),
    }
}

#[test]
fn a_result_is_found_when_the_last_of_its_blobs_is_there() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let (one, two) = (Digest::blake3(b"one"), Digest::blake3(b"two"));
    let (result, tree, tree_bytes) = tree_result(&two_files(&one, &two));
    assert!(matches!(miss(store.look_up(&action("a"))), Miss::Absent));
    store.record(&action("a"), &result).unwrap();
    let incomplete = |expected: &[Digest]| match miss(store.look_up(&action("a"))) {
        Miss::Incomplete(missing) => assert_eq!(missing, expected),
        other => panic!("{other:?}"),
    };
    incomplete(&[tree]);
    let ask =
        Ask { action: action("a"), label: None, check: Check::ResultOnly, note: Note::All, from: LOCAL_TIER };
    assert_eq!(store.look_up_one(ask).hit().unwrap().result, result);
    store.put_bytes(&tree_bytes).unwrap();
    incomplete(&[one, two]);
    store.put_bytes(b"one").unwrap();
    incomplete(&[two]);
    store.put_bytes(b"two").unwrap();
    let hit = store.look_up(&action("a")).hit().unwrap();
    assert_eq!((hit.result, hit.tier, hit.signed_by), (result, "local", None));
    assert!(store.forget(&action("a")).unwrap());
    assert!(matches!(miss(store.look_up(&action("a"))), Miss::Absent));
}

#[test]
fn directories_without_a_tree_are_walked() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let tree = two_files(&Digest::blake3(b"one"), &Digest::blake3(b"two"));
    let (root, root_bytes) = encode(DigestFunction::Blake3, tree.root.as_ref().unwrap());
    let (child, child_bytes) = encode(DigestFunction::Blake3, &tree.children[0]);
    let directory =
        OutputDirectory { root_directory_digest: Some(to_message(&root)), ..OutputDirectory::default() };
    let result = ActionResult { output_directories: vec![directory], ..ActionResult::default() };
    store.record(&action("a"), &result).unwrap();
    store.put_bytes(&root_bytes).unwrap();
    store.put_bytes(b"one").unwrap();
    assert!(matches!(miss(store.look_up(&action("a"))), Miss::Incomplete(missing) if missing == [child]));
    store.put_bytes(&child_bytes).unwrap();
    assert!(matches!(miss(store.look_up(&action("a"))), Miss::Incomplete(_)));
    store.put_bytes(b"two").unwrap();
    assert!(store.look_up(&action("a")).hit().is_some());
}

#[test]
fn what_does_not_make_sense_is_a_corrupt_miss() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let nameless = ActionResult { output_files: vec![OutputFile::default()], ..ActionResult::default() };
    store.record(&action("no digest"), &nameless).unwrap();
    assert_eq!(miss(store.look_up(&action("no digest"))).reason(), MissReason::Corrupt);

    let garbage = store.put_bytes(b"\xff\xff\xff not a tree").unwrap();
    let (mut result, ..) = tree_result(&Tree::default());
    result.output_directories[0].tree_digest = Some(to_message(&garbage));
    store.record(&action("garbage"), &result).unwrap();
    assert_eq!(miss(store.look_up(&action("garbage"))).reason(), MissReason::Corrupt);

    result.output_directories[0].tree_digest =
        Some(to_message(&Digest { size: 1 << 40, ..Digest::blake3(b"huge") }));
    store.record(&action("huge"), &result).unwrap();
    assert_eq!(miss(store.look_up(&action("huge"))).reason(), MissReason::Corrupt);
}

#[test]
fn another_secret_another_namespace_and_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let result = ActionResult { exit_code: 3, ..ActionResult::default() };
    let (ours, theirs) = ("a secret of thirty-two characters", "another secret of thirty-two chars");
    let store = open_as(home.path(), "default", signing(ours));
    store.record(&action("a"), &result).unwrap();
    let hit = store.look_up(&action("a")).hit().unwrap();
    assert_eq!(hit.signed_by.as_deref(), Some(Secret::new(ours).unwrap().key_id()));
    let other = open_as(home.path(), "default", signing(theirs));
    assert_eq!(miss(other.look_up(&action("a"))).reason(), MissReason::Untrusted);
    // Without any secret, what was made here is believed.
    assert!(open(home.path()).look_up(&action("a")).hit().is_some());
    let elsewhere = open_as(home.path(), "other", signing(ours));
    assert!(matches!(miss(elsewhere.look_up(&action("a"))), Miss::Absent));
}

#[test]
fn many_look_ups_answer_in_order_and_are_told_in_events() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    store.set_run("run-1");
    let blob = store.put_bytes(b"out").unwrap();
    let output = OutputFile { digest: Some(to_message(&blob)), ..OutputFile::default() };
    let whole = ActionResult { output_files: vec![output], ..ActionResult::default() };
    let gone = OutputFile { digest: Some(to_message(&Digest::blake3(b"gone"))), ..OutputFile::default() };
    let broken = ActionResult { output_files: vec![gone], ..ActionResult::default() };
    store.record_as(&action("whole"), &whole, Some("a:whole")).unwrap();
    store.record_as(&action("broken"), &broken, Some("a:broken")).unwrap();
    let ask = |salt, check| Ask {
        action: action(salt),
        label: Some(salt),
        check,
        note: Note::All,
        from: LOCAL_TIER,
    };
    let asks = [
        ask("absent", Check::AllBlobs),
        ask("broken", Check::AllBlobs),
        ask("whole", Check::AllBlobs),
        ask("broken", Check::ResultOnly),
    ];
    let found: Vec<bool> =
        store.look_up_many(&asks).into_iter().map(|look_up| look_up.hit().is_some()).collect();
    assert_eq!(found, [false, false, true, true]);
    store.flush().unwrap();
    let events: Vec<_> = store.events().read(0).unwrap().collect();
    assert!(events.iter().all(|event| event.run.as_deref() == Some("run-1")));
    let of = |what: &str| -> Vec<Kind> {
        events.iter().filter(|event| event.what == what).map(|event| event.kind.clone()).collect()
    };
    assert_eq!(of("absent"), [Kind::LookUp, Kind::Miss { reason: MissReason::Absent }]);
    assert_eq!(of("whole"), [Kind::LookUp, Kind::Hit { tier: "local".to_owned() }]);
    assert_eq!(of("a:whole"), [Kind::Write { tier: "local".to_owned() }]);
}

#[test]
fn an_index_that_cannot_be_used_is_a_warning_or_an_error() {
    let home = tempfile::tempdir().unwrap();
    let result = ActionResult::default();
    let blob = {
        let store = open(home.path());
        store.record(&action("a"), &result).unwrap();
        store.put_bytes(b"blob").unwrap()
    };
    let index = home.path().join("index.db");
    fs::write(&index, b"not a database, not at all").unwrap();
    let store = open(home.path());
    assert_eq!(store.warnings().len(), 1, "{:?}", store.warnings());
    assert!(matches!(miss(store.look_up(&action("a"))), Miss::Absent));
    assert_eq!(store.get(&blob, 100).unwrap(), b"blob");
    store.record(&action("a"), &result).unwrap();
    assert!(store.look_up(&action("a")).hit().is_some());
    drop(store);
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    let refused = Store::local(home.path(), Options::default(), "default", SigningConfig::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}
