//! Sandboxes: a recipe with `sandbox: true` sees what it declares, and the system; nothing else of the machine.
//!
//! ```text
//! machine.rs  the system's folders, tools, HOME      layout.rs   what of the project is seen, and where it can be written
//! steps.rs    both → the steps of an `Enclosure`     ground.rs   the folders on disk below it
//! collect.rs  what came to be written there, and where it belongs
//! refusal.rs  why there can be none here
//! ```
//! # What is seen
//! - The system, read-only: `/usr`, `/bin`, `/lib…`, `/etc`, `/opt`, … (`machine.rs`); `/proc`; a few devices; `/sys` (without network cards
//!   if there is no network).
//! - An empty `HOME`, `/tmp` and `/dev/shm`, in memory, gone with the command.
//! - The folders of declared tools that lie elsewhere, and the folders that the recipe names; read-only.
//! - The project at its real path: folders on the way, declared inputs, and what direct dependencies made; each file a mount
//!   of its own, read-only. A literal output folder of a dependency is one mount.
//! - Folders can be written to, all in the project: those in which outputs can come to be are on the project's file system
//!   (`ground.rs`), the others in memory.
//!
//! # Invariants
//! - Nothing that the command writes is in the project before it ended well; then exactly what its output patterns cover
//!   is, by rename. What else it wrote is dropped, and named.
//! - What stands in the place of outputs stays until then, too: a recipe that fails leaves the project as it was.
//! - What is on disk lies in a staging folder of `outputs`: the next run finds and removes what a killed one left. Mounts
//!   end with the last process of the command.
//! - What cannot be had is an error: a command never runs outside instead.

mod collect;
mod ground;
mod layout;
mod machine;
mod refusal;
mod steps;

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) use collect::Collected;
pub(crate) use layout::{Layout, Seen};
pub(crate) use machine::Machine;
pub use refusal::hint;

use crate::outputs::exchange::Room;
use crate::outputs::{self, OutputSpec, Root};
use crate::process::{CommandSpec, Enclosure, SpawnError, Stdin};
use crate::recipe::Sandbox as Wanted;
use ground::Ground;

/// Why a sandbox could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A path that no system call takes.
    #[error("`{}` holds a NUL byte", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A folder that the recipe wants to see and that is not there.
    #[error("the folder `{}` of `sandbox` is not there", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that would show what the sandbox is there to hide.
    #[error("the folder `{}` of `sandbox` holds the project", path.display())]
    HoldsProject {
        /// The folder.
        path: PathBuf,
    },
    /// A folder of the project: what is seen of it are inputs.
    #[error("the folder `{}` of `sandbox` is in the project: make it an input", path.display())]
    InProject {
        /// The folder.
        path: PathBuf,
    },
    /// The system could not be seen beside the project.
    #[error("the project's root `{}` holds the system", path.display())]
    HoldsSystem {
        /// The root.
        path: PathBuf,
    },
    /// A folder of inputs was moved, so that it cannot be told any more what the command read.
    #[error("it moved a folder that holds its inputs, which cannot be done in a sandbox")]
    MovedInputs,
    /// No descriptors.
    #[error("cannot open a socket for the sandbox")]
    Socket(#[source] std::io::Error),
    /// The folders on disk.
    #[error(transparent)]
    Outputs(#[from] outputs::Error),
}

/// Where a sandbox is made.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The project's real root.
    pub(crate) root: &'a Path,
    /// The caller's `HOME`, if it has one.
    pub(crate) home: Option<&'a Path>,
    /// Name of the run.
    pub(crate) run: &'a str,
    /// Name of the recipe.
    pub(crate) recipe: &'a str,
}

/// One sandbox, for one command.
#[derive(Debug)]
pub(crate) struct Sandbox<'a> {
    pub(crate) enclosure: Enclosure,
    ground: Ground<'a>,
    layout: Layout,
}

impl<'a> Sandbox<'a> {
    /// Prepares one: makes its folders on disk, and the steps to enter it. `state`: `.larder/state`; `tools`: the files of declared tools.
    pub(crate) fn new(
        state: &'a Root,
        place: Place<'_>,
        wanted: &Wanted,
        mut layout: Layout,
        spec: &OutputSpec,
        tools: &[PathBuf],
    ) -> Result<Self, Error> {
        let machine = Machine::look(place.root, place.home, &wanted.folders, tools, &mut layout)?;
        let ground = Ground::make(state, place, &layout, spec)?;
        let steps = steps::of(place, &layout, &machine, &ground, wanted.network)?;
        let enclosure = Enclosure::new(steps, wanted.network).map_err(Error::Socket)?;
        Ok(Self { enclosure, ground, layout })
    }

    /// What the command wrote: outputs that go into the project, for which there will be `room`, and the rest. Changes nothing.
    pub(crate) fn collect(&self, room: &Room<'_>) -> Result<Collected, Error> {
        collect::collect(room, &self.layout, &self.ground, self.enclosure.kept())
    }
}

/// Tries whether sandboxes can be had here, with one that does nothing. `scratch`: a folder to work in.
///
/// # Errors
/// What refuses one.
pub fn probe(scratch: &Path) -> Result<(), SpawnError> {
    let trouble = |source| SpawnError::System { step: "prepare a sandbox", source };
    let base = scratch.join("base");
    std::fs::create_dir_all(&base).map_err(trouble)?;
    let machine = Machine::bare();
    let steps = steps::bare(&base, &machine).map_err(|error| trouble(std::io::Error::other(error)))?;
    let enclosure = Enclosure::new(steps, true).map_err(trouble)?;
    let spec = CommandSpec {
        program: "true".into(),
        cwd: "/".into(),
        stdin: Stdin::Null,
        enclosure: Some(&enclosure),
        ..CommandSpec::default()
    };
    let mut child = crate::process::spawn(&spec)?;
    let never = crate::process::CancelToken::new().map_err(trouble)?;
    child.wait_with(|_, _| {}, &never, None).map_err(|error| trouble(std::io::Error::other(error)))?;
    Ok(())
}

fn text(bytes: &[u8]) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error::Path { path: path_of(bytes) })
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The folders on the way to `path`, outermost first, without the root and without the path itself.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memchr_iter(b'/', path).filter(|&end| end > 0).map(|end| &path[..end])
}

/// Drops what lies in another one of them.
fn outermost(paths: BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for path in paths {
        if !out.iter().any(|other| outputs::beneath::is_within(&path, other)) {
            out.push(path);
        }
    }
    out
}
