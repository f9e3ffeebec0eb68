//! On a hit: the owned part of the tree becomes exactly what was recorded.
//!
//! 1. The recorded tree is checked against the recipe's output patterns: a path outside them is refused.
//! 2. The disk is compared with it; only what is not proven clean is read.
//! 3. What differs is fetched into a staging folder on the same file system, verified, with its final modes.
//! 4. Only then is the tree touched: folders that lead to outputs are made, then each missing entry (a whole folder at
//!    once) comes by one rename, each different one by an
//!    exchange, strays (in literal folders, and recorded glob matches) by a rename into the staging folder.
//! 5. What was replaced or removed and the store does not hold is kept for undo.
//!
//! Until step 4 any error leaves the tree as it was ([`Error::is_miss`] says which ones mean "run the recipe"). Files
//! that git tracks are replaced, but if one would have to be removed the answer is [`Error::Tracked`]. Folders that only
//! lead to outputs are made if they are missing, and otherwise left alone. Restored files carry the time of the restore.

use std::collections::BTreeMap;
use std::io::Read as _;

use larder_core::Digest;
use rustix::fs::FileType;

use super::beneath::{Dir, FileStat, join};
use super::clean::{recorded, whole};
use super::error::{Error, Result, path_buf};
use super::place;
use super::record::Kind;
use super::tree::{Folder, Node};
use super::{Holds, Known, Scope, Source};

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// What `lstat` says of files now: those found unchanged, and those placed (content proven by the store).
    pub stats: BTreeMap<Vec<u8>, FileStat>,
    /// Files that were as recorded.
    pub unchanged: u64,
    /// Files that were written.
    pub placed: u64,
    /// Their size.
    pub bytes: u64,
    /// Strays that were removed.
    pub removed: u64,
    /// Under which name what was replaced can be had back; `None` if nothing had to be kept.
    pub kept: Option<String>,
    changed: bool,
}

impl Restored {
    /// The worktree was as recorded already.
    #[must_use]
    pub fn was_exact(&self) -> bool {
        !self.changed
    }
}

/// What differs between the disk and the recorded tree.
#[derive(Debug, Default)]
pub(crate) struct Plan<'t> {
    /// Missing folders that only lead to outputs, parents first. Other recipes may make them at any time.
    pub(crate) ways: Vec<Vec<u8>>,
    /// Entries to put in place, each with everything below it.
    pub(crate) units: Vec<Unit<'t>>,
    /// Entries to move away, and whether they must be kept.
    pub(crate) gone: Vec<(Vec<u8>, bool)>,
    /// Recorded folders of globs to remove if they are empty then.
    pub(crate) folders: Vec<Vec<u8>>,
    /// Folders on disk with another mode.
    pub(crate) modes: Vec<(Vec<u8>, u32)>,
    pub(crate) report: Restored,
}

#[derive(Debug)]
pub(crate) struct Unit<'t> {
    pub(crate) path: Vec<u8>,
    pub(crate) node: &'t Node,
    /// What stands there, if anything.
    pub(crate) replaces: Option<Standing>,
}

/// What is about to be replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The store does not hold it.
    pub(crate) keep: bool,
    /// What `keep` was decided for.
    pub(crate) stat: FileStat,
}

/// Makes the recipe's outputs what `tree` records.
///
/// # Errors
/// [`Error::Forged`], [`Error::Tracked`], [`Error::Content`], [`Error::OtherFileSystem`] before anything was touched;
/// [`Error::SymlinkedParent`], [`Error::NotADirectory`], [`Error::Io`] at any time.
pub fn restore(
    scope: &Scope<'_>,
    tree: &Folder,
    source: &dyn Source,
    known: &dyn Known,
    holds: &dyn Holds,
) -> Result<Restored> {
    check(scope, tree)?;
    let plan = compare(scope, tree, known, holds)?;
    if plan.units.is_empty() && plan.gone.is_empty() && plan.modes.is_empty() && plan.folders.is_empty() {
        return Ok(plan.report);
    }
    let mut restored = place::place(scope, plan, source)?;
    restored.changed = true;
    Ok(restored)
}

