//! Input patterns that match nothing, or nothing but folders: probably misspelt, and certainly without effect.
//!
//! This looks at the disk, so it is asked for by whoever shows or checks a plan, not by a run. Patterns without wildcards
//! are left alone (what they name counts as absent), and so are those into which a recipe of the plan writes.

use std::collections::BTreeSet;

use super::{Plan, overlap};
use crate::config::patterns::is_wild;
use crate::config::{Listing, Project};
use crate::diagnostic::Diagnostic;
use crate::recipe::{Inputs, Recipe};

impl Plan {
    /// A warning for each such pattern of each recipe; the instances of a matrix are one recipe.
    #[must_use]
    pub fn idle_inputs(&self, project: &Project, listing: &dyn Listing) -> Vec<Diagnostic> {
        let index = overlap::Index::new(&self.outputs);
        let mut told = BTreeSet::new();
        let mut found = Vec::new();
        for recipe in &self.recipes {
            let Some(Inputs::Patterns(patterns)) = recipe.cache.as_ref().map(|cache| &cache.inputs) else {
                continue;
            };
            for pattern in patterns.iter().filter(|pattern| is_asked(pattern)) {
                let name = format!("{}:{}", recipe.id.cookbook, recipe.id.recipe);
                if !index.writers(pattern, recipe, &project.root, &self.outputs).is_empty() {
                    continue;
                }
                let Some((problem, hint)) = judge(pattern, recipe, listing) else { continue };
                if told.insert((name.clone(), pattern)) {
                    let message = format!("input pattern `{pattern}` of `{name}` {problem}");
                    let warning = Diagnostic::warning(message).with_hint(hint);
                    found.push(project.locate(warning, &recipe.place, recipe.id.recipe.chars().count()));
                }
            }
        }
        found
    }
}

fn is_asked(pattern: &str) -> bool {
    !pattern.starts_with('!') && pattern.split('/').any(is_wild)
}

/// What is wrong with a pattern, and what can be done; nothing if it matches a file, or if nobody can tell.
fn judge(pattern: &str, recipe: &Recipe, listing: &dyn Listing) -> Option<(&'static str, String)> {
    let finds =
        |pattern: String| listing.glob(&recipe.folder, &[pattern]).ok().map(|files| !files.is_empty());
    if finds(pattern.to_owned())? {
        return None;
    }
    if finds(format!("{}/**", pattern.trim_end_matches('/')))? {
        let hint = format!("wildcards match files, never folders: `{}/**`", pattern.trim_end_matches('/'));
        return Some(("matches only folders, and so nothing", hint));
    }
    let hint =
        "is it misspelt? Wildcards leave out what ignore files name; a path without wildcards does not";
    Some(("matches no file", hint.to_owned()))
}
