//! Brings nodes up to date with the disk: `lstat` for all that were not looked at in this epoch, then reading what the
//! stat does not prove. Both are spread over the cores when there is enough to do; the table is only changed by the
//! calling thread. Nothing is opened but regular files, folders (to list them) and links (to read their target); a FIFO is
//! never waited for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_core::{Digest, DigestFunction};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::stat::{Clock, FsTime, Stat};
use super::table::{Id, Kind, OUTSIDE, ROOT, Table};

/// Larger ignore files are refused.
const LARGEST_TEXT: u64 = 4 * 1_024 * 1_024;

/// More do not help.
const MOST_THREADS: usize = 8;

/// What is asked of a node, beyond its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Nothing.
    Kind,
    /// A file's digest or a link's target.
    Content,
    /// A folder's names; of a file nothing.
    Listing,
}

impl Want {
    fn reads(self, kind: Kind) -> bool {
        match self {
            Self::Kind => false,
            Self::Content => matches!(kind, Kind::File | Kind::Link),
            Self::Listing => kind == Kind::Folder,
        }
    }
}

/// A node that could not be looked at or read.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) node: Id,
    pub(super) error: io::Error,
}

/// Where the disk is looked at from.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) root: OwnedFd,
    /// Absolute path of the root, without links.
    pub(super) path: std::path::PathBuf,
    pub(super) clock: Clock,
    /// How many there are, once it was asked: that reads several files.
    pub(super) cores: OnceLock<usize>,
}

/// A place among the wanted nodes, and what `lstat` says there.
type Differing = (usize, Result<Option<Stat>, Errno>);

/// What reading found.
enum Found {
    Gone,
    Kind(Stat),
    File { stat: Stat, digest: Digest, stable: bool },
    Link { stat: Stat, target: Vec<u8> },
    Folder { stat: Stat, names: Vec<(Vec<u8>, Kind)>, stable: bool },
}

impl Disk {
    /// Cores that this process may use.
    pub(super) fn cores(&self) -> usize {
        *self.cores.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn threads(&self) -> usize {
        self.cores().min(MOST_THREADS)
    }

    /// Brings `wanted` up to date for `epoch`; what failed is returned and is not up to date.
    pub(super) fn refresh(&self, table: &mut Table, epoch: u32, wanted: &[(Id, Want)]) -> Vec<Refused> {
        let old: Vec<(Id, Want)> = wanted
            .iter()
            .copied()
            .filter(|&(id, want)| {
                let node = table.node(id);
                node.seen != epoch || (node.fresh != epoch && want.reads(node.kind))
            })
            .collect();
        if old.is_empty() {
            return Vec::new();
        }
        let mut differing =
            spread(&old, self.threads(), 1_500, 64, |at, part| self.differing(table, at, part))
                .into_iter()
                .peekable();
        let mut refused = Vec::new();
        let mut unread = Vec::new();
        for (at, &(id, want)) in old.iter().enumerate() {
            let Some((_, stat)) = differing.next_if(|differs| differs.0 == at) else {
                table.set_clean(id, epoch);
                continue;
            };
            match stat {
                Ok(None) => table.set_gone(id, epoch),
                Ok(Some(stat)) => {
                    if want.reads(Kind::of(&stat)) {
                        unread.push((id, want));
                    } else {
                        table.set_kind(id, &stat, epoch);
                    }
                }
                Err(error) => refused.push(Refused { node: id, error: error.into() }),
            }
        }
        if !unread.is_empty() {
            let since = self.clock.now();
            let found = spread(&unread, self.threads(), 32, 8, |_, part| {
                let mut buffer = vec![0; 128 * 1_024];
                part.iter().map(|&(id, want)| self.read(table, id, want, &mut buffer)).collect()
            });
            for (&(id, _), found) in unread.iter().zip(found) {
                match found {
                    Ok(found) => table.set_found(id, found, epoch, since, self.clock.dev()),
                    Err(error) => refused.push(Refused { node: id, error: error.into() }),
                }
            }
        }
        refused
    }

    /// `lstat` of each, brothers through their folder's descriptor: what it says of those of which it does not prove that
    /// they are what the table says, with their place in the whole, where `part` begins at `first`.
    fn differing(&self, table: &Table, first: usize, part: &[(Id, Want)]) -> Vec<Differing> {
        let mut path = Vec::with_capacity(256);
        let mut folder: Option<(Id, OwnedFd)> = None;
        let mut out = Vec::new();
        for (i, &(id, _)) in part.iter().enumerate() {
            let parent = table.node(id).parent;
            let many = |n: usize| part.get(i + n).is_some_and(|&(next, _)| table.node(next).parent == parent);
            if parent != OUTSIDE && parent != ROOT && folder.as_ref().is_none_or(|f| f.0 != parent) && many(3)
            {
                table.path_into(parent, &mut path);
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                folder =
                    rustix::fs::openat(&self.root, &*path, flags, Mode::empty()).ok().map(|fd| (parent, fd));
            }
            let stat = match &folder {
                Some((of, fd)) if *of == parent && parent != OUTSIDE => {
                    rustix::fs::statat(fd, table.name(id), AtFlags::SYMLINK_NOFOLLOW)
                }
                _ => {
                    table.path_into(id, &mut path);
                    self.stat_path(table, id, &path)
                }
            };
            let stat = present(stat);
            if !matches!(stat, Ok(Some(stat)) if table.still(id, &stat)) {
                out.push((first + i, stat));
            }
        }
        out
    }

    fn stat_path(&self, table: &Table, id: Id, path: &[u8]) -> Result<rustix::fs::Stat, Errno> {
        if id == ROOT {
            rustix::fs::fstat(&self.root)
        } else if table.node(id).parent == OUTSIDE {
            rustix::fs::statat(CWD, path, AtFlags::empty())
        } else {
            rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW)
        }
    }

