//! An image's tables: known, made by others, or made now.

use std::collections::HashMap;
use std::io::Seek;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use larder_oci::OciDigest;
use larder_oci::image::{Found, ImageSource};
use larder_oci::layout::ReadAt;
use larder_oci::manifest::{Descriptor, Platform};
use larder_oci::toc::{self, FileDigests, ImageToc, IndexOptions, LayerToc, TocError};
use larder_store::local::index::Origin;
use tempfile::{SpooledData, SpooledTempFile};

use super::remote_toc::{self, Foreign, ForeignTable, Offers, Provenance};
use super::{ImageError, Progress};
use crate::Cache;

/// The most bytes of a table that are read.
pub(super) const LARGEST_TABLE: u64 = 1 << 30;
/// The output that a table is.
pub(super) const OUTPUT: &str = "layer.toc";
/// The output that digests of files are, where they were asked for.
const FILES: &str = "files.digests";
/// The most bytes of those that are read.
const LARGEST_FILES: u64 = 256 << 20;
/// What events and lists call the results.
const LABEL: &str = "image:layer";
/// A table of more bytes is read from a file.
const IN_MEMORY: usize = 128 << 10;

/// Makes tables of images.
#[derive(Clone, Debug)]
pub struct Indexer {
    cache: Option<Cache>,
    options: IndexOptions,
    parallel: NonZeroUsize,
    fresh: bool,
    file_digests: bool,
    only_built: bool,
    foreign: Option<Foreign>,
    only_platform: bool,
}

/// What a layer's table was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same as one that was made now.
    Same,
    /// Another than one that was made now, which is kept in its place.
    Differs,
    /// There was none; one is kept now.
    Made,
}

/// A layer that was read from front to back, and its table with it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The layer.
    pub layer: Descriptor,
    /// Where the table comes from, if others made it.
    pub provenance: Option<Provenance>,
    /// What it is.
    pub verdict: Verdict,
}

/// A layer of an image with what is known of it.
struct Layer<'a> {
    at: usize,
    descriptor: &'a Descriptor,
    options: IndexOptions,
}

/// What is told of the progress.
type Tell<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

