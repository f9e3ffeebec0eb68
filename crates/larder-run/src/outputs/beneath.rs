//! Directory descriptors: every access to the project's tree goes through here.
//!
//! [`Root`] is an open descriptor of the project's root. Folders below it are opened with `openat2` (`RESOLVE_BENEATH`,
//! `RESOLVE_NO_SYMLINKS`, `RESOLVE_NO_MAGICLINKS`), or component by component with `O_NOFOLLOW` where the kernel lacks
//! it; then single names are used relative to an open [`Dir`]. No absolute path is ever used after [`Root::open`], so
//! that swapping a folder for a symbolic link at any moment cannot lead out of the project.
//!
//! Paths are bytes relative to the root, `/` between components, no empty, `.` or `..` component; the root is `b""`.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result, io, path_buf};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// What `lstat` says, as far as it shows that a file is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Seconds and nanoseconds of the last modification.
    pub mtime: (i64, u32),
    /// Seconds and nanoseconds of the last change of the inode.
    pub ctime: (i64, u32),
}

impl FileStat {
    /// The part of `stat` that is kept.
    #[must_use]
    pub fn new(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size.cast_unsigned(),
            mode: stat.st_mode,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Permission bits with set-ID and sticky bits.
    #[must_use]
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    /// The same file with the same content, as far as can be told after a rename (which moves `ctime`).
    #[must_use]
    pub fn same_but_renamed(&self, other: &Self) -> bool {
        Self { ctime: other.ctime, ..*self } == *other
    }
}

/// The open root of a project, or of its state folder.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
    no_openat2: AtomicBool,
}

impl Root {
    /// Opens the folder at `path`, which may itself be reached through symbolic links.
    ///
    /// # Errors
    /// If it is no folder or cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
            .map_err(|errno| Error::Io { op: "open", path: path.to_path_buf(), source: errno.into() })?;
        Ok(Self { fd, path: path.to_path_buf(), no_openat2: AtomicBool::new(false) })
    }

    /// As [`Root::open`], but behaves as on a kernel without `openat2`.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub fn open_without_openat2(path: &Path) -> Result<Self> {
        let root = Self::open(path)?;
        root.no_openat2.store(true, Ordering::Relaxed);
        Ok(root)
    }

    /// The path it was opened by: for messages and for programs that are started there.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the folder `path`.
    ///
    /// # Errors
    /// [`Error::SymlinkedParent`] or [`Error::NotADirectory`] naming the component at fault; others as [`Error::Io`].
    pub fn dir(&self, path: &[u8]) -> Result<Dir> {
        match self.try_dir(path) {
            Ok(dir) => Ok(dir),
            Err(errno) => Err(self.explain("open", path, errno)),
        }
    }

    /// Opens the folder `path`; `None` if nothing is there.
    ///
    /// # Errors
    /// As [`Root::dir`].
    pub fn dir_if_exists(&self, path: &[u8]) -> Result<Option<Dir>> {
        match self.try_dir(path) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.explain("open", path, errno)),
        }
    }

    /// Opens the folder that holds `path`; also gives the last component.
    ///
    /// # Errors
    /// As [`Root::dir`].
    pub fn parent<'p>(&self, path: &'p [u8]) -> Result<(Dir, &'p [u8])> {
        let (parent, name) = split(path);
        Ok((self.dir(parent)?, name))
    }

    /// `lstat` of `path`; `None` if it, or a folder on the way, is not there.
    ///
    /// # Errors
    /// As [`Root::dir`].
    pub fn stat(&self, path: &[u8]) -> Result<Option<FileStat>> {
        let (parent, name) = split(path);
        match self.dir_if_exists(parent)? {
            Some(dir) if name.is_empty() => Ok(Some(dir.stat_self(path)?)),
            Some(dir) => dir.stat(name),
            None => Ok(None),
        }
    }

    /// Opens the folder `path`, making it and what is missing on the way (mode 0755 less the umask).
    ///
    /// # Errors
    /// As [`Root::dir`].
    pub fn make_dirs(&self, path: &[u8]) -> Result<Dir> {
        if let Some(dir) = self.dir_if_exists(path)? {
            return Ok(dir);
        }
        let (parent, name) = split(path);
        let parent = self.make_dirs(parent)?;
        match rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.dir(path),
            Err(errno) => Err(io("make the folder", path)(errno)),
        }
    }

    fn try_dir(&self, path: &[u8]) -> rustix::io::Result<Dir> {
        let of = |fd| Dir { fd, path: path.to_vec() };
        let target: &[u8] = if path.is_empty() { b"." } else { path };
        if !self.no_openat2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.fd, target, FOLDER, Mode::empty(), resolve) {
                Ok(fd) => return Ok(of(fd)),
                Err(Errno::NOSYS | Errno::PERM) => self.no_openat2.store(true, Ordering::Relaxed),
                // A rename raced with the look-up: walk.
                Err(Errno::AGAIN) => {}
                Err(errno) => return Err(errno),
            }
        }
        let mut fd = rustix::fs::openat(&self.fd, ".", FOLDER, Mode::empty())?;
        for name in components(path) {
            if name == b".." || name == b"." {
                return Err(Errno::XDEV);
            }
            fd = rustix::fs::openat(&fd, name, FOLDER, Mode::empty())?;
        }
        Ok(of(fd))
    }

    /// Names the component that kept a folder from being opened.
    fn explain(&self, op: &'static str, path: &[u8], errno: Errno) -> Error {
        if matches!(errno, Errno::LOOP | Errno::NOTDIR | Errno::XDEV) {
            for end in ends(path) {
                let prefix = &path[..end];
                let (parent, name) = split(prefix);
                let Ok(dir) = self.try_dir(parent) else { break };
                match dir.stat(name).ok().flatten().map(|stat| stat.file_type()) {
                    Some(FileType::Directory) => {}
                    Some(FileType::Symlink) => return Error::SymlinkedParent { path: path_buf(prefix) },
                    Some(_) => return Error::NotADirectory { path: path_buf(prefix) },
                    None => break,
                }
            }
        }
        io(op, path)(errno)
    }
}

