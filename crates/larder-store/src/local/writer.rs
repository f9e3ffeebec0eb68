//! Writing blobs: chunk, hash, look up, gather into frames, compress, append; then the rows.
//!
//! A [`Writer`] belongs to one thread and one namespace. What it took becomes visible at [`Writer::commit`], all of it
//! or (after an error) only blobs that are whole. Memory: one window (64 KiB and the largest chunk), one frame (128 KiB, twice when it is compressed) and
//! 88 bytes for each blob since the last commit, whatever the blobs' sizes.

use std::collections::HashMap;
use std::io::{self, Read};

use larder_core::chunk_list::{Builder, Root};
use larder_core::chunker::{ChunkStats, Chunker};
use larder_core::compress::{Compressor, has_compressed_magic};
use larder_core::{
    Chunk, ChunkerParams, Digest, DigestFunction, Error, ErrorKind, Format, Hash, Hasher, Result,
};

use super::blobs::log::RowWriter;
use super::blobs::row::BlobRow;
use super::by_hash::Hashes;
use super::gc_lock::GcLock;
use super::index::residency::Resident;
use super::pack::frame::{MAX_CHUNKS, TARGET};
use super::pack::open::PackWriter;
use super::{Durability, LocalStore, new_id, now_seconds};

/// What is read at once. Together with a frame and its compressed form it fits the second cache of common processors: reading into
/// memory that has left it costs several times as much.
const WINDOW: usize = 64 << 10;
/// A frame that has this much when a blob ends is closed, so that blobs of some size do not share frames.
const CLOSE_AT_BLOB_END: usize = 64 << 10;
/// Rows gathered at most before they are written.
const MAX_ROWS: usize = 4096;
/// A log of rows becomes a table when it reaches this.
const MAX_LOG_ROWS: u64 = 1 << 18;
/// A row younger than this is not renewed when its blob is written again.
const RENEW_AFTER: u32 = 600;

/// What outlives a single writer: open files and buffers. Kept by the store between writers.
#[derive(Default)]
pub(crate) struct Session {
    pack: Option<PackWriter>,
    logs: HashMap<String, RowWriter>,
    compressor: Option<Compressor>,
    window: Vec<u8>,
    frame: Frame,
    compressed: Vec<u8>,
    generation: Option<u64>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("pack", &self.pack).finish_non_exhaustive()
    }
}

impl Session {
    /// Seals what was written.
    pub(crate) fn close(self, sync: bool) -> io::Result<()> {
        if let Some(pack) = self.pack {
            pack.seal(sync)?;
        }
        self.logs.into_values().try_for_each(RowWriter::seal)
    }
}

/// Chunks that wait for their frame.
#[derive(Default)]
struct Frame {
    raw: Vec<u8>,
    chunks: Vec<(Hash, u32)>,
    pending: Hashes,
    stored_raw: bool,
}

impl Frame {
    fn clear(&mut self) {
        self.raw.clear();
        self.chunks.clear();
        self.pending.clear();
    }
}

/// Writes blobs into one namespace. See the module's header.
#[derive(Debug)]
pub struct Writer<'store> {
    store: &'store LocalStore,
    namespace: String,
    session: Option<Session>,
    rows: Vec<(Digest, BlobRow)>,
    cloned: Vec<([u8; 32], Resident)>,
    chunker: Chunker,
    params: ChunkerParams,
    stats: ChunkStats,
    _lock: GcLock,
}

fn store_error(error: io::Error) -> Error {
    Error::from_io(error, "write to the store")
}

impl<'store> Writer<'store> {
    pub(crate) fn new(store: &'store LocalStore, namespace: &str) -> Result<Self> {
        let lock = GcLock::shared(&store.home.join("gc.lock")).map_err(store_error)?;
        let generation = lock.generation().map_err(store_error)?;
        let mut session = store.take_session();
        if session.generation.is_some_and(|seen| seen != generation) {
            // GC can take nothing from files that are being written, so they end when it ran.
            let sync = store.options.durability == Durability::Fsync;
            std::mem::take(&mut session).close(sync).map_err(store_error)?;
        }
        session.generation = Some(generation);
        store.packs.ensure().map_err(store_error)?;
        store.refresh_for_writer(generation).map_err(store_error)?;
        store.rows(namespace).ensure().map_err(store_error)?;
        Ok(Self {
            store,
            namespace: namespace.to_owned(),
            session: Some(session),
            rows: Vec::new(),
            cloned: Vec::new(),
            chunker: Chunker::new(store.options.chunking),
            params: store.options.chunking,
            stats: ChunkStats::default(),
            _lock: lock,
        })
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("taken only by `commit` and `drop`, which end the writer")
    }

