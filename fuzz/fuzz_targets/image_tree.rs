//! Any tar streams as an image's layers: never a panic, and what is walked is found.
#![no_main]

use larder_oci::layer::{Entry, Limits, Walker};
use larder_oci::tree::{MergeRule, Tree};

fn entries(stream: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let _ = Walker::new(Limits { entries: 1000, logical: 1 << 40, metadata: 1 << 24 })
        .push(stream, &mut |entry| entries.push(entry));
    entries
}

libfuzzer_sys::fuzz_target!(|layers: Vec<&[u8]>| {
    let layers: Vec<Vec<Entry>> = layers.into_iter().take(4).map(entries).collect();
    for rule in [MergeRule::Overlay, MergeRule::Spec] {
        let Ok(tree) = Tree::merge(&layers, rule) else { continue };
        let mut walk = tree.walk(tree.root());
        while let Some(node) = walk.advance() {
            assert_eq!(tree.look_up(walk.path(), false).ok().flatten(), Some(node));
        }
    }
});
