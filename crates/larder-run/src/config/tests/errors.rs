//! How errors read.

use super::Fixture;

#[test]
fn unknown_key_names_the_nearest() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        (
            "app/cookbook.yml",
            "name: app\nrecipes:\n  build:\n    run: make\n    cahce:\n      outputs: [out]\n",
        ),
    ]);
    insta::assert_snapshot!(fixture.error(&[]));
}

#[test]
fn undefined_variable_in_a_block_has_its_line() {
    let fixture = Fixture::strict(
        "name: app\nvariables: {target: release}\nrecipes:\n  build:\n    run: |\n      echo start\n      make {{var.traget}}\n",
    );
    insta::assert_snapshot!(fixture.error(&["build"]));
}

#[test]
fn undeclared_environment_says_how_to_declare() {
    let fixture = Fixture::strict("name: app\nrecipes:\n  build:\n    run: 'echo {{env.HOME}}'\n");
    insta::assert_snapshot!(fixture.error(&["build"]));
}

#[test]
fn undefined_in_a_branch_not_taken_is_found() {
    let fixture =
        Fixture::strict("name: app\nrecipes:\n  build:\n    run: '{{#if false}}{{var.nope}}{{/if}}x'\n");
    assert!(fixture.error(&["build"]).contains("undefined name `var.nope`"));
}

#[test]
fn wrong_types() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  build:\n    run: 5\n    tags: fast\n    timeout: soon\n    retries: -1\n    cache: yes\n",
    );
    insta::assert_snapshot!(fixture.error(&["build"]));
}

#[test]
fn unknown_recipe() {
    let fixture = Fixture::strict("name: app\nrecipes: {build: {run: make}, test: {run: make test}}\n");
    insta::assert_snapshot!(fixture.error(&["biuld"]));
}

#[test]
fn unknown_dependency() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  build: {run: make}\n  test:\n    run: x\n    dependencies: [biuld]\n",
    );
    insta::assert_snapshot!(fixture.error(&["test"]));
}

#[test]
fn outputs_outside_and_absolute() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  build:\n    run: x\n    cache:\n      outputs: [../out, /tmp/out, .]\n",
    );
    insta::assert_snapshot!(fixture.error(&["build"]));
}

#[test]
fn cycle_is_printed() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  a: {run: x, dependencies: [b]}\n  b: {run: x, dependencies: [c]}\n  c: {run: x, dependencies: [a]}\n",
    );
    insta::assert_snapshot!(fixture.error(&["a"]));
}

#[test]
fn overlapping_outputs_name_both() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  a: {run: x, cache: {outputs: [dist]}}\n  b: {run: x, cache: {outputs: [dist/app.js]}}\n",
    );
    insta::assert_snapshot!(fixture.error(&["app:"]));
}

#[test]
fn an_input_that_another_recipe_writes() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  gen: {run: x, cache: {outputs: [gen/api.h]}}\n  use: {run: x, cache: {inputs: ['gen/*.h'], outputs: []}}\n",
    );
    insta::assert_snapshot!(fixture.error(&["app:"]));
}

#[test]
fn what_is_not_built_says_so() {
    let cookbook = "name: app\nrecipes: {a: {run: x, sandbox: true}}\n";
    insta::assert_snapshot!(Fixture::strict(cookbook).error(&["a"]));
    let bake = Fixture::new(&[("bake.yml", "name: demo\n"), ("cookbook.yml", cookbook)]);
    let warnings = bake.resolve(&["app:a"]).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(!warnings[0].is_error());
}

#[test]
fn yaml_errors_have_a_place_and_a_hint() {
    let fixture = Fixture::strict("name: app\nrecipes:\n  {{#if x}}\n  build: {run: make}\n");
    insta::assert_snapshot!(fixture.error(&[]));
}

#[test]
fn all_findings_of_a_load_are_shown() {
    let fixture = Fixture::strict("name: app\nrecipes: {a: {rnu: x}, 'b:c': {run: y}}\nrecipies: {}\n");
    insta::assert_snapshot!(fixture.error(&[]));
}

#[test]
fn two_cookbooks_of_one_name() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        ("a/cookbook.yml", "name: app\nrecipes: {}\n"),
        ("b/cookbook.yml", "name: app\nrecipes: {}\n"),
    ]);
    insta::assert_snapshot!(fixture.error(&[]));
}

#[test]
fn no_project() {
    let fixture = Fixture::new(&[]);
    assert!(fixture.error(&[]).contains("hint: `larder init`"));
}

#[test]
fn unknown_overrides_environment() {
    let mut fixture = Fixture::strict("name: app\noverrides: {prod: {x: 1}}\nrecipes: {a: {run: x}}\n");
    fixture.environment_name = Some("prdo".into());
    assert!(fixture.error(&["a"]).contains("did you mean `prod`?"));
}

#[test]
fn hostile_text_cannot_drive_the_terminal() {
    let fixture = Fixture::strict("name: app\nrecipes:\n  a:\n    run: x\n    \"bad\\u001b[31m\": 1\n");
    assert!(!fixture.error(&["a"]).contains("\u{1b}[31m"));
}
