//! A backend in memory, for tests and for embedding: the contract with nothing else.
//!
//! [`MemoryStore`] holds the content of all namespaces, [`MemoryStore::backend`] is one of them. Blobs are kept whole.
//! Every write is verified, every read gives what was verified. Uploads are bounded in number; nothing expires by
//! itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use larder_core::{Chunk, Digest, Error, ErrorKind, Result};

use crate::local::{new_id, now_seconds, poison};
use crate::seam::{
    ActionCache, BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Condition, Entry, Info, Lease,
    Leases, NewEntry, Origin, Outcome, Pieces, Sweep, Swept, Upload, Written, check_range, not_found,
    payload_hash, wrong_content, wrong_offset,
};
use crate::trust::Place;

const MOST_UPLOADS: usize = 1024;
const PIECE: usize = 256 << 10;

/// The content of all namespaces. Cheap to clone; clones are one.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    namespaces: HashMap<String, Space>,
}

#[derive(Debug, Default)]
struct Space {
    blobs: BTreeMap<Digest, (Bytes, u64)>,
    entries: HashMap<Vec<u8>, (Bytes, Origin)>,
    /// Nothing while somebody holds the upload.
    uploads: HashMap<String, Option<Vec<u8>>>,
    leases: HashMap<String, (HashSet<Digest>, u64)>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The store as `namespace` sees it.
    #[must_use]
    pub fn backend(&self, namespace: &str) -> MemoryBackend {
        MemoryBackend { store: self.clone(), namespace: namespace.to_owned() }
    }
}

/// A [`MemoryStore`] bound to one namespace.
#[derive(Clone, Debug)]
pub struct MemoryBackend {
    store: MemoryStore,
    namespace: String,
}

struct Guard<'a> {
    state: MutexGuard<'a, State>,
    namespace: &'a str,
}

impl Guard<'_> {
    fn space(&mut self) -> &mut Space {
        self.state.namespaces.entry(self.namespace.to_owned()).or_default()
    }
}

impl Space {
    fn blob(&self, digest: &Digest) -> Option<Bytes> {
        if *digest == Digest::empty(digest.function) {
            return Some(Bytes::new());
        }
        self.blobs.get(digest).map(|(bytes, _)| bytes.clone())
    }

    fn add(&mut self, digest: Digest, bytes: Bytes) {
        self.blobs.insert(digest, (bytes, u64::from(now_seconds())));
    }
}

impl MemoryBackend {
    fn lock(&self) -> Guard<'_> {
        Guard { state: self.store.state.lock().unwrap_or_else(poison), namespace: &self.namespace }
    }

    fn write(&self, digest: &Digest, source: &BlobSource) -> Result<Written> {
        if self.lock().space().blob(digest).is_some() {
            return Ok(Written { moved: 0 });
        }
        let mut bytes = Vec::new();
        source
            .open()?
            .take(digest.size.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::from_io(error, "read the content of a blob"))?;
        self.keep(digest, bytes.into())
    }

    fn keep(&self, digest: &Digest, bytes: Bytes) -> Result<Written> {
        let found = digest.function.digest(&bytes);
        if found != *digest {
            return Err(wrong_content(digest, &found));
        }
        let moved = bytes.len() as u64;
        let mut guard = self.lock();
        if guard.space().blob(digest).is_some() {
            return Ok(Written { moved: 0 });
        }
        guard.space().add(*digest, bytes);
        Ok(Written { moved })
    }

    fn upload(&self, id: String, taken: Vec<u8>) -> Box<dyn Upload> {
        Box::new(MemoryUpload { backend: self.clone(), id, taken: Some(taken) })
    }
}

#[async_trait]
impl BlobStore for MemoryBackend {
    fn info(&self) -> Info {
        Info { name: "memory".to_owned(), namespace: self.namespace.clone() }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { remote: false, chunked: false, ranges: true, batch: usize::MAX, small: u64::MAX }
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let mut guard = self.lock();
        let space = guard.space();
        Ok(digests.iter().filter(|digest| space.blob(digest).is_none()).copied().collect())
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        check_range(digest, &range)?;
        let blob = self.lock().space().blob(digest).ok_or_else(|| not_found(digest))?;
        let slice = blob.slice(range.start as usize..range.end as usize);
        Ok(stream::unfold(slice, |mut rest| async move {
            if rest.is_empty() {
                return None;
            }
            let piece = rest.split_to(rest.len().min(PIECE));
            Some((Ok(piece), rest))
        })
        .boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        let mut guard = self.lock();
        let space = guard.space();
        Ok(digests.iter().map(|digest| space.blob(digest).ok_or_else(|| not_found(digest))).collect())
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        Ok(blobs.iter().map(|(digest, source)| self.write(digest, source)).collect())
    }

    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>> {
        check_range(digest, &(offset..digest.size))?;
        self.lock().space().blob(digest).map(|_| None).ok_or_else(|| not_found(digest))
    }

    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written> {
        if self.lock().space().blob(digest).is_some() {
            return Ok(Written { moved: 0 });
        }
        let mut bytes = Vec::new();
        for chunk in chunks {
            bytes.extend_from_slice(&source.chunk(chunk).await?);
            if bytes.len() as u64 > digest.size {
                break;
            }
        }
        self.keep(digest, bytes.into())
    }

    async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        let id = new_id();
        let mut guard = self.lock();
        let space = guard.space();
        if space.uploads.len() >= MOST_UPLOADS {
            return Err(Error::new(ErrorKind::Full, "begin an upload").with_message("too many are open"));
        }
        space.uploads.insert(id.clone(), None);
        drop(guard);
        Ok(self.upload(id, Vec::new()))
    }

    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>> {
        let mut guard = self.lock();
        let taken = match guard.space().uploads.get_mut(id) {
            Some(waiting) => waiting
                .take()
                .ok_or_else(|| Error::new(ErrorKind::Busy, "resume an upload").with("upload", id))?,
            None => return Err(Error::new(ErrorKind::NotFound, "resume an upload").with("upload", id)),
        };
        drop(guard);
        Ok(self.upload(id.to_owned(), taken))
    }
}

