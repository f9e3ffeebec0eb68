//! `larder clean`.

use crate::{larder, seen, small};

#[test]
fn what_a_recipe_made_goes_and_comes_back_from_the_cache() {
    let project = small();
    let _ = larder(&project, "run").good();
    insta::assert_snapshot!("clean-dry", seen(&project, &larder(&project, "clean app:build --dry-run")));
    assert!(project.path("app/out.txt").exists());
    insta::assert_snapshot!("clean", seen(&project, &larder(&project, "clean app:build")));
    assert!(!project.path("app/out.txt").exists() && project.path("lib/part.txt").exists());
    let _ = larder(&project, "clean --all").good();
    assert!(!project.path("lib/part.txt").exists() && project.path("lib/in.txt").exists());
    let output = larder(&project, "run").good();
    assert!(output.stdout.contains("2 recipes: 2 cached (2 local), 0 run"), "{}", output.stdout);
    assert_eq!(project.read("app/out.txt"), "a\none\n");
}

#[test]
fn what_the_cache_does_not_hold_can_be_undone() {
    let project = small();
    let _ = larder(&project, "run").good();
    project.file("app/out.txt", "mine\n");
    let output = larder(&project, "clean app:build").good();
    assert!(output.stdout.contains("larder run --undo"), "{}", output.stdout);
    let _ = larder(&project, "run --undo").good();
    assert_eq!(project.read("app/out.txt"), "mine\n");
}

#[test]
fn an_unknown_recipe_is_exit_3() {
    let project = small();
    assert_eq!(larder(&project, "clean nothing").code(), 3);
}
