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
    insta::assert_snapshot!(fixture.error(&[]), @r##"
    error: unknown key `cahce`
      ┌ app/cookbook.yml:5:5
    5 │     cahce:
      │     ^^^^^ did you mean `cache`?
    "##);
}

#[test]
fn recipes_of_the_root_file_belong_elsewhere() {
    let fixture = Fixture::new(&[("larder.yml", "name: demo\nrecipes:\n  build: {run: make}\n")]);
    insta::assert_snapshot!(fixture.error(&[]), @r##"
    error: unknown key `recipes`
      ┌ larder.yml:2:1
    2 │ recipes:
      │ ^^^^^^^
    hint: recipes belong into a `cookbook.yml`, beside this file or in a folder below: `name: NAME`, and then `recipes:`
    "##);
}

#[test]
fn undefined_variable_in_a_block_has_its_line() {
    let fixture = Fixture::strict(
        "name: app\nvariables: {target: release}\nrecipes:\n  build:\n    run: |\n      echo start\n      make {{var.traget}}\n",
    );
    insta::assert_snapshot!(fixture.error(&["build"]), @r##"
    error: undefined name `var.traget`
      ┌ cookbook.yml:7:14
    7 │       make {{var.traget}}
      │              ^^^^^^^^^^ did you mean `var.target`?
    "##);
}

#[test]
fn undeclared_environment_says_how_to_declare() {
    let fixture = Fixture::strict("name: app\nrecipes:\n  build:\n    run: 'echo {{env.HOME}}'\n");
    insta::assert_snapshot!(fixture.error(&["build"]), @r##"
    error: undefined name `env.HOME`
      ┌ cookbook.yml:4:18
    4 │     run: 'echo {{env.HOME}}'
      │                  ^^^^^^^^
    hint: declare it: `environment: [HOME]`
    "##);
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
    insta::assert_snapshot!(fixture.error(&["build"]), @r##"
    error: expected a map, got text
      ┌ cookbook.yml:8:12
    8 │     cache: yes
      │            ^^^
    hint: below it stand keys with values: `key: value`
    error: expected text, got a number
      ┌ cookbook.yml:4:10
    4 │     run: 5
      │          ^
    hint: quote it: `"…"`
    error: expected a list of text, got text
      ┌ cookbook.yml:5:11
    5 │     tags: fast
      │           ^^^^
    hint: a list, also of one: `[…]`
    error: expected a duration such as `90s`, `500ms` or `1h30m`, got text
      ┌ cookbook.yml:6:14
    6 │     timeout: soon
      │              ^^^^
    error: expected a whole number from 0, got a number
      ┌ cookbook.yml:7:14
    7 │     retries: -1
      │              ^^
    "##);
}

#[test]
fn unknown_recipe() {
    let fixture = Fixture::strict("name: app\nrecipes: {build: {run: make}, test: {run: make test}}\n");
    insta::assert_snapshot!(fixture.error(&["biuld"]), @r##"
    error: no recipe `biuld`
    hint: did you mean `app:build`?  `larder run --list` shows all 2
    "##);
}

#[test]
fn unknown_dependency() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  build: {run: make}\n  test:\n    run: x\n    dependencies: [biuld]\n",
    );
    insta::assert_snapshot!(fixture.error(&["test"]), @r##"
    error: no recipe `app:biuld` to depend on
      ┌ cookbook.yml:6:20
    6 │     dependencies: [biuld]
      │                    ^^^^^ did you mean `app:build`?
    "##);
}

#[test]
fn outputs_outside_and_absolute() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  build:\n    run: x\n    cache:\n      outputs: [../out, /tmp/out, .]\n",
    );
    insta::assert_snapshot!(fixture.error(&["build"]), @r##"
    error: output `../out` is outside the project
      ┌ cookbook.yml:6:17
    6 │       outputs: [../out, /tmp/out, .]
      │                 ^^^^^^
    hint: a recipe makes files of its own project only
    error: output `/tmp/out` is an absolute path outside the project
      ┌ cookbook.yml:6:25
    6 │       outputs: [../out, /tmp/out, .]
      │                         ^^^^^^^^
    hint: paths are relative to the cookbook; `{{project.root}}/…` is the project's root
    error: output `.` holds the cookbook itself
      ┌ cookbook.yml:6:35
    6 │       outputs: [../out, /tmp/out, .]
      │                                   ^
    hint: name the files or the folder that the recipe makes
    "##);
}

#[test]
fn cycle_is_printed() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  a: {run: x, dependencies: [b]}\n  b: {run: x, dependencies: [c]}\n  c: {run: x, dependencies: [a]}\n",
    );
    insta::assert_snapshot!(fixture.error(&["a"]), @r##"
    error: recipes depend on each other: `app:a` → `app:b` → `app:c` → `app:a`
      ┌ cookbook.yml:3:3
    3 │   a: {run: x, dependencies: [b]}
      │   ^
    hint: each waits for the other: one of these `dependencies` must go
    "##);
}

#[test]
fn overlapping_outputs_name_both() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  a: {run: x, cache: {outputs: [dist]}}\n  b: {run: x, cache: {outputs: [dist/app.js]}}\n",
    );
    insta::assert_snapshot!(fixture.error(&["app:"]), @r##"
    error: outputs of `app:a` and `app:b` overlap: `dist` and `dist/app.js`
      ┌ cookbook.yml:4:3
    4 │   b: {run: x, cache: {outputs: [dist/app.js]}}
      │   ^
    hint: each path belongs to one recipe: narrow the `outputs`, or let one recipe make both
    "##);
}

#[test]
fn an_input_that_another_recipe_writes() {
    let fixture = Fixture::strict(
        "name: app\nrecipes:\n  gen: {run: x, cache: {outputs: [gen/api.h]}}\n  use: {run: x, cache: {inputs: ['gen/*.h'], outputs: []}}\n",
    );
    insta::assert_snapshot!(fixture.error(&["app:"]), @r##"
    error: `app:use` reads `gen/*.h`, which `app:gen` writes
      ┌ cookbook.yml:4:3
    4 │   use: {run: x, cache: {inputs: ['gen/*.h'], outputs: []}}
      │   ^^^ does not depend on `app:gen`
    hint: add `app:gen` to its `dependencies`, or exclude the path with `!`
    "##);
}

#[test]
fn yaml_errors_have_a_place_and_a_hint() {
    let fixture = Fixture::strict("name: app\nrecipes:\n  {{#if x}}\n  build: {run: make}\n");
    insta::assert_snapshot!(fixture.error(&[]), @r##"
    error: not valid YAML: comments must be separated from other tokens by whitespace
      ┌ cookbook.yml:3:5
    3 │   {{#if x}}
      │     ^
    hint: in `larder.yml` projects values are rendered after parsing: quote them (`"{{…}}"`); for repeated or conditional recipes use `matrix` and `when`
    "##);
}

#[test]
fn all_findings_of_a_load_are_shown() {
    let fixture = Fixture::strict("name: app\nrecipes: {a: {rnu: x}, 'b:c': {run: y}}\nrecipies: {}\n");
    insta::assert_snapshot!(fixture.error(&[]), @r##"
    error: unknown key `recipies`
      ┌ cookbook.yml:3:1
    3 │ recipies: {}
      │ ^^^^^^^^ did you mean `recipes`?
    error: unknown key `rnu`
      ┌ cookbook.yml:2:15
    2 │ recipes: {a: {rnu: x}, 'b:c': {run: y}}
      │               ^^^ did you mean `run`?
    error: name `b:c` holds `:`, `[`, `]` or a control character
      ┌ cookbook.yml:2:24
    2 │ recipes: {a: {rnu: x}, 'b:c': {run: y}}
      │                        ^^^^^
    hint: selectors use them: `cookbook:recipe[value]`
    "##);
}

#[test]
fn two_cookbooks_of_one_name() {
    let fixture = Fixture::new(&[
        ("larder.yml", "name: demo\n"),
        ("a/cookbook.yml", "name: app\nrecipes: {}\n"),
        ("b/cookbook.yml", "name: app\nrecipes: {}\n"),
    ]);
    insta::assert_snapshot!(fixture.error(&[]), @r##"
    error: cookbook `app` is defined twice
      ┌ b/cookbook.yml:1:7
    1 │ name: app
      │       ^^^ also in a/cookbook.yml
    hint: names of cookbooks are unique in a project: rename one
    "##);
}

#[test]
fn no_project() {
    let fixture = Fixture::new(&[]);
    assert!(fixture.error(&[]).contains("hint: a project begins"));
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
