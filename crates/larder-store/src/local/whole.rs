//! Whole files: blobs that share their bytes with a worktree through reflinks.
//!
//! ```text
//! whole/ab/cdef…      BLAKE3 of the content, in hexadecimal; mode 0444
//! ```
//! On a file system that can clone files, an output of 16 KiB and more is cloned into the store instead of being
//! chunked, and cloned back: neither copies bytes. Its blob row says so (kind 2), with the content's BLAKE3 as root.
//!
//! What is returned is verified: a clone is hashed when it is taken, and its stat tuple is kept in the index; a file
//! whose tuple is unchanged is handed out as it is, any other is hashed again first. A file that is not what its name says is moved to
//! `quarantine/` and is a miss. Whether cloning works is found out by trying, once per pair of file systems.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use larder_core::{Chunk, Digest, DigestFunction, Error, ErrorKind, Hash, Hasher, Result};

use super::index::Index;
use super::index::residency::{Resident, StatTuple};
use super::{LocalStore, new_id, now_seconds, poison};

/// Smaller files are chunked.
const SMALLEST: u64 = 16 << 10;
const BUFFER: usize = 128 << 10;
/// More announced files are not remembered.
const MOST_EXPECTED: usize = 1 << 16;

/// Which file systems can be cloned from, as far as it was tried.
#[derive(Debug, Default)]
pub(crate) struct Cloning(Mutex<HashMap<u64, bool>>);

/// What is known of files that were announced, so that a restore asks the index once and not for each file. An entry is as
/// good a proof as its row: whoever uses it compares the stat tuple.
#[derive(Debug, Default)]
pub(crate) struct Expected(Mutex<Announced>);

#[derive(Debug, Default)]
struct Announced {
    /// Not yet asked for: nobody did, where nothing can be cloned.
    waiting: Vec<[u8; 32]>,
    known: HashMap<[u8; 32], Resident>,
}

fn tuple(metadata: &fs::Metadata) -> StatTuple {
    let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    StatTuple {
        dev: metadata.dev(),
        ino: metadata.ino(),
        size: metadata.len(),
        mtime_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Hashes `file` from its start, showing every byte to `observe`.
fn hash(file: &File, mut hasher: Hasher, observe: &mut dyn FnMut(&[u8])) -> io::Result<Digest> {
    let mut buffer = vec![0; BUFFER];
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(hasher.finish()),
            count => {
                hasher.update(&buffer[..count]);
                observe(&buffer[..count]);
                offset += count as u64;
            }
        }
    }
}

impl LocalStore {
    pub(crate) fn whole_path(&self, hash: &Hash) -> PathBuf {
        let name = hash.to_hex();
        self.home.join("whole").join(&name[..2]).join(&name[2..])
    }

