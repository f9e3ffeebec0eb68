//! Any tar streams as an image's layers: never a panic, and what is walked is found.
//!
//! Three bytes, of how many blocks each of the lower layers is; then the layers.
#![no_main]

use larder_oci::layer::{Entry, Limits, Walker};
use larder_oci::tree::{MergeRule, Tree};

fn entries(stream: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let _ = Walker::new(Limits { entries: 1000, logical: 1 << 40, metadata: 1 << 24 })
        .push(stream, &mut |entry| entries.push(entry));
    entries
}

libfuzzer_sys::fuzz_target!(|input: ([u8; 3], &[u8])| {
    let (lengths, mut rest) = input;
    let mut layers = Vec::new();
    for length in lengths {
        let (layer, more) = rest.split_at(rest.len().min(usize::from(length) * 512));
        layers.push(entries(layer));
        rest = more;
    }
    layers.push(entries(rest));
    for rule in [MergeRule::Overlay, MergeRule::Spec] {
        let Ok(tree) = Tree::merge(&layers, rule) else { continue };
        let mut walk = tree.walk(tree.root());
        while let Some(node) = walk.advance() {
            assert_eq!(tree.look_up(walk.path(), false).ok().flatten(), Some(node));
        }
    }
});
