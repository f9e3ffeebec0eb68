//! [`Ground`]: the part of a sandbox that is on disk, in a staging folder of `.larder/state/tmp`.
//!
//! ```text
//! ID/base      where the file system in memory is mounted       ID/file   empty: the one inode of all places for files
//! ID/0, ID/1…  the folders in which outputs can come to be
//! ```
//! Places for inputs in these folders are hard links to one file: an inode each would cost more than the mounts.
//! Dropping it removes everything; of a killed run `outputs::staging::recover` does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;

use super::{Error, Layout, Place, Seen};
use crate::outputs::beneath::{Dir, Root, is_within, join, split};
use crate::outputs::error::io;
use crate::outputs::staging::Staging;
use crate::outputs::{OutputSpec, Result};

/// As many names as one inode may have where it may have the fewest.
const MOST_NAMES: u32 = 30_000;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    staging: Staging<'a>,
    state: &'a Root,
    /// Absolute.
    folder: PathBuf,
    /// Folders on disk, by their places in the project.
    on_disk: BTreeSet<Vec<u8>>,
    /// Folders in memory that lie directly in one on disk.
    in_memory: BTreeSet<Vec<u8>>,
    /// Places for inputs on disk.
    inputs: usize,
}

impl<'a> Ground<'a> {
    /// Makes it.
    pub(super) fn make(
        state: &'a Root,
        place: Place<'_>,
        layout: &Layout,
        spec: &OutputSpec,
    ) -> Result<Self, Error> {
        let staging = Staging::new(state, place.run, place.recipe)?;
        let folder = state.path().join("tmp").join(&staging.id);
        staging.dir.make_dir(b"base")?;
        let (on_disk, in_memory) = (BTreeSet::new(), BTreeSet::new());
        let mut ground = Self { staging, state, folder, on_disk, in_memory, inputs: 0 };
        let mut names = Names { left: 0 };
        for (at, writable) in layout.writable().iter().enumerate() {
            ground.staging.dir.make_dir(at.to_string().as_bytes())?;
            ground.on_disk.insert(writable.clone());
            let mut parent = None;
            for (path, seen) in layout.nodes() {
                if path != writable.as_slice() && is_within(path, writable) {
                    ground.node(layout, spec, (at, writable), (path, seen), &mut parent, &mut names)?;
                }
            }
        }
        Ok(ground)
    }

    /// `parent`: the folder of the last node, still open.
    fn node(
        &mut self,
        layout: &Layout,
        spec: &OutputSpec,
        (at, writable): (usize, &[u8]),
        (path, seen): (&[u8], &Seen),
        parent: &mut Option<(Vec<u8>, Dir)>,
        names: &mut Names,
    ) -> Result<()> {
        let (folder, name) = split(path);
        if !self.on_disk.contains(folder) {
            return Ok(());
        }
        let dir = match parent.take() {
            Some((path, dir)) if path == folder => dir,
            _ => self.dir(at, below(folder, writable))?,
        };
        match seen {
            Seen::Folder(_) | Seen::Whole => {
                dir.make_dir(name)?;
                if matches!(seen, Seen::Folder(_)) {
                    let is_on_disk = layout.on_disk(path, spec).is_some();
                    let kind = if is_on_disk { &mut self.on_disk } else { &mut self.in_memory };
                    kind.insert(path.to_vec());
                }
            }
            Seen::Link(target) => dir.make_link(name, target)?,
            Seen::File => names.add(&self.staging.dir, &dir, name)?,
        }
        self.inputs += usize::from(matches!(seen, Seen::File | Seen::Whole));
        *parent = Some((folder.to_vec(), dir));
        Ok(())
    }

    /// A folder below the outermost one of this number.
    pub(super) fn dir(&self, at: usize, path: &[u8]) -> Result<Dir> {
        let own = join(self.staging.dir.path(), at.to_string().as_bytes());
        self.state.dir(&if path.is_empty() { own } else { join(&own, path) })
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folders in memory that lie directly in one on disk.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = &[u8]> {
        self.in_memory.iter().map(Vec::as_slice)
    }

    /// How many places for inputs there are on disk.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// A folder of the project that is on disk.
    pub(super) fn is_on_disk(&self, folder: &[u8]) -> bool {
        self.on_disk.contains(folder)
    }
}

/// What is left of `path` below `folder`, in which it is.
pub(super) fn below<'p>(path: &'p [u8], folder: &[u8]) -> &'p [u8] {
    let rest = path.get(folder.len()..).unwrap_or_default();
    rest.strip_prefix(b"/").unwrap_or(rest)
}

/// Gives names to empty files.
struct Names {
    left: u32,
}

impl Names {
    fn add(&mut self, staging: &Dir, dir: &Dir, name: &[u8]) -> Result<()> {
        const SOURCE: &[u8] = b"file";
        if self.left == 0 {
            staging.remove_all(SOURCE)?;
            staging.create_file(SOURCE, 0o644)?;
            self.left = MOST_NAMES;
        }
        self.left -= 1;
        rustix::fs::linkat(staging, SOURCE, dir, name, AtFlags::empty())
            .map_err(io("make a place for", &dir.join(name)))
    }
}
