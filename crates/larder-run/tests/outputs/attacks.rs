//! Forged results, and links that are swapped in while a restore works.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use larder_core::{Digest, DigestFunction};
use larder_reapi as reapi;
use larder_run::outputs::tree::Folder;
use larder_run::outputs::{Error, Node, Root};
use larder_store::message;

use crate::world::{World, describe};

const B3: DigestFunction = DigestFunction::Blake3;

fn file(name: &str) -> reapi::FileNode {
    let digest = Some(message::to_message(&Digest::blake3(b"x")));
    reapi::FileNode { name: name.into(), digest, is_executable: false, node_properties: None }
}

fn directory(files: Vec<reapi::FileNode>) -> reapi::Directory {
    reapi::Directory { files, directories: Vec::new(), symlinks: Vec::new(), node_properties: None }
}

fn child(name: &str, of: &reapi::Directory) -> reapi::DirectoryNode {
    reapi::DirectoryNode { name: name.into(), digest: Some(message::to_message(&message::encode(B3, of).0)) }
}

fn mode(value: u32) -> Option<reapi::NodeProperties> {
    let unix_mode = Some(reapi::UInt32Value { value });
    Some(reapi::NodeProperties { properties: Vec::new(), mtime: None, unix_mode })
}

#[test]
fn malformed_trees_are_refused() {
    let tree = |root: reapi::Directory, children| reapi::Tree { root: Some(root), children };
    let link =
        |target: &str| reapi::SymlinkNode { name: "l".into(), target: target.into(), node_properties: None };
    let mut cases: Vec<(String, reapi::Tree)> = Vec::new();
    let long = "n".repeat(256);
    for name in ["", ".", "..", "a/b", "/a", "a\0b", "\u{10FF2F}", "\u{10FF00}", "\u{10FF61}", &long] {
        cases.push((format!("name {name:?}"), tree(directory(vec![file(name)]), Vec::new())));
        let mut root = directory(Vec::new());
        root.directories.push(child(name, &directory(vec![file("x")])));
        cases.push((format!("folder {name:?}"), tree(root, vec![directory(vec![file("x")])])));
    }
    cases.push(("twice".into(), tree(directory(vec![file("a"), file("a")]), Vec::new())));
    let mut both = directory(vec![file("l")]);
    both.symlinks.push(link("x"));
    cases.push(("across kinds".into(), tree(both, Vec::new())));
    for target in ["", "a\0b"] {
        let mut root = directory(Vec::new());
        root.symlinks.push(link(target));
        cases.push((format!("target {target:?}"), tree(root, Vec::new())));
    }
    let mut missing = directory(Vec::new());
    missing.directories.push(child("gone", &directory(vec![file("x")])));
    cases.push(("missing child".into(), tree(missing, Vec::new())));
    let mut no_digest = file("a");
    no_digest.digest = None;
    cases.push(("no digest".into(), tree(directory(vec![no_digest]), Vec::new())));
    let mut negative = file("a");
    negative.digest.as_mut().unwrap().size_bytes = -1;
    cases.push(("negative size".into(), tree(directory(vec![negative]), Vec::new())));
    let mut setuid = file("a");
    setuid.node_properties = mode(0o4755);
    cases.push(("set-ID".into(), tree(directory(vec![setuid]), Vec::new())));
    cases.push(("no root".into(), reapi::Tree { root: None, children: Vec::new() }));

    // 300 folders, one in another; and 40 that each hold the next one four times (4^40 entries).
    for (what, depth, copies) in [("deep", 300, 1), ("bomb", 40, 4)] {
        let mut children: Vec<reapi::Directory> = vec![directory(vec![file("x")])];
        for _ in 0..depth {
            let mut outer = directory(Vec::new());
            for copy in 0..copies {
                outer.directories.push(child(&format!("d{copy}"), children.last().unwrap()));
            }
            children.push(outer);
        }
        let root = children.pop().unwrap();
        cases.push((what.into(), tree(root, children)));
    }
    for (what, tree) in cases {
        let result = Folder::from_message(B3, &tree);
        assert!(matches!(result, Err(Error::Forged { .. })), "{what}");
    }
}