    /// Takes a blob that is in memory.
    ///
    /// # Errors
    /// As [`Writer::put_reader`].
    pub fn put_bytes(&mut self, blob: &[u8]) -> Result<Digest> {
        if blob.len() <= self.params.min() as usize {
            let digest = Digest::blake3(blob);
            if self.is_fresh(&digest) {
                return Ok(digest);
            }
        }
        self.put_reader(&mut io::Cursor::new(blob), DigestFunction::Blake3, &mut |_| {})
    }

    /// Takes a blob that claims to be `digest`; refuses it if it is not.
    ///
    /// # Errors
    /// `Invalid` if the content is another; else as [`Writer::put_reader`].
    pub fn put_verified(&mut self, digest: &Digest, source: &mut dyn Read) -> Result<()> {
        if self.is_fresh(digest) {
            return Ok(());
        }
        let rows = self.rows.len();
        let found = self.put_reader(source, digest.function, &mut |_| {})?;
        if found == *digest {
            return Ok(());
        }
        self.rows.truncate(rows);
        Err(Error::new(ErrorKind::Invalid, "write a blob")
            .with_message("the content is not what its digest says")
            .with("digest", digest)
            .with("found", found))
    }

    /// Takes a file from its start as one blob: cloned if the file systems can do that, else as any other content.
    ///
    /// # Errors
    /// As [`Writer::put_reader`].
    pub fn put_file(&mut self, file: &std::fs::File, observe: &mut dyn FnMut(&[u8])) -> Result<Digest> {
        let Some((digest, resident)) = self.store.take_whole(file, observe).map_err(store_error)? else {
            return self.put_reader(&mut &*file, DigestFunction::Blake3, observe);
        };
        self.stats.bytes += digest.size;
        self.stats.chunks += 1;
        self.cloned.push((digest.hash.0, resident));
        self.add_row(&digest, &Root::Whole(Chunk { hash: digest.hash, length: digest.size }))?;
        Ok(digest)
    }

    /// Takes a file from its start as the blob that it claims to be: cloned if the file systems can do that; refuses it if it is not.
    ///
    /// # Errors
    /// As [`Writer::put_verified`].
    pub fn put_file_verified(&mut self, digest: &Digest, file: &std::fs::File) -> Result<()> {
        if self.is_fresh(digest) {
            return Ok(());
        }
        let mut hasher = digest.function.hasher();
        let taken = self.store.take_whole(file, &mut |bytes| hasher.update(bytes)).map_err(store_error)?;
        let Some((cloned, resident)) = taken else { return self.put_verified(digest, &mut &*file) };
        if hasher.finish() != *digest {
            return Err(Error::new(ErrorKind::Invalid, "write a blob")
                .with_message("the content is not what its digest says")
                .with("digest", digest));
        }
        self.stats.bytes += cloned.size;
        self.stats.chunks += 1;
        self.cloned.push((cloned.hash.0, resident));
        self.add_row(digest, &Root::Whole(Chunk { hash: cloned.hash, length: cloned.size }))
    }

    /// Whether the blob is here, whole, with a row that is young enough to rely on.
    fn is_fresh(&self, digest: &Digest) -> bool {
        match self.store.rows(&self.namespace).find(digest) {
            Some((root, time)) => {
                now_seconds().saturating_sub(time) < RENEW_AFTER && self.store.is_whole(&root)
            }
            None => digest.size == 0 && *digest == Digest::empty(digest.function),
        }
    }

    /// Takes everything that `source` gives as one blob, and answers its digest. `observe` sees all bytes, in order, in
    /// pieces of any size.
    ///
    /// # Errors
    /// What `source` fails with; `Full`, `ReadOnly` and others when the store cannot be written to. After an error of the store
    /// nothing that was not committed is kept.
    pub fn put_reader(
        &mut self,
        source: &mut dyn Read,
        function: DigestFunction,
        observe: &mut dyn FnMut(&[u8]),
    ) -> Result<Digest> {
        let result = self.take_blob(source, function, observe);
        if result.is_err() {
            self.rows.clear();
            self.session().frame.clear();
        }
        let (digest, root) = result?;
        if let Some(root) = root {
            self.add_row(&digest, &root)?;
        }
        Ok(digest)
    }

