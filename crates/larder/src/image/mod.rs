//! Images: where they come from, and their tables, which are kept in the store.
//!
//! A layer's table is the result of an action: its key is the version of format and rules, the span, and the layer's digests. So an image that
//! shares layers with another one shares their tables, and a table that is here is not made again. Tables that others made come from registries, signed,
//! and stay apart from those.
//!
//! | file | what |
//! |---|---|
//! | `indexer` | an image's tables: known, from the registry, or made |
//! | `statement` | what is signed of a table |
//! | `remote_toc` | tables that others made: found, judged, kept |
//! | `push_toc` | tables pushed beside an image |
//! | `spans` | layers in the store: parts, and whole ones |
//! | `kept` | what is kept of layers: listed, removed, checked |
//! | `pins` | images that stay |
//!
//! Everything here blocks.

mod indexer;
mod kept;
mod pins;
mod push_toc;
mod remote_toc;
mod spans;
mod statement;

use std::sync::Arc;

use larder_core::Error;
use larder_oci::image::{ImageReference, ImageSource, LayoutSource, Mirror, RegistrySource, SourceError};
use larder_oci::layer::DroppedXattr;
use larder_oci::manifest::{Descriptor, Platform};
use larder_oci::reference::Host;
use larder_oci::registry::{Credentials, Environment, Options, Proxy, RegistryError};
use larder_oci::toc::{IndexError, LayerToc, TocError};
use larder_remote::tiers::Runtime;

pub use indexer::{Checked, Indexer, Verdict};
pub use kept::{KeptLayer, PartsReport, kept_layers, remove_layers, verify_parts};
pub use pins::{PinnedImage, pin_image, pinned_images, unpin_image};
pub use push_toc::{Push, PushedTable, PushedTables, push_tables};
pub use remote_toc::{Foreign, Provenance, annotation};
pub use spans::{Settled, StoreSpans, present};
pub use statement::{ARTIFACT, FUNCTION, NotUsed, Statement, TABLE};

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

/// An image's source: a registry with the logins that `environment` leads to, or a file. Of `mirrors` those that are of the image's registry are asked
/// first, in their order.
///
/// # Errors
/// When a file cannot be read; of a registry nothing is asked yet.
pub fn source(
    reference: &ImageReference,
    environment: &Environment,
    mirrors: &[Mirror],
    runtime: &Runtime,
) -> Result<Arc<dyn ImageSource>, ImageError> {
    let ImageReference::Registry(reference) = reference else {
        return Ok(Arc::new(LayoutSource::open(reference)?));
    };
    let copies = mirrors.iter().filter_map(|mirror| mirror.of(reference));
    let copies = copies.map(|copy| {
        let options = registry_options(copy.host(), environment);
        (copy, options)
    });
    let copies = copies.collect();
    let options = registry_options(reference.host(), environment);
    Ok(Arc::new(RegistrySource::mirrored(reference, options, copies, runtime.handle()?)?))
}

/// How a registry is spoken to: with the proxy and the logins that `environment` leads to.
#[must_use]
pub fn registry_options(host: &Host, environment: &Environment) -> Options {
    let mut options = Options::default();
    options.proxy = Proxy::from_environment(environment, host);
    options.credentials = Credentials::files(environment.clone());
    options
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
    /// A tag that tables are to be embedded in is none, or points to something else by now.
    #[error("the tables cannot be embedded: {0}")]
    Embed(&'static str),
}

impl From<RegistryError> for ImageError {
    fn from(error: RegistryError) -> Self {
        Self::Source(error.into())
    }
}

impl ImageError {
    /// Whether what is there is not what it should be; else it could not be read, is over a limit, or a table cannot be written.
    #[must_use]
    pub fn is_wrong_content(&self) -> bool {
        match self {
            Self::Source(error) => error.is_wrong_content(),
            Self::Index { error, .. } => error.is_wrong_content(),
            Self::Toc(error) => matches!(error, TocError::Image(_)),
            Self::Store(_) | Self::Embed(_) => false,
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Source(error) => error.hint(),
            Self::Index { error, .. } => error.hint().to_owned(),
            Self::Toc(error) => error.hint().to_owned(),
            Self::Store(error) => error.hint().unwrap_or_default().to_owned(),
            Self::Embed(_) => "`--embed` changes what a tag points to: name one, and try again".to_owned(),
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
    /// A layer's table was made by others.
    Foreign(usize, &'a Provenance),
    /// There are tables of a layer that others made, and none is used.
    NotUsed(usize, &'a NotUsed),
    /// A layer's table that others made was compared with one that was made now, and is not the same. It is forgotten.
    Differs(usize, &'a Provenance),
    /// So many bytes of a layer's blob were read.
    Read(usize, u64),
    /// A layer's table was made.
    Made(usize, &'a LayerToc),
    /// Attributes were dropped from a layer's entries.
    Dropped(usize, &'a [DroppedXattr]),
}
