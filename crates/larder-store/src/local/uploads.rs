//! Uploads of the local backend: a file in `tmp/uploads/`, verified when it is committed.
//!
//! The file's name is `<hash of the namespace>-<id>`, so an id of one namespace is unknown in another. Who holds an
//! upload has an `flock` on it; a holder that dies lets go, and what it had appended is there for whoever resumes.
//! Bounded: at most [`MOST`] uploads; one that nobody touched for [`EXPIRES`] and nobody holds is removed when another
//! begins.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Digest, Error, ErrorKind, Hash, Result};
use rustix::fs::{FlockOperation, flock};

use super::backend::{LocalBackend, bad_id};
use super::{new_id, stale};
use crate::seam::{Upload, Written, wrong_offset};

/// How many uploads there may be.
pub const MOST: usize = 1024;

/// How long an upload that nobody touches is kept.
pub const EXPIRES: Duration = Duration::from_secs(24 * 3600);

fn failed(error: io::Error, operation: &'static str, id: &str) -> Error {
    Error::from_io(error, operation).with("upload", id)
}

fn folder(backend: &LocalBackend) -> PathBuf {
    backend.store().home().join("tmp").join("uploads")
}

fn path_of(backend: &LocalBackend, id: &str) -> PathBuf {
    let space = &Hash::blake3(backend.namespace().as_bytes()).to_hex()[..16];
    folder(backend).join(format!("{space}-{id}"))
}

/// Begins an upload.
pub(super) fn begin(backend: &LocalBackend) -> Result<Box<dyn Upload>> {
    const OPERATION: &str = "begin an upload";
    let id = new_id();
    let folder = folder(backend);
    fs::create_dir_all(&folder).map_err(|error| failed(error, OPERATION, &id))?;
    if expire(&folder).map_err(|error| failed(error, OPERATION, &id))? >= MOST {
        return Err(Error::new(ErrorKind::Full, OPERATION).with_message("too many are open"));
    }
    let path = path_of(backend, &id);
    let file = File::options()
        .read(true)
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed(error, OPERATION, &id))?;
    lock(&file, &id)?;
    Ok(Box::new(LocalUpload { backend: backend.clone(), id, path, file, offset: 0 }))
}

/// Goes on with an upload.
pub(super) fn resume(backend: &LocalBackend, id: &str) -> Result<Box<dyn Upload>> {
    const OPERATION: &str = "resume an upload";
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad_id(id));
    }
    let path = path_of(backend, id);
    let file =
        File::options().read(true).append(true).open(&path).map_err(|error| failed(error, OPERATION, id))?;
    lock(&file, id)?;
    let offset = file.metadata().map_err(|error| failed(error, OPERATION, id))?.len();
    // Committed or expired between the opening and the lock.
    if !stale::is_there(&path, &file) {
        return Err(Error::new(ErrorKind::NotFound, OPERATION).with("upload", id));
    }
    Ok(Box::new(LocalUpload { backend: backend.clone(), id: id.to_owned(), path, file, offset }))
}

fn lock(file: &File, id: &str) -> Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::new(ErrorKind::Busy, "resume an upload").with("upload", id))
        }
        Err(errno) => Err(failed(errno.into(), "resume an upload", id)),
    }
}

/// Removes what expired; says how many are left.
fn expire(folder: &Path) -> io::Result<usize> {
    let mut left = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_old = |meta: &fs::Metadata| {
            meta.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > EXPIRES))
        };
        if !stale::remove(&path, is_old).unwrap_or(false) {
            left += 1;
        }
    }
    Ok(left)
}

#[derive(Debug)]
struct LocalUpload {
    backend: LocalBackend,
    id: String,
    path: PathBuf,
    file: File,
    offset: u64,
}

#[async_trait]
impl Upload for LocalUpload {
    fn id(&self) -> &str {
        &self.id
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    async fn append(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        if offset != self.offset {
            return Err(wrong_offset(self.offset, offset));
        }
        let written = self.file.write_all(&bytes);
        if let Err(error) = written {
            // A part may be in the file: it goes, so that the offset stays what was said.
            let _ = self.file.set_len(self.offset);
            return Err(failed(error, "append to an upload", &self.id));
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }

    async fn commit(self: Box<Self>, digest: &Digest) -> Result<Written> {
        let mut open = || {
            let file = File::open(&self.path).map_err(|error| failed(error, "commit an upload", &self.id))?;
            Ok(Box::new(file) as Box<dyn Read + Send>)
        };
        let written = if self.offset == digest.size {
            self.verify_present(digest).and_then(|present| match present {
                true => Ok(Written { moved: 0 }),
                false => self.backend.write_from(digest, &mut open),
            })
        } else {
            Err(Error::new(ErrorKind::Invalid, "commit an upload")
                .with_message("the content has another size than its digest says")
                .with("digest", digest)
                .with("size", self.offset))
        };
        let keep = written.as_ref().is_err_and(|error| error.kind() != ErrorKind::Invalid);
        if !keep {
            let _ = fs::remove_file(&self.path);
        }
        written
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        fs::remove_file(&self.path).map_err(|error| failed(error, "abort an upload", &self.id))
    }
}

impl LocalUpload {
    /// Whether the blob is there already; the upload must be it all the same.
    fn verify_present(&self, digest: &Digest) -> Result<bool> {
        let store = self.backend.store();
        if !store.find_missing(self.backend.namespace(), &[*digest])?.is_empty() {
            return Ok(false);
        }
        let source = crate::seam::BlobSource::File(self.path.clone());
        let found = source.digest(digest.function, digest.size)?;
        if found == *digest { Ok(true) } else { Err(crate::seam::wrong_content(digest, &found)) }
    }
}
