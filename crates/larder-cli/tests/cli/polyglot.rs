//! `examples/polyglot`, as its guide walks through it: what runs again after each kind of edit, and what does not.
//!
//! Needs `cc`, `python3` and `go`; without one of them the test says so loudly and does nothing. Go's own cache lies below
//! `CARGO_TARGET_TMPDIR` and stays, so that Go's library is compiled once and not at each run of the test.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use larder_testing::Project;
use serde_json::Value;

use crate::affected::git;
use crate::{filtered, larder, seen};

fn has_languages() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<&str> =
        ["cc", "python3", "go", "tar", "git"].into_iter().filter(|p| !is_here(p)).collect();
    if !missing.is_empty() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: examples/polyglot: there is no {}", missing.join(", "));
        assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "REQUIRE_CLIENTS: there is no {missing:?}");
    }
    missing.is_empty()
}

/// Copies what git would hold of the example: a developer may have built in it.
fn copy(from: &Path, to: &Project, below: &Path) {
    for entry in fs::read_dir(from.join(below)).expect("a folder of the example") {
        let entry = entry.expect("an entry");
        let path = below.join(entry.file_name());
        let made = ["build", "state", "src/kinds", "src/kinds.py"];
        if made.iter().any(|made| path.ends_with(made)) {
            continue;
        }
        if entry.path().is_dir() {
            copy(from, to, &path);
        } else {
            to.file(&path, fs::read(entry.path()).expect("a file of the example"));
        }
    }
}

/// The example in a repository of its own, with a port that nobody has; nothing where a language is missing.
pub(crate) fn example() -> Option<Project> {
    if !has_languages() {
        return None;
    }
    let mut project = Project::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/polyglot");
    copy(&from, &project, Path::new(""));
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port().to_string();
    let text = project.read("app/cookbook.yml");
    assert!(text.contains("port: 8731"));
    project.file("app/cookbook.yml", text.replace("port: 8731", &format!("port: {port}")));
    project.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    git(&project, "init -q");
    git(&project, "add -A");
    git(&project, "commit -qm one");
    Some(project)
}

/// The recipes whose commands ran, a persistent one among them; all else were hits or not needed.
#[track_caller]
fn ran(project: &Project, args: &str) -> BTreeSet<String> {
    let output = larder(project, &format!("run --json {args}")).good();
    let mut ran = BTreeSet::new();
    for line in output.stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        if event["event"] != "finished" {
            continue;
        }
        match event["outcome"].as_str() {
            Some("ran") => {
                assert_eq!(event["not_cached"], Value::Null, "{line}");
                ran.insert(event["recipe"].as_str().expect("a name").to_owned());
            }
            outcome => assert!(matches!(outcome, Some("cached" | "not_needed")), "{line}"),
        }
    }
    ran
}

/// Replaces text in a file, runs, and says what ran.
#[track_caller]
fn edited(project: &Project, file: &str, from: &str, to: &str) -> Vec<String> {
    let text = project.read(file);
    assert!(text.contains(from), "{file} has no {from:?}");
    project.file(file, text.replacen(from, to, 1));
    ran(project, "").into_iter().collect()
}

const KINDS: [&str; 3] = ["count:kinds", "server:kinds", "shop:kinds"];
const SHIPPED: [&str; 3] = ["app:serve", "app:test", "dist:tar"];

#[test]
fn each_edit_runs_what_it_concerns() {
    let Some(project) = example() else { return };
    let all = ran(&project, "");
    assert_eq!(all.len(), 15, "{all:?}");
    assert_eq!(ran(&project, ""), BTreeSet::new());
    let again = larder(&project, "run").good().stdout;
    assert!(again.starts_with("15 recipes: 14 cached (14 local), 0 run, 1 not needed · "), "{again}");
    let status = project.command("git", ["status", "--porcelain"]).output().expect("git runs");
    assert_eq!(String::from_utf8_lossy(&status.stdout), "", "all that is made is ignored");

    each_edit(&project);
    parts(&project);
}

