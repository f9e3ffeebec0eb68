//! `ChunkList`: the ordered chunks that rebuild a blob, as a streamed tree whose nodes are chunks themselves.
//!
//! ```text
//! node := "LCL1" | level u8 | 0 u8 | count u16 | min u32 | avg u32 | max u32 | entry * count      (little-endian)
//! entry := hash [32] | length u64          length: bytes of the blob below the entry
//! ```
//! Level 0 entries are chunks of the blob; entries of level n are nodes of level n − 1. A node ends after an entry whose
//! hash begins with a zero byte (1 in 256) once it has [`MIN_ENTRIES`], or at [`MAX_ENTRIES`]; so an edit of the blob
//! changes one node a level, and nodes of similar blobs are shared. The last level has one node: the root. A blob that is one chunk
//! has no list.
//!
//! [`Builder`] holds one open node a level: memory does not grow with the blob. [`Node::decode`] trusts nothing.

use crate::chunker::ChunkerParams;
use crate::digest::Hash;

/// A node is never cut before it has this many entries (unless the blob ends).
pub const MIN_ENTRIES: usize = 64;
/// A node is always cut here.
pub const MAX_ENTRIES: usize = 1024;
/// More levels than any blob below 2^63 bytes needs.
pub const MAX_LEVELS: usize = 8;

const MAGIC: &[u8; 4] = b"LCL1";
const HEADER: usize = 20;
const ENTRY: usize = 40;

/// A slice of a blob: BLAKE3 of its bytes, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// BLAKE3 of the bytes.
    pub hash: Hash,
    /// Length in bytes (of a node's entry: of all that is below it).
    pub length: u64,
}

/// A decoded node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0: entries are chunks of the blob; else nodes of the level below.
    pub level: u8,
    /// The parameters that cut the blob.
    pub params: ChunkerParams,
    /// In the blob's order.
    pub entries: Vec<Chunk>,
}

/// Why bytes are not a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a chunk list node")]
pub struct MalformedNode;

impl Node {
    /// The node's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.entries.len() * ENTRY);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[self.level, 0]);
        let count = u16::try_from(self.entries.len()).expect("a node has at most MAX_ENTRIES entries");
        out.extend_from_slice(&count.to_le_bytes());
        for size in [self.params.min(), self.params.avg(), self.params.max()] {
            out.extend_from_slice(&size.to_le_bytes());
        }
        for entry in &self.entries {
            out.extend_from_slice(&entry.hash.0);
            out.extend_from_slice(&entry.length.to_le_bytes());
        }
        out
    }

    /// Reads a node.
    ///
    /// # Errors
    /// [`MalformedNode`] for anything that [`Node::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedNode> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(MalformedNode)?;
        let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let count = usize::from(u16::from_le_bytes([header[6], header[7]]));
        let params = ChunkerParams::new(number(8), number(12), number(16)).ok_or(MalformedNode)?;
        let sound = &header[..4] == MAGIC
            && usize::from(header[4]) < MAX_LEVELS
            && header[5] == 0
            && (1..=MAX_ENTRIES).contains(&count)
            && body.len() == count * ENTRY;
        if !sound {
            return Err(MalformedNode);
        }
        let mut total = 0u64;
        let mut entries = Vec::with_capacity(count);
        for entry in body.chunks_exact(ENTRY) {
            let (hash, length) = entry.split_at(32);
            let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
            total = total.checked_add(length).ok_or(MalformedNode)?;
            entries.push(Chunk { hash: Hash(hash.try_into().expect("32 bytes")), length });
        }
        Ok(Self { level: header[4], params, entries })
    }

    /// Bytes of the blob below this node.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.entries.iter().map(|entry| entry.length).sum()
    }
}

/// Builds the tree while chunks come. Finished nodes are handed to `emit`, which stores them and answers their hash.
#[derive(Debug)]
pub struct Builder {
    params: ChunkerParams,
    levels: Vec<Vec<Chunk>>,
}

impl Builder {
    /// A builder for a blob cut with `params`.
    #[must_use]
    pub fn new(params: ChunkerParams) -> Self {
        Self { params, levels: vec![Vec::new()] }
    }

    /// Takes the blob's next chunk.
    ///
    /// # Errors
    /// What `emit` fails with.
    pub fn push<E>(
        &mut self,
        chunk: Chunk,
        emit: &mut impl FnMut(&[u8]) -> Result<Hash, E>,
    ) -> Result<(), E> {
        let (mut level, mut entry) = (0, chunk);
        loop {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let open = &mut self.levels[level];
            open.push(entry);
            let boundary = entry.hash.0[0] == 0 && open.len() >= MIN_ENTRIES;
            if !boundary && open.len() < MAX_ENTRIES {
                return Ok(());
            }
            entry = self.close(level, emit)?;
            level += 1;
        }
    }

    /// Ends the blob: the only chunk if there was one, else the root node as an entry. `None` for an empty blob.
    ///
    /// # Errors
    /// What `emit` fails with.
    pub fn finish<E>(mut self, emit: &mut impl FnMut(&[u8]) -> Result<Hash, E>) -> Result<Option<Root>, E> {
        let mut level = 0;
        loop {
            let top = level + 1 == self.levels.len();
            match self.levels[level].as_slice() {
                [] if top => return Ok(None),
                [only] if top => {
                    return Ok(Some(if level == 0 { Root::Chunk(*only) } else { Root::List(*only) }));
                }
                [] => {}
                _ => {
                    let entry = self.close(level, emit)?;
                    if top {
                        return Ok(Some(Root::List(entry)));
                    }
                    self.levels[level + 1].push(entry);
                }
            }
            level += 1;
        }
    }

    fn close<E>(
        &mut self,
        level: usize,
        emit: &mut impl FnMut(&[u8]) -> Result<Hash, E>,
    ) -> Result<Chunk, E> {
        let entries = std::mem::take(&mut self.levels[level]);
        let node = Node { level: level as u8, params: self.params, entries };
        Ok(Chunk { hash: emit(&node.encode())?, length: node.length() })
    }
}

/// What a blob is rebuilt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The blob is one chunk.
    Chunk(Chunk),
    /// The root node of its list.
    List(Chunk),
    /// A file of its own, whose BLAKE3 this is.
    Whole(Chunk),
}

impl Root {
    /// The one chunk, node or file that everything else is reached from.
    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        match self {
            Self::Chunk(chunk) | Self::List(chunk) | Self::Whole(chunk) => chunk,
        }
    }
}
