//! After a command that ended well: outputs are moved into the project, and what else it wrote is named.
//!
//! Only folders on disk can hold outputs; the rest of the project was in memory, and is looked through for what is there
//! in vain. What `!` excludes from the outputs is dropped without a word. A folder without any output is named as one.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, RenameFlags};
use rustix::io::Errno;

use super::ground::Ground;
use super::{Layout, Place, Seen};
use crate::outputs::beneath::{Dir, split};
use crate::outputs::error::{io, path_buf};
use crate::outputs::staging::relocate;
use crate::outputs::{Error, OutputSpec, Result};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    /// What was written and is no output, relative to the project's root; folders end with `/`.
    pub(crate) strays: Vec<Vec<u8>>,
}

struct Collector<'c> {
    place: Place<'c>,
    spec: &'c OutputSpec,
    layout: &'c Layout,
    ground: &'c Ground<'c>,
    strays: Vec<Vec<u8>>,
}

/// Takes what is on the ground, and looks through `kept`, the project's folders in memory.
pub(super) fn collect(
    place: Place<'_>,
    spec: &OutputSpec,
    layout: &Layout,
    ground: &Ground<'_>,
    kept: Option<OwnedFd>,
) -> Result<Collected> {
    let mut collector = Collector { place, spec, layout, ground, strays: Vec::new() };
    for (at, writable) in layout.writable().iter().enumerate() {
        let dir = ground.dir(at, b"")?;
        collector.known(&Open { dir, path: writable.clone(), on_disk: true })?;
    }
    if let Some(kept) = kept {
        collector.known(&Open { dir: Dir::of(kept), path: Vec::new(), on_disk: false })?;
    }
    collector.strays.sort();
    Ok(Collected { strays: collector.strays })
}

/// An open folder of the sandbox, and its place in the project.
struct Open {
    dir: Dir,
    path: Vec<u8>,
    on_disk: bool,
}

impl Open {
    fn child(&self, name: &[u8]) -> Vec<u8> {
        crate::outputs::beneath::join(&self.path, name)
    }

    fn open(&self, name: &[u8]) -> Result<Self> {
        Ok(Self { dir: self.dir.dir(name)?, path: self.child(name), on_disk: self.on_disk })
    }
}

impl Collector<'_> {
    /// A folder that was made for the command.
    fn known(&mut self, open: &Open) -> Result<()> {
        for (name, kind) in open.dir.list()? {
            let path = open.child(&name);
            match self.layout.get(&path) {
                Some(Seen::Folder(_)) if kind == FileType::Directory => {
                    if !open.on_disk || self.ground.is_on_disk(&path) {
                        self.known(&open.open(&name)?)?;
                    }
                }
                Some(Seen::File | Seen::Whole) => {}
                Some(Seen::Link(target)) if kind == FileType::Symlink => {
                    if open.dir.read_link(&name)? != *target {
                        self.strays.push(path);
                    }
                }
                _ => {
                    self.new_entry(open, &name, kind)?;
                }
            }
        }
        Ok(())
    }

    /// Something that the command made; whether an output was in it.
    fn new_entry(&mut self, open: &Open, name: &[u8], kind: FileType) -> Result<bool> {
        let path = open.child(name);
        if self.spec.is_excluded(&path) {
            return Ok(false);
        }
        if kind == FileType::Directory {
            return self.new_folder(open, name, path);
        }
        if open.on_disk && self.spec.covers(&path) {
            self.put(open, name, &path)?;
            return Ok(true);
        }
        self.strays.push(path);
        Ok(false)
    }

    fn new_folder(&mut self, open: &Open, name: &[u8], path: Vec<u8>) -> Result<bool> {
        let (root, spec) = (self.place.root_dir, self.spec);
        if open.on_disk && spec.owns(&path) && !spec.has_exclusions() && root.stat(&path)?.is_none() {
            self.put(open, name, &path)?;
            return Ok(true);
        }
        let is_output = open.on_disk && spec.covers(&path);
        let inner = match open.open(name) {
            Ok(inner) => inner,
            Err(error) if is_output => return Err(error),
            Err(_) => {
                self.strays.push([&path[..], b"/"].concat());
                return Ok(false);
            }
        };
        let before = self.strays.len();
        let mut holds = is_output;
        for (child, kind) in inner.dir.list()? {
            holds |= self.new_entry(&inner, &child, kind)?;
        }
        if is_output {
            let mode = inner.dir.stat_self(&path)?.permissions();
            root.make_dirs(&path)?.set_mode(mode & 0o777)?;
        }
        if !holds && self.strays.len() > before {
            self.strays.truncate(before);
            self.strays.push([&path[..], b"/"].concat());
        }
        Ok(holds)
    }

    fn put(&self, open: &Open, name: &[u8], path: &[u8]) -> Result<()> {
        let (parent, last) = split(path);
        let to = self.place.root_dir.make_dirs(parent)?;
        match relocate(&open.dir, name, &to, last, RenameFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::XDEV) => Err(Error::OtherFileSystem { path: path_buf(path) }),
            Err(errno) => Err(io("put in place", path)(errno)),
        }
    }
}
