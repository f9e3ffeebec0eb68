//! A recipe's outputs go from the worktree, and what it left in the state: for `larder clean`.
//!
//! What goes is what a clean start takes: never files that git tracks, never inputs. What the store does not hold is kept for
//! a day, for undo. Results in the store stay.

use super::Session;
use super::recipe::{self, Done, Job};
use crate::event::Outcome;
use crate::outputs::{self, OutputSpec, Owned, Scope, clean};
use crate::recipe::{Recipe, RecipeId};
use larder_core::error::chain;

/// What went of a recipe.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The recipe.
    pub recipe: RecipeId,
    /// The paths, relative to the project's root; whole folders by their name.
    pub paths: Vec<Vec<u8>>,
    /// Some of it is kept for undo, because the store does not hold it.
    pub is_kept: bool,
}

/// Why a recipe's outputs could not go.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// As the module for outputs says it.
    #[error("cannot clean `{recipe}`: {reason}")]
    Failed {
        /// The recipe.
        recipe: RecipeId,
        /// Why.
        reason: String,
    },
    /// Cancelled while waiting for the recipe.
    #[error("cancelled")]
    Cancelled,
}

impl Session<'_> {
    /// Removes what `recipe` owns here; with `dry_run`, tells what would go.
    ///
    /// # Errors
    /// Outputs that cannot be looked at or moved, a lock that cannot be had.
    pub fn remove(&self, recipe: &Recipe) -> Result<Removed, RemoveError> {
        let failed = |reason: String| RemoveError::Failed { recipe: recipe.id.clone(), reason };
        let outputs = |error: outputs::Error| failed(chain(&error));
        let nothing = Removed { recipe: recipe.id.clone(), paths: Vec::new(), is_kept: false };
        let Some(cache) = &recipe.cache else { return Ok(nothing) };
        let spec = OutputSpec::new(&recipe.folder, &cache.outputs).map_err(outputs)?;
        let lock = if self.options.dry_run {
            None
        } else {
            recipe::acquire(self, recipe).map_err(|done: Box<Done>| match done.outcome {
                Outcome::Failed { reason, .. } => failed(reason),
                _ => RemoveError::Cancelled,
            })?
        };
        let job = Job { session: self, plan: None, recipe, cache, spec, args: &[], dependencies: &[] };
        let owned = job.owned();
        let placed = self.state.placed(&recipe.id).map(|placed| placed.globbed).unwrap_or_default();
        let inputs = recipe::input_spec(recipe, cache, &job.spec, &placed);
        let is_input = job.is_input(&inputs).map_err(|done: Box<Done>| match done.outcome {
            Outcome::Failed { reason, .. } => failed(reason),
            _ => RemoveError::Cancelled,
        })?;
        let name = recipe.id.to_string();
        let scope = Scope {
            root: &self.root_dir,
            state: &self.state_dir,
            spec: &job.spec,
            owned: &owned,
            tracked: &self.git,
            is_input: &is_input,
            run: &self.run,
            recipe: &name,
        };
        let paths = clean::plan(&scope).map_err(outputs)?;
        if self.options.dry_run {
            return Ok(Removed { paths, ..nothing });
        }
        let kept = clean::remove(&scope).and_then(|cleaned| cleaned.finish(&self.cache)).map_err(outputs)?;
        Owned::default().save(self.state.folder(), &recipe.id).map_err(outputs)?;
        let written = self.state.forget(&recipe.id).and_then(|()| self.state.save());
        written.map_err(|error| failed(error.to_string()))?;
        self.worktree.ran();
        drop(lock);
        Ok(Removed { paths, is_kept: kept.is_some(), ..nothing })
    }
}
