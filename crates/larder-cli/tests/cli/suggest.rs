//! `--suggest-inputs`: what a command touches, written into its cookbook.
#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;

use larder_testing::Project;

use crate::{larder, seen};

const COOKBOOK: &str = "# The library\nname: lib\nrecipes:\n  compile:\n    trace: strict\n    run: cc -Iinclude -o app src/*.c # all of it\n    cache:\n      inputs: [] # none yet\n      outputs: [app]\n";

/// A program in C of which nothing is declared.
fn program() -> Project {
    let project = Project::new();
    project
        .file("larder.yml", "name: p\n")
        .file("lib/cookbook.yml", COOKBOOK)
        .file("lib/src/main.c", "#include \"add.h\"\nint main(void) { return add(1, VERSION) - 3; }\n")
        .file("lib/src/add.c", "#include \"add.h\"\nint add(int a, int b) { return a + b; }\n")
        .file("lib/include/add.h", "#include \"../../version.h\"\nint add(int a, int b);\n")
        .file("lib/unread.txt", "nobody reads it\n")
        .file("version.h", "#define VERSION 2\n");
    project
}

#[track_caller]
fn assert_refused(project: &Project) {
    let output = larder(project, "run --force").good();
    assert!(output.stdout.contains("not cached: undeclared input"), "{}\n{}", output.stdout, output.stderr);
}

#[test]
fn what_is_proposed_is_what_strict_wants() {
    let project = program();
    assert_refused(&project);
    insta::assert_snapshot!("suggested", seen(&project, &larder(&project, "run --suggest-inputs")));
    assert_eq!(project.read("lib/cookbook.yml"), COOKBOOK, "shown, not written");
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(project.path("lib/cookbook.yml"), mode).expect("a mode");
    let _ = larder(&project, "run --suggest-inputs --yes").good();
    let text = project.read("lib/cookbook.yml");
    insta::assert_snapshot!("suggested-cookbook", text);
    let mode = std::fs::metadata(project.path("lib/cookbook.yml")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let first = larder(&project, "run").good();
    assert!(first.stdout.contains("1 run") && !first.stdout.contains("not cached"), "{}", first.stdout);
    let second = larder(&project, "run").good();
    assert!(second.stdout.contains("1 cached"), "{}", second.stdout);
    // Nothing is left to propose, and nothing was proposed in vain.
    let again = larder(&project, "run --suggest-inputs --yes").good();
    assert!(again.stdout.contains("nothing to add"), "{}", again.stdout);
    let (head, rest) = text.split_once("inputs: [").expect("a list in brackets");
    let (list, tail) = rest.split_once(']').expect("its end");
    let items: Vec<&str> = list.split(", ").collect();
    assert!(items.len() >= 4, "{list}");
    for without in 0..items.len() {
        let mut left = items.clone();
        let _ = left.remove(without);
        project.file("lib/cookbook.yml", format!("{head}inputs: [{}]{tail}", left.join(", ")));
        assert_refused(&project);
    }
}

#[test]
fn proposals_as_json() {
    let project = program();
    let output = larder(&project, "run --suggest-inputs --json").good();
    let told: serde_json::Value = serde_json::from_str(&output.stdout).expect("one value");
    let proposal = &told["proposals"][0];
    assert_eq!((proposal["recipe"].as_str(), told["written"].as_bool()), (Some("lib:compile"), Some(false)));
    assert_eq!(proposal["tools"], serde_json::json!(["cc"]));
    let inputs = proposal["inputs"].as_array().expect("a list");
    assert!(inputs.contains(&"../version.h".into()) && inputs.contains(&"src/*".into()), "{inputs:?}");
    assert_eq!(told["files"][0]["path"], "lib/cookbook.yml");
    assert_eq!(project.read("lib/cookbook.yml"), COOKBOOK);
}

#[test]
fn nothing_is_proposed_for_what_fails() {
    let project = program();
    project.file("lib/src/main.c", "#include \"add.h\"\nno C at all\n");
    let output = larder(&project, "run --suggest-inputs --yes");
    assert_eq!(output.code(), 2);
    assert!(output.stdout.contains("lib:compile did not succeed: nothing is proposed"), "{}", output.stdout);
    assert_eq!(project.read("lib/cookbook.yml"), COOKBOOK);
}

#[test]
fn what_cannot_be_edited_or_declared_is_said() {
    let project = Project::new();
    project.file("larder.yml", "name: p\n").file("a.txt", "a\n").file("b.txt", "b\n").file(
        "cookbook.yml",
        "name: app\nvariables: {files: [a.txt]}\nrecipes:\n  \
         part: {run: cp b.txt part.txt, cache: {inputs: [b.txt], outputs: [part.txt]}}\n  \
         join:\n    run: cat a.txt b.txt part.txt > joined.txt; echo > log.txt\n    \
         cache: {inputs: '{{var.files}}', outputs: [joined.txt]}\n",
    );
    project.file("part.txt", "from before\n");
    insta::assert_snapshot!(
        "suggested-by-hand",
        seen(&project, &larder(&project, "run --suggest-inputs join"))
    );
}

/// A recipe without `cache` does what it is run for, unless somebody names it here.
#[test]
fn a_recipe_without_cache_is_left_alone_or_named() {
    let project = Project::new();
    let cookbook = "name: app\nrecipes:\n  copy:\n    # what it does\n    run: cp a.txt b.txt\n";
    project
        .file("larder.yml", "name: p\ndefault: [':copy']\n")
        .file("a.txt", "a\n")
        .file("cookbook.yml", cookbook);
    let output = larder(&project, "run --suggest-inputs --yes").good();
    assert!(output.stdout.contains("has no `cache`, and needs no inputs"), "{}", output.stdout);
    assert_eq!(project.read("cookbook.yml"), cookbook);
    let _ = larder(&project, "run --suggest-inputs --yes copy").good();
    insta::assert_snapshot!("suggested-cache", project.read("cookbook.yml"));
    let _ = larder(&project, "run").good();
    assert!(larder(&project, "run").good().stdout.contains("1 cached"));
}
