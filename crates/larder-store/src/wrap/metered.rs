//! Counts what goes through it. Only what was measured: bytes that moved, calls that were made.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::StreamExt;
use larder_core::{Chunk, Digest, Result};

use crate::seam::{
    BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Info, Pieces, Upload, Written,
};

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls that were made.
    pub requests: u64,
    /// Calls that failed as a whole.
    pub failures: u64,
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were written, as the backend says.
    pub written: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    failures: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

impl Counters {
    fn count<T>(&self, answer: Result<T>) -> Result<T> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
        answer
    }

    fn wrote(&self, written: &Written) {
        self.written.fetch_add(written.moved, Ordering::Relaxed);
    }
}

/// A backend whose calls are counted. Clones count together.
#[derive(Clone, Debug)]
pub struct Metered {
    inner: Arc<dyn BlobStore>,
    counters: Arc<Counters>,
}

impl Metered {
    /// Counts what goes through to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self { inner, counters: Arc::default() }
    }

    /// What was counted so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { requests, failures, read, written } = &*self.counters;
        Figures { requests: get(requests), failures: get(failures), read: get(read), written: get(written) }
    }

    fn upload(&self, inner: Box<dyn Upload>) -> Box<dyn Upload> {
        Box::new(MeteredUpload { inner, counters: self.counters.clone() })
    }
}

#[async_trait]
impl BlobStore for Metered {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.counters.count(self.inner.find_missing(digests).await)
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        let pieces = self.counters.count(self.inner.read(digest, range).await)?;
        let counters = self.counters.clone();
        let counted = pieces.inspect(move |piece| match piece {
            Ok(bytes) => drop(counters.read.fetch_add(bytes.len() as u64, Ordering::Relaxed)),
            Err(_) => drop(counters.failures.fetch_add(1, Ordering::Relaxed)),
        });
        Ok(counted.boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        let read = self.counters.count(self.inner.read_many(digests).await)?;
        let bytes: u64 = read.iter().flatten().map(|bytes| bytes.len() as u64).sum();
        self.counters.read.fetch_add(bytes, Ordering::Relaxed);
        Ok(read)
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        let written = self.counters.count(self.inner.write_many(blobs).await)?;
        written.iter().flatten().for_each(|written| self.counters.wrote(written));
        Ok(written)
    }

    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>> {
        self.counters.count(self.inner.chunks(digest, offset).await)
    }

    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written> {
        let written = self.counters.count(self.inner.put_chunks(digest, chunks, source).await)?;
        self.counters.wrote(&written);
        Ok(written)
    }

    async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        Ok(self.upload(self.counters.count(self.inner.begin_upload().await)?))
    }

    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>> {
        Ok(self.upload(self.counters.count(self.inner.resume_upload(id).await)?))
    }
}

#[derive(Debug)]
struct MeteredUpload {
    inner: Box<dyn Upload>,
    counters: Arc<Counters>,
}

#[async_trait]
impl Upload for MeteredUpload {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    async fn append(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        self.counters.count(self.inner.append(offset, bytes).await)
    }

    async fn commit(self: Box<Self>, digest: &Digest) -> Result<Written> {
        let written = self.counters.count(self.inner.commit(digest).await)?;
        self.counters.wrote(&written);
        Ok(written)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.counters.count(self.inner.abort().await)
    }
}
