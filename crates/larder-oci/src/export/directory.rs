//! A tree as it is, into a directory, as root.
//!
//! First all names but those of files are made, then files in the order in which the layers have their bytes, then hard links, and at last
//! the directories are described, the lowest first, so that nothing changes their times again. Bytes that a layer does not store stay holes.
//! Times of access are those of modification. Access lists that the file system would hand down from above are taken away.
//!
//! All that happens in a new directory beside the destination, `.NAME.unfinished-…`, for its owner alone; when it is complete it gets the
//! destination's name, in one step. What fails is removed again; after a crash the name says what it is. Nothing is synced to the disk.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::inside::{Inside, describe, new_file, new_other, open_directory};
use super::{ExportError, Exported, Piece, ReadContent, copy, files, pieces};
use crate::layer::Kind;
use crate::tree::{Inode, InodeId, NodeId, Tree, printable};

/// Makes `destination`, which must be new or an empty directory (and no mount point), the directory `from` with all that is below it.
pub fn directory(
    tree: &Tree,
    from: NodeId,
    content: &dyn ReadContent,
    destination: &Path,
) -> Result<Exported, ExportError> {
    if !tree.inode_of(from).is_directory() {
        return Err(ExportError::NotADirectory(printable(&tree.path(from))));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(ExportError::NotRoot);
    }
    let place = Place::new(destination)?;
    let mut filling = Filling {
        tree,
        above: tree.path(from).len(),
        inside: Inside::new(place.open().map_err(|source| place.failed(source))?),
        exported: Exported::default(),
    };
    let done = filling.all(from, content).and_then(|()| place.finish().map(|()| filling.exported));
    if done.is_err() {
        filling.remove(from);
        place.remove();
    }
    done
}

/// Where the directory is made, and where it belongs.
struct Place {
    destination: PathBuf,
    above: OwnedFd,
    name: OsString,
    unfinished: OsString,
}

