//! A table that lies and is right by all its own checksums: windows are changed, and with them every byte that is a back-reference into them, while each
//! compressed byte is genuine.

use std::sync::Arc;

use bytes::Bytes;
use larder::oci::toc::LayerToc;
use sha2::{Digest as _, Sha256};

use crate::world::bytes_of;

const DIGESTS: u64 = 4;
const WINDOWS: u64 = 5;
const FRAME: usize = 1 << 20;

fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Kind and bytes of each section, read as `docs/formats/toc.md` has it.
fn sections(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let foot = &file[file.len() - 88..];
    let at = u64::from_le_bytes(foot[..8].try_into().unwrap()) as usize;
    let length = u32::from_le_bytes(foot[8..12].try_into().unwrap()) as usize;
    let mut directory = &file[at..at + length];
    let mut found = Vec::new();
    for _ in 0..take(&mut directory) {
        let (kind, _layer) = (take(&mut directory), take(&mut directory));
        let (mut place, _size) = (take(&mut directory) as usize, take(&mut directory));
        let mut bytes = Vec::new();
        for _ in 0..take(&mut directory) {
            let (packed, size) = (take(&mut directory) as usize, take(&mut directory) as usize);
            bytes.extend(zstd::bulk::decompress(&file[place..place + packed], size).unwrap());
            place += packed;
        }
        found.push((kind, bytes));
    }
    found
}

/// A file of these sections, with every checksum right.
fn assemble(sections: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"LARDRTOC\x01\0\x01\0\0\0\0\0".to_vec();
    let mut directory = Vec::new();
    let mut identity = Sha256::new();
    put(&mut directory, sections.len() as u64);
    for (kind, bytes) in sections {
        identity.update((*kind as u32).to_le_bytes());
        identity.update(0u32.to_le_bytes());
        identity.update((bytes.len() as u64).to_le_bytes());
        identity.update(bytes);
        let frames: Vec<&[u8]> = bytes.chunks(FRAME).collect();
        for number in [*kind, 0, file.len() as u64, bytes.len() as u64, frames.len() as u64] {
            put(&mut directory, number);
        }
        for frame in frames {
            let packed = zstd::bulk::compress(frame, 3).unwrap();
            put(&mut directory, packed.len() as u64);
            put(&mut directory, frame.len() as u64);
            file.extend(packed);
        }
    }
    let at = file.len() as u64;
    file.extend(&directory);
    file.extend(at.to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(blake3::hash(&directory).as_bytes());
    file.extend(identity.finalize());
    file.extend(b"LARDRTOC");
    file
}

fn open(file: &[u8]) -> LayerToc {
    LayerToc::open(Arc::new(Bytes::copy_from_slice(file))).unwrap()
}

/// The table of a layer with another content of its windows, and digests that fit what is decoded with those.
pub(crate) fn forge(table: &LayerToc, stored: &[u8]) -> LayerToc {
    let mut all = sections(&bytes_of(table));
    assert_eq!(open(&assemble(&all)).identity(), table.identity(), "the forger can write tables");
    let windows = all.iter_mut().find(|(kind, _)| *kind == WINDOWS).unwrap();
    assert!(!windows.1.is_empty());
    windows.1.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte ^= 1);
    let lying = open(&assemble(&all));
    let mut digests = Vec::new();
    for span in 0..lying.spans().len() {
        let (range, packed) = (lying.bytes_of(span), lying.packed_bytes_of(span..span + 1));
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let packed = &stored[packed.start as usize..packed.end as usize];
        larder_inflate::decode_span(&lying.point(span).unwrap(), packed, &mut bytes).unwrap();
        digests.extend(blake3::hash(&bytes).as_bytes());
    }
    all.iter_mut().find(|(kind, _)| *kind == DIGESTS).unwrap().1 = digests;
    let forged = open(&assemble(&all));
    forged.verify().unwrap();
    assert_ne!(forged.identity(), table.identity());
    forged
}
