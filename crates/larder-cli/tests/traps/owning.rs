//! Rules 4 and 5: what a run may move, replace or remove, and what never.

use crate::world::Project;

fn folder_and_glob() -> Project {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/, 'gen/*.txt']}
    run: |
      echo >> $HOME/make
      mkdir -p out gen; cp in out/made; cp in gen/made.txt
",
    );
    project.file("in", "1");
    project
}

/// "A literal directory output is owned whole"; "On a hit the owned part ends exactly as recorded: missing, changed and
/// stray files are repaired"
#[test]
fn strays_in_a_literal_folder_are_removed_on_a_hit() {
    let project = folder_and_glob();
    project.good(&[]);
    project.file("out/stray", "x");
    project.file("out/deep/er/stray", "x");
    project.link("made", "out/link");
    assert_eq!(project.good(&[]).executed(), 0);
    assert!(project.has("out/made"));
    for path in ["out/stray", "out/deep", "out/link"] {
        assert!(!project.has(path), "{path}");
    }
}

/// "a glob … owns only paths that an earlier result recorded in this worktree"
#[test]
fn a_glob_owns_only_what_was_recorded() {
    let project = folder_and_glob();
    project.file("gen/by-hand.txt", "mine");
    project.good(&[]);
    project.file("gen/later.txt", "mine");
    assert_eq!(project.good(&[]).executed(), 0, "an unowned match is no output");
    project.file("in", "2");
    project.good(&[]);
    project.file("in", "1");
    assert_eq!(project.good(&[]).executed(), 0);
    for path in ["gen/by-hand.txt", "gen/later.txt"] {
        assert_eq!(project.read(path), "mine", "{path}");
    }
    assert_eq!(project.read("gen/made.txt"), "1");
}

/// "Files tracked by git may be replaced, never removed, and a clean start leaves them"
#[test]
fn files_tracked_by_git_are_never_removed() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/, 'gen/*.txt']}
    run: |
      ls out > $HOME/seen || :
      mkdir -p out gen; cp in out/made; cp in gen/made.txt
",
    );
    project.file("in", "1");
    project.file("out/tracked", "committed");
    project.file("gen/made.txt", "committed");
    project.git();
    project.good(&[]);
    let seen = std::fs::read_to_string(project.user().join("seen")).unwrap();
    assert!(seen.contains("tracked"), "a clean start leaves it: {seen}");
    assert_eq!(project.read("out/tracked"), "committed");
    assert_eq!(project.read("gen/made.txt"), "1", "it may be replaced");
    project.file("in", "2");
    project.good(&[]);
    project.file("in", "1");
    project.good(&[]);
    assert_eq!(project.read("out/tracked"), "committed");
    let clone = project.copy("clone");
    clone.file("out/another", "committed, too");
    clone.shell("git add -f out/another && git -c user.name=t -c user.email=t@t commit -qm y");
    clone.good(&[]);
    assert_eq!(clone.read("out/another"), "committed, too", "on a hit neither");
}

/// "a hit replaces unowned files only after keeping them for undo"; "(`larder run --undo`)"
#[test]
fn unowned_files_that_a_hit_replaces_come_back_with_undo() {
    let project = folder_and_glob();
    project.good(&[]);
    let clone = project.copy("clone");
    clone.remove("out");
    clone.file("gen/made.txt", "by hand, precious");
    clone.file("out/notes/todo", "by hand, too");
    let ran = clone.good(&[]);
    assert_eq!(ran.executed(), 0);
    assert!(ran.err.contains("--undo"), "it must say how to get them back: {ran:#?}");
    assert_eq!(clone.read("gen/made.txt"), "1");
    assert!(!clone.has("out/notes"), "a literal folder is owned whole");
    clone.good(&["--undo"]);
    assert_eq!(clone.read("gen/made.txt"), "by hand, precious");
    assert_eq!(clone.read("out/notes/todo"), "by hand, too");
}

/// "bytes that a repair replaces and the store does not hold are kept for a day"
#[test]
fn an_edited_output_that_a_repair_replaces_comes_back_with_undo() {
    let project = folder_and_glob();
    project.good(&[]);
    project.file("out/made", "an hour of work");
    project.good(&[]);
    assert_eq!(project.read("out/made"), "1");
    project.good(&["--undo"]);
    assert_eq!(project.read("out/made"), "an hour of work");
}

/// The same for a clean start: what it moves away and the store does not hold is not lost.
#[test]
fn an_edited_output_that_a_clean_start_moves_away_comes_back_with_undo() {
    let project = folder_and_glob();
    project.good(&[]);
    project.file("out/notes", "an hour of work");
    project.file("in", "2");
    assert_eq!(project.good(&[]).executed(), 1);
    assert!(!project.has("out/notes"));
    project.good(&["--undo"]);
    assert_eq!(project.read("out/notes"), "an hour of work");
}

