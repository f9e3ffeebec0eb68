//! Sections: streams of bytes in zstd frames of at most 1 MiB each, so that a part is read without the rest.
//!
//! While a section is written its frames stay in memory up to [`IN_MEMORY`], then in an unlinked file: a table of millions of entries takes no more
//! memory than a small one. A frame carries zstd's own checksum; the bytes that it is said to have are bounded before it is decompressed.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::TocError;
use crate::layout::ReadAt;

/// The most uncompressed bytes of a frame.
pub(super) const FRAME: usize = 1 << 20;
/// zstd level of tables: what is asked for is size.
const LEVEL: i32 = 9;
/// The most bytes of finished frames that are kept in memory, per section.
const IN_MEMORY: usize = 256 << 10;

/// What a section holds. Numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub(super) enum SectionKind {
    /// What the layer is: JSON.
    Layer = 1,
    Entries = 2,
    Spans = 3,
    /// A BLAKE3 per span.
    Digests = 4,
    /// Bytes of windows.
    Windows = 5,
    /// The image's manifest, as the registry has it.
    Manifest = 16,
    /// The image's configuration.
    Config = 17,
}

impl SectionKind {
    /// The sections of a layer, in order.
    pub(super) const OF_LAYER: [Self; 5] =
        [Self::Layer, Self::Entries, Self::Spans, Self::Digests, Self::Windows];

    pub(super) fn number(self) -> u32 {
        self as u32
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        [Self::Manifest, Self::Config].into_iter().chain(Self::OF_LAYER).find(|kind| kind.number() == number)
    }
}

/// One frame: its compressed and uncompressed sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) packed: u32,
    pub(super) size: u32,
}

/// A section that can be read.
#[derive(Clone)]
pub(super) struct Section {
    pub(super) source: Arc<dyn ReadAt>,
    /// Where in the source its first frame begins.
    pub(super) at: u64,
    pub(super) frames: Arc<[Frame]>,
    /// Uncompressed bytes.
    pub(super) size: u64,
}

impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Section {
    /// Compressed bytes.
    pub(super) fn packed(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.packed)).sum()
    }

    /// A reader from the begin on.
    pub(super) fn reader(&self) -> SectionReader<'_> {
        SectionReader { section: self, next: 0, at: self.at, bytes: Vec::new(), read: 0 }
    }

    /// All of it.
    pub(super) fn read_all(&self, most: u64) -> Result<Vec<u8>, TocError> {
        if self.size > most {
            return Err(TocError::TooLarge("one of its sections"));
        }
        let size = usize::try_from(self.size).map_err(|_| TocError::TooLarge("a section"))?;
        let mut bytes = Vec::new();
        self.reader().read_up_to(size, &mut bytes)?;
        Ok(bytes)
    }

    /// Some of it: decompresses no more frames than it must.
    pub(super) fn read_range(&self, from: u64, length: usize) -> Result<Vec<u8>, TocError> {
        let mut bytes = Vec::with_capacity(length.min(FRAME));
        let (mut packed_at, mut at) = (self.at, 0u64);
        for frame in self.frames.iter() {
            let end = at + u64::from(frame.size);
            if end > from && bytes.len() < length {
                let unpacked = self.frame(packed_at, *frame)?;
                let skip = usize::try_from(from.saturating_sub(at)).expect("within a frame");
                let take = (length - bytes.len()).min(unpacked.len() - skip);
                bytes.extend_from_slice(&unpacked[skip..skip + take]);
            }
            (packed_at, at) = (packed_at + u64::from(frame.packed), end);
        }
        if bytes.len() == length { Ok(bytes) } else { Err(TocError::Damaged("a section is too short")) }
    }

    /// Copies the frames as they are.
    pub(super) fn copy_packed(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut at = self.at;
        let mut bytes = Vec::new();
        for frame in self.frames.iter() {
            bytes.resize(frame.packed as usize, 0);
            self.source.read_exact_at(&mut bytes, at)?;
            to.write_all(&bytes)?;
            at += u64::from(frame.packed);
        }
        Ok(())
    }

    fn frame(&self, at: u64, frame: Frame) -> Result<Vec<u8>, TocError> {
        let mut packed = vec![0; frame.packed as usize];
        self.source.read_exact_at(&mut packed, at)?;
        let damaged = || TocError::Damaged("a frame cannot be decompressed");
        let bytes = zstd::bulk::decompress(&packed, frame.size as usize).map_err(|_| damaged())?;
        if bytes.len() == frame.size as usize { Ok(bytes) } else { Err(damaged()) }
    }
}

