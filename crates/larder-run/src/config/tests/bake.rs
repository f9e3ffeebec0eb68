//! Bake mode: text first, lenient, nothing leaks.

use super::{Fixture, shows};
use crate::config::{WalkListing, recipe_names};
use crate::recipe::{Inputs, ROOT_PLACEHOLDER};
use crate::select::Selection;

fn bake(cookbook: &str) -> Fixture {
    Fixture::new(&[("bake.yml", "name: demo\nvariables: {shared: p}\n"), ("app/cookbook.yml", cookbook)])
}

#[test]
fn recipes_inside_conditions_and_loops() {
    let mut fixture = bake(
        "name: app\nenvironment:\n  - CI\nvariables:\n  names: [x, y]\nrecipes:\n  {{#if (eq env.CI \"true\")}}\n  ci:\n    run: only ci\n  {{/if}}\n  {{#each var.names}}\n  make-{{this}}:\n    run: make {{this}}\n  {{/each}}\n",
    );
    let names = |fixture: &Fixture| -> Vec<String> {
        fixture.resolve(&[]).unwrap().recipes.iter().map(|recipe| recipe.id.to_string()).collect()
    };
    assert_eq!(names(&fixture), ["app:make-x", "app:make-y"]);
    fixture.env.insert("CI".into(), "true".into());
    assert_eq!(names(&fixture), ["app:ci", "app:make-x", "app:make-y"]);
}