/// What [`restore`] would replace or remove and keep for undo.
///
/// # Errors
/// As [`restore`], before anything is touched.
pub fn would_keep(
    scope: &Scope<'_>,
    tree: &Folder,
    known: &dyn Known,
    holds: &dyn Holds,
) -> Result<Vec<Vec<u8>>> {
    check(scope, tree)?;
    let plan = compare(scope, tree, known, holds)?;
    let replaced = plan.units.into_iter().filter(|unit| unit.replaces.is_some_and(|old| old.keep));
    let gone = plan.gone.into_iter().filter(|(_, keep)| *keep);
    let mut kept: Vec<_> = replaced.map(|unit| unit.path).chain(gone.map(|(path, _)| path)).collect();
    kept.sort();
    Ok(kept)
}

/// Refuses a tree that no run of this recipe can have left.
fn check(scope: &Scope<'_>, tree: &Folder) -> Result<()> {
    let forged = |path: &[u8], reason| Err(Error::Forged { path: path_buf(path), reason });
    for literal in scope.spec.literals() {
        if tree.get(literal).is_none() && !scope.spec.is_excluded(literal) {
            return forged(literal, "an output of the recipe is missing");
        }
    }
    tree.walk(&mut |path, node| match node {
        Node::Dir(folder) if !folder.entries.is_empty() => Ok(()),
        _ if !scope.spec.covers(path) => forged(path, "it is no output of the recipe"),
        _ if (scope.is_input)(path) => forged(path, "it is an input of the recipe"),
        _ => Ok(()),
    })
}

fn compare<'t>(
    scope: &Scope<'_>,
    tree: &'t Folder,
    known: &dyn Known,
    holds: &dyn Holds,
) -> Result<Plan<'t>> {
    let device = scope.device()?;
    let mut compare = Compare { scope, known, holds, device, plan: Plan::default(), buffer: Vec::new() };
    let root = scope.root.dir(b"")?;
    compare.folder(tree, &root)?;
    for (path, entry) in &scope.owned.entries {
        if scope.spec.owns(path) || !scope.spec.globs_match(path) || tree.get(path).is_some() {
            continue;
        }
        let Ok(Some(stat)) = scope.root.stat(path) else { continue };
        let is_folder = stat.file_type() == FileType::Directory;
        if is_folder && entry.kind == Kind::Dir {
            compare.plan.folders.push(path.clone());
        } else if !is_folder && !(scope.is_input)(path) {
            if scope.is_tracked(path)? {
                return Err(Error::Tracked { path: path_buf(path) });
            }
            let (parent, name) = scope.root.parent(path)?;
            let keep = compare.must_keep(&parent, name)?;
            compare.plan.gone.push((path.clone(), keep));
        }
    }
    Ok(compare.plan)
}

struct Compare<'a, 't> {
    scope: &'a Scope<'a>,
    known: &'a dyn Known,
    holds: &'a dyn Holds,
    device: u64,
    plan: Plan<'t>,
    buffer: Vec<u8>,
}

