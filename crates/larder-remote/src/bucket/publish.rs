//! A result and its content into a bucket: packs first, then the result, then the note of its recipe.
//!
//! What the recent results of the same recipe hold is not written again: their frames are named by the new result. How
//! the new result differs is known from chunk lists, which this machine has when it made or fetched the old one, and
//! fetches otherwise (they are a two-hundredth of the content). Packs that are marked for deletion are never named.
//!
//! A result must stay quick to read: when naming old frames would scatter it over more than [`MOST_PLACES`] places, the
//! smallest of them are written again.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::chunk_list::Root;
use larder_core::{Digest, Error, ErrorKind, Hash, Result};
use larder_reapi::{ActionResult, Message};
use larder_store::action::needs;
use larder_store::local::LocalStore;
use larder_store::local::transfer::{FrameBuilder, FrameSpan, Part};
use larder_store::{ActionDigest, Store, envelope};

use super::BucketTier;
use super::fetch::{Content, neighbours};
use super::names::Names;
use super::objects::Created;
use super::stored::{FrameRef, LARGEST, Stored, fingerprint};
use crate::tier::{Publication, Receipt};

/// A pack is written when it has this much.
const PACK: usize = 8 << 20;
/// Packs of one result that are being written while the next is filled.
const PACKS_AT_ONCE: usize = 1;
/// Places of earlier packs that one result names at most.
const MOST_PLACES: usize = 32;
/// Recent results of a recipe that are remembered.
const RECENT: usize = 4;
/// Of those, how many a new result is compared with.
const COMPARED: usize = 2;
/// Bytes of the note of a recipe at most.
const LARGEST_NOTE: u64 = 4096;

pub(super) async fn publish(tier: &BucketTier, publication: &Publication<'_>) -> Result<Receipt> {
    let names = tier.names(publication.store.namespace());
    let path = names.result(publication.action);
    let receipt = |present| Receipt { sent: tier.objects.moved_here(), present };
    if !publication.replace && tier.objects.exists(&path).await? {
        return Ok(receipt(true));
    }
    let local = publication.store.local_store();
    let roots = roots(publication)?;
    let recent = recent(tier, &names, publication.label).await;
    // Where something proved bad, nothing that lies there is relied on.
    let known = match publication.replace {
        true => HashMap::new(),
        false => known(tier, &names, publication.store, &recent, publication.action).await,
    };
    let known = affordable(local, &roots, known)?;

    let mut stored = Stored {
        envelope: publication.envelope.clone(),
        trees: publication.trees.to_vec(),
        label: publication.label.to_owned(),
        ..Stored::default()
    };
    stored.set_roots(publication.needs, &roots);
    let mut packer = Packer::new(tier, &names, tier.level)?;
    // Lists first, and by themselves: they are read first, and alone.
    for lists in [true, false] {
        for root in roots.iter().flatten() {
            let mut parts = Vec::new();
            local.visit_parts(root, &mut |part| {
                if matches!(part, Part::Node(_)) == lists && !known.contains_key(&part.chunk().hash) {
                    parts.push(part.chunk().hash);
                }
            })?;
            for hash in parts {
                packer.add(local, hash).await?;
            }
        }
        packer.end_frame()?;
    }
    for (frame, chunks) in packer.finish().await? {
        stored.add_frame(&frame, chunks.iter().map(fingerprint));
    }
    for (frame, chunks) in by_frame(known) {
        stored.add_frame(&frame, chunks.iter().map(fingerprint));
    }
    let object = stored.encode_object().map_err(|error| Error::from_io(error, "write a result"))?;
    if publication.replace || !tier.honours_create().await {
        tier.objects.put(&path, object.into()).await?;
    } else if tier.objects.create(&path, object.into()).await? == Created::Present {
        return Ok(receipt(true));
    }
    note(tier, &names, publication, recent).await;
    Ok(receipt(false))
}

/// What each blob is rebuilt from; nothing for trees, which the result carries.
fn roots(publication: &Publication<'_>) -> Result<Vec<Option<Root>>> {
    let (store, local) = (publication.store, publication.store.local_store());
    let carried: HashSet<Digest> =
        publication.trees.iter().map(|tree| publication.action.function().digest(tree)).collect();
    let root = |digest: &Digest| {
        if carried.contains(digest) || digest.size == 0 {
            return Ok(None);
        }
        let gone = || Error::new(ErrorKind::NotFound, "publish a result").with("digest", digest);
        local.chunked(store.namespace(), digest)?.ok_or_else(gone).map(Some)
    };
    publication.needs.iter().map(root).collect()
}

