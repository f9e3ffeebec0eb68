//! [`Trace`]: all that the processes of one command were seen to do with paths.
//!
//! Paths are absolute and lexically clean, as bytes; they are named as the command named them (a symbolic link on the
//! way stays one), so that a proposal can speak the user's words. Equal accesses are kept once.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// How a path was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessKind {
    /// Looked up or opened for reading, and it was there (`open`, `stat`, `readlink`, `access`).
    Read,
    /// Looked up, and it was not there: were it to appear, the result could change.
    Missing,
    /// A folder whose names were listed.
    Listed,
    /// Run as a program (or as the interpreter of one).
    Executed,
    /// Made, changed, renamed or removed.
    Written,
}

/// One path, touched in one way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// Absolute, lexically clean.
    pub path: PathBuf,
    /// How.
    pub kind: AccessKind,
}

/// All that was seen of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// In the order of paths.
    pub accesses: BTreeSet<Access>,
    /// Why it is not all: then nothing may be concluded from what is missing here.
    pub incomplete: Option<String>,
}
