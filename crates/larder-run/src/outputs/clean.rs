//! A clean start: what a recipe owns is moved away before it runs, so that no leftover is ever captured.
//!
//! Owned are literal outputs, whole, and the glob matches that an earlier result recorded here. Everything is moved into
//! a staging folder by rename. Whatever comes of the run, [`Cleaned::finish`] then removes what the store holds and keeps
//! the rest for undo; what a failed run made stays in the tree for inspection (of a sandbox, see `exchange.rs`). Excluded paths, inputs and files that git
//! tracks stay where they are. The parents of literal outputs are made, so that `cc -o build/main` needs no `mkdir`.

use std::collections::BTreeSet;

use rustix::fs::{FileType, RenameFlags};

use super::beneath::{Dir, FileStat, split};
use super::error::{Error, Result, io, path_buf};
use super::record::{Kind, Owned};
use super::staging::{Move, Staging, relocate};
use super::{Holds, Scope};

/// What a clean start moved away.
#[derive(Debug)]
#[must_use = "what was moved away is kept or removed by `finish`"]
pub struct Cleaned<'a> {
    pub(super) staging: Option<Staging<'a>>,
    pub(super) owned: &'a Owned,
}

/// What a clean start would take: files, links and whole folders first, then folders that go if they are empty by then.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    pub(super) gone: Vec<Vec<u8>>,
    pub(super) folders: Vec<Vec<u8>>,
}

pub(super) fn doomed(scope: &Scope<'_>) -> Result<Doomed> {
    let device = scope.device()?;
    let mut doomed = Doomed::default();
    for literal in scope.spec.outermost_literals() {
        let (parent, name) = split(literal);
        let Some(parent) = scope.root.dir_if_exists(parent)? else { continue };
        if let Some(stat) = parent.stat(name)? {
            if stat.dev != device {
                return Err(Error::OtherFileSystem { path: path_buf(literal) });
            }
            whole(scope, &parent, name, stat.file_type(), false, &mut doomed.gone)?;
        }
    }
    for (path, entry) in &scope.owned.entries {
        if scope.spec.owns(path) || !scope.spec.globs_match(path) {
            continue;
        }
        // A parent that is no folder any more is not the recipe's: what lies there is left.
        let Ok(Some(stat)) = scope.root.stat(path) else { continue };
        let is_folder = stat.file_type() == FileType::Directory;
        if stat.dev != device {
            return Err(Error::OtherFileSystem { path: path_buf(path) });
        }
        if is_folder && entry.kind == Kind::Dir {
            doomed.folders.push(path.clone());
        } else if !is_folder && !scope.must_stay(path)? {
            doomed.gone.push(path.clone());
        }
    }
    Ok(doomed)
}

/// The paths that [`remove`] would take, whole folders by their name.
///
/// # Errors
/// As [`clean`].
pub fn plan(scope: &Scope<'_>) -> Result<Vec<Vec<u8>>> {
    let Doomed { mut gone, folders } = doomed(scope)?;
    gone.extend(folders);
    gone.sort();
    Ok(gone)
}

/// The paths that [`clean`] would move away and [`Cleaned::finish`] keep for undo.
///
/// # Errors
/// As [`clean`].
pub fn would_keep(scope: &Scope<'_>, holds: &dyn Holds) -> Result<Vec<Vec<u8>>> {
    let mut kept = Vec::new();
    for path in doomed(scope)?.gone {
        let (parent, name) = scope.root.parent(&path)?;
        let mut digests = Vec::new();
        let known = recorded(scope.owned, &path, &parent, name, false, &mut digests)?;
        if !known || !holds.holds_all(&digests) {
            kept.push(path);
        }
    }
    Ok(kept)
}

/// Moves away what the recipe owns, and makes the parents of its literal outputs.
///
/// # Errors
/// [`Error::SymlinkedParent`], [`Error::NotADirectory`] for a parent of a literal output; [`Error::OtherFileSystem`]
/// before anything was moved; [`Error::Io`].
pub fn clean<'a>(scope: &Scope<'a>) -> Result<Cleaned<'a>> {
    let cleaned = remove(scope)?;
    make_parents(scope)?;
    Ok(cleaned)
}

/// Moves away what the recipe owns, and nothing else: no run follows.
///
/// # Errors
/// As [`clean`].
pub fn remove<'a>(scope: &Scope<'a>) -> Result<Cleaned<'a>> {
    let Doomed { gone, folders } = doomed(scope)?;
    let staging = if gone.is_empty() { None } else { Some(move_away(scope, gone)?) };
    for path in folders.iter().rev() {
        let (parent, name) = scope.root.parent(path)?;
        parent.remove_dir(name)?;
    }
    Ok(Cleaned { staging, owned: scope.owned })
}

