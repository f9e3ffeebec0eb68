//! What the subcommands share: the source of an image, its table (known, others' or made now), its tree.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use larder::Cache;
use larder::image::{Foreign, ImageError, Indexer, Settled, StoreSpans};
use larder::oci::image::{Image, ImageReference, ImageSource, Mirror, NoSpans, ReadError, SpanCache};
use larder::oci::layer::Limits;
use larder::oci::manifest::Platform;
use larder::oci::toc::{FileDigests, ImageToc, IndexOptions};
use larder::oci::tree::{MergeRule, NodeId, printable};
use larder::remote::tiers::Runtime;
use larder::store::Store;

use super::signing::{self, Signing};
use super::told::Told;
use crate::cli::{Merge, Named};
use crate::commands::{Context, cache};
use crate::exit::Exit;
use crate::printer::Printer;

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
    /// What is read is kept there.
    spans: Option<Arc<StoreSpans>>,
    indexer: Indexer,
    _runtime: Runtime,
}

impl Opened {
    /// Digests of files, layer by layer, where they were asked for when it was indexed.
    pub(super) fn file_digests(&self) -> Vec<Option<FileDigests>> {
        let toc = self.image.toc();
        let layers = toc.layers().iter().zip(&toc.manifest().layers);
        layers.map(|(table, layer)| self.indexer.known_file_digests(layer, table.info().diff_id)).collect()
    }

    /// After content was read: layers of which all is here by now are checked whole, and kept as such.
    pub(super) fn settle(&self, context: &Context) -> Result<(), Exit> {
        let Some(spans) = &self.spans else { return Ok(()) };
        let mut judged = Ok(());
        for table in self.image.toc().layers() {
            let blob = table.info().blob;
            match spans.settle(table) {
                Ok(Settled::TableLies) => {
                    let error = ReadError::Refused { layer: blob };
                    context.printer.error(&error, Some(&error.hint()));
                    judged = Err(Exit::Failed);
                }
                Ok(settled) => tracing::debug!(layer = %blob, ?settled, "read"),
                // What was read is right, and its parts are kept as they were.
                Err(error) => tracing::debug!(layer = %blob, %error, "a whole layer cannot be kept as such"),
            }
        }
        judged
    }

    /// The node at a path, symbolic links on the way followed; the last one too if `follow`.
    pub(super) fn node(&self, printer: &Printer, path: &OsStr, follow: bool) -> Result<NodeId, Exit> {
        match self.image.tree().look_up(path.as_bytes(), follow) {
            Ok(Some(node)) => Ok(node),
            Ok(None) => {
                printer
                    .refuse(format_args!("there is no `{}` in the image", printable(path.as_bytes())), None);
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
    let source = larder::image::source(reference, &environment.into_iter().collect(), &mirrors, &runtime)
        .map_err(|error| fail(&context.printer, &error, &error.hint()))?;
    let platform = named.platform.clone().unwrap_or_else(larder::image::host_platform);
    Ok(Source { source, platform, _runtime: runtime })
}

/// How much an image may hold, each layer and all of them together.
pub(super) fn limits(named: &Named) -> Limits {
    Limits { entries: named.max_entries, logical: named.max_size, ..Limits::default() }
}

/// How layers are put together.
pub(super) fn rule(named: &Named) -> MergeRule {
    match named.merge {
        Merge::Overlay => MergeRule::Overlay,
        Merge::Spec => MergeRule::Spec,
    }
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
    options.limits = limits(named);
    let store = cache::open_if_any(context)?;
    let Signing { trust, namespace, .. } = signing::signing(context, store.as_ref())?;
    let (ask, unsigned) = (!named.no_remote_toc, named.trust_unsigned_toc);
    let foreign = Foreign { trust, namespace, ask, unsigned };
    let indexer = Indexer::new(store.clone().map(Cache::from), options).foreign(foreign);
    // Who names a platform wants that one; who names none wants to look at what there is.
    Ok((indexer.only_platform(named.platform.is_some()), store))
}

/// The table of an image: what is known, and what is not known made now.
pub(super) fn toc(context: &Context, source: &Source, indexer: &Indexer) -> Result<(ImageToc, Told), Exit> {
    let told = Told::new(&context.printer, context.verbose);
    let made = indexer.index(&*source.source, &source.platform, &|progress| told.hear(&progress));
    told.end();
    made.map(|toc| (toc, told)).map_err(|error: ImageError| fail(&context.printer, &error, &error.hint()))
}

/// Opens an image.
pub(super) fn open(context: &Context, reference: &ImageReference, named: &Named) -> Result<Opened, Exit> {
    let source = source(context, reference, named)?;
    let (indexer, store) = indexer_and_store(context, named)?;
    let (toc, told) = toc(context, &source, &indexer)?;
    // What is read by a table that nobody believes is not kept, and does not drop what is.
    let spans = store.filter(|_| !told.is_unbelieved()).map(|store| Arc::new(StoreSpans::new(store)));
    let cache: Arc<dyn SpanCache> = match &spans {
        Some(spans) => spans.clone(),
        None => Arc::new(NoSpans),
    };
    let image = Image::open_within(toc, limits(named), rule(named), &source.source, &cache)
        .map_err(|error| fail(&context.printer, &error, error.hint()))?;
    Ok(Opened { image, source: source.source, spans, indexer, _runtime: source._runtime })
}
