//! Any bytes of a layer's tar stream: fetched by spans, decoded, verified, kept.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::source::{ImageSource, SourceError};
use crate::digest::OciDigest;
use crate::manifest::Descriptor;
use crate::toc::decode::DecodeError;
use crate::toc::{LayerInfo, LayerToc, Start};

/// The most compressed bytes of one request for several spans. One span alone may need more: 64 MiB at most, which tables are held to.
const REQUEST: u64 = 8 << 20;
/// Spans that are kept in memory, per layer.
const REMEMBERED: usize = 4;

/// Keeps spans that were verified.
pub trait SpanCache: Send + Sync {
    /// These bytes of a layer's tar stream, if all of them are kept. Whoever asks verifies them.
    fn get(&self, layer: &LayerInfo, bytes: Range<u64>) -> Option<Bytes>;

    /// Keeps bytes of a layer's tar stream that were verified. What cannot be kept is fetched again.
    fn put(&self, layer: &LayerInfo, at: u64, bytes: &[u8]);

    /// These bytes were kept, and are not what the layer's table says.
    fn forget(&self, layer: &LayerToc, bytes: Range<u64>);

    /// Whether it is known that a layer's table says what is not true: nothing is read by it then.
    fn is_refused(&self, layer: &LayerToc) -> bool {
        let _ = layer;
        false
    }

    /// Whether it keeps anything: then more is read than is asked for, where that spares work.
    fn keeps(&self) -> bool {
        true
    }
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSpans;

impl SpanCache for NoSpans {
    fn get(&self, _: &LayerInfo, _: Range<u64>) -> Option<Bytes> {
        None
    }

    fn put(&self, _: &LayerInfo, _: u64, _: &[u8]) {}

    fn forget(&self, _: &LayerToc, _: Range<u64>) {}

    fn keeps(&self) -> bool {
        false
    }
}

/// Bytes of a layer that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The blob cannot be fetched.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What was fetched is not what the table says.
    #[error("what came of the layer `{layer}` is not what its table says")]
    Decode {
        /// Which, by its blob's digest.
        layer: OciDigest,
        /// How it differs.
        #[source]
        error: DecodeError,
    },
    /// All that the table describes was read, and is not what the image is made of.
    #[error(
        "the table of the layer `{layer}` is not true: what it describes has another digest than the image names"
    )]
    Refused {
        /// Which, by its blob's digest.
        layer: OciDigest,
    },
    /// The table says that content lies where the layer has none.
    #[error("the table says that content lies behind the end of its layer")]
    Outside,
}

impl ReadError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Source(error) => error.hint(),
            Self::Refused { .. } => {
                "what was read by it may be wrong; `larder image verify REF` says who signed it and makes it anew".to_owned()
            }
            Self::Decode { .. } | Self::Outside => {
                "the blob is damaged where it lies or on the way, or the table is: try `larder image index --force`"
                    .to_owned()
            }
        }
    }
}

/// A layer that is read by its table.
pub struct LazyLayer {
    toc: LayerToc,
    descriptor: Descriptor,
    source: Arc<dyn ImageSource>,
    cache: Arc<dyn SpanCache>,
    recent: Mutex<VecDeque<(usize, Bytes)>>,
}

impl std::fmt::Debug for LazyLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LazyLayer").field("blob", &self.toc.info().blob).finish_non_exhaustive()
    }
}

impl LazyLayer {
    /// The layer of `toc`, whose blob `source` gives.
    #[must_use]
    pub fn new(
        toc: LayerToc,
        descriptor: Descriptor,
        source: Arc<dyn ImageSource>,
        cache: Arc<dyn SpanCache>,
    ) -> Self {
        Self { toc, descriptor, source, cache, recent: Mutex::default() }
    }

    /// Its table.
    #[must_use]
    pub fn toc(&self) -> &LayerToc {
        &self.toc
    }

    /// Fills `into` from byte `at` of the tar stream on.
    ///
    /// # Errors
    /// When bytes cannot be had, or are not what the table says; then nothing in `into` is to be used.
    pub fn read_at(&self, into: &mut [u8], at: u64) -> Result<(), ReadError> {
        if into.is_empty() {
            return Ok(());
        }
        self.judge()?;
        let end = at
            .checked_add(into.len() as u64)
            .filter(|end| *end <= self.toc.info().size)
            .ok_or(ReadError::Outside)?;
        let first = self.toc.span_at(at).ok_or(ReadError::Outside)?;
        let last = self.toc.span_at(end - 1).ok_or(ReadError::Outside)?;
        let mut next = first;
        while next <= last {
            if let Some(bytes) = self.kept(next) {
                self.copy(next, &bytes, into, at);
                next += 1;
                continue;
            }
            let to = self.missing(next, last);
            self.fetch(next..to, &mut |span, bytes| self.copy(span, bytes, into, at))?;
            next = to;
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), ReadError> {
        if self.cache.is_refused(&self.toc) {
            return Err(ReadError::Refused { layer: self.descriptor.digest });
        }
        Ok(())
    }

    fn copy(&self, span: usize, bytes: &[u8], into: &mut [u8], at: u64) {
        let has = self.toc.bytes_of(span);
        let (from, to) = (has.start.max(at), has.end.min(at + into.len() as u64));
        if from >= to {
            return;
        }
        let place = |byte: u64, of: u64| usize::try_from(byte - of).expect("within memory");
        into[place(from, at)..place(to, at)]
            .copy_from_slice(&bytes[place(from, has.start)..place(to, has.start)]);
    }

    fn kept(&self, span: usize) -> Option<Bytes> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = recent.iter().find(|(one, _)| *one == span) {
            return Some(bytes.clone());
        }
        drop(recent);
        let bytes = self.cache.get(self.toc.info(), self.toc.bytes_of(span))?;
        if blake3::hash(&bytes).as_bytes() != self.toc.digest_of(span) {
            self.cache.forget(&self.toc, self.toc.bytes_of(span));
            return None;
        }
        self.remember(span, bytes.clone());
        Some(bytes)
    }

