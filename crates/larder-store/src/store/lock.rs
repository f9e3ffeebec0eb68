//! Single flight: at most one holder of an action's lock at a time, across threads and processes.
//!
//! The lock is an `flock` on a file in `locks/`, so the kernel lets go when its holder dies, however it dies. The file
//! is removed while it is still locked; who gets the lock of a removed file notices and takes the new one. On Linux
//! `flock` belongs to the open file: a child that inherits it would keep it, so it is opened with `O_CLOEXEC`.
//!
//! Not promised: fairness, and anything on file systems without `flock`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use larder_core::{Error, Result};
use rustix::fs::{FlockOperation, flock};

use crate::action::ActionDigest;

use super::Store;

/// The right to compute an action; given back when it is dropped.
#[derive(Debug)]
pub struct ActionLock {
    path: PathBuf,
    _file: File,
}

impl Drop for ActionLock {
    fn drop(&mut self) {
        // While it is still locked: so nobody can hold a lock on what is removed here.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Waits until nobody else computes `action`, then has the right to. Look it up again then: who had the right
    /// before has probably recorded it.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn lock_action(&self, action: &ActionDigest) -> Result<ActionLock> {
        let path = self.lock_path(action);
        loop {
            if let Some(lock) = take(&path, FlockOperation::LockExclusive)? {
                return Ok(lock);
            }
        }
    }

    /// The right to compute `action`, unless somebody else has it.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn try_lock_action(&self, action: &ActionDigest) -> Result<Option<ActionLock>> {
        take(&self.lock_path(action), FlockOperation::NonBlockingLockExclusive)
    }

    fn lock_path(&self, action: &ActionDigest) -> PathBuf {
        let mut hasher = blake3::Hasher::new_derive_key("larder action lock v1");
        hasher.update(&action.key()).update(self.namespace().as_bytes());
        self.local_store().home().join("locks").join(&hasher.finalize().to_hex()[..32])
    }
}

/// The lock; nothing if somebody else has it, or if its file was removed meanwhile.
fn take(path: &Path, operation: FlockOperation) -> Result<Option<ActionLock>> {
    let failed = |error: io::Error| Error::from_io(error, "lock an action").with("path", path.display());
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match rustix::io::retry_on_intr(|| flock(&file, operation)) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(failed(errno.into())),
    }
    let ours = file.metadata().map_err(failed)?;
    match fs::metadata(path) {
        Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => {
            Ok(Some(ActionLock { path: path.to_owned(), _file: file }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
