//! After a command that ended well: which outputs go into the project, and what else it wrote. Looks only; they are moved
//! by `outputs::exchange`.
//!
//! Only folders on disk can hold outputs; the rest of the project was in memory, and is looked through for what is there
//! in vain. What `!` excludes from the outputs is dropped without a word. A folder without any output is named as one.

use std::os::fd::OwnedFd;

use rustix::fs::FileType;

use super::ground::Ground;
use super::{Error, Layout, Seen};
use crate::outputs::beneath::{Dir, join};
use crate::outputs::exchange::{Arrival, Room};
use crate::outputs::{OutputSpec, Result};

/// What a command left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    /// Outputs, and where they belong.
    pub(crate) arrivals: Vec<Arrival>,
    /// What was written and is no output, relative to the project's root; folders end with `/`.
    pub(crate) strays: Vec<Vec<u8>>,
}

struct Collector<'c> {
    room: &'c Room<'c>,
    spec: &'c OutputSpec,
    layout: &'c Layout,
    ground: &'c Ground<'c>,
    found: Collected,
    /// Places of inputs on disk that are still there.
    inputs: usize,
}

/// Looks at what is on the ground, and through `kept`, the project's folders in memory.
pub(super) fn collect(
    room: &Room<'_>,
    layout: &Layout,
    ground: &Ground<'_>,
    kept: Option<OwnedFd>,
) -> Result<Collected, Error> {
    let (spec, found) = (room.scope().spec, Collected::default());
    let mut collector = Collector { room, spec, layout, ground, found, inputs: 0 };
    for (at, writable) in layout.writable().iter().enumerate() {
        let dir = ground.dir(at, b"")?;
        collector.known(&Open { dir, path: writable.clone(), on_disk: true })?;
    }
    // A file cannot be moved in there, but a folder with files can be, and would leave their empty places behind.
    if collector.inputs < ground.inputs() {
        return Err(Error::MovedInputs);
    }
    if let Some(kept) = kept {
        collector.known(&Open { dir: Dir::of(kept), path: Vec::new(), on_disk: false })?;
    }
    collector.found.strays.sort();
    Ok(collector.found)
}

/// An open folder of the sandbox, and its place in the project.
struct Open {
    dir: Dir,
    path: Vec<u8>,
    on_disk: bool,
}

impl Open {
    fn child(&self, name: &[u8]) -> Vec<u8> {
        join(&self.path, name)
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
                Some(Seen::File | Seen::Whole) => self.inputs += usize::from(open.on_disk),
                Some(Seen::Link(target)) => {
                    if kind != FileType::Symlink || open.dir.read_link(&name)? != *target {
                        self.found.strays.push(path);
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
        if open.on_disk && self.spec.covers(&path) && !(self.room.scope().is_input)(&path) {
            self.take(open, name, path);
            return Ok(true);
        }
        self.found.strays.push(path);
        Ok(false)
    }

    fn new_folder(&mut self, open: &Open, name: &[u8], path: Vec<u8>) -> Result<bool> {
        let spec = self.spec;
        if open.on_disk && spec.owns(&path) && !spec.has_exclusions() && self.room.is_free(&path)? {
            self.take(open, name, path);
            return Ok(true);
        }
        let is_output = open.on_disk && spec.covers(&path);
        let inner = match open.open(name) {
            Ok(inner) => inner,
            Err(error) if is_output => return Err(error),
            Err(_) => {
                self.found.strays.push([&path[..], b"/"].concat());
                return Ok(false);
            }
        };
        let before = self.found.strays.len();
        let mut holds = is_output;
        for (child, kind) in inner.dir.list()? {
            holds |= self.new_entry(&inner, &child, kind)?;
        }
        if is_output {
            let mode = inner.dir.stat_self(&path)?.permissions() & 0o777;
            self.found.arrivals.push(Arrival::Folder { path, mode });
        } else if !holds && self.found.strays.len() > before {
            self.found.strays.truncate(before);
            self.found.strays.push([&path[..], b"/"].concat());
        }
        Ok(holds)
    }

    fn take(&mut self, open: &Open, name: &[u8], path: Vec<u8>) {
        let from = join(open.dir.path(), name);
        self.found.arrivals.push(Arrival::Entry { from, path });
    }
}
