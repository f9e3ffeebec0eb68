//! `larder run --list`: the recipes by cookbook. Runs no command.

use larder::project::OpenProject;
use larder::run::config::{ConfigError, Listed};
use larder::run::select::{self, Selection};
use serde_json::json;

use crate::exit::Exit;
use crate::printer::{Printer, Style};
use crate::units;

/// Lists all recipes, or those that are selected.
pub(super) fn list(
    printer: &Printer,
    open: &OpenProject,
    selection: &Selection,
    as_json: bool,
) -> Result<Exit, ConfigError> {
    let mut all = open.project.list(&open.listing())?;
    let everything =
        Selection { tags: selection.tags.clone(), only: selection.only.clone(), ..Selection::everything() };
    if !selection.selectors.is_empty() || !selection.tags.is_empty() || selection.only.is_some() {
        let wanted = select::pick(
            if selection.selectors.is_empty() { &everything } else { selection },
            &all,
            &[],
            open.project.mode,
        )?;
        all.retain(|listed| wanted.contains(&listed.id));
    }
    if as_json {
        printer.json(&to_json(open, &all));
    } else {
        text(printer, &all);
    }
    Ok(Exit::Success)
}

fn to_json(open: &OpenProject, all: &[Listed]) -> serde_json::Value {
    let recipe = |listed: &Listed| {
        json!({
            "recipe": listed.id.to_string(),
            "cookbook": listed.id.cookbook,
            "name": listed.id.recipe,
            "instance": listed.id.instance,
            "description": listed.description,
            "tags": listed.tags,
            "has_cache": listed.is_cached,
            "persistent": listed.is_persistent,
            "file": listed.place.file.to_string_lossy(),
            "line": listed.place.line,
        })
    };
    let recipes: Vec<_> = all.iter().map(recipe).collect();
    json!({ "version": 1, "project": open.project.name, "default": open.project.default, "recipes": recipes })
}

fn text(printer: &Printer, all: &[Listed]) {
    let width = |listed: &Listed| console::measure_text_width(&listed.id.to_string());
    let widest = all.iter().map(width).filter(|width| *width <= 48).max().unwrap_or(0);
    let mut cookbook = None;
    for listed in all {
        if cookbook != Some(&listed.id.cookbook) {
            if cookbook.is_some() {
                printer.data("");
            }
            cookbook = Some(&listed.id.cookbook);
            let file = units::printable(&listed.place.file.to_string_lossy()).into_owned();
            let name = printer.paint(Style::Name, &units::printable(&listed.id.cookbook));
            printer.data(format_args!("{name}  {}", printer.paint(Style::Faint, &file)));
        }
        let name = listed.id.to_string();
        let gap = " ".repeat(widest.saturating_sub(width(listed)));
        let description =
            listed.description.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let mut remarks: Vec<String> = listed.tags.iter().map(|tag| format!("#{tag}")).collect();
        if listed.is_persistent {
            remarks.push("persistent".to_owned());
        } else if !listed.is_cached {
            remarks.push("always runs".to_owned());
        }
        let remarks = printer.paint(Style::Faint, &units::printable(&remarks.join(" ")));
        let line = format!("  {}{gap}  {}", units::printable(&name), units::printable(description));
        let space = if description.is_empty() { "" } else { "  " };
        printer.data(format!("{line}{space}{remarks}").trim_end());
    }
    let count = units::counted(all.len(), "recipe", "recipes");
    if all.is_empty() {
        printer.talk(count);
    }
}
