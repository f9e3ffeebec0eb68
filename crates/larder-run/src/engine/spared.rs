//! Inputs among outputs: what the output patterns cover and `!` takes out again, as in `outputs: ["gen/**", "!gen/keep.txt"]`.
//!
//! Such a file is no output, so it is an input like any other if the input patterns cover it. It counts in the key as it is before the run. A
//! recipe that writes it each time (scratch files beside outputs) is a miss each time, until `inputs` excludes it: when
//! in doubt, a miss.

use std::os::unix::ffi::OsStrExt;

use larder_core::Digest;

use super::Session;
use crate::outputs::OutputSpec;
use crate::recipe::{CacheSpec, Recipe};
use crate::worktree::{Entry, EntryKind, InputError, directory_of};

/// The spared inputs of a recipe; usually none.
#[derive(Clone, Debug, Default)]
pub(super) struct Spared(Vec<Entry>);

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
        let mut entries = session.worktree.entries(&all)?;
        entries.retain(|entry| {
            let folder = matches!(entry.kind, EntryKind::Directory { .. });
            !folder && outputs.is_excluded(entry.path.as_os_str().as_bytes())
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
}
