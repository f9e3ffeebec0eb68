//! Partial blobs: blobs of which parts are here, read and written at any place, for lazy mounts and whoever else fetches by range.
//!
//! ```text
//! partial/<hash of the namespace>/<function>-<hex>-<size>.data    sparse, mode 0600; as long as the blob
//!                                                         .map     what is there: records of 16 bytes, each a begin and an end (u64, little-endian)
//! ```
//! A partial blob is visible to nobody but who opens it by its digest. **What is read must be verified by the caller** (an image's table has a
//! digest for each span): a map says what was written once, and after a power cut that may be zeros. So nothing is synced, a record is appended after its
//! bytes were written, and several processes may write at once: they write the same bytes. What does not verify is [forgotten](PartialBlob::forget), and fetched again.
//!
//! One that has become complete is made a blob of the store, as any other: `complete`.
//!
//! Collection: one that nobody opened for [`EXPIRES`] goes with the store's upkeep, and a collection to a size takes these first: they can be fetched again. One whose digest is pinned
//! stays. [`list`](LocalStore::partial_blobs) and [`remove`](LocalStore::remove_partial_blob) are for people.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use larder_core::{Digest, DigestFunction, Error, Hash, Result};

use super::LocalStore;
use super::index::PinKind;
use crate::envelope::digest_bytes;

/// How long one is kept that nobody opens.
pub const EXPIRES: Duration = Duration::from_secs(30 * 24 * 3600);

const FOLDER: &str = "partial";
/// The extension of a note that says by which tables a blob must not be read.
pub(super) const REFUSED: &str = "refused";
const RECORD: usize = 16;
/// A longer map is written anew, merged.
const LONGEST_MAP: usize = 4 << 20;

/// A blob of which parts are here.
#[derive(Debug)]
pub struct PartialBlob {
    size: u64,
    pub(super) data: File,
    map_path: PathBuf,
    extents: Mutex<Extents>,
}

/// One that lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialEntry {
    /// Of the whole blob.
    pub digest: Digest,
    /// Bytes that it takes on the disk.
    pub allocated: u64,
    /// When it was last opened.
    pub used: SystemTime,
    /// Somebody pinned the blob: it stays until it is unpinned.
    pub pinned: bool,
    path: PathBuf,
}

impl PartialEntry {
    /// Whether it is the same, and was not used in between.
    pub(super) fn is_same_use(&self, other: &Self) -> bool {
        self.path == other.path && self.used == other.used
    }

    /// Opens it without counting as a use. Nothing is to be written to it.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn open(&self) -> Result<PartialBlob> {
        let data = File::options().read(true).write(true).open(&self.path);
        let data = data.map_err(|error| failed(error, &self.path))?;
        let map_path = self.path.with_extension("map");
        let blob = PartialBlob { size: self.digest.size, data, map_path, extents: Mutex::default() };
        blob.refresh();
        Ok(blob)
    }
}

/// What is there: apart and ascending.
#[derive(Debug, Default)]
struct Extents {
    parts: Vec<Range<u64>>,
    /// Bytes of the map that were read.
    read: u64,
}

impl Extents {
    fn add(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let first = self.parts.partition_point(|part| part.end < new.start);
        let last = self.parts.partition_point(|part| part.start <= new.end);
        let merged = self.parts[first..last]
            .iter()
            .fold(new, |sum, part| sum.start.min(part.start)..sum.end.max(part.end));
        self.parts.splice(first..last, [merged]);
    }

    fn remove(&mut self, gone: &Range<u64>) {
        if gone.is_empty() {
            // It would cut a part in two.
            return;
        }
        let parts = std::mem::take(&mut self.parts);
        for part in parts {
            for rest in [part.start..part.end.min(gone.start), part.start.max(gone.end)..part.end] {
                if rest.start < rest.end {
                    self.parts.push(rest);
                }
            }
        }
    }

    fn has(&self, wanted: &Range<u64>) -> bool {
        let at = self.parts.partition_point(|part| part.end < wanted.end);
        self.parts.get(at).is_some_and(|part| part.start <= wanted.start)
    }
}

/// A file's name without its extension.
fn file_name(digest: &Digest) -> String {
    format!("{}-{}-{}", digest.function.name(), digest.hash.to_hex(), digest.size)
}