#[test]
fn a_tree_with_paths_of_others_is_refused() {
    let mut world = World::new(&["out", "gen/*.js", "!out/keep"]);
    world.write("out/a", "a");
    world.write("gen/input.js", "input");
    world.inputs.push(b"gen/input.js".to_vec());
    let honest = world.record();
    let content = Node::File { digest: Digest::blake3(b"a"), mode: 0o644 };
    let before = describe(&world.project);
    for path in
        ["src/main.rs", ".git/hooks/pre-commit", "out/keep", "gen/x.ts", "gen/input.js", ".larder/state/x"]
    {
        let mut forged = honest.clone();
        forged.insert(path.as_bytes(), content.clone());
        let error = world.restore(&forged).unwrap_err();
        assert!(matches!(error, Error::Forged { .. }), "{path}: {error}");
    }
    let mut shell = honest.clone();
    shell.insert(b"elsewhere", Node::Dir(Folder::default()));
    assert!(world.restore(&shell).unwrap_err().is_miss());
    assert!(world.restore(&Folder::default()).unwrap_err().is_miss(), "the literal output is missing");
    assert_eq!(describe(&world.project), before);
}

#[test]
fn a_parent_that_became_a_link_is_refused() {
    for openat2 in [true, false] {
        let mut world = World::new(&["a/b/out"]);
        if !openat2 {
            world.root = Root::open_without_openat2(&world.project).unwrap();
        }
        world.write("a/b/out/file", "made");
        let recorded = world.record();
        fs::remove_dir_all(world.path("a/b")).unwrap();
        symlink(&world.outside, world.path("a/b")).unwrap();
        let error = world.restore(&recorded).unwrap_err();
        assert!(matches!(&error, Error::SymlinkedParent { path } if path.ends_with("a/b")), "{error}");
        assert_eq!(describe(&world.outside).len(), 0);
    }
}

#[test]
fn nothing_is_written_outside_while_links_are_swapped_in() {
    let mut world = World::new(&["a/b/out"]);
    for number in 0..40 {
        world.write(&format!("a/b/out/sub/{number}"), "made");
    }
    let recorded = world.record();
    fs::create_dir_all(world.outside.join("out/sub")).unwrap();
    fs::write(world.outside.join("out/sub/0"), "precious").unwrap();
    let outside = describe(&world.outside);
    let stop = AtomicBool::new(false);
    let (folder, aside) = (world.path("a/b"), world.path("a/aside"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if fs::rename(&folder, &aside).is_err() {
                    let _ = fs::remove_dir_all(&aside);
                    continue;
                }
                // A clean start or a restore may have made the folder anew; a link, nobody may replace.
                if symlink(&world.outside, &folder).is_ok() {
                    fs::remove_file(&folder).unwrap();
                }
                if fs::rename(&aside, &folder).is_err() {
                    let _ = fs::remove_dir_all(&folder);
                    let _ = fs::rename(&aside, &folder);
                }
                if !folder.exists() {
                    let _ = fs::create_dir_all(&folder);
                }
            }
        });
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(30));
        let begun = Instant::now();
        let (mut good, mut refused) = (0, 0);
        // Until both have happened: else nothing was shown.
        while begun.elapsed() < least || ((good == 0 || refused == 0) && begun.elapsed() < most) {
            // Never by path: the test itself must not follow the link.
            if let Ok(dir) = world.root.dir(b"a/b/out/sub") {
                let _ = dir.unlink(b"1");
                let _ = dir.unlink(b"0");
                let _ = dir.create_file(b"0", 0o644);
                let _ = dir.create_file(b"stray", 0o644);
            }
            match world.restore(&recorded) {
                Ok(_) => good += 1,
                Err(_) => refused += 1,
            }
            let _ = world.clean();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(good > 0 && refused > 0, "{good} restored, {refused} refused");
    });
    assert_eq!(describe(&world.outside), outside);
}
