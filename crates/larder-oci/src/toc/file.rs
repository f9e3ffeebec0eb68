//! A table as a file: a head, the sections' frames, a directory of them, a foot that says where that is.
//!
//! ```text
//! head       "LARDRTOC"  version u16  kind u16 (1 layer, 2 image)  zeros u32
//! frames     of the sections, in the order of the directory
//! directory  numbers: sections; for each: kind, layer, place, size, frames; for each: compressed size, size
//! foot       place of the directory u64  its length u32  zeros u32  its BLAKE3 (32)  identity (32)  "LARDRTOC"
//! ```
//! Fixed numbers are little-endian. `layer` is 0 in a table of one layer and of sections of the image, else the layer's number from 1 on.
//!
//! The identity is the SHA-256 over each section's kind (u32), layer (u32), size (u64) and uncompressed bytes, in the order of the directory. It does
//! not depend on the compressor.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::TocError;
use super::number::{self, Cursor};
use super::section::{FRAME, Frame, Section, SectionKind};
use crate::layout::ReadAt;
use crate::manifest::MOST_LAYERS;

const MAGIC: &[u8; 8] = b"LARDRTOC";
/// The version of the format.
pub const VERSION: u16 = 1;
const HEAD: u64 = 16;
const FOOT: u64 = 88;
const LONGEST_DIRECTORY: u32 = 4 << 20;

/// What a file is a table of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Layer = 1,
    Image = 2,
}

/// What a table says, apart from how it is compressed: SHA-256 over its sections.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity(pub [u8; 32]);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

/// A section with its place in the order.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) kind: SectionKind,
    pub(super) layer: u32,
    pub(super) section: Section,
}

/// The identity of these sections; reads all of them.
pub(super) fn identity(sections: &[Placed]) -> Result<Identity, TocError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    for Placed { kind, layer, section } in sections {
        hasher.update(kind.number().to_le_bytes());
        hasher.update(layer.to_le_bytes());
        hasher.update(section.size.to_le_bytes());
        let mut reader = section.reader();
        loop {
            let length = reader.next(&mut buffer)?;
            if length == 0 {
                break;
            }
            hasher.update(&buffer[..length]);
        }
    }
    Ok(Identity(hasher.finalize().into()))
}

/// Writes a file; says how many bytes it has.
pub(super) fn write(
    to: &mut dyn Write,
    kind: FileKind,
    sections: &[Placed],
    identity: Identity,
) -> Result<u64, TocError> {
    to.write_all(MAGIC)?;
    to.write_all(&VERSION.to_le_bytes())?;
    to.write_all(&(kind as u16).to_le_bytes())?;
    to.write_all(&[0; 4])?;
    let mut at = HEAD;
    let mut directory = Vec::new();
    number::put(&mut directory, sections.len() as u64);
    for Placed { kind, layer, section } in sections {
        number::put(&mut directory, u64::from(kind.number()));
        number::put(&mut directory, u64::from(*layer));
        number::put(&mut directory, at);
        number::put(&mut directory, section.size);
        number::put(&mut directory, section.frames.len() as u64);
        for frame in section.frames.iter() {
            number::put(&mut directory, u64::from(frame.packed));
            number::put(&mut directory, u64::from(frame.size));
        }
        section.copy_packed(to)?;
        at += section.packed();
    }
    let length = u32::try_from(directory.len()).map_err(|_| TocError::TooLarge("its directory"))?;
    to.write_all(&directory)?;
    to.write_all(&at.to_le_bytes())?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&[0; 4])?;
    to.write_all(blake3::hash(&directory).as_bytes())?;
    to.write_all(&identity.0)?;
    to.write_all(MAGIC)?;
    Ok(at + u64::from(length) + FOOT)
}

/// Reads a file's directory. The identity is what the file says: [`identity`] tells whether it is right.
pub(super) fn open(source: Arc<dyn ReadAt>) -> Result<(FileKind, Vec<Placed>, Identity), TocError> {
    let size = source.size()?;
    if size < HEAD + FOOT {
        return Err(TocError::NoToc);
    }
    let mut head = [0; HEAD as usize];
    source.read_exact_at(&mut head, 0)?;
    if &head[..8] != MAGIC {
        return Err(TocError::NoToc);
    }
    let version = u16::from_le_bytes([head[8], head[9]]);
    if version != VERSION {
        return Err(TocError::Version(version));
    }
    let kind = match u16::from_le_bytes([head[10], head[11]]) {
        1 => FileKind::Layer,
        2 => FileKind::Image,
        _ => return Err(TocError::Damaged("its kind is not known")),
    };
    let mut foot = [0; FOOT as usize];
    source.read_exact_at(&mut foot, size - FOOT)?;
    let damaged = TocError::Damaged("its end is not what it should be");
    let at = u64::from_le_bytes(foot[..8].try_into().expect("eight bytes"));
    let length = u32::from_le_bytes(foot[8..12].try_into().expect("four bytes"));
    if &foot[80..] != MAGIC || head[12..] != [0; 4] || foot[12..16] != [0; 4] {
        return Err(damaged);
    }
    if length > LONGEST_DIRECTORY {
        return Err(TocError::TooLarge("its directory"));
    }
    if at.checked_add(u64::from(length)) != Some(size - FOOT) {
        return Err(damaged);
    }
    let mut directory = vec![0; length as usize];
    source.read_exact_at(&mut directory, at)?;
    if blake3::hash(&directory).as_bytes() != &foot[16..48] {
        return Err(TocError::Damaged("its directory is not what its checksum says"));
    }
    let identity = Identity(foot[48..80].try_into().expect("thirty-two bytes"));
    Ok((kind, parse(&directory, at, &source)?, identity))
}

fn parse(directory: &[u8], end: u64, source: &Arc<dyn ReadAt>) -> Result<Vec<Placed>, TocError> {
    let mut cursor = Cursor::new(directory);
    let count = cursor.count()?;
    let mut sections: Vec<Placed> = Vec::new();
    let mut next = HEAD;
    for _ in 0..count {
        let kind = SectionKind::from_number(cursor.small()?)
            .ok_or(TocError::Damaged("a section's kind is not known"))?;
        let layer = cursor.small()?;
        if layer as usize > MOST_LAYERS {
            return Err(TocError::TooLarge("its number of layers"));
        }
        let (at, size) = (cursor.number()?, cursor.number()?);
        let mut frames = Vec::new();
        let (mut packed, mut sum) = (0u64, 0u64);
        for _ in 0..cursor.count()? {
            let frame = Frame { packed: cursor.small()?, size: cursor.small()? };
            if frame.size as usize > FRAME || frame.packed as usize > 2 * FRAME {
                return Err(TocError::TooLarge("a frame"));
            }
            if frame.size == 0 {
                return Err(TocError::Damaged("a frame holds nothing"));
            }
            packed += u64::from(frame.packed);
            sum += u64::from(frame.size);
            frames.push(frame);
        }
        if at != next || sum != size || end.checked_sub(at).is_none_or(|room| packed > room) {
            return Err(TocError::Damaged("a section lies where it cannot"));
        }
        next = at + packed;
        let place = (layer, kind);
        // So none is there twice.
        if sections.last().is_some_and(|last| (last.layer, last.kind) >= place) {
            return Err(TocError::Damaged("its sections are out of order"));
        }
        let section = Section { source: source.clone(), at, frames: frames.into(), size };
        sections.push(Placed { kind, layer, section });
    }
    if next != end || !cursor.is_empty() {
        return Err(TocError::Damaged("it holds more than its directory says"));
    }
    Ok(sections)
}
