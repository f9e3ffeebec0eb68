//! The framing of gzip (RFC 1952): a member's header and trailer.
//!
//! ```text
//! 1f 8b 08 flags time(4) xfl os │ FEXTRA: length(2) bytes │ FNAME: … 0 │ FCOMMENT: … 0 │ FHCRC: crc16 │ deflate │ crc32 isize
//! ```
//! What has no bound of its own (a name, a comment) is consumed as it comes, so that no header needs a buffer.

use crate::error::{ErrorKind, Stuck};

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Bytes of a trailer.
pub(crate) const TRAILER: usize = 8;

/// A header that is being read.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    part: Part,
    flags: u8,
    checksum: crc32fast::Hasher,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Fixed,
    ExtraLength,
    Extra(usize),
    Name,
    Comment,
    Checksum,
    End,
}

impl Header {
    pub(crate) fn new() -> Self {
        Self { part: Part::Fixed, flags: 0, checksum: crc32fast::Hasher::new() }
    }

    /// Reads one part, or as much of it as is there: the bytes consumed, or `None` if the header is at its end.
    pub(crate) fn read(&mut self, input: &[u8], first: bool) -> Result<Option<usize>, Stuck> {
        let read = match self.part {
            Part::Fixed => {
                self.flags = fixed(input, first)?;
                self.part = Part::ExtraLength;
                10
            }
            Part::ExtraLength if self.flags & FEXTRA == 0 => self.skip_to(Part::Name),
            Part::ExtraLength => {
                let length = input.first_chunk::<2>().ok_or(Stuck::Input)?;
                self.part = Part::Extra(u16::from_le_bytes(*length).into());
                2
            }
            Part::Extra(0) => self.skip_to(Part::Name),
            Part::Extra(left) => {
                let read = some(input.len().min(left))?;
                self.part = Part::Extra(left - read);
                read
            }
            Part::Name if self.flags & FNAME == 0 => self.skip_to(Part::Comment),
            Part::Name => self.text(input, Part::Comment)?,
            Part::Comment if self.flags & FCOMMENT == 0 => self.skip_to(Part::Checksum),
            Part::Comment => self.text(input, Part::Checksum)?,
            Part::Checksum if self.flags & FHCRC == 0 => self.skip_to(Part::End),
            Part::Checksum => {
                let expected = u16::from_le_bytes(*input.first_chunk::<2>().ok_or(Stuck::Input)?);
                if self.checksum.clone().finalize() as u16 != expected {
                    return Err(ErrorKind::HeaderChecksum.into());
                }
                self.part = Part::End;
                2
            }
            Part::End => return Ok(None),
        };
        if self.flags & FHCRC != 0 {
            self.checksum.update(&input[..read]);
        }
        Ok(Some(read))
    }

    fn skip_to(&mut self, part: Part) -> usize {
        self.part = part;
        0
    }

    /// A text up to its zero byte.
    fn text(&mut self, input: &[u8], then: Part) -> Result<usize, Stuck> {
        match input.iter().position(|byte| *byte == 0) {
            Some(end) => {
                self.part = then;
                Ok(end + 1)
            }
            None => some(input.len()),
        }
    }
}

fn some(read: usize) -> Result<usize, Stuck> {
    if read == 0 { Err(Stuck::Input) } else { Ok(read) }
}

/// The ten bytes that every header has; its flags.
fn fixed(input: &[u8], first: bool) -> Result<u8, Stuck> {
    if input.iter().zip([0x1f, 0x8b]).any(|(byte, magic)| *byte != magic) {
        return Err(if first { ErrorKind::Magic } else { ErrorKind::Junk }.into());
    }
    if let Some(&method) = input.get(2)
        && method != 8
    {
        return Err(ErrorKind::Method(method).into());
    }
    if let Some(&flags) = input.get(3)
        && flags & RESERVED != 0
    {
        return Err(ErrorKind::Flags(flags).into());
    }
    input.first_chunk::<10>().map(|fixed| fixed[3]).ok_or(Stuck::Input)
}

/// The two numbers of a trailer: CRC32, length modulo 2^32.
pub(crate) fn trailer(input: &[u8]) -> Result<(u32, u32), Stuck> {
    let bytes = input.first_chunk::<TRAILER>().ok_or(Stuck::Input)?;
    let [a, b, c, d, e, f, g, h] = *bytes;
    Ok((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
}