    /// Reads one node, again if it changes meanwhile.
    fn read(&self, table: &Table, id: Id, want: Want, buffer: &mut [u8]) -> Result<Found, Errno> {
        let mut path = Vec::new();
        table.path_into(id, &mut path);
        let mut last = Found::Gone;
        for _ in 0..4 {
            let Some(stat) = present(self.stat_path(table, id, &path))? else { return Ok(Found::Gone) };
            let kind = Kind::of(&stat);
            if !want.reads(kind) {
                return Ok(Found::Kind(stat));
            }
            let found = match kind {
                Kind::File => self.read_file(table, id, &path, buffer),
                Kind::Folder => self.read_folder(&path),
                Kind::Link => self.read_link(&path, stat),
                _ => return Ok(Found::Kind(stat)),
            };
            match found {
                Ok(
                    found @ (Found::Link { .. }
                    | Found::File { stable: true, .. }
                    | Found::Folder { stable: true, .. }),
                ) => {
                    return Ok(found);
                }
                Ok(found) => last = found,
                // It became something else between the two calls: look again.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL | Errno::NXIO) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    fn read_file(&self, table: &Table, id: Id, path: &[u8], buffer: &mut [u8]) -> Result<Found, Errno> {
        let outside = table.node(id).parent == OUTSIDE;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = if outside {
            rustix::fs::openat(CWD, path, flags, Mode::empty())?
        } else {
            rustix::fs::openat(&self.root, path, flags | OFlags::NOFOLLOW, Mode::empty())?
        };
        let before = Stat::from(rustix::fs::fstat(&fd)?);
        if Kind::of(&before) != Kind::File {
            return Err(Errno::NXIO);
        }
        let digest = hash(&fd, before.size, buffer)?;
        let after = Stat::from(rustix::fs::fstat(&fd)?);
        let stable = before == after && digest.size == after.size;
        Ok(Found::File { stat: Stat { size: digest.size, ..after }, digest, stable })
    }

    /// The text of a small file, as its digest in the table has it.
    pub(super) fn read_text(&self, table: &Table, id: Id) -> io::Result<Vec<u8>> {
        let mut path = Vec::new();
        table.path_into(id, &mut path);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.root, &*path, flags, Mode::empty())?;
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(std::fs::File::from(fd), LARGEST_TEXT), &mut text)?;
        if DigestFunction::Blake3.digest(&text) == table.digest(id) {
            Ok(text)
        } else {
            Err(io::Error::other("it changes while it is read, or is larger than 4 MiB"))
        }
    }

