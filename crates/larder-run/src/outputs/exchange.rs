//! Outputs that came to be elsewhere take the place of what their recipe owns: all of them, or the project stays as it was.
//!
//! ```text
//! Room::look    what would have to go; changes nothing
//! Room::clear   it goes into a staging folder            Exchange::put        what arrives is renamed to its place
//! Exchange::keep   as `Cleaned::finish`                  Exchange::roll_back  everything is where it was
//! ```
//! What arrives replaces nothing: a file that stands in its place is moved away before, whoever owns it, and what comes to
//! stand there meanwhile ends the exchange. So nothing is lost that the store does not hold: it is back, or kept for undo.
//!
//! Not promised: that a rolled back file has the `ctime` it had. A process that is killed in the middle leaves to undo what it had moved away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::beneath::{Dir, ends, join, split};
use super::clean::{Cleaned, Doomed, doomed, move_away};
use super::error::{Error, Result, io, path_buf};
use super::staging::relocate_to_free;
use super::{Holds, Scope};

/// Something that comes into the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A file, a link, or a folder with all that is in it, to be renamed.
    Entry {
        /// Where it is, relative to the state folder.
        from: Vec<u8>,
        /// Where it belongs, relative to the project's root.
        path: Vec<u8>,
    },
    /// A folder that shall have these permissions, when what comes before it in the list is in it.
    Folder {
        /// Where it belongs.
        path: Vec<u8>,
        /// Its permissions.
        mode: u32,
    },
}

impl Arrival {
    fn path(&self) -> &[u8] {
        match self {
            Self::Entry { path, .. } | Self::Folder { path, .. } => path,
        }
    }
}

/// Whether literal outputs can come to their places, as far as that can be told before there are any. Changes nothing.
///
/// # Errors
/// [`Error::SymlinkedParent`], [`Error::NotADirectory`], [`Error::OtherFileSystem`]; [`Error::Io`].
pub(crate) fn check(scope: &Scope<'_>) -> Result<()> {
    let device = scope.device()?;
    for literal in scope.spec.outermost_literals() {
        let mut folder = split(literal).0;
        let nearest = loop {
            match scope.root.dir_if_exists(folder)? {
                Some(dir) => break dir,
                None => folder = split(folder).0,
            }
        };
        let (parent, name) = split(literal);
        let there = if folder == parent { nearest.stat(name)? } else { None };
        if nearest.stat_self(folder)?.dev != device || there.is_some_and(|there| there.dev != device) {
            return Err(Error::OtherFileSystem { path: path_buf(literal) });
        }
    }
    Ok(())
}

/// What would have to go for new outputs.
pub(crate) struct Room<'a> {
    scope: Scope<'a>,
    folders: Vec<Vec<u8>>,
    gone: BTreeSet<Vec<u8>>,
}

impl<'a> Room<'a> {
    /// Looks at what the recipe owns.
    ///
    /// # Errors
    /// As `clean::clean`.
    pub(crate) fn look(scope: Scope<'a>) -> Result<Self> {
        let Doomed { gone, folders } = doomed(&scope)?;
        Ok(Self { scope, folders, gone: gone.into_iter().collect() })
    }

