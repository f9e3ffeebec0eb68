//! A backend that misbehaves as told: for tests of what stands in front of it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::StreamExt;
use larder_core::{Chunk, Digest, Error, ErrorKind, Result};
use larder_store::seam::{
    BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Info, Pieces, Upload, Written,
};

/// How it misbehaves. The default does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Every n-th call fails as `Unavailable`, before anything is done.
    pub fail_every: Option<u64>,
    /// A read ends early, as if that were all.
    pub truncate: bool,
    /// One bit of what is read is another.
    pub flip: bool,
    /// A read gives more than was asked for.
    pub extend: bool,
    /// Says of everything that it is here.
    pub boast: bool,
    /// Every call takes this long.
    pub slow: Duration,
}

/// A backend that misbehaves in front of one that does not.
#[derive(Debug)]
pub struct FlakyStore {
    inner: Arc<dyn BlobStore>,
    faults: Faults,
    calls: AtomicU64,
}

impl FlakyStore {
    /// `inner`, with `faults`.
    pub fn new(inner: Arc<dyn BlobStore>, faults: Faults) -> Self {
        Self { inner, faults, calls: AtomicU64::new(0) }
    }

    /// How many calls were made, also those that failed.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn call(&self) -> Result<()> {
        std::thread::sleep(self.faults.slow);
        let count = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match self.faults.fail_every {
            Some(n) if count.is_multiple_of(n) => {
                Err(Error::new(ErrorKind::Unavailable, "call a flaky store").with("call", count))
            }
            _ => Ok(()),
        }
    }

    fn spoil(&self, bytes: &Bytes) -> Bytes {
        let mut out = bytes.to_vec();
        if self.faults.truncate {
            out.pop();
        }
        if self.faults.flip
            && let Some(byte) = out.last_mut()
        {
            *byte ^= 1;
        }
        if self.faults.extend {
            out.push(0);
        }
        out.into()
    }
}

#[async_trait]
impl BlobStore for FlakyStore {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.call()?;
        if self.faults.boast { Ok(Vec::new()) } else { self.inner.find_missing(digests).await }
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        self.call()?;
        let pieces: Vec<Result<Bytes>> = self.inner.read(digest, range).await?.collect().await;
        let spoiled: Vec<Result<Bytes>> = pieces
            .into_iter()
            .map(|piece| piece.map(|bytes| self.spoil(&bytes)))
            .filter(|piece| !piece.as_ref().is_ok_and(Bytes::is_empty))
            .collect();
        Ok(futures::stream::iter(spoiled).boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        self.call()?;
        let read = self.inner.read_many(digests).await?;
        Ok(read.into_iter().map(|read| read.map(|bytes| self.spoil(&bytes))).collect())
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        self.call()?;
        self.inner.write_many(blobs).await
    }

    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>> {
        self.call()?;
        self.inner.chunks(digest, offset).await
    }

    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written> {
        self.call()?;
        self.inner.put_chunks(digest, chunks, source).await
    }

    async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        self.call()?;
        self.inner.begin_upload().await
    }

    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>> {
        self.call()?;
        self.inner.resume_upload(id).await
    }
}
