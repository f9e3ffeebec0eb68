//! Content from packs into the store.
//!
//! A result says in which frames its chunks are. Frames that hold something that the store lacks are fetched, those that
//! lie close to each other with one request, and several requests at once; each frame is proven before it is kept. Chunk
//! lists come first, level by level, so that of a large blob only the chunks that changed are fetched. The content
//! follows in batches: memory does not grow with what is fetched.

use std::collections::{BTreeSet, HashMap};

use futures::stream::{self, StreamExt};
use larder_core::chunk_list::{MAX_LEVELS, Root};
use larder_core::{Chunk, Digest, Error, ErrorKind, Hash, Result};
use larder_store::Store;
use larder_store::local::{LocalStore, Writer};

use super::stored::{Fingerprint, FrameRef, Stored, fingerprint};
use super::{PackedTier, ROOM};

/// Frames with at most this between them come with one request.
const GAP: u64 = 64 << 10;
/// No request asks for more, save for a single frame.
const SPAN: u64 = 4 << 20;
/// Requests at once.
const AT_ONCE: usize = 8;
/// Content that is looked at before what it lacks is fetched.
const BATCH: u64 = 64 << 20;

/// Where the chunks of a result are.
pub(crate) struct Content<'a> {
    tier: &'a PackedTier,
    namespace: &'a str,
    frames: Vec<FrameRef>,
    by_print: HashMap<Fingerprint, Vec<u32>>,
    fetched: Vec<bool>,
}

impl<'a> Content<'a> {
    pub(crate) fn new(tier: &'a PackedTier, namespace: &'a str, stored: &Stored) -> Self {
        let mut frames = Vec::new();
        let mut by_print: HashMap<Fingerprint, Vec<u32>> = HashMap::new();
        stored.frames(&mut |frame, prints| {
            for print in prints {
                let places = by_print.entry(*print).or_default();
                if places.last() != Some(&(frames.len() as u32)) {
                    places.push(frames.len() as u32);
                }
            }
            frames.push(frame);
        });
        let fetched = vec![false; frames.len()];
        Self { tier, namespace, frames, by_print, fetched }
    }

    /// The only frame that a chunk can be in; nothing if there are several.
    pub(crate) fn frame_of(&self, hash: &Hash) -> Option<FrameRef> {
        match self.by_print.get(&fingerprint(hash)).map(Vec::as_slice) {
            Some([only]) => self.frames.get(*only as usize).copied(),
            _ => None,
        }
    }

    /// Brings `missing` into the store; `roots` says what each of `needs` is rebuilt from.
    pub(crate) async fn bring(
        &mut self,
        store: &Store,
        needs: &[Digest],
        roots: &[Root],
        missing: &[Digest],
    ) -> Result<()> {
        let local = store.local_store();
        let mut writer = local.writer(store.namespace())?;
        let by_digest: HashMap<&Digest, &Root> = needs.iter().zip(roots).collect();
        let wanted: Vec<(&Digest, &Root)> =
            missing.iter().filter_map(|digest| Some((digest, *by_digest.get(digest)?))).collect();
        let leaves = self.lists(local, &mut writer, wanted.iter().map(|(_, root)| **root)).await?;
        let mut batch = Vec::new();
        let mut size = 0;
        for leaf in &leaves {
            size += leaf.chunk().length;
            match leaf {
                Root::List(entry) => {
                    batch.extend(local.read_node(entry, MAX_LEVELS as u8)?.entries.iter().map(|c| c.hash));
                }
                other => batch.push(other.chunk().hash),
            }
            if size >= BATCH {
                self.chunks(local, &mut writer, &batch).await?;
                batch.clear();
                size = 0;
            }
        }
        self.chunks(local, &mut writer, &batch).await?;
        for (digest, root) in wanted {
            writer.put_root(digest, root)?;
        }
        writer.commit().map(drop)
    }

    /// Brings the chunk lists of `roots`; answers the nodes of the lowest level and the single chunks, in order.
    pub(crate) async fn lists(
        &mut self,
        local: &LocalStore,
        writer: &mut Writer<'_>,
        roots: impl Iterator<Item = Root>,
    ) -> Result<Vec<Root>> {
        let mut open: Vec<Root> = roots.collect();
        for above in (0..=MAX_LEVELS as u8).rev() {
            let nodes: Vec<Hash> = open.iter().filter_map(node).map(|entry| entry.hash).collect();
            self.chunks(local, writer, &nodes).await?;
            let mut next = Vec::with_capacity(open.len());
            let mut deeper = false;
            for root in open {
                let Some(entry) = node(&root) else {
                    next.push(root);
                    continue;
                };
                let list = local.read_node(&entry, above.max(1))?;
                if list.level == 0 {
                    next.push(root);
                } else {
                    deeper = true;
                    next.extend(list.entries.into_iter().map(Root::List));
                }
            }
            open = next;
            if !deeper {
                return Ok(open);
            }
        }
        Err(Error::new(ErrorKind::Corrupt, "read a chunk list").with_message("it has too many levels"))
    }