    /// What it is about.
    pub(crate) fn scope(&self) -> &Scope<'a> {
        &self.scope
    }

    /// Nothing stands at `path`, or what does will go.
    ///
    /// # Errors
    /// [`Error::SymlinkedParent`], [`Error::NotADirectory`]: nothing can come there.
    pub(crate) fn is_free(&self, path: &[u8]) -> Result<bool> {
        Ok(self.goes(path) || self.scope.root.stat(path)?.is_none())
    }

    fn goes(&self, path: &[u8]) -> bool {
        ends(path).any(|end| self.gone.contains(&path[..end]))
    }

    /// Literal outputs that will not be there when `arrivals` have come.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn missing(&self, arrivals: &[Arrival]) -> Result<Vec<PathBuf>> {
        let coming: BTreeMap<&[u8], &Arrival> =
            arrivals.iter().map(|arrival| (arrival.path(), arrival)).collect();
        let mut missing = Vec::new();
        for literal in self.scope.spec.literals() {
            if !self.comes(literal, &coming) && self.is_free(literal)? {
                missing.push(path_buf(literal));
            }
        }
        Ok(missing)
    }

    fn comes(&self, literal: &[u8], coming: &BTreeMap<&[u8], &Arrival>) -> bool {
        let below = [literal, b"/"].concat();
        let next = coming.range(below.as_slice()..).next();
        if coming.contains_key(literal) || next.is_some_and(|(path, _)| path.starts_with(&below)) {
            return true;
        }
        // Or it lies in a folder that comes as a whole.
        let way = ends(literal).filter(|end| *end < literal.len());
        let around = way.into_iter().find_map(|end| Some((end, coming.get(&literal[..end])?)));
        let Some((end, Arrival::Entry { from, .. })) = around else { return false };
        let there = join(from, &literal[end + 1..]);
        // What cannot be looked at is found out when it is there.
        self.scope.state.stat(&there).map_or(true, |found| found.is_some())
    }

    /// Moves away what has to go, for `arrivals`.
    ///
    /// # Errors
    /// A folder in the place of a file; [`Error::Io`]. Then nothing has changed.
    pub(crate) fn clear(self, arrivals: &[Arrival]) -> Result<Exchange<'a>> {
        let Self { scope, folders, gone } = &self;
        let mut all: Vec<Vec<u8>> = gone.iter().cloned().collect();
        let mut displaces = false;
        for arrival in arrivals {
            let Arrival::Entry { path, .. } = arrival else { continue };
            if self.goes(path) {
                continue;
            }
            let Some(stat) = scope.root.stat(path)? else { continue };
            if stat.file_type() == FileType::Directory {
                return Err(io("put in place", path)(Errno::ISDIR));
            }
            displaces |= !scope.owned.contains(path) && !scope.is_tracked(path)?;
            all.push(path.clone());
        }
        let staging = if all.is_empty() { None } else { Some(move_away(scope, all)?) };
        let cleaned = Cleaned { staging, owned: scope.owned };
        let mut exchange = Exchange { scope: *scope, cleaned, displaces, changes: Vec::new() };
        match exchange.remove_folders(folders) {
            Ok(()) => Ok(exchange),
            Err(error) => {
                if let Err(error) = exchange.roll_back() {
                    tracing::warn!(%error, "what was moved away is kept for undo");
                }
                Err(error)
            }
        }
    }
}

/// What was done to the project, beside what was moved away.
#[derive(Debug)]
enum Change {
    /// A folder went.
    Removed { path: Vec<u8>, mode: u32 },
    /// A folder came to be.
    Made { path: Vec<u8> },
    /// Something was put there; its inode.
    Put { path: Vec<u8>, inode: u64 },
    /// A folder had other permissions.
    Mode { path: Vec<u8>, before: u32 },
}

/// Outputs on their way into the project.
#[must_use = "it is kept or rolled back"]
pub(crate) struct Exchange<'a> {
    scope: Scope<'a>,
    cleaned: Cleaned<'a>,
    displaces: bool,
    changes: Vec<Change>,
}

