//! What is captured, and what cannot be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use larder_run::outputs::scan::Needles;
use larder_run::outputs::{Error, Snapshot};

use crate::world::World;

#[test]
fn a_glob_captures_what_the_run_made_or_changed() {
    let world = World::new(&["gen/*.js"]);
    for name in ["old", "changed"] {
        world.write(&format!("gen/{name}.js"), name);
    }
    let before = world.snapshot();
    world.write("gen/changed.js", "changed by the run");
    world.write("gen/made.js", "made");
    let tree = world.capture(&before).unwrap().tree;
    let found: Vec<_> = ["old", "changed", "made"]
        .into_iter()
        .filter(|name| tree.get(format!("gen/{name}.js").as_bytes()).is_some())
        .collect();
    assert_eq!(found, ["changed", "made"]);
}

#[test]
fn a_glob_that_captures_nothing_beside_unowned_files_is_not_cached() {
    let world = World::new(&["gen/*.js", "none/*.css"]);
    world.write("gen/old.js", "old");
    let error = world.capture(&world.snapshot()).unwrap_err();
    assert!(error.is_uncacheable());
    assert!(matches!(&error, Error::CapturedNothing { pattern, .. } if pattern == "gen/*.js"), "{error}");

    // Nothing matches at all: that is what the recipe made.
    fs::remove_file(world.path("gen/old.js")).unwrap();
    assert_eq!(world.capture(&world.snapshot()).unwrap().files, 0);
}

#[test]
fn a_literal_output_must_be_made() {
    let world = World::new(&["a", "b/c", "d"]);
    world.write("a", "a");
    let error = world.capture(&Snapshot::default()).unwrap_err();
    assert_eq!(error.to_string(), "the recipe did not make its output `b/c` (and 1 more)");
    assert!(!error.is_uncacheable());
}

#[test]
fn special_files_and_set_id_bits_are_not_cacheable() {
    let world = World::new(&["out"]);
    fs::create_dir(world.path("out")).unwrap();
    assert!(Command::new("mkfifo").arg(world.path("out/pipe")).status().unwrap().success());
    let error = world.capture(&Snapshot::default()).unwrap_err();
    assert_eq!(error.to_string(), "output `out/pipe` is a named pipe, which cannot be cached");
    fs::remove_file(world.path("out/pipe")).unwrap();
    world.write("out/su", "su");
    fs::set_permissions(world.path("out/su"), PermissionsExt::from_mode(0o4755)).unwrap();
    assert!(world.capture(&Snapshot::default()).unwrap_err().is_uncacheable());
}

#[test]
fn outputs_below_a_link_are_refused() {
    let world = World::new(&["build/out"]);
    fs::create_dir(world.outside.join("out")).unwrap();
    symlink(&world.outside, world.path("build")).unwrap();
    for error in [world.capture(&Snapshot::default()).unwrap_err(), world.clean().unwrap_err()] {
        assert!(matches!(&error, Error::SymlinkedParent { path } if path.ends_with("build")), "{error}");
    }
    assert!(world.outside.join("out").exists());
}

#[test]
fn the_real_root_is_found_wherever_it_lies() {
    let root = "/home/u/project";
    let needles = Needles::new([root.as_bytes()]);
    for (text, expected) in [
        (format!("x{root}/src"), true),
        (format!("\"{}\"", root.replace('/', "\\/")), true),
        ("/home/u/projec".repeat(9), false),
        (root.to_owned(), true),
        (String::new(), false),
    ] {
        for size in 1..=text.len().max(1) {
            let mut scan = needles.scan();
            text.as_bytes().chunks(size).for_each(|piece| scan.feed(piece));
            assert_eq!(scan.found(), expected, "`{text}` in pieces of {size}");
        }
    }
}

#[test]
fn results_with_the_real_root_are_marked() {
    let world = World::new(&["out"]);
    world.write("out/a", "nothing of the kind");
    assert!(!world.capture(&Snapshot::default()).unwrap().contains_root);
    symlink(world.path("out/a"), world.path("out/link")).unwrap();
    assert!(world.capture(&Snapshot::default()).unwrap().contains_root);
    fs::remove_file(world.path("out/link")).unwrap();
    world.write("out/b", &format!("prefix={}", world.project.display()));
    assert!(world.capture(&Snapshot::default()).unwrap().contains_root);
}