impl<'t> Compare<'_, 't> {
    fn folder(&mut self, folder: &'t Folder, dir: &Dir) -> Result<()> {
        if dir.stat_self(dir.path())?.dev != self.device {
            return Err(Error::OtherFileSystem { path: path_buf(dir.path()) });
        }
        for (name, node) in &folder.entries {
            let path = dir.join(name);
            match dir.stat(name)? {
                None => self.missing(path, node),
                Some(stat) => self.entry(dir, name, path, node, &stat)?,
            }
        }
        if self.scope.spec.owns(dir.path()) {
            self.strays(folder, dir)?;
        }
        Ok(())
    }

    /// Nothing stands at `path`. What only leads to outputs may be shared with other recipes, which may make it before
    /// this restore does: it is no unit, but made where it is still missing.
    fn missing(&mut self, path: Vec<u8>, node: &'t Node) {
        match node {
            Node::Dir(folder) if !folder.entries.is_empty() && !self.scope.spec.covers(&path) => {
                self.plan.ways.push(path.clone());
                for (name, node) in &folder.entries {
                    self.missing(join(&path, name), node);
                }
            }
            _ => self.plan.units.push(Unit { path, node, replaces: None }),
        }
    }

    fn entry(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: Vec<u8>,
        node: &'t Node,
        stat: &FileStat,
    ) -> Result<()> {
        let covered = self.scope.spec.covers(&path);
        match (node, stat.file_type()) {
            (Node::Dir(folder), FileType::Directory) => {
                let explicit = self.scope.spec.owns(&path) || (folder.entries.is_empty() && covered);
                let mode = folder.mode.unwrap_or(0o755);
                if explicit && stat.permissions() & 0o777 != mode {
                    self.plan.modes.push((path, mode));
                }
                return self.folder(folder, &dir.dir(name)?);
            }
            (Node::Dir(_), kind) if !covered => {
                let path = path_buf(&path);
                return Err(match kind {
                    FileType::Symlink => Error::SymlinkedParent { path },
                    _ => Error::NotADirectory { path },
                });
            }
            (Node::File { digest, mode }, FileType::RegularFile) => {
                return self.file(dir, name, path, node, (digest, *mode), stat);
            }
            (Node::Symlink { target }, FileType::Symlink) if dir.read_link(name)? == *target => {
                self.plan.report.stats.insert(path, *stat);
                return Ok(());
            }
            // A file that makes way for a folder is gone.
            (Node::Dir(_), _) if self.scope.is_tracked(&path)? => {
                return Err(Error::Tracked { path: path_buf(&path) });
            }
            (_, FileType::Directory)
                if !whole(self.scope, dir, name, FileType::Directory, true, &mut Vec::new())? =>
            {
                let reason = "a folder stands in the way that holds inputs or excluded files";
                return Err(Error::Forged { path: path_buf(&path), reason });
            }
            _ => {}
        }
        let keep = self.must_keep(dir, name)?;
        self.plan.units.push(Unit { path, node, replaces: Some(Standing { keep, stat: *stat }) });
        Ok(())
    }

    fn file(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: Vec<u8>,
        node: &'t Node,
        (digest, mode): (&Digest, u32),
        stat: &FileStat,
    ) -> Result<()> {
        let there = if stat.size == digest.size {
            match self.known.digest_if_clean(&path, stat).filter(|there| there.function == digest.function) {
                Some(there) => Some(there),
                None => self.hash(dir, name, digest)?,
            }
        } else {
            None
        };
        if there == Some(*digest) && stat.permissions() == mode {
            self.plan.report.unchanged += 1;
            self.plan.report.stats.insert(path, *stat);
            return Ok(());
        }
        let keep = match there {
            Some(there) => !self.holds.holds_all(&[there]),
            None => self.must_keep(dir, name)?,
        };
        self.plan.units.push(Unit { path, node, replaces: Some(Standing { keep, stat: *stat }) });
        Ok(())
    }

    /// The digest of the file's content; `None` if it cannot be read, and so is not what was recorded.
    fn hash(&mut self, dir: &Dir, name: &[u8], like: &Digest) -> Result<Option<Digest>> {
        let mut file = match dir.open_file(name) {
            Ok(file) => file,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.buffer.resize(128 << 10, 0);
        let mut hasher = like.function.hasher();
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => return Ok(Some(hasher.finish())),
                Ok(count) => hasher.update(&self.buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { op: "read", path: path_buf(&dir.join(name)), source }),
            }
        }
    }

    /// Moves away what a literal folder holds beyond the tree.
    fn strays(&mut self, folder: &Folder, dir: &Dir) -> Result<()> {
        for (name, kind) in dir.list()? {
            if folder.entries.contains_key(&name) {
                continue;
            }
            let mut gone = Vec::new();
            whole(self.scope, dir, &name, kind, true, &mut gone)?;
            for path in gone {
                let keep = if path == dir.join(&name) {
                    self.must_keep(dir, &name)?
                } else {
                    let (parent, name) = self.scope.root.parent(&path)?;
                    self.must_keep(&parent, name)?
                };
                self.plan.gone.push((path, keep));
            }
        }
        Ok(())
    }

    /// What stands at `name` cannot be had from the store.
    fn must_keep(&self, dir: &Dir, name: &[u8]) -> Result<bool> {
        let path = dir.join(name);
        if let Some(stat) = dir.stat(name)?.filter(|stat| stat.file_type() == FileType::RegularFile)
            && let Some(digest) = self.known.digest_if_clean(&path, &stat)
        {
            return Ok(!self.holds.holds_all(&[digest]));
        }
        let mut digests = Vec::new();
        let all = recorded(self.scope.owned, &path, dir, name, false, &mut digests)?;
        Ok(!all || !self.holds.holds_all(&digests))
    }
}
