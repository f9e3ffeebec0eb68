//! The specification's words, and where they differ from what containers see.

use super::picture::{assert_tree, assert_wrong, layers};
use crate::tree::{MergeRule, Seen, differences};

#[track_caller]
fn tree(layers: &[&str], want: &str) {
    assert_tree(MergeRule::Spec, layers, want);
}

#[test]
fn links_of_lower_layers_are_followed() {
    tree(
        &["dir usr/lib 700\nlink lib -> usr/lib", "file lib/foo 644"],
        "lib -> usr/lib\nusr/ 755\nusr/lib/ 700\nusr/lib/foo 644 \"\"",
    );
}

#[test]
fn a_name_below_a_lower_file_is_an_error() {
    assert_wrong(
        MergeRule::Spec,
        &["file f 644", "file f/x 644"],
        "layer 2 (from the bottom): entry `f/x`: `f` is not a directory",
    );
}

#[test]
fn whiteouts_of_a_layer_come_first() {
    tree(&["dir d 700\nfile d/old 644", "file d/new 644\nwh d"], "d/ 755\nd/new 644 \"\"");
    tree(&["dir d 700\nfile d/old 644", "wh d\ndir d 750"], "d/ 750");
    tree(&["dir d 700\nfile d/old 644\ndir d/e 755", "file d/new 644\nopq d"], "d/ 700\nd/new 644 \"\"");
    tree(&["file a 644", "opq .\nfile b 644"], "b 644 \"\"");
    // In the same layer they hide nothing.
    tree(&["file a 644\nwh a\nfile f 644\nwh f/g\nwh nothing/x"], "a 644 \"\"\nf 644 \"\"");
}

#[test]
fn hard_links_reach_lower_layers_and_change_nothing() {
    tree(&["file a 644 \"1\" t=1", "hard b => a 4755 u=1:1 t=2"], "a 644 \"1\" t=1 n=2\nb 644 \"1\" t=1 n=2");
}

#[test]
fn the_root_can_be_described_and_devices_are_devices() {
    tree(&["dir . 700 u=1:1 t=4\nfile a 644"], "/ 700 u=1:1 t=4\na 644 \"\"");
    tree(&["file a 644", "chr a 666 0:0"], "a 666 chr 0:0");
    tree(&["dir a 700 x:user.k=v\ndir a 711 x:user.l=w"], "a/ 711 x:user.l=w");
}

#[test]
fn differences_are_named() {
    let both = differences(&layers(&[
        "link lib -> usr/lib\ndir usr/lib 755\nfile d/old 644\nfile a 644\nfile same 644\ndir z 755",
        "file lib/foo 644\nfile d/new 644\nfile h 644 t=1\nhard i => h 644 t=2\nchr a 600 0:0\ndir . 700",
    ]));
    let seen: Vec<_> = both
        .iter()
        .map(|difference| (String::from_utf8(difference.path).unwrap(), difference.seen))
        .collect();
    let seen: Vec<_> = seen.iter().map(|(path, seen)| (path.as_str(), *seen)).collect();
    assert_eq!(
        seen,
        [
            ("a", Seen::OnlySpec),
            ("h", Seen::Metadata),
            ("i", Seen::Metadata),
            ("lib", Seen::Kind),
            ("lib/foo", Seen::OnlyOverlay),
            ("usr/lib/foo", Seen::OnlySpec),
        ]
    );
    let one = differences(&layers(&["file f 644", "file f/x 644"]));
    assert!(one.overlay.is_ok() && one.spec.is_err());
    assert_eq!(one.iter().count(), 0);
}