/// Makes the parents of literal outputs, and nothing else: what an incremental recipe starts with.
///
/// # Errors
/// As [`clean`].
pub fn make_parents(scope: &Scope<'_>) -> Result<()> {
    for literal in scope.spec.literals() {
        scope.root.make_dirs(split(literal).0)?;
    }
    Ok(())
}

impl Cleaned<'_> {
    /// Ends the clean start: what the store holds is removed, the rest kept. The name under which it can be undone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self, holds: &dyn Holds) -> Result<Option<String>> {
        let Some(staging) = self.staging else { return Ok(None) };
        let mut keep = BTreeSet::new();
        for entry in &staging.journal.moves {
            let name = entry.slot.to_string();
            let mut digests = Vec::new();
            let known = recorded(self.owned, &entry.path, &staging.dir, name.as_bytes(), true, &mut digests)?;
            if !known || !holds.holds_all(&digests) {
                keep.insert(entry.slot);
            }
        }
        staging.finish(&keep)
    }
}

/// Moves `paths` away: all of them, or none.
pub(super) fn move_away<'a>(scope: &Scope<'a>, paths: Vec<Vec<u8>>) -> Result<Staging<'a>> {
    let mut staging = Staging::new(scope.state, scope.run, scope.recipe)?;
    for path in paths {
        let slot = staging.slot();
        staging.journal.moves.push(Move { path, slot, staged: None });
    }
    staging.begin()?;
    match move_each(scope, &staging) {
        Ok(()) => Ok(staging),
        Err(error) => {
            if let Err(error) = staging.put_back(scope.root) {
                tracing::warn!(%error, "what was moved away is kept for undo");
            }
            Err(error)
        }
    }
}

fn move_each(scope: &Scope<'_>, staging: &Staging<'_>) -> Result<()> {
    let mut parent: Option<Dir> = None;
    for entry in &staging.journal.moves {
        let (folder, name) = split(&entry.path);
        let from = match parent.take() {
            Some(dir) if dir.path() == folder => dir,
            _ => scope.root.dir(folder)?,
        };
        let slot = entry.slot.to_string();
        match relocate(&from, name, &staging.dir, slot.as_bytes(), RenameFlags::empty()) {
            // Gone meanwhile.
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(io("move away", &entry.path)(errno)),
        }
        parent = Some(from);
    }
    Ok(())
}

/// Adds to `gone` the largest parts of `name` that may all go; `true` if that is `name` itself.
/// `strict`: that a file which git tracks would have to stay is [`Error::Tracked`].
pub(crate) fn whole(
    scope: &Scope<'_>,
    parent: &Dir,
    name: &[u8],
    kind: FileType,
    strict: bool,
    gone: &mut Vec<Vec<u8>>,
) -> Result<bool> {
    let path = parent.join(name);
    if scope.spec.is_excluded(&path) || (scope.is_input)(&path) {
        return Ok(false);
    }
    if kind != FileType::Directory && scope.is_tracked(&path)? {
        return if strict { Err(Error::Tracked { path: path_buf(&path) }) } else { Ok(false) };
    }
    let before = gone.len();
    if kind == FileType::Directory {
        let dir = parent.dir(name)?;
        let mut all = true;
        for (child, kind) in dir.list()? {
            all &= whole(scope, &dir, &child, kind, strict, gone)?;
        }
        if !all {
            return Ok(false);
        }
    }
    gone.truncate(before);
    gone.push(path);
    Ok(true)
}

/// Collects the digests of everything at `name`; `false` if any of it is not as recorded for `path`.
/// `moved`: it was itself renamed since, which moved its `ctime`.
pub(crate) fn recorded(
    owned: &Owned,
    path: &[u8],
    parent: &Dir,
    name: &[u8],
    moved: bool,
    digests: &mut Vec<larder_core::Digest>,
) -> Result<bool> {
    let Some(stat) = parent.stat(name)? else { return Ok(true) };
    let entry = owned.entries.get(path);
    match stat.file_type() {
        FileType::Directory => {
            let dir = match parent.dir(name) {
                Ok(dir) => dir,
                Err(Error::Io { .. }) => return Ok(false),
                Err(error) => return Err(error),
            };
            for (child, _) in dir.list()? {
                if !recorded(owned, &super::beneath::join(path, &child), &dir, &child, false, digests)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        FileType::Symlink => Ok(entry.is_some_and(|entry| entry.kind == Kind::Symlink)),
        FileType::RegularFile => {
            let Some(entry) = entry else { return Ok(false) };
            let (Kind::File(Some(content)), Some(then)) = (&entry.kind, &entry.stat) else {
                return Ok(false);
            };
            let Some(digest) = content.digest() else { return Ok(false) };
            digests.push(digest);
            Ok(same(&stat, then, moved))
        }
        _ => Ok(true),
    }
}

fn same(now: &FileStat, then: &FileStat, moved: bool) -> bool {
    if moved { now.same_but_renamed(then) } else { now == then }
}