#[derive(Debug)]
struct MemoryUpload {
    backend: MemoryBackend,
    id: String,
    /// Nothing once it is committed or aborted.
    taken: Option<Vec<u8>>,
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        let mut guard = self.backend.lock();
        match self.taken.take() {
            Some(taken) => guard.space().uploads.insert(self.id.clone(), Some(taken)),
            None => guard.space().uploads.remove(&self.id).flatten().map(Some),
        };
    }
}

#[async_trait]
impl Upload for MemoryUpload {
    fn id(&self) -> &str {
        &self.id
    }

    fn offset(&self) -> u64 {
        self.taken.as_ref().map_or(0, |taken| taken.len() as u64)
    }

    async fn append(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        if offset != self.offset() {
            return Err(wrong_offset(self.offset(), offset));
        }
        self.taken.get_or_insert_default().extend_from_slice(&bytes);
        Ok(())
    }

    async fn commit(mut self: Box<Self>, digest: &Digest) -> Result<Written> {
        let taken = self.taken.take().unwrap_or_default();
        self.backend.keep(digest, taken.into())
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.taken = None;
        Ok(())
    }
}

#[async_trait]
impl ActionCache for MemoryBackend {
    fn info(&self) -> Info {
        BlobStore::info(self)
    }

    async fn get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>> {
        let mut guard = self.lock();
        let space = guard.space();
        let entry = |(payload, origin): &(Bytes, Origin)| Entry {
            payload: payload.clone(),
            place: match origin {
                Origin::Built => Place::Built,
                Origin::Promoted => Place::Promoted,
            },
        };
        Ok(keys.iter().map(|key| space.entries.get(*key).map(entry)).collect())
    }

    async fn put(&self, entries: &[NewEntry], condition: Condition) -> Result<Vec<Outcome>> {
        let mut guard = self.lock();
        let space = guard.space();
        let put = |new: &NewEntry| {
            let present = space.entries.get(&new.key);
            let allowed = match condition {
                Condition::Always => true,
                Condition::CreateOnly => present.is_none(),
                Condition::ReplaceIf(hash) => {
                    present.is_some_and(|(payload, _)| payload_hash(payload) == hash)
                }
            };
            if !allowed {
                return Outcome::Refused;
            }
            let row = (new.payload.clone(), new.origin);
            match present {
                Some(present) if *present == row => Outcome::Unchanged,
                _ => match space.entries.insert(new.key.clone(), row) {
                    Some(_) => Outcome::Replaced,
                    None => Outcome::Created,
                },
            }
        };
        Ok(entries.iter().map(put).collect())
    }

    async fn remove(&self, keys: &[&[u8]]) -> Result<usize> {
        let mut guard = self.lock();
        let space = guard.space();
        Ok(keys.iter().filter(|key| space.entries.remove(**key).is_some()).count())
    }
}

#[async_trait]
impl Sweep for MemoryBackend {
    async fn list(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<Swept>> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(*after));
        let mut guard = self.lock();
        let blobs = guard.space().blobs.range((from, Bound::Unbounded));
        Ok(blobs.take(limit).map(|(digest, (_, time))| Swept { digest: *digest, time: *time }).collect())
    }

    async fn delete(&self, digests: &[Digest]) -> Result<usize> {
        let now = u64::from(now_seconds());
        let mut guard = self.lock();
        let space = guard.space();
        space.leases.retain(|_, (_, until)| *until > now);
        let kept = |digest: &&Digest| !space.leases.values().any(|(kept, _)| kept.contains(digest));
        let gone: Vec<&Digest> = digests.iter().filter(kept).collect();
        Ok(gone.into_iter().filter(|digest| space.blobs.remove(digest).is_some()).count())
    }
}

#[derive(Debug)]
struct MemoryLease {
    backend: MemoryBackend,
    id: String,
}

#[async_trait]
impl Leases for MemoryBackend {
    async fn lease(&self, digests: &[Digest], seconds: u64) -> Result<Box<dyn Lease>> {
        let id = new_id();
        let until = u64::from(now_seconds()).saturating_add(seconds);
        self.lock().space().leases.insert(id.clone(), (digests.iter().copied().collect(), until));
        Ok(Box::new(MemoryLease { backend: self.clone(), id }))
    }
}

#[async_trait]
impl Lease for MemoryLease {
    async fn renew(&mut self, seconds: u64) -> Result<bool> {
        let now = u64::from(now_seconds());
        let mut guard = self.backend.lock();
        let held = guard.space().leases.get_mut(&self.id).filter(|(_, until)| *until > now);
        Ok(held.map(|(_, until)| *until = now.saturating_add(seconds)).is_some())
    }

    async fn release(self: Box<Self>) -> Result<()> {
        self.backend.lock().space().leases.remove(&self.id);
        Ok(())
    }
}