/// What a file's name without its extension says.
fn digest_in(name: &str) -> Option<Digest> {
    let mut parts = name.split('-');
    let (function, hash, size, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let known = [DigestFunction::Blake3, DigestFunction::Sha256];
    let function = known.into_iter().find(|one| one.name() == function)?;
    Some(Digest { function, hash: Hash::from_hex(hash)?, size: size.parse().ok()? })
}

/// The folder of a namespace.
fn space(namespace: &str) -> String {
    Hash::blake3(namespace.as_bytes()).to_hex()[..16].to_owned()
}

pub(super) fn failed(error: io::Error, path: &Path) -> Error {
    Error::from_io(error, "keep a part of a blob").with("path", path.display())
}

impl LocalStore {
    /// The path of what is kept of a blob, with an extension to come.
    pub(super) fn partial_path(&self, namespace: &str, digest: &Digest) -> PathBuf {
        self.home().join(FOLDER).join(space(namespace)).join(file_name(digest))
    }

    /// Opens the parts that are here of a blob, none at first.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn partial_blob(&self, namespace: &str, digest: &Digest) -> Result<PartialBlob> {
        let folder = self.home().join(FOLDER).join(space(namespace));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| failed(error, &folder))?;
        let path = self.partial_path(namespace, digest).with_extension("data");
        let map_path = path.with_extension("map");
        let open = || {
            let data = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            if data.metadata()?.len() != digest.size {
                data.set_len(digest.size)?;
            }
            // Its time says when it was used.
            let now = SystemTime::now();
            data.set_times(fs::FileTimes::new().set_accessed(now).set_modified(now))?;
            Ok(data)
        };
        let data = open().map_err(|error| failed(error, &path))?;
        let blob = PartialBlob { size: digest.size, data, map_path, extents: Mutex::default() };
        blob.refresh();
        Ok(blob)
    }

    /// Whether parts of a blob are here.
    #[must_use]
    pub fn has_partial_blob(&self, namespace: &str, digest: &Digest) -> bool {
        self.partial_path(namespace, digest).with_extension("data").exists()
    }

    /// All partial blobs of a namespace, or of all, the least recently used first.
    ///
    /// # Errors
    /// What the file system answers, and the index, which knows what is pinned.
    pub fn partial_blobs(&self, namespace: Option<&str>) -> Result<Vec<PartialEntry>> {
        let mut entries = Vec::new();
        match namespace {
            Some(namespace) => partials_in(&self.home().join(FOLDER).join(space(namespace)), &mut entries)?,
            None => {
                for folder in self.partial_spaces()? {
                    partials_in(&folder, &mut entries)?;
                }
            }
        }
        if entries.is_empty() {
            return Ok(entries);
        }
        let pins = self.index()?.pins(namespace)?.into_iter().filter(|pin| pin.kind == PinKind::Blob);
        let pinned: HashSet<(String, Vec<u8>)> = pins.map(|pin| (space(&pin.namespace), pin.key)).collect();
        for entry in &mut entries {
            let folder = entry.path.parent().and_then(Path::file_name).unwrap_or_default();
            let key = (folder.to_string_lossy().into_owned(), digest_bytes(&entry.digest).to_vec());
            entry.pinned = pinned.contains(&key);
        }
        entries.sort_by_key(|entry| entry.used);
        Ok(entries)
    }

    /// The folders of all namespaces.
    fn partial_spaces(&self) -> Result<Vec<PathBuf>> {
        let folder = self.home().join(FOLDER);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| failed(error, &folder))?,
        };
        Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect())
    }

    /// How many partial blobs there are, and what they take on the disk.
    pub(super) fn measure_partial_blobs(&self) -> Result<(u64, u64)> {
        let mut entries = Vec::new();
        for folder in self.partial_spaces()? {
            partials_in(&folder, &mut entries)?;
        }
        Ok((entries.len() as u64, entries.iter().map(|entry| entry.allocated).sum()))
    }

    /// Removes a partial blob. Who has it open reads on.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn remove_partial_blob(&self, entry: &PartialEntry) -> Result<()> {
        remove(&entry.path)
    }

    /// Removes the parts of a blob, if there are any.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn forget_partial_blob(&self, namespace: &str, digest: &Digest) -> Result<()> {
        remove(&self.partial_path(namespace, digest).with_extension("data"))
    }

    /// Removes what nobody opened for [`EXPIRES`] and nobody pinned.
    pub(super) fn expire_partial_blobs(&self, now: SystemTime) -> Result<()> {
        let is_old = |used: SystemTime| now.duration_since(used).is_ok_and(|age| age > EXPIRES);
        for entry in self.partial_blobs(None)? {
            if is_old(entry.used) && !entry.pinned {
                self.remove_partial_blob(&entry)?;
            }
        }
        for folder in self.partial_spaces()? {
            let entries = fs::read_dir(&folder).map_err(|error| failed(error, &folder))?;
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let used = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
                if path.extension().is_some_and(|one| one == REFUSED) && used.is_ok_and(is_old) {
                    let _ = fs::remove_file(&path);
                }
            }
        }
        Ok(())
    }
}

