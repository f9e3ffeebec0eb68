//! A frame: consecutive chunks that share one compressed block.
//!
//! ```text
//! header  "LFR1" | format u8 | 0 u8 | chunks u16 | stored u32 | raw u32 | check [16]
//! entry   hash [32] | length u32            × chunks
//! payload `stored` bytes
//! ```
//! `check` is BLAKE3 of the first 16 bytes and the entries, truncated to 16 bytes: it tells a whole header from a torn one. The payload is
//! proven chunk by chunk, by the hashes. Frames follow each other without gaps after the pack's 16-byte header.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use larder_core::{Format, Hash};

use super::ChunkRow;

/// Bytes of the header.
pub(crate) const HEADER: usize = 32;
/// Bytes of an entry.
pub(crate) const ENTRY: usize = 36;
/// A frame is closed when its raw bytes reach this.
pub(crate) const TARGET: usize = 128 << 10;
/// No frame is longer than this, raw or stored: a bound for readers of hostile files.
pub(crate) const MAX_BYTES: u32 = 32 << 20;
/// Entries of a frame at most.
pub(crate) const MAX_CHUNKS: usize = 4096;
/// Bytes of a frame in a pack's directory.
pub(crate) const DIRECTORY_ENTRY: usize = 24;
/// The first bytes of a frame.
pub(crate) const MAGIC: &[u8; 4] = b"LFR1";

/// Where a frame's payload is and how it is stored: an entry of the pack's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameInfo {
    /// Offset of the payload in the pack.
    pub(crate) payload: u64,
    /// Stored length.
    pub(crate) stored: u32,
    /// Length when decompressed.
    pub(crate) raw: u32,
    /// How it is stored.
    pub(crate) format: Format,
    /// Number of chunks.
    pub(crate) chunks: u16,
}

impl FrameInfo {
    /// Appends the directory entry.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload.to_le_bytes());
        out.extend_from_slice(&self.stored.to_le_bytes());
        out.extend_from_slice(&self.raw.to_le_bytes());
        out.extend_from_slice(&[self.format as u8, 0]);
        out.extend_from_slice(&self.chunks.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    /// Reads a directory entry; `None` if it is impossible.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let info = Self {
            payload: u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")),
            stored: number(8),
            raw: number(12),
            format: Format::from_number(bytes[16])?,
            chunks: u16::from_le_bytes([bytes[18], bytes[19]]),
        };
        (info.stored <= MAX_BYTES && info.raw <= MAX_BYTES).then_some(info)
    }

    /// Offset of the frame's header.
    pub(crate) fn start(&self) -> u64 {
        self.payload.saturating_sub((HEADER + usize::from(self.chunks) * ENTRY) as u64)
    }
}

/// Writes header and entries of a frame to `out`; the payload follows.
pub(crate) fn encode_head(out: &mut Vec<u8>, format: Format, chunks: &[(Hash, u32)], stored: u32, raw: u32) {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[format as u8, 0]);
    out.extend_from_slice(&(chunks.len() as u16).to_le_bytes());
    out.extend_from_slice(&stored.to_le_bytes());
    out.extend_from_slice(&raw.to_le_bytes());
    out.extend_from_slice(&[0; 16]);
    for (hash, length) in chunks {
        out.extend_from_slice(&hash.0);
        out.extend_from_slice(&length.to_le_bytes());
    }
    let check = check(&out[start..start + 16], &out[start + HEADER..]);
    out[start + 16..start + HEADER].copy_from_slice(&check);
}

fn check(head: &[u8], entries: &[u8]) -> [u8; 16] {
    let mut hasher = larder_core::DigestFunction::Blake3.hasher();
    hasher.update(head);
    hasher.update(entries);
    hasher.finish().hash.0[..16].try_into().expect("16 of 32 bytes")
}

/// What the head of a frame says: where its payload is, and its chunks.
pub(crate) type Head = (FrameInfo, Vec<(Hash, u32)>);

/// The fixed part of a frame's head.
struct Header {
    bytes: [u8; HEADER],
    count: usize,
    stored: u32,
    raw: u32,
}

impl Header {
    /// Reads the fixed part; `None` if it is none, or of impossible size.
    fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let count = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
        let (stored, raw) = (number(8), number(12));
        let bounded = count <= MAX_CHUNKS && stored <= MAX_BYTES && raw <= MAX_BYTES;
        (&bytes[..4] == MAGIC && bounded).then_some(Self { bytes, count, stored, raw })
    }

    /// Length of the whole head.
    fn head(&self) -> usize {
        HEADER + self.count * ENTRY
    }

    /// Reads the entries of a frame whose head begins at `offset`; `None` if the head is not whole.
    fn entries(&self, entries: &[u8], offset: u64) -> Option<Head> {
        let format = Format::from_number(self.bytes[4])?;
        if check(&self.bytes[..16], entries) != self.bytes[16..] {
            return None;
        }
        let mut chunks = Vec::with_capacity(self.count);
        let mut total = 0u64;
        for entry in entries.chunks_exact(ENTRY) {
            let (hash, length) = entry.split_at(32);
            let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
            total += u64::from(length);
            chunks.push((Hash(hash.try_into().expect("32 bytes")), length));
        }
        let (stored, raw, payload) = (self.stored, self.raw, offset + self.head() as u64);
        let info = FrameInfo { payload, stored, raw, format, chunks: self.count as u16 };
        (total == u64::from(raw)).then_some((info, chunks))
    }
}

/// Reads the frame that begins at `offset` of a pack of `size` bytes. `None`: there is no whole frame there.
pub(crate) fn read_head(file: &File, offset: u64, size: u64) -> io::Result<Option<Head>> {
    if offset + HEADER as u64 > size {
        return Ok(None);
    }
    let mut head = [0; HEADER];
    file.read_exact_at(&mut head, offset)?;
    let Some(header) = Header::decode(head) else { return Ok(None) };
    if offset + header.head() as u64 + u64::from(header.stored) > size {
        return Ok(None);
    }
    let mut entries = vec![0; header.count * ENTRY];
    file.read_exact_at(&mut entries, offset + HEADER as u64)?;
    Ok(header.entries(&entries, offset))
}

/// Reads the frame that `bytes` begin with, and where it ends. `None`: there is no whole frame.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Head, &[u8], usize)> {
    let header = Header::decode(*bytes.first_chunk()?)?;
    let end = header.head() + header.stored as usize;
    let head = header.entries(bytes.get(HEADER..header.head())?, 0)?;
    Some((head, bytes.get(header.head()..end)?, end))
}

/// The rows that a frame adds to its pack's table.
pub(crate) fn rows(frame: u32, chunks: &[(Hash, u32)]) -> impl Iterator<Item = ChunkRow> + '_ {
    let mut offset = 0;
    chunks.iter().map(move |&(hash, length)| {
        let row = ChunkRow { hash, frame, offset, length };
        offset += length;
        row
    })
}
