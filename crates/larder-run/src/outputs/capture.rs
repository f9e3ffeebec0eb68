//! After a run: outputs go to the store, and become a tree.
//!
//! Captured are literal outputs, whole (links, empty folders, modes), and what matches a glob and was made or changed by
//! the run, or was the recipe's already. Before the run [`snapshot`] notes what matches globs without being owned. Files
//! are streamed by two threads; memory grows with the number of entries, never with their size. A file that is not the
//! same before and after it is read is [`Error::Changed`].
//!
//! Not promised: a change that keeps size, inode and both times. The caller lets one tick of file-system time pass
//! between the snapshot and the run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_core::Digest;
use rustix::fs::FileType;

use super::Sink;
use super::beneath::{Dir, FileStat, Root, join, split};
use super::error::{Error, Result, path_buf};
use super::record::{Owned, Snapshot};
use super::scan::Needles;
use super::spec::OutputSpec;
use super::tree::{Folder, Node};

/// What a run left in its outputs.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// Rooted at the project's root.
    pub tree: Folder,
    /// What `lstat` said of each captured entry.
    pub stats: BTreeMap<Vec<u8>, FileStat>,
    /// Number of files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// The project's real root occurs in a file or a link's target.
    pub contains_root: bool,
}

/// What matches the recipe's globs without being owned. To be called before the run, after the clean start.
///
/// # Errors
/// [`Error::Io`], [`Error::SymlinkedParent`].
pub fn snapshot(root: &Root, spec: &OutputSpec, owned: &Owned) -> Result<Snapshot> {
    let mut unowned = glob_matches(root, spec)?;
    unowned.retain(|path, _| !owned.contains(path));
    Ok(Snapshot { unowned })
}

