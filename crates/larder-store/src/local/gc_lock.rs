//! The lock between writers and the delete phase of GC.
//!
//! A writer holds it shared from its first look-up ("is this chunk here?") until the rows that rely on the answer are
//! written; GC holds it exclusively while it deletes. The file's first eight bytes count the deletions, so that a writer knows
//! that its view of the packs is still true without listing folders.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct GcLock {
    file: File,
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

impl GcLock {
    /// Waits until GC does not delete.
    pub(crate) fn shared(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        flock(&file, FlockOperation::LockShared)?;
        Ok(Self { file })
    }

    /// Waits until no writer is at work.
    pub(crate) fn exclusive(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Self { file })
    }

    /// How many times something was deleted.
    pub(crate) fn generation(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(u64::from_le_bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Says that something is about to be deleted. Only while held exclusively.
    pub(crate) fn count_deletion(&self) -> io::Result<()> {
        self.file.write_all_at(&(self.generation()? + 1).to_le_bytes(), 0)
    }
}
