//! Capture, any change, restore: the tree is as it was.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use larder_core::{Digest, DigestFunction};
use larder_run::outputs::restore::restore;
use larder_run::outputs::{BoxError, Source};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use crate::world::{NothingKnown, World, describe};

#[derive(Clone, Debug)]
enum Entry {
    File(Vec<u8>, u32),
    Link(Vec<u8>),
    Dir(Vec<(Vec<u8>, Entry)>, u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            &b"a"[..],
            b"b",
            b"a-b",
            b"c.o",
            b"\xff\xfe",
            b"\xf4\x8f\xbf\xbf",
            b"new\nline",
            b"*"
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(
            any::<u8>().prop_filter("no separator", |b| !matches!(b, 0 | b'/' | b'.')),
            1..12
        ),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    // Who is not root can neither read 0000 files nor list such folders.
    let root = rustix::process::geteuid().is_root();
    let file_modes =
        if root { vec![0o644, 0o755, 0o600, 0o444, 0o751, 0] } else { vec![0o644, 0o755, 0o600, 0o444] };
    let target = prop::sample::select(vec![&b"a"[..], b"/etc/passwd", b"../../..", b"gone/\xff", b"."]);
    let leaf = prop_oneof![
        4 => (prop::collection::vec(any::<u8>(), 0..200), prop::sample::select(file_modes))
            .prop_map(|(content, mode)| Entry::File(content, mode)),
        1 => target.prop_map(|target| Entry::Link(target.to_vec())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        (prop::collection::vec((name(), inner), 0..6), prop::sample::select(vec![0o755, 0o555, 0o700, 0o775]))
            .prop_map(|(entries, mode)| Entry::Dir(entries, mode))
    })
}

fn make(path: &Path, entry: &Entry) {
    if path.symlink_metadata().is_ok() {
        return;
    }
    match entry {
        Entry::File(content, mode) => {
            fs::write(path, content).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(*mode)).unwrap();
        }
        Entry::Link(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
        Entry::Dir(entries, mode) => {
            fs::create_dir(path).unwrap();
            for (name, entry) in entries {
                make(&path.join(OsStr::from_bytes(name)), entry);
            }
            fs::set_permissions(path, PermissionsExt::from_mode(*mode)).unwrap();
        }
    }
}

/// Replaces, removes and adds, by a stream of choices.
fn mutate(path: &Path, choices: &mut impl Iterator<Item = u8>) {
    let mut children: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    children.sort();
    let mode = path.metadata().unwrap().permissions().mode();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    for child in children {
        let is_dir = child.symlink_metadata().unwrap().is_dir();
        let remove = || {
            if is_dir {
                std::process::Command::new("chmod").args(["-R", "u+rwx"]).arg(&child).output().unwrap();
                fs::remove_dir_all(&child).unwrap();
            } else {
                fs::remove_file(&child).unwrap();
            }
        };
        match choices.next().unwrap() % 8 {
            0 => remove(),
            1 => {
                remove();
                fs::create_dir_all(child.join("stray/dir")).unwrap();
                fs::write(child.join("stray/file"), "stray").unwrap();
            }
            2 => {
                remove();
                symlink("/etc", &child).unwrap();
            }
            3 => {
                remove();
                fs::write(&child, "other").unwrap();
            }
            4 if !child.is_symlink() => {
                fs::set_permissions(&child, PermissionsExt::from_mode(0o711)).unwrap()
            }
            _ if is_dir => mutate(&child, choices),
            _ => {}
        }
    }
    if choices.next().unwrap().is_multiple_of(3) {
        fs::write(path.join("stray.tmp"), "stray").unwrap();
    }
    if choices.next().unwrap().is_multiple_of(2) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_captured_comes_back(
        entries in prop::collection::vec((name(), entry()), 0..6),
        choices in prop::collection::vec(any::<u8>(), 1..60),
        wipe in any::<bool>(),
    ) {
        let mut world = World::new(&["out"]);
        world.write("src/main.c", "not an output");
        make(&world.path("out"), &Entry::Dir(entries, 0o755));
        let recorded = world.record();
        let before = describe(&world.project);

        if wipe {
            std::process::Command::new("chmod").args(["-R", "u+rwx"]).arg(world.path("out")).output().unwrap();
            fs::remove_dir_all(world.path("out")).unwrap();
        } else {
            mutate(&world.path("out"), &mut choices.into_iter().cycle());
        }
        world.restore(&recorded).unwrap();
        prop_assert_eq!(describe(&world.project), before);
        world.assert_tidy();

        // Another restore finds nothing to do, and another capture the same tree.
        prop_assert!(world.restore(&recorded).unwrap().was_exact());
        let again = world.capture(&larder_run::outputs::Snapshot::default()).unwrap();
        prop_assert_eq!(again.tree.to_message(DigestFunction::Blake3), recorded.to_message(DigestFunction::Blake3));
    }
}

#[test]
fn globs_come_back_and_recorded_strays_go() {
    let mut world = World::new(&["gen/**/*.js", "!gen/keep/**", "packages/*/dist"]);
    for path in ["gen/a.js", "gen/b/c.js", "gen/keep/d.js", "gen/b/readme.md", "packages/x/dist/m.js"] {
        world.write(path, path);
    }
    fs::create_dir_all(world.path("packages/y/dist")).unwrap();
    let recorded = world.record();
    assert!(recorded.get(b"gen/keep").is_none());
    assert!(recorded.get(b"gen/b/readme.md").is_none());
    let before = describe(&world.project);

    // A newer result had one file more; it is the recipe's own, and a stray for this one.
    world.write("gen/newer.js", "newer");
    world.record();
    fs::remove_file(world.path("gen/b/c.js")).unwrap();
    fs::remove_dir(world.path("packages/y/dist")).unwrap();
    let restored = world.restore(&recorded).unwrap();
    assert_eq!(describe(&world.project), before);
    assert_eq!((restored.placed, restored.removed, restored.kept), (1, 1, None));

    // What matches but was never recorded stays.
    world.write("gen/mine.js", "mine");
    world.restore(&recorded).unwrap();
    assert_eq!(world.read("gen/mine.js"), "mine");
}

#[test]
fn missing_content_leaves_the_tree_alone() {
    let mut world = World::new(&["out"]);
    for number in 0..100 {
        world.write(&format!("out/{number}"), &format!("content {number}"));
    }
    let recorded = world.record();
    world.write("out/5", "changed");
    fs::remove_file(world.path("out/7")).unwrap();
    let before = describe(&world.project);
    world.store.0.lock().unwrap().remove(&Digest::blake3(b"content 7"));
    let error = world.restore(&recorded).unwrap_err();
    assert!(error.is_miss(), "{error}");
    assert_eq!(error.to_string(), "content of `out/7`: missing");
    assert_eq!(describe(&world.project), before);
    world.assert_tidy();
}

/// Prints what a restore of 2,000 files of 100 KiB costs beyond the store, beside `cp -r`: run with
/// `--release --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn restore_of_many_files() {
    struct Constant(Vec<u8>);
    impl Source for Constant {
        fn write_to(&self, _: &Digest, mut out: &File) -> Result<(), BoxError> {
            Ok(out.write_all(&self.0)?)
        }
    }
    let mut world = World::new(&["out"]);
    let content = Constant(vec![b'x'; 100 << 10]);
    for number in 0..2000 {
        world.write(&format!("out/{}/{number}", number % 20), std::str::from_utf8(&content.0).unwrap());
    }
    let recorded = world.record();
    let micros = |usage: ClockId| {
        let time = clock_gettime(usage);
        time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    };
    for round in 0..5 {
        let copy = world.outside.join(format!("copy{round}"));
        let mut cp = std::process::Command::new("bash");
        cp.args(["-c", "TIMEFORMAT='%U %S'; time cp -r --reflink=never \"$0\" \"$1\""]);
        let cp = cp.arg(world.path("out")).arg(&copy).output().unwrap();
        fs::remove_dir_all(copy).unwrap();
        fs::remove_dir_all(world.path("out")).unwrap();
        let before = micros(ClockId::ProcessCPUTime);
        world.with_scope(|scope| restore(scope, &recorded, &content, &NothingKnown, &world.store)).unwrap();
        let spent = micros(ClockId::ProcessCPUTime) - before;
        let cp = String::from_utf8_lossy(&cp.stderr).trim().to_owned();
        writeln!(std::io::stderr(), "restore: {spent} µs CPU; cp -r: {cp} s").unwrap();
    }
}