/// Reads a section, a frame at a time.
#[derive(Debug)]
pub(super) struct SectionReader<'a> {
    section: &'a Section,
    next: usize,
    at: u64,
    bytes: Vec<u8>,
    read: usize,
}

impl SectionReader<'_> {
    /// Fills `into` as far as one frame goes; 0 at the end. Not `Read`: what is damaged would be told as what cannot be read.
    pub(super) fn next(&mut self, into: &mut [u8]) -> Result<usize, TocError> {
        while self.read == self.bytes.len() {
            let Some(frame) = self.section.frames.get(self.next) else { return Ok(0) };
            self.bytes = self.section.frame(self.at, *frame)?;
            self.next += 1;
            self.at += u64::from(frame.packed);
            self.read = 0;
        }
        let length = into.len().min(self.bytes.len() - self.read);
        into[..length].copy_from_slice(&self.bytes[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }

    /// Appends `length` bytes, or what there is; memory is taken as bytes come.
    pub(super) fn read_up_to(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), TocError> {
        let end = into.len() + length;
        while into.len() < end {
            let from = into.len();
            into.resize(end.min(from + (64 << 10)), 0);
            let read = self.next(&mut into[from..])?;
            into.truncate(from + read);
            if read == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Where finished frames are kept.
enum Spool {
    Memory(Vec<u8>),
    File(File),
}

/// Compresses a frame. One compressor serves all tables and stays: at this level it has 11 MiB, is needed seldom, and memory of that size that
/// comes and goes leaves holes that nothing else fits.
fn pack(frame: &[u8]) -> io::Result<Vec<u8>> {
    static PACKER: Mutex<Option<zstd::bulk::Compressor<'static>>> = Mutex::new(None);
    let mut packer = PACKER.lock().unwrap_or_else(PoisonError::into_inner);
    let packer = match &mut *packer {
        Some(packer) => packer,
        none => {
            let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
            packer.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
            none.insert(packer)
        }
    };
    packer.compress(frame)
}

/// Writes a section.
pub(super) struct SectionWriter {
    buffer: Vec<u8>,
    frames: Vec<Frame>,
    spool: Spool,
    size: u64,
}

impl SectionWriter {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), frames: Vec::new(), spool: Spool::Memory(Vec::new()), size: 0 }
    }

    /// A section of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Result<Section, TocError> {
        let mut writer = Self::new();
        writer.write(bytes)?;
        writer.finish()
    }

    /// Appends.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), TocError> {
        while !bytes.is_empty() {
            let taken = bytes.len().min(FRAME - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.buffer.len() == FRAME {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), TocError> {
        let packed = pack(&self.buffer)?;
        let small = |length: usize| u32::try_from(length).expect("a frame is small");
        self.frames.push(Frame { packed: small(packed.len()), size: small(self.buffer.len()) });
        self.size += self.buffer.len() as u64;
        self.buffer.clear();
        match &mut self.spool {
            Spool::Memory(bytes) => {
                bytes.extend_from_slice(&packed);
                if bytes.len() > IN_MEMORY {
                    let mut file = tempfile::tempfile()?;
                    file.write_all(bytes)?;
                    self.spool = Spool::File(file);
                }
            }
            Spool::File(file) => file.write_all(&packed)?,
        }
        Ok(())
    }

    /// The section.
    pub(super) fn finish(mut self) -> Result<Section, TocError> {
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        let source: Arc<dyn ReadAt> = match self.spool {
            Spool::Memory(bytes) => Arc::new(bytes::Bytes::from(bytes)),
            Spool::File(file) => Arc::new(file),
        };
        Ok(Section { source, at: 0, frames: self.frames.into(), size: self.size })
    }
}