/// All that matches the recipe's globs now: files, links, special files, and empty folders.
///
/// # Errors
/// As [`snapshot`].
pub fn glob_matches(root: &Root, spec: &OutputSpec) -> Result<BTreeMap<Vec<u8>, FileStat>> {
    let mut found = BTreeMap::new();
    for base in spec.glob_bases() {
        match root.dir_if_exists(&base) {
            Ok(Some(dir)) => {
                walk_globs(&dir, spec, &mut found)?;
            }
            Ok(None) | Err(Error::NotADirectory { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// `true` if the folder is empty.
fn walk_globs(dir: &Dir, spec: &OutputSpec, found: &mut BTreeMap<Vec<u8>, FileStat>) -> Result<bool> {
    let entries = dir.list()?;
    let is_empty = entries.is_empty();
    for (name, kind) in entries {
        let path = dir.join(&name);
        let take = if kind == FileType::Directory {
            let empty = spec.may_match_below(&path) && walk_globs(&dir.dir(&name)?, spec, found)?;
            empty && spec.globs_match(&path)
        } else {
            spec.globs_match(&path)
        };
        if take
            && !spec.owns(&path)
            && let Some(stat) = dir.stat(&name)?
        {
            found.insert(path, stat);
        }
    }
    Ok(is_empty)
}

/// Takes the outputs of a run that ended well.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Special`], [`Error::Changed`], [`Error::CapturedNothing`], [`Error::Content`] if the
/// outputs cannot be recorded; others as [`snapshot`].
pub fn capture(
    root: &Root,
    spec: &OutputSpec,
    owned: &Owned,
    before: &Snapshot,
    needles: &Needles,
    sink: &dyn Sink,
) -> Result<Captured> {
    let mut found = Found { captured: Captured::default(), files: Vec::new(), needles };
    let mut missing = Vec::new();
    for literal in spec.literals() {
        if root.stat(literal)?.is_none() {
            missing.push(path_buf(literal));
        }
    }
    if !missing.is_empty() {
        return Err(Error::Missing { paths: missing });
    }
    for literal in spec.outermost_literals() {
        let (dir, name) = root.parent(literal)?;
        found.literal(&dir, name, spec)?;
    }
    found.globs(root, spec, owned, before)?;
    let Found { mut captured, files, .. } = found;
    for (path, digest, stat) in store(root, files, needles, sink, &mut captured.contains_root)? {
        captured.files += 1;
        captured.bytes += stat.size;
        captured.tree.insert(&path, Node::File { digest, mode: stat.permissions() });
        captured.stats.insert(path, stat);
    }
    Ok(captured)
}

struct Found<'n> {
    captured: Captured,
    /// Sorted enough that files of one folder follow each other.
    files: Vec<(Vec<u8>, FileStat)>,
    needles: &'n Needles,
}

impl Found<'_> {
    fn literal(&mut self, dir: &Dir, name: &[u8], spec: &OutputSpec) -> Result<()> {
        let path = dir.join(name);
        if spec.is_excluded(&path) {
            return Ok(());
        }
        // Gone between listing and now: something of the recipe still writes.
        let stat = dir.stat(name)?.ok_or_else(|| Error::Changed { path: path_buf(&path) })?;
        if stat.file_type() != FileType::Directory {
            return self.leaf(dir, name, path, stat);
        }
        self.folder(&path, stat);
        let inner = dir.dir(name)?;
        let mut names = inner.list()?;
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (child, _) in names {
            self.literal(&inner, &child, spec)?;
        }
        Ok(())
    }

    fn folder(&mut self, path: &[u8], stat: FileStat) {
        let mode = Some(stat.permissions() & 0o777).filter(|mode| *mode != 0o755);
        self.captured.tree.insert(path, Node::Dir(Folder { mode, entries: BTreeMap::new() }));
        self.captured.stats.insert(path.to_vec(), stat);
    }

    fn leaf(&mut self, dir: &Dir, name: &[u8], path: Vec<u8>, stat: FileStat) -> Result<()> {
        let what = match stat.file_type() {
            FileType::RegularFile if stat.permissions() > 0o777 => "a file with set-ID or sticky bits",
            FileType::RegularFile => {
                self.files.push((path, stat));
                return Ok(());
            }
            FileType::Symlink => {
                let target = dir.read_link(name)?;
                let mut scan = self.needles.scan();
                scan.feed(&target);
                self.captured.contains_root |= scan.found();
                self.captured.tree.insert(&path, Node::Symlink { target });
                self.captured.stats.insert(path, stat);
                return Ok(());
            }
            FileType::Fifo => "a named pipe",
            FileType::Socket => "a socket",
            FileType::BlockDevice | FileType::CharacterDevice => "a device",
            _ => "of an unknown kind",
        };
        Err(Error::Special { path: path_buf(&path), what })
    }

    fn globs(&mut self, root: &Root, spec: &OutputSpec, owned: &Owned, before: &Snapshot) -> Result<()> {
        let mut took = vec![false; spec.glob_count()];
        let mut left: Vec<Option<Vec<u8>>> = vec![None; spec.glob_count()];
        for (path, stat) in glob_matches(root, spec)? {
            let made = owned.contains(&path) || !before.is_unchanged(&path, &stat);
            for glob in spec.globs_of(&path) {
                if made {
                    took[glob] = true;
                } else if stat.file_type() != FileType::Directory {
                    left[glob].get_or_insert_with(|| path.clone());
                }
            }
            if !made {
                continue;
            }
            if stat.file_type() == FileType::Directory {
                self.folder(&path, stat);
            } else {
                let (dir, name) = root.parent(&path)?;
                self.leaf(&dir, name, path.clone(), stat)?;
            }
        }
        match took
            .iter()
            .zip(left)
            .enumerate()
            .find_map(|(glob, (took, left))| Some((glob, left.filter(|_| !took)?)))
        {
            Some((glob, example)) => Err(Error::CapturedNothing {
                pattern: spec.glob_text(glob).to_owned(),
                example: path_buf(&example),
            }),
            None => Ok(()),
        }
    }
}

type Stored = (Vec<u8>, Digest, FileStat);

/// Files that one thread takes at once, and below which there is only one.
const BATCH: usize = 16;

fn store(
    root: &Root,
    files: Vec<(Vec<u8>, FileStat)>,
    needles: &Needles,
    sink: &dyn Sink,
    contains_root: &mut bool,
) -> Result<Vec<Stored>> {
    let next = AtomicUsize::new(0);
    let found = AtomicBool::new(false);
    let done = Mutex::new(Ok(Vec::with_capacity(files.len())));
    let work = || {
        let mut dir: Option<Dir> = None;
        loop {
            let at = next.fetch_add(BATCH, Ordering::Relaxed);
            let Some(batch) = files.get(at..files.len().min(at + BATCH)).filter(|batch| !batch.is_empty())
            else {
                return;
            };
            let stored: Result<Vec<Stored>> = batch
                .iter()
                .map(|(path, stat)| store_one(root, &mut dir, path, stat, needles, sink, &found))
                .collect();
            let mut done = done.lock().expect("no thread panics while it holds the list");
            match (&mut *done, stored) {
                (Ok(all), Ok(stored)) => all.extend(stored),
                (Ok(_), Err(error)) => {
                    *done = Err(error);
                    // The others stop at their next batch.
                    next.store(files.len(), Ordering::Relaxed);
                }
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        if files.len() > BATCH {
            scope.spawn(work);
        }
        work();
    });
    *contains_root |= found.into_inner();
    done.into_inner().expect("no thread panics while it holds the list")
}

fn store_one(
    root: &Root,
    dir: &mut Option<Dir>,
    path: &[u8],
    stat: &FileStat,
    needles: &Needles,
    sink: &dyn Sink,
    found: &AtomicBool,
) -> Result<Stored> {
    let (parent, name) = split(path);
    let open = match dir.take() {
        Some(open) if open.path() == parent => open,
        _ => root.dir(parent)?,
    };
    let file = open.open_file(name)?;
    let changed = || Error::Changed { path: path_buf(&join(parent, name)) };
    let look = || {
        rustix::fs::fstat(&file).map(|stat| FileStat::new(&stat)).map_err(super::error::io("look at", path))
    };
    if look()? != *stat {
        return Err(changed());
    }
    let mut scan = needles.scan();
    let digest = sink
        .put(&file, stat.size, &mut |piece| scan.feed(piece))
        .map_err(|source| Error::Content { path: path_buf(path), source })?;
    if digest.size != stat.size || look()? != *stat {
        return Err(changed());
    }
    found.fetch_or(scan.found(), Ordering::Relaxed);
    *dir = Some(open);
    Ok((path.to_vec(), digest, *stat))
}