    /// Whether the file is there with the right length.
    pub(crate) fn has_whole(&self, chunk: &Chunk) -> bool {
        fs::symlink_metadata(self.whole_path(&chunk.hash))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == chunk.length)
    }

    /// Clones `file` into the store. `None`: it is too small, or cannot be cloned; nothing was observed then.
    pub(crate) fn take_whole(
        &self,
        file: &File,
        observe: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Option<(Digest, Resident)>> {
        let metadata = file.metadata()?;
        let known = self.cloning.0.lock().unwrap_or_else(poison).get(&metadata.dev()).copied();
        if metadata.len() < SMALLEST || known == Some(false) {
            return Ok(None);
        }
        let path = self.home.join("tmp").join(format!("{}.whole", new_id()));
        let clone = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let cloned = rustix::fs::ioctl_ficlone(&clone, file);
        self.cloning.0.lock().unwrap_or_else(poison).insert(metadata.dev(), cloned.is_ok());
        if cloned.is_err() {
            fs::remove_file(&path)?;
            return Ok(None);
        }
        let kept = hash(&clone, DigestFunction::Blake3.hasher(), observe).and_then(|digest| {
            clone.set_permissions(fs::Permissions::from_mode(0o444))?;
            let named = self.whole_path(&digest.hash);
            if let Some(folder) = named.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::rename(&path, &named)?;
            Ok((digest, Resident { stat: tuple(&clone.metadata()?), verified_at: u64::from(now_seconds()) }))
        });
        if kept.is_err() {
            fs::remove_file(&path).ok();
        }
        kept.map(Some)
    }

    /// Takes note that these blobs will be written to files soon.
    pub(crate) fn expect_whole(&self, digests: &[Digest]) {
        let mut expected = self.expected.0.lock().unwrap_or_else(poison);
        let Announced { waiting, known } = &mut *expected;
        if known.len() + waiting.len() + digests.len() > MOST_EXPECTED {
            (*waiting, *known) = Default::default();
        }
        let own = |digest: &&Digest| digest.function == DigestFunction::Blake3 && digest.size >= SMALLEST;
        waiting.extend(digests.iter().filter(own).take(MOST_EXPECTED).map(|digest| digest.hash.0));
    }

    /// What the index knows of an announced file; all that wait are asked for at once.
    fn expected(&self, index: &Index, key: &[u8; 32]) -> Option<Resident> {
        let mut expected = self.expected.0.lock().unwrap_or_else(poison);
        let Announced { waiting, known } = &mut *expected;
        if !waiting.is_empty() {
            let keys: Vec<&[u8]> = waiting.iter().map(|key| &key[..]).collect();
            let found = index.residents(&keys).unwrap_or_default();
            let found = waiting.iter().zip(found).filter_map(|(key, resident)| Some((*key, resident?)));
            known.extend(found);
            waiting.clear();
        }
        known.get(key).copied()
    }

    /// The file of a blob, its content proven. `NotFound` if it is not there, `Corrupt` if it is not what it should be.
    pub(crate) fn open_whole(&self, chunk: &Chunk) -> Result<File> {
        let path = self.whole_path(&chunk.hash);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "read a file of the store"),
            _ => Error::from_io(error, "read a file of the store"),
        };
        let file = File::open(&path).map_err(failed)?;
        let stat = tuple(&file.metadata().map_err(failed)?);
        let index = self.index().ok();
        let key = chunk.hash.0;
        let proves = |resident: &Resident| resident.stat == stat;
        let ask = |index: &Arc<Index>| index.residents(&[&key]).ok()?.pop()?;
        let known = index.as_ref().and_then(|index| {
            self.expected(index, &key).filter(proves).or_else(|| ask(index).filter(proves))
        });
        if known.is_some() && stat.size == chunk.length {
            return Ok(file);
        }
        let found = hash(&file, DigestFunction::Blake3.hasher(), &mut |_| {}).map_err(failed)?;
        if found.hash != chunk.hash || found.size != chunk.length {
            tracing::warn!(digest = %chunk.hash, "a whole file is corrupt; it is a miss");
            let aside = self.home.join("quarantine").join(format!("{}.whole", chunk.hash));
            fs::rename(&path, aside).map_err(failed)?;
            return Err(Error::new(ErrorKind::Corrupt, "read a file of the store").with("digest", chunk.hash));
        }
        let resident = Resident { stat, verified_at: u64::from(now_seconds()) };
        if let Some(index) = index
            && let Err(error) = index.set_residents(&[(&key, resident)])
        {
            tracing::debug!(%error, "could not note a verified file");
        }
        Ok(file)
    }

    /// Whether the file is what its name says; reads it, whatever the index knows.
    pub(crate) fn prove_whole(&self, chunk: &Chunk) -> bool {
        let file = File::open(self.whole_path(&chunk.hash));
        let found = file.and_then(|file| hash(&file, DigestFunction::Blake3.hasher(), &mut |_| {}));
        found.is_ok_and(|found| found.hash == chunk.hash && found.size == chunk.length)
    }

    /// Passes a range of a whole file on, proven before the first byte.
    pub(crate) fn read_whole(
        &self,
        chunk: &Chunk,
        range: std::ops::Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let file = self.open_whole(chunk)?;
        let mut buffer = vec![0; BUFFER];
        let mut at = range.start;
        while at < range.end {
            let wanted = usize::try_from(range.end - at).unwrap_or(BUFFER).min(BUFFER);
            let count = file
                .read_at(&mut buffer[..wanted], at)
                .map_err(|e| Error::from_io(e, "read a file of the store"))?;
            if count == 0 {
                return Err(
                    Error::new(ErrorKind::Corrupt, "read a file of the store").with("digest", chunk.hash)
                );
            }
            sink(&buffer[..count])?;
            at += count as u64;
        }
        Ok(())
    }

    /// Clones a whole file into `out`, or copies it where cloning does not work.
    pub(crate) fn give_whole(&self, chunk: &Chunk, out: &File) -> Result<()> {
        let file = self.open_whole(chunk)?;
        if rustix::fs::ioctl_ficlone(out, &file).is_ok() {
            return Ok(());
        }
        let copied = io::copy(&mut (&file).take(chunk.length), &mut &*out);
        match copied.map_err(|error| Error::from_io(error, "write a file"))? {
            length if length == chunk.length => Ok(()),
            _ => Err(Error::new(ErrorKind::Corrupt, "read a file of the store").with("digest", chunk.hash)),
        }
    }

    /// All whole files: hash, path, size.
    pub(crate) fn whole_files(&self) -> io::Result<Vec<(Hash, PathBuf, u64)>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(self.home.join("whole"))? {
            let folder = folder?.path();
            let Some(lead) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
                continue;
            };
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let hash = name.to_str().and_then(|rest| Hash::from_hex(&format!("{lead}{rest}")));
                if let (Some(hash), Ok(metadata)) = (hash, entry.metadata()) {
                    found.push((hash, entry.path(), metadata.len()));
                }
            }
        }
        Ok(found)
    }
}
