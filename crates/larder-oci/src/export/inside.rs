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

/// How many directories on the way are kept open.
const KEPT: usize = 32;

/// A directory that is being filled.
pub(super) struct Inside {
    root: OwnedFd,
    /// Of the directory that was asked for last: the way, and the first of its directories, open.
    way: Vec<(Vec<u8>, OwnedFd)>,
    /// The directory that was asked for last, when the way is longer than what is kept.
    deep: Option<(Vec<u8>, OwnedFd)>,
}

impl Inside {
    pub(super) fn new(root: OwnedFd) -> Inside {
        Inside { root, way: Vec::new(), deep: None }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory at `path` (clean, from the root).
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.root.as_fd());
        }
        if self.deep.as_ref().is_some_and(|(known, _)| known == path) {
            return Ok(self.deep.as_ref().expect("just asked").1.as_fd());
        }
        self.deep = None;
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let same = self.way.iter().zip(&parts).take_while(|((known, _), part)| known == *part).count();
        self.way.truncate(same);
        let mut deep: Option<OwnedFd> = None;
        for (depth, part) in parts.iter().enumerate().skip(same) {
            let above = deep.as_ref().or(self.way.last().map(|(_, open)| open)).unwrap_or(&self.root);
            let open = open_directory(above.as_fd(), part)?;
            if depth < KEPT {
                self.way.push((part.to_vec(), open));
            } else {
                deep = Some(open);
            }
        }
        if let Some(open) = deep {
            return Ok(self.deep.insert((path.to_vec(), open)).1.as_fd());
        }
        Ok(self.way.last().expect("the path has a part").1.as_fd())
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
