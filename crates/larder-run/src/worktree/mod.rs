//! What is on disk: the one answer for inputs, outputs and discovery.
//!
//! ```text
//! spec.rs     what is asked                      pattern.rs  patterns as states of a walk
//! walk.rs     patterns → paths and dependencies  ignored.rs  ignore files
//! links.rs    where links lead             cover.rs    the same about single paths that are not there
//! table.rs    one node per path, versions        refresh.rs  lstat and reading, on all cores
//! stat.rs     file-system time, the proof rule   format.rs   the table on disk (docs/formats/stat-table.md)
//! tree.rs     entries → REAPI messages
//! ```
//!
//! # What a set of paths is
//! - Patterns are relative to a folder; `!` takes away, wherever it stands. What an exclusion matches is gone with all
//!   below it. Wildcards find files and links, also those that begin with a dot, never folders as such.
//! - A component without wildcards is *literal*. Ignore files (see `ignored.rs`) have a say in names that wildcards find,
//!   never in literal ones: `gen/*.c` counts although `gen/` is ignored. `.git` is found only literally; the state folder never.
//! - A literal that names a folder stands for everything below it, ignored or not, empty folders too. A literal that names
//!   nothing counts as absent: creating it changes the answer.
//! - A link counts by its text and, if links are followed, by what it leads to inside the project, which is then a member
//!   of the set at its real path. What it leads to outside the project is not looked at.
//! - A FIFO, socket or device in the set is an error, so is what cannot be read. Neither is opened or skipped.
//!
//! # Trust
//! Content is known without reading only if the stat proves it (see `stat.rs`). Answers are remembered with
//! the version of everything they depend upon: listings, contents, ignore files, kinds of folders on the way. Within one
//! *epoch* every path is looked at once; [`Worktree::ran`] begins a new epoch. Not promised: content written through
//! a memory map whose times the kernel has not yet updated, and clocks of network file systems that run backwards.
//!
//! # Concurrency
//! All methods take `&self`; one question is answered at a time, each on all cores. Several processes may use one state
//! folder: the table is replaced whole, the last writer wins, and a lost table costs time only.

mod cover;
mod error;
mod format;
mod ignored;
mod links;
mod pattern;
mod refresh;
mod spec;
mod stat;
mod table;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use larder_core::Digest;

pub use cover::Cover;
pub use error::{InputError, PatternProblem, SpecialKind};
pub use spec::PathSpec;
pub use stat::{FsTime, Stat};
pub use tree::{DirectoryTree, Entry, EntryKind, TreeSummary, directory_of, entries_of};

use pattern::Patterns;
use refresh::{Disk, Refused, Want};
use stat::Clock;
use table::{Answer, Dep, Id, Kind, OUTSIDE, On, ROOT, Remembered, Table};
use walk::{Question, RuleCache, Walk, Walked};

const FILE_NAME: &str = "stat-table";
/// Questions, as part of an answer's key.
const ABOUT_CONTENT: u8 = 1;
const ABOUT_NAMES: u8 = 2;

/// One worktree. See the module's header.
#[derive(Debug)]
pub struct Worktree {
    disk: Disk,
    file: PathBuf,
    epoch: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    table: Table,
    rules: RuleCache,
    state: Option<Id>,
}

