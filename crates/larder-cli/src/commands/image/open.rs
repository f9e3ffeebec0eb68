//! What the subcommands share: the source of an image, its table (known or made now, with progress), its tree.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder::Cache;
use larder::image::{ImageError, Indexer, Progress, StoreSpans};
use larder::oci::OciDigest;
use larder::oci::image::{Image, ImageReference, ImageSource, Mirror, NoSpans, SpanCache};
use larder::oci::manifest::{Descriptor, Platform};
use larder::oci::toc::{ImageToc, IndexOptions};
use larder::oci::tree::{MergeRule, NodeId, printable};
use larder::remote::tiers::Runtime;
use larder::store::Store;

use crate::cli::{Merge, Named};
use crate::commands::{Context, cache};
use crate::exit::Exit;
use crate::printer::Printer;
use crate::units;

/// Time between two words of progress where nothing can be drawn over.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Mirrors, beside those that are named with `--mirror`.
const MIRRORS: &str = "LARDER_REGISTRY_MIRRORS";

/// An image's source, with what is needed to use it.
pub(super) struct Source {
    pub(super) source: Arc<dyn ImageSource>,
    pub(super) platform: Platform,
    /// Drives the connections as long as the source is used.
    _runtime: Runtime,
}

/// An image that is open.
pub(super) struct Opened {
    pub(super) image: Image,
    pub(super) source: Arc<dyn ImageSource>,
    _runtime: Runtime,
}

impl Opened {
    /// The node at a path, symbolic links on the way followed; the last one too if `follow`.
    pub(super) fn node(&self, printer: &Printer, path: &str, follow: bool) -> Result<NodeId, Exit> {
        match self.image.tree().look_up(path.as_bytes(), follow) {
            Ok(Some(node)) => Ok(node),
            Ok(None) => {
                printer.refuse(format_args!("there is no `{}` in the image", units::printable(path)), None);
                Err(Exit::Usage)
            }
            Err(error) => {
                printer.error(&error, None);
                Err(Exit::Usage)
            }
        }
    }
}

/// Shows why it cannot be done.
pub(super) fn fail(printer: &Printer, error: &dyn std::error::Error, hint: &str) -> Exit {
    printer.error(error, Some(hint).filter(|hint| !hint.is_empty()));
    Exit::Usage
}

/// The source of an image.
pub(super) fn source(context: &Context, reference: &ImageReference, named: &Named) -> Result<Source, Exit> {
    let runtime = larder::tiers::runtime();
    let environment = context.machine.surroundings(None).environment;
    let mut mirrors = named.mirrors.clone();
    if let Some(list) = environment.get(OsStr::new(MIRRORS)) {
        let more = Mirror::list(&list.to_string_lossy());
        mirrors.extend(more.map_err(|error| {
            context.printer.refuse(format_args!("{MIRRORS}: {error}"), Some(error.hint()));
            Exit::Usage
        })?);
    }
    let source = larder::mirrors::source(reference, environment.into_iter().collect(), &mirrors, &runtime)
        .map_err(|error| fail(&context.printer, &error, &error.hint()))?;
    let platform = named.platform.clone().unwrap_or_else(larder::image::host_platform);
    Ok(Source { source, platform, _runtime: runtime })
}

/// What makes tables.
pub(super) fn indexer(context: &Context, named: &Named) -> Result<Indexer, Exit> {
    indexer_and_store(context, named).map(|(indexer, _)| indexer)
}

/// What makes tables, with the store that is here, or without one.
pub(super) fn indexer_and_store(context: &Context, named: &Named) -> Result<(Indexer, Option<Store>), Exit> {
    let printer = &context.printer;
    let mut options = IndexOptions::default();
    options.span = larder::oci::toc::span_rule(named.span)
        .map_err(|error| fail(printer, &error, "for instance `--span 64KiB`"))?;
    options.limits.entries = named.max_entries;
    options.limits.logical = named.max_size;
    let store = cache::open_if_any(context)?;
    Ok((Indexer::new(store.clone().map(Cache::from), options), store))
}

