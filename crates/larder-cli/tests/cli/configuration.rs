//! Lists, plans, and what is wrong with a configuration.

use larder_testing::Project;

use crate::{larder, seen, small};

#[test]
fn recipes_are_listed_by_cookbook() {
    let project = small();
    insta::assert_snapshot!("list", seen(&project, &larder(&project, "run --list")));
    insta::assert_snapshot!("list-json", seen(&project, &larder(&project, "run --list --json --tags base")));
    let elsewhere = larder(&project, "-C lib run --list lib:");
    assert_eq!(elsewhere.good().stdout.lines().count(), 2);
}

#[test]
fn a_plan_is_shown_and_nothing_runs() {
    let project = small();
    insta::assert_snapshot!("plan", seen(&project, &larder(&project, "run -e check")));
    insta::assert_snapshot!("plan-json", seen(&project, &larder(&project, "run --show-plan --json")));
    insta::assert_snapshot!("render", seen(&project, &larder(&project, "run --render app:build")));
    insta::assert_snapshot!("check", seen(&project, &larder(&project, "run --check")));
    assert!(!project.path("lib/part.txt").exists());
}

#[test]
fn an_unknown_recipe_is_exit_3() {
    let project = small();
    insta::assert_snapshot!("unknown-recipe", seen(&project, &larder(&project, "run biuld")));
    insta::assert_snapshot!("unknown-tag", seen(&project, &larder(&project, "run -t bass")));
    insta::assert_snapshot!("bad-selector", seen(&project, &larder(&project, "run a:b:c")));
}

#[test]
fn no_project_is_said_with_what_to_do() {
    let project = Project::new();
    let output = larder(&project, "run");
    assert_eq!(output.code(), 1);
    assert!(
        output.stderr.contains("no `larder.yml`") && output.stderr.contains("hint: "),
        "{}",
        output.stderr
    );
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let cookbook = |recipes: &str| {
        let project = Project::new();
        project
            .file("larder.yml", "name: p\n")
            .file("cookbook.yml", format!("name: app\nrecipes:\n{recipes}"));
        project
    };
    let cases = [
        ("bad-key", cookbook("  build:\n    run: 'true'\n    cahce: {outputs: [x]}\n")),
        ("bad-yaml", cookbook("  build:\n    run: \"true\n")),
        (
            "overlap",
            cookbook(
                "  a:\n    run: 'true'\n    cache: {inputs: [], outputs: [x]}\n  \
                 b:\n    run: 'true'\n    cache: {inputs: [], outputs: [x/y]}\n",
            ),
        ),
        (
            "cycle",
            cookbook(
                "  a:\n    run: 'true'\n    dependencies: [b]\n    cache: {inputs: [], outputs: [a]}\n  \
                 b:\n    run: 'true'\n    dependencies: [a]\n    cache: {inputs: [], outputs: [b]}\n",
            ),
        ),
        (
            "undefined-variable",
            cookbook("  build:\n    run: echo {{var.nowhere}}\n    cache: {inputs: [], outputs: []}\n"),
        ),
        (
            "unknown-dependency",
            cookbook(
                "  build:\n    run: 'true'\n    dependencies: [bild]\n    cache: {inputs: [], outputs: []}\n",
            ),
        ),
    ];
    for (name, project) in cases {
        let output = larder(&project, "run");
        assert_eq!(output.code(), 1, "{name}: {output:?}");
        insta::assert_snapshot!(name, seen(&project, &output));
    }
}

#[test]
fn check_finds_what_a_default_run_would_not() {
    let project = small();
    project.file("odd/cookbook.yml", "name: odd\nrecipes:\n  x:\n    run: echo {{var.nowhere}}\n");
    assert_eq!(larder(&project, "run").code(), 0);
    assert_eq!(larder(&project, "run --check").code(), 1);
}

#[test]
fn check_lets_alternatives_write_the_same_path() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  debug:\n    run: touch out\n    cache: {inputs: [], outputs: [out]}\n  \
         release:\n    run: touch out\n    cache: {inputs: [], outputs: [out]}\n",
    );
    assert_eq!(larder(&project, "run --check").code(), 0);
    assert_eq!(larder(&project, "run").code(), 1);
    assert_eq!(larder(&project, "run debug").code(), 0);
}

#[test]
fn a_check_refuses_unknown_selectors() {
    let project = small();
    for (args, code) in [
        ("run --check app:build", 0),
        ("run --check biuld", 3),
        ("run --check -t bass", 1),
        ("run --check a:b:c", 1),
    ] {
        let output = larder(&project, args);
        let plain = larder(&project, &args.replace("--check", "-n"));
        assert_eq!((output.code(), plain.code()), (code, code), "{args}: {}", output.stderr);
    }
}

#[test]
fn input_patterns_without_effect_are_warned_of_where_the_configuration_is_looked_at() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("src/a.c", "").file("docs/one/a.md", "").file(
        "cookbook.yml",
        "name: app\nrecipes:\n  \
         gen:\n    run: touch made.h\n    cache: {inputs: [], outputs: [made.h]}\n  \
         build:\n    matrix: {n: [a, b]}\n    run: touch out-{{matrix.n}}\n    dependencies: [gen]\n    \
         cache:\n      inputs: ['src/*.c', 'src/*.cc', 'docs/*', 'made*', absent, '!src/*.x']\n      \
         outputs: ['out-{{matrix.n}}']\n",
    );
    for args in ["run --check", "run -e build", "run -e --json build"] {
        let output = larder(&project, args).good();
        assert_eq!(output.stderr.matches("warning: ").count(), 2, "{args}: {}", output.stderr);
        for text in [
            "input pattern `src/*.cc` of `app:build` matches no file",
            "input pattern `docs/*` of `app:build` matches only folders",
            "`docs/*/**`",
        ] {
            assert!(output.stderr.contains(text), "{args}: {}", output.stderr);
        }
    }
    assert_eq!(larder(&project, "run").good().stderr, "");
}

#[test]
fn the_plan_is_drawn() {
    let project = Project::new();
    project.file("larder.yml", "name: \"a \\\"graph\\\"\"\n").file(
        "cookbook.yml",
        "name: k\nrecipes:\n  base: {run: x, cache: {inputs: []}}\n  \
         left: {run: x, dependencies: [base], cache: {inputs: []}}\n  \
         right: {run: x, dependencies: [base, left], cache: {inputs: []}}\n  \
         serve: {run: x, persistent: true, dependencies: [right]}\n  \
         test: {run: x, dependencies: [serve, right]}\n  other: {run: x}\n",
    );
    insta::assert_snapshot!("tree", seen(&project, &larder(&project, "run --tree test other right")));
    insta::assert_snapshot!("graph-dot", seen(&project, &larder(&project, "run --graph dot test")));
    insta::assert_snapshot!("graph-json", seen(&project, &larder(&project, "run --graph json right")));
}
