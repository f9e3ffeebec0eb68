//! What a run comes to: an outcome for each recipe, and the sums that the summary line shows.

use std::time::Duration;

use super::hit::OnDisk;
use crate::event::Outcome;
use crate::profile::Timing;
use crate::recipe::RecipeId;
use crate::worktree::{PathSpec, Worktree};

/// A recipe's end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which.
    pub recipe: RecipeId,
    /// How.
    pub outcome: Outcome,
    /// From its turn to its end.
    pub took: Duration,
}

/// The outcome of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each recipe of the plan, in the plan's order.
    pub recipes: Vec<Finished>,
    /// Wall time.
    pub took: Duration,
    /// The run was cancelled from outside.
    pub cancelled: bool,
    /// When what happened.
    pub course: Course,
    /// Outputs that are in place.
    pub(super) placed: Vec<(RecipeId, OnDisk)>,
}

/// When what happened in a run; a [`crate::profile::Profile`] is made of it when one is wanted.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Name of the project.
    pub project: String,
    /// The name that the run was given.
    pub name: Option<String>,
    /// Its number, if it is kept.
    pub run: Option<u64>,
    /// When the first recipe could begin, in microseconds since 1970.
    pub begun: u64,
    /// What came before.
    pub before: Duration,
    /// Waiting for tiers at the end.
    pub sending: Duration,
    /// Job slots.
    pub jobs: u32,
    /// Of each recipe of the plan, in the plan's order: its turn, if it came.
    pub timings: Vec<Option<Timing>>,
}

impl Report {
    /// How many outcomes are such.
    #[must_use]
    pub fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.recipes.iter().filter(|finished| wanted(&finished.outcome)).count()
    }

    /// Recipes that were hits.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Cached { .. }))
    }

    /// Recipes that ran and succeeded.
    #[must_use]
    pub fn ran(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Ran { .. }))
    }

    /// Recipes that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed { .. }))
    }

    /// Time that hits took when they ran, as recorded.
    #[must_use]
    pub fn saved(&self) -> Duration {
        let saved = |finished: &Finished| match finished.outcome {
            Outcome::Cached { saved, .. } => saved,
            _ => Duration::ZERO,
        };
        self.recipes.iter().map(saved).sum()
    }

    /// Where the outputs are that this run made or found in place.
    pub fn outputs(&self) -> impl Iterator<Item = (&RecipeId, &PathSpec)> {
        self.placed.iter().map(|(id, outputs)| (id, &outputs.spec))
    }

    /// Recipes whose outputs are not any more what the run left.
    #[must_use]
    pub fn displaced(&self, worktree: &Worktree) -> Vec<RecipeId> {
        let is_displaced = |(_, outputs): &&(RecipeId, OnDisk)| !outputs.is_exact(worktree);
        self.placed.iter().filter(is_displaced).map(|(id, _)| id.clone()).collect()
    }

    /// Everything succeeded.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.recipes.iter().all(|finished| finished.outcome.is_good())
    }
}
