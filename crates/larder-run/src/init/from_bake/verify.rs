//! Whether the new project is the old one: both are resolved, and their recipes compared field by field.
//!
//! The new files are written to a temporary folder with everything that configuration reads; no command of the project runs, so what commands print is nothing in
//! both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::NewText;
use crate::config::{ConfigError, LoadOptions, Project, Resolved, WalkListing};
use crate::diagnostic::Diagnostic;
use crate::recipe::Recipe;
use crate::template::Execution;

/// What is wrong with the new files, or is not as it was.
pub(super) fn verify(
    folder: &Path,
    root_file: &Path,
    files: &[NewText],
    env: &BTreeMap<String, String>,
) -> io::Result<Vec<Diagnostic>> {
    let copy = tempfile::tempdir()?;
    for file in files {
        let path = copy.path().join(&file.path);
        fs::create_dir_all(path.parent().unwrap_or(copy.path()))?;
        fs::write(path, &file.text)?;
    }
    let load = |folder: &Path, root_file: &Path, name: Option<&String>| {
        let mut options = LoadOptions::new(folder, &WalkListing);
        options.root_file = Some(root_file.to_owned());
        options.env = env.clone();
        options.environment_name = name.cloned();
        options.execution = Execution::Inert;
        Project::load(options)
    };
    let before = match load(folder, root_file, None) {
        Ok(project) => project,
        Err(error) => return Ok(error.diagnostics()),
    };
    for file in before.env_files() {
        let path = copy.path().join(&file);
        if let Ok(text) = fs::read(folder.join(&file)) {
            fs::create_dir_all(path.parent().unwrap_or(copy.path()))?;
            fs::write(path, text)?;
        }
    }
    let names: Vec<Option<String>> =
        [None].into_iter().chain(before.override_names().into_iter().map(Some)).collect();
    let mut found = Vec::new();
    for name in &names {
        let all = |project: Project| project.resolve_all(&WalkListing, Execution::Inert);
        let new = Path::new("larder.yml");
        let told = match (
            load(folder, root_file, name.as_ref()).and_then(all),
            load(copy.path(), new, name.as_ref()).and_then(all),
        ) {
            (Ok(before), Ok(after)) => differences(before, after),
            (Err(error), _) | (_, Err(error)) => errors(&error),
        };
        for one in told {
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

fn errors(error: &ConfigError) -> Vec<Diagnostic> {
    error.diagnostics().into_iter().filter(Diagnostic::is_error).collect()
}

fn differences(before: Resolved, after: Resolved) -> Vec<Diagnostic> {
    let by_name = |resolved: Resolved| -> BTreeMap<String, Recipe> {
        resolved.recipes.into_iter().map(|recipe| (recipe.id.to_string(), recipe)).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let mut found = Vec::new();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (message, at) = match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) => match fields(old, new).as_slice() {
                [] => continue,
                different => (format!("`{name}` would not be the same: {}", different.join(", ")), new),
            },
            (Some(old), None) => (format!("`{name}` would be gone"), old),
            (None, Some(new)) => (format!("`{name}` would be new"), new),
            (None, None) => continue,
        };
        found.push(Diagnostic::error(message).at(at.place.clone(), None, 1));
    }
    found
}

/// The fields that differ.
fn fields(old: &Recipe, new: &Recipe) -> Vec<&'static str> {
    let told = [
        ("`description`", old.description == new.description),
        ("`run`", old.run == new.run),
        ("`shell`", old.shell == new.shell),
        ("`dependencies`", old.dependencies == new.dependencies),
        ("`cache`", old.cache == new.cache),
        ("`environment`", old.environment == new.environment),
        ("`variables`", old.variables == new.variables),
        ("`tags`", old.tags == new.tags),
        ("`tools`", old.tools == new.tools),
        ("`timeout`", old.timeout == new.timeout),
        ("`retries`", old.retries == new.retries),
        ("`persistent`", old.persistent == new.persistent),
        ("`cleanEnvironment`", old.inherit_environment == new.inherit_environment),
    ];
    told.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

/// Files of a folder's configuration, relative, that are neither the root file nor cookbooks.
pub(super) fn beside(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for base in [".bake", ".larder"] {
        let place = Path::new(base).join(kind);
        let entries = fs::read_dir(folder.join(&place)).into_iter().flatten().flatten();
        found.extend(
            entries
                .map(|entry| place.join(entry.file_name()))
                .filter(|path| path.extension().is_some_and(|end| end == "yml" || end == "yaml")),
        );
    }
    found.sort();
    found
}
