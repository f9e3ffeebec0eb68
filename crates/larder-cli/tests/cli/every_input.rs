//! Under `trace: strict` no declared input can be left out: each is taken away in turn, and the run says which it was and caches nothing of it. What
//! `--suggest-inputs` then writes is enough for it to be cached.
//!
//! On small projects of the shapes that are measured (one recipe, many cookbooks, many inputs, one C file each), and on `examples/polyglot`. Lists are
//! found in the text of the cookbooks, so a list of a template counts as one. Of 300 cookbooks at their full size, every 25th is tried.
#![cfg(target_os = "linux")]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use larder_testing::Project;
use serde_json::Value;

use crate::larder;
use crate::polyglot::example;

/// A list of inputs in a file.
struct List {
    /// What is between the brackets.
    at: Range<usize>,
    items: Vec<String>,
}

/// The lists in brackets behind `inputs:` and `files:`.
fn lists(text: &str) -> Vec<List> {
    let mut found = Vec::new();
    for key in ["inputs: [", "files: ["] {
        for (at, _) in text.match_indices(key) {
            let start = at + key.len();
            let (mut quote, mut items, mut item) = (None, Vec::new(), String::new());
            let end = text[start..].char_indices().find(|&(_, char)| {
                match (quote, char) {
                    (None, ']') => return true,
                    (None, ',') => {
                        items.push(std::mem::take(&mut item));
                        return false;
                    }
                    (None, '"' | '\'') => quote = Some(char),
                    (Some(open), char) if open == char => quote = None,
                    _ => {}
                }
                item.push(char);
                false
            });
            items.push(item);
            let (end, _) = end.expect("the end of a list");
            let items = items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty());
            found.push(List { at: start..start + end, items: items.collect() });
        }
    }
    found
}

/// The part of a pattern that is there as it stands, without `../`.
fn plain(item: &str) -> &str {
    let item = item.trim_matches(['"', '\'']).trim_start_matches("../");
    &item[..item.find(['*', '{', '?', '[']).unwrap_or(item.len())]
}

