//! Digests, chunking, chunk lists and compression through their public interfaces.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::convert::Infallible;

use larder_core::chunk_list::{Builder, Chunk, MAX_ENTRIES, Node, Root};
use larder_core::chunker::Chunker;
use larder_core::compress::{Compressor, Decompressor, has_compressed_magic};
use larder_core::{ChunkerParams, Digest, DigestFunction, Format, Hash};
use proptest::prelude::*;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

#[test]
fn known_digests() {
    let empty = "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262/0";
    assert_eq!(Digest::empty(DigestFunction::Blake3).to_string(), empty);
    let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/3";
    assert_eq!(DigestFunction::Sha256.digest(b"abc").to_string(), abc);
    let mut pieces = DigestFunction::Sha256.hasher();
    pieces.update(b"a");
    pieces.update(b"bc");
    assert_eq!(pieces.finish().to_string(), abc);
}

#[test]
fn a_digest_has_one_text_and_nothing_else_is_one() {
    let digest = Digest::blake3(b"content");
    assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    let text = digest.to_string();
    let wrong = [
        text.to_uppercase(),
        text.replace("b3:", "md5:"),
        text.replace("/7", "/07"),
        text.replace("/7", "/+7"),
        text.replace("/7", "/-7"),
        text.replace("/7", ""),
        text.replace("/7", "/99999999999999999999999"),
        format!("{text} "),
        String::new(),
    ];
    for text in wrong {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}

#[test]
fn parameters_out_of_range_are_refused() {
    assert!(ChunkerParams::new(2048, 8192, 65_536).is_some());
    for (min, avg, max) in
        [(0, 0, 0), (63, 256, 1024), (2049, 8192, 65_536), (8192, 4096, 65_536), (64, 256, 512)]
    {
        assert!(ChunkerParams::new(min, avg, max).is_none(), "{min}/{avg}/{max}");
    }
}

/// A window of some kind of content: noise, few values of bytes, long runs.
fn window(kind: u64, seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = noise(seed, length);
    match kind {
        0 => {}
        1 => bytes.iter_mut().for_each(|byte| *byte = b' ' + (*byte & 63)),
        2 => bytes.iter_mut().for_each(|byte| *byte &= 1),
        _ => bytes.chunks_mut(700).for_each(|run| run.fill(run[0])),
    }
    bytes
}

#[test]
fn cuts_are_those_of_fastcdc() {
    use fastcdc::v2020::{Normalization, cut, select_masks};
    let odd = [(64, 256, 1024), (64, 64, 1024), (2048, 2048, 2048), (66, 258, 1026), (512, 4098, 9000)];
    let odd = odd.into_iter().filter_map(|(min, avg, max)| ChunkerParams::new(min, avg, max));
    let presets = [ChunkerParams::STORE, ChunkerParams::CODE, ChunkerParams::MEDIA];
    for params in presets.into_iter().chain(odd) {
        let (min, avg, max) = (params.min() as usize, params.avg() as usize, params.max() as usize);
        let (strict, loose) = select_masks(avg, Normalization::Level2);
        let chunker = Chunker::new(params);
        let same = |bytes: &[u8]| {
            let theirs = match bytes.len() {
                length if length <= min => length,
                _ => cut(bytes, min, avg, max, strict, loose, strict << 1, loose << 1).1,
            };
            assert_eq!(chunker.cut(bytes), theirs, "{params:?}, {} bytes", bytes.len());
            theirs
        };
        for kind in 0..4 {
            let bytes = window(kind, u64::from(params.max()) + kind, 40 * avg + 2 * max + 1);
            let mut at = 0;
            while at < bytes.len() {
                at += same(&bytes[at..]);
            }
            for length in [0, 1, min, min + 1, min + 129, avg - 1, avg, avg + 1, avg + 65, max - 1, max] {
                same(&bytes[..length]);
            }
        }
    }
}

#[test]
fn an_edit_changes_the_chunks_around_it() {
    let chunker = Chunker::new(ChunkerParams::STORE);
    let before = noise(1, 4_000_000);
    let mut after = before.clone();
    after.splice(2_000_000..2_000_000, *b"inserted");
    let known: std::collections::HashSet<_> = chunker.chunks(&before).collect();
    let new: usize = chunker.chunks(&after).filter(|chunk| !known.contains(chunk)).map(<[u8]>::len).sum();
    assert!(new <= 3 * 65_536, "{new} bytes are new");
    let count = chunker.chunks(&before).count();
    assert!((4_000_000 / 12_000..4_000_000 / 5_000).contains(&count), "{count} chunks, about 8 KiB each");
}

#[test]
fn compressed_content_is_recognised_and_noise_is_stored_raw() {
    assert!(has_compressed_magic(b"\x1f\x8b\x08\0"));
    assert!(has_compressed_magic(b"\0\0\0\x18ftypmp42"));
    assert!(!has_compressed_magic(b"#!/bin/sh\n"));
    let mut compressor = Compressor::new(Format::Zstd, 1).unwrap();
    let mut out = Vec::new();
    assert_eq!(compressor.compress(&noise(2, 100_000), &mut out).unwrap(), Format::Raw);
    assert_eq!(compressor.compress(&vec![b'x'; 100_000], &mut out).unwrap(), Format::Zstd);
    assert!(out.len() < 200);
    let mut raw = Compressor::new(Format::Zstd, 0).unwrap();
    assert_eq!(raw.compress(&vec![b'x'; 100_000], &mut out).unwrap(), Format::Raw, "level 0 stores raw");
}

/// Rebuilds the order of chunks from a root.
fn leaves(nodes: &HashMap<Hash, Vec<u8>>, root: &Chunk, out: &mut Vec<Chunk>) {
    let node = Node::decode(&nodes[&root.hash]).unwrap();
    assert_eq!(node.length(), root.length);
    for entry in &node.entries {
        if node.level == 0 { out.push(*entry) } else { leaves(nodes, entry, out) }
    }
}

fn build(chunks: &[Chunk]) -> (Option<Root>, HashMap<Hash, Vec<u8>>) {
    let mut nodes = HashMap::new();
    let mut emit = |bytes: &[u8]| -> Result<Hash, Infallible> {
        let hash = Hash::blake3(bytes);
        nodes.insert(hash, bytes.to_vec());
        Ok(hash)
    };
    let mut builder = Builder::new(ChunkerParams::STORE);
    for chunk in chunks {
        builder.push(*chunk, &mut emit).unwrap();
    }
    let root = builder.finish(&mut emit).unwrap();
    (root, nodes)
}

fn some_chunks(seed: u64, count: usize) -> Vec<Chunk> {
    (0..count as u64)
        .map(|at| Chunk {
            hash: Hash::blake3(&(seed, at).0.wrapping_add(at << 20).to_le_bytes()),
            length: at + 1,
        })
        .collect()
}

#[test]
fn a_list_shares_nodes_with_the_list_of_a_similar_blob() {
    let before = some_chunks(3, 100_000);
    let mut after = before.clone();
    after[50_000].hash = Hash::blake3(b"edited");
    let (_, old) = build(&before);
    let (_, new) = build(&after);
    let added: usize =
        new.iter().filter(|(hash, _)| !old.contains_key(hash)).map(|(_, node)| node.len()).sum();
    assert!(added < 3 * 41_000, "{added} bytes of nodes are new");
    assert!(old.values().all(|node| Node::decode(node).unwrap().entries.len() <= MAX_ENTRIES));
}

proptest! {
    #[test]
    fn a_list_gives_back_its_chunks(seed in 0u64..1000, count in 0usize..6000) {
        let chunks = some_chunks(seed, count);
        let (root, nodes) = build(&chunks);
        let mut found = Vec::new();
        match root {
            None => {}
            Some(Root::Chunk(chunk)) => found.push(chunk),
            Some(Root::List(root)) => leaves(&nodes, &root, &mut found),
            Some(Root::Whole(_)) => prop_assert!(false, "a builder makes no whole files"),
        }
        prop_assert_eq!(found, chunks);
    }

    #[test]
    fn bytes_that_are_no_node_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(node) = Node::decode(&bytes) {
            prop_assert_eq!(node.encode(), bytes);
        }
    }

    #[test]
    fn a_damaged_node_is_refused_or_another_node(count in 1usize..50, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let node = Node { level: 0, params: ChunkerParams::CODE, entries: some_chunks(1, count) };
        let mut bytes = node.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Node::decode(&bytes) {
            prop_assert_ne!(other, node);
        }
    }

    #[test]
    fn chunks_are_the_blob(seed in any::<u64>(), length in 0usize..300_000, preset in prop::sample::select(vec!["store", "code", "media"])) {
        let params = ChunkerParams::preset(preset).unwrap();
        let blob = noise(seed, length);
        let chunks: Vec<&[u8]> = Chunker::new(params).chunks(&blob).collect();
        prop_assert!(chunks.concat() == blob);
        prop_assert!(chunks.iter().all(|chunk| chunk.len() <= params.max() as usize));
        prop_assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() >= params.min() as usize));
    }

    #[test]
    fn every_format_gives_back_what_it_took(
        seed in any::<u64>(), length in 0usize..200_000, alphabet in 1u8..=255,
        format in prop::sample::select(vec![Format::Raw, Format::Zstd, Format::Lz4, Format::Brotli]), level in 1i32..6,
    ) {
        let raw: Vec<u8> = noise(seed, length).into_iter().map(|byte| byte % alphabet).collect();
        let mut stored = Vec::new();
        let used = Compressor::new(format, level).unwrap().compress(&raw, &mut stored).unwrap();
        let stored = if used == Format::Raw { &raw } else { &stored };
        let mut out = Vec::new();
        Decompressor::default().decompress(used, stored, raw.len(), &mut out).unwrap();
        prop_assert_eq!(&out, &raw);
    }

    #[test]
    fn hostile_frames_are_errors(
        stored in proptest::collection::vec(any::<u8>(), 0..500), length in 0usize..100_000,
        format in prop::sample::select(vec![Format::Raw, Format::Zstd, Format::Lz4, Format::Brotli]),
    ) {
        let mut out = Vec::new();
        if Decompressor::default().decompress(format, &stored, length, &mut out).is_ok() {
            prop_assert_eq!(out.len(), length);
        }
    }
}
