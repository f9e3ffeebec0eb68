//! Machines: each has a home, a store and a clone of one project of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use larder_testing::Project;
use larder_testing::project::Output;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Recipes of the project.
pub(crate) const RECIPES: usize = 3;

/// A prefix that no other test uses, nor an earlier run.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("t{}-{}-{}", now.as_millis(), std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A machine with one tier, as it stands in `larder.yml`.
pub(crate) fn machine(tier: &str, credentials: &[(&'static str, String)]) -> Project {
    let mut project = Project::new();
    project.file("larder.yml", format!("name: demo\nconfig: {{cache: {{remotes: {{{tier}}}}}}}\n"));
    project.file(
        "cookbook.yml",
        "name: app
recipes:
  large:
    cache: {inputs: [in], outputs: [out/large]}
    run: |
      mkdir -p out
      i=0; while [ $i -lt 12000 ]; do echo \"line $i of the large file\"; i=$((i+1)); done > out/large
      cat in >> out/large
  tree:
    cache: {inputs: [in], outputs: [out/tree]}
    run: |
      mkdir -p out/tree/deep/er out/tree/empty
      cp in out/tree/deep/er/copy
      printf '#!/bin/sh\\n' > out/tree/tool && chmod +x out/tree/tool
      ln -s deep/er/copy out/tree/link
  sum:
    dependencies: [large, tree]
    cache: {inputs: [out/large, out/tree], outputs: [out/sum]}
    run: cksum out/large out/tree/deep/er/copy > out/sum
",
    );
    project.file("in", "first\n");
    project.env("LARDER_CACHE_SECRET", SECRET);
    for (name, value) in credentials {
        project.env(*name, value);
    }
    project
}

/// `larder run` on it, which must succeed.
#[track_caller]
pub(crate) fn run(project: &Project) -> Output {
    project.larder(env!("CARGO_BIN_EXE_larder"), ["run"]).good()
}

/// Asserts that everything came from `tier`, or nothing.
#[track_caller]
pub(crate) fn assert_cached(output: &Output, tier: Option<&str>) {
    let summary = output.stdout.lines().last().unwrap_or_default();
    let wanted = match tier {
        Some(tier) => format!("{RECIPES} recipes: {RECIPES} cached ({RECIPES} {tier}), 0 run"),
        None => format!("{RECIPES} recipes: 0 cached, {RECIPES} run"),
    };
    assert!(summary.starts_with(&wanted), "not `{wanted}`:\n{}\n{}", output.stdout, output.stderr);
}

/// Asserts that there is one warning, which has all of `words`.
#[track_caller]
pub(crate) fn assert_one_warning(output: &Output, words: &[&str]) {
    assert_eq!(output.stderr.matches("warning:").count(), 1, "{}", output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "no `{word}` in\n{}", output.stderr);
    }
}

/// Everything in the folder of outputs: kind, mode and content by path.
pub(crate) fn tree(project: &Project) -> BTreeMap<String, (u32, Vec<u8>)> {
    let root = project.path("out");
    let mut tree = BTreeMap::new();
    walk(&root, &root, &mut tree);
    assert!(tree.len() >= 8, "{:?}", tree.keys());
    tree
}

fn walk(root: &Path, folder: &Path, tree: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else if meta.is_dir() {
            walk(root, &path, tree);
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        tree.insert(name, (meta.permissions().mode(), content));
    }
}
