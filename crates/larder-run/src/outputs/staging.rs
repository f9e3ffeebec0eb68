//! A folder of the state folder in which content waits: new content before it is put in place, old content after.
//!
//! ```text
//! STATE/tmp/ID.lock     flock held by the process that works on ID
//! STATE/tmp/ID/N        slot N: new content that is staged, or old content that was moved away or exchanged
//! STATE/tmp/ID/journal  which slot belongs to which path; written before the first path is touched
//! STATE/undo/ID/        the same folder, once done, if it holds what must be kept
//! ```
//! Every change of the tree is one rename between a slot and a path, so that nothing is ever missing or partial. A
//! process that dies leaves `tmp/ID` without its lock: with a journal it becomes `undo/ID`, else it is removed.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::beneath::{Dir, Root, split};
use super::error::{Result, io, path_buf};
use super::record;
use crate::state::make_one;

/// Ends the name of a staging folder's lock.
const LOCK: &[u8] = b".lock";

/// Which slot belongs to which path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Move {
    pub(crate) path: Vec<u8>,
    pub(crate) slot: u32,
    /// Inode of the new content that was staged in the slot: if it is still there, the path was not touched.
    pub(crate) staged: Option<u64>,
}

/// What a staging folder is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) run: String,
    pub(crate) recipe: String,
    pub(crate) moves: Vec<Move>,
}

/// A staging folder that this process works on.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    state: &'a Root,
    pub(crate) id: String,
    pub(crate) dir: Dir,
    pub(crate) journal: Journal,
    next: u32,
    touched: bool,
    done: bool,
    _lock: File,
}

impl<'a> Staging<'a> {
    /// Makes a new one.
    pub(crate) fn new(state: &'a Root, run: &str, recipe: &str) -> Result<Self> {
        let tmp = state.make_dirs(b"tmp")?;
        let (id, lock) = loop {
            let id = fresh_id();
            let name = format!("{id}.lock");
            let lock = tmp.create_file(name.as_bytes(), 0o600)?;
            let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
            // Another process may have tidied it away before it was locked.
            let linked = rustix::fs::fstat(&lock).map_err(io("look at", name.as_bytes()))?.st_nlink > 0;
            if locked.is_ok() && linked {
                break (id, lock);
            }
        };
        tmp.make_dir(id.as_bytes())?;
        let dir = tmp.dir(id.as_bytes())?;
        let journal = Journal { run: run.into(), recipe: recipe.into(), moves: Vec::new() };
        Ok(Self { state, id, dir, journal, next: 0, touched: false, done: false, _lock: lock })
    }

    /// A slot that is not used yet.
    pub(crate) fn slot(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// Writes the journal: from here on the tree may be touched.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.touched = true;
        if self.journal.moves.is_empty() {
            return Ok(());
        }
        self.write_journal()
    }

    fn write_journal(&self) -> Result<()> {
        let folder = self.state.path().join("tmp").join(&self.id);
        record::write(&folder, &folder.join("journal"), &self.journal)
    }

    /// Ends the work: what lies in the slots `keep` is kept for undo, the rest removed. The name under which it is
    /// kept, if anything is.
    pub(crate) fn finish(mut self, keep: &BTreeSet<u32>) -> Result<Option<String>> {
        self.done = true;
        let tmp = self.state.dir(b"tmp")?;
        // The journal goes first: a kill on the way must not make half of a slot look like something kept.
        let kept = if keep.is_empty() {
            self.dir.remove_all(b"journal")?;
            tmp.remove_all(self.id.as_bytes())?;
            None
        } else {
            self.journal.moves.retain_mut(|entry| {
                entry.staged = None;
                keep.contains(&entry.slot)
            });
            self.write_journal()?;
            remove_others(&self.dir, keep)?;
            let undo = self.state.make_dirs(b"undo")?;
            let id = self.id.as_bytes();
            tmp.rename(id, &undo, id, RenameFlags::empty()).map_err(io("keep", id))?;
            Some(self.id.clone())
        };
        tmp.unlink(format!("{}.lock", self.id).as_bytes())?;
        Ok(kept)
    }
}

impl Staging<'_> {
    /// Moves everything back to where it was. What cannot be there, because something else is by now, is kept: the name
    /// under which it can be undone.
    pub(crate) fn put_back(self, root: &Root) -> Result<Option<String>> {
        let mut keep = BTreeSet::new();
        for entry in &self.journal.moves {
            let slot = entry.slot.to_string();
            if self.dir.stat(slot.as_bytes())?.is_none() {
                continue;
            }
            let (parent, name) = split(&entry.path);
            let is_back = root
                .make_dirs(parent)
                .is_ok_and(|parent| relocate_to_free(&self.dir, slot.as_bytes(), &parent, name).is_ok());
            if !is_back {
                keep.insert(entry.slot);
            }
        }
        self.finish(&keep)
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What was touched is left to `recover`: it may hold the only copy of something.
        if self.done || self.touched {
            return;
        }
        let removed = self.state.dir(b"tmp").and_then(|tmp| {
            tmp.remove_all(self.id.as_bytes())?;
            tmp.unlink(format!("{}.lock", self.id).as_bytes())
        });
        if let Err(error) = removed {
            tracing::debug!(%error, "staging folder is left to the next run");
        }
    }
}

