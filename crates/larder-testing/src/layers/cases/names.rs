//! Names: what is cleaned, how they are spelled, and how long they may be.

use super::{refused, tar, tree, tree_of};
use crate::layers::{Case, Flavour, Item, Tar};

pub(super) fn cases() -> Vec<Case> {
    [cleaned(), spelled(), long()].into_iter().flatten().collect()
}

fn cleaned() -> Vec<Case> {
    vec![
        tree(
            "name-dot-slash-and-doubled",
            "`./`, a leading `/` and double slashes go",
            [tar([
                Item::file("./a", "a"),
                Item::file("/b", "b"),
                Item::folder("c//").time(3),
                Item::file(".//c///d", "d"),
            ])],
        ),
        tree(
            "name-dot-dot-inside",
            "`s/../f2` is `f2`, without `s` being looked at",
            [tar([
                Item::folder("x").time(2),
                Item::folder("x/y").time(3),
                Item::symlink("s", "x/y"),
                Item::file("s/../f2", "f2"),
            ])],
        ),
        tree(
            "name-dot-dot-above",
            "`..` clamps at the root",
            [tar([Item::file("../../up", "up"), Item::file("a/../../b", "b")])],
        ),
        tree("name-dot-dot-absolute", "`/../a` is `a`", [tar([Item::file("/../a", "a")])]),
        tree(
            "name-odd-bytes",
            "Names are bytes: controls, spaces, backslashes, high bytes, newlines",
            [tar([
                Item::file(b"a b\\c", "1"),
                Item::file(b"\xff\xfe", "2"),
                Item::file(b"new\nline\ttab\x01", "3"),
                Item::file("ünïcödé", "4"),
                Item::file("-rf *", "5"),
            ])],
        ),
        tree(
            "name-pax-bytes",
            "A PAX name is bytes, and wins over the header's",
            [tar([
                Item::file("header", "1").pax("path", b"p\xff\nq"),
                Item::file("header", "2").pax("path", "ok"),
            ])],
        ),
        refused(
            "name-with-zero-byte",
            "A PAX name with a zero byte",
            [tar([Item::file("header", "1").pax("path", b"p\0q")])],
        ),
        tree(
            "name-pax-empty",
            "An empty PAX record takes the header's value back",
            [tar([Item::file("header", "1").pax("path", "")])],
        ),
        refused("name-empty", "A file with no name at all", [tar([Item::file("", "x")])]),
        refused(
            "name-file-is-root",
            "A file that is named `.`",
            [tar([Item::file(".", "x"), Item::file("f", "f")])],
        ),
    ]
}

fn spelled() -> Vec<Case> {
    let long = "n".repeat(150);
    vec![
        tree(
            "name-gnu-long",
            "GNU's long names and long link targets",
            [tar([
                Item::file(long.clone(), "1").gnu_long(),
                Item::symlink("s", "t".repeat(300)).gnu_long(),
                Item::hard_link(format!("{long}2"), long.clone()).gnu_long(),
            ])],
        ),
        tree(
            "name-gnu-long-and-pax",
            "GNU's long name and PAX's before one header: GNU's wins",
            [Tar::default()
                .records(b'x', &[(b"path".to_vec(), b"of-pax".to_vec())])
                .item(Item::file("of-gnu", "1").gnu_long())
                .end()],
        ),
        tree(
            "name-ustar-prefix",
            "A ustar name with a prefix",
            [Tar::default().raw(&prefixed("left", b"right", Flavour::Ustar)).end()],
        ),
        tree(
            "name-gnu-no-prefix",
            "With GNU's magic that field is a prefix too, if it is no time",
            [Tar::default().raw(&prefixed("left", b"right", Flavour::Gnu)).end()],
        ),
        tree(
            "name-v7",
            "A header of the seventh edition",
            [tar([Item::file("f", "f").flavour(Flavour::V7)])],
        ),
        tree(
            "name-exactly-100",
            "A name that fills its field has no zero byte at the end",
            [tar([Item::file("x".repeat(100), "x"), Item::symlink("l", "y".repeat(100))])],
        ),
        tree(
            "pax-link-path",
            "A PAX target wins over the header's",
            [tar([Item::symlink("s", "header").pax("linkpath", "of-pax")])],
        ),
    ]
}

/// A file's header with a prefix field, and its checksum made right.
fn prefixed(prefix: &str, name: &[u8], flavour: Flavour) -> Vec<u8> {
    let mut block = Tar::open([Item::file(name, "").flavour(flavour)]).torn();
    block[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A path of so many bytes, of names of 250 bytes and a shorter one.
fn path_of(length: usize) -> String {
    let mut path = vec!["p".repeat(250); length / 251].join("/");
    let rest = length - path.len();
    path.push_str(&format!("/{}", "q".repeat(rest - 1)));
    path
}

fn long() -> Vec<Case> {
    vec![
        tree(
            "name-255",
            "A name of 255 bytes",
            [tar([Item::file("x".repeat(255), "x").pax("path", "x".repeat(255))])],
        ),
        refused(
            "name-256",
            "A name of 256 bytes is too long",
            [tar([Item::file("x", "x").pax("path", "x".repeat(256))])],
        ),
        tree(
            "name-255-after-mark",
            "A whiteout of a name of 255 bytes: what follows the mark is counted",
            [
                tar([Item::file("x", "x").pax("path", "x".repeat(255)), Item::file("g", "g")]),
                tar([Item::mark("x").pax("path", format!(".wh.{}", "x".repeat(255)))]),
            ],
        ),
        long_path("path-2000", "A path of 2,000 bytes", 2000),
        long_path("path-4095", "A path of 4,095 bytes", 4095),
        refused(
            "path-4096",
            "A path of 4,096 bytes is too long",
            [tar([Item::file("x", "x").pax("path", path_of(4096))])],
        ),
        tree(
            "target-4095",
            "A symlink's target of 4,095 bytes",
            [tar([Item::symlink("s", "x").pax("linkpath", "t".repeat(4095))])],
        ),
        refused(
            "target-4096",
            "A symlink's target of 4,096 bytes is too long",
            [tar([Item::symlink("s", "x").pax("linkpath", "t".repeat(4096))])],
        ),
        refused("target-empty", "A symlink to nothing", [tar([Item::symlink("s", "")])]),
        deep(),
    ]
}

/// A file with a path of so many bytes.
fn long_path(name: &'static str, what: &'static str, length: usize) -> Case {
    let path = path_of(length);
    tree_of(name, what, [tar([Item::file("x", "x").pax("path", &path)])], &below(&path))
}

fn deep() -> Case {
    let path = "d/".repeat(900) + "x";
    let layer = tar([Item::file("x", "x").pax("path", &path)]);
    tree_of("deep", "A tree of 900 folders in each other", [layer], &below(&path))
}

/// The lines of a tree with one file and the parents that no layer lists.
fn below(path: &str) -> String {
    let mut lines = String::from(". d 755 0:0 0\n");
    for (at, _) in path.match_indices('/') {
        lines.push_str(&format!("{} d 755 0:0 0\n", &path[..at]));
    }
    lines + path + " f 644 0:0 1 \"x\"\n"
}
