//! `--tree` and `--graph`: the plan as a tree for people, and as a graph for programs.

use std::collections::BTreeSet;

use larder::project::OpenProject;
use larder::run::config::ConfigError;
use larder::run::plan::Plan;
use larder::run::recipe::Recipe;
use larder::run::select::Selection;
use serde_json::json;

use super::super::project::warn;
use crate::cli::GraphFormat;
use crate::exit::Exit;
use crate::printer::{Printer, Style};
use crate::units;

/// Shows each selected recipe with what it depends on below it; what was shown in full before is only named.
pub(super) fn tree(
    printer: &Printer,
    open: &OpenProject,
    selection: &Selection,
) -> Result<Exit, ConfigError> {
    let plan = Plan::build(&open.project, selection, &open.listing())?;
    warn(printer, &plan.warnings);
    let mut shown = BTreeSet::new();
    // Those that another selected one depends on are below it.
    let below: BTreeSet<usize> = plan.selected.iter().flat_map(|&at| plan.closure(at)).collect();
    let tops = plan.selected.iter().filter(|at| !below.contains(at));
    for &top in tops {
        printer.data(name(printer, &plan.recipes[top], true));
        branches(printer, &plan, top, "", &mut shown);
    }
    let recipes = units::counted(plan.recipes.len(), "recipe", "recipes");
    printer.data(format_args!("{recipes}, {} selected", plan.selected.len()));
    Ok(Exit::Success)
}

fn name(printer: &Printer, recipe: &Recipe, is_top: bool) -> String {
    let name = recipe.id.to_string();
    let name = units::printable(&name);
    let name = if is_top { printer.paint(Style::Name, &name) } else { name.into_owned() };
    let remark = match recipe {
        Recipe { persistent: true, .. } => "  persistent",
        Recipe { cache: None, .. } => "  always runs",
        _ => "",
    };
    format!("{name}{}", printer.paint(Style::Faint, remark))
}

/// Depth is bounded by the plan: it has no circles.
fn branches(printer: &Printer, plan: &Plan, at: usize, indent: &str, shown: &mut BTreeSet<usize>) {
    if !shown.insert(at) {
        return;
    }
    let below = &plan.dependencies[at];
    for (number, &on) in below.iter().enumerate() {
        let is_last = number + 1 == below.len();
        let (branch, deeper) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let is_known = shown.contains(&on) && !plan.dependencies[on].is_empty();
        let again = if is_known { printer.paint(Style::Faint, "  (as above)") } else { String::new() };
        let name = name(printer, &plan.recipes[on], false);
        printer.data(format_args!("{indent}{branch}{name}{again}"));
        branches(printer, plan, on, &format!("{indent}{deeper}"), shown);
    }
}

/// Writes the graph; an edge goes from a recipe to what it depends on.
pub(super) fn graph(
    printer: &Printer,
    open: &OpenProject,
    selection: &Selection,
    format: GraphFormat,
) -> Result<Exit, ConfigError> {
    let plan = Plan::build(&open.project, selection, &open.listing())?;
    warn(printer, &plan.warnings);
    match format {
        GraphFormat::Json => printer.json(&to_json(open, &plan)),
        GraphFormat::Dot => printer.bytes(to_dot(open, &plan).as_bytes()),
    }
    Ok(Exit::Success)
}

fn to_json(open: &OpenProject, plan: &Plan) -> serde_json::Value {
    let id = |at: usize| plan.recipes[at].id.to_string();
    let node = |at: usize| {
        let recipe = &plan.recipes[at];
        json!({
            "recipe": id(at),
            "selected": plan.selected.contains(&at),
            "has_cache": recipe.cache.is_some(),
            "persistent": recipe.persistent,
            "tags": recipe.tags,
        })
    };
    let all = 0..plan.recipes.len();
    let edge = |from: usize, to: usize| json!({ "from": id(from), "to": id(to) });
    let edges: Vec<_> =
        all.clone().flat_map(|at| plan.dependencies[at].iter().map(move |&on| edge(at, on))).collect();
    let nodes: Vec<_> = all.map(node).collect();
    json!({ "version": 1, "project": open.project.name, "nodes": nodes, "edges": edges })
}

fn to_dot(open: &OpenProject, plan: &Plan) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR\n  node [shape=box]\n", quoted(&open.project.name));
    for (at, recipe) in plan.recipes.iter().enumerate() {
        let style = match recipe {
            Recipe { persistent: true, .. } => " [style=dashed]",
            _ if plan.selected.contains(&at) => " [style=bold]",
            _ => "",
        };
        text.push_str(&format!("  {}{style}\n", quoted(&recipe.id.to_string())));
    }
    for (at, recipe) in plan.recipes.iter().enumerate() {
        for &on in &plan.dependencies[at] {
            let (from, to) = (recipe.id.to_string(), plan.recipes[on].id.to_string());
            text.push_str(&format!("  {} -> {}\n", quoted(&from), quoted(&to)));
        }
    }
    text.push_str("}\n");
    text
}

/// A quoted identifier of the DOT language; its only escape is that of the quote, but a renderer reads `\n` and the like in labels.
fn quoted(text: &str) -> String {
    format!("\"{}\"", units::printable(text).replace('\\', "\\\\").replace('"', "\\\""))
}
