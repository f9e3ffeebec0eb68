//! Rule 1: what a key consists of.

use crate::world::Project;

/// A recipe `make` that writes `out` from `in`, counted as `make`.
const MAKE: &str = "  make:
    cache: {inputs: [in], outputs: [out]}
    run: |
      echo >> $HOME/make
      cat in > out
";

fn make() -> Project {
    let project = Project::new(MAKE);
    project.file("in", "one");
    project
}

/// Runs `make` with `args` and says whether its command was executed.
fn runs(project: &Project, args: &[&str]) -> bool {
    let before = project.count("make");
    let ran = project.good(args);
    let executed = project.count("make") - before;
    assert_eq!(ran.executed() > 0, executed > 0, "the summary must say what happened: {ran:#?}");
    executed > 0
}

#[test]
fn an_unchanged_recipe_is_a_hit() {
    let project = make();
    assert!(runs(&project, &[]));
    assert!(!runs(&project, &[]));
    assert_eq!(project.read("out"), "one");
}

/// "two cookbooks … with the same recipe text sharing a key"
#[test]
fn two_cookbooks_with_the_same_recipe_text_share_no_key() {
    let project = Project::empty();
    project.file("larder.yml", "name: demo\n");
    for name in ["a", "b"] {
        let text = format!("name: {name}\nrecipes:\n{MAKE}");
        project.file(format!("{name}/cookbook.yml"), text);
        project.file(format!("{name}/in"), "same");
    }
    project.good(&[]);
    assert_eq!(project.count("make"), 2, "each cookbook runs its own");
    assert_eq!((project.read("a/out"), project.read("b/out")), ("same".into(), "same".into()));
}

/// "two cookbooks … sharing a key": not even at the same path with another name.
#[test]
fn a_renamed_recipe_is_a_miss() {
    let project = make();
    assert!(runs(&project, &[]));
    project.recipes(&MAKE.replace("  make:", "  made:"));
    assert!(runs(&project, &[]));
}

/// "two projects, with the same recipe text sharing a key"
#[test]
fn two_projects_with_the_same_recipe_text_share_no_key() {
    let project = make();
    assert!(runs(&project, &[]));
    let other = project.copy("other");
    other.remove("out");
    other.file("larder.yml", "name: something else\n");
    assert!(runs(&other, &[]), "another project's result was taken");
    let clone = project.copy("clone");
    clone.remove("out");
    assert!(!runs(&clone, &[]), "a clone of the same project shares");
    assert_eq!(clone.read("out"), "one");
}

/// "changed `outputs:` not a miss"
#[test]
fn changed_outputs_are_a_miss() {
    let recipe = |outputs: &str| {
        format!(
            "  make:
    cache: {{inputs: [in], outputs: [{outputs}]}}
    run: |
      echo >> $HOME/make
      cp in out; cp in more
"
        )
    };
    let project = Project::new(&recipe("out"));
    project.file("in", "one");
    assert!(runs(&project, &[]));
    project.recipes(&recipe("out, more"));
    assert!(runs(&project, &[]), "`more` was never recorded");
    project.remove("more");
    assert!(!runs(&project, &[]));
    assert_eq!(project.read("more"), "one");
}

/// "the resolved command and shell"
#[test]
fn a_changed_command_or_shell_is_a_miss() {
    let project = make();
    assert!(runs(&project, &[]));
    project.recipes(&MAKE.replace("cat in > out", "cat in in > out"));
    assert!(runs(&project, &[]));
    assert_eq!(project.read("out"), "oneone");
    project.recipes(&MAKE.replace("    run:", "    shell: sh -e -u -c\n    run:"));
    assert!(runs(&project, &[]));
    project.recipes(MAKE);
    assert!(!runs(&project, &[]), "back to the first");
    assert_eq!(project.read("out"), "one");
}

/// "ARGS (of the selected recipes)"
#[test]
fn args_are_in_the_key_of_selected_recipes_only() {
    let project = Project::new(
        "  dep:
    cache: {inputs: [], outputs: [dep]}
    run: |
      echo >> $HOME/dep
      echo \"$#\" > dep
  make:
    dependencies: [dep]
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      printf '<%s>' \"$@\" > out
",
    );
    let args = |args: &[&str]| runs(&project, &[&["make", "--"], args].concat());
    assert!(args(&["a b", "c"]));
    assert_eq!(project.read("out"), "<a b><c>");
    assert!(args(&["a", "b c"]), "the same words, split elsewhere");
    assert_eq!(project.read("out"), "<a><b c>");
    assert!(!args(&["a b", "c"]));
    assert_eq!(project.read("out"), "<a b><c>");
    assert_eq!((project.count("dep"), project.read("dep")), (1, "0\n".into()), "not the dependency's");
}

/// "inputs (path, content, mode, …)"
#[test]
fn path_content_and_mode_of_inputs_count() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['src/**'], outputs: [out]}
    run: |
      echo >> $HOME/make
      ls -l src > out
