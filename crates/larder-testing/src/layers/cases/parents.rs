//! Parents: symlinks, missing ones, and names that change what they are.

use super::{refused, tar, tree, tree_of};
use crate::layers::{Case, Item};

pub(super) fn cases() -> Vec<Case> {
    [symlinked(), missing(), replaced()].into_iter().flatten().collect()
}

fn usr() -> Vec<u8> {
    tar([
        Item::folder("usr").time(2),
        Item::folder("usr/lib").time(3),
        Item::file("usr/lib/old", "old").time(4),
        Item::symlink("lib", "usr/lib").time(5),
    ])
}

fn symlinked() -> Vec<Case> {
    let up = |target: &str| {
        tar([Item::folder("a").time(2), Item::symlink("a/s", target), Item::file("a/s/x", "x")])
    };
    vec![
        tree(
            "symlink-below-file-above",
            "`lib -> usr/lib` below and `lib/foo` above: `lib` becomes a folder",
            [usr(), tar([Item::file("lib/foo", "foo")])],
        ),
        tree(
            "symlink-below-folder-above",
            "`lib -> usr/lib` below and an entry `lib/` above: a folder that replaces the link",
            [usr(), tar([Item::folder("lib").time(9), Item::file("lib/foo", "foo")])],
        ),
        tree(
            "symlink-within",
            "A name through a symlink of the same layer lands in its target",
            [tar([
                Item::folder("usr").time(2),
                Item::folder("usr/lib").time(3),
                Item::symlink("lib", "usr/lib"),
                Item::file("lib/foo", "foo"),
            ])],
        ),
        tree(
            "symlink-within-absolute",
            "An absolute symlink is followed inside the root",
            [tar([Item::folder("usr").time(2), Item::symlink("lib", "/usr"), Item::file("lib/foo", "foo")])],
        ),
        tree(
            "symlink-within-escaping",
            "A symlink that leaves the root by `..` is clamped at it",
            [up("../../../b")],
        ),
        tree(
            "symlink-within-dangling",
            "A symlink to nothing as a parent: what it points to is made",
            [up("../b/c")],
        ),
        refused(
            "symlink-loop",
            "Two symlinks that point to each other as a parent",
            [tar([Item::symlink("a", "b"), Item::symlink("b", "a"), Item::file("a/x", "x")])],
        ),
        refused(
            "symlink-itself",
            "A symlink that points to itself as a parent",
            [tar([Item::symlink("a", "a"), Item::file("a/x", "x")])],
        ),
        chained("symlink-chain", "A chain of 40 symlinks as a parent", 40),
        chained(
            "symlink-chain-longest",
            "A chain of 255 symlinks as a parent is the longest that is followed",
            255,
        ),
        refused("symlink-chain-too-long", "A chain of 256 symlinks as a parent", [chain(256)]),
        tree(
            "symlink-to-below",
            "A symlink of this layer to a folder of a lower layer as a parent: the layer's own tree decides, so the folder is made anew",
            [usr(), tar([Item::symlink("m", "usr"), Item::file("m/lib/foo", "foo")])],
        ),
        tree(
            "symlink-last-not-followed",
            "A file whose name is a symlink of the same layer replaces the link",
            [tar([Item::file("t", "target"), Item::symlink("s", "t"), Item::file("s", "new")])],
        ),
        refused(
            "symlink-to-file-as-parent",
            "A symlink to a file of the same layer as a parent",
            [tar([Item::file("t", "target"), Item::symlink("s", "t"), Item::file("s/x", "x")])],
        ),
        refused(
            "file-as-parent-within",
            "A file of the same layer as a parent",
            [tar([Item::file("f", "f"), Item::file("f/x", "x")])],
        ),
    ]
}

fn chained(name: &'static str, what: &'static str, count: usize) -> Case {
    let mut lines =
        String::from(". d 755 0:0 0\nend d 755 0:0 2\nend/x f 644 0:0 1 \"x\"\nl001 l 777 0:0 1 ->end\n");
    (2..=count).for_each(|at| lines.push_str(&format!("l{at:03} l 777 0:0 1 ->l{:03}\n", at - 1)));
    tree_of(name, what, [chain(count)], &lines)
}

/// A chain of `count` symlinks that ends at a folder, and a file through it.
fn chain(count: usize) -> Vec<u8> {
    let link = |at: usize| format!("l{at:03}");
    let mut items = vec![Item::folder("end").time(2)];
    items.extend(
        (1..=count).map(|at| Item::symlink(link(at), if at == 1 { "end".to_owned() } else { link(at - 1) })),
    );
    items.push(Item::file(format!("{}/x", link(count)), "x"));
    crate::layers::Tar::of(items)
}