    /// Brings those of `hashes` that the store lacks.
    async fn chunks(&mut self, local: &LocalStore, writer: &mut Writer<'_>, hashes: &[Hash]) -> Result<()> {
        let mut absent: Vec<Hash> = hashes.iter().filter(|hash| !local.has_chunk(hash)).copied().collect();
        // Two chunks may share a fingerprint: then the first frame may be the wrong one.
        while !absent.is_empty() {
            let mut frames = BTreeSet::new();
            for hash in &absent {
                let places = self.by_print.get(&fingerprint(hash)).map(Vec::as_slice).unwrap_or_default();
                let next = places.iter().find(|place| !self.fetched[**place as usize]);
                let next = next.ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, "read content")
                        .with_message("the result does not say where a chunk of it is")
                        .with("tier", self.tier.shelf.name())
                })?;
                frames.insert(*next);
            }
            self.frames(writer, &frames).await?;
            writer.settle()?;
            absent.retain(|hash| !local.has_chunk(hash));
        }
        Ok(())
    }

    /// Fetches frames and keeps their chunks.
    async fn frames(&mut self, writer: &mut Writer<'_>, frames: &BTreeSet<u32>) -> Result<()> {
        let spans = spans(frames.iter().map(|at| (*at, self.frames[*at as usize])));
        let (tier, namespace) = (self.tier, self.namespace);
        let reads = spans.into_iter().map(|span| async move {
            let wanted =
                u32::try_from((span.end - span.start).div_ceil(1 << 20)).unwrap_or(ROOM).clamp(1, ROOM);
            let room = tier.room.clone().acquire_many_owned(wanted).await.expect("nobody closes it");
            let read = tier.shelf.read_pack(namespace, &span.pack, span.start..span.end).await;
            let read = read.map_err(|error| match error.kind() {
                ErrorKind::NotFound => error.with_hint("the tier has the result, and not its content"),
                _ => error,
            });
            read.map(|bytes| (span, bytes, room))
        });
        let mut reads = stream::iter(reads).buffer_unordered(AT_ONCE);
        while let Some(read) = reads.next().await {
            let (span, bytes, _room) = read?;
            for at in &span.frames {
                let frame = self.frames[*at as usize];
                let start = (frame.offset - span.start) as usize;
                let stored = bytes.get(start..start + frame.length as usize);
                let put = stored.map(|stored| put_frame(tier, writer, stored)).transpose()?.unwrap_or(false);
                if !put {
                    return Err(Error::new(ErrorKind::Corrupt, "read content")
                        .with_message("a frame is not what the result says")
                        .with("tier", tier.shelf.name()));
                }
                self.fetched[*at as usize] = true;
            }
        }
        Ok(())
    }
}

/// Keeps the chunks of a frame as it lies in a pack; whether it was one, and of this length.
fn put_frame(tier: &PackedTier, writer: &mut Writer<'_>, stored: &[u8]) -> Result<bool> {
    match &tier.seal {
        None => Ok(writer.put_frame(stored)? == stored.len()),
        Some(seal) => match seal.open_frame(stored) {
            Some(frame) => Ok(writer.put_frame(&frame)? == frame.len()),
            None => Ok(false),
        },
    }
}

fn node(root: &Root) -> Option<Chunk> {
    match root {
        Root::List(entry) => Some(*entry),
        Root::Chunk(_) | Root::Whole(_) => None,
    }
}

/// Bytes of a pack that are read at once.
struct Span {
    pack: Hash,
    start: u64,
    end: u64,
    frames: Vec<u32>,
}

/// Puts neighbours together.
fn spans(frames: impl Iterator<Item = (u32, FrameRef)>) -> Vec<Span> {
    let mut frames: Vec<(u32, FrameRef)> = frames.collect();
    frames.sort_by_key(|(_, frame)| (frame.pack, frame.offset));
    let mut spans: Vec<Span> = Vec::new();
    for (at, frame) in frames {
        let end = frame.offset + u64::from(frame.length);
        match spans.last_mut() {
            Some(span)
                if span.pack == frame.pack
                    && frame.offset <= span.end + GAP
                    && end.max(span.end) - span.start <= SPAN =>
            {
                span.end = span.end.max(end);
                span.frames.push(at);
            }
            _ => spans.push(Span { pack: frame.pack, start: frame.offset, end, frames: vec![at] }),
        }
    }
    spans
}

/// Frames that lie so close to each other that they are read together, whatever their size.
pub(crate) fn neighbours(frames: impl Iterator<Item = FrameRef>) -> Vec<Vec<FrameRef>> {
    let mut frames: Vec<FrameRef> = frames.collect();
    frames.sort_by_key(|frame| (frame.pack, frame.offset));
    let mut places: Vec<Vec<FrameRef>> = Vec::new();
    for frame in frames {
        let near = |last: &FrameRef| {
            last.pack == frame.pack && frame.offset <= last.offset + u64::from(last.length) + GAP
        };
        match places.last_mut() {
            Some(place) if place.last().is_some_and(near) => place.push(frame),
            _ => places.push(vec![frame]),
        }
    }
    places
}