",
    );
    project.file("src/a", "one");
    assert!(runs(&project, &[]));
    project.file("src/a", "two");
    assert!(runs(&project, &[]), "content");
    project.chmod("src/a", 0o755);
    assert!(runs(&project, &[]), "mode");
    std::fs::rename(project.path("src/a"), project.path("src/b")).unwrap();
    assert!(runs(&project, &[]), "path");
    project.file("src/c", "");
    assert!(runs(&project, &[]), "a new one, empty");
    project.remove("src/c");
    assert!(!runs(&project, &[]), "as it was before");
}

/// "inputs (… symlink target and, inside the project, what it points to)"
#[test]
fn target_of_a_symlink_and_what_it_points_to_count() {
    let project = Project::new(
        "  make:
    cache: {inputs: [link], outputs: [out]}
    run: |
      echo >> $HOME/make
      cat link > out
",
    );
    project.file("a", "one");
    project.file("b", "one");
    project.link("a", "link");
    assert!(runs(&project, &[]));
    project.file("a", "two");
    assert!(runs(&project, &[]), "what it points to");
    assert_eq!(project.read("out"), "two");
    project.file("a", "one");
    project.remove("link");
    project.link("b", "link");
    assert!(runs(&project, &[]), "the target's name");
}

/// The same for a linked folder: its files are read through it.
#[test]
fn content_of_a_symlinked_folder_counts() {
    let project = Project::new(
        "  make:
    cache: {inputs: ['src/**'], outputs: [out]}
    run: |
      echo >> $HOME/make
      cat src/lib/x > out
",
    );
    project.file("shared/x", "one");
    project.file("src/main", "");
    project.link("../shared", "src/lib");
    assert!(runs(&project, &[]));
    project.file("shared/x", "two");
    assert!(runs(&project, &[]));
    assert_eq!(project.read("out"), "two");
}

/// "values of declared environment variables"
#[test]
fn declared_environment_is_in_the_key() {
    let project = Project::new(
        "  make:
    environment: [FLAVOUR]
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      echo \"${FLAVOUR-unset}\" > out
",
    );
    assert!(runs(&project, &[]));
    assert_eq!(project.read("out"), "unset\n");
    assert!(runs(&project.with("FLAVOUR", "sour"), &[]));
    assert_eq!(project.read("out"), "sour\n");
    assert!(runs(&project.with("FLAVOUR", ""), &[]), "empty is not unset");
    assert_eq!(project.read("out"), "\n");
    assert!(!runs(&project.with("FLAVOUR", "sour"), &[]));
    assert_eq!(project.read("out"), "sour\n");
    assert!(!runs(&project.with("FLAVOUR", "sour").with("OTHER", "1"), &[]), "undeclared is not in the key");
}

/// "variables"
#[test]
fn variables_are_in_the_key() {
    let project = Project::new(
        "  make:
    variables: {a: {b: one}}
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      echo '{{var.a.b}}' > out
",
    );
    assert!(runs(&project, &[]));
    assert!(runs(&project, &["-D", "a.b=two"]));
    assert_eq!(project.read("out"), "two\n");
    assert!(!runs(&project, &[]));
    assert_eq!(project.read("out"), "one\n");
}

