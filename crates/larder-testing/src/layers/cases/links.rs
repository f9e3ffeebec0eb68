//! Hard links: what they bind, and when.

use super::{refused, tar, tree};
use crate::layers::{Case, Item};

pub(super) fn cases() -> Vec<Case> {
    [bound(), capabilities(), replaced(), wrong()].into_iter().flatten().collect()
}

fn file() -> Item {
    Item::file("f", "f").mode(0o640).owner(1, 2).time(5)
}

fn like(name: &str) -> Item {
    Item::hard_link(name, "f").mode(0o640).owner(1, 2).time(5)
}

fn capabilities() -> Vec<Case> {
    vec![
        tree(
            "link-keeps-capability",
            "A hard link of the same owner to a file with a capability keeps it",
            [tar([
                Item::file("f", "f").xattr("security.capability", capability()),
                Item::hard_link("g", "f"),
            ])],
        ),
        tree(
            "link-owner-drops-capability",
            "A hard link with another owner than its target's: the capability goes, as with any change of owner",
            [tar([
                Item::file("f", "f").xattr("security.capability", capability()),
                Item::hard_link("g", "f").owner(7, 8),
            ])],
        ),
        tree(
            "link-has-capability",
            "A hard link that lists the capability too",
            [tar([
                Item::file("f", "f").xattr("security.capability", capability()),
                Item::hard_link("g", "f").xattr("security.capability", capability()),
            ])],
        ),
    ]
}

