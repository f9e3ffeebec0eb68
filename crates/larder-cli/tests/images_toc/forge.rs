//! A table that lies and is right by all its own checksums: windows are changed, and with them every byte that is a back-reference into them, while each
//! compressed byte is genuine.

use std::sync::Arc;

use bytes::Bytes;
use larder::oci::toc::{IndexOptions, LayerToc, TocError, index_layer};
use larder_testing::layers::{Item, Tar};
use larder_testing::tables::{self, FRAME, LAYER, Section, put, sections};

use crate::world::bytes_of;

const INFO: u64 = 1;
const ENTRIES: u64 = 2;
const SPANS: u64 = 3;
const DIGESTS: u64 = 4;
const WINDOWS: u64 = 5;

fn assemble(sections: &[Section]) -> Vec<u8> {
    tables::assemble(LAYER, sections, FRAME)
}

/// The bytes of the section of this kind.
fn of(sections: &mut [Section], kind: u64) -> &mut Vec<u8> {
    &mut sections.iter_mut().find(|section| section.kind == kind).unwrap().bytes
}

fn open(file: &[u8]) -> LayerToc {
    LayerToc::open(Arc::new(Bytes::copy_from_slice(file))).unwrap()
}

/// The table of a layer with another content of its windows, and digests that fit what is decoded with those.
pub(crate) fn forge(table: &LayerToc, stored: &[u8]) -> LayerToc {
    let mut all = sections(&bytes_of(table));
    assert_eq!(open(&assemble(&all)).identity(), table.identity(), "the forger can write tables");
    let windows = of(&mut all, WINDOWS);
    assert!(!windows.is_empty());
    windows.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte ^= 1);
    let lying = open(&assemble(&all));
    let mut digests = Vec::new();
    for span in 0..lying.spans().len() {
        let (range, packed) = (lying.bytes_of(span), lying.packed_bytes_of(span..span + 1));
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let packed = &stored[packed.start as usize..packed.end as usize];
        larder_inflate::decode_span(&lying.point(span).unwrap(), packed, &mut bytes).unwrap();
        digests.extend(blake3::hash(&bytes).as_bytes());
    }
    *of(&mut all, DIGESTS) = digests;
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
        change(of(&mut all, kind));
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
    refused(&tables::assemble(LAYER, &with_zeros(&right), 2 * FRAME), true);
    // As large as is allowed, and not what is said elsewhere.
    refused(&with(SPANS, &|bytes| bytes.resize(64 << 20, 0)), false);
    refused(&with(DIGESTS, &|bytes| bytes.resize(256 << 20, 0)), false);
    // Entries: a block over and over, and one that says that it is longer than any.
    refused(&with(ENTRIES, &|bytes| *bytes = bytes.repeat(100_000)), false);
    refused(&with(ENTRIES, &|bytes| put(bytes, (16 << 20) + 1)), true);
    refused(&said("entries", 41), false);
    refused(&said("entries", 39), false);
}

fn with_zeros(sections: &[Section]) -> Vec<Section> {
    let mut all = sections.to_vec();
    all.last_mut().unwrap().bytes = vec![0; 2 * FRAME];
    all
}