impl Worktree {
    /// The worktree at `root`, whose table is kept in `state_dir` (made if missing; `.larder/state` of the root). A
    /// table that cannot be read is begun anew.
    ///
    /// # Errors
    /// If `root` is not a folder that can be opened.
    pub fn open(root: &Path, state_dir: &Path) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let path = std::fs::canonicalize(root)?;
        let fd = rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        if let Err(error) = crate::state::make_folder(&path, state_dir) {
            tracing::debug!(%error, "no state folder; nothing is remembered");
        }
        let file = state_dir.join(FILE_NAME);
        let mut table = format::load(&file).unwrap_or_else(Table::begin);
        let state = std::fs::canonicalize(state_dir).ok();
        let below = state.as_ref().and_then(|state| state.strip_prefix(&path).ok());
        let state = below.map(|below| table.node_at(below.as_os_str().as_bytes())).filter(|&id| id > OUTSIDE);
        let disk = Disk { root: fd, path, clock: Clock::open(state_dir), cores: OnceLock::new() };
        let inner = Mutex::new(Inner { table, rules: RuleCache::new(), state });
        Ok(Self { disk, file, epoch: AtomicU32::new(1), inner })
    }

    fn lock(&self) -> (MutexGuard<'_, Inner>, u32) {
        // What a panicking thread left behind is only a cache of what the disk said, each node changed as a whole.
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner, self.epoch.load(Ordering::SeqCst))
    }

    /// Whether `path` leads to the very folder that was opened, and not to another one that took its place. The opened folder is held, so
    /// that its number is nobody else's.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let opened = rustix::fs::fstat(&self.disk.root).map(identity);
        matches!((opened, rustix::fs::stat(path).map(identity)), (Ok(opened), Ok(there)) if opened == there)
    }

    /// Cores that this process may use, asked of the system once.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.disk.cores()
    }

    /// How many paths are known: about as many are looked at when a project is run whole.
    #[must_use]
    pub fn known(&self) -> usize {
        self.lock().0.table.nodes.len()
    }

    /// Digest of a set of paths; remembered.
    ///
    /// # Errors
    /// A bad pattern, or a path of the set that cannot be read or is special.
    pub fn digest_of(&self, spec: &PathSpec) -> Result<TreeSummary, InputError> {
        let (mut inner, epoch) = self.lock();
        let key = spec.key(ABOUT_CONTENT);
        if let Some(Remembered::Summary { root, files, bytes }) = inner.remembered(&self.disk, epoch, &key) {
            return Ok(TreeSummary { root, files, bytes });
        }
        let walked = inner.walk(&self.disk, epoch, spec, true)?;
        let summary = tree::summary(&inner.entries(&walked.found));
        let TreeSummary { root, files, bytes } = summary;
        self.remember(&mut inner, key, walked.deps, Remembered::Summary { root, files, bytes });
        Ok(summary)
    }

    /// Looks at everything that the remembered answers for `specs` depend upon, in one batch on all cores, so that
    /// asking for each costs next to nothing.
    pub fn warm(&self, specs: &[&PathSpec]) {
        let (mut inner, epoch) = self.lock();
        let mut deps: Vec<Dep> = Vec::new();
        for spec in specs {
            if let Some(answer) = inner.table.answers.get(&spec.key(ABOUT_CONTENT)) {
                deps.extend(&answer.deps);
            }
        }
        // Each answer's are in order: a stable sort only merges them.
        deps.sort();
        deps.dedup();
        inner.refresh_deps(&self.disk, epoch, &deps);
    }

    /// The paths of a set, sorted, with their content.
    ///
    /// # Errors
    /// As [`Self::digest_of`].
    pub fn entries(&self, spec: &PathSpec) -> Result<Vec<Entry>, InputError> {
        let (mut inner, epoch) = self.lock();
        let walked = inner.walk(&self.disk, epoch, spec, true)?;
        Ok(inner.entries(&walked.found))
    }

    /// The messages for entries; see [`directory_of`].
    #[must_use]
    pub fn directory_of(&self, entries: &[Entry]) -> DirectoryTree {
        directory_of(entries)
    }

    /// Digest of one file anywhere (a tool, say); links are followed. A relative path is relative to the root.
    ///
    /// # Errors
    /// If it is not a file that can be read.
    pub fn file(&self, path: &Path) -> Result<Digest, InputError> {
        let path = self.disk.path.join(path);
        let (mut inner, epoch) = self.lock();
        let id = inner.table.child_or_new(OUTSIDE, path.as_os_str().as_bytes());
        let refused = self.disk.refresh(&mut inner.table, epoch, &[(id, Want::Content)]);
        if let Some(Refused { error, .. }) = refused.into_iter().next() {
            return Err(InputError::Unreadable { path, source: error });
        }
        match inner.table.node(id).kind {
            Kind::File => Ok(inner.table.digest(id)),
            Kind::Absent => {
                Err(InputError::Unreadable { path, source: io::Error::from(io::ErrorKind::NotFound) })
            }
            _ => Err(InputError::NotAFile { path }),
        }
    }

    /// State and digest of each of these files (relative to the root), looked at in one batch; `None` for what is no regular
    /// file or cannot be read.
    #[must_use]
    pub fn contents(&self, files: &[PathBuf]) -> Vec<Option<(Stat, Digest)>> {
        let (mut inner, epoch) = self.lock();
        let ids: Vec<Id> =
            files.iter().map(|file| inner.table.node_at(file.as_os_str().as_bytes())).collect();
        let wanted: Vec<(Id, Want)> = ids.iter().map(|&id| (id, Want::Content)).collect();
        // What was refused is not fresh.
        drop(self.disk.refresh(&mut inner.table, epoch, &wanted));
        let known = |id| {
            let node = inner.table.node(id);
            let is_known = node.fresh == epoch && node.kind == Kind::File;
            is_known.then(|| (node.stat, inner.table.digest(id)))
        };
        ids.into_iter().map(known).collect()
    }

    /// Takes the digest of a file that the caller has read itself, beginning at `since` (from [`Self::now`]) and with
    /// the same `stat` before and after.
    pub fn record(&self, path: &Path, stat: Stat, digest: &Digest, since: FsTime) {
        if Kind::of(&stat) != Kind::File || digest.size != stat.size {
            return;
        }
        let (mut inner, epoch) = self.lock();
        let id = inner.table.node_at(path.as_os_str().as_bytes());
        if id > OUTSIDE {
            let proven = stat.proven_since(since, self.disk.clock.dev());
            inner.table.set_file(id, stat, digest, proven, epoch);
        }
    }

    /// Something was executed: everything is looked at again from now on.
    pub fn ran(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// File-system time, from a file just touched.
    #[must_use]
    pub fn now(&self) -> FsTime {
        self.disk.clock.now()
    }

    /// Returns when file-system time has moved on.
    pub fn wait_tick(&self) {
        self.disk.clock.wait_tick();
    }

    /// Files and links that the patterns find, relative to the root, sorted; remembered. Ignore files have a say.
    ///
    /// # Errors
    /// A bad pattern, or a folder that cannot be read.
    pub fn glob(&self, folder: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, InputError> {
        self.find(folder, patterns, &|_| true)
    }

    /// Files and links of the worktree, less what is ignored, whose names are `wanted`; sorted, relative to the root.
    /// From remembered listings: only folders and ignore files are looked at.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn files_named(&self, wanted: &dyn Fn(&OsStr) -> bool) -> Result<Vec<PathBuf>, InputError> {
        self.find(Path::new(""), &["**".to_owned()], wanted)
    }

    fn find(
        &self,
        folder: &Path,
        patterns: &[String],
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<PathBuf>, InputError> {
        let spec = names_spec(folder, patterns);
        let key = spec.key(ABOUT_NAMES);
        let (mut inner, epoch) = self.lock();
        let nodes = match inner.remembered(&self.disk, epoch, &key) {
            Some(Remembered::Nodes(nodes)) => nodes,
            _ => {
                let walked = inner.walk(&self.disk, epoch, &spec, false)?;
                let nodes = inner.names(epoch, walked.found);
                self.remember(&mut inner, key, walked.deps, Remembered::Nodes(nodes.clone()));
                nodes
            }
        };
        let table = &inner.table;
        let named = nodes.into_iter().filter(|&id| wanted(OsStr::from_bytes(table.name(id))));
        Ok(named.map(|id| table.path(id)).collect())
    }

    /// The folders in which something may happen that changes the remembered answers: [`Self::digest_of`] these sets, and [`Self::glob`] with these folders
    /// and patterns. With all above them, relative to the root; what was not asked adds none.
    #[must_use]
    pub fn folders<'s>(
        &self,
        sets: impl Iterator<Item = &'s PathSpec>,
        globs: impl Iterator<Item = (&'s Path, &'s [String])>,
    ) -> BTreeSet<PathBuf> {
        let about_names =
            |(folder, patterns): (&Path, &[String])| names_spec(folder, patterns).key(ABOUT_NAMES);
        let keys: Vec<[u8; 32]> =
            sets.map(|spec| spec.key(ABOUT_CONTENT)).chain(globs.map(about_names)).collect();
        let (inner, _) = self.lock();
        let table = &inner.table;
        let mut folders: HashSet<Id> = HashSet::new();
        for dep in keys.iter().filter_map(|key| table.answers.get(key)).flat_map(|answer| &answer.deps) {
            let mut at = match dep.on {
                On::Listing(_) => dep.node,
                On::Kind(_) | On::Content(_) => table.node(dep.node).parent,
            };
            while at != OUTSIDE && folders.insert(at) && at != ROOT {
                at = table.node(at).parent;
            }
        }
        let there = folders.into_iter().filter(|&id| id != OUTSIDE && table.node(id).kind != Kind::Absent);
        there.map(|id| table.path(id)).collect()
    }

    fn remember(&self, inner: &mut Inner, key: [u8; 32], deps: Vec<Dep>, result: Remembered) {
        let made = self.disk.clock.now().seconds;
        inner.table.answers.insert(key, Answer { deps, result, made });
        inner.table.dirty = true;
    }

    /// Writes the table, if anything changed.
    ///
    /// # Errors
    /// If the state folder cannot be written.
    pub fn save(&self) -> io::Result<()> {
        let (mut inner, _) = self.lock();
        if inner.table.dirty {
            format::save(&inner.table, &self.file)?;
            inner.table.dirty = false;
        }
        Ok(())
    }
}

