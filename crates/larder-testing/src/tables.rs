//! Tables for lazy reads (`docs/formats/toc.md`), taken apart and put together by hand, so that tests can make ones
//! that lie and are right by all their checksums. Written from the format's page, not with the code that it tests.

use sha2::{Digest as _, Sha256};

/// What the file of a layer's table begins with.
pub const LAYER: &[u8; 16] = b"LARDRTOC\x01\0\x01\0\0\0\0\0";

/// What the file of an image's tables begins with.
pub const IMAGE: &[u8; 16] = b"LARDRTOC\x01\0\x02\0\0\0\0\0";

/// The usual size of a frame of a section.
pub const FRAME: usize = 1 << 20;

const TAIL: &[u8; 8] = b"LARDRTOC";
const FOOT: usize = 88;

/// A section: kind and layer (0: the file's own), and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it holds, as the format numbers it.
    pub kind: u64,
    /// Whose it is.
    pub layer: u64,
    /// Its bytes, not compressed.
    pub bytes: Vec<u8>,
}

/// Appends a number as the format writes it (LEB128).
pub fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Takes a number from the front.
fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a number");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

/// The sections of a good file, in its order.
///
/// # Panics
/// When the file is none.
#[must_use]
pub fn sections(file: &[u8]) -> Vec<Section> {
    let foot = &file[file.len() - FOOT..];
    let at = u64::from_le_bytes(foot[..8].try_into().expect("8 bytes")) as usize;
    let length = u32::from_le_bytes(foot[8..12].try_into().expect("4 bytes")) as usize;
    let mut directory = &file[at..at + length];
    let mut found = Vec::new();
    for _ in 0..take(&mut directory) {
        let (kind, layer) = (take(&mut directory), take(&mut directory));
        let (mut place, _size) = (take(&mut directory) as usize, take(&mut directory));
        let mut bytes = Vec::new();
        for _ in 0..take(&mut directory) {
            let (packed, size) = (take(&mut directory) as usize, take(&mut directory) as usize);
            bytes.extend(zstd::bulk::decompress(&file[place..place + packed], size).expect("a frame"));
            place += packed;
        }
        found.push(Section { kind, layer, bytes });
    }
    found
}

/// A file of this head and these sections with every checksum right, cut into frames of at most `frame` bytes.
///
/// # Panics
/// When there is no memory to compress in.
#[must_use]
pub fn assemble(head: &[u8; 16], sections: &[Section], frame: usize) -> Vec<u8> {
    let mut file = head.to_vec();
    let mut directory = Vec::new();
    let mut identity = Sha256::new();
    put(&mut directory, sections.len() as u64);
    for Section { kind, layer, bytes } in sections {
        identity.update((*kind as u32).to_le_bytes());
        identity.update((*layer as u32).to_le_bytes());
        identity.update((bytes.len() as u64).to_le_bytes());
        identity.update(bytes);
        let frames: Vec<&[u8]> = bytes.chunks(frame).collect();
        for number in [*kind, *layer, file.len() as u64, bytes.len() as u64, frames.len() as u64] {
            put(&mut directory, number);
        }
        for frame in frames {
            let packed = zstd::bulk::compress(frame, 3).expect("room for everything");
            put(&mut directory, packed.len() as u64);
            put(&mut directory, frame.len() as u64);
            file.extend(packed);
        }
    }
    finish(file, &directory, identity.finalize().into())
}

/// Ends a file with a directory as it is, whatever that says.
#[must_use]
pub fn finish(mut file: Vec<u8>, directory: &[u8], identity: [u8; 32]) -> Vec<u8> {
    let at = file.len() as u64;
    file.extend(directory);
    file.extend(at.to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(blake3::hash(directory).as_bytes());
    file.extend(identity);
    file.extend(TAIL);
    file
}