/// Another recipe's restore makes the folder that both lead through, after this one has looked.
#[test]
fn a_shared_folder_may_appear_while_content_is_fetched() {
    struct Slow<'a>(&'a World);
    impl Source for Slow<'_> {
        fn write_to(&self, digest: &Digest, out: &File) -> Result<(), BoxError> {
            self.0.write("build/deep/theirs", "of another recipe");
            self.0.store.write_to(digest, out)
        }
    }
    let mut world = World::new(&["build/deep/ours", "build/gen/*.c"]);
    world.write("build/deep/ours", "1");
    world.write("build/gen/a.c", "2");
    let tree = world.record();
    fs::remove_dir_all(world.path("build")).unwrap();
    let restored =
        world.with_scope(|scope| restore(scope, &tree, &Slow(&world), &NothingKnown, &world.store)).unwrap();
    assert_eq!(restored.placed, 2);
    assert_eq!((world.read("build/deep/ours"), world.read("build/gen/a.c")), ("1".into(), "2".into()));
    assert_eq!(world.read("build/deep/theirs"), "of another recipe");
    world.assert_tidy();
}

/// When content cannot be had, not even the folders on the way to it are made.
#[test]
fn a_failed_restore_leaves_no_folders() {
    let mut world = World::new(&["build/deep/ours"]);
    world.write("build/deep/ours", "1");
    let tree = world.record();
    fs::remove_dir_all(world.path("build")).unwrap();
    world.store.0.lock().unwrap().clear();
    assert!(world.restore(&tree).unwrap_err().is_miss());
    assert!(!world.exists("build"));
}

#[test]
fn a_restored_link_or_empty_folder_is_a_change() {
    let mut world = World::new(&["link", "empty"]);
    symlink("anywhere", world.path("link")).unwrap();
    fs::create_dir(world.path("empty")).unwrap();
    let tree = world.record();
    assert!(world.restore(&tree).unwrap().was_exact());
    fs::remove_file(world.path("link")).unwrap();
    assert!(!world.restore(&tree).unwrap().was_exact());
    fs::remove_dir(world.path("empty")).unwrap();
    assert!(!world.restore(&tree).unwrap().was_exact());
}
