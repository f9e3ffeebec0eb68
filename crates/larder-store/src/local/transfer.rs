//! Chunks in frames, as they travel between stores: what a remote tier packs, and what is taken from it.
//!
//! A remote pack is a row of frames of the same form as a local one ([`super::pack`], `docs/formats/pack.md`), so that
//! one reader proves both. Nothing that arrives is believed: a frame's chunks are hashed before they are kept
//! ([`Writer::put_frame`]), and a blob becomes visible only after all of it was hashed ([`Writer::put_root`]).
//!
//! Chunks that were taken and belong to no blob yet are kept from GC by the writer that took them, while it lives.

use std::io;

use larder_core::chunk_list::{Node, Root};
use larder_core::compress::{Compressor, Decompressor};
use larder_core::{Chunk, Digest, DigestFunction, Error, ErrorKind, Format, Hash, Result};

use super::pack::frame::{self, MAX_CHUNKS, TARGET};
pub use super::reader::Part;
use super::{LocalStore, Writer};

/// Gathers chunks into one frame after the other.
pub struct FrameBuilder {
    compressor: Compressor,
    raw: Vec<u8>,
    chunks: Vec<(Hash, u32)>,
    compressed: Vec<u8>,
}

impl std::fmt::Debug for FrameBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameBuilder").field("raw", &self.raw.len()).finish_non_exhaustive()
    }
}

/// A frame that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSpan {
    /// Its bytes, head and payload.
    pub length: u32,
    /// Its chunks, in order.
    pub chunks: Vec<Hash>,
}

impl FrameBuilder {
    /// A builder that compresses with zstd at `level`; 0 stores raw.
    ///
    /// # Errors
    /// If zstd cannot be set up with this level.
    pub fn new(level: i32) -> io::Result<Self> {
        let compressor = Compressor::new(Format::Zstd, level)?;
        Ok(Self { compressor, raw: Vec::new(), chunks: Vec::new(), compressed: Vec::new() })
    }

    /// Whether a chunk of `length` bytes belongs into the next frame.
    #[must_use]
    pub fn is_full_for(&self, length: usize) -> bool {
        !self.chunks.is_empty() && (self.raw.len() + length > TARGET || self.chunks.len() == MAX_CHUNKS)
    }

    /// Adds a chunk, whose hash the caller knows.
    pub fn push(&mut self, hash: Hash, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.chunks.push((hash, bytes.len() as u32));
    }

    /// Appends the frame to `out` and begins another; nothing if it is empty.
    ///
    /// # Errors
    /// If compression fails.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<Option<FrameSpan>> {
        if self.chunks.is_empty() {
            return Ok(None);
        }
        let start = out.len();
        let format = self.compressor.compress(&self.raw, &mut self.compressed)?;
        let stored = if format == Format::Raw { &self.raw } else { &self.compressed };
        frame::encode_head(out, format, &self.chunks, stored.len() as u32, self.raw.len() as u32);
        out.extend_from_slice(stored);
        self.raw.clear();
        let chunks = std::mem::take(&mut self.chunks).into_iter().map(|(hash, _)| hash).collect();
        Ok(Some(FrameSpan { length: (out.len() - start) as u32, chunks }))
    }
}

fn no_frame() -> Error {
    Error::new(ErrorKind::Corrupt, "take a frame").with_message("these bytes are no frame of chunks")
}