/// The table of an image: what is known, and what is not known made now.
pub(super) fn toc(context: &Context, source: &Source, indexer: &Indexer) -> Result<(ImageToc, Told), Exit> {
    let told = Told::new(&context.printer);
    let made = loop {
        let made = indexer.index(&*source.source, &source.platform, &|progress| told.hear(&progress));
        // What is wrong may be right elsewhere. Each time there is a place less.
        if let Err(ImageError::Index { layer, .. }) = &made
            && layer.parse().is_ok_and(|layer: OciDigest| source.source.distrust(&layer))
        {
            continue;
        }
        break made;
    };
    told.end();
    made.map(|toc| (toc, told)).map_err(|error: ImageError| fail(&context.printer, &error, &error.hint()))
}

/// Opens an image.
pub(super) fn open(context: &Context, reference: &ImageReference, named: &Named) -> Result<Opened, Exit> {
    let source = source(context, reference, named)?;
    let (indexer, store) = indexer_and_store(context, named)?;
    let (toc, _) = toc(context, &source, &indexer)?;
    let cache: Arc<dyn SpanCache> = match store {
        Some(store) => Arc::new(StoreSpans::new(store)),
        None => Arc::new(NoSpans),
    };
    let rule = match named.merge {
        Merge::Overlay => MergeRule::Overlay,
        Merge::Spec => MergeRule::Spec,
    };
    let image =
        Image::open(toc, rule, &source.source, &cache).map_err(|error| fail(&context.printer, &error, ""))?;
    Ok(Opened { image, source: source.source, _runtime: source._runtime })
}

/// Tells how far indexing is.
pub(super) struct Told {
    printer: Printer,
    total: AtomicU64,
    /// Bytes read of each layer.
    read: Mutex<Vec<u64>>,
    pub(super) known: AtomicU64,
    pub(super) made: AtomicU64,
    last: Mutex<Instant>,
    begun: Instant,
}

impl Told {
    fn new(printer: &Printer) -> Self {
        let now = Instant::now();
        Self {
            printer: printer.clone(),
            total: AtomicU64::new(0),
            read: Mutex::default(),
            known: AtomicU64::new(0),
            made: AtomicU64::new(0),
            last: Mutex::new(now),
            begun: now,
        }
    }

    fn hear(&self, progress: &Progress<'_>) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Layers(layers) => {
                let total = layers.iter().map(|layer: &Descriptor| layer.size).sum();
                self.total.store(total, Ordering::Relaxed);
                read.resize(layers.len(), 0);
            }
            Progress::Known(_) => drop(self.known.fetch_add(1, Ordering::Relaxed)),
            Progress::Made(layer, toc) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                let info = toc.info();
                let line = format!(
                    "layer {:>2}  {}  {} of {}, {}, {}",
                    layer + 1,
                    &info.blob.hex()[..12],
                    units::bytes(info.blob_size),
                    units::bytes(info.size),
                    units::counted(usize::try_from(info.entries).unwrap_or(usize::MAX), "entry", "entries"),
                    units::counted(usize::try_from(info.spans).unwrap_or(usize::MAX), "span", "spans"),
                );
                self.printer.progress(None);
                self.printer.talk(line);
            }
            Progress::Dropped(layer, dropped) => {
                let one = &dropped[0];
                let more = dropped.len() - 1;
                let and = if more == 0 { String::new() } else { format!(", and {more} more") };
                let (name, entry) = (printable(&one.name), printable(&one.entry));
                let message = format!(
                    "layer {}: `{name}` of `{entry}` is left out{and}: no container gets it",
                    layer + 1
                );
                self.printer.progress(None);
                self.printer.warning(message, None);
            }
            Progress::Read(layer, bytes) => {
                read[*layer] = *bytes;
                let sum: u64 = read.iter().sum();
                drop(read);
                self.tell(sum);
            }
        }
    }

    fn tell(&self, read: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = if self.printer.redraws() { Duration::from_millis(100) } else { TOLD_EVERY };
        if last.elapsed() < pause {
            return;
        }
        *last = Instant::now();
        let total = self.total.load(Ordering::Relaxed);
        let rate = units::bytes(
            u64::try_from(u128::from(read) * 1000 / self.begun.elapsed().as_millis().max(1)).unwrap_or(0),
        );
        let line = format!("indexing: {} of {}, {rate}/s", units::bytes(read), units::bytes(total));
        self.printer.progress(Some(&line));
    }

    fn end(&self) {
        self.printer.progress(None);
    }
}
