//! What happens during a run, for whoever shows it. The CLI prints these, `--json` writes them one a line.

use std::time::Duration;

use crate::process::Stream;
use crate::recipe::RecipeId;
use crate::trace::{Trace, Undeclared};

/// Something that happened. Events of one recipe come in order; those of different recipes interleave.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The recipe's turn has come.
    Started {
        /// Which.
        recipe: &'a RecipeId,
        /// Why it runs; `None`: it has no `cache`.
        miss: Option<&'a str>,
    },
    /// Another process holds the recipe's lock or computes the same action.
    Waiting {
        /// Which.
        recipe: &'a RecipeId,
        /// Who holds it, as far as known.
        holder: &'a str,
    },
    /// A piece of output, as it came or replayed from the log of a hit.
    Output {
        /// Whose.
        recipe: &'a RecipeId,
        /// Where it was written to.
        stream: Stream,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Something that a person should know and that stops nothing.
    Warning {
        /// Whom it concerns; `None`: the run.
        recipe: Option<&'a RecipeId>,
        /// What.
        message: &'a str,
        /// What can be done.
        hint: Option<&'a str>,
    },
    /// Its command failed, and begins again.
    Retrying {
        /// Which.
        recipe: &'a RecipeId,
        /// Why it failed.
        reason: &'a str,
        /// Which retry begins, from 1.
        retry: u32,
        /// How many there may be.
        of: u32,
    },
    /// What its command touched, if that was observed.
    Traced {
        /// Which.
        recipe: &'a RecipeId,
        /// All of it.
        trace: &'a Trace,
        /// Of that, what the recipe does not declare.
        undeclared: &'a Undeclared,
    },
    /// The recipe is done.
    Finished {
        /// Which.
        recipe: &'a RecipeId,
        /// How.
        outcome: &'a Outcome,
        /// From its turn to its end.
        took: Duration,
    },
}

/// How a recipe ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A result of the cache was used.
    Cached {
        /// Where it came from.
        tier: &'static str,
        /// The outputs had to be put in place (else they were as recorded).
        restored: bool,
        /// How long the recipe took when it ran, as recorded then.
        saved: Duration,
    },
    /// It ran and succeeded.
    Ran {
        /// Why it was not a hit; `None`: it has no `cache`.
        miss: Option<String>,
        /// Why its result was not recorded; `None`: it was, or it has no `cache`.
        not_cached: Option<String>,
        /// Its outputs are the same as before, so that dependents need not run.
        unchanged: bool,
    },
    /// It failed.
    Failed {
        /// Why, as a fragment: `exit code 2`, `killed by signal 9`, `output `x` was not made`.
        reason: String,
        /// What can be done.
        hint: Option<String>,
    },
    /// Not begun, because something it depends on failed.
    Skipped {
        /// What failed.
        because: RecipeId,
    },
    /// Not begun or not finished, because the run was cancelled or something else failed.
    Cancelled,
    /// Not begun: a persistent recipe that nothing that ran depends on, or (in a run that is one of several) a recipe without `cache` for which
    /// nothing changed.
    NotNeeded,
    /// A persistent recipe that lives on after this run.
    Serving {
        /// It began in this run.
        begun: bool,
    },
    /// It would run (`--dry-run`).
    WouldRun {
        /// Why it is not a hit.
        miss: Option<String>,
    },
}

impl Outcome {
    /// Dependents may go on.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(
            self,
            Self::Cached { .. }
                | Self::Ran { .. }
                | Self::NotNeeded
                | Self::Serving { .. }
                | Self::WouldRun { .. }
        )
    }
}
