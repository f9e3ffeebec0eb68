//! The lock between writers and the delete phase of GC.
//!
//! A writer holds it shared from its first look-up ("is this chunk here?") until the rows that rely on the answer are
//! written; GC holds it exclusively while it deletes. The file's first eight bytes count the deletions (before and after
//! each), so that a writer knows that its view of the packs is still true without listing folders.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

fn generation(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(u64::from_le_bytes(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}

/// The count of deletions for readers, who take no lock. The file stays open: a look costs one system call.
#[derive(Debug, Default)]
pub(crate) struct Deletions(OnceLock<File>);

impl Deletions {
    /// How many times something was deleted. Nothing was if there is no file.
    pub(crate) fn count(&self, path: &Path) -> io::Result<u64> {
        if let Some(file) = self.0.get() {
            return generation(file);
        }
        match File::open(path) {
            Ok(file) => generation(self.0.get_or_init(|| file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

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

    /// The lock for deletion, if no writer is at work at this moment.
    pub(crate) fn try_exclusive(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The lock for deletion; `WouldBlock` when writers were at work all the time of `patience`.
    pub(crate) fn exclusive(path: &Path, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(lock) = Self::try_exclusive(path)? {
                return Ok(lock);
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// How many times something was deleted.
    pub(crate) fn generation(&self) -> io::Result<u64> {
        generation(&self.file)
    }

    /// Says that something is about to be deleted. Only while held exclusively.
    pub(crate) fn count_deletion(&self) -> io::Result<()> {
        self.file.write_all_at(&(self.generation()? + 1).to_le_bytes(), 0)
    }
}
