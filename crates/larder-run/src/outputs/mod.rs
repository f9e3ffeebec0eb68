//! Outputs: what a recipe owns in a worktree, and how it gets there, is taken from there, and comes back.
//!
//! ```text
//! before a run   clean::clean      what the recipe owns is moved away    capture::snapshot  what matches its globs unowned
//! after a run    capture::capture  outputs → store, tree                 record::Owned      what it owns from now on
//! in a sandbox   exchange          what it owns goes only when the new outputs are there; all or nothing
//! on a hit       restore::restore  compare, fetch, verify, keep, rename  record::Owned
//! later          undo::undo        what was replaced comes back
//! ```
//!
//! Invariants, each with a test:
//! - Every access is relative to an open folder ([`beneath`]); no symbolic link is followed, whatever races.
//! - Nothing is removed or replaced that the store does not hold without being kept for a day ([`undo`]).
//! - Files that git tracks are never removed, the recipe's inputs never touched.
//! - A path shows its old or its new content, never a part, whenever the process is killed; what it left in the state
//!   folder is found and tidied by the next ([`staging::recover`]).
//!
//! The caller holds the recipe's lock in this worktree. Paths are bytes relative to the project's root. The module
//! knows neither store nor stat table: [`Sink`], [`Source`], [`Holds`] and [`Known`] are what it asks of them.

pub mod beneath;
pub mod capture;
pub mod clean;
pub mod error;
pub(crate) mod exchange;
mod place;
pub mod record;
pub mod restore;
pub mod scan;
pub mod spec;
pub mod staging;
pub mod tracked;
pub mod tree;
pub mod undo;

use std::fs::File;

use larder_core::Digest;

pub(crate) use beneath::is_within;
pub use beneath::{FileStat, Root};
pub use error::{Error, Result};
pub use record::{Owned, Snapshot};
pub use spec::OutputSpec;
pub use tracked::{Git, Tracked};
pub use tree::{Folder, Node};

/// An error of whoever implements one of the traits.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Takes the content of outputs.
pub trait Sink: Sync {
    /// Stores `size` bytes of `file` from its start and shows every byte, in order, to `scan`.
    ///
    /// # Errors
    /// If the content could not be stored; the outputs are then not recorded.
    fn put(&self, file: &File, size: u64, scan: &mut dyn FnMut(&[u8])) -> Result<Digest, BoxError>;
}

/// Gives the content of outputs.
pub trait Source: Sync {
    /// Announces what [`Self::write_to`] will be asked for, for sources that can prepare it at once.
    fn expect(&self, _digests: &[Digest]) {}

    /// Writes the content of `digest` to `out`, which is new and empty. On success every byte was verified.
    ///
    /// # Errors
    /// If the content is missing or corrupt; nothing of the tree was touched yet.
    fn write_to(&self, digest: &Digest, out: &File) -> Result<(), BoxError>;
}

/// Knows what need not be kept, because it can be had again.
pub trait Holds: Sync {
    /// All of `digests` are in the store.
    fn holds_all(&self, digests: &[Digest]) -> bool;
}

/// Knows the content of files that are proven unchanged.
pub trait Known: Sync {
    /// The digest of the file at `path`, if `stat` proves that its content is what was hashed.
    fn digest_if_clean(&self, path: &[u8], stat: &FileStat) -> Option<Digest>;
}

/// What a clean start or a restore works on.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The project.
    pub root: &'a Root,
    /// `.larder/state` of the project, on the same file system.
    pub state: &'a Root,
    /// What the recipe may write.
    pub spec: &'a OutputSpec,
    /// What an earlier result made it own here.
    pub owned: &'a Owned,
    /// What git tracks.
    pub tracked: &'a dyn Tracked,
    /// Says which paths are the recipe's inputs: the files that its key was computed from, not what its patterns would
    /// match (with `inputs: ['**']` that would be outputs too, where they were never recorded).
    pub is_input: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// The run, by any name; all that one run replaced is undone together.
    pub run: &'a str,
    /// The recipe, for the list of what can be undone.
    pub recipe: &'a str,
}

impl Scope<'_> {
    /// `path` may not be removed: it is excluded, an input, or tracked by git.
    pub(crate) fn must_stay(&self, path: &[u8]) -> Result<bool> {
        Ok(self.spec.is_excluded(path) || (self.is_input)(path) || self.is_tracked(path)?)
    }

    /// The device of the state folder: what lies on another cannot be renamed to it.
    pub(crate) fn device(&self) -> Result<u64> {
        Ok(self.state.dir(b"")?.stat_self(b".larder/state")?.dev)
    }

    /// Git tracks `path`.
    pub(crate) fn is_tracked(&self, path: &[u8]) -> Result<bool> {
        self.tracked.is_tracked(path, self.owned.contains(path))
    }
}

/// What a captured or restored tree makes its recipe own in this worktree.
#[must_use]
pub fn own(spec: &OutputSpec, tree: &Folder, stats: &std::collections::BTreeMap<Vec<u8>, FileStat>) -> Owned {
    Owned::of_tree(tree, stats, |path| {
        let is_empty = matches!(tree.get(path), Some(Node::Dir(folder)) if folder.entries.is_empty());
        spec.owns(path) || (is_empty && spec.globs_match(path))
    })
}
