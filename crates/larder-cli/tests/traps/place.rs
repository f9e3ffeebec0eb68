//! Rule 2: other clones and worktrees at other paths.

use std::fs;

use crate::world::Project;

/// "The project's root is a placeholder in the key"; "Results whose bytes contain the real root are bound to that place (a
/// miss elsewhere, with the reason)"
#[test]
fn outputs_that_hold_the_root_are_no_hits_elsewhere() {
    let recipes = "  bound:
    cache: {inputs: [], outputs: [bound]}
    run: |
      echo >> $HOME/bound
      { head -c 100000 /dev/zero; pwd; } > bound
  link:
    cache: {inputs: [], outputs: [link]}
    run: |
      echo >> $HOME/link
      ln -s \"$PWD/larder.yml\" link
  free:
    cache: {inputs: [], outputs: [free]}
    run: |
      echo >> $HOME/free
      echo '{{project.root}}' | wc -l > free
";
    let project = Project::new(recipes);
    let clone = project.copy("a clone elsewhere");
    project.good(&[]);
    assert_eq!(project.good(&[]).executed(), 0, "in its place it is a hit");
    let ran = clone.good(&[]);
    assert!(ran.out.contains("the path of another place"), "the reason is given: {ran:#?}");
    assert_eq!((clone.count("bound"), clone.count("link"), clone.count("free")), (2, 2, 1));
    let text = fs::read(clone.path("bound")).unwrap();
    assert!(text.ends_with(format!("{}\n", clone.root.display()).as_bytes()));
    assert_eq!(fs::read_link(clone.path("link")).unwrap(), clone.path("larder.yml"));
    assert_eq!(clone.good(&[]).executed(), 0);
    // And back: the second place has not displaced the first.
    for path in ["bound", "link", "free"] {
        project.remove(path);
    }
    assert_eq!(project.good(&[]).executed(), 0);
    assert!(fs::read(project.path("bound")).unwrap().ends_with(b"/project\n"));
}

/// "unless the recipe says `relocatable: true`"
#[test]
fn relocatable_outputs_are_hits_elsewhere() {
    let project = Project::new(
        "  make:
    relocatable: true
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      pwd > out
",
    );
    let clone = project.copy("clone");
    project.good(&[]);
    assert_eq!(clone.good(&[]).executed(), 0);
    assert_eq!(clone.read("out"), project.read("out"));
}

/// The root across the border of two chunks or two writes is found, too.
#[test]
fn the_root_is_found_wherever_it_stands() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      head -c {{var.before}} /dev/zero > out
      printf %s \"$PWD\" >> out
      head -c 1000 /dev/zero >> out
    variables: {before: '0'}
",
    );
    let clone = project.copy("clone");
    for (round, before) in [0, 65_536 - 7, 131_072 - 9, 262_144 - 3, 1_048_576 - 5].iter().enumerate() {
        let define = format!("before={before}");
        project.good(&["-D", &define]);
        clone.good(&["-D", &define]);
        assert_eq!(project.count("make"), 2 * (round + 1), "the root after {before} bytes was overlooked");
    }
}

/// A log that holds the root binds nothing: it is only ever replayed.
#[test]
fn a_log_that_holds_the_root_does_not_bind() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      pwd; echo > out
",
    );
    let clone = project.copy("clone");
    project.good(&[]);
    assert_eq!(clone.good(&[]).executed(), 0);
}

/// "`incremental: true` … such results stay on this machine", and in their place.
#[test]
fn incremental_results_stay_in_their_place() {
    let project = Project::new(
        "  make:
    incremental: true
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      echo >> out
",
    );
    let clone = project.copy("clone");
    project.good(&[]);
    clone.good(&[]);
    assert_eq!(project.count("make"), 2);
}

/// A worktree that was moved as a whole, with its state, is as good as new.
#[test]
fn a_moved_worktree_is_right() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: [out, where]}
    run: cp in out; pwd > where
",
    );
    project.file("in", "1");
    project.good(&[]);
    let mut moved = project.clone();
    moved.root = project.base().join("moved");
    fs::rename(&project.root, &moved.root).unwrap();
    moved.good(&[]);
    assert_eq!(moved.read("where").trim(), moved.root.display().to_string());
    moved.file("in", "2");
    moved.good(&[]);
    assert_eq!(moved.read("out"), "2");
}
