//! Exit codes, documented in `docs/reference/exit-codes.md`.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All good.
    Success = 0,
    /// Usage or configuration.
    Usage = 1,
    /// A recipe failed (or `larder cache verify` or `larder image verify` found something that is not what it should be).
    Failed = 2,
    /// No such recipe.
    UnknownRecipe = 3,
    /// Cancelled.
    Cancelled = 4,
}

impl Exit {
    /// Shows what clap has to say: help on standard output, mistakes on standard error.
    pub(crate) fn of_usage(error: &clap::Error) -> Self {
        // A closed pipe is no error.
        let _ = error.print();
        if error.use_stderr() { Self::Usage } else { Self::Success }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
