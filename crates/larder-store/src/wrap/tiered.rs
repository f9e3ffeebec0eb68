//! Several backends in order: the first is the nearest.
//!
//! - Read: the first tier that has the blob. A later tier's blob is promoted to every earlier one first, by upload, so
//!   that it is verified there and never in memory whole. A tier that breaks in the middle is followed by the next.
//! - Write: to every tier, each asked by itself. `Ok` when one tier took it; wrong content is refused by all.
//! - A tier that fails is a miss and a warning, never a failure while another can answer.
//! - Uploads go to the first tier, and at their commit to the others.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use larder_core::{Chunk, Digest, Error, ErrorKind, Result};

use crate::seam::{
    BlobSource, BlobStore, Capabilities, ChunkPage, ChunkSource, Info, Pieces, Upload, Written, check_range,
    not_found,
};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Tiered {
    tiers: Arc<[Arc<dyn BlobStore>]>,
}

/// An upload to a tier.
type Open<'a> = (&'a Arc<dyn BlobStore>, Box<dyn Upload>);

fn warn(tier: &Arc<dyn BlobStore>, error: &Error, op: &'static str) {
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) {
        tracing::warn!(tier = tier.info().name, %error, op, "a tier failed; it is passed over");
    }
}

impl Tiered {
    /// The tiers in their order, of one namespace.
    ///
    /// # Errors
    /// `Invalid` when there is none, or when they are not of one namespace.
    pub fn new(tiers: Vec<Arc<dyn BlobStore>>) -> Result<Self> {
        let invalid = |why| Err(Error::new(ErrorKind::Invalid, "put tiers together").with_message(why));
        let Some(first) = tiers.first() else { return invalid("there is no tier") };
        let namespace = first.info().namespace;
        if tiers.iter().any(|tier| tier.info().namespace != namespace) {
            return invalid("the tiers are of different namespaces");
        }
        Ok(Self { tiers: tiers.into() })
    }

    /// Copies a blob of tier `from` to every earlier tier. What fails is only told.
    async fn promote(&self, digest: &Digest, from: usize) -> Result<()> {
        self.copy(digest, &self.tiers[from], &self.tiers[..from]).await
    }

    /// Copies a blob, piece by piece. An error is the source's; those of targets are only told.
    async fn copy(
        &self,
        digest: &Digest,
        source: &Arc<dyn BlobStore>,
        targets: &[Arc<dyn BlobStore>],
    ) -> Result<()> {
        let mut uploads = Vec::new();
        for tier in targets {
            match tier.find_missing(&[*digest]).await {
                Ok(missing) if missing.is_empty() => continue,
                Ok(_) => {}
                Err(error) => {
                    warn(tier, &error, "promote");
                    continue;
                }
            }
            match tier.begin_upload().await {
                Ok(upload) => uploads.push((tier, upload)),
                Err(error) => warn(tier, &error, "promote"),
            }
        }
        if uploads.is_empty() {
            return Ok(());
        }
        let read = Self::pour(digest, source, &mut uploads).await;
        for (tier, upload) in uploads {
            let done =
                if read.is_ok() { upload.commit(digest).await.map(drop) } else { upload.abort().await };
            if let Err(error) = done {
                warn(tier, &error, "promote");
            }
        }
        read
    }

    async fn pour(digest: &Digest, source: &Arc<dyn BlobStore>, uploads: &mut Vec<Open<'_>>) -> Result<()> {
        let mut pieces = source.read(digest, 0..digest.size).await?;
        while let Some(piece) = pieces.try_next().await? {
            let mut going = Vec::with_capacity(uploads.len());
            for (tier, mut upload) in std::mem::take(uploads) {
                let offset = upload.offset();
                match upload.append(offset, piece.clone()).await {
                    Ok(()) => going.push((tier, upload)),
                    Err(error) => {
                        warn(tier, &error, "promote");
                        let _ = upload.abort().await;
                    }
                }
            }
            *uploads = going;
        }
        Ok(())
    }