/// An open folder. Names given to it are single components.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: Vec<u8>,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// An open folder, as the root of what is below it.
    pub(crate) fn of(fd: OwnedFd) -> Self {
        Self { fd, path: Vec::new() }
    }

    /// Where it was opened, relative to its [`Root`].
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// `lstat` of an entry; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn stat(&self, name: &[u8]) -> Result<Option<FileStat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileStat::new(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(io("look at", &self.join(name))(errno)),
        }
    }

    /// The folder's own stat; `path` is for the message.
    pub(crate) fn stat_self(&self, path: &[u8]) -> Result<FileStat> {
        rustix::fs::fstat(&self.fd).map(|stat| FileStat::new(&stat)).map_err(io("look at", path))
    }

    /// Names and types of the entries, in no order.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn list(&self) -> Result<Vec<(Vec<u8>, FileType)>> {
        let fail = |errno| io("list", &self.path)(errno);
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match self.stat(name)? {
                    Some(stat) => stat.file_type(),
                    None => continue,
                },
                kind => kind,
            };
            entries.push((name.to_vec(), kind));
        }
        Ok(entries)
    }

    /// Opens the folder `name`, which must not be a symbolic link.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn dir(&self, name: &[u8]) -> Result<Dir> {
        let path = self.join(name);
        match rustix::fs::openat(&self.fd, name, FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path }),
            Err(errno) => Err(io("open", &path)(errno)),
        }
    }

    /// Opens a regular file for reading; never waits on a FIFO.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_file(&self, name: &[u8]) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| io("read", &self.join(name))(errno))
    }

    /// Creates a file that must not exist.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create_file(&self, name: &[u8], mode: u32) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode))
            .map(File::from)
            .map_err(|errno| io("create", &self.join(name))(errno))
    }

    /// Makes a folder that must not exist.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make_dir(&self, name: &[u8]) -> Result<()> {
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755))
            .map_err(|errno| io("make the folder", &self.join(name))(errno))
    }

    /// Makes a symbolic link that must not exist.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make_link(&self, name: &[u8], target: &[u8]) -> Result<()> {
        rustix::fs::symlinkat(target, &self.fd, name)
            .map_err(|errno| io("make the link", &self.join(name))(errno))
    }

    /// Where a symbolic link points.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| io("read the link", &self.join(name))(errno))
    }

    /// Sets the permission bits of the folder itself.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode))
            .map_err(|errno| io("set the mode of", &self.path)(errno))
    }

    /// Removes what is not a folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn unlink(&self, name: &[u8]) -> Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|errno| io("remove", &self.join(name))(errno))
    }

    /// Removes an empty folder; `false` if it is not empty.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_dir(&self, name: &[u8]) -> Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(errno) => Err(io("remove", &self.join(name))(errno)),
        }
    }

    /// Removes whatever `name` is, with everything below it; nothing there is fine.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_all(&self, name: &[u8]) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(io("remove", &self.join(name))(errno)),
        }
        // A folder without write permission (an output's own mode) still has to go.
        let dir = match self.dir(name) {
            Ok(dir) => dir,
            Err(first) => {
                let mode = Mode::from_raw_mode(0o700);
                rustix::fs::chmodat(&self.fd, name, mode, AtFlags::empty()).map_err(|_| first)?;
                self.dir(name)?
            }
        };
        if dir.stat_self(name)?.mode & 0o700 != 0o700 {
            dir.set_mode(0o700)?;
        }
        for (child, _) in dir.list()? {
            dir.remove_all(&child)?;
        }
        self.remove_dir(name).map(drop)
    }

    /// Renames, replacing nothing unless `flags` says so. Raw error: callers look at it.
    pub(crate) fn rename(
        &self,
        name: &[u8],
        to: &Dir,
        new: &[u8],
        flags: RenameFlags,
    ) -> rustix::io::Result<()> {
        rustix::fs::renameat_with(&self.fd, name, &to.fd, new, flags)
    }

    /// The path of an entry.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Vec<u8> {
        join(&self.path, name)
    }
}

/// `parent/name`, or `name` at the root.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    if !parent.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Parent and last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The components, first to last.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty())
}

/// Where the components end: `a/b/c` → 1, 3, 5.
pub(crate) fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'/', path).chain((!path.is_empty()).then_some(path.len()))
}

/// `path` is `folder` or lies below it.
pub(crate) fn is_within(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
