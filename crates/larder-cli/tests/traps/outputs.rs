//! Outputs are captured and restored exactly: bytes, names, modes, links, empty folders, nothing more and nothing less.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::world::Project;

/// "glob outputs never stored but later “hit”"
#[test]
fn glob_outputs_are_stored_and_restored() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: ['gen/**/*.txt', 'flat-{a,b}', 'dist/*']}
    run: |
      echo >> $HOME/make
      mkdir -p gen/deep dist
      cp in gen/one.txt; cp in gen/deep/two.txt; cp in flat-a; cp in flat-b; cp in dist/x
",
    );
    let paths = ["gen/one.txt", "gen/deep/two.txt", "flat-a", "flat-b", "dist/x"];
    project.file("in", "1");
    project.good(&[]);
    for path in paths {
        project.remove(path);
    }
    assert_eq!(project.good(&[]).executed(), 0);
    for path in paths {
        assert_eq!(project.read(path), "1", "{path}");
    }
    let clone = project.copy("clone");
    for path in ["gen", "flat-a", "flat-b", "dist"] {
        clone.remove(path);
    }
    assert_eq!(clone.good(&[]).executed(), 0);
    for path in paths {
        assert_eq!(clone.read(path), "1", "{path} in a clone");
    }
    assert_eq!(project.count("make"), 1);
}

/// "symlinks, empty directories, modes lost on restore"
#[test]
fn symlinks_empty_folders_and_modes_are_restored() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/, tool, pointer]}
    run: |
      mkdir -p out/empty/deeper out/full
      echo '#!/bin/sh' > tool; chmod 755 tool
      echo x > out/full/exec; chmod 755 out/full/exec
      echo x > out/full/plain; : > out/full/nothing
      ln -s plain out/full/link; ln -s nowhere out/full/dangling; ln -s ../empty out/full/folder
      ln -s out/full/plain pointer
",
    );
    project.file("in", "");
    project.good(&[]);
    let check = |project: &Project, when: &str| {
        assert!(fs::read_dir(project.path("out/empty/deeper")).unwrap().next().is_none(), "{when}");
        assert_eq!(project.mode("tool"), 0o755, "{when}");
        assert_eq!(project.mode("out/full/exec"), 0o755, "{when}");
        assert_eq!(project.mode("out/full/plain"), 0o644, "{when}");
        assert_eq!(project.read("out/full/nothing"), "", "{when}");
        let target = |path: &str| fs::read_link(project.path(path)).unwrap().display().to_string();
        assert_eq!(target("out/full/link"), "plain", "{when}");
        assert_eq!(target("out/full/dangling"), "nowhere", "{when}");
        assert_eq!(target("out/full/folder"), "../empty", "{when}");
        assert_eq!(target("pointer"), "out/full/plain", "{when}");
    };
    check(&project, "after the run");
    for path in ["out", "tool", "pointer"] {
        project.remove(path);
    }
    assert_eq!(project.good(&[]).executed(), 0);
    check(&project, "after everything was removed");
    project.chmod("tool", 0o644);
    project.remove("out/empty/deeper");
    project.remove("out/full/link");
    project.link("nothing", "out/full/link");
    project.remove("out/full/dangling");
    project.file("out/full/dangling", "a file");
    assert_eq!(project.good(&[]).executed(), 0);
    check(&project, "after each was changed");
    project.remove("out/full/plain");
    fs::create_dir(project.path("out/full/plain")).unwrap();
    project.remove("out/empty");
    project.file("out/empty", "a file where a folder was");
    assert_eq!(project.good(&[]).executed(), 0);
    check(&project, "after kinds were changed");
}

/// "stale files left or captured"
#[test]
fn stale_files_are_neither_left_nor_captured() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/, 'gen/*.txt']}
    run: |
      mkdir -p out gen
      for name in $(cat in); do echo $name > out/$name; echo $name > gen/$name.txt; done
",
    );
    let listing = |project: &Project| {
        let mut names: Vec<String> = ["out", "gen"]
            .iter()
            .flat_map(|folder| fs::read_dir(project.path(folder)).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    };
    project.file("in", "a b");
    project.good(&[]);
    assert_eq!(listing(&project), "a a.txt b b.txt");
    project.file("in", "a");
    assert_eq!(project.good(&[]).executed(), 1);
    assert_eq!(listing(&project), "a a.txt", "what the last run left was captured");
    project.file("in", "a b");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!(listing(&project), "a a.txt b b.txt");
    project.file("in", "a");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!(listing(&project), "a a.txt", "what another result put there is left");
    let clone = project.copy("clone");
    clone.remove("out");
    clone.remove("gen");
    assert_eq!(clone.good(&[]).executed(), 0);
    assert_eq!(listing(&clone), "a a.txt", "captured too much");
}

/// "so that a leftover is never captured", when the project was never built by larder
#[test]
fn a_leftover_from_before_larder_is_not_captured() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out/, 'gen/*']}
    run: mkdir -p out gen; echo > out/new; echo > gen/new
",
    );
    project.file("out/leftover", "old");
    project.file("gen/leftover", "old");
    project.good(&[]);
    let clone = project.copy("clone");
    clone.remove("out");
    clone.remove("gen");
    assert_eq!(clone.good(&[]).executed(), 0);
    assert!(clone.has("out/new") && clone.has("gen/new"));
    assert!(!clone.has("out/leftover") && !clone.has("gen/leftover"), "a leftover was captured");
    assert_eq!(project.read("gen/leftover"), "old", "nobody owns it");
}

