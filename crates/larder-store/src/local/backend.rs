//! The local store behind the seam, bound to a namespace.
//!
//! Everything is synchronous inside: a call blocks its thread for the time of disk access, and no future waits for
//! anything but the sources it was given. Streams read [`PIECE`] bytes at a time.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use larder_core::chunk_list::{MAX_LEVELS, Root};
use larder_core::{Chunk, Digest, DigestFunction, Error, ErrorKind, Result};

use super::index::NewResult;
use super::uploads;
use super::{LocalStore, now_seconds, poison};
use crate::seam::{
    ActionCache, BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Condition, Entry, Info, Lease,
    Leases, NewEntry, Origin, Outcome, Pieces, Upload, Written, check_range, not_found,
};
use crate::trust::Place;

/// How much a stream reads at a time.
pub const PIECE: u64 = 1 << 20;

/// Chunks of a page of a chunk list.
const PAGE: usize = 4096;

/// The largest blob that `read_many` gives.
const SMALL: u64 = 16 << 20;

/// A [`LocalStore`] bound to one namespace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalBackend {
    store: Arc<LocalStore>,
    namespace: Arc<str>,
}

impl LocalBackend {
    /// The store as `namespace` sees it.
    #[must_use]
    pub fn new(store: Arc<LocalStore>, namespace: &str) -> Self {
        Self { store, namespace: namespace.into() }
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &Arc<LocalStore> {
        &self.store
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Writes one blob that `open` gives, which is not called when the blob is present.
    pub(super) fn write_from(
        &self,
        digest: &Digest,
        open: &mut dyn FnMut() -> Result<Box<dyn Read + Send>>,
    ) -> Result<Written> {
        let mut source =
            Counting { open, reader: None, left: digest.size.saturating_add(1), moved: 0, failed: None };
        let mut writer = self.store.writer(&self.namespace)?;
        let put = writer.put_verified(digest, &mut source);
        if let Some(error) = source.failed {
            return Err(error);
        }
        put?;
        let moved = source.moved;
        writer.commit()?;
        Ok(Written { moved })
    }

    fn page(&self, digest: &Digest, root: &Root, offset: u64) -> Result<Option<ChunkPage>> {
        let params = self.store.options.chunking;
        match root {
            // A whole file travels as one chunk until something asks for smaller ones.
            Root::Chunk(chunk) | Root::Whole(chunk) => {
                Ok(Some(ChunkPage { params, offset: 0, chunks: vec![*chunk], next: None }))
            }
            Root::List(entry) => {
                let mut page = ChunkPage { params, offset, chunks: Vec::new(), next: None };
                self.collect(entry, MAX_LEVELS as u8, 0, offset, &mut page)?;
                let end = page.offset + page.chunks.iter().map(|chunk| chunk.length).sum::<u64>();
                page.next = (end < digest.size).then_some(end);
                Ok(Some(page))
            }
        }
    }

    /// Adds the chunks below `entry` that end after `offset`, until the page is full.
    fn collect(
        &self,
        entry: &Chunk,
        above: u8,
        mut at: u64,
        offset: u64,
        page: &mut ChunkPage,
    ) -> Result<()> {
        let mut reader = self.store.readers.lock().unwrap_or_else(poison).pop().unwrap_or_default();
        let node = reader.read_node(&self.store.packs, entry, above);
        self.store.readers.lock().unwrap_or_else(poison).push(reader);
        let node = node?;
        page.params = node.params;
        for child in &node.entries {
            let end = at + child.length;
            if page.chunks.len() == PAGE {
                return Ok(());
            }
            if end > offset {
                if node.level > 0 {
                    self.collect(child, node.level, at, offset, page)?;
                } else {
                    if page.chunks.is_empty() {
                        page.offset = at;
                    }
                    page.chunks.push(*child);
                }
            }
            at = end;
        }
        Ok(())
    }

    /// The bytes of a chunk that some namespace brought.
    fn known_chunk(&self, chunk: &Chunk) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = self.store.readers.lock().unwrap_or_else(poison).pop().unwrap_or_default();
        let read = reader.chunk(&self.store.packs, &chunk.hash, false, &mut bytes);
        self.store.readers.lock().unwrap_or_else(poison).push(reader);
        (read.is_ok() && bytes.len() as u64 == chunk.length).then_some(bytes)
    }
}

/// A source that is opened at the first read, cut, and counted.
struct Counting<'a> {
    open: &'a mut dyn FnMut() -> Result<Box<dyn Read + Send>>,
    reader: Option<Box<dyn Read + Send>>,
    left: u64,
    moved: u64,
    failed: Option<Error>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reader.is_none() {
            match (self.open)() {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::Error::other("the source could not be opened"));
                }
            }
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.as_mut().map_or(Ok(0), |reader| reader.read(&mut buffer[..most]))?;
        self.left -= count as u64;
        self.moved += count as u64;
        Ok(count)
    }
}