/// Version 2, permitted: CAP_NET_BIND_SERVICE.
fn capability() -> [u8; 20] {
    [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn bound() -> Vec<Case> {
    vec![
        tree("link-plain", "Two names of one inode", [tar([file(), like("g")])]),
        tree(
            "link-chain",
            "A link to a link to a file: three names of one inode",
            [tar([file(), like("g"), Item::hard_link("h", "g").mode(0o640).owner(1, 2).time(5)])],
        ),
        tree(
            "link-metadata",
            "A hard link's mode, owner and time apply to the inode",
            [tar([file(), Item::hard_link("g", "f").mode(0o4711).owner(7, 8).time(9)])],
        ),
        tree(
            "link-xattrs",
            "A hard link's extended attributes are added to the inode",
            [tar([file().xattr("user.a", "a"), like("g").xattr("user.b", "b")])],
        ),
        tree(
            "link-names-cleaned",
            "A link's target is cleaned as a name is: `./`, `/`, `..`",
            [tar([
                file(),
                Item::hard_link("a", "./f").mode(0o640).owner(1, 2).time(5),
                Item::hard_link("b", "/f").mode(0o640).owner(1, 2).time(5),
                Item::hard_link("c", "x/../f").mode(0o640).owner(1, 2).time(5),
            ])],
        ),
        tree(
            "link-target-above-root",
            "A link's target that leaves the root by `..` is clamped at it",
            [tar([file(), Item::hard_link("g", "../f").mode(0o640).owner(1, 2).time(5)])],
        ),
        tree(
            "link-through-symlink",
            "A link's target through a symlinked folder",
            [tar([
                Item::folder("d").time(2),
                Item::symlink("s", "d"),
                Item::file("d/f", "f"),
                Item::hard_link("g", "s/f"),
            ])],
        ),
        tree(
            "link-to-symlink",
            "A link to a symlink binds the symlink, not what it points to",
            [tar([
                file(),
                Item::symlink("s", "f").owner(3, 3).time(6),
                Item::hard_link("g", "s").owner(3, 3).time(6),
            ])],
        ),
        tree(
            "link-to-symlink-metadata",
            "A link to a symlink with another owner and time",
            [tar([
                file(),
                Item::symlink("s", "f").time(6),
                Item::hard_link("g", "s").mode(0o600).owner(5, 5).time(9),
            ])],
        ),
        tree(
            "link-to-device",
            "A link to a device, to a pipe",
            [tar([
                Item::char_device("null", 1, 3).mode(0o666),
                Item::hard_link("n", "null").mode(0o666),
                Item::fifo("p"),
                Item::hard_link("q", "p"),
            ])],
        ),
        refused(
            "link-with-data",
            "A hard link has no data, whatever its size says: what follows is the next header",
            [tar([file(), like("g").data("other"), Item::file("z", "z")])],
        ),
        tree(
            "link-with-size",
            "A hard link with a size and no data, as some writers have it",
            [tar([file(), like("g").size(1), Item::file("z", "z")])],
        ),
        refused("link-self-existing", "A link to the name that it replaces", [tar([file(), like("f")])]),
    ]
}

fn replaced() -> Vec<Case> {
    vec![
        tree(
            "link-then-target-replaced",
            "A file that is replaced after a link to it: the link keeps the old one",
            [tar([file(), like("g"), Item::file("f", "new")])],
        ),
        tree(
            "link-then-link-replaced",
            "A link that is replaced by a file leaves the target as it was",
            [tar([file(), like("g"), Item::file("g", "new")])],
        ),
        tree(
            "link-between-two",
            "Two files of one name with a link between: it binds the first",
            [tar([
                Item::file("f", "one"),
                Item::hard_link("g", "f"),
                Item::file("f", "two"),
                Item::hard_link("h", "f"),
            ])],
        ),
        tree(
            "link-replaces-file",
            "A link over a file of its own layer",
            [tar([file(), Item::file("g", "old"), like("g")])],
        ),
        tree(
            "link-replaces-folder",
            "A link over a folder of its own layer",
            [tar([file(), Item::folder("g"), Item::file("g/x", "x"), like("g")])],
        ),
        tree(
            "link-name-hidden-above",
            "One of two names is hidden by an upper layer: the other stays",
            [tar([file(), like("g")]), tar([Item::mark(".wh.f")])],
        ),
        tree(
            "link-name-replaced-above",
            "One of two names is replaced by an upper layer: two inodes",
            [tar([file(), like("g")]), tar([Item::file("f", "new")])],
        ),
        tree(
            "link-both-again-above",
            "Both names in an upper layer again: one inode of that layer",
            [tar([file(), like("g")]), tar([Item::file("f", "new"), Item::hard_link("g", "f")])],
        ),
        tree(
            "link-target-removed-within",
            "A whiteout of the target after the link, in a layer that has it",
            [tar([Item::file("x", "x")]), tar([file(), like("g"), Item::mark(".wh.x")])],
        ),
    ]
}

fn wrong() -> Vec<Case> {
    vec![
        refused("link-missing", "A link to nothing", [tar([Item::hard_link("g", "nothing")])]),
        refused("link-forward", "A link to a name that comes later", [tar([like("g"), file()])]),
        refused("link-self", "A link to itself", [tar([Item::hard_link("g", "g")])]),
        refused(
            "link-across-layers",
            "A link to a name that only a lower layer has",
            [tar([file()]), tar([like("g")])],
        ),
        refused(
            "link-to-folder",
            "A link to a folder",
            [tar([Item::folder("d"), Item::hard_link("g", "d")])],
        ),
        refused("link-to-root", "A link to the root", [tar([Item::hard_link("g", "/")])]),
        refused("link-empty", "A link with no target", [tar([file(), Item::hard_link("g", "")])]),
        refused(
            "link-to-removed",
            "A link to a name that was replaced by a folder and so is gone",
            [tar([
                Item::folder("d"),
                Item::file("d/f", "f"),
                Item::file("d", "x"),
                Item::hard_link("g", "d/f"),
            ])],
        ),
        refused(
            "link-chain-through-loop",
            "A link through two symlinks that point to each other",
            [tar([Item::symlink("a", "b"), Item::symlink("b", "a"), Item::hard_link("g", "a/f")])],
        ),
    ]
}
