//! A clean build without any cache: the sources alone at the same path, each command run once in order.
//!
//! The clone is moved aside meanwhile, so that even a recipe that writes its place makes the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::model::{CLINGING, Model, Output, instances, outputs_of};
use super::tree::{self, Tree};

/// What is compared: all sources, and the outputs of these recipes.
pub(crate) fn relevant(root: &Path, model: &Model, closure: &[usize]) -> Tree {
    let outputs: Vec<(PathBuf, Output)> =
        closure.iter().flat_map(|&at| outputs_of(&model.recipes[at])).collect();
    let keep = |path: &Path| {
        if !tree::is_output(path) {
            return !path.starts_with(".larder");
        }
        outputs.iter().any(|(output, _)| path.starts_with(output))
    };
    let mut found = tree::read(root, &keep);
    found.retain(|path, _| {
        let glob = outputs.iter().any(|(output, kind)| *kind == Output::Glob && path.starts_with(output));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !glob || (name.ends_with(".gen") && !name.starts_with("skip"))
    });
    found
}

/// Builds the sources of `root` cleanly and returns what there should be.
pub(crate) fn build(
    root: &Path,
    model: &Model,
    closure: &[usize],
    selected: &[usize],
    args: &[String],
) -> Tree {
    let aside = root.with_extension("aside");
    let sources = tree::read(root, &tree::is_source);
    fs::rename(root, &aside).unwrap();
    tree::write(&sources, root);
    for &at in closure {
        let recipe = &model.recipes[at];
        let is_selected = if selected.is_empty() { recipe.cached } else { selected.contains(&at) };
        for instance in instances(recipe) {
            let script = model
                .script(recipe)
                .replace(CLINGING, "true")
                .replace("{{matrix.m}}", instance.unwrap_or_default())
                .replace("{{var.v}}", &recipe.variable)
                .replace("{{var.p}}", model.define.as_deref().unwrap_or(&model.variable))
                .replace("{{project.name}}", "random")
                .replace("{{project.root}}", root.to_str().unwrap());
            let mut command = Command::new("sh");
            command.args(["-c", "umask 022; exec sh -e -c \"$@\"", "sh", &script, "sh"]);
            if is_selected {
                command.args(args);
            }
            command.current_dir(root.join(format!("c{}", recipe.cookbook))).env_clear();
            command.env("PATH", std::env::var_os("PATH").unwrap()).env("LANG", "C.UTF-8");
            if let Some(number) = recipe.environment {
                let name = format!("PV{number}");
                model.environment.get(&name).map(|value| command.env(&name, value));
            }
            let output = command.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "the test's own build of r{at} failed: {errors}\n{script}");
        }
    }
    let built = relevant(root, model, closure);
    tree::remove(root);
    fs::rename(&aside, root).unwrap();
    built
}
