//! The second half of a restore: content into the staging folder, then into the tree by rename.
//!
//! Two threads write files; each takes files of one folder at a time, with that folder open. A file costs four system
//! calls beside its content: create, stat, close, and its part of one rename for the whole unit that is missing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_core::Digest;
use rustix::fs::{FileType, Mode, RenameFlags};
use rustix::io::Errno;

use super::beneath::{Dir, FileStat, join, split};
use super::error::{Error, Result, io, path_buf};
use super::restore::{Plan, Restored};
use super::staging::{Move, Staging, relocate};
use super::tree::Node;
use super::{Scope, Source};

/// Files that one thread takes at once, and below which there is only one.
const BATCH: usize = 32;
/// Ends the name of what stood at a path, until its slot is free.
const ASIDE: &[u8] = b".old";

/// Carries out `plan`.
pub(crate) fn place(scope: &Scope<'_>, plan: Plan<'_>, source: &dyn Source) -> Result<Restored> {
    let mut staging = Staging::new(scope.state, scope.run, scope.recipe)?;
    let mut layout = Layout::default();
    let slots: Vec<u32> = plan.units.iter().map(|_| staging.slot()).collect();
    for (unit, slot) in plan.units.iter().zip(&slots) {
        layout.node(&staging.dir, slot.to_string().as_bytes(), &unit.path, unit.node)?;
    }
    let mut report = plan.report;
    for (path, stat) in write(scope, &layout.batches, source)? {
        report.placed += 1;
        report.bytes += stat.size;
        report.stats.insert(path, stat);
    }
    // Children come after their parents in the layout; a parent may lose its permissions last.
    for (path, mode) in layout.folders.iter().rev() {
        scope.state.dir(path)?.set_mode(*mode)?;
    }

    let mut keep = BTreeSet::new();
    for (unit, slot) in plan.units.iter().zip(&slots) {
        if let Some(old) = unit.replaces {
            let staged = staging.dir.stat(slot.to_string().as_bytes())?.map(|stat| stat.ino);
            staging.journal.moves.push(Move { path: unit.path.clone(), slot: *slot, staged });
            keep.extend(old.keep.then_some(*slot));
        }
    }
    let mut away = Vec::new();
    for (path, must_keep) in plan.gone {
        let slot = staging.slot();
        staging.journal.moves.push(Move { path: path.clone(), slot, staged: None });
        keep.extend(must_keep.then_some(slot));
        away.push((path, slot));
    }
    staging.begin()?;

    for path in &plan.ways {
        scope.root.make_dirs(path)?;
    }
    let mut tree = Tree { scope, parent: None, modes: plan.modes };
    for (unit, slot) in plan.units.iter().zip(&slots) {
        let stat =
            tree.put(&staging.dir, slot.to_string().as_bytes(), &unit.path, unit.replaces.is_some())?;
        // Something else came to stand there since it was looked at: nobody knows whether the store holds it.
        let now = staging.dir.stat(slot.to_string().as_bytes())?;
        if unit.replaces.zip(now).is_some_and(|(old, now)| !now.same_but_renamed(&old.stat)) {
            keep.insert(*slot);
        }
        if !matches!(unit.node, Node::Dir(_)) {
            report.stats.insert(unit.path.clone(), stat);
        }
    }
    for (path, slot) in away {
        report.removed += 1;
        tree.take(&staging.dir, slot.to_string().as_bytes(), &path)?;
    }
    for path in plan.folders.iter().rev() {
        let (parent, name) = scope.root.parent(path)?;
        report.removed += u64::from(parent.remove_dir(name)?);
    }
    tree.set_modes()?;
    report.kept = staging.finish(&keep)?;
    Ok(report)
}

/// Folders and links of the staging folder, and the files that are to be written into it.
#[derive(Debug, Default)]
struct Layout<'t> {
    folders: Vec<(Vec<u8>, u32)>,
    batches: Vec<Batch<'t>>,
}

