//! A backend that is stricter than reality: what works with it works with backends that are only allowed to be so.
//!
//! Streams come in pieces of odd lengths, batches above a small limit are refused, `read_many` refuses what is not
//! small, nothing is told of chunks, and [`StrictStore::forget`] loses everything that no lease keeps.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use larder_core::{Chunk, Digest, Error, ErrorKind, Result};
use larder_store::memory::MemoryBackend;
use larder_store::seam::{
    BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Info, Pieces, Sweep, Upload, Written,
};

/// The most items of a batch.
pub const BATCH: usize = 100;

/// The largest blob of a batch of reads.
pub const SMALL: u64 = 10_000;

/// The lengths of pieces, over and over.
const LENGTHS: [usize; 7] = [1, 7, 4096, 65_537, 3, 100_000, 13];

/// A strict backend in memory.
#[derive(Clone, Debug)]
pub struct StrictStore {
    inner: MemoryBackend,
}

impl StrictStore {
    /// `inner`, strictly.
    pub fn new(inner: MemoryBackend) -> Self {
        Self { inner }
    }

    /// Loses everything that no lease keeps; says how many blobs went.
    ///
    /// # Errors
    /// None; the type is that of what it calls.
    pub async fn forget(&self) -> Result<usize> {
        let all = self.inner.list(None, usize::MAX).await?;
        let all: Vec<Digest> = all.into_iter().map(|swept| swept.digest).collect();
        self.inner.delete(&all).await
    }

    fn check(count: usize) -> Result<()> {
        if count <= BATCH {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, "answer a batch")
            .with_message(format!("a batch has at most {BATCH} items"))
            .with("items", count))
    }
}

#[async_trait]
impl BlobStore for StrictStore {
    fn info(&self) -> Info {
        Info { name: "strict".to_owned(), ..BlobStore::info(&self.inner) }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { remote: true, chunked: false, ranges: false, batch: BATCH, small: SMALL }
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        Self::check(digests.len())?;
        self.inner.find_missing(digests).await
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        let pieces: Vec<Result<Bytes>> = self.inner.read(digest, range).await?.collect().await;
        let mut lengths = LENGTHS.iter().cycle();
        let mut odd = Vec::new();
        for piece in pieces {
            let mut rest = piece?;
            while !rest.is_empty() {
                let length = lengths.next().map_or(1, |length| (*length).min(rest.len()));
                odd.push(Ok(rest.split_to(length)));
            }
        }
        Ok(stream::iter(odd).boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        Self::check(digests.len())?;
        let read = self.inner.read_many(digests).await?;
        let small = |(digest, read): (&Digest, Result<Bytes>)| {
            if digest.size > SMALL {
                return Err(Error::new(ErrorKind::Invalid, "read a blob").with_message("not small"));
            }
            read
        };
        Ok(digests.iter().zip(read).map(small).collect())
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        Self::check(blobs.len())?;
        // The last first: nothing promises an order.
        let reversed: Vec<(Digest, BlobSource)> = blobs.iter().rev().cloned().collect();
        let mut written = self.inner.write_many(&reversed).await?;
        written.reverse();
        Ok(written)
    }

    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>> {
        self.inner.chunks(digest, offset).await
    }

    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written> {
        self.inner.put_chunks(digest, chunks, source).await
    }

    async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        self.inner.begin_upload().await
    }

    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>> {
        self.inner.resume_upload(id).await
    }
}
