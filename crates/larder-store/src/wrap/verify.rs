//! In front of a backend that is not trusted: every blob is proven by its digest before its end is passed on.
//!
//! A blob of at most [`BUFFERED`] bytes is proven before any of it is passed on, also for a range. A larger one is
//! streamed from its beginning, and its last piece is held back until the whole is proven; so its earlier pieces are
//! the blob's only if the stream ends well, as [`Pieces`] says. Sources are proven before they are sent.
//!
//! Not promised: that what the backend says to be there is there (a read finds out), and that chunk lists or uploads
//! are what it says: those are proven when the blob is read.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use larder_core::{Chunk, Digest, Hasher, Result};

use crate::seam::{
    BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Info, Pieces, Upload, Written, check_range,
    corrupt, read_whole, wrong_content,
};

/// Blobs up to this size are proven whole before anything is passed on.
const BUFFERED: u64 = 4 << 20;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Verify {
    inner: Arc<dyn BlobStore>,
}

impl Verify {
    /// Verifies what `inner` gives.
    #[must_use]
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self { inner }
    }
}

fn is_empty(digest: &Digest) -> bool {
    *digest == Digest::empty(digest.function)
}

struct Streaming {
    pieces: Pieces,
    digest: Digest,
    range: Range<u64>,
    at: u64,
    hasher: Option<Hasher>,
    held: Option<Bytes>,
}

impl Streaming {
    /// The part of `piece`, which begins at `start`, that was asked for.
    fn cut(&self, piece: &Bytes, start: u64) -> Bytes {
        let length = piece.len() as u64;
        let from = self.range.start.saturating_sub(start).min(length);
        let to = self.range.end.saturating_sub(start).min(length).max(from);
        piece.slice(from as usize..to as usize)
    }

    /// The next piece that may be passed on.
    async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            self.hasher.as_ref()?;
            match self.pieces.next().await {
                Some(Ok(piece)) => {
                    let start = self.at;
                    self.at = self.at.saturating_add(piece.len() as u64);
                    if self.at > self.digest.size {
                        self.hasher = None;
                        return Some(Err(corrupt(&self.digest)));
                    }
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&piece);
                    }
                    let wanted = self.cut(&piece, start);
                    if !wanted.is_empty()
                        && let Some(proven) = self.held.replace(wanted)
                    {
                        return Some(Ok(proven));
                    }
                }
                Some(Err(error)) => {
                    self.hasher = None;
                    return Some(Err(error));
                }
                None => {
                    let found = self.hasher.take()?.finish();
                    if found != self.digest {
                        return Some(Err(corrupt(&self.digest)));
                    }
                    return self.held.take().map(Ok);
                }
            }
        }
    }
}

#[async_trait]
impl BlobStore for Verify {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { ranges: false, ..self.inner.capabilities() }
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let missing: HashSet<Digest> = self.inner.find_missing(digests).await?.into_iter().collect();
        let absent = |digest: &&Digest| missing.contains(digest) && !is_empty(digest);
        Ok(digests.iter().filter(absent).copied().collect())
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        check_range(digest, &range)?;
        if is_empty(digest) {
            return Ok(stream::empty().boxed());
        }
        if digest.size <= BUFFERED {
            let slice = range.start as usize..range.end as usize;
            let blob = read_whole(&*self.inner, digest, BUFFERED).await?.slice(slice);
            return Ok(stream::iter((!blob.is_empty()).then_some(Ok(blob))).boxed());
        }
        let pieces = self.inner.read(digest, 0..digest.size).await?;
        let hasher = Some(digest.function.hasher());
        let state = Streaming { pieces, digest: *digest, range, at: 0, hasher, held: None };
        let next = |mut state: Streaming| async move { Some((state.next().await?, state)) };
        Ok(stream::unfold(state, next).boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        let mut read = self.inner.read_many(digests).await?.into_iter();
        let prove = |digest: &Digest| {
            if is_empty(digest) {
                let _ = read.next();
                return Ok(Bytes::new());
            }
            let bytes = read.next().unwrap_or_else(|| Err(corrupt(digest)))?;
            if digest.function.digest(&bytes) == *digest { Ok(bytes) } else { Err(corrupt(digest)) }
        };
        Ok(digests.iter().map(prove).collect())
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
        let missing: HashSet<Digest> = self.find_missing(&digests).await?.into_iter().collect();
        let mut seen = HashSet::new();
        let mut written: Vec<Result<Written>> = Vec::with_capacity(blobs.len());
        let (mut places, mut proven) = (Vec::new(), Vec::new());
        for (at, (digest, source)) in blobs.iter().enumerate() {
            written.push(Ok(Written { moved: 0 }));
            if !missing.contains(digest) || !seen.insert(*digest) {
                continue;
            }
            match source.digest(digest.function, digest.size) {
                Ok(found) if found == *digest => {
                    places.push(at);
                    proven.push((*digest, source.clone()));
                }
                Ok(found) => written[at] = Err(wrong_content(digest, &found)),
                Err(error) => written[at] = Err(error),
            }
        }
        if !proven.is_empty() {
            for (at, answer) in places.into_iter().zip(self.inner.write_many(&proven).await?) {
                written[at] = answer;
            }
        }
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