    fn take_blob(
        &mut self,
        source: &mut dyn Read,
        function: DigestFunction,
        observe: &mut dyn FnMut(&[u8]),
    ) -> Result<(Digest, Option<Root>)> {
        let mut window = std::mem::take(&mut self.session().window);
        window.resize(WINDOW + self.params.max() as usize, 0);
        let mut blob = BlobState { whole: None, builder: Builder::new(self.params) };
        let (mut filled, mut ended, mut begun) = (0, false, false);
        while !ended {
            let kept = filled;
            while filled < window.len() && !ended {
                match source.read(&mut window[filled..]) {
                    Ok(0) => ended = true,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Error::from_io(error, "read the content of a blob")),
                }
            }
            observe(&window[kept..filled]);
            if !begun {
                begun = true;
                self.begin_blob(&window[..filled.min(64)])?;
            }
            // A blob that is one chunk is hashed once.
            let mut first = (ended && blob.whole.is_none()).then(|| self.chunker.cut(&window[..filled]));
            if first != Some(filled) || function != DigestFunction::Blake3 {
                blob.whole.get_or_insert_with(|| function.hasher()).update(&window[kept..filled]);
            }
            let mut at = 0;
            while filled - at >= self.params.max() as usize || (ended && at < filled) {
                let length = first.take().unwrap_or_else(|| self.chunker.cut(&window[at..filled]));
                self.add_chunk(&mut blob, &window[at..at + length])?;
                at += length;
            }
            window.copy_within(at..filled, 0);
            filled -= at;
        }
        self.session().window = window;
        let session = self.session.as_mut().expect("as in `session`");
        let root =
            blob.builder.finish(&mut |node: &[u8]| keep_chunk(self.store, session, &mut self.stats, node))?;
        let digest = match (blob.whole, root) {
            (Some(whole), _) => whole.finish(),
            (None, Some(Root::Chunk(chunk))) => Digest { function, hash: chunk.hash, size: chunk.length },
            (None, _) => Digest::empty(function),
        };
        if session.frame.raw.len() >= CLOSE_AT_BLOB_END {
            self.flush()?;
        }
        Ok((digest, root))
    }

    /// Content that is compressed already gets frames of its own.
    fn begin_blob(&mut self, head: &[u8]) -> Result<()> {
        let stored_raw = has_compressed_magic(head);
        if self.session().frame.stored_raw != stored_raw {
            self.flush()?;
            self.session().frame.stored_raw = stored_raw;
        }
        Ok(())
    }

    fn add_chunk(&mut self, blob: &mut BlobState, bytes: &[u8]) -> Result<()> {
        let session = self.session.as_mut().expect("as in `session`");
        let hash = keep_chunk(self.store, session, &mut self.stats, bytes)?;
        let chunk = Chunk { hash, length: bytes.len() as u64 };
        let (store, stats) = (self.store, &mut self.stats);
        blob.builder.push(chunk, &mut |node: &[u8]| keep_chunk(store, session, stats, node))
    }

    pub(super) fn store(&self) -> &'store LocalStore {
        self.store
    }

    /// Keeps a chunk that is no blob yet.
    pub(super) fn keep(&mut self, chunk: &[u8]) -> Result<Hash> {
        let session = self.session.as_mut().expect("as in `session`");
        keep_chunk(self.store, session, &mut self.stats, chunk)
    }

    /// Writes what waits for its frame, so that it can be read.
    ///
    /// # Errors
    /// `Full`, `ReadOnly` and others when the store cannot be written to.
    pub fn settle(&mut self) -> Result<()> {
        self.flush()
    }

    /// Cuts a file that is kept whole, and answers what it is rebuilt from then. No row is written.
    pub(super) fn cut_whole(&mut self, chunk: &Chunk) -> Result<Option<Root>> {
        let file = self.store.open_whole(chunk)?;
        let (digest, root) = self.take_blob(&mut &file, DigestFunction::Blake3, &mut |_| {})?;
        self.flush()?;
        Ok(root.filter(|_| digest.hash == chunk.hash))
    }

    pub(super) fn add_row(&mut self, digest: &Digest, root: &Root) -> Result<()> {
        if self.is_fresh(digest) {
            return Ok(());
        }
        self.rows.push((*digest, BlobRow::new(&self.namespace, digest, root, now_seconds())));
        if self.rows.len() >= MAX_ROWS { self.publish() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let session = self.session.as_mut().expect("as in `session`");
        flush_frame(self.store, session, &mut self.stats).map_err(store_error)
    }

    /// Writes the open frame, then the rows that need it.
    fn publish(&mut self) -> Result<()> {
        self.flush()?;
        if !self.cloned.is_empty() {
            let cloned = std::mem::take(&mut self.cloned);
            let files: Vec<_> = cloned.iter().map(|(key, resident)| (key.as_slice(), *resident)).collect();
            if let Err(error) = self.store.index().and_then(|index| index.set_residents(&files)) {
                tracing::debug!(%error, "could not note cloned files; they are hashed when they are read");
            }
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let sync = self.store.options.durability == Durability::Fsync;
        let set = self.store.rows(&self.namespace);
        let (namespace, full_name) = (self.namespace.clone(), self.namespace.clone());
        let tmp = self.store.home.join("tmp");
        let session = self.session();
        let write = |session: &mut Session| {
            if sync && let Some(pack) = &session.pack {
                pack.sync()?;
            }
            let log = match session.logs.entry(namespace) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    set.create_folder(&tmp)?;
                    let log = RowWriter::create(set.folder(), &tmp, &new_id())?;
                    set.add_log(log.log().clone());
                    entry.insert(log)
                }
            };
            log.append(&rows)?;
            if sync {
                log.sync()?
            }
            if log.rows() >= MAX_LOG_ROWS
                && let Some(full) = session.logs.remove(&full_name)
            {
                full.seal()?;
                set.refresh()?;
            }
            Ok(())
        };
        write(session).map_err(store_error)
    }

    /// Makes everything that was taken visible to everybody, and answers what was measured.
    ///
    /// # Errors
    /// When the store cannot be written to; then nothing since the last commit is visible.
    pub fn commit(mut self) -> Result<ChunkStats> {
        self.publish()?;
        Ok(self.stats)
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.frame.clear();
            self.store.give_session(session);
        }
    }
}

