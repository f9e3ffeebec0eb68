//! Reading blobs: every chunk is proven by its hash before its bytes are passed on.
//!
//! A [`Reader`] keeps the last frames it decompressed (neighbouring chunks share a frame) and its buffers; callers that
//! read many blobs keep one per thread. A chunk whose bytes are wrong is noted as bad, and another copy is looked for.

use std::io;
use std::os::unix::fs::FileExt;

use larder_core::chunk_list::{MAX_LEVELS, Node, Root};
use larder_core::compress::Decompressor;
use larder_core::{Chunk, Error, ErrorKind, Format, Hash, Result};

use super::pack::ChunkRow;
use super::pack::set::{Found, Pack, PackSet};
use super::prove::Prover;

/// What a blob is rebuilt from, piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A node of its chunk list; the length is that of the bytes below it.
    Node(Chunk),
    /// A slice of the blob.
    Slice(Chunk),
}

impl Part {
    /// Hash and length, whichever it is.
    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        match self {
            Self::Node(chunk) | Self::Slice(chunk) => chunk,
        }
    }
}

/// Frames kept decompressed.
const KEPT: usize = 4;

struct Kept {
    pack: String,
    payload: u64,
    raw: Vec<u8>,
}

/// Reads chunks and blobs of one store.
#[derive(Default)]
pub(crate) struct Reader {
    decompressor: Decompressor,
    stored: Vec<u8>,
    kept: Vec<Kept>,
    buffer: Vec<u8>,
    /// For whoever gathers pieces; kept here so that it is allocated once.
    pub(crate) gathered: Vec<u8>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

fn missing(hash: &Hash) -> Error {
    Error::new(ErrorKind::NotFound, "read a chunk").with("chunk", hash)
}

/// Notes that a chunk is bad, and those of its frame that are bad too, so that writing them again mends all at once.
fn note_damage(packs: &PackSet, found: &Found, hash: Hash) {
    packs.mark_bad(&found.pack, hash);
    if let Pack::Sealed(pack) = &found.pack {
        let same = |row: &ChunkRow| row.frame == found.row.frame && !pack.is_bad(&row.hash);
        let rows: Vec<ChunkRow> = pack.rows().filter(same).collect();
        for hash in Prover::default().frame(&found.pack, &found.frame, &rows).unwrap_or_default() {
            packs.mark_bad(&found.pack, hash);
        }
    }
}

impl Reader {
    /// Appends the chunk's bytes to `out`. `lone`: nothing else of its frame is expected to be read soon.
    pub(crate) fn chunk(
        &mut self,
        packs: &PackSet,
        hash: &Hash,
        lone: bool,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let start = out.len();
        let mut corrupt = false;
        while let Some(found) = packs.find(hash) {
            out.truncate(start);
            let read = self.copy(&found, lone, out);
            if read.is_ok() && Hash::blake3(&out[start..]) == *hash {
                return Ok(());
            }
            if let Err(error) = read
                && error.kind() != io::ErrorKind::InvalidData
                && error.kind() != io::ErrorKind::UnexpectedEof
            {
                return Err(Error::from_io(error, "read a pack").with("pack", found.pack.id()));
            }
            tracing::warn!(chunk = %hash, pack = found.pack.id(), "a chunk is corrupt; it is a miss");
            note_damage(packs, &found, *hash);
            self.kept.clear();
            corrupt = true;
            if matches!(found.pack, Pack::Open(_)) {
                break;
            }
        }
        out.truncate(start);
        Err(if corrupt {
            Error::new(ErrorKind::Corrupt, "read a chunk").with("chunk", hash)
        } else {
            missing(hash)
        })
    }

