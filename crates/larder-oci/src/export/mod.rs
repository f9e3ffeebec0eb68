//! A tree written out: as a tar stream, or as it is into a directory.
//!
//! | file | what |
//! |---|---|
//! | `tar` | [`tar`](tar()): a POSIX pax archive, the same bytes for the same tree whenever and wherever it is written |
//! | `directory` | [`directory()`]: the exact tree, as root |
//! | `inside` | places in a directory that is being filled: never through a symbolic link, never outside |
//!
//! Where the bytes of files come from is the caller's affair ([`ReadContent`]): a tar has its files in the order of names; a directory is filled in
//! the order in which the layers have the bytes, so that every layer is gone through once from its front.
//!
//! What cannot be read fails the export, and the error says which file it was. A half export does not look whole: a tar then ends within a
//! file, and a directory is made beside its destination and only moved there when it is complete.

mod directory;
mod inside;
mod tar;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

pub use directory::directory;
pub use tar::tar;

use crate::layer::{Content, Kind};
use crate::tree::{NodeId, Tree};

/// Most bytes that are asked for at once.
const CHUNK: usize = 1 << 20;

/// Some bytes of a layer's uncompressed tar stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Piece {
    /// Which layer; 0 is the lowest.
    pub layer: usize,
    /// The first byte.
    pub at: u64,
    /// How many.
    pub length: u64,
}

/// Where the bytes of files are read.
pub trait ReadContent {
    /// Fills `into` with what the uncompressed tar stream of `layer` has from `at` on; less is an error. At most 1 MiB at a time.
    fn read(&self, layer: usize, at: u64, into: &mut [u8]) -> io::Result<()>;
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Names, that of the export's root among them.
    pub names: u64,
    /// Bytes of files, without their holes; hard links once.
    pub bytes: u64,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The bytes of a file are not to be had.
    #[error("cannot read `{path}` from layer {} (from the bottom)", layer + 1)]
    Read {
        /// The file, printable.
        path: String,
        /// Which layer has its bytes; 0 is the lowest.
        layer: usize,
        /// Why.
        source: io::Error,
    },
    /// Something cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The name in the tree, printable.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The destination cannot be used.
    #[error("cannot export into `{}`", destination.display())]
    Destination {
        /// The destination.
        destination: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The destination has something in it.
    #[error("`{}` is not an empty directory (hint: name one that does not exist yet)", .0.display())]
    NotEmpty(PathBuf),
    /// Owners, devices and attributes are not to be had.
    #[error(
        "only root can give files their owners and make devices (hint: export a tar instead, or run as root)"
    )]
    NotRoot,
    /// Only a directory can be exported into a directory.
    #[error("`{0}` is not a directory in the image (hint: export a tar instead)")]
    NotADirectory(String),
    /// Something that this form of export has no way to say.
    #[error("`{path}`: {what}")]
    CannotBe {
        /// The name in the tree, printable.
        path: String,
        /// What it is.
        what: &'static str,
    },
}

/// The stored pieces of a file as (place in the file, place in the layer, length).
fn pieces(content: &Content) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
    let whole = [(0, content.stored)];
    let count = content.sparse.as_ref().map_or(1, |sparse| sparse.len());
    let mut from = content.at;
    (0..count).map(move |index| {
        let (place, length) = content.sparse.as_ref().map_or(whole[0], |sparse| sparse[index]);
        let piece = (place, from, length);
        from = from.saturating_add(length);
        piece
    })
}

/// A node with content whose bytes are to be written, once for each inode: its first name in the order of a walk.
fn files(tree: &Tree, from: NodeId) -> Vec<NodeId> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    let mut walk = tree.walk(from);
    while let Some(id) = walk.advance() {
        let inode = tree.node(id).inode();
        if tree.inode(inode).kind == Kind::File && (tree.inode(inode).links < 2 || seen.insert(inode)) {
            files.push(id);
        }
    }
    files
}

/// Hands `length` bytes of a layer to `write`, in chunks, with how many went before.
fn copy(
    piece: Piece,
    path: &[u8],
    content: &dyn ReadContent,
    buffer: &mut Vec<u8>,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut done = 0;
    while done < piece.length {
        let left = piece.length - done;
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        buffer.resize(length, 0);
        let read = match piece.at.checked_add(done) {
            Some(at) => content.read(piece.layer, at, buffer),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        read.map_err(|source| ExportError::Read {
            path: crate::tree::printable(path),
            layer: piece.layer,
            source,
        })?;
        write(done, buffer)?;
        done += length as u64;
    }
    Ok(())
}
