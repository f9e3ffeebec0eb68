//! `--show-plan`, `--render`, `--check`: the configuration as it is understood, without running it.

use std::collections::BTreeSet;

use larder::project::OpenProject;
use larder::run::config::{ConfigError, Resolved};
use larder::run::diagnostic::Diagnostic;
use larder::run::plan::Plan;
use larder::run::recipe::RecipeId;
use larder::run::select::Selection;
use serde_json::json;

use super::super::project::warn;
use crate::exit::Exit;
use crate::printer::{Printer, Style};
use crate::units;
use crate::yaml;

/// Shows what would be looked up or run, dependencies first.
pub(super) fn show(
    printer: &Printer,
    open: &OpenProject,
    selection: &Selection,
    as_json: bool,
) -> Result<Exit, ConfigError> {
    let plan = Plan::build(&open.project, selection, &open.listing())?;
    warn(printer, &plan.warnings);
    warn(printer, &plan.idle_inputs(&open.project, &open.listing()));
    if as_json {
        printer.json(&to_json(open, &plan));
        return Ok(Exit::Success);
    }
    let digits = plan.recipes.len().to_string().len();
    for (at, recipe) in plan.recipes.iter().enumerate() {
        let name = recipe.id.to_string();
        let name = units::printable(&name);
        let name =
            if plan.selected.contains(&at) { printer.paint(Style::Name, &name) } else { name.into_owned() };
        let mut remarks = Vec::new();
        if recipe.persistent {
            remarks.push("persistent".to_owned());
        } else if recipe.cache.is_none() {
            remarks.push("always runs".to_owned());
        }
        let after: Vec<String> = plan.dependencies[at].iter().map(|on| (on + 1).to_string()).collect();
        if !after.is_empty() {
            remarks.push(format!("after {}", ranges(&plan.dependencies[at])));
        }
        let remarks = printer.paint(Style::Faint, &remarks.join(", "));
        printer.data(format!("{:>digits$}  {name}  {remarks}", at + 1).trim_end());
    }
    for skipped in &plan.skipped {
        let name = skipped.to_string();
        printer.data(format_args!("{:>digits$}  {}  `when` is false", "-", units::printable(&name)));
    }
    let recipes = units::counted(plan.recipes.len(), "recipe", "recipes");
    printer.data(format_args!("{recipes}, {} selected", plan.selected.len()));
    Ok(Exit::Success)
}

/// `1-10, 12` for indices from 0.
fn ranges(indices: &[usize]) -> String {
    let sorted: BTreeSet<usize> = indices.iter().map(|at| at + 1).collect();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for at in sorted {
        match spans.last_mut() {
            Some((_, end)) if *end + 1 == at => *end = at,
            _ => spans.push((at, at)),
        }
    }
    let span = |(start, end): &(usize, usize)| match end - start {
        0 => start.to_string(),
        1 => format!("{start}, {end}"),
        _ => format!("{start}-{end}"),
    };
    spans.iter().map(span).collect::<Vec<_>>().join(", ")
}

fn to_json(open: &OpenProject, plan: &Plan) -> serde_json::Value {
    let recipe = |at: usize| {
        let recipe = &plan.recipes[at];
        json!({
            "recipe": recipe.id.to_string(),
            "selected": plan.selected.contains(&at),
            "has_cache": recipe.cache.is_some(),
            "persistent": recipe.persistent,
            "dependencies": recipe.dependencies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    json!({
        "version": 1,
        "project": open.project.name,
        "recipes": (0..plan.recipes.len()).map(recipe).collect::<Vec<_>>(),
        "skipped": plan.skipped.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Shows the recipes as they are after templating, as YAML or JSON.
pub(super) fn render(
    printer: &Printer,
    open: &OpenProject,
    selection: &Selection,
    as_json: bool,
) -> Result<Exit, ConfigError> {
    let resolved = open.project.resolve(selection, &open.listing())?;
    warn(printer, &resolved.warnings);
    let rendered = open.project.render(&resolved);
    if as_json {
        printer.json(&rendered);
    } else {
        printer.bytes(yaml::to_text(&rendered).as_bytes());
    }
    Ok(Exit::Success)
}

/// Checks everything: every recipe is rendered, and planned with what it depends on.
///
/// Recipes that are never in one plan may write the same paths (a debug and a release build), so it is not all of them that
/// are planned at once, but the default selection, and each recipe that nothing depends on.
/// Selectors and tags select nothing here, but they must be right.
pub(super) fn check(
    printer: &Printer,
    open: &OpenProject,
    selection: &Selection,
    as_json: bool,
) -> Result<Exit, ConfigError> {
    let (project, listing) = (&open.project, open.listing());
    if !selection.selectors.is_empty() || !selection.tags.is_empty() {
        project.resolve(selection, &listing)?;
    }
    let recipes = project.list(&listing)?.len();
    if recipes > 0 {
        let everything = Selection::everything();
        let resolved = project.resolve(&everything, &listing)?;
        warn(printer, &resolved.warnings);
        let mut told: BTreeSet<String> = resolved.warnings.iter().map(ToString::to_string).collect();
        for part in parts(&resolved) {
            let plan = Plan::new(project, part)?;
            let idle = plan.idle_inputs(project, &listing);
            let new = |warning: &&Diagnostic| told.insert(warning.to_string());
            plan.warnings.iter().chain(&idle).filter(new).for_each(|warning| printer.diagnostic(warning));
        }
        if !project.default.is_empty() {
            Plan::build(project, &Selection::default(), &listing)?;
        }
    }
    let (cookbooks, templates) = (project.cookbooks.len(), project.templates.len());
    if as_json {
        printer.json(&json!({
            "version": 1, "project": project.name, "root_file": project.root_file.to_string_lossy(),
            "cookbooks": cookbooks, "recipes": recipes, "templates": templates, "good": true,
        }));
    } else {
        let mut checked = vec![
            project.root_file.display().to_string(),
            units::counted(cookbooks, "cookbook", "cookbooks"),
            units::counted(recipes, "recipe", "recipes"),
        ];
        if templates > 0 {
            checked.push(units::counted(templates, "template", "templates"));
        }
        printer.data(format_args!("checked {}: all good", checked.join(", ")));
    }
    Ok(Exit::Success)
}

/// Each recipe that nothing depends on, with all that it depends on; then what is in none of these (a cycle), one by one.
fn parts(resolved: &Resolved) -> Vec<Resolved> {
    let recipes = &resolved.recipes;
    let at = |id: &RecipeId| recipes.iter().position(|recipe| recipe.id == *id);
    let direct: Vec<Vec<usize>> =
        recipes.iter().map(|recipe| recipe.dependencies.iter().filter_map(at).collect()).collect();
    let depended: BTreeSet<usize> = direct.iter().flatten().copied().collect();
    let (inner, outer): (Vec<usize>, Vec<usize>) = (0..recipes.len()).partition(|at| depended.contains(at));
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut parts = Vec::new();
    for top in outer.into_iter().chain(inner) {
        if seen.contains(&top) {
            continue;
        }
        let mut closure = BTreeSet::from([top]);
        let mut open = vec![top];
        while let Some(at) = open.pop() {
            open.extend(direct[at].iter().copied().filter(|&on| closure.insert(on)));
        }
        seen.extend(&closure);
        parts.push(Resolved {
            recipes: closure.iter().map(|&at| recipes[at].clone()).collect(),
            selected: vec![recipes[top].id.clone()],
            skipped: Vec::new(),
            warnings: Vec::new(),
        });
    }
    parts
}