    fn copy(&mut self, found: &Found, lone: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let (frame, row) = (&found.frame, &found.row);
        let range = row.offset as usize..(row.offset as usize).saturating_add(row.length as usize);
        if range.end > frame.raw as usize {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if frame.format == Format::Raw && lone {
            let start = out.len();
            out.resize(start + row.length as usize, 0);
            return found.pack.file().read_exact_at(&mut out[start..], frame.payload + u64::from(row.offset));
        }
        let id = found.pack.id();
        if let Some(kept) = self.kept.iter().find(|kept| kept.payload == frame.payload && kept.pack == id) {
            out.extend_from_slice(kept.raw.get(range).ok_or(io::ErrorKind::InvalidData)?);
            return Ok(());
        }
        let mut raw = if self.kept.len() == KEPT { self.kept.remove(0).raw } else { Vec::new() };
        if frame.format == Format::Raw {
            raw.resize(frame.raw as usize, 0);
            found.pack.file().read_exact_at(&mut raw, frame.payload)?;
        } else {
            self.stored.resize(frame.stored as usize, 0);
            found.pack.file().read_exact_at(&mut self.stored, frame.payload)?;
            self.decompressor.decompress(frame.format, &self.stored, frame.raw as usize, &mut raw)?;
        }
        out.extend_from_slice(raw.get(range).ok_or(io::ErrorKind::InvalidData)?);
        self.kept.push(Kept { pack: id.to_owned(), payload: frame.payload, raw });
        Ok(())
    }

    /// Passes the bytes `range` of a blob to `sink`, in order, in pieces of at most a chunk.
    pub(crate) fn blob(
        &mut self,
        packs: &PackSet,
        root: &Root,
        range: std::ops::Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = match root {
            Root::Chunk(chunk) => self.leaf(packs, chunk, 0, &range, true, &mut buffer, sink),
            Root::Whole(chunk) => Err(missing(&chunk.hash)),
            Root::List(chunk) => self.node(packs, chunk, MAX_LEVELS as u8, 0, &range, &mut buffer, sink),
        };
        self.buffer = buffer;
        read
    }

    #[expect(clippy::too_many_arguments, reason = "one step of a recursion that carries its buffers")]
    fn leaf(
        &mut self,
        packs: &PackSet,
        chunk: &Chunk,
        offset: u64,
        range: &std::ops::Range<u64>,
        lone: bool,
        buffer: &mut Vec<u8>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        buffer.clear();
        self.chunk(packs, &chunk.hash, lone, buffer)?;
        if buffer.len() as u64 != chunk.length {
            return Err(Error::new(ErrorKind::Corrupt, "read a chunk").with("chunk", chunk.hash));
        }
        let from = range.start.saturating_sub(offset).min(chunk.length) as usize;
        let to = range.end.saturating_sub(offset).min(chunk.length) as usize;
        if from < to { sink(&buffer[from..to]) } else { Ok(()) }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of a recursion that carries its buffers")]
    fn node(
        &mut self,
        packs: &PackSet,
        entry: &Chunk,
        above: u8,
        mut offset: u64,
        range: &std::ops::Range<u64>,
        buffer: &mut Vec<u8>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let node = self.read_node(packs, entry, above)?;
        for child in &node.entries {
            let end = offset + child.length;
            if end > range.start && offset < range.end {
                if node.level == 0 {
                    self.leaf(packs, child, offset, range, false, buffer, sink)?;
                } else {
                    self.node(packs, child, node.level, offset, range, buffer, sink)?;
                }
            }
            offset = end;
        }
        Ok(())
    }

    /// A node whose level is below `above` and whose length is what its entry says.
    pub(crate) fn read_node(&mut self, packs: &PackSet, entry: &Chunk, above: u8) -> Result<Node> {
        let mut bytes = Vec::new();
        self.chunk(packs, &entry.hash, true, &mut bytes)?;
        let corrupt = || Error::new(ErrorKind::Corrupt, "read a chunk list").with("chunk", entry.hash);
        let node = Node::decode(&bytes).map_err(|_| corrupt())?;
        if node.level < above && node.length() == entry.length { Ok(node) } else { Err(corrupt()) }
    }

    /// Reads all chunks of a blob, so that those that are bad are noted.
    pub(crate) fn prove(&mut self, packs: &PackSet, root: &Root) {
        let mut chunks = Vec::new();
        let mut bytes = Vec::new();
        if self.visit(packs, root, &mut |chunk| chunks.push(chunk.hash)).is_ok() {
            for hash in chunks {
                bytes.clear();
                if let Err(error) = self.chunk(packs, &hash, false, &mut bytes) {
                    tracing::debug!(%error, "another chunk of a corrupt blob");
                }
            }
        }
    }

    /// Calls `visit` with every chunk that a blob needs, nodes too; a whole file has none.
    pub(crate) fn visit(
        &mut self,
        packs: &PackSet,
        root: &Root,
        visit: &mut dyn FnMut(&Chunk),
    ) -> Result<()> {
        self.visit_parts(packs, root, &mut |part| visit(part.chunk()))
    }

    /// Calls `visit` with every chunk that a blob needs, each node before what is below it; a whole file has none.
    pub(crate) fn visit_parts(
        &mut self,
        packs: &PackSet,
        root: &Root,
        visit: &mut dyn FnMut(Part),
    ) -> Result<()> {
        match root {
            Root::Chunk(chunk) => visit(Part::Slice(*chunk)),
            Root::Whole(_) => {}
            Root::List(chunk) => self.visit_node(packs, chunk, MAX_LEVELS as u8, visit)?,
        }
        Ok(())
    }

    fn visit_node(
        &mut self,
        packs: &PackSet,
        entry: &Chunk,
        above: u8,
        visit: &mut dyn FnMut(Part),
    ) -> Result<()> {
        let node = self.read_node(packs, entry, above)?;
        visit(Part::Node(*entry));
        for child in &node.entries {
            if node.level == 0 {
                visit(Part::Slice(*child));
            } else {
                self.visit_node(packs, child, node.level, visit)?;
            }
        }
        Ok(())
    }
}