/// "`tools:` (names resolved through `PATH`, by content)"
#[test]
fn tools_are_in_the_key_by_content() {
    let project = Project::new(
        "  make:
    tools: [painter]
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      painter > out
",
    );
    let bin = project.base().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let tool = |text: &str| {
        std::fs::write(bin.join("painter"), format!("#!/bin/sh\necho {text}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bin.join("painter"), mode).unwrap();
    };
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let project = project.with("PATH", path);
    tool("red");
    assert!(runs(&project, &[]));
    tool("tan");
    assert!(runs(&project, &[]));
    assert_eq!(project.read("out"), "tan\n");
    tool("red");
    assert!(!runs(&project, &[]));
    assert_eq!(project.read("out"), "red\n");
}

/// "early cut-off: a dependency that ran but made the same bytes costs nothing downstream"; "Keys are computed after
/// dependencies finish"; "keys computed before dependencies ran"
#[test]
fn keys_are_computed_after_dependencies_with_early_cut_off() {
    let project = Project::new(
        "  dep:
    cache: {inputs: [in], outputs: [build/dep]}
    run: |
      echo >> $HOME/dep
      mkdir -p build; grep -v '^#' in > build/dep
  make:
    dependencies: [dep]
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      cat build/dep > out
",
    );
    project.file("in", "one\n# a comment\n");
    assert!(runs(&project, &[]));
    project.file("in", "one\n# another comment\n");
    project.good(&["make"]);
    assert_eq!((project.count("dep"), project.count("make")), (2, 1), "the dependency made the same bytes");
    project.file("in", "two\n");
    project.good(&["make"]);
    assert_eq!((project.count("dep"), project.count("make")), (3, 2), "in one run, not in the next");
    assert_eq!(project.read("out"), "two\n");
    project.file("in", "one\n");
    project.good(&["make"]);
    assert_eq!(project.count("make"), 2, "known");
    assert_eq!(project.read("out"), "one\n");
}

/// The same when the dependency is restored instead of run, and is listed among the inputs.
#[test]
fn outputs_of_a_dependency_listed_as_inputs_count_as_they_are_after_it() {
    let project = Project::new(
        "  dep:
    cache: {inputs: [in], outputs: [build/]}
    run: |
      mkdir -p build; cp in build/dep
  make:
    dependencies: [dep]
    cache: {inputs: ['build/**'], outputs: [out]}
    run: |
      echo >> $HOME/make
      cat build/dep > out
",
    );
    for (at, content) in ["one", "two", "one", "two"].iter().enumerate() {
        project.file("in", content);
        if at % 2 == 1 && project.has("build") {
            project.remove("build");
        }
        project.good(&["make"]);
        assert_eq!(project.read("out"), *content);
    }
    assert_eq!(project.count("make"), 2);
}

/// "for an uncached dependency its own key"; "A recipe without `cache` always runs, is counted as run"
#[test]
fn an_uncached_dependency_counts_by_its_own_key() {
    let recipes = "  dep:
    run: |
      echo >> $HOME/dep
      echo one > dep
  make:
    dependencies: [dep]
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      cat dep > out
";
    let project = Project::new(recipes);
    project.good(&["make"]);
    let again = project.good(&["make"]);
    assert_eq!((again.executed(), again.cached()), (1, 1), "{again:#?}");
    assert_eq!((project.count("dep"), project.count("make")), (2, 1));
    project.recipes(&recipes.replace("echo one", "echo two"));
    project.good(&["make"]);
    assert_eq!((project.read("out"), project.count("make")), ("two\n".into(), 2));
}

/// "`cache: {outputs: []}` caches success and log"
#[test]
fn success_and_log_are_cached_without_outputs() {
    let project = Project::new(
        "  make:
    cache: {inputs: [in], outputs: []}
    run: |
      echo >> $HOME/make
      echo tested; test \"$(cat in)\" != bad
",
    );
    project.file("in", "good");
    assert!(runs(&project, &[]));
    assert!(!runs(&project, &[]));
    project.good(&["--output", "stream"]).says("tested");
    project.file("in", "bad");
    project.run(&[]).ends(2);
    project.run(&[]).ends(2);
    assert_eq!(project.count("make"), 3, "a failure is never cached");
}

/// "The umask of recipes is 022"
#[test]
fn the_umask_of_recipes_is_022() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out/]}
    run: mkdir -p out/d; echo > out/d/f; umask > $HOME/umask
  plain: {run: umask > $HOME/plain}
",
    );
    project.run_by(&["sh", "-c", "umask 077; exec \"$0\" \"$@\""], &["make", "plain"]).good();
    assert_eq!(std::fs::read_to_string(project.user().join("umask")).unwrap().trim(), "0022");
    assert_eq!(std::fs::read_to_string(project.user().join("plain")).unwrap().trim(), "0022");
    assert_eq!((project.mode("out/d"), project.mode("out/d/f")), (0o755, 0o644));
    project.remove("out");
    project.run_by(&["sh", "-c", "umask 077; exec \"$0\" \"$@\""], &["make"]).good();
    assert_eq!((project.mode("out/d"), project.mode("out/d/f")), (0o755, 0o644), "restored");
}

/// "A miss says why in one line by default: `miss: src/a.ts changed, NODE_ENV dev→prod (+3)`"
#[test]
fn a_miss_says_why_in_one_line() {
    let project = Project::new(
        "  make:
    environment: [NODE_ENV]
    cache: {inputs: ['src/*'], outputs: [out]}
    run: cat src/* > out
",
    );
    for name in ["a", "b", "c", "d"] {
        project.file(format!("src/{name}.ts"), "1");
    }
    let first = project.with("NODE_ENV", "dev").good(&[]);
    assert!(first.out.contains("miss: "), "{first:#?}");
    project.file("src/a.ts", "2");
    let only = project.with("NODE_ENV", "dev").good(&[]);
    assert!(only.out.lines().any(|line| line.ends_with("miss: src/a.ts changed")), "{only:#?}");
    project.file("src/a.ts", "3");
    project.with("NODE_ENV", "prod").good(&[]).says("miss: src/a.ts changed, NODE_ENV dev→prod\n");
    for name in ["a", "b", "c"] {
        project.file(format!("src/{name}.ts"), "4");
    }
    let many = project.with("NODE_ENV", "dev").good(&[]);
    let line = many.out.lines().find(|line| line.contains("miss: ")).unwrap();
    assert!(line.contains("src/a.ts changed") && line.ends_with("(+2)"), "{line}");
}
