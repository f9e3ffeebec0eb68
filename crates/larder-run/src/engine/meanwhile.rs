//! What a run relied on, looked at before and after: inputs and dependencies' outputs, by content and by stat.
//!
//! Content alone would not do: a file that was edited and put back while the command ran has the right content before and
//! after, and the command may have read what was there in between. So each file's inode, size, mode and times (ctime, too,
//! which nobody can put back) must be the same. A command that links or touches its inputs is therefore not cached.
//! Folders count by what is in them: a command may make temporary files beside its inputs.

use std::os::unix::ffi::OsStrExt;

use larder_core::{Digest, DigestFunction};

use super::Session;
use super::schedule::Made;
use crate::worktree::{EntryKind, FsTime, InputError, PathSpec};

/// The state of some paths at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(Digest);

/// Looks at `inputs` and at the outputs of `dependencies`.
pub(super) fn look(
    session: &Session<'_>,
    inputs: &PathSpec,
    dependencies: &[Made],
) -> Result<Seen, InputError> {
    let outputs = dependencies.iter().filter_map(|made| Some(&made.outputs.as_ref()?.spec));
    let mut hasher = DigestFunction::Blake3.hasher();
    for spec in std::iter::once(inputs).chain(outputs) {
        for entry in session.worktree.entries(spec)? {
            if matches!(entry.kind, EntryKind::Directory { .. }) {
                continue;
            }
            let path = entry.path.as_os_str().as_bytes();
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            let stat = entry.stat;
            for number in [stat.dev, stat.ino, stat.size, u64::from(stat.mode)] {
                hasher.update(&number.to_le_bytes());
            }
            for FsTime { seconds, nanos } in [stat.mtime, stat.ctime] {
                hasher.update(&seconds.to_le_bytes());
                hasher.update(&nanos.to_le_bytes());
            }
        }
    }
    Ok(Seen(hasher.finish()))
}
