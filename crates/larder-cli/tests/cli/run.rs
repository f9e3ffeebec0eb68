//! The run: lines, summary, exit codes, options.

use crate::{larder, seen, small};

#[test]
fn a_project_is_built_once() {
    let project = small();
    insta::assert_snapshot!("run-first", seen(&project, &larder(&project, "run")));
    insta::assert_snapshot!("run-again", seen(&project, &larder(&project, "run")));
    insta::assert_snapshot!("run-again-verbose", {
        let output = larder(&project, "run -v");
        let lines: Vec<&str> = output.stdout.lines().filter(|line| line.contains(':')).collect();
        crate::filtered(&project, &lines.join("\n"))
    });
    project.file("lib/in.txt", "two\n");
    insta::assert_snapshot!("run-dry", seen(&project, &larder(&project, "run -n")));
    insta::assert_snapshot!("run-changed", seen(&project, &larder(&project, "run")));
    assert_eq!(project.read("app/out.txt"), "a\ntwo\n");
    insta::assert_snapshot!("run-forced", seen(&project, &larder(&project, "run --force")));
}

#[test]
fn a_change_that_changes_nothing_ends_early() {
    let project = small();
    project.file(
        "lib/cookbook.yml",
        "name: lib\nrecipes:\n  part:\n    cache: {inputs: [in.txt], outputs: [part.txt]}\n    \
         run: head -c 1 in.txt > part.txt\n",
    );
    let _ = larder(&project, "run").good();
    project.file("lib/in.txt", "other\n");
    insta::assert_snapshot!("run-cut-off", seen(&project, &larder(&project, "run")));
}

#[test]
fn arguments_and_defines_reach_the_selected_recipe() {
    let project = small();
    let output =
        project.larder(crate::LARDER, ["run", "--output", "stream", "check", "--", "a b", "c"]).good();
    assert!(output.stdout.contains("app:check | checked a b c"), "{}", output.stdout);
}

#[test]
fn remote_strategies_say_that_there_are_none() {
    let project = small();
    insta::assert_snapshot!("remote-only", seen(&project, &larder(&project, "run --cache remote-only")));
    insta::assert_snapshot!("cache-disabled", seen(&project, &larder(&project, "run --cache disabled")));
}

#[test]
fn a_short_secret_is_refused_before_anything_runs() {
    let mut project = small();
    project.env("LARDER_CACHE_SECRET", "short");
    insta::assert_snapshot!("short-secret", seen(&project, &larder(&project, "run")));
    assert!(!project.path("lib/part.txt").exists());
}

#[test]
fn a_store_that_cannot_be_used_is_one_warning() {
    use std::os::unix::fs::PermissionsExt;
    let project = small();
    std::fs::create_dir(project.store()).expect("the store's folder");
    std::fs::set_permissions(project.store(), std::fs::Permissions::from_mode(0o777)).expect("its mode");
    insta::assert_snapshot!("untrusted-store", seen(&project, &larder(&project, "run")));
    assert_eq!(project.read("app/out.txt"), "a\none\n");
}

#[test]
fn undo_brings_back_what_a_run_replaced() {
    let project = small();
    insta::assert_snapshot!("nothing-to-undo", seen(&project, &larder(&project, "run --undo")));
    let _ = larder(&project, "run").good();
    project.file("app/out.txt", "mine\n");
    let _ = larder(&project, "run").good();
    assert_eq!(project.read("app/out.txt"), "a\none\n");
    insta::assert_snapshot!("undo", seen(&project, &larder(&project, "run --undo")));
    assert_eq!(project.read("app/out.txt"), "mine\n");
}