struct BlobState {
    whole: Option<Hasher>,
    builder: Builder,
}

/// Adds a chunk to the open frame unless it is known.
fn keep_chunk(
    store: &LocalStore,
    session: &mut Session,
    stats: &mut ChunkStats,
    bytes: &[u8],
) -> Result<Hash> {
    let hash = Hash::blake3(bytes);
    stats.chunks += 1;
    stats.bytes += bytes.len() as u64;
    if session.frame.pending.contains(&hash) || store.packs.has(&hash) {
        stats.known_chunks += 1;
        stats.known_bytes += bytes.len() as u64;
        return Ok(hash);
    }
    let frame = &mut session.frame;
    if !frame.raw.is_empty() && (frame.raw.len() + bytes.len() > TARGET || frame.chunks.len() == MAX_CHUNKS) {
        flush_frame(store, session, stats).map_err(store_error)?;
    }
    let frame = &mut session.frame;
    frame.raw.extend_from_slice(bytes);
    frame.chunks.push((hash, bytes.len() as u32));
    frame.pending.insert(hash);
    Ok(hash)
}

fn flush_frame(store: &LocalStore, session: &mut Session, stats: &mut ChunkStats) -> io::Result<()> {
    if session.frame.chunks.is_empty() {
        return Ok(());
    }
    if session.pack.as_ref().is_some_and(|pack| pack.pack().is_full())
        && let Some(pack) = session.pack.take()
    {
        pack.seal(store.options.durability == Durability::Fsync)?;
        store.packs.refresh()?;
    }
    if session.pack.is_none() {
        let pack = PackWriter::create(&store.home.join("packs"), &store.home.join("tmp"), &new_id())?;
        store.packs.add_open(pack.pack().clone());
        session.pack = Some(pack);
    }
    if session.compressor.is_none() {
        session.compressor = Some(Compressor::new(store.options.format, store.options.level)?);
    }
    let Session { pack: Some(pack), compressor: Some(compressor), frame, compressed, .. } = session else {
        unreachable!("both were set just above")
    };
    let format = if frame.stored_raw { Format::Raw } else { compressor.compress(&frame.raw, compressed)? };
    let stored = if format == Format::Raw { &frame.raw } else { compressed };
    let written = pack.append(format, &frame.chunks, stored, frame.raw.len() as u32);
    frame.clear();
    stats.stored_bytes += written?;
    Ok(())
}