    fn read_folder(&self, path: &[u8]) -> Result<Found, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = if path.is_empty() { b"." } else { path };
        let fd = rustix::fs::openat(&self.root, path, flags, Mode::empty())?;
        let before = Stat::from(rustix::fs::fstat(&fd)?);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                use rustix::fs::FileType;
                let kind = match entry.file_type() {
                    FileType::RegularFile => Kind::File,
                    FileType::Directory => Kind::Folder,
                    FileType::Symlink => Kind::Link,
                    FileType::Unknown => Kind::Unknown,
                    _ => Kind::Special,
                };
                names.push((name.to_vec(), kind));
            }
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        names.dedup_by(|a, b| a.0 == b.0);
        let after = Stat::from(rustix::fs::fstat(&fd)?);
        Ok(Found::Folder { stat: after, names, stable: before == after })
    }

    fn read_link(&self, path: &[u8], stat: Stat) -> Result<Found, Errno> {
        let target = rustix::fs::readlinkat(&self.root, path, Vec::new())?.into_bytes();
        match present(rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW))? {
            Some(after) if after == stat => Ok(Found::Link { stat, target }),
            _ => Err(Errno::NOENT),
        }
    }
}

/// A stat, `None` if there is nothing.
fn present(stat: Result<rustix::fs::Stat, Errno>) -> Result<Option<Stat>, Errno> {
    match stat {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Digest of all that can be read, with constant memory.
fn hash(fd: impl AsFd, size: u64, buffer: &mut [u8]) -> Result<Digest, Errno> {
    let fill = |buffer: &mut [u8]| -> Result<usize, Errno> {
        let mut filled = 0;
        while filled < buffer.len() {
            match rustix::io::read(&fd, &mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    };
    if size < buffer.len() as u64 {
        let filled = fill(buffer)?;
        if filled < buffer.len() {
            return Ok(DigestFunction::Blake3.digest(&buffer[..filled]));
        }
        let mut hasher = DigestFunction::Blake3.hasher();
        hasher.update(buffer);
        return finish(hasher, fill, buffer);
    }
    finish(DigestFunction::Blake3.hasher(), fill, buffer)
}

fn finish(
    mut hasher: larder_core::Hasher,
    fill: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    buffer: &mut [u8],
) -> Result<Digest, Errno> {
    loop {
        let filled = fill(buffer)?;
        hasher.update(&buffer[..filled]);
        if filled < buffer.len() {
            return Ok(hasher.finish());
        }
    }
}

/// `f` over slices of `jobs`, each with its place, on several threads if there are at least `worth` jobs; results in order.
fn spread<T: Sync, R: Send>(
    jobs: &[T],
    threads: usize,
    worth: usize,
    slice: usize,
    f: impl Fn(usize, &[T]) -> Vec<R> + Sync,
) -> Vec<R> {
    if jobs.len() < worth || threads < 2 {
        return f(0, jobs);
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) * slice;
            let Some(part) = jobs.get(at..jobs.len().min(at + slice)).filter(|part| !part.is_empty()) else {
                return done;
            };
            done.push((at, f(at, part)));
        }
    };
    let mut parts = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = work();
        for other in others {
            match other.join() {
                Ok(done) => parts.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    parts.sort_unstable_by_key(|part| part.0);
    parts.into_iter().flat_map(|part| part.1).collect()
}

impl Table {
    /// Whether `stat` proves that the node is what the table says.
    fn still(&self, id: Id, stat: &Stat) -> bool {
        let node = self.node(id);
        node.proven && node.stat == *stat
    }

    fn set_clean(&mut self, id: Id, epoch: u32) {
        let node = self.node_mut(id);
        (node.seen, node.fresh) = (epoch, epoch);
    }

    fn set_gone(&mut self, id: Id, epoch: u32) {
        self.become_kind(id, Kind::Absent);
        self.set_clean(id, epoch);
    }

    fn become_kind(&mut self, id: Id, kind: Kind) {
        let node = self.node_mut(id);
        if node.kind != kind {
            node.kind = kind;
            node.version = node.version.wrapping_add(1);
            node.proven = false;
            node.stat = Stat::default();
            self.dirty = true;
        }
    }

    /// The kind is known, the content is not.
    fn set_kind(&mut self, id: Id, stat: &Stat, epoch: u32) {
        let kind = Kind::of(stat);
        self.become_kind(id, kind);
        let node = self.node_mut(id);
        node.seen = epoch;
        if kind == Kind::Special {
            node.stat = *stat;
            node.fresh = epoch;
        }
    }

    /// Takes what is known of a node's content; `changed` as compared with the table.
    fn take(&mut self, id: Id, stat: Stat, changed: bool, proven: bool, epoch: u32) {
        let kind = Kind::of(&stat);
        let node = self.node_mut(id);
        if changed || node.kind != kind || (node.stat.mode ^ stat.mode) & 0o7777 != 0 {
            node.version = node.version.wrapping_add(1);
        }
        (node.kind, node.stat, node.proven, node.seen, node.fresh) = (kind, stat, proven, epoch, epoch);
        self.dirty = true;
    }

    /// Takes a file's digest, read since `since`.
    pub(super) fn set_file(&mut self, id: Id, stat: Stat, digest: &Digest, proven: bool, epoch: u32) {
        let changed = self.node(id).hash != digest.hash;
        self.node_mut(id).hash = digest.hash;
        self.take(id, stat, changed, proven, epoch);
    }

    fn set_found(&mut self, id: Id, found: Found, epoch: u32, since: FsTime, clock_dev: u64) {
        match found {
            Found::Gone => self.set_gone(id, epoch),
            Found::Kind(stat) => self.set_kind(id, &stat, epoch),
            Found::File { stat, digest, stable } => {
                let proven = stable && stat.proven_since(since, clock_dev);
                self.set_file(id, stat, &digest, proven, epoch);
            }
            Found::Link { stat, target } => {
                let changed = self.text(self.node(id).target) != target;
                if changed {
                    let target = self.add_text(&target);
                    self.node_mut(id).target = target;
                }
                self.take(id, stat, changed, stat.proven_since(since, clock_dev), epoch);
            }
            Found::Folder { stat, names, stable } => {
                let changed = self.set_names(id, names);
                self.take(id, stat, changed, stable && stat.proven_since(since, clock_dev), epoch);
            }
        }
    }

    /// Takes a folder's names, sorted; whether they differ from the last listing.
    fn set_names(&mut self, id: Id, names: Vec<(Vec<u8>, Kind)>) -> bool {
        let old = self.children(id).to_vec();
        let mut merged = Vec::with_capacity(old.len().max(names.len()));
        let mut old = old.into_iter().peekable();
        let mut changed = false;
        for (name, kind) in names {
            while let Some(gone) = old.next_if(|&child| self.name(child) < name.as_slice()) {
                changed |= self.node_mut(gone).listed.take().is_some();
                merged.push(gone);
            }
            let child =
                old.next_if(|&child| self.name(child) == name).unwrap_or_else(|| self.push(id, &name));
            changed |= self.node_mut(child).listed.replace(kind) != Some(kind);
            merged.push(child);
        }
        for gone in old {
            changed |= self.node_mut(gone).listed.take().is_some();
            merged.push(gone);
        }
        *self.children_mut(id) = merged;
        changed
    }
}