fn remove(data: &Path) -> Result<()> {
    // The map first: a map without data would tell of zeros.
    for path in [data.with_extension("map"), data.to_owned()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error, &path)),
            _ => {}
        }
    }
    Ok(())
}

fn partials_in(folder: &Path, found: &mut Vec<PartialEntry>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed(error, folder))?,
    };
    for entry in entries {
        let path = entry.map_err(|error| failed(error, folder))?.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let (Some(name), Some("data")) = (path.file_stem(), path.extension().and_then(|one| one.to_str()))
        else {
            continue;
        };
        let Some(digest) = digest_in(&name.to_string_lossy()) else { continue };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let map = fs::symlink_metadata(path.with_extension("map")).map_or(0, |map| map.blocks());
        let allocated = (metadata.blocks() + map) * 512;
        found.push(PartialEntry { digest, allocated, used, pinned: false, path });
    }
    Ok(())
}

impl PartialBlob {
    /// How large the whole blob is.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes are here.
    #[must_use]
    pub fn present(&self) -> u64 {
        let extents = self.extents.lock().unwrap_or_else(PoisonError::into_inner);
        extents.parts.iter().map(|part| part.end - part.start).sum()
    }

    /// Whether all of it is here, as far as was noted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.refresh();
        self.extents.lock().unwrap_or_else(PoisonError::into_inner).has(&(0..self.size))
    }

    /// These bytes, if all of them were written, here or by another process. To be verified.
    #[must_use]
    pub fn read(&self, range: Range<u64>) -> Option<Vec<u8>> {
        if range.end > self.size || range.start > range.end {
            return None;
        }
        let has = || self.extents.lock().unwrap_or_else(PoisonError::into_inner).has(&range);
        if !has() {
            self.refresh();
            if !has() {
                return None;
            }
        }
        let mut bytes = vec![0; usize::try_from(range.end - range.start).ok()?];
        self.data.read_exact_at(&mut bytes, range.start).ok()?;
        Some(bytes)
    }

    /// Keeps bytes that were verified.
    ///
    /// # Errors
    /// What the file system answers; what was there before stays.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let end = at.checked_add(bytes.len() as u64).filter(|end| *end <= self.size);
        let end = end.ok_or_else(|| failed(io::ErrorKind::InvalidInput.into(), &self.map_path))?;
        // Who keeps it warns of it, in one line.
        let failed = |error: io::Error| {
            let why = error.to_string();
            failed(error, &self.map_path).with_message(why)
        };
        self.data.write_all_at(bytes, at).map_err(failed)?;
        // Of one that was removed meanwhile, no map is made: it would tell of zeros to who comes next.
        let is_removed = self.data.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        let mut extents = self.extents.lock().unwrap_or_else(PoisonError::into_inner);
        extents.add(at..end);
        if is_removed {
            return Ok(());
        }
        let mut record = [0; RECORD];
        record[..8].copy_from_slice(&at.to_le_bytes());
        record[8..].copy_from_slice(&end.to_le_bytes());
        // Opened each time, some microseconds beside a span's bytes: one that another process replaced is never written to.
        let append = || {
            let mut map = File::options().append(true).create(true).mode(0o600).open(&self.map_path)?;
            map.write_all(&record)
        };
        append().map_err(failed)
    }

    /// These bytes proved to be wrong: they count as missing, for all.
    pub fn forget(&self, range: &Range<u64>) {
        let mut extents = self.extents.lock().unwrap_or_else(PoisonError::into_inner);
        extents.remove(range);
        if let Err(error) = self.rewrite(&extents.parts) {
            tracing::warn!(%error, "a map of a partial blob cannot be written");
        }
        extents.read = fs::metadata(&self.map_path).map_or(0, |metadata| metadata.len());
    }

    fn rewrite(&self, parts: &[Range<u64>]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(parts.len() * RECORD);
        for part in parts {
            bytes.extend_from_slice(&part.start.to_le_bytes());
            bytes.extend_from_slice(&part.end.to_le_bytes());
        }
        let new = self.map_path.with_extension(format!("new-{}", super::new_id()));
        let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, &self.map_path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Reads what was appended to the map since.
    fn refresh(&self) {
        let mut extents = self.extents.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(map) = File::open(&self.map_path) else { return };
        let length = map.metadata().map_or(0, |metadata| metadata.len());
        if length < extents.read {
            // Somebody wrote it anew, perhaps without what is wrong.
            *extents = Extents::default();
        }
        let fresh = usize::try_from(length - extents.read).unwrap_or(0) / RECORD * RECORD;
        if fresh == 0 || fresh > 64 * LONGEST_MAP {
            return;
        }
        let mut bytes = vec![0; fresh];
        if map.read_exact_at(&mut bytes, extents.read).is_err() {
            return;
        }
        for record in bytes.chunks_exact(RECORD) {
            let number = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
            let (start, end) = (number(0), number(8));
            if start <= end && end <= self.size {
                extents.add(start..end);
            }
        }
        extents.read += fresh as u64;
        if fresh > LONGEST_MAP {
            let _ = self.rewrite(&extents.parts);
            extents.read = fs::metadata(&self.map_path).map_or(0, |metadata| metadata.len());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::local::Options;
    use larder_core::DigestFunction;
    use proptest::prelude::*;

    fn store() -> (tempfile::TempDir, LocalStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(&folder.path().join("home"), Options::default()).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_written_is_read_also_by_others() {
        let (_folder, store) = store();
        let digest = DigestFunction::Sha256.digest(&[7; 10_000]);
        let one = store.partial_blob("default", &digest).unwrap();
        let other = store.partial_blob("default", &digest).unwrap();
        assert_eq!(one.read(0..1), None);
        one.write(100, &[7; 50]).unwrap();
        assert_eq!(other.read(100..150), Some(vec![7; 50]));
        assert_eq!(other.read(100..151), None);
        other.write(150, &[7; 10]).unwrap();
        assert_eq!(one.read(100..160), Some(vec![7; 60]));
        one.forget(&(120..130));
        assert_eq!(one.read(100..160), None);
        assert_eq!(store.partial_blob("default", &digest).unwrap().read(130..160), Some(vec![7; 30]));
        assert_eq!(store.partial_blob("another", &digest).unwrap().present(), 0);
        assert!(one.write(9_999, &[0; 2]).is_err());
        let listed = store.partial_blobs(Some("default")).unwrap();
        assert_eq!(listed.len(), 1);
        store.remove_partial_blob(&listed[0]).unwrap();
        other.write(200, &[7; 50]).unwrap();
        assert_eq!(other.read(200..250), Some(vec![7; 50]));
        assert_eq!(store.partial_blob("default", &digest).unwrap().present(), 0);
    }

    proptest! {
        #[test]
        fn extents_are_a_set(changes in proptest::collection::vec((any::<bool>(), 0u64..200, 0u64..60), 0..40)) {
            let mut extents = Extents::default();
            let mut model = [false; 300];
            for (adds, at, length) in changes {
                let range = at..at + length;
                if adds { extents.add(range.clone()) } else { extents.remove(&range) }
                model[usize::try_from(at).unwrap()..usize::try_from(at + length).unwrap()].fill(adds);
            }
            for at in 0..290u64 {
                for length in [1, 3, 10] {
                    let all = (at..at + length).all(|byte| model[usize::try_from(byte).unwrap()]);
                    prop_assert_eq!(extents.has(&(at..at + length)), all, "{}..{}", at, at + length);
                }
            }
        }
    }
}
