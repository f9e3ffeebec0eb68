//! Compression of stored bytes: formats, levels, and the decision whether it is worth it.
//!
//! A [`Compressor`] is reused for many frames (setting up a zstd context costs more than compressing a small frame).
//! What does not shrink by at least 1/32 is stored raw. The format is recorded with each frame.

use std::io::{self, Read, Write};

/// How bytes are stored. The numbers are part of the pack format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Format {
    /// As they are.
    Raw = 0,
    /// Zstandard (RFC 8878).
    #[default]
    Zstd = 1,
    /// LZ4 block.
    Lz4 = 2,
    /// Brotli (RFC 7932).
    Brotli = 3,
}

impl Format {
    /// The format with this number; `None` if unknown.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Raw, Self::Zstd, Self::Lz4, Self::Brotli].into_iter().find(|format| *format as u8 == number)
    }
}

/// Whether bytes begin like something that is compressed already.
#[must_use]
pub fn has_compressed_magic(head: &[u8]) -> bool {
    const MAGICS: &[&[u8]] = &[
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"\xfd7zXZ\0",
        b"PK\x03\x04",
        b"BZh",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07",
        b"\x04\x22\x4d\x18",
        b"GIF8",
        b"OggS",
        b"fLaC",
        b"ID3",
        b"wOF2",
        b"\x1a\x45\xdf\xa3",
    ];
    MAGICS.iter().any(|magic| head.starts_with(magic))
        || head.get(4..8) == Some(b"ftyp")
        || (head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP"))
}

/// Order-0 entropy of a sample of up to 4 KiB from the middle, in bits a byte.
fn sample_entropy(bytes: &[u8]) -> f32 {
    let start = bytes.len().saturating_sub(4096) / 2;
    let sample = &bytes[start..(start + 4096).min(bytes.len())];
    let mut counts = [0u16; 256];
    for &byte in sample {
        counts[usize::from(byte)] += 1;
    }
    let total = sample.len() as f32;
    counts.iter().filter(|&&n| n > 0).map(|&n| -(f32::from(n) / total) * (f32::from(n) / total).log2()).sum()
}

/// Compresses frames with one format and level.
pub struct Compressor {
    format: Format,
    level: i32,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    /// A compressor. `level`: zstd 1 to 19 (0 means raw, as in the configuration), brotli 0 to 11, ignored by lz4.
    ///
    /// # Errors
    /// If zstd cannot be set up with this level.
    pub fn new(format: Format, level: i32) -> io::Result<Self> {
        let format = if level == 0 && format == Format::Zstd { Format::Raw } else { format };
        let zstd = match format {
            Format::Zstd => Some(zstd::bulk::Compressor::new(level)?),
            _ => None,
        };
        Ok(Self { format, level, zstd })
    }

    /// Compresses `raw` into `out` (cleared first) if that is worth it. `Raw` means that `out` was not used.
    ///
    /// # Errors
    /// If the compressor itself fails.
    pub fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<Format> {
        out.clear();
        if self.format == Format::Raw || raw.len() < 64 || !self.seems_worth_it(raw, out)? {
            return Ok(Format::Raw);
        }
        self.encode(raw, out)?;
        Ok(if out.len() <= raw.len() - raw.len() / 32 { self.format } else { Format::Raw })
    }

    /// Bytes of high entropy are tried on a sample first; everything else is compressed at once.
    fn seems_worth_it(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
        if raw.len() < 16 << 10 || sample_entropy(raw) < 7.5 {
            return Ok(true);
        }
        let start = (raw.len() - (8 << 10)) / 2;
        let sample = &raw[start..start + (8 << 10)];
        self.encode(sample, out)?;
        Ok(out.len() <= sample.len() - sample.len() / 32)
    }

    fn encode(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        match self.format {
            Format::Raw => {}
            Format::Zstd => {
                out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
                let zstd = self.zstd.as_mut().expect("set up in `new` for this format");
                zstd.compress_to_buffer(raw, out)?;
            }
            Format::Lz4 => {
                out.resize(lz4_flex::block::get_maximum_output_size(raw.len()), 0);
                let length = lz4_flex::block::compress_into(raw, out).map_err(io::Error::other)?;
                out.truncate(length);
            }
            Format::Brotli => {
                let quality = u32::try_from(self.level).unwrap_or(0).min(11);
                brotli::CompressorWriter::new(&mut *out, 4096, quality, 20).write_all(raw)?;
            }
        }
        Ok(())
    }
}

/// Decompresses frames; reused for many.
#[derive(Default)]
pub struct Decompressor {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Decompressor {
    /// Fills `out` (cleared first) with the `raw_length` bytes that `stored` stands for.
    ///
    /// # Errors
    /// `InvalidData` if `stored` is not exactly that. Never allocates more than `raw_length` asks for.
    pub fn decompress(
        &mut self,
        format: Format,
        stored: &[u8],
        raw_length: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.clear();
        out.reserve(raw_length);
        match format {
            Format::Raw => out.extend_from_slice(stored),
            Format::Zstd => {
                if self.zstd.is_none() {
                    self.zstd = Some(zstd::bulk::Decompressor::new()?);
                }
                let zstd = self.zstd.as_mut().expect("set just above");
                zstd.decompress_to_buffer(stored, out)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            Format::Lz4 => {
                out.resize(raw_length, 0);
                let length = lz4_flex::block::decompress_into(stored, out)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                out.truncate(length);
            }
            Format::Brotli => {
                let limit = raw_length as u64 + 1;
                brotli::Decompressor::new(stored, 4096)
                    .take(limit)
                    .read_to_end(out)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
        }
        if out.len() == raw_length { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}
