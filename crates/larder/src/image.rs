//! Images: where they come from, and their tables, which are kept in the store.
//!
//! A layer's table is the result of an action: its key is the version of format and rules, the span, and the layer's digests. So an image that
//! shares layers with another one shares their tables, and a table that is here is not made again.
//!
//! Everything here blocks.

use std::collections::HashMap;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use larder_core::{Digest, DigestFunction, Error};
use larder_oci::OciDigest;
use larder_oci::image::{ImageReference, ImageSource, LayoutSource, RegistrySource, SourceError, SpanCache};
use larder_oci::layer::DroppedXattr;
use larder_oci::manifest::{Descriptor, Platform};
use larder_oci::registry::{Credentials, Environment, Options, Proxy};
use larder_oci::toc::{self, ImageToc, IndexError, IndexOptions, LayerInfo, LayerToc, TocError};
use larder_remote::tiers::Runtime;
use larder_store::Store;
use larder_store::local::partial::PartialBlob;

use crate::Cache;

/// The most bytes of a table that are read from the store.
const LARGEST_TABLE: u64 = 1 << 30;
/// The output that a table is.
const OUTPUT: &str = "layer.toc";
/// What events and lists call the results.
const LABEL: &str = "image:layer";

/// The platform that this program runs on, in the words of images.
#[must_use]
pub fn host_platform() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "x86" => ("386", None),
        "arm" => ("arm", Some("v7".to_owned())),
        "powerpc64" => ("ppc64le", None),
        other => (other, None),
    };
    Platform { architecture: architecture.to_owned(), os: "linux".to_owned(), variant, ..Platform::default() }
}

/// An image's source: a registry with the logins that `environment` leads to, or a file.
///
/// # Errors
/// When a file cannot be read; of a registry nothing is asked yet.
pub fn source(
    reference: &ImageReference,
    environment: Environment,
    runtime: &Runtime,
) -> Result<Arc<dyn ImageSource>, ImageError> {
    let ImageReference::Registry(reference) = reference else {
        return Ok(Arc::new(LayoutSource::open(reference)?));
    };
    let mut options = Options::default();
    options.proxy = Proxy::from_environment(&environment, reference.host());
    options.credentials = Credentials::files(environment);
    Ok(Arc::new(RegistrySource::open(reference, options, runtime.handle()?)?))
}

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

/// An image that cannot be indexed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A layer cannot be indexed.
    #[error("the layer `{layer}` cannot be indexed")]
    Index {
        /// Which, by its digest.
        layer: String,
        /// Why.
        #[source]
        error: IndexError,
    },
    /// A table cannot be read or written.
    #[error(transparent)]
    Toc(#[from] TocError),
    /// The store or the runtime fails.
    #[error(transparent)]
    Store(#[from] Error),
}

impl ImageError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Source(error) => error.hint(),
            Self::Index { error, .. } => error.hint().to_owned(),
            Self::Toc(error) => error.hint().to_owned(),
            Self::Store(error) => error.hint().unwrap_or_default().to_owned(),
        }
    }
}

