//! Anything at all: no panic, and what is read agrees with itself.

use proptest::prelude::*;

use super::picture::plain;
use crate::layer::{Entry, Kind};
use crate::tree::{MergeRule, Seen, Tree, differences};

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c"]).prop_map(|name| name.as_bytes().to_vec()),
        3 => prop::sample::select(vec!["..", ".", "", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh.c"])
            .prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::sample::select(vec![".wh.", ".wh..", ".wh...", ".wh..wh.plnk", "\u{202e}"])
            .prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(1u8..=255, 1..6),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..5)
        .prop_map(|parts| parts.join(&b'/'))
        .prop_filter("never empty", |path| !path.is_empty())
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop::sample::select(vec![
        Kind::File,
        Kind::File,
        Kind::Directory,
        Kind::Directory,
        Kind::Symlink,
        Kind::Symlink,
        Kind::HardLink,
        Kind::CharDevice,
        Kind::BlockDevice,
        Kind::Fifo,
    ]);
    (path(), kind, path(), 0u32..0o10000, 0u32..2).prop_map(|(path, kind, target, mode, minor)| {
        let mut entry = plain(&path, kind);
        entry.mode = mode;
        if matches!(kind, Kind::Symlink | Kind::HardLink) {
            entry.target = target;
        }
        entry.device.minor = minor;
        entry
    })
}

pub(crate) fn image() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    prop::collection::vec(prop::collection::vec(entry(), 0..12), 0..4)
}

/// Entries that are wrong are left out, so that more than errors is tried.
pub(crate) fn sound(layers: Vec<Vec<Entry>>, rule: MergeRule) -> Vec<Vec<Entry>> {
    let mut sound: Vec<Vec<Entry>> = Vec::new();
    for layer in layers {
        sound.push(Vec::new());
        for entry in layer {
            sound.last_mut().unwrap().push(entry);
            if Tree::merge(&sound, rule).is_err() {
                sound.last_mut().unwrap().pop();
            }
        }
    }
    sound
}

fn agrees_with_itself(tree: &Tree) {
    let mut seen = 0;
    let mut names = vec![0u32; tree.inodes()];
    let mut before: Option<Vec<Vec<u8>>> = None;
    for (path, id) in tree.walk(tree.root()) {
        seen += 1;
        assert_eq!(tree.path(id), path);
        assert_eq!(tree.look_up(&path, false), Ok(Some(id)));
        let parts: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        assert!(before.as_ref().is_none_or(|before| *before < parts) || seen == 2);
        before = Some(parts);
        let node = tree.node(id);
        assert!(node.children().all(|child| tree.node(child).parent() == id));
        let inode = tree.inode_of(id);
        assert_ne!(inode.kind, Kind::HardLink);
        assert_eq!(inode.content.is_some(), inode.kind == Kind::File);
        if inode.is_directory() {
            names[node.inode().index()] += 1;
            let below = node.children().filter(|child| tree.inode_of(*child).is_directory()).count();
            assert_eq!(inode.links as usize, 2 + below);
            assert_eq!(names[node.inode().index()], 1);
        } else {
            assert_eq!(node.children().len(), 0);
            names[node.inode().index()] += 1;
        }
    }
    assert_eq!(seen, tree.nodes());
    for (_, id) in tree.walk(tree.root()) {
        let inode = tree.inode_of(id);
        assert!(inode.is_directory() || inode.links == names[tree.node(id).inode().index()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_never_panics(layers in image()) {
        for rule in [MergeRule::Overlay, MergeRule::Spec] {
            if let Ok(tree) = Tree::merge(&layers, rule) {
                agrees_with_itself(&tree);
            }
        }
    }

    #[test]
    fn trees_agree_with_themselves(layers in image(), wanted in path()) {
        for rule in [MergeRule::Overlay, MergeRule::Spec] {
            let tree = Tree::merge(sound(layers.clone(), rule), rule).unwrap();
            agrees_with_itself(&tree);
            if let Ok(Some(found)) = tree.look_up(&wanted, true) {
                assert_eq!(tree.look_up(&tree.path(found), false), Ok(Some(found)));
                assert_ne!(tree.inode_of(found).kind, Kind::Symlink);
            }
        }
    }

    /// Both rules see one layer alike, but for what they say of hard links, of the root, and of devices 0:0.
    #[test]
    fn one_layer_is_what_it_unpacks_to(layer in prop::collection::vec(entry(), 0..16)) {
        let odd = |entry: &Entry| {
            entry.kind == Kind::HardLink || entry.kind == Kind::CharDevice || entry.path.windows(4).any(|part| part == b".wh.")
        };
        let layer: Vec<Entry> = layer.into_iter().filter(|entry| !odd(entry)).collect();
        let both = differences(&sound(vec![layer], MergeRule::Overlay));
        assert!(both.spec.is_ok());
        let differ: Vec<_> = both.iter().filter(|found| !found.path.is_empty() || found.seen != Seen::Metadata).collect();
        assert_eq!(differ, []);
    }
}
