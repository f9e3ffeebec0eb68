//! Places in a directory that is being filled.
//!
//! Every operation is relative to an open directory and names one thing in it; the way to a directory is walked part by part from the root,
//! never through a symbolic link, never with `..`. The root itself is made anew, for its owner alone, so that nobody else is in there until
//! it is complete.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};

use crate::layer::Kind;
use crate::tree::Inode;

/// How many directories are kept open: the lowest ones of the way to the last that was asked for.
const KEPT: usize = 64;

/// A directory that is being filled.
pub(super) struct Inside {
    root: OwnedFd,
    /// The way to the directory that was asked for last; its lower end is open.
    way: Vec<(Vec<u8>, Option<OwnedFd>)>,
}

impl Inside {
    pub(super) fn new(root: OwnedFd) -> Inside {
        Inside { root, way: Vec::new() }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory at `path` (clean, from the root).
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.root.as_fd());
        }
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let same = self.way.iter().zip(&parts).take_while(|((known, _), part)| known == *part).count();
        self.way.truncate(same);
        // From the lowest that is open, or from the root.
        let open = self.way.iter().rposition(|(_, open)| open.is_some()).map_or(0, |lowest| lowest + 1);
        self.way.truncate(open);
        for part in &parts[open..] {
            let above = self.way.last().and_then(|(_, open)| open.as_ref()).unwrap_or(&self.root);
            let open = open_directory(above.as_fd(), part)?;
            self.way.push((part.to_vec(), Some(open)));
            if let Some(high) = self.way.len().checked_sub(KEPT + 1) {
                self.way[high].1 = None;
            }
        }
        let lowest = self.way.last().and_then(|(_, open)| open.as_ref());
        Ok(lowest.unwrap_or(&self.root).as_fd())
    }
}

/// Opens a directory in a directory, unless it is a symbolic link.
pub(super) fn open_directory(above: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(above, OsStr::from_bytes(name), flags, Mode::empty())?)
}

/// Makes a new file, open for writing.
pub(super) fn new_file(above: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(above, OsStr::from_bytes(name), flags, Mode::from_raw_mode(0o600))?)
}

/// Makes a symbolic link, a device or a named pipe, with all that is known of it.
pub(super) fn new_other(above: BorrowedFd<'_>, name: &[u8], inode: &Inode) -> io::Result<()> {
    let here = OsStr::from_bytes(name);
    let device = rustix::fs::makedev(inode.device.major, inode.device.minor);
    let mode = Mode::from_raw_mode(0o600);
    match inode.kind {
        Kind::Symlink => rustix::fs::symlinkat(OsStr::from_bytes(&inode.target), above, here)?,
        Kind::CharDevice => rustix::fs::mknodat(above, here, FileType::CharacterDevice, mode, device)?,
        Kind::BlockDevice => rustix::fs::mknodat(above, here, FileType::BlockDevice, mode, device)?,
        Kind::Fifo => rustix::fs::mknodat(above, here, FileType::Fifo, mode, 0)?,
        Kind::File | Kind::Directory | Kind::HardLink => return Err(io::ErrorKind::InvalidInput.into()),
    }
    let (uid, gid) = owner(inode)?;
    rustix::fs::chownat(above, here, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    for (name, value) in &inode.xattrs {
        // No call sets attributes in an open directory without opening what is there; the last part of this path is not followed.
        let path = [format!("/proc/self/fd/{}/", above.as_raw_fd()).as_bytes(), here.as_bytes()].concat();
        let flags = XattrFlags::empty();
        rustix::fs::lsetxattr(OsStr::from_bytes(&path), OsStr::from_bytes(name), value, flags)?;
    }
    if inode.kind != Kind::Symlink {
        // Follows links, but this was just made, is none, and nobody else is in here.
        rustix::fs::chmodat(above, here, Mode::from_raw_mode(inode.mode), AtFlags::empty())?;
    }
    rustix::fs::utimensat(above, here, &times(inode), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Gives an open file or directory its owner, attributes, mode and times, in this order: a change of owner takes setuid and capabilities
/// away, and one of the mode changes access lists.
pub(super) fn describe(open: BorrowedFd<'_>, inode: &Inode) -> io::Result<()> {
    let (uid, gid) = owner(inode)?;
    rustix::fs::fchown(open, uid, gid)?;
    for (name, value) in &inode.xattrs {
        rustix::fs::fsetxattr(open, OsStr::from_bytes(name), value, XattrFlags::empty())?;
    }
    rustix::fs::fchmod(open, Mode::from_raw_mode(inode.mode))?;
    rustix::fs::futimens(open, &times(inode))?;
    Ok(())
}

fn owner(inode: &Inode) -> io::Result<(Option<Uid>, Option<Gid>)> {
    // That number means "as it is" to the kernel.
    if inode.uid == u32::MAX || inode.gid == u32::MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an owner that no file can have"));
    }
    Ok((Some(Uid::from_raw(inode.uid)), Some(Gid::from_raw(inode.gid))))
}

fn times(inode: &Inode) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(inode.modified.seconds).unwrap_or(i64::MAX),
        tv_nsec: inode.modified.nanos.into(),
    };
    Timestamps { last_access: time, last_modification: time }
}
