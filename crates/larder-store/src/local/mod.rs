//! The local backend: a folder that several processes use at once. See `docs/design/0001-store.md` for the layout.
//!
//! | file | what |
//! |---|---|
//! | [`home`] | the folder: made, recognised, judged |
//! | [`pack`], [`blobs`], [`table`] | chunks; blob rows; the sorted table under both |
//! | [`writer`], [`reader`] | blobs in, blobs out |
//! | [`backend`], [`uploads`] | the store behind the traits of [`crate::seam`] |
//! | [`index`] | SQLite: results, roots, pins, leases, access times |
//! | [`gc`], [`gc_lock`] | eviction, compaction; the lock between writers and deletion |
//! | [`merge`], [`verify`], [`stats`], [`keep`] | upkeep at the end of a run; proof and repair; figures; pins and leases |
//! | [`partial`], [`complete`] | blobs of which parts are here; what becomes of them when all are |
//! | [`view`], [`prove`] | when to look at the folder again; whether a frame holds what it says |
//! | [`transfer`] | chunks in frames, as they travel between stores |
//! | [`listing`], [`stale`] | folders in which others replace files; removal of what dead processes left |
//! | [`by_hash`] | maps whose keys are hashes |
//! | [`mapped`] | the crate's only `unsafe` |
//!
//! Everything here is synchronous and blocks for the time of disk access. `LocalStore` is shared between threads.
//! Invariant: a blob row is written only after every chunk that it needs; so what can be found can be read.

pub mod backend;
pub(crate) mod blobs;
mod by_hash;
pub mod complete;
pub mod gc;
mod gc_lock;
pub mod home;
pub mod index;
pub mod keep;
mod listing;
mod mapped;
pub mod merge;
pub(crate) mod pack;
pub mod partial;
mod prove;
mod reader;
mod stale;
pub mod stats;
mod table;
pub mod transfer;
pub mod uploads;
pub mod verify;
mod view;
mod whole;
pub mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use larder_core::chunk_list::Root;
use larder_core::{ChunkerParams, Digest, Error, ErrorKind, Format, Result};

use blobs::set::RowSet;
use home::Home;
use index::{Index, Recovered};
use pack::set::PackSet;
use reader::Reader;
use writer::Session;
pub use writer::Writer;

/// Whether what is acknowledged must survive a loss of power, or only the death of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// Survives the death of any process: enough for what can be made again.
    #[default]
    Relaxed,
    /// Survives a loss of power.
    Fsync,
}

/// What is written to a file at once.
const WRITE_SIZE: usize = 256 << 10;

/// How a local store is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where blobs are cut.
    pub chunking: ChunkerParams,
    /// How frames are compressed.
    pub format: Format,
    /// At which level; 0 stores raw.
    pub level: i32,
    /// What acknowledgement means.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chunking: ChunkerParams::STORE,
            format: Format::Zstd,
            level: 1,
            durability: Durability::Relaxed,
        }
    }
}

/// A store in a local folder.
#[derive(Debug)]
pub struct LocalStore {
    home: Home,
    options: Options,
    packs: PackSet,
    namespaces: RwLock<HashMap<String, Arc<RowSet>>>,
    sessions: Mutex<Vec<Session>>,
    readers: Mutex<Vec<Reader>>,
    index: Mutex<Option<Arc<Index>>>,
    recovered: Mutex<Option<Recovered>>,
    /// The count of deletions that the view was taken at: by a writer, under the lock; and by a reader, without.
    writer_view: Mutex<Option<u64>>,
    reader_view: AtomicU64,
    deletions: gc_lock::Deletions,
    gc_lock_path: PathBuf,
    cloning: whole::Cloning,
    expected: whole::Expected,
}

/// A poisoned lock is used on: what it guards is only ever replaced whole.
pub(crate) fn poison<T>(error: PoisonError<T>) -> T {
    error.into_inner()
}

fn not_found(digest: &Digest) -> Error {
    Error::new(ErrorKind::NotFound, "read a blob").with("digest", digest)
}

/// An id that sorts by time and that no other process or thread makes.
pub(crate) fn new_id() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let random = RandomState::new().hash_one((now.as_nanos(), std::process::id()));
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{:012x}{count:04x}{random:016x}", now.as_millis())
}

/// Seconds since the epoch, as blob rows have it.
pub(crate) fn now_seconds() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// The folder name of a namespace: itself if that is harmless, else a hash.
fn namespace_folder(namespace: &str) -> String {
    let harmless = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !namespace.is_empty() && namespace.len() <= 64 && namespace.chars().all(harmless) {
        namespace.to_owned()
    } else {
        format!("+{}", &larder_core::Hash::blake3(namespace.as_bytes()).to_hex()[..32])
    }
}

