//! What a recipe should declare, from what its command was seen to touch: `larder run --suggest-inputs`.
//!
//! ```text
//! mod.rs    [`propose`]: observed recipes → [`Proposal`]s        fold.rs   paths → a few patterns
//! seen.rs   a trace → what of it is in question                  tools.rs  programs → `tools:`
//! apply.rs  proposals → new texts of cookbooks, and whether these mean what was meant
//! ```
//! A proposal only adds: patterns to `cache.inputs`, names to `tools`. What is declared and was never touched is a note, because one run
//! shows one path through a program. The instances of a matrix are one recipe here, as they are in the cookbook.
//!
//! What is in question is what [`Undeclared`] names. A recipe that does not list its inputs and touched nothing else than what it may is left
//! alone; if it did, it gets the whole list, because there is no list to add to.
//!
//! Nothing here is promised about what a command would do with other inputs, other ARGS or on another machine.

mod apply;
mod fold;
mod seen;
mod tools;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use apply::{ByHand, Edited, FileEdit, Refusal, axes, check, edit};

use crate::recipe::{Inputs, Recipe, RecipeId};
use crate::trace::{Trace, Undeclared};
use crate::worktree::Worktree;
use seen::Seen;

/// One recipe, with what its command touched.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The recipe, as it ran.
    pub recipe: &'a Recipe,
    /// All that was seen.
    pub trace: &'a Trace,
    /// Of that, what is not declared.
    pub undeclared: &'a Undeclared,
    /// It was named by who asked, so that `cache` may be proposed where there is none.
    pub is_named: bool,
}

/// Where recipes ran.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The project's root.
    pub root: &'a Path,
    /// What is on disk, now that the recipes ran.
    pub worktree: &'a Worktree,
    /// The user's own folder.
    pub home: Option<&'a Path>,
    /// The folders of `PATH`.
    pub path: &'a [PathBuf],
    /// Every recipe that is known, to tell whose output something is.
    pub recipes: &'a [Recipe],
    /// The axes of a recipe's matrix, in order, by cookbook and recipe.
    pub axes: &'a BTreeMap<(String, String), Vec<String>>,
}

/// What to add to one recipe of a cookbook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The cookbook's name.
    pub cookbook: String,
    /// The recipe's name there.
    pub recipe: String,
    /// It has no `cache`; inputs and outputs are for a new one.
    pub is_new: bool,
    /// Patterns for `cache.inputs`, as they stand in a cookbook.
    pub inputs: Vec<String>,
    /// Patterns for `cache.outputs`; only for a recipe without `cache`.
    pub outputs: Vec<String>,
    /// Programs for `tools`.
    pub tools: Vec<String>,
    /// What cannot be proposed, and what seems to be too much.
    pub notes: Vec<Note>,
}

impl Proposal {
    /// There is nothing to add.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty() && self.tools.is_empty()
    }
}

/// What a person should know about a recipe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// The trace is not whole, so that nothing was proposed.
    Incomplete {
        /// Why.
        reason: String,
    },
    /// A declared input of which nothing was read.
    NeverRead {
        /// As declared, relative to the cookbook.
        pattern: String,
    },
    /// A declared tool that was not run.
    NeverRun {
        /// As declared.
        tool: String,
    },
    /// Read below the user's own folder, which cannot be an input.
    Home {
        /// The path, or the folder that has it all, as `~/…`.
        folder: String,
        /// How many paths.
        paths: usize,
    },
    /// Read below `.git`.
    Git,
    /// Python's compiled modules beside their sources.
    Bytecode,
    /// One of its own outputs, left there by an earlier run, was read.
    OwnOutput {
        /// Relative to the project's root.
        path: PathBuf,
    },
    /// Made by another recipe that this one does not depend on.
    Foreign {
        /// What was read, relative to the project's root.
        path: PathBuf,
        /// Who makes it.
        by: RecipeId,
    },
    /// In a folder that was listed, and made by another recipe that this one does not depend on.
    Lists {
        /// What is there, relative to the project's root.
        path: PathBuf,
        /// Who makes it.
        by: RecipeId,
    },
    /// Written in the project, and no output.
    Writes {
        /// Relative to the project's root.
        path: PathBuf,
    },
    /// It has no `cache`, so that it needs no inputs.
    NotCached,
}

/// What to add, recipe by recipe, in the order of names. Of recipes that failed the caller observes nothing.
#[must_use]
pub fn propose(place: &Place<'_>, observed: &[Observed<'_>]) -> Vec<Proposal> {
    let mut groups: BTreeMap<(&str, &str), Vec<Observed<'_>>> = BTreeMap::new();
    for one in observed {
        let id = &one.recipe.id;
        groups.entry((&id.cookbook, &id.recipe)).or_default().push(*one);
    }
    groups.values().map(|instances| one(place, instances)).collect()
}

/// The proposal for the instances of one recipe.
fn one(place: &Place<'_>, instances: &[Observed<'_>]) -> Proposal {
    let recipe = instances[0].recipe;
    let id = &recipe.id;
    let mut proposal =
        Proposal { cookbook: id.cookbook.clone(), recipe: id.recipe.clone(), ..Proposal::default() };
    if let Some(reason) = instances.iter().find_map(|one| one.trace.incomplete.clone()) {
        proposal.notes.push(Note::Incomplete { reason });
        return proposal;
    }
    let mut seen = Seen::default();
    let mut never_read: Option<BTreeSet<String>> = None;
    let mut unused: Option<BTreeSet<String>> = None;
    for one in instances {
        let this = Seen::of(place, one);
        let never = this.never_read(place, one.recipe);
        never_read =
            Some(never_read.map_or(never.clone(), |all| all.intersection(&never).cloned().collect()));
        let idle: BTreeSet<String> = tools::unused(place, one);
        unused = Some(unused.map_or(idle.clone(), |all| all.intersection(&idle).cloned().collect()));
        proposal.tools.extend(tools::used(place, one));
        seen.merge(this);
    }
    proposal.tools.sort();
    proposal.tools.dedup();
    let mut notes: BTreeSet<Note> = std::mem::take(&mut seen.notes);
    notes.extend(seen.homes(place, &tools::files(place, recipe, &proposal.tools)));
    notes.extend(never_read.into_iter().flatten().map(|pattern| Note::NeverRead { pattern }));
    notes.extend(unused.into_iter().flatten().map(|tool| Note::NeverRun { tool }));
    match &recipe.cache {
        Some(cache) => {
            // Whose inputs are its folder has no list: it gets one if the folder is not enough.
            let lists = matches!(cache.inputs, Inputs::Patterns(_));
            if lists || seen.is_wanting {
                proposal.inputs = fold::patterns(place, recipe, &seen);
            }
        }
        None if instances.iter().any(|one| one.is_named)
            && !seen.written.is_empty()
            && !recipe.persistent =>
        {
            proposal.is_new = true;
            proposal.inputs = fold::patterns(place, recipe, &seen);
            proposal.outputs = fold::outputs(place, recipe, &seen);
            notes.retain(|note| !matches!(note, Note::Writes { .. }));
        }
        None => {
            proposal.tools.clear();
            notes = BTreeSet::from([Note::NotCached]);
        }
    }
    proposal.notes = notes.into_iter().collect();
    proposal
}