impl Writer<'_> {
    /// Keeps the chunks of the frame that `bytes` begin with, each proven by its hash; answers where the frame ends.
    ///
    /// # Errors
    /// `Corrupt` if there is no whole frame or a chunk is not what its hash says: then nothing of it is kept. `Full`,
    /// `ReadOnly` and others when the store cannot be written to.
    pub fn put_frame(&mut self, bytes: &[u8]) -> Result<usize> {
        let ((info, chunks), stored, end) = frame::parse(bytes).ok_or_else(no_frame)?;
        let mut raw = Vec::new();
        Decompressor::default()
            .decompress(info.format, stored, info.raw as usize, &mut raw)
            .map_err(|error| no_frame().caused_by(error))?;
        let mut slices = Vec::with_capacity(chunks.len());
        let mut rest = &raw[..];
        for (hash, length) in &chunks {
            let (slice, after) = rest.split_at_checked(*length as usize).ok_or_else(no_frame)?;
            if Hash::blake3(slice) != *hash {
                return Err(Error::new(ErrorKind::Corrupt, "take a frame").with("chunk", hash));
            }
            slices.push(slice);
            rest = after;
        }
        slices.into_iter().try_for_each(|slice| self.keep(slice).map(drop))?;
        Ok(end)
    }

    /// Makes `digest` a blob that is rebuilt from `root`, whose chunks were taken before: after all of it was hashed.
    ///
    /// # Errors
    /// `NotFound` when chunks are missing, `Invalid` when they are another blob; `Full`, `ReadOnly` and others when the
    /// store cannot be written to.
    pub fn put_root(&mut self, digest: &Digest, root: &Root) -> Result<()> {
        self.settle()?;
        let proven = matches!(root, Root::Chunk(chunk)
            if digest.function == DigestFunction::Blake3 && chunk.hash == digest.hash && chunk.length == digest.size);
        let store = self.store();
        if proven {
            let mut bytes = Vec::new();
            store.read_chunk(&root.chunk().hash, &mut bytes)?;
        } else {
            let mut hasher = digest.function.hasher();
            let length = root.chunk().length;
            store.with_reader(|reader| {
                reader.blob(&store.packs, root, 0..length, &mut |piece| {
                    hasher.update(piece);
                    Ok(())
                })
            })?;
            if hasher.finish() != *digest {
                return Err(Error::new(ErrorKind::Invalid, "take a blob")
                    .with_message("the content is not what its digest says")
                    .with("digest", digest));
            }
        }
        self.add_row(digest, root)
    }
}

impl LocalStore {
    /// What a blob is rebuilt from, in chunks: a file that is kept whole is cut for that. `None` if it is not here.
    ///
    /// # Errors
    /// When the store cannot be read; for a file that is kept whole, when it cannot be written to.
    pub fn chunked(&self, namespace: &str, digest: &Digest) -> Result<Option<Root>> {
        match self.find(namespace, digest)? {
            Some(Root::Whole(chunk)) => {
                let mut writer = self.writer(namespace)?;
                let root = writer.cut_whole(&chunk)?;
                writer.commit()?;
                Ok(root)
            }
            found => Ok(found),
        }
    }

    /// Calls `visit` with everything that a blob is rebuilt from, each node before what is below it.
    ///
    /// # Errors
    /// `NotFound` or `Corrupt` when a node cannot be read.
    pub fn visit_parts(&self, root: &Root, visit: &mut dyn FnMut(Part)) -> Result<()> {
        self.with_reader(|reader| reader.visit_parts(&self.packs, root, visit))
    }

    /// A node of a chunk list that is here: of a level below `above`, and as long as its entry says.
    ///
    /// # Errors
    /// `NotFound` or `Corrupt`.
    pub fn read_node(&self, entry: &Chunk, above: u8) -> Result<Node> {
        self.with_reader(|reader| reader.read_node(&self.packs, entry, above))
    }

    /// Whether this store has the chunk, for whatever blob.
    #[must_use]
    pub fn has_chunk(&self, hash: &Hash) -> bool {
        self.packs.has(hash)
    }

    /// Appends the bytes of a chunk to `out`, verified.
    ///
    /// # Errors
    /// `NotFound` or `Corrupt`.
    pub fn read_chunk(&self, hash: &Hash, out: &mut Vec<u8>) -> Result<()> {
        self.with_reader(|reader| reader.chunk(&self.packs, hash, false, out))
    }
}
