//! Layers' tar streams in the store: in parts, as partial blobs that are named by the tar streams' digests, and whole once all parts are here.
//!
//! The tar stream's digest stands in the image's configuration, so whoever has all of it knows whether it is right, whatever the table says. What turns out then:
//! it is right, and is a blob of the store from then on ([`Settled::Whole`]); bytes on the disk went bad, and are fetched again ([`Settled::Damaged`]); or every part is as the table
//! has it and the whole is not ([`Settled::TableLies`]): then nothing is read by that table any more.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use larder_core::{Digest, DigestFunction, Hash, Result};
use larder_oci::OciDigest;
use larder_oci::image::SpanCache;
use larder_oci::toc::{LayerInfo, LayerToc};
use larder_store::Store;
use larder_store::local::complete::Completed;
use larder_store::local::partial::PartialBlob;

/// Keeps spans of layers in the store.
pub struct StoreSpans {
    store: Store,
    open: Mutex<HashMap<OciDigest, Arc<Kept>>>,
}

/// What is kept of a layer.
struct Kept {
    place: Place,
    /// The tables by which it must not be read.
    refused: Vec<[u8; 32]>,
}

enum Place {
    /// It cannot be kept.
    Nowhere,
    Parts(PartialBlob),
    Whole(Digest),
}

/// What became of a layer of which parts were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Parts are missing, or nothing was read of it.
    NotYet,
    /// All of it is here, with the digest that the image names.
    Whole,
    /// Some parts were not what they should be, and are forgotten.
    Damaged,
    /// Its table is not true. What was kept is dropped, and nothing is read by that table any more.
    TableLies,
}

impl std::fmt::Debug for StoreSpans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSpans").finish_non_exhaustive()
    }
}

impl StoreSpans {
    /// Keeps them in `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, open: Mutex::default() }
    }

    fn layer(&self, layer: &LayerInfo) -> Arc<Kept> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(layer.diff_id).or_insert_with(|| Arc::new(self.look(layer))).clone()
    }

    fn look(&self, layer: &LayerInfo) -> Kept {
        let nowhere = || Kept { place: Place::Nowhere, refused: Vec::new() };
        let Some(digest) = tar_digest(layer) else { return nowhere() };
        let (local, namespace) = (self.store.local_store(), self.store.namespace());
        let refused = local.refused(namespace, &digest);
        if local.use_blob(namespace, &digest).unwrap_or(false) {
            return Kept { place: Place::Whole(digest), refused };
        }
        let opened = local.partial_blob(namespace, &digest);
        let opened = opened.inspect_err(|error| tracing::warn!(%error, "a layer's parts cannot be kept"));
        Kept { place: opened.map_or(Place::Nowhere, Place::Parts), refused }
    }

    fn look_again(&self, layer: &LayerInfo) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&layer.diff_id);
    }

    /// Makes a layer whose last part came a blob of the store. Reads it once, if so; to be called when nobody waits for content.
    ///
    /// # Errors
    /// When the store cannot be read or written. What was kept is as it was then.
    pub fn settle(&self, table: &LayerToc) -> Result<Settled> {
        let layer = table.info();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&layer.diff_id).cloned();
        let (Some(kept), Some(digest)) = (open, tar_digest(layer)) else { return Ok(Settled::NotYet) };
        let Place::Parts(parts) = &kept.place else { return Ok(Settled::NotYet) };
        if !parts.is_complete() {
            return Ok(Settled::NotYet);
        }
        let (local, namespace) = (self.store.local_store(), self.store.namespace());
        let settled = match local.complete_partial_blob(namespace, &digest)? {
            Completed::NotYet => return Ok(Settled::NotYet),
            Completed::Whole => Settled::Whole,
            Completed::Wrong if forget_wrong(parts, table) > 0 => Settled::Damaged,
            Completed::Wrong => {
                local.refuse(namespace, &digest, &table.identity().0)?;
                local.forget_partial_blob(namespace, &digest)?;
                Settled::TableLies
            }
        };
        self.look_again(layer);
        Ok(settled)
    }

    /// Whether the whole blob has the digest that it is named by.
    fn proves(&self, digest: &Digest) -> bool {
        let mut hasher = digest.function.hasher();
        let read = self.store.read(digest, 0..digest.size, &mut |piece| {
            hasher.update(piece);
            Ok(())
        });
        read.is_ok() && hasher.finish() == *digest
    }

    /// Bytes of the whole blob are not what a table says: one of the two is wrong.
    fn judge(&self, digest: &Digest, table: &LayerToc) -> Result<()> {
        let (local, namespace) = (self.store.local_store(), self.store.namespace());
        if self.proves(digest) {
            local.refuse(namespace, digest, &table.identity().0)
        } else {
            tracing::warn!(%digest, "a layer is damaged in the store, and is fetched again");
            local.forget_blobs(namespace, &[*digest]).map(drop)
        }
    }
}

