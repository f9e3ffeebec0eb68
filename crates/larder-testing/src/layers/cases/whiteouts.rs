//! Whiteouts and opaque marks, of everything and in every order.

use super::{refused, tar, tree};
use crate::layers::{Case, Item};

pub(super) fn cases() -> Vec<Case> {
    [plain(), again(), opaque(), malformed()].into_iter().flatten().collect()
}

fn lower() -> Vec<u8> {
    tar([
        Item::folder("d").mode(0o750).owner(5, 6).time(10),
        Item::file("d/low", "low").time(11),
        Item::folder("d/sub").time(12),
        Item::file("d/sub/deep", "deep").time(13),
        Item::file("f", "f").time(14),
        Item::symlink("l", "d").time(15),
    ])
}

fn plain() -> Vec<Case> {
    vec![
        tree(
            "whiteout-file-folder-link",
            "A whiteout hides a lower file, a folder with all that is in it, and a symlink itself",
            [
                lower(),
                tar([Item::mark(".wh.f"), Item::mark(".wh.d"), Item::mark(".wh.l"), Item::file("g", "g")]),
            ],
        ),
        tree(
            "whiteout-inside-folder",
            "A whiteout in a folder that its layer does not list: the folder keeps the lower one's metadata",
            [lower(), tar([Item::mark("d/.wh.low")])],
        ),
        tree(
            "whiteout-missing",
            "A whiteout of what does not exist changes nothing",
            [lower(), tar([Item::mark(".wh.nothing"), Item::mark("d/.wh.nothing")])],
        ),
        tree(
            "whiteout-missing-parent",
            "A whiteout below folders that exist nowhere makes them",
            [lower(), tar([Item::mark("x/y/.wh.nothing")])],
        ),
        tree(
            "whiteout-in-first-layer",
            "A whiteout in the lowest layer hides nothing",
            [tar([Item::mark(".wh.f"), Item::file("g", "g")])],
        ),
        tree(
            "whiteout-parent-is-symlink-below",
            "A whiteout whose parent is a symlink in a lower layer: the link becomes an empty folder",
            [lower(), tar([Item::mark("l/.wh.low")])],
        ),
        tree(
            "whiteout-parent-is-symlink-within",
            "A whiteout whose parent is a symlink of its own layer is one of the link's target",
            [lower(), tar([Item::folder("d").time(20), Item::symlink("m", "d"), Item::mark("m/.wh.low")])],
        ),
        tree(
            "whiteout-then-lower-again",
            "Three layers: what the second hides and the third has again is the third's alone",
            [
                lower(),
                tar([Item::mark(".wh.d")]),
                tar([Item::folder("d").time(30), Item::file("d/new", "new")]),
            ],
        ),
        tree(
            "whiteout-any-type",
            "A whiteout mark may be an entry of any type: its name decides",
            [
                lower(),
                tar([Item::folder(".wh.f"), Item::symlink(".wh.l", "nowhere"), Item::fifo("d/.wh.low")]),
            ],
        ),
        tree(
            "whiteout-with-data",
            "A whiteout mark may have content, which is passed over",
            [lower(), tar([Item::file(".wh.f", "ignored"), Item::file("g", "g")])],
        ),
    ]
}

fn again() -> Vec<Case> {
    vec![
        tree(
            "whiteout-after-own-file",
            "A file and then its whiteout in one layer: a whiteout hides lower layers only",
            [lower(), tar([Item::file("f", "new"), Item::mark(".wh.f")])],
        ),
        tree(
            "whiteout-after-own-file-lowest",
            "A file and then its whiteout in the lowest layer",
            [tar([Item::file("f", "new"), Item::mark(".wh.f")])],
        ),
        tree(
            "whiteout-then-own-file",
            "A whiteout and then the name anew in one layer: the new one",
            [lower(), tar([Item::mark(".wh.f"), Item::file("f", "new")])],
        ),
        tree(
            "whiteout-then-own-folder",
            "`.wh.d` and then `d/` in one layer leaves a folder merged with the lower one",
            [lower(), tar([Item::mark(".wh.d"), Item::folder("d").time(20), Item::file("d/new", "new")])],
        ),
        tree(
            "whiteout-after-own-folder",
            "`d/` with content and then `.wh.d` in one layer: a whiteout hides lower layers only",
            [lower(), tar([Item::folder("d").time(20), Item::file("d/new", "new"), Item::mark(".wh.d")])],
        ),
        refused(
            "whiteout-then-child-without-folder",
            "`.wh.d` and then `d/new` in one layer, with no entry for `d`: its parent is no folder",
            [lower(), tar([Item::mark(".wh.d"), Item::file("d/new", "new")])],
        ),
        tree(
            "whiteout-of-folder-and-child",
            "`.wh.d` and then `d/.wh.low` in one layer",
            [lower(), tar([Item::mark(".wh.d"), Item::mark("d/.wh.low")])],
        ),
        tree(
            "whiteout-twice",
            "The same whiteout twice in one layer",
            [lower(), tar([Item::mark(".wh.f"), Item::mark(".wh.f")])],
        ),
    ]
}

