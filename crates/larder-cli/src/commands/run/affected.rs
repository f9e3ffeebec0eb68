//! `--affected`: the recipes that changes since a commit concern.

use std::collections::BTreeSet;

use larder::project::OpenProject;
use larder::run::affected::affected;
use larder::run::changes::Changes;
use larder::run::recipe::RecipeId;
use larder::run::select::Selection;

use super::super::project;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::units;

/// The recipes that are left. An empty `base`: the usual one.
pub(super) fn only(printer: &Printer, open: &OpenProject, base: &str) -> Result<BTreeSet<RecipeId>, Exit> {
    let base = (!base.is_empty()).then_some(base);
    let changes = Changes::since(&open.project.root, base);
    let changes = changes.map_err(|error| project::fail(printer, &error, error.hint()))?;
    let everything = Selection::everything();
    let resolved = open.project.resolve(&everything, &open.listing());
    let resolved = resolved.map_err(|error| project::refuse(printer, &error))?;
    let found = affected(&open.project, &resolved, &open.worktree, &changes);
    let found = found.map_err(|error| project::fail(printer, &error, error.hint().as_deref()))?;
    let files = changes.paths.len();
    printer.talk(format_args!(
        "  {} since {} {} {} of {}",
        units::counted(files, "changed path", "changed paths"),
        units::printable(&changes.base),
        if files == 1 { "concerns" } else { "concern" },
        found.len(),
        units::counted(resolved.recipes.len(), "recipe", "recipes"),
    ));
    for (id, cause) in &found {
        tracing::debug!(recipe = %id, %cause, "affected");
    }
    Ok(found.into_keys().collect())
}