/// Cookbooks and templates.
fn definitions(project: &Project) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![project.root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() && !entry.ends_with(".git") && !entry.ends_with("state") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|found| found == "yml") {
                found.push(entry.strip_prefix(project.root()).expect("below it").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// What a run says: undeclared paths, and why results were not kept.
struct Said {
    undeclared: Vec<String>,
    not_cached: Vec<String>,
    recipes: Vec<String>,
    ran: usize,
}

fn run(project: &Project) -> Said {
    let output = larder(project, "run --json --no-fail-fast").good();
    let events: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut said = Said { undeclared: Vec::new(), not_cached: Vec::new(), recipes: Vec::new(), ran: 0 };
    for event in &events {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str() {
            Some("traced") => {
                assert_eq!(event["incomplete"], Value::Null, "{event}");
                let paths = event["undeclared"].as_array().expect("a list").iter();
                said.undeclared.extend(paths.map(|one| one["path"].as_str().expect("a path").to_owned()));
            }
            Some("finished") if event["outcome"] == "ran" => {
                said.ran += usize::from(event["miss"] != Value::Null);
                if event["not_cached"] != Value::Null {
                    said.not_cached.push(text("not_cached"));
                    said.recipes.push(text("recipe"));
                }
            }
            _ => {}
        }
    }
    said
}

/// Takes each input away in turn. Answers how many there were, and how many of them came back by a proposal.
fn each_in_turn(project: &Project) -> (usize, usize) {
    some_in_turn(project, 1)
}

/// The same with the inputs of one file in `step`.
fn some_in_turn(project: &Project, step: usize) -> (usize, usize) {
    let first = run(project);
    assert_eq!(first.not_cached, [""; 0], "{:?}", first.undeclared);
    assert_eq!(run(project).ran, 0, "all is cached");
    let (mut tried, mut proposed) = (0, 0);
    for file in definitions(project).into_iter().step_by(step) {
        let text = project.read(&file);
        for List { at, items } in lists(&text) {
            for without in 0..items.len() {
                let mut left = items.clone();
                let item = left.remove(without);
                project.file(&file, format!("{}{}{}", &text[..at.start], left.join(", "), &text[at.end..]));
                let said = run(project);
                let place = format!("{}: `{item}`", file.display());
                assert!(!said.not_cached.is_empty(), "{place}: it was cached");
                assert!(said.not_cached.iter().all(|why| why.starts_with("undeclared input")), "{place}");
                let names_it = said.undeclared.iter().any(|path| path.contains(plain(&item)));
                assert!(names_it, "{place}: {:?}", said.undeclared);
                proposed += usize::from(comes_back(project, &said, &place));
                project.file(&file, &text);
                tried += 1;
            }
        }
    }
    (tried, proposed)
}

/// Whether what is proposed could be written; then it is enough.
fn comes_back(project: &Project, said: &Said, place: &str) -> bool {
    let selectors = said.recipes.join(" ");
    let output = larder(project, &format!("run --suggest-inputs --yes --json {selectors}")).good();
    let told: Value = serde_json::from_str(&output.stdout).expect("one value");
    let by_hand = told["by_hand"].as_array().expect("a list");
    if !by_hand.is_empty() {
        return false;
    }
    assert_eq!(told["written"], true, "{place}: {told}");
    let changed = told["files"].as_array().expect("a list").iter();
    let changed: Vec<&Path> = changed.map(|file| Path::new(file["path"].as_str().expect("a path"))).collect();
    let after = run(project);
    assert_eq!(after.not_cached, [""; 0], "{place}: {:?}", after.undeclared);
    assert_eq!(run(project).ran, 0, "{place}: all is cached");
    // Only what was taken away is put back by whoever called.
    assert_eq!(changed.len(), 1, "{place}: {changed:?}");
    true
}

const STRICT: &str = "name: demo\nconfig: {trace: strict}\n";

/// One recipe with many outputs.
fn one(outputs: usize, bytes: usize) -> Project {
    let one = Project::new();
    one.file("larder.yml", STRICT).file("src/a.txt", "a\n".repeat(bytes / 2));
    let run = format!("mkdir out && for i in $(seq {outputs}); do cat src/a.txt > out/$i; done");
    let cache = "{inputs: ['src/**'], outputs: [out]}";
    one.file("cookbook.yml", format!("name: app\nrecipes: {{build: {{cache: {cache}, run: '{run}'}}}}\n"));
    one
}

/// Cookbooks with inputs of their own.
fn many(cookbooks: usize, inputs: usize) -> Project {
    let many = Project::new();
    many.file("larder.yml", STRICT);
    for book in 0..cookbooks {
        for input in 0..inputs {
            let file = format!("pkgs/c{book}/src/d{}/f{input}.txt", input % (inputs / 100 + 2));
            many.file(file, format!("{book} {input}\n"));
        }
        let text = format!(
            "name: c{book}\nrecipes: {{build: {{cache: {{inputs: ['src/**'], outputs: [out]}}, run: 'mkdir out && find src -type f -exec cat {{}} + > out/all'}}}}\n"
        );
        many.file(format!("pkgs/c{book}/cookbook.yml"), text);
    }
    many
}

#[test]
#[ignore = "minutes"]
fn of_workloads_of_their_full_size() {
    assert_eq!(each_in_turn(&one(2000, 100 << 10)), (1, 1));
    assert_eq!(each_in_turn(&many(1, 20_000)), (1, 1));
    let (tried, proposed) = some_in_turn(&many(300, 40), 25);
    assert!(tried >= 12 && tried == proposed, "{tried}, {proposed}");
}

#[test]
fn of_workloads() {
    assert_eq!(each_in_turn(&one(3, 2)), (1, 1));
    assert_eq!(each_in_turn(&many(4, 5)), (4, 4));

    let program = Project::new();
    program
        .file("larder.yml", STRICT)
        .file("include/both.h", "#define BOTH 2\n")
        .file("library/own.h", "#define OWN 1\n");
    for name in ["one", "two"] {
        let source = "#include <stdio.h>\n#include \"both.h\"\n#include \"own.h\"\nint f(void) { return BOTH + OWN; }\n";
        program.file(format!("pkgs/{name}/src/{name}.c"), source);
        let text = format!(
            "name: {name}\nrecipes:\n  build:\n    tools: [cc]\n    cache: {{inputs: ['src/**', '../../include/**', '../../library/**'], outputs: [out]}}\n    run: mkdir out && cc -I../../include -I../../library -c src/*.c -o out/object.o\n"
        );
        program.file(format!("pkgs/{name}/cookbook.yml"), text);
    }
    assert_eq!(each_in_turn(&program), (6, 6));
}

#[test]
#[ignore = "minutes"]
fn of_the_polyglot_example() {
    let Some(mut project) = example() else { return };
    // A version manager's shim is no python3: it looks for settings everywhere, rightly said to be undeclared.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let plain = std::env::split_paths(&path).filter(|folder| !folder.to_string_lossy().contains("pyenv"));
    project.env("PATH", std::env::join_paths(plain).expect("the same folders"));
    let text = project.read("larder.yml");
    if !text.contains("trace: strict") {
        project.file("larder.yml", format!("{text}config: {{trace: strict}}\n"));
    }
    let (tried, proposed) = each_in_turn(&project);
    assert!(tried >= 15 && proposed >= 5, "{tried}, {proposed}");
}
