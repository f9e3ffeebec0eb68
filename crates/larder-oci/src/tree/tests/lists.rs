//! Access control lists.

use super::picture::{layers, plain};
use crate::layer::{Entry, Kind};
use crate::tree::{MergeRule, Oddity, Tree};

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// A list from (tag, permissions, id).
fn list(lines: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in lines {
        value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        value.extend(id.to_le_bytes());
    }
    value
}

const NO: u32 = u32::MAX;

/// Owner rw, user 1000 r, group r, mask rw, others none.
fn example() -> Vec<u8> {
    list(&[(1, 6, NO), (2, 4, 1000), (4, 4, NO), (16, 6, NO), (32, 0, NO)])
}

fn with(mut entry: Entry, mode: u32, name: &str, value: Vec<u8>) -> Entry {
    entry.mode = mode;
    entry.xattrs.push((name.into(), value));
    entry
}

/// The lists of a name.
fn of(tree: &Tree, path: &str) -> Vec<(String, Vec<u8>)> {
    let found = tree.look_up(path.as_bytes(), false).unwrap().unwrap();
    tree.inode_of(found)
        .xattrs
        .iter()
        .map(|(name, value)| (String::from_utf8(name.clone()).unwrap(), value.clone()))
        .collect()
}

fn one(entry: Entry) -> Tree {
    Tree::merge([vec![entry]], MergeRule::Overlay).unwrap()
}

#[test]
fn the_mode_wins_over_the_list() {
    let tree = one(with(plain(b"f", Kind::File), 0o751, ACCESS, example()));
    let want = list(&[(1, 7, NO), (2, 4, 1000), (4, 4, NO), (16, 5, NO), (32, 1, NO)]);
    assert_eq!(of(&tree, "f"), [(ACCESS.to_owned(), want)]);
    // What says no more than the mode is nothing.
    let tree = one(with(plain(b"f", Kind::File), 0o600, ACCESS, list(&[(1, 6, 0), (4, 4, 0), (32, 4, 0)])));
    assert_eq!(of(&tree, "f"), []);
    assert!(tree.warnings().is_empty());
}

#[test]
fn default_lists_are_handed_down_within_a_layer() {
    let mut entries =
        layers(&["dir d 755\nfile d/f 644\nlink d/l -> f\ndir d/sub 755\nfile d/new/f 644\nfile e/f 644"])
            .remove(0);
    entries[0].xattrs.push((DEFAULT.into(), example()));
    let tree = Tree::merge([&entries], MergeRule::Overlay).unwrap();
    let default = (DEFAULT.to_owned(), example());
    let file = list(&[(1, 6, NO), (2, 4, 1000), (4, 4, NO), (16, 4, NO), (32, 4, NO)]);
    let sub = list(&[(1, 7, NO), (2, 4, 1000), (4, 4, NO), (16, 5, NO), (32, 5, NO)]);
    assert_eq!(of(&tree, "d"), std::slice::from_ref(&default));
    assert_eq!(of(&tree, "d/f"), [(ACCESS.to_owned(), file)]);
    assert_eq!(of(&tree, "d/sub"), [(ACCESS.to_owned(), sub), default]);
    assert_eq!(of(&tree, "d/new"), of(&tree, "d/sub"));
    assert_eq!(of(&tree, "d/new/f"), of(&tree, "d/f"));
    assert_eq!(of(&tree, "d/l"), []);
    assert_eq!(of(&tree, "e/f"), []);
    // Not to what another layer puts there, nor by the specification's words.
    let tree = Tree::merge([&entries[..1], &entries[1..2]], MergeRule::Overlay).unwrap();
    assert_eq!(of(&tree, "d/f"), []);
    let tree = Tree::merge([&entries], MergeRule::Spec).unwrap();
    assert_eq!(of(&tree, "d/f"), []);
}

#[test]
fn what_is_no_list_is_dropped() {
    for bad in [
        b"nonsense".to_vec(),
        Vec::new(),
        vec![1, 0, 0, 0],
        list(&[(1, 6, NO)]),
        list(&[(1, 6, NO), (32, 0, NO)]),
        list(&[(4, 6, NO), (32, 0, NO)]),
        list(&[(1, 6, NO), (4, 4, NO), (32, 8, NO)]),
        list(&[(1, 6, NO), (2, 4, 1000), (4, 4, NO), (32, 0, NO)]),
        list(&[(1, 6, NO), (2, 4, NO), (4, 4, NO), (16, 7, NO), (32, 0, NO)]),
        list(&[(1, 6, NO), (1, 6, NO), (4, 4, NO), (32, 0, NO)]),
        list(&[(1, 6, NO), (4, 4, NO), (32, 0, NO), (64, 0, NO)]),
    ] {
        let tree = one(with(plain(b"f", Kind::File), 0o644, ACCESS, bad.clone()));
        assert_eq!(of(&tree, "f"), [], "{bad:?}");
        assert_eq!(tree.warnings()[0].oddity, Oddity::List);
    }
    let tree = one(with(plain(b"f", Kind::File), 0o644, DEFAULT, example()));
    assert_eq!((of(&tree, "f"), tree.warnings()[0].oddity), (vec![], Oddity::List));
}
