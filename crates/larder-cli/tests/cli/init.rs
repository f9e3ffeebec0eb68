//! `larder init` in projects of each language: what it writes works at once, and the second run is cached.

use std::io::Write;

use larder_testing::Project;

use crate::{larder, seen};

/// Whether the tools of a language are here; says so loudly if not.
fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs
        .iter()
        .find(|program| !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if let Some(program) = missing {
        let _ = writeln!(std::io::stderr(), "SKIPPED: `larder init` for {program}: it is not installed");
        assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "REQUIRE_CLIENTS: there is no `{program}`");
    }
    missing.is_none()
}

/// Three commands: init, run, run. The second run takes everything from the cache.
#[track_caller]
fn works(project: &Project, recipes: usize) {
    let _ = larder(project, "init").good();
    let _ = larder(project, "run --check").good();
    let first = larder(project, "run").good();
    assert!(first.stdout.contains(&format!("0 cached, {recipes} run")), "{}\n{}", first.stdout, first.stderr);
    assert!(!first.stdout.contains("not cached"), "{}", first.stdout);
    let second = larder(project, "run").good();
    assert!(second.stdout.contains(&format!("{recipes} cached")), "{}", second.stdout);
    assert!(second.stdout.contains(", 0 run"), "{}", second.stdout);
}

#[test]
fn an_empty_folder_gets_something_to_begin_with() {
    let project = Project::new();
    insta::assert_snapshot!("init-nothing", seen(&project, &larder(&project, "init -n")));
    works(&project, 1);
    insta::assert_snapshot!("init-again", seen(&project, &larder(&project, "init")));
}

#[test]
fn nothing_is_overwritten() {
    let project = Project::new();
    project.file("cookbook.yml", "mine\n");
    insta::assert_snapshot!("init-refused", seen(&project, &larder(&project, "init")));
    assert!(!project.path("larder.yml").exists());
    assert_eq!(project.read("cookbook.yml"), "mine\n");
}

#[test]
fn sources_in_c() {
    let project = Project::new();
    project
        .file("src/main.c", "#include \"add.h\"\nint main(void) { return add(1, -1); }\n")
        .file("src/add.c", "#include \"add.h\"\nint add(int a, int b) { return a + b; }\n")
        .file("src/add.h", "int add(int a, int b);\n");
    insta::assert_snapshot!(
        "init-c",
        seen(&project, &larder(&project, "init -n")).replace(&name_of(&project), "[NAME]")
    );
    works(&project, 3);
    project.file("src/add.c", "#include \"add.h\"\nint add(int a, int b) { return b + a + 0; }\n");
    let third = larder(&project, "run").good();
    assert!(third.stdout.contains("cc") || third.stdout.contains("compile[src/add.c]"), "{}", third.stdout);
}

fn name_of(project: &Project) -> String {
    project.root().file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_makefile_always_runs() {
    let project = Project::new();
    project.file("Makefile", "all:\n\techo made > made.txt\n");
    let _ = larder(&project, "init").good();
    let output = larder(&project, "run build").good();
    assert!(output.stdout.contains("0 cached, 1 run"), "{}", output.stdout);
    assert_eq!(project.read("made.txt"), "made\n");
}

#[test]
fn python_with_unittest() {
    if !has(&["python3"]) {
        return;
    }
    let project = Project::new();
    let test = "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(1, 1)\n";
    project.file("pyproject.toml", "[project]\nname = 'x'\n").file("tests/test_it.py", test);
    works(&project, 1);
}

#[test]
fn rust_with_a_program() {
    if !has(&["cargo"]) {
        return;
    }
    let mut project = Project::new();
    // The tests' home is none that rustup knows.
    for (name, folder) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")] {
        let home = std::env::var(name).ok();
        let usual = || std::env::var("HOME").map(|home| format!("{home}/{folder}")).ok();
        if let Some(value) = home.or_else(usual).filter(|path| std::path::Path::new(path).is_dir()) {
            project.env(name, &value);
        }
    }
    project
        .file("Cargo.toml", "[package]\nname = \"shown\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
        .file("src/main.rs", "fn main() { println!(\"hello\"); }\n#[test]\nfn works() {}\n");
    works(&project, 3);
    assert!(project.path("target/release/shown").exists());
}

#[test]
fn go_with_a_program() {
    if !has(&["go"]) {
        return;
    }
    let project = Project::new();
    project
        .file("go.mod", "module example.org/shown\n\ngo 1.19\n")
        .file("main.go", "package main\n\nfunc main() { println(\"hello\") }\n");
    works(&project, 2);
}

#[test]
fn node_without_dependencies() {
    if !has(&["node", "npm"]) {
        return;
    }
    let project = Project::new();
    let manifest =
        r#"{"name": "x", "scripts": {"build": "mkdir -p dist && cp in.js dist/", "test": "node in.js"}}"#;
    project.file("package.json", manifest).file("in.js", "1;\n");
    works(&project, 2);
}

#[test]
fn several_languages_in_folders() {
    let project = Project::new();
    project.file("core/a.c", "int a(void) { return 1; }\n").file("web/package.json", "{\"name\": \"web\"}\n");
    project.file("web/a.js", "1;\n").file("both/go.mod", "module x\n").file("both/pyproject.toml", "\n");
    insta::assert_snapshot!(
        "init-several",
        seen(&project, &larder(&project, "init -n")).replace(&name_of(&project), "[NAME]")
    );
    let output = larder(&project, "init --json").good();
    assert!(output.stdout.contains("\"language\":\"Node\""), "{}", output.stdout);
    let _ = larder(&project, "run --check").good();
}
