//! Layers that are hard to get right, and the trees that they make.
//!
//! | file | what |
//! |---|---|
//! | `tar` | tar streams, byte by byte |
//! | `pack` | plain, gzip and zstd in many shapes |
//! | `layout` | an OCI image layout of several layers |
//! | `tree` | a tree as text, and how two trees differ |
//! | `random` | images from a seed, for which there is no expected tree |
//! | `cases` | the named cases, by what they are about; their trees are in `trees.txt` |
//!
//! A [`Case`] says what an image's layers are and what its tree is by the rules of `docs/design/0006-image-trees.md`. What other people's
//! extractors make of it is asked by [`crate::strangers`].

mod cases;
mod layout;
mod pack;
mod random;
mod tar;
mod tree;

use std::{io, path::Path};

pub use cases::cases;
pub use layout::{Blob, write_layout};
pub use pack::Packing;
pub use random::random;
pub use tar::{BLOCK, Flavour, Item, Tar, record};
pub use tree::{Difference, Listing, Name, Time};

/// What becomes of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This tree.
    Tree(Listing),
    /// One clear error.
    Refused,
}

/// What containerd, moby and podman do, as it was when `trees.txt` was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Three {
    /// They make one tree, but for the times of what no layer lists.
    Agree,
    /// Each of them refuses.
    Refuse,
    /// They differ: the rules alone decide.
    Differ,
    /// They have not been asked.
    Unknown,
}

/// One layer of a case.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A tar stream, to be packed in any way.
    Tar(Vec<u8>),
    /// A blob whose packing is the point.
    Blob(Blob),
}

/// Layers, and what they make.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name: words with hyphens.
    pub name: &'static str,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// Which rule it is about, in a sentence.
    pub what: &'static str,
    /// What the rules say.
    pub expect: Expect,
    /// What the three do. Where all refuse and the rules have a tree, an error would do no harm.
    pub three: Three,
}

impl Case {
    /// Writes it as an image layout, tagged `latest`.
    pub fn write(&self, folder: &Path, packing: Packing) -> io::Result<()> {
        let blobs: Vec<_> = self
            .layers
            .iter()
            .map(|layer| match layer {
                Layer::Tar(tar) => Blob::new(tar, packing),
                Layer::Blob(blob) => blob.clone(),
            })
            .collect();
        write_layout(folder, &blobs)
    }

    /// Whether the packing is the point, so that it cannot be packed in another way.
    pub fn is_packed(&self) -> bool {
        self.layers.iter().any(|layer| matches!(layer, Layer::Blob(_)))
    }
}
