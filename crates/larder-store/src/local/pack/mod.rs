//! Packs: append-only files of frames. See `docs/formats/pack.md`.
//!
//! | file | what |
//! |---|---|
//! | [`frame`] | the self-describing unit: chunks' hashes and lengths, then their bytes, compressed or not |
//! | [`open`] | a pack that is being written, here or in another process, and how it is sealed |
//! | [`salvage`] | the whole frames of a damaged pack |
//! | [`sealed`] | an immutable pack with its table |
//! | [`set`] | all packs of a store: look-up, refresh, what is known to be bad |
//!
//! A chunk is in at most a few packs (two writers may store it at once); any copy will do. Newer packs are asked first.

pub(crate) mod frame;
pub(crate) mod open;
pub(crate) mod salvage;
pub(crate) mod sealed;
pub(crate) mod set;

use larder_core::Hash;

use super::table::Row;

/// Magic of a pack's tail.
pub(crate) const TAIL_MAGIC: [u8; 8] = *b"LRDPAKT1";
/// The first bytes of a pack file.
pub(crate) const HEADER: [u8; 16] = *b"LRDPACK1\x01\0\0\0\0\0\0\0";

/// Where a chunk stands in its pack: a row of the pack's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRow {
    /// BLAKE3 of the chunk.
    pub(crate) hash: Hash,
    /// Number of its frame in the pack.
    pub(crate) frame: u32,
    /// Where it begins in the frame's raw bytes.
    pub(crate) offset: u32,
    /// Its length.
    pub(crate) length: u32,
}

impl Row for ChunkRow {
    const SIZE: usize = 44;

    fn key(&self) -> &Hash {
        &self.hash
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.0);
        for number in [self.frame, self.offset, self.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let hash = Hash(bytes[..32].try_into().expect("32 bytes"));
        Self { hash, frame: number(32), offset: number(36), length: number(40) }
    }
}