/// A glob output that matches sources: they are inputs, and stay.
#[test]
fn inputs_that_match_an_output_glob_are_never_touched() {
    let project = Project::new(
        "  make:
    cache: {inputs: [src/a.in.txt], outputs: ['src/*.txt']}
    run: cp src/a.in.txt src/b.txt
",
    );
    project.file("src/a.in.txt", "1");
    project.file("src/c.txt", "unowned");
    project.good(&[]);
    project.file("src/a.in.txt", "2");
    project.good(&[]);
    project.file("src/a.in.txt", "1");
    project.good(&[]);
    assert_eq!(project.read("src/a.in.txt"), "1");
    assert_eq!(project.read("src/b.txt"), "1");
    assert_eq!(project.read("src/c.txt"), "unowned");
}

/// "Two recipes of one plan whose outputs overlap … errors that name both"
#[test]
fn overlapping_outputs_are_an_error_that_names_both() {
    for (one, two) in [("out", "out"), ("out/", "out/deep/x"), ("out/x", "'out/**'"), ("'o*'", "out")] {
        let project = Project::new(&format!(
            "  one:
    cache: {{inputs: [], outputs: [{one}]}}
    run: echo >> $HOME/ran
  two:
    cache: {{inputs: [], outputs: [{two}]}}
    run: echo >> $HOME/ran
"
        ));
        let ran = project.run(&[]).ends(1);
        assert!(ran.err.contains("app:one") && ran.err.contains("app:two"), "{one} {two}: {ran:#?}");
        assert_eq!(project.count("ran"), 0, "nothing ran");
    }
}

/// The same where only the run shows it: globs that cannot be compared, and one file that both match.
#[test]
fn outputs_of_globs_that_meet_on_disk_are_an_error_that_names_both() {
    let project = Project::new(
        "  one:
    cache: {inputs: [], outputs: ['gen/a*']}
    run: mkdir -p gen; echo one > gen/ab
  two:
    dependencies: [one]
    cache: {inputs: [], outputs: ['gen/*b']}
    run: mkdir -p gen; echo two > gen/ab
",
    );
    let ran = project.run(&[]).ends(2);
    let told = ran.all();
    assert!(told.contains("app:one") && told.contains("app:two") && told.contains("gen/ab"), "{ran:#?}");
}

/// "the recipe's own inputs are never touched": one that is declared to be an output is refused before anything is moved.
#[test]
fn an_input_that_is_an_output_of_its_own_recipe_is_refused() {
    for (input, output) in [("gen.c", "gen.c"), ("'out/*.in'", "out/"), ("out/a.in", "out"), ("out", "out/")]
    {
        let project = Project::new(&format!(
            "  make:
    cache: {{inputs: [{input}], outputs: [{output}]}}
    run: echo >> $HOME/make
"
        ));
        project.file("gen.c", "mine");
        project.file("out/a.in", "mine");
        let ran = project.run(&[]).ends(1);
        assert!(ran.err.contains(input.trim_matches('\'')), "{ran:#?}");
        assert_eq!((project.read("gen.c"), project.read("out/a.in")), ("mine".into(), "mine".into()));
    }
}

/// A failed run leaves what it made to look at; the next run does not capture it.
#[test]
fn what_a_failed_run_left_is_not_captured() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/, 'gen/*']}
    run: |
      mkdir -p out gen
      if test $(cat in) = bad; then echo > out/broken; echo > gen/broken; exit 1; fi
      echo > out/made; echo > gen/made
",
    );
    project.file("in", "bad");
    project.run(&[]).ends(2);
    project.file("in", "good");
    project.good(&[]);
    assert!(project.has("out/made") && project.has("gen/made"));
    assert!(!project.has("out/broken") && !project.has("gen/broken"));
}

/// A dry run says what a run would move away or replace, and touches nothing.
#[test]
fn a_dry_run_says_what_would_be_moved_away() {
    let project = folder_and_glob();
    project.file("out/mine", "x");
    let dry = project.good(&["-n"]).says("`out` stands where its outputs go, and would be moved away");
    assert_eq!((dry.warnings(), project.read("out/mine")), (1, "x".into()));
    project.good(&[]).says("were moved away");
    assert!(!project.has("out/mine"));
    assert_eq!(project.good(&["-n"]).warnings(), 0, "what the recipe made itself is no news");
    project.file("out/made", "by hand");
    project.good(&["-n"]).says("`out/made` is not in the cache, and would be replaced or removed");
    assert_eq!(project.read("out/made"), "by hand");
    project.good(&[]).says("replaced files that the cache does not hold");
}

/// Also when a dependency would run first.
#[test]
fn a_dry_run_of_a_chain_says_what_would_be_moved_away() {
    let project = Project::new(
        "  dep:
    cache: {inputs: [], outputs: [dep]}
    run: touch dep
  make:
    dependencies: [dep]
    cache: {inputs: [], outputs: [made]}
    run: touch made
",
    );
    project.file("made", "mine");
    let dry = project.good(&["-n", "make"]).says("`made` stands where its outputs go");
    assert_eq!((dry.warnings(), project.read("made")), (1, "mine".into()));
}
