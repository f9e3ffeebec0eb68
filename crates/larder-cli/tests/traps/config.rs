//! Commands, templates and exit codes, where task runners have gone wrong.

use crate::world::Project;

/// "unknown recipe exits 0": "3 unknown recipe"
#[test]
fn an_unknown_recipe_exits_3() {
    let project = Project::new("  build: {run: echo >> $HOME/build}\n");
    for selector in ["biuld", "app:biuld", "nowhere:build", "nowhere:"] {
        let ran = project.run(&[selector]).ends(3);
        assert!(ran.err.contains("error:") || ran.err.contains("error"), "{ran:#?}");
    }
    project.run(&["biuld"]).ends(3).says("build");
    project.run(&["build", "biuld"]).ends(3);
    assert_eq!(project.count("build"), 0, "nothing runs when one is unknown");
}

/// Exit codes 0, 1, 2.
#[test]
fn exit_codes_are_as_documented() {
    let project = Project::new("  good: {run: ':'}\n  bad: {run: exit 77}\n");
    project.run(&["good"]).ends(0);
    project.run(&["bad"]).ends(2);
    project.run(&["--no-such-option"]).ends(1);
    project.file("cookbook.yml", "name: app\nrecipes: {make: {rnu: x}}\n");
    let ran = project.run(&[]).ends(1);
    assert!(ran.err.contains("rnu") && ran.err.contains("cookbook.yml:2"), "{ran:#?}");
    let nothing = Project::empty();
    nothing.run(&[]).ends(1);
}

/// Dependencies in a circle are an error that names them.
#[test]
fn a_circle_of_dependencies_is_an_error() {
    let project = Project::new("  a: {dependencies: [b], run: ':'}\n  b: {dependencies: [a], run: ':'}\n");
    let ran = project.run(&["a"]).ends(1);
    assert!(ran.err.contains("app:a") && ran.err.contains("app:b"), "{ran:#?}");
}

/// "`{{shell}}` memoised without its directory"
#[test]
fn shell_is_run_in_each_cookbooks_folder() {
    let project = Project::empty();
    project.file("larder.yml", "name: demo\n");
    for name in ["a", "b"] {
        project.file(
            format!("{name}/cookbook.yml"),
            format!(
                "name: {name}
recipes:
  make:
    cache: {{inputs: [], outputs: [out]}}
    run: |
      echo '{{{{shell \"basename \\\"$PWD\\\"; cat word\"}}}}' > out
"
            ),
        );
        project.file(format!("{name}/word"), format!("word of {name}"));
    }
    project.good(&[]);
    assert_eq!(project.read("a/out"), "a\nword of a\n");
    assert_eq!(project.read("b/out"), "b\nword of b\n");
    project.file("b/word", "another");
    project.good(&[]);
    assert_eq!(project.read("b/out"), "b\nanother\n", "nor from one run to the next");
}

/// "recipe variables leaking to the cookbook"
#[test]
fn variables_of_a_recipe_do_not_leak() {
    let project = Project::empty();
    for (root, undefined) in [("larder.yml", "who"), ("bake.yml", "who")] {
        project.file(root, "name: demo\nvariables: {who: project}\n");
        project.file(
            "cookbook.yml",
            format!(
                "name: app
variables: {{{undefined}: cookbook}}
recipes:
  a:
    variables: {{who: recipe a, only: mine}}
    run: echo '{{{{var.who}}}} {{{{var.only}}}}' > a
  b:
    run: echo '{{{{var.who}}}}' > b
  c:
    variables: {{who: recipe c}}
    run: echo '{{{{var.who}}}}' > c
"
            ),
        );
        project.file("z/cookbook.yml", "name: z\nrecipes: {d: {run: \"echo '{{var.who}}' > d\"}}\n");
        project.good(&["a", "b", "c", "d", "-j1"]);
        let said = ["a", "b", "c", "z/d"].map(|path| project.read(path));
        assert_eq!(said, ["recipe a mine\n", "cookbook\n", "recipe c\n", "project\n"], "{root}");
        project.remove(root);
    }
    // In strict mode another recipe's variable is not even defined.
    project.file("larder.yml", "name: demo\n");
    project.remove("z");
    project.recipes("  a: {variables: {only: mine}, run: ':'}\n  b: {run: \"echo '{{var.only}}'\"}\n");
    project.run(&["b"]).ends(1).says("only");
}

/// "helper arguments bound alphabetically": they are bound in the order of declaration.
#[test]
fn helper_arguments_are_bound_in_declared_order() {
    let project = Project::new(
        "  make:
    run: |
      echo '{{join \"1\" \"2\" \"3\"}}' > out
",
    );
    project.file(
        ".larder/helpers/join.yml",
        "name: join
returns: string
parameters:
  zebra: {type: string, required: true}
  mule: {type: string, required: true}
  ant: {type: string, default: none}
run: echo 'zebra={{params.zebra}} mule={{params.mule}} ant={{params.ant}}'
",
    );
    project.good(&["make"]);
    assert_eq!(project.read("out"), "zebra=1 mule=2 ant=3\n");
}

