//! Why a question about the worktree has no answer.
//!
//! An input that cannot be read is an error, never a warning and never skipped (a key that leaves it out would hit wrongly).

use std::io;
use std::path::PathBuf;

/// Why inputs or outputs could not be described.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A pattern is malformed, absolute, or leads out of the project.
    #[error("pattern `{pattern}` {reason}")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        reason: PatternProblem,
    },
    /// A FIFO, socket or device is among the paths; it was not opened.
    #[error("`{}` is a {kind} and has no content to hash", path.display())]
    Special {
        /// Relative to the project's root.
        path: PathBuf,
        /// What it is.
        kind: SpecialKind,
    },
    /// A file, folder or link that counts cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// Relative to the project's root, or absolute outside it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A single file was asked for, and the path is not one.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// The path as asked.
        path: PathBuf,
    },
}

impl InputError {
    /// What a person can do, for the CLI's `hint:` line.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Pattern { reason, .. } => Some(reason.hint().to_owned()),
            Self::Special { path, .. } => Some(format!("exclude it with `!{}`", path.display())),
            Self::Unreadable { .. } => Some("make it readable, or exclude it with a `!` pattern".to_owned()),
            Self::NotAFile { .. } => None,
        }
    }
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// More `../` than the project is deep.
    #[error("leads out of the project")]
    Escapes,
    /// Begins with `/`.
    #[error("is absolute")]
    Absolute,
    /// No characters.
    #[error("is empty")]
    Empty,
    /// `[` or `{` is never closed.
    #[error("has an unclosed `[` or `{{`")]
    Unclosed,
    /// `..` after a wildcard.
    #[error("has `..` after a wildcard")]
    ParentAfterWildcard,
    /// More alternatives or longer than anybody writes by hand.
    #[error("is too large")]
    TooLarge,
}

impl PatternProblem {
    fn hint(self) -> &'static str {
        match self {
            Self::Escapes => {
                "inputs and outputs lie inside the project; name programs outside it under `tools:`"
            }
            Self::Absolute => "patterns are relative to the cookbook's folder",
            Self::Empty => "`.` names the cookbook's folder",
            Self::Unclosed => "a literal bracket is written `\\[`",
            Self::ParentAfterWildcard => "move `..` to the front of the pattern",
            Self::TooLarge => "braces may expand to at most 1,024 alternatives",
        }
    }
}

/// What is not a file, folder or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecialKind {
    /// A named pipe.
    #[error("FIFO")]
    Fifo,
    /// A socket.
    #[error("socket")]
    Socket,
    /// A character or block device.
    #[error("device")]
    Device,
}