/// The recent results of a recipe, newest first. None if they cannot be read: then all is written.
async fn recent(tier: &BucketTier, names: &Names, label: &str) -> Vec<ActionDigest> {
    let note = match tier.objects.get(&names.recipe(label), LARGEST_NOTE).await {
        Ok(note) => note.unwrap_or_default(),
        Err(error) => {
            tracing::debug!(%error, "the note of a recipe cannot be read");
            Bytes::new()
        }
    };
    let lines = str::from_utf8(&note).unwrap_or_default().lines();
    lines.filter_map(|line| line.parse().ok()).map(ActionDigest).take(RECENT).collect()
}

/// Notes this result as its recipe's newest. Without the note the next one is only larger.
async fn note(tier: &BucketTier, names: &Names, publication: &Publication<'_>, recent: Vec<ActionDigest>) {
    let mut lines = vec![publication.action.to_string()];
    lines.extend(recent.iter().filter(|action| *action != publication.action).map(ActionDigest::to_string));
    lines.truncate(RECENT);
    lines.push(String::new());
    if let Err(error) = tier.objects.put(&names.recipe(publication.label), lines.join("\n").into()).await {
        tracing::debug!(%error, "the note of a recipe cannot be written");
    }
}

/// Where the chunks of recent results are.
async fn known(
    tier: &BucketTier,
    names: &Names,
    store: &Store,
    recent: &[ActionDigest],
    this: &ActionDigest,
) -> HashMap<Hash, FrameRef> {
    let mut known = HashMap::new();
    let others: Vec<_> = recent.iter().filter(|action| *action != this).take(COMPARED).collect();
    if others.is_empty() {
        return known;
    }
    let marked = match tier.marked(names).await {
        Ok(marked) => marked,
        Err(error) => {
            tracing::debug!(%error, "marks cannot be read; everything is written");
            return known;
        }
    };
    for action in others {
        match chunks_of(tier, names, store, action).await {
            Ok(chunks) => {
                for (hash, frame) in chunks {
                    if !marked.contains(&frame.pack) {
                        known.entry(hash).or_insert(frame);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "an earlier result cannot be compared with"),
        }
    }
    known
}

/// Where the chunks of one result are, by their whole hashes.
async fn chunks_of(
    tier: &BucketTier,
    names: &Names,
    store: &Store,
    action: &ActionDigest,
) -> Result<Vec<(Hash, FrameRef)>> {
    let Some(object) = tier.objects.get(&names.result(action), LARGEST as u64).await? else {
        return Ok(Vec::new());
    };
    let malformed = || Error::new(ErrorKind::Corrupt, "read a result");
    let stored = Stored::decode_object(&object).ok_or_else(malformed)?;
    // Who signed it does not matter here: nothing of it is given to anybody.
    let payload = envelope::payload_unjudged(&stored.envelope).map_err(|_| malformed())?;
    let result = ActionResult::decode(payload).map_err(|error| malformed().caused_by(error))?;
    let function = action.function();
    let mut trees: HashMap<Digest, &Bytes> = HashMap::new();
    for tree in &stored.trees {
        trees.insert(function.digest(tree), tree);
    }
    let needs = needs(function, &result, &mut |digest| {
        trees.get(digest).map(|tree| tree.to_vec()).ok_or_else(malformed)
    })?;
    let roots = stored.roots(&needs);
    let mut content = Content::new(&tier.objects, names, &stored);
    let local = store.local_store();
    let mut writer = local.writer(store.namespace())?;
    let listed = needs.iter().zip(&roots).filter(|(digest, _)| !trees.contains_key(digest));
    let roots: Vec<Root> = listed.map(|(_, root)| *root).collect();
    content.lists(local, &mut writer, roots.iter().copied()).await?;
    let mut found = Vec::new();
    for root in &roots {
        local.visit_parts(root, &mut |part| {
            let hash = part.chunk().hash;
            found.extend(content.frame_of(&hash).map(|frame| (hash, frame)));
        })?;
    }
    writer.commit()?;
    Ok(found)
}

/// Of the known chunks, those that this result needs and that are worth to be named.
fn affordable(
    local: &LocalStore,
    roots: &[Option<Root>],
    mut known: HashMap<Hash, FrameRef>,
) -> Result<HashMap<Hash, FrameRef>> {
    if known.is_empty() {
        return Ok(known);
    }
    let mut needed = HashSet::new();
    for root in roots.iter().flatten() {
        local.visit_parts(root, &mut |part| {
            needed.insert(part.chunk().hash);
        })?;
    }
    known.retain(|hash, _| needed.contains(hash));
    let frames: HashSet<FrameRef> = known.values().copied().collect();
    let mut places = neighbours(frames.into_iter());
    if places.len() > MOST_PLACES {
        let size = |place: &Vec<FrameRef>| place.iter().map(|frame| u64::from(frame.length)).sum::<u64>();
        places.sort_by_key(|place| std::cmp::Reverse(size(place)));
        places.truncate(MOST_PLACES);
        let kept: HashSet<FrameRef> = places.into_iter().flatten().collect();
        known.retain(|_, frame| kept.contains(frame));
    }
    Ok(known)
}

/// The frames that hold `known`, in the order of their packs.
fn by_frame(known: HashMap<Hash, FrameRef>) -> Vec<(FrameRef, Vec<Hash>)> {
    let mut frames: HashMap<FrameRef, Vec<Hash>> = HashMap::new();
    for (hash, frame) in known {
        frames.entry(frame).or_default().push(hash);
    }
    let mut frames: Vec<_> = frames.into_iter().collect();
    frames.sort_by_key(|(frame, _)| (frame.pack, frame.offset));
    frames
}

type Writing<'a> = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Writes chunks into packs, which are written to the bucket while others are filled.
struct Packer<'a> {
    tier: &'a BucketTier,
    names: &'a Names,
    frame: FrameBuilder,
    pack: Vec<u8>,
    spans: Vec<FrameSpan>,
    done: Vec<(FrameRef, Vec<Hash>)>,
    seen: HashSet<u64>,
    buffer: Vec<u8>,
    writing: FuturesUnordered<Writing<'a>>,
}

impl<'a> Packer<'a> {
    fn new(tier: &'a BucketTier, names: &'a Names, level: i32) -> Result<Self> {
        let frame = FrameBuilder::new(level).map_err(|error| Error::from_io(error, "compress"))?;
        Ok(Self {
            tier,
            names,
            frame,
            pack: Vec::new(),
            spans: Vec::new(),
            done: Vec::new(),
            seen: HashSet::new(),
            buffer: Vec::new(),
            writing: FuturesUnordered::new(),
        })
    }

    /// Adds a chunk of the store, once.
    async fn add(&mut self, local: &LocalStore, hash: Hash) -> Result<()> {
        // Eight bytes tell chunks apart; if they ever fail to, the result lacks one and is a miss.
        let short = u64::from_le_bytes(*hash.0.first_chunk().expect("a hash has 32 bytes"));
        if !self.seen.insert(short) {
            return Ok(());
        }
        self.buffer.clear();
        local.read_chunk(&hash, &mut self.buffer)?;
        if self.frame.is_full_for(self.buffer.len()) {
            self.end_frame()?;
            if self.pack.len() >= PACK {
                self.end_pack().await?;
            }
        }
        self.frame.push(hash, &self.buffer);
        Ok(())
    }

    fn end_frame(&mut self) -> Result<()> {
        let ended = self.frame.finish(&mut self.pack).map_err(|error| Error::from_io(error, "compress"))?;
        self.spans.extend(ended);
        Ok(())
    }

    async fn end_pack(&mut self) -> Result<()> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.pack));
        let pack = Hash::blake3(&bytes);
        let mut offset = 0;
        for span in self.spans.drain(..) {
            self.done.push((FrameRef { pack, offset, length: span.length }, span.chunks));
            offset += u64::from(span.length);
        }
        while self.writing.len() >= PACKS_AT_ONCE {
            self.writing.next().await.transpose()?;
        }
        let (objects, path) = (&self.tier.objects, self.names.pack(&pack));
        self.writing.push(Box::pin(async move { objects.put(&path, bytes).await }));
        Ok(())
    }

    /// Waits until everything is written; answers the frames in their order.
    async fn finish(mut self) -> Result<Vec<(FrameRef, Vec<Hash>)>> {
        self.end_frame()?;
        self.end_pack().await?;
        while let Some(written) = self.writing.next().await {
            written?;
        }
        Ok(self.done)
    }
}