impl LocalStore {
    /// Opens the store in `path`, or makes it. Cheap: packs are looked at when they are first needed.
    ///
    /// # Errors
    /// As [`Home::open`].
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let home = Home::open(path)?;
        let packs = PackSet::new(home.join("packs"), home.join("quarantine"));
        let gc_lock_path = home.join("gc.lock");
        Ok(Self {
            home,
            options,
            packs,
            namespaces: RwLock::default(),
            sessions: Mutex::default(),
            readers: Mutex::default(),
            index: Mutex::default(),
            recovered: Mutex::default(),
            writer_view: Mutex::default(),
            reader_view: AtomicU64::new(0),
            deletions: gc_lock::Deletions::default(),
            gc_lock_path,
            cloning: whole::Cloning::default(),
            expected: whole::Expected::default(),
        })
    }

    /// The store's folder.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn rows(&self, namespace: &str) -> Arc<RowSet> {
        if let Some(set) = self.namespaces.read().unwrap_or_else(poison).get(namespace) {
            return set.clone();
        }
        let mut namespaces = self.namespaces.write().unwrap_or_else(poison);
        let folder = self.home.join("blobs").join(namespace_folder(namespace));
        namespaces
            .entry(namespace.to_owned())
            .or_insert_with(|| Arc::new(RowSet::new(namespace, folder)))
            .clone()
    }

    fn take_session(&self) -> Session {
        self.sessions.lock().unwrap_or_else(poison).pop().unwrap_or_default()
    }

    fn give_session(&self, session: Session) {
        self.sessions.lock().unwrap_or_else(poison).push(session);
    }

    /// A writer into `namespace`. Each thread has its own; idle ones are reused.
    ///
    /// # Errors
    /// When the store cannot be read or locked.
    pub fn writer(&self, namespace: &str) -> Result<Writer<'_>> {
        Writer::new(self, namespace)
    }

    /// Writes one blob and commits it.
    ///
    /// # Errors
    /// As [`Writer::put_reader`].
    pub fn put(&self, namespace: &str, blob: &[u8]) -> Result<Digest> {
        let mut writer = self.writer(namespace)?;
        let digest = writer.put_bytes(blob)?;
        writer.commit()?;
        Ok(digest)
    }

    /// Finds what a blob is rebuilt from, looking again at what other processes wrote if it is not known.
    fn find(&self, namespace: &str, digest: &Digest) -> Result<Option<Root>> {
        let io_error = |error: io::Error| Error::from_io(error, "look up a blob");
        let rows = self.rows(namespace);
        rows.ensure().and_then(|()| self.packs.ensure()).map_err(io_error)?;
        self.notice_deletions().map_err(io_error)?;
        if let Some((root, _)) = rows.find(digest) {
            return Ok(Some(root));
        }
        rows.refresh().and_then(|()| self.packs.refresh()).map_err(io_error)?;
        Ok(rows.find(digest).map(|(root, _)| root))
    }

    /// Whether everything that the blob is rebuilt from is here. Rows are written after chunks and GC keeps what rows
    /// need, so the chunks of a list are looked for only when the store is known to have lost some.
    pub(crate) fn is_whole(&self, root: &Root) -> bool {
        match root {
            Root::Chunk(chunk) => self.packs.has(&chunk.hash),
            Root::Whole(chunk) => self.has_whole(chunk),
            Root::List(chunk) if !self.packs.is_suspect() => self.packs.has(&chunk.hash),
            Root::List(_) => {
                let mut all = true;
                let visited = self.with_reader(|reader| {
                    reader.visit(&self.packs, root, &mut |chunk| all &= self.packs.has(&chunk.hash))
                });
                all && visited.is_ok()
            }
        }
    }

    /// Which of `digests` are not here, in their order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find_missing(&self, namespace: &str, digests: &[Digest]) -> Result<Vec<Digest>> {
        let io_error = |error: io::Error| Error::from_io(error, "look up blobs");
        let rows = self.rows(namespace);
        rows.ensure().and_then(|()| self.packs.ensure()).map_err(io_error)?;
        self.notice_deletions().map_err(io_error)?;
        let absent = |digest: &&Digest| {
            let here = rows.find(digest).is_some_and(|(root, _)| self.is_whole(&root));
            !here && **digest != Digest::empty(digest.function)
        };
        let missing: Vec<Digest> = digests.iter().filter(absent).copied().collect();
        if missing.is_empty() {
            return Ok(missing);
        }
        rows.refresh().and_then(|()| self.packs.refresh()).map_err(io_error)?;
        Ok(missing.iter().filter(absent).copied().collect())
    }

    /// Passes the bytes `range` of a blob to `sink`, in order, each piece verified before it is passed on.
    ///
    /// # Errors
    /// `NotFound` if the namespace does not have the blob, `Corrupt` if a chunk of it is gone or wrong (the blob is a
    /// miss from then on), `Invalid` if the range ends beyond the blob, and what `sink` fails with.
    pub fn read(
        &self,
        namespace: &str,
        digest: &Digest,
        range: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if range.start > range.end || range.end > digest.size {
            return Err(Error::new(ErrorKind::Invalid, "read a blob")
                .with_message("the range ends beyond the blob")
                .with("digest", digest));
        }
        if digest.size == 0 && *digest == Digest::empty(digest.function) {
            return Ok(());
        }
        let root = self.find(namespace, digest)?.ok_or_else(|| not_found(digest))?;
        if let Root::Whole(chunk) = &root {
            return self.read_whole(chunk, range, sink);
        }
        self.with_reader(|reader| self.read_chunks(reader, namespace, digest, root, range, sink))
    }

    /// Calls `work` with a reader that no other thread has; readers keep their buffers.
    fn with_reader<T>(&self, work: impl FnOnce(&mut Reader) -> T) -> T {
        let mut reader = self.readers.lock().unwrap_or_else(poison).pop().unwrap_or_default();
        let result = work(&mut reader);
        self.readers.lock().unwrap_or_else(poison).push(reader);
        result
    }

    fn read_chunks(
        &self,
        reader: &mut Reader,
        namespace: &str,
        digest: &Digest,
        mut root: Root,
        range: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut passed = 0;
        let mut counted = |piece: &[u8]| {
            passed += piece.len() as u64;
            sink(piece)
        };
        let mut result = reader.blob(&self.packs, &root, range.clone(), &mut counted);
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound)
            && self.refresh_all().is_ok()
            && let Some((found, _)) = self.rows(namespace).find(digest)
        {
            // The chunk may be in a pack that was made after the view was taken, as a compacted copy is.
            root = found;
            let rest = range.start + passed..range.end;
            result = reader.blob(&self.packs, &root, rest, &mut |piece| sink(piece));
        }
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
            // Finds all that is bad of it now, so that writing the blob again mends it.
            reader.prove(&self.packs, &root);
        }
        result.map_err(|error| {
            if error.kind() == ErrorKind::NotFound { not_found(digest).caused_by(error) } else { error }
        })
    }

    /// The whole blob in memory; for blobs that are known to be small (messages, logs).
    ///
    /// # Errors
    /// As [`LocalStore::read`]; `Invalid` if the blob is larger than `limit` bytes.
    pub fn get(&self, namespace: &str, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        if digest.size > limit {
            return Err(Error::new(ErrorKind::Invalid, "read a blob")
                .with_message(format!("larger than {limit} bytes"))
                .with("digest", digest));
        }
        let mut out = Vec::with_capacity(digest.size as usize);
        self.read(namespace, digest, 0..digest.size, &mut |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    }

    /// Announces blobs for [`LocalStore::write_to`]: what must be looked up for them is then looked up at once. Nothing
    /// else depends on it.
    pub fn expect(&self, digests: &[Digest]) {
        self.expect_whole(digests);
    }

    /// Writes the whole blob to `file`, which is empty and open for writing.
    ///
    /// # Errors
    /// As [`LocalStore::read`], and what the file system answers. `file` may then hold a part of the blob.
    pub fn write_to(&self, namespace: &str, digest: &Digest, mut file: &File) -> Result<()> {
        if digest.size == 0 && *digest == Digest::empty(digest.function) {
            return Ok(());
        }
        let root = match self.find(namespace, digest)?.ok_or_else(|| not_found(digest))? {
            Root::Whole(chunk) => return self.give_whole(&chunk, file),
            root => root,
        };
        let io_error = |error| Error::from_io(error, "write a file");
        self.with_reader(|reader| {
            // A write of its own for each chunk would cost more than gathering them.
            let mut gathered = std::mem::take(&mut reader.gathered);
            gathered.clear();
            let read = self.read_chunks(reader, namespace, digest, root, 0..digest.size, &mut |piece| {
                if gathered.len() + piece.len() > WRITE_SIZE {
                    file.write_all(&gathered).map_err(io_error)?;
                    gathered.clear();
                }
                gathered.extend_from_slice(piece);
                Ok(())
            });
            let written = read.and_then(|()| file.write_all(&gathered).map_err(io_error));
            reader.gathered = gathered;
            written
        })
    }

    /// Seals what this process wrote, and what dead processes left. Called by `drop`; call it to see errors.
    ///
    /// # Errors
    /// When the store cannot be written to; nothing is lost then, the next process does it.
    pub fn flush(&self) -> Result<()> {
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(poison));
        let sync = self.options.durability == Durability::Fsync;
        let seal = || {
            sessions.into_iter().try_for_each(|session| session.close(sync))?;
            self.packs.seal_abandoned()
        };
        seal().map_err(|error| Error::from_io(error, "seal packs"))
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        let wrote = !self.sessions.lock().unwrap_or_else(poison).is_empty();
        if wrote && let Err(error) = self.flush() {
            tracing::debug!(%error, "could not seal packs; the next process will");
        }
    }
}
