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
fn python_in_a_virtual_environment() {
    if !has(&["python3"]) {
        return;
    }
    let project = Project::new();
    let made = project.larder("python3", ["-m", "venv", "--without-pip", ".venv"]);
    if made.code() != 0 {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED: `larder init` for a virtual environment: {}", made.stderr);
        return;
    }
    let test = "import sys, unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        \
                self.assertTrue(sys.prefix.endswith('.venv'))\n";
    project.file("requirements.txt", "").file("test_it.py", test).file("setup.cfg", "");
    works(&project, 1);
    project.file("requirements.txt", "# another\n");
    assert!(larder(&project, "run").good().stdout.contains("requirements.txt changed"));
}

#[test]
fn cmake_with_tests() {
    if !has(&["cmake", "ctest", "cc", "make"]) {
        return;
    }
    let project = Project::new();
    let manifest = "cmake_minimum_required(VERSION 3.16)\nproject(shown C)\nadd_executable(shown main.c)\n\
                    enable_testing()\nadd_test(NAME runs COMMAND shown)\n";
    project.file("CMakeLists.txt", manifest).file("main.c", "int main(void) { return 0; }\n");
    works(&project, 2);
    // What was removed comes back, and tests left nothing behind.
    std::fs::remove_dir_all(project.path("build")).expect("removed");
    let third = larder(&project, "run").good();
    assert!(third.stdout.contains("2 cached"), "{}", third.stdout);
    assert!(project.path("build/shown").exists() && !project.path("build/Testing").exists());
    project.file("main.c", "int main(void) { return 1; }\n");
    assert_eq!(larder(&project, "run").code(), 2);
}

/// A class whose source is gone is not in the archive.
fn java(project: &Project) {
    project
        .file(
            "src/main/java/shown/Main.java",
            "package shown;\npublic class Main { public static void main(String[] a) { } }\n",
        )
        .file("src/main/java/shown/Gone.java", "package shown;\nclass Gone { }\n");
    works(project, 1);
    std::fs::remove_file(project.path("src/main/java/shown/Gone.java")).expect("removed");
    let third = larder(project, "run").good();
    assert!(third.stdout.contains("Gone.java"), "{}", third.stdout);
}

#[test]
#[ignore = "the first time Maven downloads its plugins"]
fn java_with_maven() {
    if !has(&["mvn", "java"]) {
        return;
    }
    let mut project = Project::new();
    // Where Maven keeps what it downloads, so that it is downloaded once.
    if let Ok(home) = std::env::var("HOME") {
        project.env("MAVEN_OPTS", format!("-Dmaven.repo.local={home}/.m2/repository"));
    }
    project.file(
        "pom.xml",
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>org.example</groupId>\n  <artifactId>shown</artifactId>\n  <version>1.0</version>\n  <properties>\n    \
         <maven.compiler.source>11</maven.compiler.source>\n    <maven.compiler.target>11</maven.compiler.target>\n    \
         <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>\n  </properties>\n</project>\n",
    );
    java(&project);
    let archive = std::fs::read(project.path("target/shown-1.0.jar")).expect("the archive");
    assert!(!archive.windows(4).any(|bytes| bytes == b"Gone"));
}

#[test]
#[ignore = "Gradle takes half a minute to begin"]
fn java_with_gradle() {
    if !has(&["gradle", "java"]) {
        return;
    }
    let project = Project::new();
    project
        .file("settings.gradle", "rootProject.name = 'shown'\n")
        .file("build.gradle", "plugins { id 'java' }\n");
    java(&project);
    let archive = std::fs::read(project.path("build/libs/shown.jar")).expect("the archive");
    assert!(!archive.windows(4).any(|bytes| bytes == b"Gone"));
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
fn node_with_dependencies() {
    if !has(&["node", "npm"]) {
        return;
    }
    let project = Project::new();
    // One that needs no network.
    project
        .file("part/package.json", r#"{"name": "part", "version": "1.0.0", "main": "part.js"}"#)
        .file("part/part.js", "module.exports = 1;\n")
        .file(
            "package.json",
            r#"{"name": "x", "dependencies": {"part": "file:./part"}, "scripts": {"test": "node -e \"require('part')\""}}"#,
        );
    let made = project.larder("npm", ["install", "--package-lock-only", "--offline"]);
    assert_eq!(made.code(), 0, "{}", made.stderr);
    works(&project, 2);
    std::fs::remove_dir_all(project.path("node_modules")).expect("removed");
    let third = larder(&project, "run").good();
    assert!(third.stdout.contains("2 cached"), "{}", third.stdout);
    assert!(project.path("node_modules/part/part.js").exists());
}

/// Puts programs of the test's own before all others.
fn programs(project: &mut Project, programs: &[(&str, &str)]) {
    use std::os::unix::fs::PermissionsExt;
    let folder = project.user_folder().join("bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in programs {
        let file = folder.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("a program");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let path = std::env::var("PATH").expect("a search path");
    project.env("PATH", format!("{}:{path}", folder.display()));
}

/// The program that is found may only choose which version runs.
#[test]
fn another_version_behind_the_same_program_is_another_key() {
    let cargo = "case $1 in generate-lockfile) : > Cargo.lock;; \
                 build) mkdir -p target/release && echo > target/release/shown;; esac";
    let says = "cat \"$HOME/version\"";
    let check = |stand_ins: &[(&str, &str)], files: &[(&str, &str)], recipes: usize| {
        let mut project = Project::new();
        programs(&mut project, stand_ins);
        for (name, text) in files {
            project.file(name, text);
        }
        let version = project.user_folder().join("version");
        std::fs::write(&version, "1.0\n").expect("the version");
        works(&project, recipes);
        std::fs::write(&version, "1.1\n").expect("the version");
        let third = larder(&project, "run").good();
        assert!(third.stdout.contains(&format!("0 cached, {recipes} run")), "{}", third.stdout);
    };
    check(
        &[("cargo", cargo), ("rustc", says)],
        &[("Cargo.toml", "[package]\nname = \"shown\"\n"), ("src/main.rs", "")],
        3,
    );
    check(&[("go", says)], &[("go.mod", "module x\n")], 1);
    check(&[("node", says)], &[("package.json", "{}"), ("a.js", "")], 1);
    check(&[("python3", says)], &[("pyproject.toml", "")], 1);
}

#[test]
fn what_npm_installs_depends_on_its_settings_and_on_npm() {
    let mut project = Project::new();
    let npm = "case $1 in install) mkdir -p node_modules && echo > node_modules/part;; esac";
    programs(&mut project, &[("node", "echo 1"), ("npm", npm)]);
    project.file("package.json", r#"{"dependencies": {"part": "1"}, "scripts": {"test": "true"}}"#);
    works(&project, 2);
    project.file(".npmrc", "registry=https://registry.example.org\n");
    let third = larder(&project, "run install").good();
    assert!(third.stdout.contains("miss: .npmrc is new"), "{}", third.stdout);
    programs(&mut project, &[("npm", &format!("{npm} # another"))]);
    let fourth = larder(&project, "run install").good();
    assert!(fourth.stdout.contains("miss: tool npm changed"), "{}", fourth.stdout);
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