/// What happens while an image is indexed. Layers are counted from 0, bottom first; a layer that an image has twice is told once.
#[derive(Clone, Debug)]
pub enum Progress<'a> {
    /// The manifest was found.
    Layers(&'a [Descriptor]),
    /// A layer's table was in the store.
    Known(usize),
    /// So many bytes of a layer's blob were read.
    Read(usize, u64),
    /// A layer's table was made.
    Made(usize, &'a LayerToc),
    /// Attributes were dropped from a layer's entries.
    Dropped(usize, &'a [DroppedXattr]),
}

/// Makes tables of images.
#[derive(Clone, Debug)]
pub struct Indexer {
    cache: Option<Cache>,
    options: IndexOptions,
    parallel: NonZeroUsize,
    fresh: bool,
}

impl Indexer {
    /// An indexer that keeps tables in `cache`, if there is one.
    #[must_use]
    pub fn new(cache: Option<Cache>, options: IndexOptions) -> Self {
        let parallel = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { cache, options, parallel, fresh: false }
    }

    /// Makes every table anew, also what is known.
    #[must_use]
    pub fn fresh(self, fresh: bool) -> Self {
        Self { fresh, ..self }
    }

    /// Indexes an image: what is known is taken from the store, everything else read from front to back, layers in parallel.
    ///
    /// # Errors
    /// The first layer's that cannot be read or indexed. Tables that were made before stay in the store.
    pub fn index(
        &self,
        source: &dyn ImageSource,
        platform: &Platform,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<ImageToc, ImageError> {
        let found = source.manifest(platform)?;
        let config = source.content(&found.manifest.config)?;
        let diff_ids = toc::diff_ids(&config)?;
        if diff_ids.len() != found.manifest.layers.len() {
            return Err(TocError::Damaged(
                "the manifest and the configuration name different numbers of layers",
            )
            .into());
        }
        progress(Progress::Layers(&found.manifest.layers));
        let mut layers: Vec<(usize, &Descriptor, IndexOptions)> = Vec::new();
        for (at, (descriptor, diff_id)) in found.manifest.layers.iter().zip(diff_ids).enumerate() {
            if layers.iter().all(|(_, before, _)| before.digest != descriptor.digest) {
                let mut options = self.options.clone();
                options.blob = Some((descriptor.digest, descriptor.size));
                options.diff_id = Some(diff_id);
                layers.push((at, descriptor, options));
            }
        }
        // The largest first, so that no core waits for one at the end.
        layers.sort_by_key(|(at, descriptor, _)| (std::cmp::Reverse(descriptor.size), *at));
        let tables = self.all(source, &layers, progress)?;
        let of = |descriptor: &Descriptor| tables[&descriptor.digest].clone();
        let tables = found.manifest.layers.iter().map(of).collect();
        Ok(ImageToc::new(found.bytes, config, tables)?)
    }

    fn all(
        &self,
        source: &dyn ImageSource,
        layers: &[(usize, &Descriptor, IndexOptions)],
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<HashMap<OciDigest, LayerToc>, ImageError> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Result<HashMap<_, _>, ImageError>> = Mutex::new(Ok(HashMap::new()));
        let lock = || done.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.get().min(layers.len()) {
                scope.spawn(|| {
                    while let Some((at, descriptor, options)) =
                        layers.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        if lock().is_err() {
                            return;
                        }
                        let made = self.layer(source, *at, descriptor, options, progress);
                        let mut done = lock();
                        match made {
                            Ok(table) => {
                                drop(done.as_mut().map(|tables| tables.insert(descriptor.digest, table)))
                            }
                            Err(error) if done.is_ok() => *done = Err(error),
                            Err(_) => {}
                        }
                    }
                });
            }
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn layer(
        &self,
        source: &dyn ImageSource,
        at: usize,
        descriptor: &Descriptor,
        options: &IndexOptions,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<LayerToc, ImageError> {
        if !self.fresh
            && let Some(table) = self.known(options)
        {
            progress(Progress::Known(at));
            return Ok(table);
        }
        let reader = source.layer(descriptor)?;
        let made = toc::index_layer(reader, options, &mut |read| progress(Progress::Read(at, read)));
        let made = made.map_err(|error| ImageError::Index { layer: descriptor.digest.to_string(), error })?;
        if !made.dropped.is_empty() {
            progress(Progress::Dropped(at, &made.dropped));
        }
        progress(Progress::Made(at, &made.toc));
        self.keep(options, &made.toc);
        Ok(made.toc)
    }

    /// The table of a layer, if it is in the store. Makes nothing.
    #[must_use]
    pub fn known_table(&self, layer: &Descriptor, diff_id: OciDigest) -> Option<LayerToc> {
        let mut options = self.options.clone();
        options.blob = Some((layer.digest, layer.size));
        options.diff_id = Some(diff_id);
        self.known(&options)
    }

    fn action(&self, cache: &Cache, options: &IndexOptions) -> Option<larder_reapi::Action> {
        let (Some((blob, size)), Some(diff_id)) = (&options.blob, &options.diff_id) else { return None };
        let arguments = [
            "larder image layer table".to_owned(),
            format!("rule {}", toc::RULE),
            format!("span {} {} {}", options.span.out, options.span.input, options.span.most),
            format!("blob {blob} {size}"),
            format!("tar {diff_id}"),
        ];
        Some(cache.action(arguments, std::iter::empty::<(&str, _)>()))
    }

    /// A layer's table, if it is in the store and is of that layer.
    fn known(&self, options: &IndexOptions) -> Option<LayerToc> {
        let cache = self.cache.as_ref()?;
        let hit = cache.lookup_as(&self.action(cache, options)?, LABEL).hit()?;
        let bytes = cache.read(&cache.output(&hit.result, OUTPUT)?, LARGEST_TABLE).ok()?;
        let table = LayerToc::open(Arc::new(Bytes::from(bytes))).ok()?;
        let info = table.info();
        let is_of_it = options.blob == Some((info.blob, info.blob_size))
            && options.diff_id == Some(info.diff_id)
            && info.entries <= options.limits.entries;
        is_of_it.then_some(table)
    }

    /// Keeps a table; that it cannot be kept is no reason to fail.
    fn keep(&self, options: &IndexOptions, table: &LayerToc) {
        let Some(cache) = &self.cache else { return };
        let Some(action) = self.action(cache, options) else { return };
        let mut bytes = Vec::new();
        let kept = table.write_to(&mut bytes).map_err(|error| error.to_string()).and_then(|_| {
            let digest = cache.put(&mut Cursor::new(&bytes)).map_err(|error| error.to_string())?;
            cache
                .record_as(&action, &cache.result([(OUTPUT, digest)]), LABEL)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "a layer's table cannot be kept");
        }
    }
}
