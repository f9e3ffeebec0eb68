//! Blobs read by range (distribution-spec, "Pulling blobs"), as a stream of pieces.
//!
//! - A registry that answers a range with the whole blob (200) is understood: what was not asked for is dropped.
//! - When the connection breaks or the answer ends early, the rest is asked for by range, from the registry itself, since a place that it
//!   redirects to may have expired. Progress earns new tries; standing still does not.
//! - The end of the stream means: all bytes of the range came. Of a whole blob the digest is checked at the end, so its last bytes are not
//!   to be trusted before the end was seen; of a range, nothing but its length can be checked here.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::auth::Scope;
use super::errors::{Kind, RegistryError};
use super::manifests::text;
use super::wire::{Ask, Pace};
use super::{Repository, Result};
use crate::digest::{Hasher, OciDigest};

const OPERATION: &str = "read a blob";
/// This much progress earns the full number of tries again.
const EARNS: u64 = 256 << 10;

/// A blob, or a range of one, on its way.
pub struct BlobReader {
    repository: Repository,
    digest: OciDigest,
    /// The next byte to hand out.
    at: u64,
    /// The byte after the last; learned from the answer if the range was open.
    end: Option<u64>,
    /// Whether the caller said where the range ends.
    closed: bool,
    /// Bytes of the answer that were not asked for.
    skip: u64,
    response: Option<Response>,
    pace: Pace,
    /// Of a whole blob.
    hasher: Option<Hasher>,
    tries: u32,
    tried_at: u64,
    done: bool,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("digest", &self.digest)
            .field("at", &self.at)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Repository {
    /// Begins to read a blob, or a range of it; `None` if it is not there. `..` is the whole blob, whose digest is checked at
    /// the end; a range that ends past the end of the blob is an error.
    pub async fn read_blob(
        &self,
        digest: &OciDigest,
        range: impl RangeBounds<u64>,
    ) -> Result<Option<BlobReader>> {
        let at = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => Some(last.saturating_add(1)),
            Bound::Excluded(end) => Some(*end),
            Bound::Unbounded => None,
        };
        let mut reader = BlobReader {
            repository: self.clone(),
            digest: *digest,
            at,
            end: end.map(|end| end.max(at)),
            closed: end.is_some(),
            skip: 0,
            response: None,
            pace: Pace::default(),
            hasher: (at == 0 && end.is_none()).then(|| digest.algorithm().hasher()),
            tries: 0,
            tried_at: at,
            done: false,
        };
        // Nothing is asked of the registry for an empty range.
        if reader.end == Some(at) {
            return Ok(Some(reader));
        }
        Ok(reader.ask().await?.then_some(reader))
    }
}

