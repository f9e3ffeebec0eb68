//! Tries again what may pass by itself ([`Error::is_retryable`]), a bounded number of times, with pauses that grow and
//! are jittered. Of a batch only the items that failed are tried again; a stream goes on where it broke. All calls of
//! the seam may be repeated: content is addressed by digest, and sources can be opened again.
//!
//! The pause is the caller's: this crate has no runtime. An upload is begun and resumed with retries; its own calls are
//! not repeated, because a caller knows better from the offset.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use larder_core::{Chunk, Digest, Error, ErrorKind, Result};

use crate::seam::{
    BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Info, Pieces, Upload, Written,
};

/// How a caller's runtime waits.
#[async_trait]
pub trait Sleep: fmt::Debug + Send + Sync {
    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// Waits by blocking the thread: for callers without a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadSleep;

#[async_trait]
impl Sleep for ThreadSleep {
    async fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// How often, and how long between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Calls made at most, the first one included.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_millis(100), longest: Duration::from_secs(2) }
    }
}

impl RetryPolicy {
    /// The pause after failure number `failures` (from 1): between half of it and all of it.
    fn pause(&self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.longest);
        let random = RandomState::new().hash_one(failures) % 1024;
        whole / 2 + whole / 2 * u32::try_from(random).unwrap_or(0) / 1024
    }
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Retry {
    inner: Arc<dyn BlobStore>,
    policy: RetryPolicy,
    sleep: Arc<dyn Sleep>,
}

impl Retry {
    /// Tries again what fails in `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn BlobStore>, policy: RetryPolicy, sleep: Arc<dyn Sleep>) -> Self {
        Self { inner, policy, sleep }
    }

    /// Waits before the next attempt; false when there is none.
    async fn again(&self, failures: &mut u32, error: &Error) -> bool {
        *failures += 1;
        if !error.is_retryable() || *failures >= self.policy.attempts {
            return false;
        }
        tracing::debug!(%error, failures, "trying again");
        self.sleep.sleep(self.policy.pause(*failures)).await;
        true
    }

    async fn repeat<T, F: Future<Output = Result<T>>>(&self, mut call: impl FnMut() -> F) -> Result<T> {
        let mut failures = 0;
        loop {
            match call().await {
                Err(error) if self.again(&mut failures, &error).await => {}
                answer => return answer,
            }
        }
    }
}

struct Reading {
    retry: Retry,
    digest: Digest,
    rest: Range<u64>,
    pieces: Option<Pieces>,
    failures: u32,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            let pieces = match &mut self.pieces {
                Some(pieces) => pieces,
                None if self.rest.is_empty() => return None,
                None => match self.retry.inner.read(&self.digest, self.rest.clone()).await {
                    Ok(pieces) => self.pieces.insert(pieces),
                    Err(error) if self.retry.again(&mut self.failures, &error).await => continue,
                    Err(error) => {
                        self.rest = 0..0;
                        return Some(Err(error));
                    }
                },
            };
            match pieces.next().await {
                Some(Ok(piece)) => {
                    self.rest.start = self.rest.start.saturating_add(piece.len() as u64);
                    return Some(Ok(piece));
                }
                Some(Err(error)) => {
                    self.pieces = None;
                    if !self.retry.again(&mut self.failures, &error).await {
                        self.rest = 0..0;
                        return Some(Err(error));
                    }
                }
                None => return None,
            }
        }
    }
}

#[async_trait]
impl BlobStore for Retry {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        self.repeat(|| self.inner.find_missing(digests)).await
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        let pieces = Some(self.repeat(|| self.inner.read(digest, range.clone())).await?);
        let state = Reading { retry: self.clone(), digest: *digest, rest: range, pieces, failures: 0 };
        let next = |mut state: Reading| async move { Some((state.next().await?, state)) };
        Ok(stream::unfold(state, next).boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        let mut answers = self.repeat(|| self.inner.read_many(digests)).await?;
        let mut failures = 0;
        while let Some(error) = answers.iter().filter_map(|answer| answer.as_ref().err()).find(retryable) {
            if !self.again(&mut failures, error).await {
                break;
            }
            let places = places_to_repeat(&answers);
            let again: Vec<Digest> = places.iter().filter_map(|place| digests.get(*place)).copied().collect();
            let new = self.repeat(|| self.inner.read_many(&again)).await?;
            places.into_iter().zip(new).for_each(|(place, answer)| answers[place] = answer);
        }
        Ok(answers)
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        let mut answers = self.repeat(|| self.inner.write_many(blobs)).await?;
        let mut failures = 0;
        while let Some(error) = answers.iter().filter_map(|answer| answer.as_ref().err()).find(retryable) {
            if !self.again(&mut failures, error).await {
                break;
            }
            let places = places_to_repeat(&answers);
            let again: Vec<(Digest, BlobSource)> =
                places.iter().filter_map(|place| blobs.get(*place)).cloned().collect();
            let new = self.repeat(|| self.inner.write_many(&again)).await?;
            places.into_iter().zip(new).for_each(|(place, answer)| answers[place] = answer);
        }
        Ok(answers)
    }

    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>> {
        self.repeat(|| self.inner.chunks(digest, offset)).await
    }

    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written> {
        self.repeat(|| self.inner.put_chunks(digest, chunks, source)).await
    }

    async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        self.repeat(|| self.inner.begin_upload()).await
    }

    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>> {
        // Who holds an upload may hold it for long: that is for the caller to wait for.
        let resume = || async {
            self.inner
                .resume_upload(id)
                .await
                .map_err(|error| if error.kind() == ErrorKind::Busy { error.retryable(false) } else { error })
        };
        self.repeat(resume).await
    }
}

fn retryable(error: &&Error) -> bool {
    error.is_retryable()
}

fn places_to_repeat<T>(answers: &[Result<T>]) -> Vec<usize> {
    let failed = |answer: &Result<T>| answer.as_ref().is_err_and(Error::is_retryable);
    (0..answers.len()).filter(|place| failed(&answers[*place])).collect()
}
