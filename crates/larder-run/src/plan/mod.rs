//! The graph of what will run: order, dependents, and what would be wrong.
//!
//! A [`Plan`] is deterministic: the same recipes give the same order. Refused are cycles, outputs of two recipes that overlap,
//! and an input that another recipe of the plan writes without being a dependency, direct or not. Where two globs cannot be
//! compared without the disk, [`Plan::find_collision`] tells at run time.

mod idle;
mod overlap;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use overlap::{Covers, OutputSet};

use crate::config::{ConfigError, Listing, Project, Resolved};
use crate::diagnostic::Diagnostic;
use crate::recipe::{Inputs, Recipe, RecipeId};
use crate::select::Selection;

/// What will run, in an order that is right.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Each recipe after all its dependencies.
    pub recipes: Vec<Recipe>,
    /// Indices of direct dependencies.
    pub dependencies: Vec<Vec<usize>>,
    /// Indices of direct dependents.
    pub dependents: Vec<Vec<usize>>,
    /// Indices of the recipes that were asked for: ARGS are for these.
    pub selected: Vec<usize>,
    /// Recipes whose `when` is false.
    pub skipped: Vec<RecipeId>,
    /// What was found and is no error.
    pub warnings: Vec<Diagnostic>,
    outputs: Vec<OutputSet>,
}

impl Plan {
    /// Resolves a selection and plans it.
    ///
    /// # Errors
    /// As [`Project::resolve`] and [`Plan::new`].
    pub fn build(
        project: &Project,
        selection: &Selection,
        listing: &dyn Listing,
    ) -> Result<Self, ConfigError> {
        let resolved = project.resolve(selection, listing)?;
        Self::new(project, resolved)
    }

    /// Plans resolved recipes.
    ///
    /// # Errors
    /// Cycles, overlapping outputs, inputs that a recipe writes which is no dependency.
    pub fn new(project: &Project, resolved: Resolved) -> Result<Self, ConfigError> {
        let Resolved { recipes, selected, skipped, warnings } = resolved;
        let invalid = |diagnostics| Err(ConfigError::Invalid { diagnostics });
        let order = match order(&recipes) {
            Ok(order) => order,
            Err(cycle) => {
                let first = recipes.iter().find(|recipe| Some(&recipe.id) == cycle.first());
                let path: Vec<String> = cycle.iter().map(|id| format!("`{id}`")).collect();
                let found = Diagnostic::error(format!("recipes depend on each other: {}", path.join(" → ")))
                    .with_hint("each waits for the other: one of these `dependencies` must go");
                let found = match first {
                    Some(recipe) => project.locate(found, &recipe.place, recipe.id.recipe.chars().count()),
                    None => found,
                };
                return invalid(vec![found]);
            }
        };
        let mut slots: Vec<Option<Recipe>> = recipes.into_iter().map(Some).collect();
        let recipes: Vec<Recipe> = order.into_iter().filter_map(|at| slots[at].take()).collect();
        let index: BTreeMap<&RecipeId, usize> =
            recipes.iter().enumerate().map(|(at, r)| (&r.id, at)).collect();
        let dependencies: Vec<Vec<usize>> = recipes
            .iter()
            .map(|recipe| recipe.dependencies.iter().filter_map(|id| index.get(id).copied()).collect())
            .collect();
        let mut dependents = vec![Vec::new(); recipes.len()];
        for (at, direct) in dependencies.iter().enumerate() {
            for &dependency in direct {
                dependents[dependency].push(at);
            }
        }
        let wanted: BTreeSet<&RecipeId> = selected.iter().collect();
        let selected = (0..recipes.len()).filter(|&at| wanted.contains(&recipes[at].id)).collect();
        let outputs = recipes.iter().map(|recipe| OutputSet::new(recipe, &project.root)).collect();
        let plan = Self { recipes, dependencies, dependents, selected, skipped, warnings, outputs };
        let found = plan.conflicts(project);
        if found.is_empty() { Ok(plan) } else { invalid(found) }
    }

    /// Which other recipe of the plan surely writes this path (relative to the project): the check at run time for
    /// what globs could not tell before.
    #[must_use]
    pub fn find_collision(&self, recipe: usize, path: &Path) -> Option<&RecipeId> {
        let path = path.to_str()?;
        let other = |at: &usize| *at != recipe && self.outputs[*at].holds(path);
        (0..self.recipes.len()).find(other).map(|at| &self.recipes[at].id)
    }

    /// All recipes that `recipe` depends on, directly or not.
    #[must_use]
    pub fn closure(&self, recipe: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = self.dependencies[recipe].clone();
        while let Some(at) = open.pop() {
            if found.insert(at) {
                open.extend(&self.dependencies[at]);
            }
        }
        found
    }

