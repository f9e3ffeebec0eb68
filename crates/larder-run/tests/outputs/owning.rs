//! What may be removed, what may be replaced, and what stays.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use larder_run::outputs::clean::clean;
use larder_run::outputs::record::{begin, interrupted, take_over};
use larder_run::outputs::{Error, Git, OutputSpec, Owned, capture};
use larder_run::recipe::RecipeId;

use crate::world::{World, describe};

#[test]
fn a_clean_start_moves_away_what_is_owned_and_nothing_else() {
    let mut world = World::new(&["dist", "gen/*.js", "!dist/cache"]);
    for path in ["dist/a", "dist/sub/b", "dist/cache/c", "gen/a.js"] {
        world.write(path, path);
    }
    world.record();
    world.write("gen/mine.js", "mine");
    world.write("dist/input", "input");
    world.inputs.push(b"dist/input".to_vec());
    let kept = world.clean().unwrap();
    let left: Vec<_> =
        describe(&world.project).into_iter().filter(|(_, text)| text.starts_with("file")).collect();
    let left: Vec<_> = left.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(left, ["dist/cache/c", "dist/input", "gen/mine.js"]);
    assert_eq!(kept, None, "the store holds all of it");
    world.assert_tidy();
}

#[test]
fn parents_of_literal_outputs_are_made() {
    let world = World::new(&["build/bin/main"]);
    world.clean().unwrap();
    assert!(world.path("build/bin").is_dir());
}

#[test]
fn tracked_files_are_replaced_but_never_removed() {
    let mut world = World::new(&["dist", "gen/*.js"]);
    world.git(&["init", "-q"]);
    world.write("dist/tracked", "one");
    world.write("dist/made", "made");
    world.write("gen/tracked.js", "one");
    world.git(&["add", "dist/tracked", "gen/tracked.js"]);
    world.git = Git::new(&world.project);
    let recorded = world.record();

    world.clean().unwrap();
    assert!(world.exists("dist/tracked") && world.exists("gen/tracked.js"));
    assert!(!world.exists("dist/made"));

    world.write("dist/tracked", "two");
    world.restore(&recorded).unwrap();
    assert_eq!(world.read("dist/tracked"), "one");

    // A result without the tracked file cannot be had exactly: it is a miss, and nothing is touched.
    world.write("dist/late", "late");
    world.git(&["add", "dist/late"]);
    world.git = Git::new(&world.project);
    world.write("dist/made", "edited");
    let error = world.restore(&recorded).unwrap_err();
    assert!(matches!(&error, Error::Tracked { path } if path == Path::new("dist/late")), "{error}");
    assert!(error.is_miss());
    assert_eq!(world.read("dist/made"), "edited");
}

#[test]
fn without_git_only_what_was_recorded_is_removed() {
    let mut world = World::new(&["dist"]);
    world.write("dist/made", "made");
    world.record();
    world.write("dist/unknown", "unknown");
    fs::create_dir(world.path(".git")).unwrap();
    world.git = Git::with_program(&world.project, Path::new("/nonexistent/git"));
    world.clean().unwrap();
    assert!(!world.exists("dist/made"));
    assert_eq!(world.read("dist/unknown"), "unknown");
}

#[test]
fn a_hit_replaces_unowned_files_only_after_keeping_them() {
    let mut world = World::new(&["gen/*.js"]);
    world.write("gen/a.js", "made");
    let recorded = world.record();
    world.owned = Owned::default();
    world.write("gen/a.js", "mine");
    let restored = world.restore(&recorded).unwrap();
    assert_eq!(world.read("gen/a.js"), "made");
    let id = restored.kept.expect("the user's file is kept");
    let kept = larder_run::outputs::undo::list(&world.state).unwrap();
    assert_eq!((kept[0].id.as_str(), kept[0].paths.as_slice()), (id.as_str(), &[b"gen/a.js".to_vec()][..]));
}

#[test]
fn what_a_killed_run_made_is_its_own() {
    let mut world = World::new(&["gen/*.o"]);
    let recipe = RecipeId { cookbook: "app".into(), recipe: "build".into(), instance: None };
    let state = world.state.path().to_path_buf();
    world.write("gen/mine.o", "mine");
    begin(&state, &recipe, &world.snapshot()).unwrap();
    world.write("gen/half.o", "half");
    // Killed here. The next run finds the note.
    let before = interrupted(&state, &recipe).expect("the run never ended");
    let found = capture::glob_matches(&world.root, &world.spec).unwrap();
    take_over(&mut world.owned, &before, &found);
    world.clean().unwrap();
    assert!(world.exists("gen/mine.o"));
    assert!(!world.exists("gen/half.o"));
    world.owned.save(&state, &recipe).unwrap();
    assert!(interrupted(&state, &recipe).is_none());
}

