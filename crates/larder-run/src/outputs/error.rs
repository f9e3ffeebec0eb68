//! Why outputs could not be cleaned, captured, restored or put back.
//!
//! One type for the module; callers decide by variant, never by text. [`Error::is_miss`] says which variants mean "this
//! result is of no use here, run the recipe instead"; [`Error::is_uncacheable`] which mean "the run was good, but its
//! outputs cannot be recorded".

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What went wrong. Paths are relative to the project's root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {op} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// A folder on the way is a symbolic link; nothing is read, written or removed through it.
    #[error("`{}` is a symbolic link, but outputs lie below it; replace it by a folder", path.display())]
    SymlinkedParent {
        /// The link.
        path: PathBuf,
    },
    /// A folder on the way is something else than a folder.
    #[error("`{}` is not a folder, but outputs lie below it", path.display())]
    NotADirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// An output pattern that cannot be used.
    #[error("output pattern `{pattern}` {reason}")]
    Pattern {
        /// The pattern as it was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Literal outputs that the run did not make.
    #[error("the recipe did not make its output `{}`{}", paths[0].display(), more(paths.len()))]
    Missing {
        /// The outputs, at least one.
        paths: Vec<PathBuf>,
    },
    /// An output that no cache can hold.
    #[error("output `{}` is {what}, which cannot be cached", path.display())]
    Special {
        /// The output.
        path: PathBuf,
        /// A noun with its article.
        what: &'static str,
    },
    /// An output was written by someone else while it was recorded or restored.
    #[error("`{}` changed meanwhile; is something else still writing there?", path.display())]
    Changed {
        /// The output.
        path: PathBuf,
    },
    /// A glob captured nothing, although files that the recipe does not own match it.
    #[error("`{pattern}` matches files such as `{}`, but the run made or changed none of them", example.display())]
    CapturedNothing {
        /// The pattern as it was written.
        pattern: String,
        /// One of the files.
        example: PathBuf,
    },
    /// A recorded tree is malformed or holds what the recipe may not write.
    #[error("recorded tree is refused: {reason} (`{}`)", path.display())]
    Forged {
        /// Where in the tree.
        path: PathBuf,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A file that git tracks would have to go for the outputs to be as recorded.
    #[error("`{}` is tracked by git and is not part of the recorded outputs", path.display())]
    Tracked {
        /// The file.
        path: PathBuf,
    },
    /// Outputs cannot be moved to and from the state folder.
    #[error(
        "`{}` lies on another file system than the project's `.larder/state`; outputs there cannot be cached",
        path.display()
    )]
    OtherFileSystem {
        /// The output, or a folder above it.
        path: PathBuf,
    },
    /// Content could not be had from the store, or not be given to it.
    #[error("content of `{}`: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is nothing to undo, or not under this name.
    #[error("nothing is kept for undo{}", id.as_ref().map(|id| format!(" under `{id}`")).unwrap_or_default())]
    NothingKept {
        /// The name asked for.
        id: Option<String>,
    },
    /// What was kept for undo cannot be read.
    #[error("what was kept under `{id}` is damaged")]
    DamagedJournal {
        /// Its name.
        id: String,
    },
}

/// Result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The recorded result cannot be used in this worktree; running the recipe is the right answer.
    #[must_use]
    pub fn is_miss(&self) -> bool {
        matches!(
            self,
            Self::Forged { .. } | Self::Tracked { .. } | Self::Content { .. } | Self::OtherFileSystem { .. }
        )
    }

    /// The run may have been good, but must not be recorded.
    #[must_use]
    pub fn is_uncacheable(&self) -> bool {
        matches!(
            self,
            Self::Special { .. }
                | Self::Changed { .. }
                | Self::CapturedNothing { .. }
                | Self::Content { .. }
                | Self::OtherFileSystem { .. }
        )
    }
}

fn more(count: usize) -> String {
    if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() }
}

/// A path of this module (bytes, `/` between) for people and for the standard library.
pub(crate) fn path_buf(path: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(path)).to_path_buf()
}

/// Wraps a refusal of the operating system.
pub(crate) fn io(op: &'static str, path: &[u8]) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |errno| Error::Io { op, path: path_buf(path), source: errno.into() }
}