/// "tab completion running shell commands", and so does `--list` not.
#[test]
fn listing_and_completion_run_no_shell() {
    for root in ["larder.yml", "bake.yml"] {
        let project = Project::empty();
        project.file(root, "name: demo\nvariables: {v: \"{{shell 'echo >> $HOME/variable'}}\"}\n");
        project.recipes(
            "  make:
    variables: {w: \"{{shell 'echo >> $HOME/recipe'}}\"}
    description: \"{{shell 'echo >> $HOME/description'}}\"
    cache: {inputs: [], outputs: [\"{{mine 'x'}}\"]}
    run: \"echo {{var.v}} {{var.w}} {{shell 'echo >> $HOME/run'}}\"
",
        );
        project.file(
            ".larder/helpers/mine.yml",
            "name: mine\nreturns: string\nparameters: {a: {type: string}}\nrun: echo >> $HOME/helper\n",
        );
        let listed = project.run(&["--list"]);
        assert!(listed.code == Some(0) && listed.out.contains("app:make"), "{root}: {listed:#?}");
        // What a shell asks while somebody types.
        let mut complete = project.larder_by(&[], &["--", "larder", "run", "ma"]);
        complete
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", "2")
            .env("_CLAP_COMPLETE_COMP_TYPE", "9");
        crate::world::finish(complete, &project.base());
        for name in ["variable", "recipe", "description", "run", "helper"] {
            assert_eq!(project.count(name), 0, "{root}: {name} was run");
        }
    }
}

/// "`remotes.enabled: false` still uploading"
#[test]
fn remotes_that_are_not_enabled_are_not_used() {
    let project = Project::new("  make: {cache: {inputs: [], outputs: [out]}, run: echo > out}\n");
    project.file(
        "larder.yml",
        "name: demo\nconfig: {cache: {remotes: {enabled: false, dir: {path: remote}}}}\n",
    );
    project.good(&[]);
    project.good(&["--force"]);
    assert!(!project.has("remote"), "it was told not to");
}

/// A cache that is switched off is neither read nor written.
#[test]
fn a_local_cache_that_is_off_is_not_used() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      echo > out
",
    );
    project.file("larder.yml", "name: demo\nconfig: {cache: {local: {enabled: false}}}\n");
    project.good(&[]);
    project.good(&[]);
    assert_eq!(project.count("make"), 2);
    assert_eq!(std::fs::read_dir(project.store()).unwrap().count(), 0, "nothing was written");
    project.file("larder.yml", "name: demo\n");
    project.good(&[]);
    project.good(&["--cache", "disabled"]);
    assert_eq!(project.count("make"), 4);
}

/// `--dry-run` runs and changes nothing.
#[test]
fn a_dry_run_changes_nothing() {
    let project = Project::copying("1");
    project.good(&["-n"]);
    assert_eq!((project.count("make"), project.has("out")), (0, false));
    project.good(&[]);
    project.remove("out");
    project.good(&["-n"]);
    assert!(!project.has("out"), "nothing is restored");
    project.file("in", "2");
    project.good(&["-n"]).says("in changed");
    assert_eq!(project.count("make"), 1);
}

/// "no value can inject structure" in strict mode.
#[test]
fn values_cannot_inject_structure_or_commands() {
    let project =
        Project::new("  make:\n    run: |\n      printf '%s' {{sh var.x}} > out\n    variables: {x: ''}\n");
    let hostile =
        "'; echo >> $HOME/injected; '\n  evil: {run: echo >> $HOME/injected}\n\"$(echo >> $HOME/injected)\"";
    project.good(&["make", "-D", &format!("x={hostile}")]);
    assert_eq!(project.read("out"), hostile);
    assert_eq!(project.count("injected"), 0);
}

/// "persistent (a server or watcher: never cached …)"; a recipe is never cached because it looks like it.
#[test]
fn forced_recipes_run_and_are_recorded() {
    let project = Project::new(
        "  make:
    cache: {inputs: [], outputs: [out]}
    run: |
      echo >> $HOME/make
      wc -l < $HOME/make > out
",
    );
    project.good(&[]);
    assert_eq!(project.good(&["--force"]).executed(), 1);
    let forced = project.read("out");
    project.remove("out");
    assert_eq!(project.good(&[]).executed(), 0);
    assert_eq!(project.read("out"), forced, "the newest result counts");
}

/// "`run` is executed as `sh -e -c`": a command that fails in the middle fails the recipe.
#[test]
fn a_failure_in_the_middle_is_a_failure() {
    let project = Project::new("  make:\n    run: |\n      false\n      echo >> $HOME/after\n");
    project.run(&["make"]).ends(2);
    assert_eq!(project.count("after"), 0);
}

/// "Omitted `inputs` … (in `bake.yml`: none, with a warning)"
#[test]
fn omitted_inputs_are_warned_about_in_bake() {
    let project = Project::empty();
    project.file("bake.yml", "name: demo\n");
    project.recipes("  make:\n    cache: {outputs: [out]}\n    run: echo > out\n");
    let ran = project.good(&["make"]);
    assert!(ran.warnings() >= 1 && ran.err.contains("inputs"), "{ran:#?}");
}
