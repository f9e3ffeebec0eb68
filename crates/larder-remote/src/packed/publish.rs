//! A result and its content onto a shelf: packs first, then the result, then the note of its recipe.
//!
//! What the recent results of the same recipe hold is not written again: their frames are named by the new result. How
//! the new result differs is known from chunk lists, which this machine has when it made or fetched the old one, and
//! fetches otherwise (they are a two-hundredth of the content). Packs that are marked for deletion are never named.
//!
//! A result must stay quick to read: when naming old frames would scatter it over more than [`MOST_PLACES`] places, the
//! smallest of them are written again.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use larder_core::chunk_list::Root;
use larder_core::{Digest, Error, ErrorKind, Hash, Result};
use larder_reapi::{ActionResult, Message};
use larder_store::action::needs;
use larder_store::local::LocalStore;
use larder_store::local::transfer::Part;
use larder_store::{ActionDigest, Store, envelope};

use super::PackedTier;
use super::fetch::{Content, neighbours};
use super::packer::Packer;
use super::shelf::{About, Place, Presence, Written};
use super::stored::{FrameRef, Stored, fingerprint};
use crate::tier::{Publication, Receipt};

/// Places of earlier packs that one result names at most.
const MOST_PLACES: usize = 32;
/// Recent results of a recipe that are remembered.
const RECENT: usize = 4;
/// Of those, how many a new result is compared with.
const COMPARED: usize = 2;

pub(super) async fn publish(tier: &PackedTier, publication: &Publication<'_>) -> Result<Receipt> {
    let namespace = tier.shelved(publication.store.namespace());
    let namespace = &namespace[..];
    let place = tier.result_place(publication.store.namespace(), publication.action);
    let receipt = |present| Receipt { sent: tier.shelf.moved_here(), present };
    let mut publication = *publication;
    if !publication.replace {
        match tier.shelf.presence(&place).await? {
            Presence::Absent => {}
            Presence::Present => return Ok(receipt(true)),
            // It is in use: so that nobody deletes it for its age.
            Presence::Old if refresh(tier, &place, &publication).await? => return Ok(receipt(true)),
            Presence::Old => publication.replace = true,
        }
    }
    let publication = &publication;
    // What names no content has nothing that could be compared.
    let has_content = !publication.needs.is_empty();
    let recent = if has_content { recent(tier, namespace, publication.label).await } else { Vec::new() };
    // Where something proved bad, nothing that lies there is relied on.
    let known = match publication.replace {
        true => HashMap::new(),
        false => known(tier, publication.store, &recent, publication.action).await,
    };
    let written = match write(tier, &place, publication, known).await {
        // What an earlier result named is gone meanwhile: all is written.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            write(tier, &place, publication, HashMap::new()).await?
        }
        written => written?,
    };
    if written == Written::Present {
        return Ok(receipt(true));
    }
    if has_content {
        note(tier, namespace, publication, recent).await;
    }
    Ok(receipt(false))
}

/// Writes an old result anew, as it is; not if it is damaged or its content is about to go.
async fn refresh(tier: &PackedTier, place: &Place, publication: &Publication<'_>) -> Result<bool> {
    let Some(object) = tier.shelf.read(place).await? else { return Ok(false) };
    let packs = match tier.decode(place, &object.bytes) {
        Ok(stored) => stored.pack_names(),
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(false),
        Err(error) => return Err(error),
    };
    let doomed = tier.shelf.doomed(&place.namespace).await?;
    if packs.iter().any(|pack| doomed.contains(pack)) {
        return Ok(false);
    }
    let of = tier.shown(publication.label, publication.action);
    let about = About { packs: &packs, of, replace: true };
    tier.shelf.write(place, object.bytes, &about).await.map(|_| true)
}

/// Writes what of the content is not `known`, then the result.
async fn write(
    tier: &PackedTier,
    place: &Place,
    publication: &Publication<'_>,
    known: HashMap<Hash, FrameRef>,
) -> Result<Written> {
    let local = publication.store.local_store();
    let roots = roots(publication)?;
    let known = affordable(local, &roots, known)?;
    let mut stored = Stored {
        envelope: publication.envelope.clone(),
        trees: publication.trees.to_vec(),
        label: publication.label.to_owned(),
        ..Stored::default()
    };
    stored.set_roots(publication.needs, &roots);
    let mut packer = Packer::new(tier, &place.namespace, publication.replace)?;
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
    let packs = stored.pack_names();
    let of = tier.shown(publication.label, publication.action);
    let about = About { packs: &packs, of, replace: publication.replace };
    tier.shelf.write(place, tier.sealed(place, object), &about).await
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
async fn recent(tier: &PackedTier, namespace: &str, label: &str) -> Vec<ActionDigest> {
    let place = Place::note(namespace, label, tier.seal.as_ref());
    let note = match tier.shelf.read(&place).await {
        Ok(note) => note.map(|note| note.bytes).unwrap_or_default(),
        Err(error) => {
            tracing::debug!(%error, "the note of a recipe cannot be read");
            Bytes::new()
        }
    };
    let note = match &tier.seal {
        Some(seal) => seal.open_object(&place, &note).unwrap_or_default().into(),
        None => note,
    };
    let lines = str::from_utf8(&note).unwrap_or_default().lines();
    lines.filter_map(|line| line.parse().ok()).map(ActionDigest).take(RECENT).collect()
}

/// Notes this result as its recipe's newest. Without the note the next one is only larger.
async fn note(tier: &PackedTier, namespace: &str, publication: &Publication<'_>, recent: Vec<ActionDigest>) {
    let mut lines = vec![publication.action.to_string()];
    lines.extend(recent.iter().filter(|action| *action != publication.action).map(ActionDigest::to_string));
    lines.truncate(RECENT);
    lines.push(String::new());
    let place = Place::note(namespace, publication.label, tier.seal.as_ref());
    let object = tier.sealed(&place, lines.join("\n").into());
    let of = tier.shown(publication.label, publication.action);
    let about = About { replace: true, of, ..About::default() };
    if let Err(error) = tier.shelf.write(&place, object, &about).await {
        tracing::debug!(%error, "the note of a recipe cannot be written");
    }
}

/// Where the chunks of recent results are.
async fn known(
    tier: &PackedTier,
    store: &Store,
    recent: &[ActionDigest],
    this: &ActionDigest,
) -> HashMap<Hash, FrameRef> {
    let mut known = HashMap::new();
    let others: Vec<_> = recent.iter().filter(|action| *action != this).take(COMPARED).collect();
    if others.is_empty() {
        return known;
    }
    let marked = match tier.shelf.doomed(&tier.shelved(store.namespace())).await {
        Ok(marked) => marked,
        Err(error) => {
            tracing::debug!(%error, "marks cannot be read; everything is written");
            return known;
        }
    };
    for action in others {
        match chunks_of(tier, store, action).await {
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
async fn chunks_of(tier: &PackedTier, store: &Store, action: &ActionDigest) -> Result<Vec<(Hash, FrameRef)>> {
    let Some(stored) = tier.stored(&tier.result_place(store.namespace(), action)).await? else {
        return Ok(Vec::new());
    };
    let malformed = || Error::new(ErrorKind::Corrupt, "read a result");
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
    let namespace = tier.shelved(store.namespace());
    let mut content = Content::new(tier, &namespace, &stored);
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