fn missing() -> Vec<Case> {
    vec![
        tree(
            "parents-missing-everywhere",
            "Parents that no layer lists: 0755, 0:0, time 0",
            [tar([Item::file("a/b/c", "c")])],
        ),
        tree(
            "parents-missing-above",
            "Parents that only a lower layer lists keep its metadata",
            [
                tar([
                    Item::folder("a").mode(0o1770).owner(7, 8).time(3).xattr("user.a", "a"),
                    Item::folder("a/b").mode(0o700).owner(9, 10).time(4),
                ]),
                tar([Item::file("a/b/c", "c")]),
            ],
        ),
        tree(
            "parents-missing-hidden-below",
            "A parent whose lower folder is hidden by a layer between",
            [
                tar([Item::folder("a").mode(0o700).owner(7, 8).time(3), Item::file("a/x", "x")]),
                tar([Item::mark(".wh.a")]),
                tar([Item::file("a/y", "y")]),
            ],
        ),
        tree(
            "parents-after-children",
            "A folder's entry after its children: its metadata are final",
            [tar([Item::file("a/b", "b"), Item::folder("a").mode(0o711).owner(3, 4).time(5)])],
        ),
        tree(
            "folder-listed-again-above",
            "An explicit folder replaces all metadata and attributes of the lower one",
            [
                tar([
                    Item::folder("a").mode(0o1770).owner(7, 8).time(3).xattr("user.a", "a"),
                    Item::file("a/x", "x"),
                ]),
                tar([Item::folder("a").mode(0o555).time(9).xattr("user.b", "b")]),
            ],
        ),
        tree(
            "folder-listed-twice",
            "A folder twice in one layer: the last one's metadata",
            [tar([
                Item::folder("a").mode(0o700).owner(1, 1).time(5).xattr("user.a", "a"),
                Item::file("a/x", "x"),
                Item::folder("a").mode(0o711).owner(2, 2).time(6).xattr("user.b", "b"),
            ])],
        ),
        tree(
            "root-entry",
            "An entry `./` is the root's",
            [tar([Item::folder("./").mode(0o700).owner(3, 4).time(5), Item::file("./f", "f")])],
        ),
        tree(
            "root-entry-slash",
            "An entry `/` is the root's",
            [tar([Item::folder("/").mode(0o711).time(6), Item::file("/f", "f")])],
        ),
        tree(
            "root-entry-above",
            "The root's entry in the lowest layer only",
            [tar([Item::folder("./").mode(0o700).time(5)]), tar([Item::file("f", "f")])],
        ),
        tree(
            "empty-layer",
            "A layer with no entries between two",
            [usr(), tar([]), tar([Item::file("f", "f")])],
        ),
    ]
}

fn replaced() -> Vec<Case> {
    vec![
        tree(
            "file-below-child-above",
            "`f/x` over a lower file `f`: a folder",
            [tar([Item::file("f", "f").mode(0o600).owner(4, 4)]), tar([Item::file("f/x", "x")])],
        ),
        tree(
            "file-below-grandchild-above",
            "`f/x/y` over a lower file `f`: folders",
            [tar([Item::file("f", "f")]), tar([Item::file("f/x/y", "y")])],
        ),
        tree(
            "folder-over-file",
            "A folder over a lower file",
            [tar([Item::file("f", "f")]), tar([Item::folder("f").time(8)])],
        ),
        tree(
            "file-over-folder",
            "A file over a lower folder hides all that is in it",
            [usr(), tar([Item::file("usr", "file")])],
        ),
        tree(
            "file-over-folder-over-folder",
            "A folder over a file over a folder: nothing of the lowest comes back",
            [usr(), tar([Item::file("usr", "file")]), tar([Item::folder("usr").time(8)])],
        ),
        tree(
            "symlink-over-folder",
            "A symlink over a lower folder",
            [usr(), tar([Item::symlink("usr", "elsewhere")])],
        ),
        tree(
            "duplicate-file",
            "Of two files of one name the last wins, with all that it says",
            [tar([
                Item::file("f", "one").mode(0o600).xattr("user.a", "a"),
                Item::file("g", "g"),
                Item::file("f", "three").mode(0o4755).owner(1, 2).time(9),
            ])],
        ),
        tree(
            "duplicate-folder-then-file",
            "A file after a folder of its name in one layer removes what is in it",
            [tar([Item::folder("a"), Item::file("a/x", "x"), Item::file("a", "file")])],
        ),
        tree(
            "duplicate-file-then-folder",
            "A folder after a file of its name in one layer",
            [tar([Item::file("a", "file"), Item::folder("a").time(7), Item::file("a/x", "x")])],
        ),
        tree(
            "duplicate-folder-then-symlink",
            "A symlink after a folder of its name in one layer; a later name goes through it",
            [tar([
                Item::folder("a").time(4),
                Item::file("a/x", "x"),
                Item::folder("b").time(5),
                Item::symlink("a", "b"),
                Item::file("a/y", "y"),
            ])],
        ),
        tree(
            "duplicate-symlink-then-folder",
            "A folder after a symlink to a folder replaces the link",
            [tar([
                Item::folder("b").mode(0o700).time(5),
                Item::symlink("a", "b"),
                Item::folder("a").mode(0o711).time(6),
                Item::file("a/y", "y"),
            ])],
        ),
    ]
}