    fn remember(&self, span: usize, bytes: Bytes) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(one, _)| *one != span);
        recent.push_back((span, bytes));
        if recent.len() > REMEMBERED {
            recent.pop_front();
        }
    }

    /// Whether a span can only be had by decoding a large frame from its front.
    fn is_within(&self, span: usize) -> bool {
        self.toc.spans()[span].start == Start::Within
    }

    /// Whether a span is of a frame that is so large that spans begin within.
    fn is_in_large(&self, span: usize) -> bool {
        self.is_within(span) || span + 1 < self.toc.spans().len() && self.is_within(span + 1)
    }

    /// The end of the spans from `first` on, up to `last`, that are fetched with one request.
    fn missing(&self, first: usize, last: usize) -> usize {
        if self.is_in_large(first) {
            return (first + 1..=last).find(|span| !self.is_within(*span)).unwrap_or(last + 1);
        }
        let fits = |to: usize| {
            let bytes = self.toc.packed_bytes_of(first..to);
            bytes.end - bytes.start <= REQUEST
        };
        let mut to = first + 1;
        while to <= last && !self.is_in_large(to) && self.kept(to).is_none() && fits(to + 1) {
            to += 1;
        }
        to
    }

    /// Fetches spans, from another place if what came is wrong.
    fn fetch(&self, spans: Range<usize>, sink: &mut dyn FnMut(usize, &[u8])) -> Result<(), ReadError> {
        // What was kept may just have shown it.
        self.judge()?;
        loop {
            match self.fetch_once(spans.clone(), sink) {
                // What is wrong with the table is no place's fault.
                Err(ReadError::Decode {
                    error: DecodeError::Stream { .. } | DecodeError::Corrupt { .. },
                    ..
                }) if self.source.distrust(&self.descriptor.digest) => {}
                done => return done,
            }
        }
    }

    /// Reads a large frame once, from its front, and keeps all of it, so that the next read need not begin anew. Where nothing is kept it ends with what
    /// is wanted.
    fn stream(&self, spans: &Range<usize>, sink: &mut dyn FnMut(usize, &[u8])) -> Result<(), ReadError> {
        let begin = self.toc.run_of(spans.start).start;
        let after = self.toc.spans().len();
        let end = (spans.start + 1..after).find(|span| !self.is_within(*span)).unwrap_or(after);
        let range = self.toc.packed_bytes_of(begin..end);
        let mut failed = None;
        let packed =
            Ranges { layer: self, at: range.start, end: range.end, piece: Bytes::new(), failed: &mut failed };
        let decoded = self.toc.decode_run(begin..end, packed, &mut |span, bytes| {
            self.cache.put(self.toc.info(), self.toc.bytes_of(span).start, &bytes);
            if spans.contains(&span) {
                sink(span, &bytes);
                self.remember(span, bytes.into());
            }
            span + 1 < spans.end || self.cache.keeps()
        });
        match (failed, decoded) {
            // The decoder only knows that it got nothing more.
            (Some(error), _) => Err(error.into()),
            (None, Err(error)) => Err(ReadError::Decode { layer: self.descriptor.digest, error }),
            (None, Ok(())) => Ok(()),
        }
    }

    /// Fetches spans with one request, and hands on each that is wanted.
    fn fetch_once(&self, spans: Range<usize>, sink: &mut dyn FnMut(usize, &[u8])) -> Result<(), ReadError> {
        if self.is_in_large(spans.start) {
            return self.stream(&spans, sink);
        }
        // None of the others begins within a frame: each is decoded alone.
        let range = self.toc.packed_bytes_of(spans.clone());
        let packed = self.source.range(&self.descriptor, range.clone())?;
        for one in spans {
            let part = self.toc.packed_bytes_of(one..one + 1);
            let at = |byte: u64| usize::try_from(byte - range.start).expect("within memory");
            let part = packed.get(at(part.start)..at(part.end.min(range.end))).ok_or(ReadError::Outside)?;
            let wrong = |error| ReadError::Decode { layer: self.descriptor.digest, error };
            for (span, bytes) in self.toc.decode(one, part).map_err(wrong)? {
                self.cache.put(self.toc.info(), self.toc.bytes_of(span).start, &bytes);
                sink(span, &bytes);
                self.remember(span, bytes.into());
            }
        }
        Ok(())
    }
}

/// A part of a layer's blob, fetched a request at a time.
struct Ranges<'a> {
    layer: &'a LazyLayer,
    at: u64,
    end: u64,
    piece: Bytes,
    failed: &'a mut Option<SourceError>,
}

impl io::Read for Ranges<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.end {
            let to = self.end.min(self.at + REQUEST);
            let fetched = self.layer.source.range(&self.layer.descriptor, self.at..to);
            self.piece = fetched.map_err(|error| {
                *self.failed = Some(error);
                io::Error::other("it cannot be fetched")
            })?;
            self.at = to;
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