impl Place {
    fn new(destination: &Path) -> Result<Place, ExportError> {
        let failed = |source| ExportError::Destination { destination: destination.to_owned(), source };
        // Made whole first, so that `.` and `a/..` have a name too.
        let whole = match std::fs::canonicalize(destination) {
            Ok(whole) => {
                let mut there = std::fs::read_dir(&whole).map_err(|error| match error.kind() {
                    io::ErrorKind::NotADirectory => ExportError::NotEmpty(destination.to_owned()),
                    _ => failed(error),
                })?;
                if there.next().is_some() {
                    return Err(ExportError::NotEmpty(destination.to_owned()));
                }
                whole
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if destination.is_symlink() {
                    return Err(ExportError::NotEmpty(destination.to_owned()));
                }
                std::path::absolute(destination).map_err(failed)?
            }
            Err(error) => return Err(failed(error)),
        };
        let (Some(above), Some(name)) = (whole.parent(), whole.file_name()) else {
            return Err(ExportError::NotEmpty(destination.to_owned()));
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = rustix::fs::open(above, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        if is_mount_point(&above, name).map_err(failed)? {
            return Err(failed(mounted()));
        }
        let mut tries = 0u32;
        loop {
            let mut unfinished = OsString::from(".");
            unfinished.push(OsStr::from_bytes(&name.as_bytes()[..name.len().min(200)]));
            unfinished.push(format!(".unfinished-{}-{tries}", std::process::id()));
            match rustix::fs::mkdirat(&above, &unfinished, Mode::from_raw_mode(0o700)) {
                Ok(()) => {
                    let (destination, name) = (destination.to_owned(), name.to_owned());
                    return Ok(Place { destination, above, name, unfinished });
                }
                Err(rustix::io::Errno::EXIST) if tries < 1000 => tries += 1,
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    fn failed(&self, source: io::Error) -> ExportError {
        ExportError::Destination { destination: self.destination.clone(), source }
    }

    /// The new directory, without what the file system would hand down.
    fn open(&self) -> io::Result<OwnedFd> {
        let open = open_directory(self.above.as_fd(), self.unfinished.as_bytes())?;
        for list in ["system.posix_acl_default", "system.posix_acl_access"] {
            match rustix::fs::fremovexattr(&open, list) {
                Ok(()) | Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(open)
    }

    /// Gives it its name. An empty directory is replaced, anything else is not.
    fn finish(&self) -> Result<(), ExportError> {
        rustix::fs::renameat(&self.above, &self.unfinished, &self.above, &self.name).map_err(|error| {
            match error {
                rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST | rustix::io::Errno::NOTDIR => {
                    ExportError::NotEmpty(self.destination.clone())
                }
                rustix::io::Errno::BUSY => {
                    self.failed(io::Error::other("it is a mount point (hint: name a new directory in it)"))
                }
                error => self.failed(error.into()),
            }
        })
    }

    fn remove(&self) {
        if let Err(error) = rustix::fs::unlinkat(&self.above, &self.unfinished, AtFlags::REMOVEDIR) {
            tracing::warn!(%error, name = ?self.unfinished, "an unfinished export is left over");
        }
    }
}

/// Is there something of another file system than its directory's?
fn is_mount_point(above: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok(there.st_dev != rustix::fs::fstat(above)?.st_dev),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn mounted() -> io::Error {
    io::Error::other("it is a mount point (hint: name a new directory in it)")
}

struct Filling<'tree> {
    tree: &'tree Tree,
    /// How long the path of the exported directory is.
    above: usize,
    inside: Inside,
    exported: Exported,
}

impl Filling<'_> {
    fn all(&mut self, from: NodeId, content: &dyn ReadContent) -> Result<(), ExportError> {
        let mut order = files(self.tree, from);
        order.sort_by_key(|id| {
            let place = self.tree.inode_of(*id).content.as_ref();
            place.map(|(layer, content)| (*layer, content.at))
        });
        let links = self.names(from)?;
        let mut buffer = Vec::new();
        for id in order {
            self.file(id, content, &mut buffer)?;
        }
        for (first, other) in links {
            self.link(first, other)?;
        }
        self.describe_directories(from)
    }

    /// The path of a name in the new directory: that of the directory that it is in, and the last part.
    fn path(&self, id: NodeId) -> (Vec<u8>, &[u8]) {
        let node = self.tree.node(id);
        let above = self.tree.path(node.parent());
        let above = above.get(self.above..).unwrap_or_default();
        (above.strip_prefix(b"/").unwrap_or(above).to_vec(), node.name())
    }

    /// Does something in the directory that has a name.
    fn at<T>(
        &mut self,
        id: NodeId,
        act: impl FnOnce(BorrowedFd<'_>, &[u8]) -> io::Result<T>,
    ) -> Result<T, ExportError> {
        let name = self.tree.node(id).name();
        let (above, _) = self.path(id);
        let done = self.inside.directory(&above).and_then(|above| act(above, name));
        done.map_err(|source| ExportError::Write { path: printable(&self.tree.path(id)), source })
    }

    /// Makes directories and all that is neither directory nor file. Answers with the hard links: the first name and the other.
    fn names(&mut self, from: NodeId) -> Result<Vec<(NodeId, NodeId)>, ExportError> {
        let tree = self.tree;
        let mut first: HashMap<InodeId, NodeId> = HashMap::new();
        let mut links = Vec::new();
        self.exported.names = 1;
        let mut walk = tree.walk(from);
        walk.advance();
        while let Some(id) = walk.advance() {
            self.exported.names += 1;
            let inode = tree.inode_of(id);
            if inode.links > 1 && !inode.is_directory() {
                if let Some(first) = first.get(&tree.node(id).inode()) {
                    links.push((*first, id));
                    continue;
                }
                first.insert(tree.node(id).inode(), id);
            }
            match inode.kind {
                Kind::File | Kind::HardLink => {}
                Kind::Directory => self.at(id, |above, name| {
                    let mode = Mode::from_raw_mode(0o700);
                    Ok(rustix::fs::mkdirat(above, OsStr::from_bytes(name), mode)?)
                })?,
                _ => self.at(id, |above, name| new_other(above, name, inode))?,
            }
        }
        Ok(links)
    }

    fn file(
        &mut self,
        id: NodeId,
        content: &dyn ReadContent,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        let inode = self.tree.inode_of(id);
        let open = self.at(id, new_file)?;
        let path = self.tree.path(id);
        let failed = |source| ExportError::Write { path: printable(&path), source };
        let Some((layer, stored)) = &inode.content else { return Ok(()) };
        for (place, at, length) in pieces(stored) {
            let piece = Piece { layer: *layer, at, length };
            copy(piece, &path, content, buffer, |done, bytes| {
                let place = place.saturating_add(done);
                if place.saturating_add(bytes.len() as u64) > inode.size {
                    return Err(failed(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "its bytes go beyond its size",
                    )));
                }
                write_at(open.as_fd(), place, bytes).map_err(failed)
            })?;
        }
        self.exported.bytes += stored.stored;
        if stored.sparse.is_some() {
            rustix::fs::ftruncate(&open, inode.size).map_err(|error| failed(error.into()))?;
        }
        describe(open.as_fd(), inode).map_err(failed)
    }

    fn link(&mut self, first: NodeId, other: NodeId) -> Result<(), ExportError> {
        let target = self.tree.node(first).name();
        let (above, _) = self.path(first);
        let owned = self
            .inside
            .directory(&above)
            .and_then(|above| above.try_clone_to_owned())
            .map_err(|source| ExportError::Write { path: printable(&self.tree.path(other)), source })?;
        self.at(other, |above, name| {
            let (target, name) = (OsStr::from_bytes(target), OsStr::from_bytes(name));
            Ok(rustix::fs::linkat(&owned, target, above, name, AtFlags::empty())?)
        })
    }

    /// Children before their parents: the last thing that happens to a directory is that it gets its times.
    fn describe_directories(&mut self, from: NodeId) -> Result<(), ExportError> {
        let tree = self.tree;
        let mut directories: Vec<NodeId> =
            tree.walk(from).map(|(_, id)| id).filter(|id| tree.inode_of(*id).is_directory()).collect();
        directories.reverse();
        for id in directories {
            let inode: &Inode = tree.inode_of(id);
            if id == from {
                return describe(self.inside.root(), inode)
                    .map_err(|source| ExportError::Write { path: printable(&tree.path(id)), source });
            }
            self.at(id, |above, name| {
                // Its mode may keep even its owner out, but not root.
                let open = open_directory(above, name)?;
                describe(open.as_fd(), inode)
            })?;
        }
        Ok(())
    }

    /// Takes away what was made, as far as it goes.
    fn remove(&mut self, from: NodeId) {
        let tree = self.tree;
        let mut all: Vec<NodeId> = Vec::new();
        let mut walk = tree.walk(from);
        walk.advance();
        while let Some(id) = walk.advance() {
            all.push(id);
        }
        for id in all.into_iter().rev() {
            let flags = if tree.inode_of(id).is_directory() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            let removed =
                self.at(id, |above, name| Ok(rustix::fs::unlinkat(above, OsStr::from_bytes(name), flags)?));
            if let Err(error) = removed {
                tracing::trace!(%error, "not there to be removed");
            }
        }
    }
}

fn write_at(open: BorrowedFd<'_>, mut place: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(open, bytes, place) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                place += count as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