fn opaque() -> Vec<Case> {
    let folder = || Item::folder("d").time(20);
    let mark = || Item::mark("d/.wh..wh..opq");
    let new = || Item::file("d/new", "new");
    vec![
        tree(
            "opaque-first",
            "An opaque mark before the layer's own files hides the lower ones only",
            [lower(), tar([folder(), mark(), new()])],
        ),
        tree(
            "opaque-last",
            "An opaque mark after the layer's own files hides the lower ones only",
            [lower(), tar([folder(), new(), mark()])],
        ),
        tree(
            "opaque-before-folder",
            "An opaque mark before the entry of its folder",
            [lower(), tar([mark(), folder(), new()])],
        ),
        tree(
            "opaque-without-folder",
            "An opaque mark of a folder that its layer does not list",
            [lower(), tar([mark()])],
        ),
        tree(
            "opaque-missing-folder",
            "An opaque mark of a folder that exists nowhere makes it",
            [lower(), tar([Item::mark("x/.wh..wh..opq")])],
        ),
        tree(
            "opaque-lowest",
            "An opaque mark in the lowest layer hides nothing",
            [tar([folder(), new(), mark(), Item::file("d/more", "more")])],
        ),
        tree(
            "opaque-any-type",
            "An opaque mark may be an entry of any type",
            [lower(), tar([folder(), new(), Item::folder("d/.wh..wh..opq")])],
        ),
        tree(
            "opaque-then-lower-again",
            "Three layers, the second opaque: the third is merged with the second alone",
            [lower(), tar([folder(), mark(), new()]), tar([Item::file("d/low", "newest")])],
        ),
        tree(
            "opaque-root",
            "An opaque mark at the root hides nothing",
            [lower(), tar([Item::mark(".wh..wh..opq"), Item::file("g", "g")])],
        ),
        tree(
            "opaque-keeps-subfolder",
            "An opaque mark hides a lower subfolder's content also where the layer has that subfolder",
            [
                lower(),
                tar([folder(), mark(), Item::folder("d/sub").time(21), Item::file("d/sub/new", "new")]),
            ],
        ),
        tree(
            "opaque-folder-replaced",
            "An opaque folder that is replaced within its layer by a file and then by a folder",
            [lower(), tar([folder(), mark(), Item::file("d", "file"), Item::folder("d").time(22)])],
        ),
        tree(
            "opaque-of-symlink-within",
            "An opaque mark through a symlink of the same layer",
            [lower(), tar([folder(), Item::symlink("m", "d"), Item::mark("m/.wh..wh..opq"), new()])],
        ),
        tree(
            "opaque-over-lower-file",
            "An opaque mark of a folder whose name is a lower file",
            [
                lower(),
                tar([Item::folder("f").time(20), Item::mark("f/.wh..wh..opq"), Item::file("f/x", "x")]),
            ],
        ),
    ]
}

fn malformed() -> Vec<Case> {
    vec![
        refused("whiteout-of-nothing", "A mark `.wh.` is malformed", [lower(), tar([Item::mark(".wh.")])]),
        refused("whiteout-of-dot", "A mark `.wh..` is malformed", [lower(), tar([Item::mark("d/.wh..")])]),
        refused(
            "whiteout-of-dot-dot",
            "A mark `.wh...` is malformed",
            [lower(), tar([Item::mark("d/.wh...")])],
        ),
        tree(
            "whiteout-of-whiteout-name",
            "A mark `.wh..wh.x` that is not the opaque one",
            [lower(), tar([Item::mark("d/.wh..wh.x"), Item::file("g", "g")])],
        ),
        tree(
            "whiteout-in-the-middle",
            "Names that are like marks and are none",
            [lower(), tar([Item::file(".wh", "1"), Item::file("a.wh.f", "2"), Item::file(".whf", "3")])],
        ),
        tree(
            "whiteout-plnk",
            "AUFS's own folder `.wh..wh.plnk` with a file",
            [
                lower(),
                tar([Item::folder(".wh..wh.plnk"), Item::file(".wh..wh.plnk/1", "x"), Item::file("g", "g")]),
            ],
        ),
        tree(
            "whiteout-as-parent",
            "A name below a folder that is named like a whiteout",
            [lower(), tar([Item::file(".wh.dir/x", "x"), Item::file("g", "g")])],
        ),
        tree(
            "whiteout-device",
            "A character device 0:0 in an upper layer hides as a whiteout does",
            [lower(), tar([Item::char_device("f", 0, 0), Item::char_device("d/low", 0, 0)])],
        ),
        tree(
            "whiteout-device-lowest",
            "A character device 0:0 in the lowest layer is not seen either",
            [tar([Item::char_device("f", 0, 0), Item::file("g", "g")])],
        ),
        tree(
            "whiteout-device-linked",
            "A hard link to a character device 0:0 of the same layer hides as well",
            [lower(), tar([Item::char_device("w", 0, 0), Item::hard_link("f", "w")])],
        ),
    ]
}
