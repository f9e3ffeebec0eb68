//! `kill -9` at any moment: every path has its old or its new content, and the next run tidies up.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_core::Digest;
use larder_run::outputs::staging::recover;
use larder_run::outputs::{Folder, Node};

use crate::world::World;

const FOLDER: &str = "LARDER_TEST_KILLED_IN";

fn content(version: &str, number: u32) -> String {
    format!("{version} {number} ").repeat(500)
}

/// The recorded tree of a version; the files 0 to 29 are in both, one folder is a file in the other.
fn version(world: &World, version: &str) -> Folder {
    let mut tree = Folder::default();
    let mut put = |path: String, content: String| {
        let digest = Digest::blake3(content.as_bytes());
        world.store.0.lock().unwrap().insert(digest, content.into_bytes());
        tree.insert(path.as_bytes(), Node::File { digest, mode: 0o644 });
    };
    for number in 0..30 {
        put(format!("out/{}/{number}", number % 3), content(version, number));
    }
    put(format!("out/only-{version}/x"), content(version, 99));
    put(if version == "a" { "out/kind".into() } else { "out/kind/file".into() }, content(version, 98));
    tree
}

/// The process that is killed.
#[test]
#[ignore = "run by the test below"]
fn restores_for_ever() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let world = World::at(Path::new(&folder), &["out"]);
    let versions = [version(&world, "a"), version(&world, "b")];
    for tree in versions.iter().cycle() {
        world.restore(tree).unwrap();
    }
}

#[test]
fn a_kill_leaves_old_or_new() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::at(folder.path(), &["out"]);
    let versions = [version(&world, "a"), version(&world, "b")];
    world.restore(&versions[0]).unwrap();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::restores_for_ever", "--ignored"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(30 + 17 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        for number in 0..30 {
            let now = world.read(&format!("out/{}/{number}", number % 3));
            assert!(now == content("a", number) || now == content("b", number), "{number} is torn");
        }
        recover(&world.state).unwrap();
        world.assert_tidy();
        let tree = &versions[round as usize % 2];
        world.restore(tree).unwrap();
        assert!(world.restore(tree).unwrap().was_exact());
    }
    // Whatever was kept can still be listed and put back.
    for kept in larder_run::outputs::undo::list(&world.state).unwrap() {
        assert!(!kept.paths.is_empty());
        let which = larder_run::outputs::undo::Which::Id(&kept.id);
        larder_run::outputs::undo::undo(&world.state, &world.root, which).unwrap();
    }
    assert!(fs::read_dir(world.path("out")).unwrap().count() > 0);
}
