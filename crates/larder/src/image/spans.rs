//! Parts of layers' tar streams in the store: partial blobs, named by the tar streams' digests.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use larder_core::{Digest, DigestFunction};
use larder_oci::OciDigest;
use larder_oci::image::SpanCache;
use larder_oci::toc::LayerInfo;
use larder_store::Store;
use larder_store::local::partial::PartialBlob;

/// Keeps spans of layers in the store, as partial blobs that are named by their tar streams' digests.
pub struct StoreSpans {
    store: Store,
    open: Mutex<HashMap<OciDigest, Option<Arc<PartialBlob>>>>,
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

    fn blob(&self, layer: &LayerInfo) -> Option<Arc<PartialBlob>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || partial(&self.store, layer).map(Arc::new);
        open.entry(layer.diff_id).or_insert_with(make).clone()
    }
}

fn tar_digest(layer: &LayerInfo) -> Option<Digest> {
    Some(Digest { function: DigestFunction::Sha256, hash: layer.diff_id.as_sha256()?, size: layer.size })
}

fn partial(store: &Store, layer: &LayerInfo) -> Option<PartialBlob> {
    let opened = store.local_store().partial_blob(store.namespace(), &tar_digest(layer)?);
    opened.inspect_err(|error| tracing::warn!(%error, "a layer's parts cannot be kept")).ok()
}

/// How many bytes of a layer's tar stream are in the store.
#[must_use]
pub fn present(store: &Store, layer: &LayerInfo) -> u64 {
    let is_here = tar_digest(layer)
        .is_some_and(|digest| store.local_store().has_partial_blob(store.namespace(), &digest));
    if is_here { partial(store, layer).map_or(0, |blob| blob.present()) } else { 0 }
}

impl SpanCache for StoreSpans {
    fn get(&self, layer: &LayerInfo, bytes: Range<u64>) -> Option<Bytes> {
        self.blob(layer)?.read(bytes).map(Bytes::from)
    }

    fn put(&self, layer: &LayerInfo, at: u64, bytes: &[u8]) {
        let Some(blob) = self.blob(layer) else { return };
        if let Err(error) = blob.write(at, bytes) {
            tracing::warn!(%error, "a part of a layer cannot be kept");
        }
    }

    fn forget(&self, layer: &LayerInfo, bytes: Range<u64>) {
        if let Some(blob) = self.blob(layer) {
            blob.forget(&bytes);
        }
    }
}
