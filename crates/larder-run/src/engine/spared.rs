//! Inputs among outputs: what the output patterns cover and `!` takes out again, as in `outputs: ["gen/**", "!gen/keep.txt"]`.
//!
//! Such a file is no output, so it is an input like any other if the input patterns cover it. One that the recipe itself
//! makes (a scratch file beside its outputs) is neither: which these are is noted when a run made them where nothing
//! was, and only then. One that was there and is changed by the run is an input that changed.
//!
//! It is noted with what is in it. With any other content that no run of the recipe left there, it is an input: somebody edited it.
//!
//! Not promised: to tell what the command made from what somebody saved while it ran. That counts as made until it is changed or
//! `larder clean` forgets it.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use larder_core::Digest;

use super::Session;
use crate::outputs::OutputSpec;
use crate::recipe::{CacheSpec, Recipe};
use crate::worktree::{Entry, EntryKind, InputError, directory_of};

/// The spared inputs of a recipe; usually none.
#[derive(Clone, Debug, Default)]
pub(super) struct Spared(Vec<Entry>);

fn path(entry: &Entry) -> &[u8] {
    entry.path.as_os_str().as_bytes()
}

impl Spared {
    /// Looks for them. Costs nothing unless an output pattern excludes something.
    pub(super) fn look(
        session: &Session<'_>,
        recipe: &Recipe,
        cache: &CacheSpec,
        outputs: &OutputSpec,
    ) -> Result<Self, InputError> {
        if !cache.outputs.iter().any(|pattern| pattern.starts_with('!')) {
            return Ok(Self::default());
        }
        let mut all = super::recipe::input_spec(recipe, cache, outputs, &[]);
        all.exclude.clear();
        all.exclude_paths.clear();
        let scratch = session.state.scratch(&recipe.id);
        let mut entries = session.worktree.entries(&all)?;
        entries.retain(|entry| {
            let folder = matches!(entry.kind, EntryKind::Directory { .. });
            let is_made = scratch.get(path(entry)).is_some_and(|made| *made == entry.kind.to_string());
            !folder && outputs.is_excluded(path(entry)) && !is_made
        });
        Ok(Self(entries))
    }

    /// What they add to the key; `None` without any.
    pub(super) fn digest(&self) -> Option<Digest> {
        (!self.0.is_empty()).then(|| directory_of(&self.0).root)
    }

    /// The files.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Compares with `after`, what is there after a run. `Err`: a path that was there and is not what it was. What was not there, or was the recipe's
    /// scratch, is its scratch from now on.
    pub(super) fn settle(&self, session: &Session<'_>, recipe: &Recipe, after: &Self) -> Result<(), PathBuf> {
        let mut made: BTreeMap<&[u8], &Entry> = after.0.iter().map(|entry| (path(entry), entry)).collect();
        for entry in &self.0 {
            if made.remove(path(entry)).is_none_or(|found| found.kind != entry.kind) {
                return Err(entry.path.clone());
            }
        }
        if !made.is_empty() {
            let mut scratch = session.state.scratch(&recipe.id);
            scratch.extend(made.into_iter().map(|(path, entry)| (path.to_vec(), entry.kind.to_string())));
            if let Err(error) = session.state.set_scratch(&recipe.id, &scratch) {
                tracing::debug!(%error, "scratch files could not be noted; they count as inputs");
            }
        }
        Ok(())
    }
}