impl Exchange<'_> {
    /// Among what was moved away is what neither the recipe nor git knows.
    pub(crate) fn displaces(&self) -> bool {
        self.displaces
    }

    fn remove_folders(&mut self, folders: &[Vec<u8>]) -> Result<()> {
        for path in folders.iter().rev() {
            let (parent, name) = self.scope.root.parent(path)?;
            let Some(stat) = parent.stat(name)? else { continue };
            if parent.remove_dir(name)? {
                self.changes.push(Change::Removed { path: path.clone(), mode: stat.permissions() });
            }
        }
        Ok(())
    }

    /// Puts in place what arrives.
    ///
    /// # Errors
    /// [`Error::Changed`], [`Error::OtherFileSystem`], [`Error::SymlinkedParent`], [`Error::NotADirectory`],
    /// [`Error::Io`]. Then it must be rolled back.
    pub(crate) fn put(&mut self, arrivals: &[Arrival]) -> Result<()> {
        let mut open: Option<Dir> = None;
        for arrival in arrivals {
            match arrival {
                Arrival::Entry { from, path } => {
                    let (folder, name) = split(from);
                    let dir = match open.take() {
                        Some(dir) if dir.path() == folder => dir,
                        _ => self.scope.state.dir(folder)?,
                    };
                    self.put_one(&dir, name, path)?;
                    open = Some(dir);
                }
                Arrival::Folder { path, mode } => {
                    let dir = self.make_dirs(path)?;
                    let before = dir.stat_self(path)?.permissions();
                    if before != *mode {
                        self.changes.push(Change::Mode { path: path.clone(), before });
                        dir.set_mode(*mode)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put_one(&mut self, from: &Dir, name: &[u8], path: &[u8]) -> Result<()> {
        let changed = || Error::Changed { path: path_buf(path) };
        let (parent, last) = split(path);
        let to = self.make_dirs(parent)?;
        let inode = from.stat(name)?.ok_or_else(changed)?.ino;
        match relocate_to_free(from, name, &to, last) {
            Ok(()) => {
                self.changes.push(Change::Put { path: path.to_vec(), inode });
                Ok(())
            }
            Err(Errno::EXIST) => Err(changed()),
            Err(Errno::XDEV) => Err(Error::OtherFileSystem { path: path_buf(path) }),
            Err(errno) => Err(io("put in place", path)(errno)),
        }
    }

    fn make_dirs(&mut self, path: &[u8]) -> Result<Dir> {
        if let Some(dir) = self.scope.root.dir_if_exists(path)? {
            return Ok(dir);
        }
        self.make_dirs(split(path).0)?;
        let dir = self.scope.root.make_dirs(path)?;
        self.changes.push(Change::Made { path: path.to_vec() });
        Ok(dir)
    }

    /// It is done: what the store holds of what was moved away is removed, the rest kept. The name under which it can be undone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn keep(self, holds: &dyn Holds) -> Result<Option<String>> {
        self.cleaned.finish(holds)
    }

    /// Takes back what was put in place, and puts everything where it was. Where that cannot be, because something else came to stand there,
    /// it is kept: the name under which it can be undone.
    ///
    /// # Errors
    /// The first that was met; the rest is taken back all the same.
    pub(crate) fn roll_back(self) -> Result<Option<String>> {
        let mut first = None;
        for change in self.changes.iter().rev() {
            if let Err(error) = revert(&self.scope, change) {
                first.get_or_insert(error);
            }
        }
        let kept = match self.cleaned.staging {
            Some(staging) => staging.put_back(self.scope.root)?,
            None => None,
        };
        first.map_or(Ok(kept), Err)
    }
}

fn revert(scope: &Scope<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Removed { path, mode } => {
            if scope.root.stat(path)?.is_none() {
                scope.root.make_dirs(path)?.set_mode(*mode)?;
            }
        }
        Change::Made { path } => {
            let (parent, name) = scope.root.parent(path)?;
            // Somebody may have put something into it.
            parent.remove_dir(name)?;
        }
        Change::Put { path, inode } => {
            let (parent, name) = scope.root.parent(path)?;
            if parent.stat(name)?.is_some_and(|stat| stat.ino == *inode) {
                parent.remove_all(name)?;
            }
        }
        Change::Mode { path, before } => scope.root.dir(path)?.set_mode(*before)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs;
    use std::path::Path;

    use super::super::{OutputSpec, Owned, Root, Tracked, undo};
    use super::*;

    struct Nothing;

    impl Tracked for Nothing {
        fn is_tracked(&self, _: &[u8], _: bool) -> Result<bool> {
            Ok(false)
        }
    }

    /// Runs `test` with what would have to go for `out` and `gen/*`, and with the places of the project and of its state.
    fn with_room(test: impl FnOnce(Room<'_>, &Path, &Root)) {
        let folder = tempfile::tempdir().unwrap();
        let (project, state) = (folder.path().join("project"), folder.path().join("state"));
        for path in [project.join("out/old"), project.join("gen"), state.join("tmp/new/folder")] {
            fs::create_dir_all(path).unwrap();
        }
        for (path, text) in [("out/old/file", "old"), ("gen/mine", "mine")] {
            fs::write(project.join(path), text).unwrap();
        }
        fs::write(state.join("tmp/new/folder/file"), "new").unwrap();
        fs::write(state.join("tmp/new/file"), "new").unwrap();
        let (root, state) = (Root::open(&project).unwrap(), Root::open(&state).unwrap());
        let spec = OutputSpec::new(Path::new(""), &["out".into(), "gen/**".into()]).unwrap();
        let owned = Owned::default();
        let scope = Scope {
            root: &root,
            state: &state,
            spec: &spec,
            owned: &owned,
            tracked: &Nothing,
            is_input: &|_| false,
            run: "run",
            recipe: "recipe",
        };
        test(Room::look(scope).unwrap(), &project, &state);
    }

    fn entry(from: &str, path: &str) -> Arrival {
        Arrival::Entry { from: from.into(), path: path.into() }
    }

    /// What is in the project, with the content of files.
    fn seen(project: &Path) -> Vec<String> {
        let find =
            "find . -printf '%y %m %i %p ' -type f -exec cat {} ';' -printf '\\n' -o -printf '\\n' | sort";
        let output = std::process::Command::new("sh").args(["-c", find]).current_dir(project).output();
        String::from_utf8(output.unwrap().stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn everything_is_where_it_was_after_rolling_back() {
        with_room(|room, project, _| {
            let before = seen(project);
            let arrivals = [
                entry("tmp/new/folder", "out"),
                entry("tmp/new/file", "gen/mine"),
                Arrival::Folder { path: b"gen/a/b".to_vec(), mode: 0o500 },
                Arrival::Folder { path: b"gen".to_vec(), mode: 0o700 },
            ];
            assert_eq!(room.missing(&arrivals).unwrap(), [""; 0].map(PathBuf::from));
            assert_eq!(room.missing(&arrivals[1..]).unwrap(), [PathBuf::from("out")]);
            let mut exchange = room.clear(&arrivals).unwrap();
            exchange.put(&arrivals).unwrap();
            assert!(exchange.displaces());
            assert_eq!(fs::read(project.join("out/file")).unwrap(), b"new");
            assert_eq!(fs::read(project.join("gen/mine")).unwrap(), b"new");
            assert!(exchange.roll_back().unwrap().is_none());
            assert_eq!(seen(project), before);
        });
    }

    #[test]
    fn what_comes_to_stand_there_meanwhile_is_not_replaced_and_the_old_is_kept() {
        with_room(|room, project, state| {
            let arrivals = [entry("tmp/new/folder", "out"), entry("tmp/new/file", "gen/mine")];
            let mut exchange = room.clear(&arrivals).unwrap();
            fs::write(project.join("gen/mine"), "newer").unwrap();
            let error = exchange.put(&arrivals).unwrap_err();
            assert!(matches!(error, Error::Changed { path } if path == Path::new("gen/mine")));
            let kept = exchange.roll_back().unwrap().unwrap();
            assert_eq!(fs::read(project.join("gen/mine")).unwrap(), b"newer");
            assert_eq!(fs::read(project.join("out/old/file")).unwrap(), b"old");
            let all = undo::list(state).unwrap();
            assert_eq!((all.len(), &all[0].id, &all[0].paths), (1, &kept, &vec![b"gen/mine".to_vec()]));
        });
    }

    #[test]
    fn nothing_is_moved_for_a_file_where_a_folder_is() {
        with_room(|room, project, _| {
            let before = seen(project);
            fs::remove_file(project.join("gen/mine")).unwrap();
            fs::create_dir(project.join("gen/mine")).unwrap();
            let result = room.clear(&[entry("tmp/new/folder", "out"), entry("tmp/new/file", "gen/mine")]);
            assert!(matches!(result, Err(Error::Io { path, .. }) if path == Path::new("gen/mine")));
            assert_eq!(seen(project).len(), before.len());
            assert_eq!(fs::read(project.join("out/old/file")).unwrap(), b"old");
        });
    }
}
