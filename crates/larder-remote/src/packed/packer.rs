//! Chunks into frames, frames into packs, packs onto a shelf while the next is filled.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Hash, Result};
use larder_store::local::LocalStore;
use larder_store::local::transfer::{FrameBuilder, FrameSpan};
use tokio::task::JoinSet;

use super::PackedTier;
use super::seal::Seal;
use super::stored::FrameRef;

/// The first pack of a result is written when it has this much, and those that follow on a slow line: every pack that is
/// written is a sign of life.
const SMALLEST: usize = 1 << 20;
/// On a line that is quick enough, packs have this much.
const LARGEST: usize = 8 << 20;
/// How long writing a pack may take: the next is larger or smaller accordingly.
const PACE: Duration = Duration::from_secs(2);

/// A frame that was written, and its chunks.
type Framed = (FrameRef, Vec<Hash>);

/// A pack that was written.
struct Done {
    frames: Vec<Framed>,
    bytes: usize,
    took: Duration,
}

/// Writes chunks into packs. One is written to the shelf while the next is filled.
pub(super) struct Packer<'a> {
    tier: &'a PackedTier,
    namespace: &'a str,
    frame: FrameBuilder,
    pack: Vec<u8>,
    /// The pack is written when it has this much.
    limit: usize,
    /// Stands before the frames of each pack.
    salt: Vec<u8>,
    spans: Vec<FrameSpan>,
    done: Vec<Framed>,
    seen: HashSet<u64>,
    buffer: Vec<u8>,
    /// At most one. Ends when this is dropped.
    writing: JoinSet<Result<Done>>,
}

impl<'a> Packer<'a> {
    /// A packer for packs of `namespace`. `anew`: packs get names that none has yet, because what lies under the old ones is
    /// damaged, and a place that knows content by its hash would not take it again.
    pub(super) fn new(tier: &'a PackedTier, namespace: &'a str, anew: bool) -> Result<Self> {
        let salt = if anew { crate::bucket::random_id().to_le_bytes().to_vec() } else { Vec::new() };
        let frame = FrameBuilder::new(tier.level).map_err(|error| Error::from_io(error, "compress"))?;
        Ok(Self {
            tier,
            namespace,
            frame,
            pack: salt.clone(),
            salt,
            limit: SMALLEST,
            spans: Vec::new(),
            done: Vec::new(),
            seen: HashSet::new(),
            buffer: Vec::new(),
            writing: JoinSet::new(),
        })
    }

    /// Adds a chunk of the store, once.
    pub(super) async fn add(&mut self, local: &LocalStore, hash: Hash) -> Result<()> {
        // Eight bytes tell chunks apart; if they ever fail to, the result lacks one and is a miss.
        let short = u64::from_le_bytes(*hash.0.first_chunk().expect("a hash has 32 bytes"));
        if !self.seen.insert(short) {
            return Ok(());
        }
        self.buffer.clear();
        local.read_chunk(&hash, &mut self.buffer)?;
        if self.frame.is_full_for(self.buffer.len()) {
            self.end_frame()?;
            if self.pack.len() >= self.limit {
                self.end_pack().await?;
            }
        }
        self.frame.push(hash, &self.buffer);
        Ok(())
    }

    /// What comes next begins a frame.
    pub(super) fn end_frame(&mut self) -> Result<()> {
        let compress = |error| Error::from_io(error, "compress");
        let Some(seal) = &self.tier.seal else {
            self.spans.extend(self.frame.finish(&mut self.pack).map_err(compress)?);
            return Ok(());
        };
        let mut plain = Vec::new();
        if let Some(span) = self.frame.finish(&mut plain).map_err(compress)? {
            seal.seal_frame(&plain, &mut self.pack);
            self.spans.push(FrameSpan { length: span.length + Seal::FRAME_ADDS as u32, ..span });
        }
        Ok(())
    }

    async fn end_pack(&mut self) -> Result<()> {
        if self.spans.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        let bytes = Bytes::from(std::mem::replace(&mut self.pack, self.salt.clone()));
        let start = self.salt.len() as u64;
        let spans = std::mem::take(&mut self.spans);
        let (shelf, namespace) = (self.tier.shelf.clone(), self.namespace.to_owned());
        self.writing.spawn(async move {
            let (begun, length) = (Instant::now(), bytes.len());
            let pack = shelf.write_pack(&namespace, bytes).await?;
            let took = begun.elapsed();
            let mut offset = start;
            let frames = spans.into_iter().map(|span| {
                let frame = FrameRef { pack, offset, length: span.length };
                offset += u64::from(span.length);
                (frame, span.chunks)
            });
            Ok(Done { frames: frames.collect(), bytes: length, took })
        });
        Ok(())
    }

    /// Waits for what is being written.
    async fn settle(&mut self) -> Result<()> {
        while let Some(written) = self.writing.join_next().await {
            let lost = |error: tokio::task::JoinError| {
                Error::new(ErrorKind::Unavailable, "write a pack").with_message(error.to_string())
            };
            let done = written.map_err(lost)??;
            let pace = done.bytes as f64 * PACE.as_secs_f64() / done.took.as_secs_f64().max(1e-6);
            self.limit = (pace as usize).clamp(SMALLEST, LARGEST);
            self.done.extend(done.frames);
        }
        Ok(())
    }

    /// Waits until everything is written; answers the frames in their order.
    pub(super) async fn finish(mut self) -> Result<Vec<Framed>> {
        self.end_frame()?;
        self.end_pack().await?;
        self.settle().await?;
        Ok(self.done)
    }
}
