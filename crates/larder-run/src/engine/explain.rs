//! Keys as they are now, without running anything: for `larder why`.
//!
//! The plan is gone through in its order. The key of a recipe is known if all that it depends on is a hit; what a recipe that would
//! run is going to make is not known, and its dependents' keys say so in the place of its outputs.

use larder_core::Digest;
use larder_store::store::Note;

use super::Session;
use super::hit;
use super::recipe::{self, Job};
use super::schedule::Made;
use crate::event::Outcome;
use crate::outputs::OutputSpec;
use crate::plan::Plan;
use crate::recipe::RecipeId;
use crate::state::KeyItem;
use larder_core::error::chain;

/// What would come of a recipe now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is a result for its key.
    Cached {
        /// Its outputs are in place.
        in_place: bool,
    },
    /// It would run.
    WouldRun {
        /// Why, as a miss says it.
        reason: String,
    },
    /// It has no `cache`, or is `persistent`: it always runs.
    AlwaysRuns,
    /// Something that it depends on would run first, so its key is not known.
    Unknown {
        /// What would run.
        because: Vec<RecipeId>,
    },
    /// Its key cannot be computed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A recipe's key, explained.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The recipe.
    pub recipe: RecipeId,
    /// What would come of it.
    pub standing: Standing,
    /// Digest of its key, if it is known.
    pub key: Option<Digest>,
    /// What its key is computed from, sorted; without the dependencies whose outputs are not known.
    pub items: Vec<KeyItem>,
}

impl Session<'_> {
    /// Explains the selected recipes of a plan. Runs nothing and changes nothing.
    #[must_use]
    pub fn explain(&self, plan: &Plan) -> Vec<Explained> {
        recipe::warm(&self.state, self.worktree, plan);
        let mut made: Vec<Made> = Vec::with_capacity(plan.recipes.len());
        let mut explained = Vec::new();
        for at in 0..plan.recipes.len() {
            let dependencies: Vec<Made> = plan.dependencies[at].iter().map(|&on| made[on].clone()).collect();
            let (one, digest) = self.explain_one(plan, at, &dependencies);
            made.push(Made::of(digest));
            if plan.selected.contains(&at) {
                explained.push(one);
            }
        }
        explained
    }

    fn explain_one(&self, plan: &Plan, at: usize, dependencies: &[Made]) -> (Explained, Option<Digest>) {
        let recipe = &plan.recipes[at];
        let args: &[String] = if plan.selected.contains(&at) { &self.options.args } else { &[] };
        let told = |standing| Explained { recipe: recipe.id.clone(), standing, key: None, items: Vec::new() };
        let Some(cache) = recipe.cache.as_ref().filter(|_| !recipe.persistent) else {
            let made = recipe::uncached_made(self, recipe, args, dependencies);
            return (told(Standing::AlwaysRuns), made.digest);
        };
        let spec = match OutputSpec::new(&recipe.folder, &cache.outputs) {
            Ok(spec) => spec,
            Err(error) => return (told(Standing::Failed { reason: chain(&error) }), None),
        };
        let job = Job { session: self, plan: None, recipe, cache, spec, args, dependencies };
        let now = match job.now() {
            Ok(now) => now,
            Err(done) => {
                let reason = match done.outcome {
                    Outcome::Failed { reason, .. } => reason,
                    other => format!("{other:?}"),
                };
                return (told(Standing::Failed { reason }), None);
            }
        };
        let items = job.items(&now);
        let would_run =
            recipe.dependencies.iter().zip(dependencies).filter(|(_, made)| made.digest.is_none());
        let because: Vec<RecipeId> = would_run.map(|(id, _)| id.clone()).collect();
        if !because.is_empty() {
            return (Explained { items, ..told(Standing::Unknown { because }) }, None);
        }
        let key = Some(now.key.digest);
        match job.look_up(&now, true, Note::Nothing) {
            Ok((_, tree)) => {
                let in_place = hit::in_place(self, recipe, &job.spec, &tree).is_some();
                (Explained { key, items, ..told(Standing::Cached { in_place }) }, Some(tree))
            }
            Err(why) => {
                let reason = job.miss_reason(&now, why);
                (Explained { key, items, ..told(Standing::WouldRun { reason }) }, None)
            }
        }
    }
}