impl Indexer {
    /// An indexer that keeps tables in `cache`, if there is one.
    #[must_use]
    pub fn new(cache: Option<Cache>, options: IndexOptions) -> Self {
        let parallel = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            cache,
            options,
            parallel,
            fresh: false,
            file_digests: false,
            only_built: false,
            foreign: None,
            only_platform: false,
        }
    }

    /// Uses tables that others made, too, where none was made here.
    #[must_use]
    pub fn foreign(self, foreign: Foreign) -> Self {
        Self { foreign: Some(foreign), ..self }
    }

    /// Uses only tables that were made on this machine: those that this user can vouch for.
    #[must_use]
    pub fn only_built(self) -> Self {
        Self { only_built: true, foreign: None, ..self }
    }

    /// Refuses an image of one platform that is another than the one that is asked for.
    #[must_use]
    pub fn only_platform(self, only_platform: bool) -> Self {
        Self { only_platform, ..self }
    }

    /// Makes every table anew, also what is known.
    #[must_use]
    pub fn fresh(self, fresh: bool) -> Self {
        Self { fresh, ..self }
    }

    /// Sees to it that digests of files are there beside the tables: layers without are read.
    #[must_use]
    pub fn file_digests(self, file_digests: bool) -> Self {
        Self { file_digests, ..self }
    }

    /// Indexes an image: what is known is taken from the store, what others made from the registry, and everything else read from front to
    /// back, layers in parallel.
    ///
    /// # Errors
    /// The first layer's that cannot be read or indexed. Tables that were made before stay in the store.
    pub fn index(
        &self,
        source: &dyn ImageSource,
        platform: &Platform,
        progress: Tell<'_>,
    ) -> Result<ImageToc, ImageError> {
        let found = source.manifest(platform)?;
        let (config, layers) = self.layers(source, &found, platform, progress)?;
        let offers = Offers::new(source, &found);
        let tables = self.each(&layers, &|layer| self.layer(source, &offers, layer, progress))?;
        let of = |descriptor: &Descriptor| tables[&descriptor.digest].clone();
        let tables = found.manifest.layers.iter().map(of).collect();
        Ok(ImageToc::new(found.bytes, config, tables)?)
    }

    /// Reads every layer from front to back, checks its digests, makes its table anew by the same rule and span, and compares it with the one that
    /// [`Indexer::index`] would use. A layer that an image has twice is read once.
    ///
    /// # Errors
    /// The first layer's that cannot be read, or is not what its digests say.
    pub fn verify(
        &self,
        source: &dyn ImageSource,
        platform: &Platform,
        progress: Tell<'_>,
    ) -> Result<Vec<Checked>, ImageError> {
        let found = source.manifest(platform)?;
        let (_, layers) = self.layers(source, &found, platform, progress)?;
        let offers = Offers::new(source, &found);
        let mut checked = self.each(&layers, &|layer| self.check(source, &offers, layer, progress))?;
        Ok(found.manifest.layers.iter().filter_map(|layer| checked.remove(&layer.digest)).collect())
    }

    /// The configuration, and the layers: each once, the largest first, so that no core waits for one at the end.
    fn layers<'a>(
        &self,
        source: &dyn ImageSource,
        found: &'a Found,
        platform: &Platform,
        progress: Tell<'_>,
    ) -> Result<(Bytes, Vec<Layer<'a>>), ImageError> {
        let config = source.content(&found.manifest.config)?;
        if self.only_platform {
            found.check_platform(&config, platform)?;
        }
        let diff_ids = toc::diff_ids(&config)?;
        if diff_ids.len() != found.manifest.layers.len() {
            let why = "its manifest and its configuration name different numbers of layers";
            return Err(TocError::Image(why).into());
        }
        progress(Progress::Layers(&found.manifest.layers));
        let mut layers: Vec<Layer<'_>> = Vec::new();
        for (at, (descriptor, diff_id)) in found.manifest.layers.iter().zip(diff_ids).enumerate() {
            // Quadratic, in 512 layers at most.
            if layers.iter().all(|before| before.descriptor.digest != descriptor.digest) {
                layers.push(Layer { at, descriptor, options: self.options_of(descriptor, diff_id) });
            }
        }
        layers.sort_by_key(|layer| (std::cmp::Reverse(layer.descriptor.size), layer.at));
        Ok((config, layers))
    }

    fn options_of(&self, layer: &Descriptor, diff_id: OciDigest) -> IndexOptions {
        let mut options = self.options.clone();
        options.blob = Some((layer.digest, layer.size));
        options.diff_id = Some(diff_id);
        options
    }

    /// Does it for each layer, several at once; until the first error.
    fn each<T: Send>(
        &self,
        layers: &[Layer<'_>],
        work: &(dyn Fn(&Layer<'_>) -> Result<T, ImageError> + Sync),
    ) -> Result<HashMap<OciDigest, T>, ImageError> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Result<HashMap<_, _>, ImageError>> = Mutex::new(Ok(HashMap::new()));
        let lock = || done.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.get().min(layers.len()) {
                scope.spawn(|| {
                    while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if lock().is_err() {
                            return;
                        }
                        let made = work(layer);
                        let mut done = lock();
                        match made {
                            Ok(made) => {
                                drop(done.as_mut().map(|all| all.insert(layer.descriptor.digest, made)))
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
        offers: &Offers<'_>,
        layer: &Layer<'_>,
        progress: Tell<'_>,
    ) -> Result<LayerToc, ImageError> {
        if !self.fresh {
            let lacks_digests = || self.file_digests && self.digests_of(&layer.options).is_none();
            if let Some(table) = self.known(&layer.options).filter(|_| !lacks_digests()) {
                progress(Progress::Known(layer.at));
                return Ok(table);
            }
            let foreign = || self.kept(layer).or_else(|| self.offered(offers, layer, progress));
            if let Some(foreign) = (!self.file_digests).then(foreign).flatten() {
                progress(Progress::Foreign(layer.at, &foreign.provenance));
                return Ok(foreign.table);
            }
        }
        let made = self.make(source, layer, progress)?;
        if let Some(foreign) = self.kept(layer).filter(|foreign| !is_same(&foreign.table, &made)) {
            self.refuse(layer, &foreign, progress);
        }
        Ok(made)
    }

    /// Reads a layer from front to back, and keeps the table that comes of it.
    fn make(
        &self,
        source: &dyn ImageSource,
        layer: &Layer<'_>,
        progress: Tell<'_>,
    ) -> Result<LayerToc, ImageError> {
        let Layer { at, descriptor, options } = layer;
        let mut options = options.clone();
        // What was asked for once stays.
        options.file_digests = self.file_digests || self.digests_of(&options).is_some();
        let made = loop {
            let reader = source.layer(descriptor)?;
            let made = toc::index_layer(reader, &options, &mut |read| progress(Progress::Read(*at, read)));
            // What is wrong may be right elsewhere. Each time there is a place less.
            match made {
                Err(error) if error.may_be_right_elsewhere() && source.distrust(&descriptor.digest) => {}
                made => break made,
            }
        };
        let made = made.map_err(|error| ImageError::Index { layer: descriptor.digest.to_string(), error })?;
        if !made.dropped.is_empty() {
            progress(Progress::Dropped(*at, &made.dropped));
        }
        progress(Progress::Made(*at, &made.toc));
        Ok(self.keep(&options, &made.toc, made.file_digests).unwrap_or_else(|error| {
            tracing::warn!(%error, "a layer's table cannot be kept");
            made.toc
        }))
    }

    fn check(
        &self,
        source: &dyn ImageSource,
        offers: &Offers<'_>,
        layer: &Layer<'_>,
        progress: Tell<'_>,
    ) -> Result<Checked, ImageError> {
        let own = self.known(&layer.options);
        let foreign = match own {
            Some(_) => None,
            None => self.kept(layer).or_else(|| self.offered(offers, layer, progress)),
        };
        let made = self.make(source, layer, progress)?;
        let used = own.as_ref().or(foreign.as_ref().map(|foreign| &foreign.table));
        let verdict = match used {
            None => Verdict::Made,
            Some(used) if is_same(used, &made) => Verdict::Same,
            Some(_) => Verdict::Differs,
        };
        if let Some(foreign) = foreign.as_ref().filter(|_| verdict == Verdict::Differs) {
            self.refuse(layer, foreign, progress);
        }
        let provenance = foreign.map(|foreign| foreign.provenance);
        Ok(Checked { layer: layer.descriptor.clone(), provenance, verdict })
    }

    /// A table that others made, and that is in the store.
    fn kept(&self, layer: &Layer<'_>) -> Option<ForeignTable> {
        remote_toc::kept(self.cache.as_ref()?, self.foreign.as_ref()?, &layer.options)
    }

    /// A table that others made, and that is in the registry; it is in the store after that, if it is believed.
    fn offered(&self, offers: &Offers<'_>, layer: &Layer<'_>, progress: Tell<'_>) -> Option<ForeignTable> {
        let foreign = self.foreign.as_ref().filter(|foreign| foreign.ask)?;
        let table = match offers.table(foreign, &layer.options) {
            Ok(table) => table?,
            Err(why) => {
                progress(Progress::NotUsed(layer.at, &why));
                return None;
            }
        };
        if let Some(cache) = &self.cache {
            remote_toc::keep(cache, &layer.options, &table);
        }
        Some(table)
    }

    /// A table that others made is not what it should be.
    fn refuse(&self, layer: &Layer<'_>, foreign: &ForeignTable, progress: Tell<'_>) {
        progress(Progress::Differs(layer.at, &foreign.provenance));
        if let Some(cache) = &self.cache {
            remote_toc::forget(cache, &layer.options);
        }
    }

    /// The table of a layer, if it is in the store, and who made it if that was not done here. Makes nothing, asks nobody.
    #[must_use]
    pub fn known_table(
        &self,
        layer: &Descriptor,
        diff_id: OciDigest,
    ) -> Option<(LayerToc, Option<Provenance>)> {
        let options = self.options_of(layer, diff_id);
        if let Some(table) = self.known(&options) {
            return Some((table, None));
        }
        let kept = self.kept(&Layer { at: 0, descriptor: layer, options })?;
        Some((kept.table, Some(kept.provenance)))
    }

    /// The key of the result that a layer's table is, if it is in the store.
    #[must_use]
    pub fn kept_key(&self, layer: &Descriptor, diff_id: OciDigest) -> Option<Vec<u8>> {
        let (cache, options) = (self.cache.as_ref()?, self.options_of(layer, diff_id));
        if self.known(&options).is_some() {
            return Some(cache.digest_of(&self.action(cache, &options)?).key().to_vec());
        }
        self.kept(&Layer { at: 0, descriptor: layer, options: options.clone() })?;
        remote_toc::key(cache, &options)
    }

    fn action(&self, cache: &Cache, options: &IndexOptions) -> Option<larder_reapi::Action> {
        let words = ["larder image layer table".to_owned()];
        Some(cache.action(words.into_iter().chain(layer_words(options)?), std::iter::empty::<(&str, _)>()))
    }

    /// A layer's table, if it is in the store and is of that layer.
    fn known(&self, options: &IndexOptions) -> Option<LayerToc> {
        let cache = self.cache.as_ref()?;
        let action = self.action(cache, options)?;
        if self.only_built && !was_built(cache, &action) {
            return None;
        }
        let hit = cache.lookup_as(&action, LABEL).hit()?;
        let bytes = cache.read(&cache.output(&hit.result, OUTPUT)?, LARGEST_TABLE).ok()?;
        let table = LayerToc::open(Arc::new(Bytes::from(bytes))).ok()?;
        let info = table.info();
        let is_of_it = options.blob == Some((info.blob, info.blob_size))
            && options.diff_id == Some(info.diff_id)
            && info.entries <= options.limits.entries;
        is_of_it.then_some(table)
    }

    fn digests_of(&self, options: &IndexOptions) -> Option<FileDigests> {
        let cache = self.cache.as_ref()?;
        let hit = cache.lookup_as(&self.action(cache, options)?, LABEL).hit()?;
        let bytes = cache.read(&cache.output(&hit.result, FILES)?, LARGEST_FILES).ok()?;
        FileDigests::open(bytes, options.diff_id.as_ref()?).ok()
    }

    /// Digests of a layer's files, if they are in the store.
    #[must_use]
    pub fn known_file_digests(&self, layer: &Descriptor, diff_id: OciDigest) -> Option<FileDigests> {
        self.digests_of(&self.options_of(layer, diff_id))
    }

    /// Keeps a table, and answers the same one with all that is large in a file: an image may have a hundred of them.
    fn keep(
        &self,
        options: &IndexOptions,
        table: &LayerToc,
        files: Option<SpooledTempFile>,
    ) -> Result<LayerToc, Box<dyn std::error::Error>> {
        let mut file = tempfile::spooled_tempfile(IN_MEMORY);
        table.write_to(&mut file)?;
        if let Some(cache) = &self.cache
            && let Some(action) = self.action(cache, options)
        {
            file.rewind()?;
            let mut outputs = vec![(OUTPUT, cache.put(&mut file)?)];
            if let Some(mut files) = files {
                outputs.push((FILES, cache.put(&mut files)?));
            }
            cache.record_as(&action, &cache.result(outputs), LABEL)?;
        }
        let source: Arc<dyn ReadAt> = match file.into_inner() {
            SpooledData::InMemory(bytes) => Arc::new(Bytes::from(bytes.into_inner())),
            SpooledData::OnDisk(file) => Arc::new(file),
        };
        Ok(LayerToc::open(source)?)
    }
}

/// What a layer's table depends on, in words.
pub(super) fn layer_words(options: &IndexOptions) -> Option<[String; 4]> {
    let (Some((blob, size)), Some(diff_id)) = (&options.blob, &options.diff_id) else { return None };
    Some([
        format!("rule {}", toc::RULE),
        format!("span {} {} {}", options.span.out, options.span.input, options.span.most),
        format!("blob {blob} {size}"),
        format!("tar {diff_id}"),
    ])
}

fn is_same(one: &LayerToc, other: &LayerToc) -> bool {
    one.info() == other.info() && one.identity() == other.identity()
}

/// Whether a result was made on this machine, whatever signed it.
fn was_built(cache: &Cache, action: &larder_reapi::Action) -> bool {
    let store = cache.store();
    let row = store
        .index()
        .ok()
        .and_then(|index| index.get_result(store.namespace(), &cache.digest_of(action).key()).ok().flatten());
    row.is_some_and(|row| row.origin == Origin::Built)
}
