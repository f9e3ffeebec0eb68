//! Several larders at once: in one project, in two worktrees, one within the other.

use crate::world::Project;

/// "two processes in one project tearing each other's outputs"
#[test]
fn two_processes_in_one_project_run_each_recipe_once() {
    let mut recipes = String::new();
    for at in 0..6 {
        recipes.push_str(&format!(
            "  r{at}:
    cache: {{inputs: [in], outputs: [out{at}/]}}
    run: |
      echo >> $HOME/r{at}
      mkdir -p out{at}
      for i in 1 2 3 4 5 6 7 8; do cp in out{at}/$i; sleep 0.01; done
"
        ));
    }
    let project = Project::new(&recipes);
    for round in 1..=3 {
        let content = round.to_string();
        project.file("in", &content);
        let running: Vec<_> = (0..3).map(|_| project.start(&["-j2"])).collect();
        for ran in running {
            ran.end().good();
        }
        for at in 0..6 {
            assert_eq!(project.count(&format!("r{at}")), round, "one execution for all processes");
            for file in 1..=8 {
                assert_eq!(project.read(format!("out{at}/{file}")), content, "torn");
            }
        }
    }
}

/// Hits at once with other hits: the tree is right when each ends.
#[test]
fn two_processes_may_restore_at_once() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out/]}
    run: mkdir -p out; for i in $(seq 50); do cp in out/$i; done
",
    );
    project.file("in", "1");
    project.good(&[]);
    for _ in 0..4 {
        project.remove("out");
        let running: Vec<_> = (0..3).map(|_| project.start(&[])).collect();
        for ran in running {
            assert_eq!(ran.end().good().executed(), 0);
        }
        for file in 1..=50 {
            assert_eq!(project.read(format!("out/{file}")), "1");
        }
    }
}

/// A recipe that says that it began, and waits to be let go.
fn held_up() -> Project {
    Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      touch $HOME/reached; while ! test -e $HOME/go; do sleep 0.01; done
      echo made > out
",
    )
}

/// "The same action in two worktrees runs once"
#[test]
fn the_same_action_in_two_worktrees_runs_once() {
    let project = held_up();
    let clone = project.copy("clone");
    let first = project.start(&[]);
    project.wait_for("reached");
    let second = clone.start(&[]);
    second.waits();
    assert_eq!(project.count("make"), 1, "the second waits");
    project.let_go("go");
    first.end().good();
    assert_eq!(second.end().good().executed(), 0);
    assert_eq!((project.count("make"), clone.read("out")), (1, "made\n".into()));
}

/// When the first of them fails or dies, the other does not wait for ever.
#[test]
fn a_worktree_does_not_wait_for_one_that_died() {
    let project = held_up();
    let clone = project.copy("clone");
    let first = project.start(&[]);
    project.wait_for("reached");
    let second = clone.start(&[]);
    second.waits();
    first.signal(rustix::process::Signal::KILL);
    first.end();
    project.let_go("go");
    assert_eq!(second.end().good().executed(), 1);
    assert_eq!(clone.read("out"), "made\n");
}

/// "nested `larder run` inherits them": larder in a recipe of larder, in the same project.
#[test]
fn a_nested_run_does_not_deadlock() {
    let larder = env!("CARGO_BIN_EXE_larder");
    let project = Project::new(&format!(
        "  inner:
    cache: {{inputs: [in], outputs: [inner]}}
    run: |
      echo >> $HOME/inner
      cp in inner
  outer:
    cache: {{inputs: [in], outputs: [outer]}}
    run: |
      {larder} run inner
      cp inner outer
"
    ));
    for content in ["1", "2", "1"] {
        project.file("in", content);
        project.good(&["outer"]);
        assert_eq!(project.read("outer"), content);
    }
    project.run_by(&["taskset", "-c", "0"], &["outer", "--force", "-j1"]).good();
}

/// A recipe that runs itself, straight or through another, would never end.
#[test]
fn a_recipe_that_runs_itself_is_refused() {
    let larder = env!("CARGO_BIN_EXE_larder");
    let project = Project::new(&format!(
        "  self:
    run: |
      echo >> $HOME/self
      {larder} run self
  cached:
    cache: {{inputs: [], outputs: [out]}}
    run: |
      echo >> $HOME/cached; echo made > out
      {larder} run other
  other:
    run: |
      echo >> $HOME/other; cat out
      {larder} run cached
  twice:
    run: |
      {larder} run leaf --force; {larder} run leaf --force
  leaf:
    cache: {{inputs: [], outputs: [leaf]}}
    run: echo >> $HOME/leaf; touch leaf
"
    ));
    project.run(&["self"]).ends(2).says("recipe `app:self` runs itself");
    project.run(&["cached"]).ends(2).says("recipe `app:cached` runs itself");
    assert_eq!(["self", "cached", "other"].map(|name| project.count(name)), [1, 1, 1]);
    assert_eq!(project.read("out"), "made\n", "the nested run touches nothing of it");
    project.good(&["twice"]);
    assert_eq!(project.count("leaf"), 2);
}

/// Another process's dependency that is being rebuilt: nobody records a result of half of it.
#[test]
fn a_recipe_run_alone_by_another_process_is_waited_for() {
    let project = Project::new(
        "  dep:
    cache: {inputs: [in], outputs: [dep]}
    run: |
      echo >> $HOME/dep
      echo half > dep; touch $HOME/reached; while ! test -e $HOME/go; do sleep 0.01; done
      cp in dep
  make:
    dependencies: [dep]
    cache: {inputs: [], outputs: [out]}
    run: cp dep out
",
    );
    project.file("in", "whole");
    let first = project.start(&["dep"]);
    project.wait_for("reached");
    let second = project.start(&["make"]);
    second.waits();
    project.let_go("go");
    first.end().good();
    second.end().good();
    assert_eq!((project.read("out"), project.count("dep")), ("whole".into(), 1));
}

/// Recipes that are restored at once may need the same new folder; none of them fails for it.
#[test]
fn restores_at_once_share_a_new_folder() {
    let project = Project::new(
        "  each:
    matrix: {n: [a, b, c, d, e, f, g, h]}
    cache: {inputs: [], outputs: ['build/deep/{{matrix.n}}']}
    run: |
      echo >> $HOME/make
      echo {{matrix.n}} > build/deep/{{matrix.n}}
",
    );
    project.good(&[]);
    for _ in 0..10 {
        project.remove("build");
        assert_eq!(project.good(&["-j8"]).executed(), 0);
        assert_eq!(project.read("build/deep/h"), "h\n");
    }
}