    /// The first tier from `from` on that says it has the blob. A tier that fails is a miss; an error of its own only
    /// when no tier could say.
    async fn holder(&self, digest: &Digest, from: usize) -> Result<usize> {
        let mut failed = None;
        let mut answered = false;
        for (at, tier) in self.tiers.iter().enumerate().skip(from) {
            match tier.find_missing(&[*digest]).await {
                Ok(missing) if missing.is_empty() => return Ok(at),
                Ok(_) => answered = true,
                Err(error) => {
                    warn(tier, &error, "look up");
                    failed = Some(error);
                }
            }
        }
        Err(failed.filter(|_| !answered).unwrap_or_else(|| not_found(digest)))
    }
}

struct Reading {
    tiered: Tiered,
    digest: Digest,
    rest: Range<u64>,
    tier: usize,
    pieces: Option<Pieces>,
}

impl Reading {
    /// Opens at the next tier that has it; `error` is what the one before failed with.
    async fn open(&mut self, error: Option<Error>) -> Result<()> {
        let mut failed = error;
        loop {
            let holder = match self.tiered.holder(&self.digest, self.tier).await {
                Ok(holder) => holder,
                Err(error) => return Err(failed.unwrap_or(error)),
            };
            let mut from = holder;
            if holder > 0 {
                match self.tiered.promote(&self.digest, holder).await {
                    // What could not be promoted is read from where it is.
                    Ok(()) => from = self.tiered.holder(&self.digest, 0).await.unwrap_or(holder),
                    Err(error) => {
                        warn(&self.tiered.tiers[holder], &error, "read");
                        failed = Some(error);
                        self.tier = holder + 1;
                        continue;
                    }
                }
            }
            // A tier that failed in the middle is not asked again.
            from = from.max(self.tier).min(holder);
            self.tier = holder + 1;
            match self.tiered.tiers[from].read(&self.digest, self.rest.clone()).await {
                Ok(pieces) => {
                    self.pieces = Some(pieces);
                    return Ok(());
                }
                Err(error) => {
                    warn(&self.tiered.tiers[from], &error, "read");
                    failed = Some(error);
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            match self.pieces.as_mut()?.next().await {
                Some(Ok(piece)) => {
                    self.rest.start = self.rest.start.saturating_add(piece.len() as u64);
                    return Some(Ok(piece));
                }
                Some(Err(error)) => {
                    self.pieces = None;
                    if let Err(error) = self.open(Some(error)).await {
                        return Some(Err(error));
                    }
                }
                None => return None,
            }
        }
    }
}

#[async_trait]
impl BlobStore for Tiered {
    fn info(&self) -> Info {
        Info { name: "tiered".to_owned(), ..self.tiers[0].info() }
    }

    fn capabilities(&self) -> Capabilities {
        let all = self.tiers.iter().map(|tier| tier.capabilities());
        all.reduce(|one, two| Capabilities {
            remote: one.remote || two.remote,
            chunked: one.chunked,
            ranges: one.ranges && two.ranges,
            batch: one.batch.min(two.batch),
            small: one.small.min(two.small),
        })
        .expect("there is a tier, which `new` checks")
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let mut missing = digests.to_vec();
        let mut failures = Vec::new();
        for tier in self.tiers.iter() {
            if missing.is_empty() {
                break;
            }
            match tier.find_missing(&missing).await {
                Ok(still) => missing = still,
                Err(error) => {
                    warn(tier, &error, "look up");
                    failures.push(error);
                }
            }
        }
        if failures.len() == self.tiers.len()
            && let Some(error) = failures.pop()
        {
            return Err(error);
        }
        Ok(missing)
    }

    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces> {
        check_range(digest, &range)?;
        let mut state = Reading { tiered: self.clone(), digest: *digest, rest: range, tier: 0, pieces: None };
        state.open(None).await?;
        let next = |mut state: Reading| async move { Some((state.next().await?, state)) };
        Ok(stream::unfold(state, next).boxed())
    }

    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>> {
        let mut answers: Vec<Result<Bytes>> = digests.iter().map(|digest| Err(not_found(digest))).collect();
        let mut reached = false;
        let mut failure = None;
        for (at, tier) in self.tiers.iter().enumerate() {
            let places: Vec<usize> = (0..digests.len()).filter(|place| answers[*place].is_err()).collect();
            let wanted: Vec<Digest> = places.iter().map(|place| digests[*place]).collect();
            if wanted.is_empty() {
                return Ok(answers);
            }
            let read = match tier.read_many(&wanted).await {
                Ok(read) => read,
                Err(error) => {
                    warn(tier, &error, "read");
                    failure = Some(error);
                    continue;
                }
            };
            reached = true;
            let mut found: HashMap<Digest, BlobSource> = HashMap::new();
            for (place, read) in places.into_iter().zip(read) {
                match read {
                    Ok(bytes) => {
                        found.insert(digests[place], bytes.clone().into());
                        answers[place] = Ok(bytes);
                    }
                    // What a nearer tier said weighs more, unless it had nothing to say.
                    Err(error) if error.kind() != ErrorKind::NotFound => answers[place] = Err(error),
                    Err(_) => {}
                }
            }
            let found: Vec<(Digest, BlobSource)> = found.into_iter().collect();
            for earlier in self.tiers[..at].iter().filter(|_| !found.is_empty()) {
                if let Err(error) = earlier.write_many(&found).await {
                    warn(earlier, &error, "promote");
                }
            }
        }
        match failure {
            Some(error) if !reached => Err(error),
            _ => Ok(answers),
        }
    }

    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>> {
        let mut answers: Option<Vec<Result<Written>>> = None;
        let mut failure = None;
        for tier in self.tiers.iter() {
            let written = match tier.write_many(blobs).await {
                Ok(written) => written,
                Err(error) => {
                    warn(tier, &error, "write");
                    failure.get_or_insert(error);
                    continue;
                }
            };
            answers = Some(match answers {
                None => written,
                Some(before) => before.into_iter().zip(written).map(|(one, two)| both(one, two)).collect(),
            });
        }
        match (answers, failure) {
            (Some(answers), _) => Ok(answers),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(Vec::new()),
        }
    }

    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>> {
        check_range(digest, &(offset..digest.size))?;
        let holder = self.holder(digest, 0).await?;
        self.tiers[holder].chunks(digest, offset).await
    }

    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written> {
        let mut answer: Option<Result<Written>> = None;
        for tier in self.tiers.iter() {
            let written = tier.put_chunks(digest, chunks, source).await;
            if let Err(error) = &written {
                warn(tier, error, "write");
            }
            answer = Some(match answer {
                None => written,
                Some(before) => both(before, written),
            });
        }
        answer.unwrap_or_else(|| Err(not_found(digest)))
    }

    async fn begin_upload(&self) -> Result<Box<dyn Upload>> {
        let inner = self.tiers[0].begin_upload().await?;
        Ok(Box::new(TieredUpload { inner, tiered: self.clone() }))
    }

    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>> {
        let inner = self.tiers[0].resume_upload(id).await?;
        Ok(Box::new(TieredUpload { inner, tiered: self.clone() }))
    }
}

/// What two tiers did with one blob: wrong content is wrong, else one that took it is enough.
fn both(one: Result<Written>, two: Result<Written>) -> Result<Written> {
    match (one, two) {
        (Ok(one), Ok(two)) => Ok(Written { moved: one.moved.max(two.moved) }),
        (Err(error), Err(_)) => Err(error),
        (Err(error), _) | (_, Err(error)) if error.kind() == ErrorKind::Invalid => Err(error),
        (Ok(written), Err(_)) | (Err(_), Ok(written)) => Ok(written),
    }
}

#[derive(Debug)]
struct TieredUpload {
    inner: Box<dyn Upload>,
    tiered: Tiered,
}

#[async_trait]
impl Upload for TieredUpload {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    async fn append(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        self.inner.append(offset, bytes).await
    }

    async fn commit(self: Box<Self>, digest: &Digest) -> Result<Written> {
        let Self { inner, tiered } = *self;
        let written = inner.commit(digest).await?;
        if let Some((first, rest)) = tiered.tiers.split_first()
            && let Err(error) = tiered.copy(digest, first, rest).await
        {
            warn(first, &error, "write");
        }
        Ok(written)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}
