//! A dry run of one recipe: what would happen, and which files that nobody recorded would be moved away by it; and of the servers of a plan, which would
//! begin.

use std::time::Duration;

use super::hit;
use super::recipe::{Done, Job, Now, input_spec, saved};
use super::schedule::Made;
use super::{Finished, Session};
use crate::event::{Event, Outcome};
use crate::outputs::{clean, error::path_buf};
use crate::plan::Plan;
use crate::worktree::PathSpec;
use larder_store::store::Note;

/// Ends the servers whose turn came, now that all others are looked up: one begins if it was selected, or if something that needs it would run.
pub(super) fn judge_servers(
    session: &Session<'_>,
    plan: &Plan,
    had_turn: impl Fn(usize) -> bool,
    finished: &mut [Option<Finished>],
) {
    let is_server = |&at: &usize| plan.recipes[at].persistent && had_turn(at);
    let servers: Vec<usize> = (0..plan.recipes.len()).filter(is_server).collect();
    // What needs a server comes after it in the plan, and may be one.
    for &at in servers.iter().rev() {
        let would_run = |&on: &usize| {
            finished[on].as_ref().is_some_and(|on| matches!(on.outcome, Outcome::WouldRun { .. }))
        };
        let begins = plan.selected.contains(&at) || plan.dependents[at].iter().any(would_run);
        let outcome = if begins { Outcome::WouldRun { miss: None } } else { Outcome::NotNeeded };
        let recipe = plan.recipes[at].id.clone();
        finished[at] = Some(Finished { recipe, outcome, took: Duration::ZERO });
    }
    for Finished { recipe, outcome, took } in servers.iter().filter_map(|&at| finished[at].as_ref()) {
        (session.events)(Event::Finished { recipe, outcome, took: *took });
    }
}

impl Job<'_> {
    /// What would happen with the key of `now`.
    pub(super) fn dry(&self, now: &Now) -> Done {
        match self.look_up(now, true, Note::All) {
            Ok((result, tree)) => {
                if hit::in_place(self.session, self.recipe, &self.spec, &tree).is_none() {
                    self.warn_of_replaced(now, &tree);
                }
                Done {
                    outcome: Outcome::Cached {
                        tier: result.tier,
                        restored: false,
                        saved: saved(&result.result),
                    },
                    made: Made::of(Some(tree)),
                }
            }
            Err(why) => {
                let miss = self.miss_reason(now, why);
                self.would_run(&now.inputs, miss)
            }
        }
    }

    /// What would happen, now that something that it depends on would run.
    pub(super) fn dry_after_another(&self) -> Done {
        let placed = self.session.state.placed(&self.recipe.id);
        let globbed = placed.map(|placed| placed.globbed).unwrap_or_default();
        let inputs = input_spec(self.recipe, self.cache, &self.spec, &globbed);
        self.would_run(&inputs, "a dependency would run".to_owned())
    }

    fn would_run(&self, inputs: &PathSpec, miss: String) -> Done {
        self.warn_of_moved(inputs);
        let outcome = Outcome::WouldRun { miss: Some(miss) };
        Done { outcome, made: Made::of(None) }
    }

    /// As a run says it afterwards: a clean start takes what no earlier result of the recipe made.
    fn warn_of_moved(&self, inputs: &PathSpec) {
        let owned = self.owned();
        let Ok(is_input) = self.is_input(inputs) else { return };
        if self.recipe.incremental || !owned.entries.is_empty() {
            return;
        }
        let name = self.recipe.id.to_string();
        let scope = self.session.scope(&self.spec, &owned, &is_input, &name);
        let moved = clean::would_keep(&scope, &self.session.cache).unwrap_or_default();
        self.warn("stands where its outputs go, and would be moved away", &moved);
    }

    fn warn_of_replaced(&self, now: &Now, tree: &larder_core::Digest) {
        let Ok(is_input) = self.is_input(&now.inputs) else { return };
        let replaced = hit::would_replace(self.session, self.recipe, &self.spec, tree, &is_input);
        self.warn("is not in the cache, and would be replaced or removed", &replaced);
    }

    fn warn(&self, what: &str, paths: &[Vec<u8>]) {
        let Some(first) = paths.first() else { return };
        let more = match paths.len() {
            1 => String::new(),
            count => format!(" (as {} more)", count - 1),
        };
        let message = format!("`{}`{more} {what}; it would be kept for a day", path_buf(first).display());
        let hint = Some("after the run, `larder run --undo` would bring it back");
        (self.session.events)(Event::Warning { recipe: Some(&self.recipe.id), message: &message, hint });
    }
}
