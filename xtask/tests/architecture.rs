//! The architecture, executable: which crate may use which, and what a source file looks like (`ARCHITECTURE.md`).
//!
//! A rule that fails names every place that breaks it. Exceptions are listed here, with the reason, or there are none.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Levels: a crate uses crates of lower levels only, never a sibling.
const LEVELS: &[(&str, u8)] = &[
    ("larder-reapi", 0),
    ("larder-core", 0),
    ("larder-store", 1),
    ("larder-inflate", 1),
    ("larder-oci", 2),
    ("larder-remote", 3),
    ("larder-run", 3),
    ("larder", 4),
    ("larder-cli", 5),
];

/// Not part of the product: may use everything, and nothing of the product uses them but in tests.
const DEVELOPMENT: &[&str] = &["larder-testing", "xtask"];

/// Heavy or telling dependencies, and the only crates of the product that may name them.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("clap", &["larder-cli"]),
    ("clap_complete", &["larder-cli"]),
    ("clap_mangen", &["larder-cli"]),
    ("indicatif", &["larder-cli"]),
    ("signal-hook", &["larder-cli"]),
    ("tracing-subscriber", &["larder-cli"]),
    ("object_store", &["larder-remote"]),
    ("reqwest", &["larder-oci"]),
    ("tonic", &["larder-remote"]),
    ("rusqlite", &["larder-store"]),
    ("handlebars", &["larder-run"]),
    ("notify", &["larder-run"]),
    ("saphyr-parser", &["larder-run"]),
];

/// Crates that have no business with a runtime, or with anybody's network.
const SYNCHRONOUS: &[&str] = &["larder-reapi", "larder-core", "larder-inflate", "larder-store", "larder-run"];
const RUNTIME_OR_NETWORK: &[&str] = &["tokio", "async-std", "smol", "hyper", "reqwest", "tonic", "rustls"];

/// The only places with `unsafe`, each with its reason in its header: mapped files, processes, and the hot loop of inflate.
const UNSAFE_IN: &[&str] = &[
    "crates/larder-store/src/local/mapped.rs",
    "crates/larder-run/src/process/",
    "crates/larder-inflate/src/fast.rs",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

const LONGEST_FILE: usize = 600;
const HEADER_FROM: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn metadata() -> Metadata {
    // Only what this platform needs was downloaded.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--offline", "--locked", "--filter-platform", &platform].map(str::to_owned))
        .exec()
        .unwrap()
}

fn packages(metadata: &Metadata) -> Vec<&Package> {
    metadata.workspace_packages()
}

fn product(metadata: &Metadata) -> Vec<&Package> {
    packages(metadata).into_iter().filter(|package| !DEVELOPMENT.contains(&package.name.as_str())).collect()
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, level)| *level)
}

/// What a package uses in earnest: not what its tests use.
fn uses(package: &Package) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
}

#[track_caller]
fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_crate_has_a_level_and_the_name_of_its_folder() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in packages(&metadata) {
        let name = package.name.as_str();
        if level(name).is_none() && !DEVELOPMENT.contains(&name) {
            broken.push(format!("{name} has no level"));
        }
        let folder = package.manifest_path.parent().and_then(|folder| folder.file_name());
        if folder != Some(name) {
            broken.push(format!("{name} lies in {folder:?}"));
        }
        if EMPTY_NAMES.iter().any(|empty| name.rsplit('-').next() == Some(empty)) {
            broken.push(format!("{name} says nothing"));
        }
    }
    none("each crate is listed in LEVELS and lies in a folder of its name", &broken);
}

#[test]
fn arrows_point_down() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in product(&metadata) {
        let own = level(&package.name);
        for used in uses(package) {
            if DEVELOPMENT.contains(&used) || (level(used).is_some() && level(used) >= own) {
                broken.push(format!("{} uses {used}", package.name));
            }
        }
    }
    none("a crate uses crates of lower levels only", &broken);
}

#[test]
fn heavy_dependencies_stay_where_they_belong() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in product(&metadata) {
        for used in uses(package) {
            let kept = ONLY_IN.iter().find(|(name, _)| *name == used);
            if kept.is_some_and(|(_, crates)| !crates.contains(&package.name.as_str())) {
                broken.push(format!("{} uses {used}", package.name));
            }
        }
    }
    none("these dependencies have one place each", &broken);
}

#[test]
fn the_lower_crates_know_no_runtime_and_no_network() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let mut broken = Vec::new();
    for package in product(&metadata) {
        if !SYNCHRONOUS.contains(&package.name.as_str()) {
            continue;
        }
        let (mut open, mut seen) = (vec![&package.id], BTreeSet::new());
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let name = metadata[id].name.as_str();
            if RUNTIME_OR_NETWORK.contains(&name) {
                broken.push(format!("{} uses {name}, directly or not", package.name));
            }
            let node = resolve.nodes.iter().find(|node| node.id == *id).unwrap();
            let normal =
                node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal));
            open.extend(normal.map(|dep| &dep.pkg));
        }
    }
    none("no tokio, no network", &broken);
}

/// All Rust files of the workspace, relative to its root, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name() != Some(OsStr::new("target")) {
                    walk(&path, found);
                }
            } else if path.extension() == Some(OsStr::new("rs")) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("crates"), &mut found);
    walk(&root().join("xtask"), &mut found);
    found.sort();
    assert!(found.len() > 50, "the sources were not found");
    found
}

#[test]
fn files_have_telling_names_headers_and_a_bearable_length() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let shown = path.display();
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            broken.push(format!("{shown} has {lines} lines, more than {LONGEST_FILE}"));
        }
        if lines > HEADER_FROM && !text.starts_with("//!") {
            broken.push(format!("{shown} begins without a `//!` header"));
        }
        let says_nothing = |name: &OsStr| EMPTY_NAMES.iter().any(|empty| name == *empty);
        if path.with_extension("").iter().any(says_nothing) {
            broken.push(format!("{shown} has a name that says nothing"));
        }
    }
    none("what a source file looks like", &broken);
}

/// Whether the line opens a block, function, trait or implementation that is `unsafe`; words in comments and texts do not.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern", "#[unsafe("]
        .iter()
        .any(|word| code.split('"').step_by(2).any(|outside| outside.contains(word)))
}

#[test]
fn unsafe_is_in_three_places() {
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in sources() {
        let name = path.to_str().unwrap();
        let allowed = UNSAFE_IN.iter().find(|place| name.starts_with(**place));
        for (number, _) in text.lines().enumerate().filter(|(_, line)| is_unsafe(line)) {
            match allowed {
                Some(place) => drop(used.insert(place)),
                None => broken.push(format!("{name}:{}", number + 1)),
            }
        }
    }
    none("`unsafe` only where UNSAFE_IN says", &broken);
    assert_eq!(used.len(), UNSAFE_IN.len(), "a place in UNSAFE_IN has no `unsafe` any more: strike it out");
}

#[test]
fn the_rule_about_unsafe_sees_code_and_nothing_else() {
    for code in ["unsafe { x }", "    unsafe fn f() {", "unsafe impl Send for X {}", "#[unsafe(no_mangle)]"] {
        assert!(is_unsafe(code), "{code}");
    }
    let quoted = format!("let x = {:?};", "unsafe {");
    for words in ["// unsafe { }", "//! no `unsafe fn`", quoted.as_str(), "is_unsafe(code)"] {
        assert!(!is_unsafe(words), "{words}");
    }
}
