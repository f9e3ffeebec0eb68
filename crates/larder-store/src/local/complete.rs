//! Partial blobs that have become complete are made blobs of the store: named by their digests, cloned where the file system can, else in chunks, so that they are
//! deduplicated, verified, pinned and collected as all others are.
//!
//! The digest of the whole decides. What is complete and wrong was damaged on the disk, or verified by a table that lies: whoever has the table knows which
//! ([`PartialBlob::forget`](super::partial::PartialBlob::forget) and try again, or [`LocalStore::refuse`] the table). Notes of that lie beside the partial blobs:
//! ```text
//! partial/<hash of the namespace>/<function>-<hex>-<size>.refused     identities of tables, 32 bytes each
//! ```
//! One process does it at a time, under an `flock` on the data; others go on reading and writing meanwhile.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;

use larder_core::{Digest, Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, flock};

use super::gc_lock::GcLock;
use super::partial::{REFUSED, failed};
use super::{LocalStore, new_id, now_seconds, stale};

/// A row of a blob that is read is renewed after so many seconds, so that it counts as used.
const RENEW_AFTER: u32 = 24 * 3600;
/// Notes of more tables are not read.
const MOST_REFUSED: u64 = 32 << 10;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// What became of a partial blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// Parts are missing, or another process is at it.
    NotYet,
    /// It is a blob of the store, and no partial blob any more.
    Whole,
    /// All parts are there, and the digest is another. Nothing was changed.
    Wrong,
}

impl LocalStore {
    /// Makes a partial blob that is complete a blob of the store.
    ///
    /// # Errors
    /// What the file system answers; the partial blob is as it was then.
    pub fn complete_partial_blob(&self, namespace: &str, digest: &Digest) -> Result<Completed> {
        let path = self.partial_path(namespace, digest).with_extension("data");
        if digest.size == 0 || !path.exists() {
            return Ok(Completed::NotYet);
        }
        let blob = self.partial_blob(namespace, digest)?;
        let is_ours = || {
            blob.is_complete()
                && flock(&blob.data, FlockOperation::NonBlockingLockExclusive).is_ok()
                && stale::is_there(&path, &blob.data)
        };
        if !is_ours() {
            return Ok(Completed::NotYet);
        }
        let mut writer = self.writer(namespace)?;
        match writer.put_file_verified(digest, &blob.data) {
            Err(error) if error.kind() == ErrorKind::Invalid => return Ok(Completed::Wrong),
            put => put?,
        }
        writer.commit()?;
        self.forget_partial_blob(namespace, digest)?;
        Ok(Completed::Whole)
    }

    /// When a blob that is here was written, or its use was noted last, in seconds since 1970.
    #[must_use]
    pub fn blob_time(&self, namespace: &str, digest: &Digest) -> Option<u64> {
        self.rows(namespace).find(digest).map(|(_, time)| u64::from(time))
    }

    /// Whether a blob is here, whole; if so, that counts as a use of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn use_blob(&self, namespace: &str, digest: &Digest) -> Result<bool> {
        let Some(root) = self.find(namespace, digest)?.filter(|root| self.is_whole(root)) else {
            return Ok(false);
        };
        let age = |(_, time): (_, u32)| now_seconds().saturating_sub(time);
        if self.rows(namespace).find(digest).map(age).is_some_and(|age| age > RENEW_AFTER) {
            let renewed = self.writer(namespace).and_then(|mut writer| {
                writer.add_row(digest, &root)?;
                writer.commit()
            });
            if let Err(error) = renewed {
                tracing::debug!(%error, "that a blob was used cannot be noted");
            }
        }
        Ok(true)
    }

    /// Forgets blobs: they are missing from then on, and the next collection frees what only they held. Answers how many there were.
    ///
    /// # Errors
    /// `Busy` when writers leave no moment, and what the file system answers.
    pub fn forget_blobs(&self, namespace: &str, digests: &[Digest]) -> Result<usize> {
        let io_error = |error| Error::from_io(error, "forget blobs");
        self.flush()?;
        let _one = super::gc::sweep_lock(self)?;
        let lock = GcLock::exclusive(&self.home.join("gc.lock"), PATIENCE).map_err(io_error)?;
        lock.count_deletion().map_err(io_error)?;
        let rows = self.rows(namespace);
        let forgotten = rows.refresh().and_then(|()| {
            let known = digests.iter().filter(|digest| rows.find(digest).is_some()).count();
            if known > 0 {
                rows.rewrite(&new_id(), |digest| !digests.contains(digest))?;
            }
            Ok(known)
        });
        lock.count_deletion().map_err(io_error)?;
        forgotten.map_err(io_error)
    }

    /// Notes that a table, by its identity, says what is not true of a blob.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn refuse(&self, namespace: &str, digest: &Digest, table: &[u8; 32]) -> Result<()> {
        let path = self.partial_path(namespace, digest).with_extension(REFUSED);
        let append = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            File::options().append(true).create(true).mode(0o600).open(&path)?.write_all(table)
        };
        append().map_err(|error| failed(error, &path))
    }

    /// The tables that were [refused](LocalStore::refuse) for a blob.
    #[must_use]
    pub fn refused(&self, namespace: &str, digest: &Digest) -> Vec<[u8; 32]> {
        let path = self.partial_path(namespace, digest).with_extension(REFUSED);
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_REFUSED).read_to_end(&mut bytes));
        if read.is_err() {
            return Vec::new();
        }
        bytes.as_chunks::<32>().0.to_vec()
    }
}
