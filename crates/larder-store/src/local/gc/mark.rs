//! The set of live chunks, and what they cost on disk.
//!
//! A chunk is remembered by 64 bits of a hash that is keyed anew for each collection: 8 bytes a chunk instead of 32, and
//! nobody can prepare two chunks that are taken for each other. If two are by chance, one of them is kept for nothing.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use larder_core::chunk_list::Root;
use larder_core::{Chunk, Hash};

use crate::local::pack::frame::{DIRECTORY_ENTRY, ENTRY, FrameInfo, HEADER};
use crate::local::pack::set::PackSet;
use crate::local::reader::Reader;

/// Bytes that a chunk's row and its parts of the table take in a sealed pack.
const ROW_COST: u64 = 44 + 1 + 8;

/// Bytes that a chunk of `length` bytes takes in a pack: its share of its frame, and what tells where it is.
pub(crate) fn chunk_cost(frame: &FrameInfo, length: u32) -> u64 {
    let share = u64::from(length) * u64::from(frame.stored) / u64::from(frame.raw.max(1));
    let head = (HEADER + DIRECTORY_ENTRY) as u64 / u64::from(frame.chunks.max(1));
    share + head + ENTRY as u64 + ROW_COST
}

/// What became of [`Marker::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// All chunks are live now; that many bytes more than before.
    Whole(u64),
    /// They would cost more than there is room for; nothing changed.
    TooLarge,
    /// A chunk is not here or cannot be read; nothing changed.
    Broken,
}

/// Marks chunks.
#[derive(Debug, Default)]
pub(crate) struct Marker {
    reader: Reader,
    key: RandomState,
    live: HashSet<u64>,
    bytes: u64,
}

impl Marker {
    /// Whether the chunk is live.
    pub(crate) fn is_live(&self, hash: &Hash) -> bool {
        self.live.contains(&self.key.hash_one(hash.0))
    }

    /// Bytes on disk of all live chunks, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the chunks of all `roots` live if they are all here and cost at most `room` more bytes.
    pub(crate) fn add<'a>(
        &mut self,
        packs: &PackSet,
        roots: impl IntoIterator<Item = &'a Root>,
        room: u64,
    ) -> Added {
        let Self { reader, key, live, .. } = self;
        let (mut fresh, mut cost, mut broken) = (Vec::new(), 0u64, false);
        for root in roots {
            if let Root::Whole(file) = root {
                let short = key.hash_one(file.hash.0);
                if live.insert(short) {
                    fresh.push(short);
                    cost += file.length;
                }
                if cost > room {
                    break;
                }
                continue;
            }
            let mut mark = |chunk: &Chunk| {
                if broken || cost > room {
                    return;
                }
                let short = key.hash_one(chunk.hash.0);
                if live.contains(&short) {
                    return;
                }
                match packs.find(&chunk.hash) {
                    Some(found) => {
                        cost += chunk_cost(&found.frame, found.row.length);
                        live.insert(short);
                        fresh.push(short);
                    }
                    None => broken = true,
                }
            };
            let visited = reader.visit(packs, root, &mut mark);
            if visited.is_err() || broken {
                broken = true;
                break;
            }
            if cost > room {
                break;
            }
        }
        if !broken && cost <= room {
            self.bytes += cost;
            return Added::Whole(cost);
        }
        for short in fresh {
            live.remove(&short);
        }
        if broken { Added::Broken } else { Added::TooLarge }
    }
}