#[test]
fn undefined_and_unknown_are_warnings_with_their_place() {
    let fixture = bake(
        "name: app\nvariables:\n  mode: fast\nrecipes:\n  a:\n    run: echo [{{var.moed}}]\n    cahce: {}\n",
    );
    let project = fixture.load().unwrap();
    insta::assert_snapshot!(shows(&project.warnings), @r##"
    warning: undefined name `var.moed` renders empty
      ┌ app/cookbook.yml:6:18
    6 │     run: echo [{{var.moed}}]
      │                  ^^^^^^^^ did you mean `var.mode`?
    warning: unknown key `cahce`
      ┌ app/cookbook.yml:7:5
    7 │     cahce: {}
      │     ^^^^^ did you mean `cache`?
    "##);
    assert_eq!(fixture.recipe("app:a").run, "echo []");
}

#[test]
fn recipe_variables_work_and_stay_in_their_recipe() {
    let fixture = bake(
        "name: app\nrecipes:\n  a:\n    variables:\n      own: mine\n      both: '{{var.own}}-{{var.shared}}'\n    run: a {{var.both}} {{recipe.name}}\n  b:\n    run: b [{{var.own}}]\n",
    );
    assert_eq!(fixture.recipe("app:a").run, "a mine-p a");
    let b = fixture.recipe("app:b");
    assert_eq!(b.run, "b []");
    assert!(!b.variables.contains_key("own"));
}

#[test]
fn variables_see_each_other_and_overrides() {
    let mut fixture = bake(
        "name: app\nvariables:\n  url: http://{{var.host}}/{{var.shared}}\n  host: local\noverrides:\n  prod:\n    host: live\nrecipes:\n  a:\n    run: get {{var.url}} {{project.name}} {{cookbook.name}}\n",
    );
    assert_eq!(fixture.recipe("app:a").run, "get http://local/p demo app");
    fixture.environment_name = Some("prod".into());
    fixture.defines = vec!["shared=cli".into()];
    assert_eq!(fixture.recipe("app:a").run, "get http://live/cli demo app");
}

#[test]
fn the_root_is_a_placeholder_and_patterns_become_relative() {
    let fixture = bake(
        "name: app\nrecipes:\n  a:\n    cache:\n      inputs:\n        - \"{{ project.root }}/top.txt\"\n        - \"{{ cookbook.root }}/src/*\"\n      outputs: [\"{{ cookbook.root }}/out\"]\n    run: cd {{ project.root }}\n",
    );
    let recipe = fixture.recipe("app:a");
    assert_eq!(recipe.run, format!("cd {ROOT_PLACEHOLDER}"));
    let cache = recipe.cache.unwrap();
    assert_eq!(cache.inputs, Inputs::Patterns(vec!["../top.txt".into(), "src/*".into()]));
    assert_eq!(cache.outputs, ["out"]);
    assert!(recipe.inherit_environment);
}

#[test]
fn templates_are_text() {
    let fixture = bake(
        "name: app\nrecipes:\n  a:\n    template: t\n    parameters:\n      files: [x, y]\n  b:\n    run: x\n",
    );
    fixture.write(
        ".bake/templates/t.yml",
        "name: t\nparameters:\n  files:\n    type: array\n    default: []\n  cmd:\n    type: string\n    default: go\ntemplate:\n  cache:\n    inputs:\n      {{#each params.files}}\n      - {{this}}\n      {{/each}}\n  dependencies: [b]\n  run: |\n    {{params.cmd}} {{params.nope}}\n",
    );
    let resolved = fixture.resolve(&["app:a"]).unwrap();
    let a = &resolved.recipes[0];
    assert_eq!(a.run, "go \n");
    assert_eq!(a.cache.as_ref().unwrap().inputs, Inputs::Patterns(vec!["x".into(), "y".into()]));
    assert_eq!(a.dependencies[0].to_string(), "app:b");
    assert!(shows(&resolved.warnings).contains("undefined name `params.nope` renders empty"));
}

#[test]
fn helpers_that_give_lists_make_inputs() {
    let fixture =
        bake("name: app\nrecipes:\n  a:\n    cache:\n      inputs: {{ list }}\n    run: x {{list}}\n");
    fixture.write(".bake/helpers/list.yml", "name: list\nreturns: array\nrun: printf \"a\\n'b/**'\\n\"\n");
    let cache = fixture.recipe("app:a").cache.unwrap();
    assert_eq!(cache.inputs, Inputs::Patterns(vec!["a".into(), "b/**".into()]));
}

#[test]
fn recipes_made_by_commands_are_found_when_run_and_not_before() {
    let fixture = bake(
        "name: app\nrecipes:\n  {{#each (shell-lines \"touch ran; printf 'x\\ny'\")}}\n  gen-{{this}}:\n    run: make {{this}}\n  {{/each}}\n  fixed:\n    run: x\n",
    );
    let project = fixture.load().unwrap();
    assert_eq!(project.list(&WalkListing).unwrap().len(), 1);
    assert_eq!(recipe_names(fixture.root(), &WalkListing), ["app:fixed"]);
    assert!(!fixture.root().join("app/ran").exists());
    let resolved = project.resolve(&Selection::of(&["app:gen-y"]), &WalkListing).unwrap();
    assert_eq!(resolved.recipes[0].run, "make y");
}

#[test]
fn defaults_are_those_of_bake() {
    let plain = Fixture::new(&[("bake.yml", "name: demo\n")]).load().unwrap();
    assert!(plain.config.fast_fail);
    let mut fixture = Fixture::new(&[(
        "bake.yml",
        "name: demo\nconfig:\n  verbose: true\n  update: {enabled: false}\n  minVersion: 99.0.0\n",
    )]);
    fixture.env.insert("BAKE_CACHE_DIR".into(), "/c".into());
    fixture.env.insert("BAKE_CACHE_SECRET".into(), "hush".into());
    let project = fixture.load().unwrap();
    assert!(!project.config.fast_fail && project.config.verbose);
    assert_eq!(project.config.reserved_threads, 1);
    assert_eq!(project.config.cache.local.path.as_deref(), Some(std::path::Path::new("/c")));
    assert_eq!(project.config.cache.secret.as_ref().unwrap().reveal(), "hush");
    assert!(project.warnings.is_empty());
}

#[test]
fn cache_without_inputs_warns() {
    let fixture = bake("name: app\nrecipes: {a: {run: x, cache: {outputs: [o]}}}\n");
    let resolved = fixture.resolve(&["app:a"]).unwrap();
    assert_eq!(resolved.recipes[0].cache.as_ref().unwrap().inputs, Inputs::Patterns(vec![]));
    assert!(shows(&resolved.warnings).contains("`cache` without `inputs`"));
}

#[test]
fn project_variables_from_commands_reach_cookbooks() {
    let fixture = Fixture::new(&[
        ("bake.yml", "name: demo\nvariables:\n  version: {{shell \"echo 1.2.3\"}}\n"),
        ("cookbook.yml", "name: app\nrecipes:\n  a:\n    run: v{{var.version}}\n"),
    ]);
    assert_eq!(fixture.recipe("app:a").run, "v1.2.3");
}

#[test]
fn a_warning_is_given_once() {
    let fixture = bake("name: app\nrecipes:\n  a:\n    run: \"{{shell 'echo x'}}\"\n    cahce: {}\n");
    let project = fixture.load().unwrap();
    assert_eq!(project.warnings.len(), 1);
    assert!(project.resolve(&Selection::of(&["app:a"]), &WalkListing).unwrap().warnings.is_empty());
}

#[test]
fn a_template_error_has_its_line() {
    let fixture = bake("name: app\nrecipes:\n  a:\n    run: {{nope 1}}\n");
    assert!(fixture.error(&["app:a"]).contains("app/cookbook.yml:4:5"), "{}", fixture.error(&["app:a"]));
}
