//! Puts back what a repair, a hit or a clean start replaced or moved away and the store did not hold.
//!
//! Every kept slot is exchanged with what stands at its path now, so that an undo can itself be undone. Kept content
//! expires after [`KEPT_FOR`]. The caller holds the locks of the recipes concerned.

use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, RenameFlags};
use rustix::io::Errno;

use super::beneath::{Root, split};
use super::error::{Error, Result, io, path_buf};
use super::record;
use super::staging::{Journal, Move, relocate, time_of};

/// How long replaced content is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// All that the last run replaced.
    LastRun,
    /// One entry, by its name.
    Id(&'a str),
}

/// Something that can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub id: String,
    /// The run that replaced it.
    pub run: String,
    /// The recipe.
    pub recipe: String,
    /// When.
    pub at: SystemTime,
    /// Paths that come back, relative to the project's root.
    pub paths: Vec<Vec<u8>>,
}

/// What can be undone, newest first.
///
/// # Errors
/// [`Error::Io`].
pub fn list(state: &Root) -> Result<Vec<Kept>> {
    let Some(undo) = state.dir_if_exists(b"undo")? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (name, kind) in undo.list()? {
        let Ok(id) = String::from_utf8(name) else { continue };
        let (Some(at), FileType::Directory) = (time_of(&id), kind) else { continue };
        let Some(journal) = journal(state, &id) else { continue };
        let paths = journal.moves.into_iter().map(|entry| entry.path).collect();
        all.push(Kept { id, run: journal.run, recipe: journal.recipe, at, paths });
    }
    all.sort_by(|a, b| b.id.cmp(&a.id));
    Ok(all)
}

/// Puts kept content back; the paths that changed.
///
/// # Errors
/// [`Error::NothingKept`], [`Error::DamagedJournal`]; [`Error::SymlinkedParent`] and others of the tree.
pub fn undo(state: &Root, root: &Root, which: Which<'_>) -> Result<Vec<Vec<u8>>> {
    let all = list(state)?;
    let chosen: Vec<&Kept> = match which {
        Which::Id(id) => all.iter().filter(|kept| kept.id == id).collect(),
        Which::LastRun => {
            let run = all.first().map(|kept| &kept.run);
            all.iter().filter(|kept| Some(&kept.run) == run).collect()
        }
    };
    if chosen.is_empty() {
        let id = if let Which::Id(id) = which { Some(id.to_owned()) } else { None };
        return Err(Error::NothingKept { id });
    }
    let mut changed = Vec::new();
    for kept in chosen {
        let journal =
            journal(state, &kept.id).ok_or_else(|| Error::DamagedJournal { id: kept.id.clone() })?;
        for entry in &journal.moves {
            if put_back(state, root, &kept.id, entry)? {
                changed.push(entry.path.clone());
            }
        }
    }
    Ok(changed)
}

/// Removes what is kept for longer than `age`; how many entries went.
///
/// # Errors
/// [`Error::Io`].
pub fn expire(state: &Root, now: SystemTime, age: Duration) -> Result<usize> {
    let Some(undo) = state.dir_if_exists(b"undo")? else { return Ok(0) };
    let mut count = 0;
    for (name, _) in undo.list()? {
        let at = std::str::from_utf8(&name).ok().and_then(time_of);
        // One from the future (the clock was set back) is not older than anything.
        if at.is_some_and(|at| now.duration_since(at).is_ok_and(|passed| passed > age)) {
            undo.remove_all(&name)?;
            count += 1;
        }
    }
    Ok(count)
}

fn journal(state: &Root, id: &str) -> Option<Journal> {
    record::read(&state.path().join("undo").join(id).join("journal"))
}

/// Exchanges a slot with its path, either of which may be empty; `false` if there is nothing to do.
fn put_back(state: &Root, root: &Root, id: &str, entry: &Move) -> Result<bool> {
    let folder = state.dir(&super::beneath::join(b"undo", id.as_bytes()))?;
    let slot = entry.slot.to_string();
    let slot = slot.as_bytes();
    let (parent, name) = split(&entry.path);
    let kept = folder.stat(slot)?;
    let parent = if kept.is_some() {
        root.make_dirs(parent)?
    } else {
        match root.dir_if_exists(parent)? {
            Some(parent) => parent,
            None => return Ok(false),
        }
    };
    let fail = |errno| io("put back", &entry.path)(errno);
    match (kept, parent.stat(name)?) {
        (None, None) => Ok(false),
        (Some(_), None) => {
            relocate(&folder, slot, &parent, name, RenameFlags::NOREPLACE).map_err(fail).map(|()| true)
        }
        (None, Some(_)) => {
            relocate(&parent, name, &folder, slot, RenameFlags::NOREPLACE).map_err(fail).map(|()| true)
        }
        (Some(_), Some(_)) => match relocate(&folder, slot, &parent, name, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Err(Error::Changed { path: path_buf(&entry.path) }),
            Err(errno) => Err(fail(errno)),
        },
    }
}