/// One edit after the other, of each kind of file.
fn each_edit(project: &Project) {
    let compiled = ["count:compile[src/ledger.c]", "count:compile[src/main.c]"];
    let count_test = ["count:test[test/ledger_test.c]"];
    let all_but_tests_of_the_generator = [
        KINDS.as_slice(),
        &compiled,
        &count_test,
        &["count:build", "shop:build", "shop:test", "server:build", "server:test"],
        &SHIPPED,
    ];
    let edits: &[(&str, &str, &str, &[&[&str]])] = &[
        // Text for people: generated anew, to the same bytes, and nothing else runs.
        ("schema/pantry.json", "Fine", "Coarse", &[&KINDS]),
        // A value: everything that is made of it, in each language; the way back is in the cache.
        ("schema/pantry.json", "\"least\": 3", "\"least\": 4", &all_but_tests_of_the_generator),
        ("schema/pantry.json", "\"least\": 4", "\"least\": 3", &[]),
        ("schema/src/generate.py", "\"\"\"Writes", "\"\"\"Prints", &[&KINDS, &["schema:test"]]),
        ("schema/test/generate_test.py", "sweet", "sour", &[&["schema:test"]]),
        // A comment ends at the object; a change of the program is seen by all who use it.
        ("count/src/main.c", "    return 0;\n}\n", "    return 0;\n}\n/* The end. */\n", &[&compiled[1..]]),
        (
            "count/src/ledger.c",
            "no such kind",
            "nothing of that name",
            &[&compiled[..1], &["count:build"], &count_test, &SHIPPED],
        ),
        ("count/src/ledger.h", "such as", "for instance", &[&compiled, &count_test]),
        ("count/test/ledger_test.c", "all well", "well", &[&count_test]),
        ("shop/src/list.go", "not a total", "no total", &[&["shop:build", "shop:test"], &SHIPPED]),
        // go looks into the tests, too, when it builds; the program is the same.
        ("shop/src/list_test.go", "it was taken", "taken", &[&["shop:build", "shop:test"]]),
        ("server/src/server.py", "a real one", "another", &[&["server:build", "server:test"], &SHIPPED]),
        ("server/test/server_test.py", "cellar", "attic", &[&["server:test"]]),
        ("app/end-to-end.sh", "# Fills", "# Fill", &[&SHIPPED[..2]]),
        ("app/ask.py", "comes back", "is answered", &[&SHIPPED[..2]]),
        ("CHANGELOG.md", "A shopping list", "A list", &[&SHIPPED[2..]]),
        ("CHANGELOG.md", "## 0.2.0", "## 0.2.1", &[&SHIPPED[2..]]),
        ("MANIFEST", "# What", "# All that", &[]),
        ("README.md", "# Pantry", "# The pantry", &[]),
    ];
    for (file, from, to, wanted) in edits {
        let mut wanted = wanted.concat();
        wanted.sort_unstable();
        assert_eq!(edited(project, file, from, to), wanted, "after {from:?} → {to:?} in {file}");
    }
    assert!(project.path("build/pantry-0.2.1.tar").exists());
}

/// Parts of it: by tag, by environment, by what changed; and its graph.
fn parts(project: &Project) {
    git(project, "add -A");
    git(project, "commit -qm two");
    let names = |args: &str| -> Vec<String> {
        let listed = larder(project, &format!("run --list --json {args}")).good();
        let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
        let recipes = listed["recipes"].as_array().expect("a list").iter();
        recipes.map(|recipe| recipe["recipe"].as_str().expect("a name").to_owned()).collect()
    };
    let tests = ["app:test", "count:test[test/ledger_test.c]", "schema:test", "server:test", "shop:test"];
    assert_eq!(names("-t test"), tests);
    assert_eq!(names("-t end-to-end"), tests[..1]);
    assert_eq!(names("--affected HEAD"), [""; 0]);
    let text = project.read("shop/src/list.go");
    project.file("shop/src/list.go", text.replace("no total", "nothing to count"));
    let concerned = ["app:serve", "app:test", "dist:tar", "shop:build", "shop:test"];
    assert_eq!(names("--affected HEAD"), concerned);
    assert_eq!(
        ran(project, "-t test --affected HEAD"),
        set(&["app:serve", "app:test", "shop:build", "shop:test"])
    );
    assert_eq!(ran(project, "--affected HEAD"), set(&["dist:tar"]));

    let release = [
        "count:compile[src/ledger.c]",
        "count:compile[src/main.c]",
        "count:build",
        "count:kinds",
        "count:test[test/ledger_test.c]",
        "shop:kinds",
        "shop:build",
        "shop:test",
        "app:serve",
        "app:test",
        "dist:tar",
    ];
    let debug = fs::read(project.path("count/build/count")).expect("the program");
    assert_eq!(ran(project, "--env release"), set(&release));
    assert_ne!(debug, fs::read(project.path("count/build/count")).expect("the program"));
    assert_eq!(ran(project, ""), set(&[]), "the way back is in the cache");
    assert_eq!(debug, fs::read(project.path("count/build/count")).expect("the program"));

    insta::assert_snapshot!("polyglot-tree", seen(project, &larder(project, "run --tree app:test")));
    let graph = larder(project, "run --graph json").good();
    let graph: Value = serde_json::from_str(&graph.stdout).expect("JSON");
    assert_eq!(graph["nodes"].as_array().map(Vec::len), Some(15), "{graph}");
    insta::assert_snapshot!(
        "polyglot-graph",
        filtered(project, &larder(project, "run --graph dot shop:test").good().stdout)
    );
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