    fn conflicts(&self, project: &Project) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let index = overlap::Index::new(&self.outputs);
        for at in 0..self.recipes.len() {
            for (pattern, other, theirs) in index.overlapping(at, &self.outputs) {
                let (one, two) = (&self.recipes[other], &self.recipes[at]);
                let both = if theirs == pattern {
                    format!("`{pattern}`")
                } else {
                    format!("`{theirs}` and `{pattern}`")
                };
                let message = format!("outputs of `{}` and `{}` overlap: {both}", one.id, two.id);
                let hint =
                    "each path belongs to one recipe: narrow the `outputs`, or let one recipe make both";
                let width = two.id.recipe.chars().count();
                found.push(project.locate(Diagnostic::error(message).with_hint(hint), &two.place, width));
            }
            self.foreign_inputs(project, at, &index, &mut found);
        }
        found
    }

    /// Listed inputs that a recipe writes which is no dependency.
    fn foreign_inputs(
        &self,
        project: &Project,
        at: usize,
        index: &overlap::Index,
        found: &mut Vec<Diagnostic>,
    ) {
        let recipe = &self.recipes[at];
        let Some(Inputs::Patterns(patterns)) = recipe.cache.as_ref().map(|cache| &cache.inputs) else {
            return;
        };
        let mut closure = None;
        let mut told = BTreeSet::new();
        for pattern in patterns.iter().filter(|pattern| !pattern.starts_with('!')) {
            if let Some(own) = overlap::own_output(pattern, recipe, &project.root, &self.outputs[at]) {
                let message = format!("`{}` reads `{pattern}`, which is its own output `{own}`", recipe.id);
                let hint = "what a recipe makes is no input of it: keep what it reads elsewhere, or declare less as output";
                let width = recipe.id.recipe.chars().count();
                found.push(project.locate(Diagnostic::error(message).with_hint(hint), &recipe.place, width));
                continue;
            }
            for writer in index.writers(pattern, recipe, &project.root, &self.outputs) {
                let known = closure.get_or_insert_with(|| self.closure(at));
                if writer == at || known.contains(&writer) || !told.insert(writer) {
                    continue;
                }
                let other = &self.recipes[writer].id;
                let message = format!("`{}` reads `{pattern}`, which `{other}` writes", recipe.id);
                let label = format!("does not depend on `{other}`");
                let hint = format!("add `{other}` to its `dependencies`, or exclude the path with `!`");
                let found_one = Diagnostic::error(message).with_label(label).with_hint(hint);
                found.push(project.locate(found_one, &recipe.place, recipe.id.recipe.chars().count()));
            }
        }
    }
}

/// Indices in an order where dependencies come first; ties by name. `Err`: a cycle, its first name repeated at the end.
fn order(recipes: &[Recipe]) -> Result<Vec<usize>, Vec<RecipeId>> {
    let index: BTreeMap<&RecipeId, usize> = recipes.iter().enumerate().map(|(at, r)| (&r.id, at)).collect();
    let direct: Vec<Vec<usize>> = recipes
        .iter()
        .map(|recipe| recipe.dependencies.iter().filter_map(|id| index.get(id).copied()).collect())
        .collect();
    let mut waiting: Vec<usize> = direct.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); recipes.len()];
    for (at, dependencies) in direct.iter().enumerate() {
        for &dependency in dependencies {
            dependents[dependency].push(at);
        }
    }
    let mut ready: BTreeSet<(&RecipeId, usize)> =
        (0..recipes.len()).filter(|&at| waiting[at] == 0).map(|at| (&recipes[at].id, at)).collect();
    let mut order = Vec::with_capacity(recipes.len());
    while let Some((_, at)) = ready.pop_first() {
        order.push(at);
        for &dependent in &dependents[at] {
            waiting[dependent] -= 1;
            if waiting[dependent] == 0 {
                ready.insert((&recipes[dependent].id, dependent));
            }
        }
    }
    if order.len() == recipes.len() {
        return Ok(order);
    }
    // Everything that still waits leads into a cycle: walk until something comes again.
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..recipes.len()).filter(|&at| waiting[at] > 0).min_by_key(|&at| &recipes[at].id);
    while let Some(current) = at {
        if let Some(start) = path.iter().position(|&known| known == current) {
            let mut cycle: Vec<RecipeId> = path[start..].iter().map(|&at| recipes[at].id.clone()).collect();
            cycle.extend(cycle.first().cloned());
            return Err(cycle);
        }
        path.push(current);
        at = direct[current].iter().copied().find(|&next| waiting[next] > 0);
    }
    Err(path.into_iter().map(|at| recipes[at].id.clone()).collect())
}

#[cfg(test)]
mod tests;