/// Tidies what killed processes left: called once at the start of a run.
///
/// # Errors
/// [`super::Error::Io`].
pub fn recover(state: &Root) -> Result<()> {
    let Some(tmp) = state.dir_if_exists(b"tmp")? else { return Ok(()) };
    let mut ids: BTreeSet<Vec<u8>> = BTreeSet::new();
    for (mut name, _) in tmp.list()? {
        if name.ends_with(LOCK) {
            name.truncate(name.len() - LOCK.len());
        }
        ids.insert(name);
    }
    for id in ids {
        let lock_name = [&id, LOCK].concat();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The lock is held until the folder is dealt with.
        let _lock = match rustix::fs::openat(&tmp, &lock_name[..], flags, Mode::empty()) {
            Ok(lock) if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() => {
                continue;
            }
            Ok(lock) => Some(lock),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(io("open", &lock_name)(errno)),
        };
        settle(state, &tmp, &id)?;
        tmp.remove_all(&lock_name)?;
    }
    Ok(())
}

/// Removes the slots that are not in `keep`.
fn remove_others(dir: &Dir, keep: &BTreeSet<u32>) -> Result<()> {
    for (name, _) in dir.list()? {
        let slot = std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok());
        if name != b"journal" && slot.is_none_or(|slot| !keep.contains(&slot)) {
            dir.remove_all(&name)?;
        }
    }
    Ok(())
}

fn settle(state: &Root, tmp: &Dir, name: &[u8]) -> Result<()> {
    let folder = state.path().join("tmp").join(path_buf(name));
    let file = folder.join("journal");
    match tmp.stat(name)? {
        Some(stat) if stat.file_type() == FileType::Directory => {}
        _ => return tmp.remove_all(name),
    }
    let read = record::read(&file);
    if read.is_none() && file.exists() {
        // What it held cannot be told any more, so nothing of it is removed.
        tracing::warn!(folder = %folder.display(), "a damaged journal; what was moved away is kept for undo");
        let kept = state.path().join("undo").join(path_buf(name));
        let moved = make_one(&state.path().join("undo")).and_then(|()| std::fs::rename(&folder, &kept));
        return moved.map_err(|source| super::error::Error::Io { op: "move", path: kept, source });
    }
    let mut journal: Journal = read.unwrap_or_default();
    let dir = tmp.dir(name)?;
    let mut old = Vec::new();
    for mut entry in journal.moves {
        // What is still staged never came into the tree, so that nothing left it.
        let stat = dir.stat(entry.slot.to_string().as_bytes())?;
        if stat.is_some_and(|stat| Some(stat.ino) != entry.staged) {
            entry.staged = None;
            old.push(entry);
        }
    }
    if old.is_empty() {
        return tmp.remove_all(name);
    }
    journal.moves = old;
    record::write(&folder, &file, &journal)?;
    remove_others(&dir, &journal.moves.iter().map(|entry| entry.slot).collect())?;
    tracing::info!(id = %path_buf(name).display(), "a run was killed; what it had moved away is kept for undo");
    let undo = state.make_dirs(b"undo")?;
    tmp.rename(name, &undo, name, RenameFlags::empty()).map_err(io("keep", name))
}

/// Moves `name` of `from` to `new` of `to`. A folder that may not be written is made so for the moment of the move.
pub(crate) fn relocate(
    from: &Dir,
    name: &[u8],
    to: &Dir,
    new: &[u8],
    flags: RenameFlags,
) -> rustix::io::Result<()> {
    match from.rename(name, to, new, flags) {
        Err(Errno::ACCESS) => {}
        other => return other,
    }
    let Ok(Some(stat)) = from.stat(name) else { return Err(Errno::ACCESS) };
    if stat.file_type() != FileType::Directory {
        return Err(Errno::ACCESS);
    }
    let set = |dir: &Dir, name: &[u8], mode| {
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())
    };
    set(from, name, stat.permissions() | 0o700)?;
    let moved = from.rename(name, to, new, flags);
    match moved {
        Ok(()) => set(to, new, stat.permissions()),
        Err(errno) => set(from, name, stat.permissions()).and(Err(errno)),
    }
}

/// As [`relocate`], where nothing is: else [`Errno::EXIST`]. On a file system that cannot promise that, it is looked at before.
pub(crate) fn relocate_to_free(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> rustix::io::Result<()> {
    match relocate(from, name, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => match to.stat(new) {
            Ok(None) => relocate(from, name, to, new, RenameFlags::empty()),
            Ok(Some(_)) => Err(Errno::EXIST),
            Err(_) => Err(Errno::IO),
        },
        other => other,
    }
}

/// Sorts by time; unique among processes.
fn fresh_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}-{:x}-{count:x}", since.as_nanos() as u64, std::process::id())
}

/// When the staging folder of this name was made.
pub(crate) fn time_of(id: &str) -> Option<SystemTime> {
    let nanos = u64::from_str_radix(id.split('-').next()?, 16).ok()?;
    Some(UNIX_EPOCH + std::time::Duration::from_nanos(nanos))
}
