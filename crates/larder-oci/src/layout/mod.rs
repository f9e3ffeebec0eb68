//! Image layouts (image-spec, image-layout.md): content and an index of it, as files.
//!
//! ```text
//! oci-layout            {"imageLayoutVersion":"1.0.0"}
//! blobs/sha256/<hex>    manifests, configurations, layers
//! index.json            an index; its entries are named by `org.opencontainers.image.ref.name`
//! ```
//!
//! [`LayoutWriter`] writes one as a tar stream, which other tools know as an *OCI archive*; the same content in the same order gives the same
//! bytes. [`LayoutReader`] reads one from a tar file or a folder, and takes neither for granted: names, sizes, checksums and digests
//! are checked, numbers bounded.

mod read;
mod tar;
mod write;

use std::io;

pub use read::{BlobFile, LayoutReader, ReadAt};
pub use write::LayoutWriter;

use crate::digest::OciDigest;
use crate::manifest::ManifestError;

/// Content of the file `oci-layout` that is written.
const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const MARK_NAME: &str = "oci-layout";
const INDEX_NAME: &str = "index.json";

/// What layouts fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The file below cannot be read or written.
    #[error("the layout cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The tar file is damaged, or uses what layouts have no need of.
    #[error("the layout's tar file is broken at byte {at}: {why}")]
    Tar {
        /// Where in the file.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// The same name twice.
    #[error("`{0}` is in the layout twice")]
    Twice(String),
    /// No layout: a file that it must have is missing.
    #[error("this is no image layout: there is no `{0}` in it")]
    Missing(&'static str),
    /// The mark says that it is of another version, or is none.
    #[error("the image layout is of a version that is not known")]
    Version,
    /// The index is none.
    #[error("the layout's index cannot be read: {0}")]
    Index(#[from] ManifestError),
    /// There is no such blob in it.
    #[error("the blob `{0}` is not in the layout")]
    NoBlob(OciDigest),
    /// Larger than the caller reads.
    #[error("`{name}` has {size} bytes, more than the {most} that are read")]
    TooLarge {
        /// Which file.
        name: String,
        /// How large it is.
        size: u64,
        /// How much is read.
        most: u64,
    },
    /// A blob whose bytes are not what its name says.
    #[error("the blob `{0}` is not what its digest says")]
    Corrupt(OciDigest),
    /// A blob that is not as long as was said.
    #[error("the blob `{digest}` has not the {size} bytes that it should have")]
    Length {
        /// Which.
        digest: OciDigest,
        /// How many it should have.
        size: u64,
    },
    /// A write after one that failed.
    #[error("the layout is not whole, because an earlier write to it failed")]
    Abandoned,
}

impl LayoutError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) => "see that the disk has room, and that the file may be read or written",
            Self::Missing(_) => {
                "a layout is what `skopeo copy … oci:DIR:NAME` makes in a folder, and `oci-archive:FILE:NAME` in a tar file; `docker-archive:FILE` is what `docker save` writes"
            }
            Self::Version => "this Larder reads layouts of version 1.0.0",
            Self::NoBlob(_) => "the layout holds only a part of what it lists: make it anew",
            Self::TooLarge { .. } => "nothing that large is to be expected there",
            Self::Abandoned => "see the first error, and write the layout anew",
            _ => "the file is damaged, or no image layout: make it anew, or copy it again",
        }
    }
}

/// The name of a blob's file.
fn blob_name(digest: &OciDigest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}
