//! `larder init --from-bake`: the recipes are the same, and what cannot be told is said with its place.

use larder_testing::Project;
use serde_json::Value;

use crate::{larder, seen};

/// What each recipe is.
fn recipes(project: &Project, args: &str) -> Value {
    let output = larder(project, &format!("run --render --json {args}")).good();
    let mut told: Value = serde_json::from_str(&output.stdout).expect("JSON");
    told["cookbooks"].take()
}

fn bake() -> Project {
    let project = Project::new();
    project
        .file(
            "bake.yml",
            "# What we build\nname: shop\nvariables:\n  mode: debug   # or release\n  ci: false\n  dirs: [src, lib]\noverrides:\n  prod:\n    mode: release\n    ci: true\nconfig:\n  maxParallel: 2\n  update:\n    enabled: true\n",
        )
        .file(
            "app/cookbook.yml",
            "name: app\nvariables:\n  out: \"out/{{var.mode}}\"\nrecipes:\n  # The program\n  build:\n    description: Builds {{project.name}}\n    run: make {{var.mode}} # quickly\n    \
             tags:\n    cache:\n      inputs: {{var.dirs}}\n      outputs: [{{var.out}}, \"x.txt\"]\n  {{! Only on servers }}\n  {{#if var.ci}}\n  publish:\n    run: |\n      {{#if var.ci}}\n      echo {{var.mode}}\n      {{/if}}\n    \
             dependencies:\n      - build\n  tell: {run: echo told}\n  {{else}}\n  local:\n    run: {{var.mode}}\n    cache:\n      outputs: []\n  {{/if}}\n  {{#if (eq var.mode \"release\")}}\n  pack:\n    run: echo \"{{var.mode}} {{shell \"echo 1\"}}\"\n    cache: {outputs: [a]}\n  {{/if}}\n",
        )
        .file(
            ".bake/templates/made.yml",
            "name: made\nparameters:\n  files:\n    type: array\n    default: []\ntemplate:\n  cache:\n    inputs:\n      {{#each params.files}}\n      - {{this}}\n      {{/each}}\n      - always.txt\n  run: cat {{params.files}}\n",
        )
        .file("lib/cookbook.yml", "name: lib\nrecipes:\n  one:\n    template: made\n    parameters: {files: [a, b]}\n");
    project
}

#[test]
fn recipes_are_the_same_afterwards() {
    let project = bake();
    let (plain, prod) = (recipes(&project, ""), recipes(&project, "--env prod"));
    assert_ne!(plain, prod);
    insta::assert_snapshot!("from-bake-dry", seen(&project, &larder(&project, "init --from-bake -n")));
    assert!(!project.path("larder.yml").exists());
    // Files that are there are not changed without being told so.
    insta::assert_snapshot!("from-bake-refused", seen(&project, &larder(&project, "init --from-bake")));
    assert!(!project.path("larder.yml").exists());
    insta::assert_snapshot!(
        "from-bake-forced",
        seen(&project, &larder(&project, "init --from-bake --force"))
    );
    assert!(project.path("bake.yml").exists());
    let checked = larder(&project, "run --check").good();
    assert!(
        checked.stderr.contains("`larder.yml` is used, `bake.yml` beside it is not read"),
        "{}",
        checked.stderr
    );
    assert_eq!(recipes(&project, ""), plain);
    assert_eq!(recipes(&project, "--env prod"), prod);
    std::fs::remove_file(project.path("bake.yml")).expect("removed");
    let _ = larder(&project, "run --check").good();
}

#[test]
fn what_is_left_is_told_with_its_place() {
    let project = Project::new();
    project.file("bake.yml", "name: shop\nconfig:\n  {{#if env.CI}}\n  reservedThreads: 0\n  {{/if}}\n").file(
        "cookbook.yml",
        "name: app\nvariables: {names: [a, b]}\nrecipes:\n  {{#each var.names}}\n  make-{{this}}:\n    run: make {{this}}\n  {{/each}}\n  b:\n    {{#if var.names}}\n    run: x\n    {{/if}}\n    {{var.names}}: y\n",
    );
    insta::assert_snapshot!("from-bake-by-hand", seen(&project, &larder(&project, "init --from-bake")));
    assert!(!project.path("larder.yml").exists());
    let output = larder(&project, "init --from-bake --json");
    let told: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!((told["by_hand"].as_array().map(Vec::len), &told["written"]), (Some(4), &Value::Bool(false)));
}

#[test]
fn what_strict_mode_refuses_is_told() {
    let project = Project::new();
    project
        .file("bake.yml", "name: shop\n")
        .file("cookbook.yml", "name: app\nrecipes:\n  a:\n    run: echo [{{var.nope}}]\n    cahce: {}\n");
    insta::assert_snapshot!("from-bake-strict", seen(&project, &larder(&project, "init --from-bake")));
}

#[test]
fn without_a_bake_file_it_says_so() {
    let project = Project::new();
    let output = larder(&project, "init --from-bake");
    assert_eq!(output.code(), 1);
    assert!(output.stderr.contains("there is no `bake.yml` here"), "{}", output.stderr);
}

#[test]
fn a_larder_file_that_is_there_stays() {
    let project = Project::new();
    project.file("bake.yml", "name: shop\n").file("larder.yml", "name: mine\n");
    let output = larder(&project, "init --from-bake");
    assert_eq!(output.code(), 1);
    assert_eq!(project.read("larder.yml"), "name: mine\n");
    let _ = larder(&project, "init --from-bake --force").good();
    assert!(project.read("larder.yml").starts_with("name: shop\n"));
}
