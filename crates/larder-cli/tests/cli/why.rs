//! `larder why`.

use crate::{larder, seen, small};

#[test]
fn differences_are_told_item_by_item() {
    let project = small();
    insta::assert_snapshot!("why-never-ran", seen(&project, &larder(&project, "why lib:part")));
    let _ = larder(&project, "run").good();
    insta::assert_snapshot!("why-hit", seen(&project, &larder(&project, "why lib:part")));
    project.file("lib/in.txt", "two\n");
    insta::assert_snapshot!("why-changed", seen(&project, &larder(&project, "why lib:part")));
    insta::assert_snapshot!("why-waits", seen(&project, &larder(&project, "why app:build")));
    let _ = larder(&project, "run").good();
    insta::assert_snapshot!("why-against", seen(&project, &larder(&project, "why lib:part --against 1")));
    insta::assert_snapshot!("why-no-run", seen(&project, &larder(&project, "why lib:part --against 41")));
    insta::assert_snapshot!("why-always", seen(&project, &larder(&project, "why check")));
    assert_eq!(larder(&project, "why nothing").code(), 3);
}

#[test]
fn why_changes_nothing() {
    let project = small();
    let _ = larder(&project, "run").good();
    project.file("lib/in.txt", "two\n");
    let _ = larder(&project, "why :build").good();
    assert_eq!(project.read("lib/part.txt"), "one\n");
    let output = larder(&project, "run").good();
    assert!(output.stdout.contains("miss: lib/in.txt changed"), "{}", output.stdout);
}
