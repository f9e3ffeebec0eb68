//! One blob row.
//!
//! ```text
//! hash [32] | size u64 | root [32] | time u32 | function u8 | kind u8 | 0 u16 | check [8]        88 bytes
//! ```
//! `time`: seconds since the epoch when the row was written, `kind`: 0 the root is the blob, 1 the root is a chunk list
//! node, 2 the root is a whole file. `check`: BLAKE3 of the namespace's name, a zero byte and the row before it, truncated; so a flipped bit, or a
//! row moved to another namespace, is no row.

use larder_core::chunk_list::Root;
use larder_core::{Chunk, Digest, DigestFunction, Hash};

use crate::local::table::Row;

/// A row as it stands in files; believed only after [`BlobRow::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    hash: Hash,
    bytes: [u8; 56],
}

impl BlobRow {
    /// The row that says that `digest` is rebuilt from `root`.
    pub(crate) fn new(namespace: &str, digest: &Digest, root: &Root, time: u32) -> Self {
        let (kind, chunk) = match root {
            Root::Chunk(chunk) => (0, chunk),
            Root::List(chunk) => (1, chunk),
            Root::Whole(chunk) => (2, chunk),
        };
        let mut bytes = [0; 56];
        bytes[..8].copy_from_slice(&digest.size.to_le_bytes());
        bytes[8..40].copy_from_slice(&chunk.hash.0);
        bytes[40..44].copy_from_slice(&time.to_le_bytes());
        bytes[44] = digest.function as u8;
        bytes[45] = kind;
        let mut row = Self { hash: digest.hash, bytes };
        let check = row.check(namespace);
        row.bytes[48..].copy_from_slice(&check);
        row
    }

    fn check(&self, namespace: &str) -> [u8; 8] {
        let mut hasher = DigestFunction::Blake3.hasher();
        hasher.update(namespace.as_bytes());
        hasher.update(&[0]);
        hasher.update(&self.hash.0);
        hasher.update(&self.bytes[..48]);
        hasher.finish().hash.0[..8].try_into().expect("8 of 32 bytes")
    }

    /// What the row says, if it is sound and of this namespace.
    pub(crate) fn open(&self, namespace: &str) -> Option<(Digest, Root)> {
        let size = u64::from_le_bytes(self.bytes[..8].try_into().expect("eight bytes"));
        let function = DigestFunction::from_number(self.bytes[44])?;
        let chunk = Chunk { hash: Hash(self.bytes[8..40].try_into().expect("32 bytes")), length: size };
        let root = match self.bytes[45] {
            0 => Root::Chunk(chunk),
            1 => Root::List(chunk),
            2 => Root::Whole(chunk),
            _ => return None,
        };
        let sound = self.bytes[46..48] == [0, 0] && self.check(namespace) == self.bytes[48..];
        sound.then_some((Digest { function, hash: self.hash, size }, root))
    }

    /// When it was written, in seconds since the epoch.
    pub(crate) fn time(&self) -> u32 {
        u32::from_le_bytes(self.bytes[40..44].try_into().expect("four bytes"))
    }
}

impl Row for BlobRow {
    const SIZE: usize = 88;

    fn key(&self) -> &Hash {
        &self.hash
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.0);
        out.extend_from_slice(&self.bytes);
    }

    fn decode(bytes: &[u8]) -> Self {
        let (hash, rest) = bytes.split_at(32);
        Self {
            hash: Hash(hash.try_into().expect("32 bytes")),
            bytes: rest.try_into().expect("a row is 88 bytes"),
        }
    }
}
