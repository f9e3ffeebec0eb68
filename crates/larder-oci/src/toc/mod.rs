//! Tables for reading an image without pulling it: `docs/formats/toc.md`.
//!
//! A [`LayerToc`] says of one layer what its tar stream holds, and from where in the compressed blob each part of it can be decoded, verified. Its
//! bytes depend on the blob, the span and the version of the rules alone. An [`ImageToc`] is the tables of an image's layers with the image's manifest and
//! configuration. Neither holds content of files.
//!
//! | file | what |
//! |---|---|
//! | `index` | a blob → its table, in one pass |
//! | `layer`, `image` | the tables |
//! | `decode` | one span → its bytes, verified |
//! | `entries`, `spans` | their two large parts, as bytes |
//! | `files` | digests of files, beside a table |
//! | `section`, `file`, `number` | sections in frames; where they lie in a file; numbers |
//!
//! A table that somebody else made is a claim: whoever reads by it checks content against the digests in it, and believes those only as far as the
//! table is believed.

pub mod decode;
mod entries;
mod file;
mod files;
mod image;
pub mod index;
mod layer;
mod number;
mod section;
mod spans;

use std::io;

use crate::digest::OciDigest;
use crate::layer::tar::Fault;

pub use file::{Identity, VERSION as FORMAT};
pub use files::FileDigests;
pub use image::{ImageToc, diff_ids};
pub use index::{IndexError, IndexOptions, Indexed, Mismatch, index_layer};
pub use layer::{LayerInfo, LayerToc};
pub use spans::{Span, Start};

/// The rule of spans of at least so many bytes.
///
/// # Errors
/// When they are too small, or larger than makes sense.
pub fn span_rule(bytes: u64) -> Result<larder_inflate::SpanRule, larder_inflate::SpanSize> {
    larder_inflate::SpanRule::of_span(bytes)
}

/// The version of the rules by which points are chosen and entries are read. A change of either is a new version.
pub const RULE: u16 = 1;

/// A table that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TocError {
    /// The file below cannot be read or written.
    #[error("the table cannot be read or written")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("this is no table of an image or a layer")]
    NoToc,
    /// It is of a version that this program does not know.
    #[error("the table is of version {0}, which is not known")]
    Version(u16),
    /// Its rules are of a version that this program does not know.
    #[error("the table was made by rules of version {0}, which is not known")]
    Rule(u16),
    /// It is damaged, or was made to look like a table.
    #[error("the table is damaged: {0}")]
    Damaged(&'static str),
    /// It is larger than this program reads.
    #[error("the table is larger than is read: {0}")]
    TooLarge(&'static str),
    /// The image itself is wrong, whatever its table.
    #[error("the image is wrong: {0}")]
    Image(&'static str),
    /// What the layers up to this one hold is over a limit.
    #[error("the image is over a limit with the layer `{layer}`, in `{entry}`: {fault}")]
    Limit {
        /// The layer, by its blob.
        layer: Box<OciDigest>,
        /// The first entry that is too much, printable.
        entry: String,
        /// Which limit.
        fault: Fault,
    },
}

impl TocError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) => "see that the disk has room, and that the file may be read or written",
            Self::NoToc => "tables are made with `larder image index REF -o FILE.toc`",
            Self::Version(_) | Self::Rule(_) => "use the Larder that made it, or index the image anew",
            Self::Damaged(_) | Self::TooLarge(_) => "index the image anew with `larder image index --force`",
            Self::Image(_) => "no tool could make containers of it: build or push it again",
            Self::Limit { fault, .. } => fault.hint(),
        }
    }
}