#[async_trait]
impl BlobStore for LocalBackend {
    fn info(&self) -> Info {
        Info { name: "local".to_owned(), namespace: self.namespace.as_ref().to_owned() }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { remote: false, chunked: true, ranges: true, batch: usize::MAX, small: SMALL }
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.store.find_missing(&self.namespace, digests)
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        check_range(digest, &range)?;
        if !self.store.find_missing(&self.namespace, &[*digest])?.is_empty() {
            return Err(not_found(digest));
        }
        let (backend, digest) = (self.clone(), *digest);
        Ok(stream::unfold(range, move |mut rest| {
            let backend = backend.clone();
            async move {
                if rest.is_empty() {
                    return None;
                }
                let end = rest.end.min(rest.start.saturating_add(PIECE));
                let mut piece = Vec::with_capacity((end - rest.start) as usize);
                let read = backend.store.read(&backend.namespace, &digest, rest.start..end, &mut |bytes| {
                    piece.extend_from_slice(bytes);
                    Ok(())
                });
                match read {
                    Ok(()) if piece.len() as u64 == end - rest.start => {
                        rest.start = end;
                        Some((Ok(Bytes::from(piece)), rest))
                    }
                    Ok(()) => Some((Err(crate::seam::corrupt(&digest)), 0..0)),
                    Err(error) => Some((Err(error), 0..0)),
                }
            }
        })
        .boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        let get = |digest| self.store.get(&self.namespace, digest, SMALL).map(Bytes::from);
        Ok(digests.iter().map(get).collect())
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        Ok(blobs.iter().map(|(digest, source)| self.write_from(digest, &mut || source.open())).collect())
    }

    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>> {
        check_range(digest, &(offset..digest.size))?;
        if *digest == Digest::empty(digest.function) {
            let params = self.store.options.chunking;
            return Ok(Some(ChunkPage { params, offset: 0, chunks: Vec::new(), next: None }));
        }
        let root = self.store.find(&self.namespace, digest)?.ok_or_else(|| not_found(digest))?;
        self.page(digest, &root, offset)
    }

    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written> {
        if self.store.find_missing(&self.namespace, &[*digest])?.is_empty() {
            return Ok(Written { moved: 0 });
        }
        // What is lacking comes first, as blobs of their own: a source is awaited, and a writer must not wait for it.
        let mut moved = 0;
        for chunk in chunks {
            if self.known_chunk(chunk).is_some() {
                continue;
            }
            let bytes = source.chunk(chunk).await?;
            let name = Digest { function: DigestFunction::Blake3, hash: chunk.hash, size: chunk.length };
            let mut open = || Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read + Send>);
            moved += self.write_from(&name, &mut open)?.moved;
        }
        let backend = self.clone();
        let list: Arc<[Chunk]> = chunks.into();
        let mut open = || {
            let (backend, list) = (backend.clone(), list.clone());
            Ok(Box::new(Joined { backend, list, next: 0, piece: io::Cursor::default() })
                as Box<dyn Read + Send>)
        };
        self.write_from(digest, &mut open)?;
        Ok(Written { moved })
    }

    async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        uploads::begin(self)
    }

    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>> {
        uploads::resume(self, id)
    }
}

/// Reads chunks of the store one after the other.
struct Joined {
    backend: LocalBackend,
    list: Arc<[Chunk]>,
    next: usize,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            let Some(chunk) = self.list.get(self.next).filter(|_| count == 0 && !buffer.is_empty()) else {
                return Ok(count);
            };
            self.next += 1;
            let bytes = match self.backend.known_chunk(chunk) {
                Some(bytes) => bytes,
                None => {
                    // It may have been cut again when it was stored, and is a blob of its own then.
                    let name =
                        Digest { function: DigestFunction::Blake3, hash: chunk.hash, size: chunk.length };
                    let store = &self.backend.store;
                    store.get(&self.backend.namespace, &name, SMALL).map_err(io::Error::other)?
                }
            };
            self.piece = io::Cursor::new(bytes);
        }
    }
}

#[async_trait]
impl ActionCache for LocalBackend {
    fn info(&self) -> Info {
        BlobStore::info(self)
    }

    async fn get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>> {
        let rows = self.store.index()?.get_results(&self.namespace, keys)?;
        let entry = |row: super::index::ResultRow| Entry {
            payload: row.payload.into(),
            place: match row.origin {
                Origin::Built => Place::Built,
                Origin::Promoted => Place::Promoted,
            },
        };
        Ok(rows.into_iter().map(|row| row.map(entry)).collect())
    }

    async fn put(&self, entries: &[NewEntry], condition: Condition) -> Result<Vec<Outcome>> {
        let rows = entries.iter().map(|entry| NewResult {
            namespace: &self.namespace,
            key: &entry.key,
            payload: &entry.payload,
            origin: entry.origin,
        });
        let rows: Vec<NewResult<'_>> = rows.collect();
        self.store.index()?.put_results(&rows, condition, u64::from(now_seconds()))
    }

    async fn remove(&self, keys: &[&[u8]]) -> Result<usize> {
        self.store.index()?.delete_results(&self.namespace, keys)
    }
}

#[derive(Debug)]
struct LocalLease {
    index: Arc<super::index::Index>,
    id: super::index::LeaseId,
}

#[async_trait]
impl Leases for LocalBackend {
    async fn lease(&self, digests: &[Digest], seconds: u64) -> Result<Box<dyn Lease>> {
        let index = self.store.index()?;
        let keys: Vec<[u8; 40]> = digests.iter().map(crate::envelope::digest_bytes).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let until = u64::from(now_seconds()).saturating_add(seconds);
        let id = index.lease(&self.namespace, Some(&keys), until)?;
        Ok(Box::new(LocalLease { index, id }))
    }
}

#[async_trait]
impl Lease for LocalLease {
    async fn renew(&mut self, seconds: u64) -> Result<bool> {
        self.index.renew_lease(self.id, u64::from(now_seconds()).saturating_add(seconds))
    }

    async fn release(self: Box<Self>) -> Result<()> {
        self.index.release_lease(self.id)
    }
}

/// An error of an upload's id.
pub(super) fn bad_id(id: &str) -> Error {
    Error::new(ErrorKind::Invalid, "resume an upload")
        .with_message("this cannot be the id of an upload")
        .with("upload", id.chars().take(80).collect::<String>())
}