fn names_spec(folder: &Path, patterns: &[String]) -> PathSpec {
    PathSpec { follow: false, ..PathSpec::inputs(folder, patterns.iter().cloned()) }
}

impl Inner {
    /// The remembered answer, if it is still right.
    fn remembered(&mut self, disk: &Disk, epoch: u32, key: &[u8; 32]) -> Option<Remembered> {
        let answer = self.table.answers.remove(key)?;
        let looked = self.refresh_deps(disk, epoch, &answer.deps);
        let holds = looked && answer.deps.iter().all(|&dep| self.table.holds(dep));
        let result = holds.then(|| answer.result.clone());
        if holds {
            self.table.answers.insert(*key, answer);
        }
        result
    }

    fn refresh_deps(&mut self, disk: &Disk, epoch: u32, deps: &[Dep]) -> bool {
        let wanted: Vec<(Id, Want)> = deps
            .iter()
            .map(|dep| {
                let want = match dep.on {
                    On::Kind(_) => Want::Kind,
                    On::Content(_) => Want::Content,
                    On::Listing(_) => Want::Listing,
                };
                (dep.node, want)
            })
            .collect();
        disk.refresh(&mut self.table, epoch, &wanted).is_empty()
    }

    fn walk(
        &mut self,
        disk: &Disk,
        epoch: u32,
        spec: &PathSpec,
        contents: bool,
    ) -> Result<Walked, InputError> {
        let (include, exclude): (Patterns, Patterns) = spec.compile()?;
        let question = Question {
            include: &include,
            exclude: &exclude,
            ignore: spec.ignore,
            follow: spec.follow && contents,
            contents,
        };
        Walk::new((&mut self.table, disk, &mut self.rules), epoch, self.state, question).run()
    }

    /// Of a walk that did not look at contents: what is a file or link.
    fn names(&self, epoch: u32, mut found: Vec<Id>) -> Vec<Id> {
        found.retain(|&id| {
            let node = self.table.node(id);
            let kind = if node.seen == epoch { node.kind } else { node.listed.unwrap_or(node.kind) };
            matches!(kind, Kind::File | Kind::Link)
        });
        found
    }

    fn entries(&self, found: &[Id]) -> Vec<Entry> {
        found.iter().filter_map(|&id| self.entry(id)).collect()
    }

    fn entry(&self, id: Id) -> Option<Entry> {
        let node = self.table.node(id);
        let mode = node.stat.mode & 0o7777;
        let kind = match node.kind {
            Kind::File => EntryKind::File { digest: self.table.digest(id), mode },
            Kind::Folder => EntryKind::Directory { mode },
            Kind::Link => {
                let target = PathBuf::from(OsStr::from_bytes(self.table.text(node.target)));
                EntryKind::Symlink { target }
            }
            _ => return None,
        };
        Some(Entry { path: self.table.path(id), kind, stat: node.stat })
    }
}