/// A recipe that depends on a leftover fails in a clean start, instead of working here only.
#[test]
fn a_recipe_does_not_see_its_own_leftover() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/]}
    run: mkdir -p out; cat in >> out/log
",
    );
    project.file("in", "1");
    project.good(&[]);
    project.file("in", "2");
    project.good(&[]);
    assert_eq!(project.read("out/log"), "2");
}

/// "`incremental: true` keeps it; such results stay on this machine"
#[test]
fn an_incremental_recipe_sees_its_own_leftover() {
    let project = Project::new(
        "  make:
    incremental: true
    cache: {inputs: [in], outputs: [out/]}
    run: mkdir -p out; cat in >> out/log
",
    );
    project.file("in", "1");
    project.good(&[]);
    project.file("in", "2");
    project.good(&[]);
    assert_eq!(project.read("out/log"), "12");
    assert_eq!(project.good(&[]).executed(), 0);
}

/// "A literal output that was not made is a failure (exit 2; …)"
#[test]
fn a_literal_output_that_was_not_made_is_a_failure() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out, never]}
    run: |
      echo >> $HOME/make
      echo > out
",
    );
    for round in 1..=2 {
        let ran = project.run(&[]).ends(2);
        assert!(ran.all().contains("never"), "it is named: {ran:#?}");
        assert_eq!(project.count("make"), round, "a failure is not cached");
    }
}

/// "in `bake.yml` a warning and no caching"
#[test]
fn a_literal_output_that_was_not_made_is_a_warning_in_bake() {
    let project = Project::empty();
    project.file("bake.yml", "name: demo\n");
    project.file(
        "cookbook.yml",
        "name: app
recipes:
  make:
    cache:
      inputs: [in]
      outputs: [out, never]
    run: |
      echo >> $HOME/make
      echo > out
",
    );
    project.file("in", "");
    for round in 1..=2 {
        let ran = project.good(&[]);
        assert!(ran.all().contains("never"), "{ran:#?}");
        assert_eq!(project.count("make"), round, "it is not cached");
    }
}

/// A glob that captures nothing is no failure and is cached; with unowned matches it is not.
#[test]
fn a_glob_that_captures_nothing_while_unowned_files_match_is_not_cached() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: ['gen/*']}
    run: |
      echo >> $HOME/make
",
    );
    project.good(&[]);
    assert_eq!(project.good(&[]).executed(), 0, "it made nothing, and that is what is known");
    let other = project.copy("other");
    other.recipes(
        "  make:
    cache: {inputs: [], outputs: ['gen/*']}
    run: |
      echo >> $HOME/make
      : another
",
    );
    other.file("gen/by-hand", "x");
    other.good(&[]).says("not cached");
    assert_eq!(other.good(&[]).executed(), 1);
    assert_eq!(other.read("gen/by-hand"), "x");
}

/// "file names that are not UTF-8", as outputs
#[test]
fn outputs_with_names_that_are_not_utf8_are_restored() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out/, 'gen/*']}
    run: |
      mkdir -p out gen
      echo é > \"out/$(printf 'caf\\351')\"; echo è > \"gen/$(printf 'caf\\350')\"
      ln -s \"$(printf 'caf\\351')\" out/link
",
    );
    project.good(&[]);
    let (in_dir, in_glob) = (OsStr::from_bytes(b"out/caf\xe9"), OsStr::from_bytes(b"gen/caf\xe8"));
    assert_eq!(project.read(in_dir), "é\n");
    project.remove("out");
    project.remove("gen");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!((project.read(in_dir), project.read(in_glob)), ("é\n".into(), "è\n".into()));
    let target = fs::read_link(project.path("out/link")).unwrap();
    assert_eq!(target.as_os_str().as_bytes(), b"caf\xe9");
}

/// "output not replayed"
#[test]
fn the_log_is_replayed_on_a_hit() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: []}
    run: echo to stdout; echo to stderr >&2; printf 'no end of line'
",
    );
    let first = project.good(&["--output", "stream"]);
    let again = project.good(&["--output", "stream"]);
    assert_eq!(again.executed(), 0);
    for said in ["to stdout", "to stderr", "no end of line"] {
        assert!(first.all().contains(said), "{first:#?}");
        assert!(again.all().contains(said), "{again:#?}");
    }
}

/// A failed recipe shows its output.
#[test]
fn the_output_of_a_failed_recipe_is_shown() {
    let project = Project::new("  make: {run: 'echo the reason >&2; exit 3'}\n");
    project.run(&["make"]).ends(2).says("the reason");
}

/// "Restored files carry the time of the restore"
#[test]
fn restored_files_carry_the_time_of_the_restore() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: echo > out; touch -d 2001-01-01 out
",
    );
    project.good(&[]);
    project.remove("out");
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(5);
    assert_eq!(project.good(&[]).executed(), 0);
    assert!(fs::metadata(project.path("out")).unwrap().modified().unwrap() > before);
}

/// `!` in outputs: what is excluded is neither captured nor removed.
#[test]
fn excluded_outputs_are_not_captured() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: ['out/*', '!out/*.log']}
    run: mkdir -p out; echo > out/a; echo > out/b.log
",
    );
    project.good(&[]);
    project.remove("out");
    assert_eq!(project.good(&[]).executed(), 0);
    assert!(project.has("out/a") && !project.has("out/b.log"));
}