/// Files of one folder of the staging folder.
#[derive(Debug)]
struct Batch<'t> {
    folder: Vec<u8>,
    files: Vec<Staged<'t>>,
}

#[derive(Debug)]
struct Staged<'t> {
    name: Vec<u8>,
    path: Vec<u8>,
    digest: &'t Digest,
    mode: u32,
}

impl<'t> Layout<'t> {
    /// `name` in the open folder `dir` (of the state folder) becomes `node`, which belongs at `path` of the project.
    fn node(&mut self, dir: &Dir, name: &[u8], path: &[u8], node: &'t Node) -> Result<()> {
        match node {
            Node::File { digest, mode } => {
                // The open folders know their place below the state folder.
                let folder = dir.path();
                let file = Staged { name: name.to_vec(), path: path.to_vec(), digest, mode: *mode };
                match self.batches.last_mut() {
                    Some(batch) if batch.folder == folder && batch.files.len() < BATCH => {
                        batch.files.push(file)
                    }
                    _ => self.batches.push(Batch { folder: folder.to_vec(), files: vec![file] }),
                }
                Ok(())
            }
            Node::Symlink { target } => dir.make_link(name, target),
            Node::Dir(folder) => {
                dir.make_dir(name)?;
                let inner = dir.dir(name)?;
                // `mkdir` minds the umask: every mode is set.
                self.folders.push((inner.path().to_vec(), folder.mode.unwrap_or(0o755)));
                for (child, node) in &folder.entries {
                    self.node(&inner, child, &join(path, child), node)?;
                }
                Ok(())
            }
        }
    }
}

type Written = Vec<(Vec<u8>, FileStat)>;

fn write(scope: &Scope<'_>, batches: &[Batch<'_>], source: &dyn Source) -> Result<Written> {
    let digests: Vec<Digest> =
        batches.iter().flat_map(|batch| batch.files.iter().map(|file| *file.digest)).collect();
    source.expect(&digests);
    let count = digests.len();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Ok(Written::with_capacity(count)));
    let work = || {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let written: Result<Written> = scope
                .state
                .dir(&batch.folder)
                .and_then(|dir| batch.files.iter().map(|file| write_one(&dir, file, source)).collect());
            let mut done = done.lock().expect("no thread panics while it holds the list");
            match (&mut *done, written) {
                (Ok(all), Ok(written)) => all.extend(written),
                (Ok(_), Err(error)) => {
                    *done = Err(error);
                    // The others stop at their next batch.
                    next.store(batches.len(), Ordering::Relaxed);
                }
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|threads| {
        if batches.len() > 1 {
            threads.spawn(work);
        }
        work();
    });
    done.into_inner().expect("no thread panics while it holds the list")
}

fn write_one(dir: &Dir, file: &Staged<'_>, source: &dyn Source) -> Result<(Vec<u8>, FileStat)> {
    let content = |source| Error::Content { path: path_buf(&file.path), source };
    let out = dir.create_file(&file.name, file.mode)?;
    source.write_to(file.digest, &out).map_err(content)?;
    let look = || rustix::fs::fstat(&out).map(|stat| FileStat::new(&stat)).map_err(io("look at", &file.path));
    let mut stat = look()?;
    if stat.size != file.digest.size {
        return Err(content("the store gave another number of bytes".into()));
    }
    if stat.permissions() != file.mode {
        let mode = Mode::from_raw_mode(file.mode);
        rustix::fs::fchmod(&out, mode).map_err(io("set the mode of", &file.path))?;
        stat = look()?;
    }
    Ok((file.path.clone(), stat))
}

/// The project's tree while it is changed.
struct Tree<'a> {
    scope: &'a Scope<'a>,
    /// The folder of the last change, still open.
    parent: Option<Dir>,
    /// Modes of folders that are set at the end.
    modes: Vec<(Vec<u8>, u32)>,
}

