//! `--affected`: changed files, as git tells them, and the recipes that they concern.

use std::process::Command;

use larder_testing::Project;

use crate::{larder, seen};

/// Runs git in the project, as nobody in particular.
#[track_caller]
pub(crate) fn git(project: &Project, args: &str) {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"])
        .args(args.split_whitespace())
        .current_dir(project.root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `lib` ← `app`, and `docs` beside them; on a branch without changes.
fn repository() -> Project {
    let project = Project::new();
    project
        .file("larder.yml", "name: p\n")
        .file(".gitignore", "*.out\n")
        .file(
            "lib/cookbook.yml",
            "name: lib\nrecipes:\n  part: {run: cat src/*.c > part.out, cache: {inputs: ['src/**/*.c', '!src/skip.c'], outputs: [part.out]}}\n",
        )
        .file(
            "app/cookbook.yml",
            "name: app\nrecipes:\n  \
             build: {run: cp ../lib/part.out app.out, dependencies: ['lib:part'], cache: {inputs: [../lib/part.out], outputs: [app.out]}}\n  \
             deploy: {run: 'true', dependencies: [build]}\n",
        )
        .file(
            "docs/cookbook.yml",
            "name: docs\nrecipes:\n  \
             page: {run: cp linked/x.md page.out, cache: {inputs: [linked], outputs: [page.out]}}\n  \
             always: {run: 'true'}\n",
        )
        .file("lib/src/a.c", "a\n")
        .file("lib/src/deep/b.c", "b\n")
        .file("lib/src/skip.c", "s\n")
        .file("texts/x.md", "x\n")
        .file("texts/y.md", "y\n");
    std::os::unix::fs::symlink("../texts", project.path("docs/linked")).expect("a link");
    git(&project, "init -q");
    git(&project, "add -A");
    git(&project, "commit -qm one");
    git(&project, "checkout -qb work");
    project
}

/// The names of affected recipes.
#[track_caller]
fn affected(project: &Project) -> Vec<String> {
    let output = larder(project, "run --list --affected main --json").good();
    let listed: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let recipes = listed["recipes"].as_array().expect("a list");
    recipes.iter().map(|recipe| recipe["recipe"].as_str().expect("a name").to_owned()).collect()
}

const LIB: [&str; 3] = ["app:build", "app:deploy", "lib:part"];

#[track_caller]
fn assert_same(mut found: Vec<String>, wanted: &[&str]) {
    found.sort();
    assert_eq!(found, wanted);
}

#[test]
fn an_input_concerns_its_recipe_and_its_dependents() {
    let project = repository();
    assert_same(affected(&project), &[]);
    project.file("lib/src/a.c", "other\n");
    assert_same(affected(&project), &LIB);
    git(&project, "commit -qam two");
    assert_same(affected(&project), &LIB);
    let status = Command::new("git").args(["status", "--porcelain"]).current_dir(project.root()).output();
    assert_eq!(
        String::from_utf8_lossy(&status.expect("git runs").stdout),
        "",
        "Larder's own files are ignored"
    );
    insta::assert_snapshot!("affected-run", seen(&project, &larder(&project, "run --affected=main")));
    insta::assert_snapshot!(
        "affected-narrowed",
        seen(&project, &larder(&project, "run docs: --affected=main"))
    );
    // What happened on the base since is no change of this branch.
    git(&project, "checkout -q main");
    project.file("texts/x.md", "main's\n");
    git(&project, "commit -qam three");
    git(&project, "checkout -q work");
    assert_same(affected(&project), &LIB);
}

/// Changes a repository.
type Change = fn(&Project);

#[test]
fn staged_new_renamed_and_deleted_files_count() {
    let changes: [(&str, Change); 6] = [
        ("untracked", |project| {
            project.file("lib/src/new.c", "n\n");
        }),
        ("staged", |project| {
            project.file("lib/src/new.c", "n\n");
            git(project, "add lib/src/new.c");
        }),
        ("deleted", |project| std::fs::remove_file(project.path("lib/src/deep/b.c")).expect("it is there")),
        ("deleted and committed", |project| {
            git(project, "rm -q lib/src/deep/b.c");
            git(project, "commit -qm gone");
        }),
        ("renamed away", |project| git(project, "mv lib/src/a.c lib/src/a.txt")),
        ("staged and deleted", |project| {
            project.file("lib/src/a.c", "other\n");
            git(project, "add -A");
            std::fs::remove_file(project.path("lib/src/a.c")).expect("it is there");
        }),
    ];
    for (name, change) in changes {
        let project = repository();
        change(&project);
        let mut found = affected(&project);
        found.sort();
        assert_eq!(found, LIB, "{name}");
    }
}

#[test]
fn what_is_no_input_concerns_nobody() {
    let project = repository();
    project.file("lib/src/skip.c", "other\n").file("lib/readme.txt", "r\n").file("lib/part.out", "ignored\n");
    std::fs::remove_file(project.path("lib/src/skip.c")).expect("it is there");
    assert_same(affected(&project), &[]);
}

#[test]
fn what_a_link_leads_to_counts() {
    let project = repository();
    project.file("texts/x.md", "other\n");
    assert_same(affected(&project), &["docs:page"]);
    git(&project, "checkout -q .");
    std::fs::remove_file(project.path("texts/y.md")).expect("it is there");
    assert_same(affected(&project), &["docs:page"]);
}

#[test]
fn definitions_concern_their_recipes() {
    let project = repository();
    project.file("docs/notes.txt", "nobody knows what a recipe without `cache` reads\n");
    assert_same(affected(&project), &["docs:always"]);
    std::fs::remove_file(project.path("docs/notes.txt")).expect("it is there");
    let text = project.read("lib/cookbook.yml");
    project.file("lib/cookbook.yml", format!("{text}# a word\n"));
    assert_same(affected(&project), &LIB);
    git(&project, "checkout -q .");
    let all = ["app:build", "app:deploy", "docs:always", "docs:page", "lib:part"];
    for (file, text) in [
        ("larder.yml", "name: p\ndescription: d\n"),
        (".larder/templates/t.yml", "name: t\ntemplate: {run: x}\n"),
        (".gitignore", "*.out\n*.tmp\n"),
    ] {
        project.file(file, text);
        assert_same(affected(&project), &all);
        git(&project, "stash -qu");
    }
}

#[test]
fn the_usual_base_is_found() {
    let project = repository();
    project.file("lib/src/a.c", "other\n");
    let output = larder(&project, "run --list --affected");
    assert_eq!(output.code(), 0, "{}", output.stderr);
    assert!(output.stderr.contains("1 changed path since main"), "{}", output.stderr);
}

#[test]
fn without_a_base_nothing_is_guessed() {
    let project = repository();
    insta::assert_snapshot!(
        "affected-no-commit",
        seen(&project, &larder(&project, "run --affected nothing"))
    );
    git(&project, "branch -qD main");
    insta::assert_snapshot!("affected-no-base", seen(&project, &larder(&project, "run --affected")));
    std::fs::remove_dir_all(project.path(".git")).expect("it is there");
    insta::assert_snapshot!("affected-no-git", seen(&project, &larder(&project, "run --affected")));
}
