//! A table that lies and is right by all its own checksums: windows are changed, and with them every byte that is a back-reference into them, while each
//! compressed byte is genuine.

use std::sync::Arc;

use bytes::Bytes;
use larder::oci::toc::{IndexOptions, LayerToc, TocError, index_layer};
use larder_testing::layers::{Item, Tar};
use sha2::{Digest as _, Sha256};

use crate::world::bytes_of;

const INFO: u64 = 1;
const ENTRIES: u64 = 2;
const SPANS: u64 = 3;
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
    assemble_by(sections, FRAME)
}

/// The same, in frames of another size.
fn assemble_by(sections: &[(u64, Vec<u8>)], frame: usize) -> Vec<u8> {
    let mut file = b"LARDRTOC\x01\0\x01\0\0\0\0\0".to_vec();
    let mut directory = Vec::new();
    let mut identity = Sha256::new();
    put(&mut directory, sections.len() as u64);
    for (kind, bytes) in sections {
        identity.update((*kind as u32).to_le_bytes());
        identity.update(0u32.to_le_bytes());
        identity.update((bytes.len() as u64).to_le_bytes());
        identity.update(bytes);
        let frames: Vec<&[u8]> = bytes.chunks(frame).collect();
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

/// A small file can say a lot: a frame of zeros has a few bytes. Each of these is refused before memory is filled with it.
#[test]
fn tables_with_oversized_sections_are_refused() {
    let tar = Tar::of((0..40).map(|at| Item::file(format!("f{at}"), "text")));
    let toc = index_layer(&tar[..], &IndexOptions::default(), &mut |_| {}).unwrap().toc;
    let right = sections(&bytes_of(&toc));
    let with = |kind: u64, change: &dyn Fn(&mut Vec<u8>)| {
        let mut all = right.clone();
        change(&mut all.iter_mut().find(|(own, _)| *own == kind).unwrap().1);
        assemble(&all)
    };
    let said = |name: &str, number: u64| {
        with(INFO, &|bytes| {
            let mut info: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            info[name] = number.into();
            *bytes = info.to_string().into_bytes();
        })
    };
    let refused = |file: &[u8], too_large: bool| {
        assert!(file.len() < 1 << 20, "{} bytes", file.len());
        let opened = LayerToc::open(Arc::new(Bytes::copy_from_slice(file)));
        let error = opened.and_then(|toc| toc.verify()).unwrap_err();
        assert_eq!(matches!(error, TocError::TooLarge(_)), too_large, "{error}");
        assert!(matches!(error, TocError::TooLarge(_) | TocError::Damaged(_)), "{error}");
    };
    refused(&with(SPANS, &|bytes| bytes.resize((256 << 20) + 1, 0)), true);
    refused(&said("spans", 5_000_000), true);
    refused(&with(INFO, &|bytes| bytes.resize(65 << 10, b' ')), true);
    refused(&assemble_by(&with_zeros(&right), 2 * FRAME), true);
    // As large as is allowed, and not what is said elsewhere.
    refused(&with(SPANS, &|bytes| bytes.resize(64 << 20, 0)), false);
    refused(&with(DIGESTS, &|bytes| bytes.resize(256 << 20, 0)), false);
    // Entries: a block over and over, and one that says that it is longer than any.
    refused(&with(ENTRIES, &|bytes| *bytes = bytes.repeat(100_000)), false);
    refused(&with(ENTRIES, &|bytes| put(bytes, (16 << 20) + 1)), true);
    refused(&said("entries", 41), false);
    refused(&said("entries", 39), false);
}

fn with_zeros(sections: &[(u64, Vec<u8>)]) -> Vec<(u64, Vec<u8>)> {
    let mut all = sections.to_vec();
    all.last_mut().unwrap().1 = vec![0; 2 * FRAME];
    all
}
