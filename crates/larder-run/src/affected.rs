//! Changed paths → the recipes that they concern, with all that depends on these.
//!
//! When in doubt a recipe is affected: a change of the project's own files (root file, templates, helpers, what `env_file` names) concerns
//! all recipes, one of a cookbook all of its recipes, one of an ignore file all whose folder it has a say in, and a recipe without `cache`, whose
//! inputs nobody knows, is concerned by everything in its cookbook's folder.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::changes::Changes;
use crate::config::discover::IGNORE_FILES;
use crate::config::{Project, Resolved};
use crate::engine::input_set;
use crate::recipe::{Recipe, RecipeId};
use crate::worktree::{EntryKind, InputError, Worktree};

/// Why a recipe is affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// One of its inputs, or a tool of the project.
    Input(PathBuf),
    /// A file that says what it is.
    Definition(PathBuf),
    /// A recipe that it depends on.
    Dependency(RecipeId),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(path) | Self::Definition(path) => write!(f, "{}", path.display()),
            Self::Dependency(id) => write!(f, "{id}"),
        }
    }
}

/// The affected ones of `resolved`, which should be all recipes of the project, each with one cause.
///
/// # Errors
/// When inputs cannot be read.
pub fn affected(
    project: &Project,
    resolved: &Resolved,
    worktree: &Worktree,
    changes: &Changes,
) -> Result<BTreeMap<RecipeId, Cause>, InputError> {
    let mut found = BTreeMap::new();
    if changes.paths.is_empty() {
        return Ok(found);
    }
    let definitions = project.definitions();
    let of_all = changes.paths.iter().find(|path| {
        is_shared(path) || definitions.iter().any(|(file, cookbook)| file == *path && cookbook.is_none())
    });
    for recipe in &resolved.recipes {
        let of_book = || {
            let owns = |path: &&PathBuf| {
                definitions
                    .iter()
                    .any(|(file, book)| file == *path && book.as_ref() == Some(&recipe.id.cookbook))
            };
            changes.paths.iter().find(owns)
        };
        let definition = of_all.or_else(of_book).or_else(|| ignore_file(recipe, changes));
        let cause = match definition {
            Some(path) => Some(Cause::Definition(path.clone())),
            None => input(recipe, &project.root, worktree, changes)?.map(Cause::Input),
        };
        found.extend(cause.map(|cause| (recipe.id.clone(), cause)));
    }
    let mut open: Vec<RecipeId> = found.keys().cloned().collect();
    while let Some(id) = open.pop() {
        for dependent in resolved.recipes.iter().filter(|recipe| recipe.dependencies.contains(&id)) {
            if !found.contains_key(&dependent.id) {
                found.insert(dependent.id.clone(), Cause::Dependency(id.clone()));
                open.push(dependent.id.clone());
            }
        }
    }
    Ok(found)
}

/// Templates and helpers.
fn is_shared(path: &Path) -> bool {
    let mut parts = path.components().map(Component::as_os_str);
    parts.next().is_some_and(|first| first == ".larder" || first == ".bake")
        && parts.next().is_some_and(|second| second == "templates" || second == "helpers")
}

/// A changed ignore file that has a say in what the recipe's wildcards find.
fn ignore_file<'c>(recipe: &Recipe, changes: &'c Changes) -> Option<&'c PathBuf> {
    changes.paths.iter().find(|path| {
        let folder = path.parent().unwrap_or(Path::new(""));
        path.file_name().is_some_and(|name| IGNORE_FILES.iter().any(|ignore| name == *ignore))
            && (recipe.folder.starts_with(folder) || folder.starts_with(&recipe.folder))
    })
}

fn input(
    recipe: &Recipe,
    root: &Path,
    worktree: &Worktree,
    changes: &Changes,
) -> Result<Option<PathBuf>, InputError> {
    let tools: Vec<PathBuf> = recipe
        .tools
        .iter()
        .filter(|tool| tool.contains('/'))
        .filter_map(|tool| lexical(&recipe.folder.join(tool)))
        .collect();
    if let Some(path) = changes.paths.iter().find(|path| tools.contains(path)) {
        return Ok(Some(path.clone()));
    }
    let Some(spec) = input_set(recipe) else {
        return Ok(changes.paths.iter().find(|path| path.starts_with(&recipe.folder)).cloned());
    };
    let entries = worktree.entries(&spec)?;
    let is_there = |path: &&PathBuf| {
        entries.iter().any(|entry| entry.path == **path && !matches!(entry.kind, EntryKind::Directory { .. }))
    };
    if let Some(path) = changes.paths.iter().find(is_there) {
        return Ok(Some(path.clone()));
    }
    // What is gone is in no list: would the patterns name it, or did a link lead there?
    let targets: Vec<PathBuf> = entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            EntryKind::Symlink { target } => {
                lexical(&entry.path.parent().unwrap_or(Path::new("")).join(target))
            }
            _ => None,
        })
        .collect();
    for path in &changes.paths {
        let is_gone = root.join(path).symlink_metadata().is_err();
        if is_gone && (spec.names(path)? || targets.iter().any(|target| path.starts_with(target))) {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

/// `a/../b` as `b`; `None`: outside.
fn lexical(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}