impl BlobReader {
    /// How many bytes are still to come, if that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.end.map(|end| end - self.at)
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if a whole blob is not what its digest says, or the blob is shorter than the range. After an error
    /// there is nothing more.
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        let outcome = self.next().await;
        if outcome.is_err() {
            self.done = true;
            self.response = None;
        }
        outcome
    }

    /// All of it, at most `most` bytes.
    pub async fn read_all(mut self, most: usize) -> Result<Bytes> {
        let too_long = |of: &Self| of.error(Kind::Invalid, format!("more than {most} bytes came"));
        if self.length().is_some_and(|length| length > most as u64) {
            return Err(too_long(&self));
        }
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if piece.len() > most - all.len() {
                return Err(too_long(&self));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// As a stream of pieces.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        stream::try_unfold(self, async |mut reader| {
            let piece = reader.piece().await?;
            Ok(piece.map(|piece| (piece, reader)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.done {
            if self.end == Some(self.at) {
                self.finish()?;
                break;
            }
            let Some(response) = &mut self.response else {
                self.again(None).await?;
                continue;
            };
            match self.repository.wire.piece(OPERATION, response, &mut self.pace).await {
                Ok(Some(piece)) => {
                    if let Some(piece) = self.take(piece) {
                        return Ok(Some(piece));
                    }
                }
                // The end of an answer that told no length is the end of the blob.
                Ok(None) if self.end.is_none() => self.end = Some(self.at),
                Ok(None) => self.again(None).await?,
                Err(error) if *error.kind() == Kind::Unreachable => self.again(Some(error)).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What of a piece was asked for.
    fn take(&mut self, mut piece: Bytes) -> Option<Bytes> {
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        let _ = piece.split_to(usize::try_from(skipped).expect("at most the length of a piece"));
        if let Some(end) = self.end {
            let wanted = usize::try_from(end - self.at).unwrap_or(usize::MAX);
            piece.truncate(wanted);
        }
        if piece.is_empty() {
            return None;
        }
        self.at += piece.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        if self.at - self.tried_at >= EARNS {
            (self.tries, self.tried_at) = (0, self.at);
        }
        Some(piece)
    }

    /// Everything came: is it what it should be?
    fn finish(&mut self) -> Result<()> {
        self.done = true;
        self.response = None;
        if self.hasher.take().is_some_and(|hasher| hasher.finish() != self.digest) {
            return Err(self.error(Kind::Corrupt, format!("what came is not the blob `{}`", self.digest)));
        }
        Ok(())
    }

    /// Asks for the rest.
    async fn again(&mut self, broke: Option<RegistryError>) -> Result<()> {
        let retries = self.repository.wire.retries();
        self.response = None;
        if self.tries >= retries.most {
            return Err(broke.unwrap_or_else(|| self.error(Kind::Unreachable, "the answer ended too early")));
        }
        self.tries += 1;
        tracing::debug!(op = OPERATION, digest = %self.digest, at = self.at, tried = self.tries, "asking for the rest");
        tokio::time::sleep(retries.pause * self.tries).await;
        if self.ask().await? {
            Ok(())
        } else {
            Err(self.error(Kind::NotFound, "the blob was deleted meanwhile"))
        }
    }

    /// Asks for what is still to come; `false` if there is no such blob.
    async fn ask(&mut self) -> Result<bool> {
        let url = self.repository.blob_url(&self.digest);
        let mut ask = Ask::new(OPERATION, Method::GET, url, Scope::pull(&self.repository.name));
        if self.at > 0 || self.end.is_some() {
            let range = match self.end {
                Some(end) => format!("bytes={}-{}", self.at, end - 1),
                None => format!("bytes={}-", self.at),
            };
            ask = ask.header(RANGE, HeaderValue::from_str(&range).expect("digits"));
        }
        let response = self.repository.wire.send(&ask).await?;
        match response.status() {
            StatusCode::OK => self.whole(&response)?,
            StatusCode::PARTIAL_CONTENT => self.part(&response)?,
            StatusCode::NOT_FOUND => return Ok(false),
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.shorter()),
            _ => return Err(self.repository.wire.fail(&ask, response).await),
        }
        self.pace = Pace::default();
        self.response = Some(response);
        Ok(true)
    }

    fn whole(&mut self, response: &Response) -> Result<()> {
        self.skip = self.at;
        let Some(total) = response.content_length() else { return Ok(()) };
        self.total(total)
    }

    fn part(&mut self, response: &Response) -> Result<()> {
        let said = text(response.headers(), &CONTENT_RANGE).and_then(content_range);
        let wrong = |of: &Self| of.error(Kind::Invalid, "the answer is of another range than was asked for");
        let (first, last, total) = said.ok_or_else(|| wrong(self))?;
        // Fewer bytes than were asked for are allowed: the rest is asked for then.
        if first != self.at || last < first || self.end.is_some_and(|end| last >= end) {
            return Err(wrong(self));
        }
        self.skip = 0;
        match total {
            Some(total) if last < total => self.total(total),
            Some(_) => Err(wrong(self)),
            // Nothing tells whether there is more; a whole blob is proven by its digest.
            None if self.end.is_none() && self.hasher.is_none() => Err(wrong(self)),
            None => {
                self.end = self.end.or(Some(last + 1));
                Ok(())
            }
        }
    }

    /// The blob is `total` bytes long.
    fn total(&mut self, total: u64) -> Result<()> {
        match self.end {
            Some(end) if end > total => Err(self.shorter()),
            Some(end) if !self.closed && end != total => {
                Err(self.error(Kind::Corrupt, "the blob has another length than before"))
            }
            None if self.at > total => Err(self.shorter()),
            end => {
                self.end = end.or(Some(total));
                Ok(())
            }
        }
    }

    fn shorter(&self) -> RegistryError {
        self.error(Kind::Corrupt, format!("the blob `{}` is shorter than it should be", self.digest))
    }

    fn error(&self, kind: Kind, message: impl Into<String>) -> RegistryError {
        self.repository.wire.error(kind, OPERATION, message)
    }
}

/// First, last and total of `bytes 0-9/100`.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let last: u64 = last.parse().ok()?;
    Some((first.parse().ok()?, last, total)).filter(|_| last < u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn ranges() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for wrong in
            ["", "bytes */100", "0-9/100", "bytes 0-9", "bytes -9/10", "bytes 0-18446744073709551615/*"]
        {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