impl Tree<'_> {
    fn open(&mut self, folder: &[u8]) -> Result<Dir> {
        match self.parent.take() {
            Some(dir) if dir.path() == folder => Ok(dir),
            _ => self.scope.root.dir(folder),
        }
    }

    /// A folder that may not be written is made writable until the end.
    fn unlock(&mut self, dir: &Dir) -> Result<bool> {
        let mode = dir.stat_self(dir.path())?.permissions();
        if mode & 0o300 == 0o300 {
            return Ok(false);
        }
        dir.set_mode(mode | 0o700)?;
        if !self.modes.iter().any(|(path, _)| path == dir.path()) {
            self.modes.push((dir.path().to_vec(), mode));
        }
        Ok(true)
    }

    /// Puts what is in `slot` at `path`; what stood there is in the slot afterwards.
    fn put(&mut self, staging: &Dir, slot: &[u8], path: &[u8], stands: bool) -> Result<FileStat> {
        let (folder, name) = split(path);
        let dir = self.open(folder)?;
        let mut flags = if stands { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        // The tree may change under us: each of these is answered once.
        for _ in 0..8 {
            match relocate(staging, slot, &dir, name, flags) {
                Ok(()) => {
                    if flags.is_empty() {
                        match staging.rename(&[slot, ASIDE].concat(), staging, slot, flags) {
                            Ok(()) | Err(Errno::NOENT) => {}
                            Err(errno) => return Err(io("move away", path)(errno)),
                        }
                    }
                    let stat = dir.stat(name)?.ok_or(Error::Changed { path: path_buf(path) })?;
                    self.parent = Some(dir);
                    return Ok(stat);
                }
                // What appeared meanwhile was in nobody's plan.
                Err(Errno::EXIST) => return Err(Error::Changed { path: path_buf(path) }),
                Err(Errno::NOENT) if flags == RenameFlags::EXCHANGE => flags = RenameFlags::NOREPLACE,
                Err(Errno::ACCESS) if self.unlock(&dir)? => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::ACCESS) if !flags.is_empty() => {
                    self.clear(staging, slot, &dir, name)?;
                    flags = RenameFlags::empty();
                }
                Err(errno) => return Err(io("put in place", path)(errno)),
            }
        }
        Err(Error::Changed { path: path_buf(path) })
    }

    /// Where the file system cannot exchange: what stands at `name` goes aside first, if it is a folder. A file is
    /// linked aside, so that it is not missing in between.
    fn clear(&mut self, staging: &Dir, slot: &[u8], dir: &Dir, name: &[u8]) -> Result<()> {
        let aside = [slot, ASIDE].concat();
        let moved = match dir.stat(name)? {
            None => return Ok(()),
            Some(stat) if stat.file_type() == FileType::Directory => {
                relocate(dir, name, staging, &aside, RenameFlags::empty())
            }
            Some(_) => rustix::fs::linkat(dir, name, staging, &aside[..], rustix::fs::AtFlags::empty()),
        };
        moved.map_err(io("move away", &dir.join(name)))
    }

    /// Moves what is at `path` into `slot`.
    fn take(&mut self, staging: &Dir, slot: &[u8], path: &[u8]) -> Result<()> {
        let (folder, name) = split(path);
        let dir = self.open(folder)?;
        let mut moved = relocate(&dir, name, staging, slot, RenameFlags::empty());
        if moved == Err(Errno::ACCESS) && self.unlock(&dir)? {
            moved = relocate(&dir, name, staging, slot, RenameFlags::empty());
        }
        self.parent = Some(dir);
        match moved {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(io("move away", path)(errno)),
        }
    }

    fn set_modes(mut self) -> Result<()> {
        // Deepest first: a parent may lose its permissions.
        self.modes.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        for (path, mode) in &self.modes {
            self.scope.root.dir(path)?.set_mode(*mode)?;
        }
        Ok(())
    }
}