/// The spans that are here, and are not what the table says.
pub(super) fn wrong(parts: &PartialBlob, table: &LayerToc) -> Vec<usize> {
    let is_wrong = |span: &usize| {
        let bytes = parts.read(table.bytes_of(*span));
        bytes.is_some_and(|bytes| Hash::blake3(&bytes).0 != *table.digest_of(*span))
    };
    (0..table.spans().len()).filter(is_wrong).collect()
}

/// Forgets the parts that are not what the table says, and answers how many there were.
pub(super) fn forget_wrong(parts: &PartialBlob, table: &LayerToc) -> usize {
    let wrong = wrong(parts, table);
    wrong.iter().for_each(|span| parts.forget(&table.bytes_of(*span)));
    wrong.len()
}

/// The digest by which the store knows a layer's tar stream.
pub(super) fn tar_digest(layer: &LayerInfo) -> Option<Digest> {
    Some(Digest { function: DigestFunction::Sha256, hash: layer.diff_id.as_sha256()?, size: layer.size })
}

/// How many bytes of a layer's tar stream are in the store.
#[must_use]
pub fn present(store: &Store, layer: &LayerInfo) -> u64 {
    let Some(digest) = tar_digest(layer) else { return 0 };
    if store.find_missing(&[digest]).is_ok_and(|missing| missing.is_empty()) {
        return layer.size;
    }
    let entries = store.local_store().partial_blobs(Some(store.namespace())).unwrap_or_default();
    let entry = entries.iter().find(|entry| entry.digest == digest);
    entry.and_then(|entry| entry.open().ok()).map_or(0, |parts| parts.present())
}

impl SpanCache for StoreSpans {
    fn get(&self, layer: &LayerInfo, bytes: Range<u64>) -> Option<Bytes> {
        match &self.layer(layer).place {
            Place::Nowhere => None,
            Place::Parts(parts) => parts.read(bytes).map(Bytes::from),
            Place::Whole(digest) => {
                let mut read = Vec::with_capacity(usize::try_from(bytes.end - bytes.start).ok()?);
                let done = self.store.read(digest, bytes, &mut |piece| {
                    read.extend_from_slice(piece);
                    Ok(())
                });
                if let Err(error) = done {
                    tracing::debug!(%error, %digest, "a layer cannot be read from the store");
                    return None;
                }
                Some(read.into())
            }
        }
    }

    fn put(&self, layer: &LayerInfo, at: u64, bytes: &[u8]) {
        let Place::Parts(parts) = &self.layer(layer).place else { return };
        if let Err(error) = parts.write(at, bytes) {
            tracing::warn!(%error, "a part of a layer cannot be kept");
        }
    }

    fn forget(&self, layer: &LayerToc, bytes: Range<u64>) {
        match &self.layer(layer.info()).place {
            Place::Nowhere => {}
            Place::Parts(parts) => parts.forget(&bytes),
            Place::Whole(digest) => {
                if let Err(error) = self.judge(digest, layer) {
                    tracing::warn!(%error, "what is wrong with a layer cannot be noted");
                }
                self.look_again(layer.info());
            }
        }
    }

    fn is_refused(&self, layer: &LayerToc) -> bool {
        self.layer(layer.info()).refused.contains(&layer.identity().0)
    }
}