#[test]
fn a_damaged_record_owns_nothing() {
    let mut world = World::new(&["out", "gen/*"]);
    world.write("out/a", "a");
    world.write("gen/b", "b");
    world.record();
    let state = world.state.path().to_path_buf();
    let recipe = RecipeId { cookbook: "app".into(), recipe: "build".into(), instance: Some("x".into()) };
    world.owned.save(&state, &recipe).unwrap();
    assert_eq!(Owned::load(&state, &recipe), world.owned);
    let other = RecipeId { instance: None, ..recipe.clone() };
    assert_eq!(Owned::load(&state, &other), Owned::default());

    let file = fs::read_dir(state.join("owned")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(Owned::load(&state, &recipe), Owned::default(), "bit of byte {at}");
        fs::write(&file, &whole[..at]).unwrap();
        assert_eq!(Owned::load(&state, &recipe), Owned::default(), "cut at {at}");
    }
}

#[test]
fn a_failed_run_keeps_the_old_outputs_for_undo() {
    let mut world = World::new(&["dist"]);
    world.write("dist/old", "edited by hand");
    let cleaned = world.with_scope(|scope| clean(scope).is_ok());
    assert!(cleaned, "dropped without an end, as by a kill");
    world.write("dist/partial", "partial");
    larder_run::outputs::staging::recover(&world.state).unwrap();
    world.assert_tidy();
    let kept = larder_run::outputs::undo::list(&world.state).unwrap();
    assert_eq!(kept[0].recipe, "app:build");
    world.inputs.clear();
    larder_run::outputs::undo::undo(&world.state, &world.root, larder_run::outputs::undo::Which::LastRun)
        .unwrap();
    assert_eq!(world.read("dist/old"), "edited by hand");
}

#[test]
fn patterns_outside_and_reserved_are_refused() {
    let refused = [
        ("/etc/passwd", "is an absolute path"),
        ("../../x", "lies outside the project"),
        ("**/../x", "has `..` after a wildcard"),
        (".", "is the cookbook's own folder"),
        ("..", "is the cookbook's own folder"),
        ("../app", "is the cookbook's own folder"),
        ("", "is empty"),
        ("../.git/hooks", "lies in a folder that no recipe may write"),
        ("../.larder/state/**", "lies in a folder that no recipe may write"),
        ("a[", "is no glob"),
    ];
    for (pattern, reason) in refused {
        let error = OutputSpec::new(Path::new("app"), &[pattern.to_owned()]).unwrap_err().to_string();
        assert!(error.contains(reason), "`{pattern}`: {error}");
    }
    let patterns =
        ["../shared/x", "dist/", "./a/../b", r"\*", "*.o", "lib/**", "!dist/tmp"].map(str::to_owned);
    let spec = OutputSpec::new(Path::new("app"), &patterns).unwrap();
    let literals: Vec<_> = spec.literals().iter().map(|path| String::from_utf8_lossy(path)).collect();
    assert_eq!(literals, ["app/*", "app/b", "app/dist", "shared/x"]);
    for (path, covered) in [
        ("app/dist/x", true),
        ("app/dist/tmp", false),
        ("app/dist/tmp/y", false),
        ("app/distx", false),
        ("app/a.o", true),
        ("app/sub/a.o", false),
        ("app/lib/a/b", true),
        ("lib/a", false),
        ("app", false),
        ("app/.git/x.o", false),
        ("app/lib/.git/config", false),
    ] {
        assert_eq!(spec.covers(path.as_bytes()), covered, "{path}");
    }
}

#[test]
fn links_among_what_is_owned_are_never_followed() {
    let mut world = World::new(&["dist"]);
    fs::write(world.outside.join("precious"), "precious").unwrap();
    fs::create_dir(world.path("dist")).unwrap();
    symlink(&world.outside, world.path("dist/link")).unwrap();
    let recorded = world.record();
    world.clean().unwrap();
    world.restore(&recorded).unwrap();
    assert_eq!(fs::read_link(world.path("dist/link")).unwrap(), world.outside);
    assert_eq!(fs::read_to_string(world.outside.join("precious")).unwrap(), "precious");
}

#[test]
fn another_file_system_is_a_typed_error() {
    use std::os::unix::fs::MetadataExt;
    let mut world = World::new(&["out"]);
    world.write("out/a", "a");
    let recorded = world.record();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    if elsewhere.path().metadata().unwrap().dev() == world.project.metadata().unwrap().dev() {
        return;
    }
    world.state = larder_run::outputs::Root::open(elsewhere.path()).unwrap();
    for error in [world.restore(&recorded).unwrap_err(), world.clean().unwrap_err()] {
        assert!(matches!(error, Error::OtherFileSystem { .. }), "{error}");
    }
    assert_eq!(world.read("out/a"), "a");
}

#[test]
fn outputs_within_outputs_and_file_modes_of_folders_that_only_lead_there() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::new(&["lib/out", "lib/out/main", "lib/gen/*.js"]);
    world.write("lib/out/main", "main");
    world.write("lib/gen/a.js", "a");
    fs::set_permissions(world.path("lib"), PermissionsExt::from_mode(0o700)).unwrap();
    let recorded = world.record();
    world.clean().unwrap();
    assert!(!world.exists("lib/out/main") && !world.exists("lib/gen/a.js"));
    fs::set_permissions(world.path("lib"), PermissionsExt::from_mode(0o750)).unwrap();
    world.restore(&recorded).unwrap();
    assert_eq!(world.read("lib/out/main"), "main");
    let mode = world.path("lib").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o750, "not an output");
}
