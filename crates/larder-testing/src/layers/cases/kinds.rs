//! Types of entries: devices, pipes, sparse files, unknown ones, and numbers out of range.

use super::{refused, tar, tree};
use crate::layers::{Case, Flavour, Item, Tar};

pub(super) fn cases() -> Vec<Case> {
    [devices(), types(), sparse(), wrong_sparse()].into_iter().flatten().collect()
}

fn devices() -> Vec<Case> {
    vec![
        tree(
            "devices",
            "Devices and pipes, the largest numbers too",
            [tar([
                Item::char_device("null", 1, 3).mode(0o666),
                Item::block_device("disk", 8, 17).mode(0o660).owner(0, 6),
                Item::char_device("largest", 0xfff, 0xf_ffff),
                Item::fifo("pipe").mode(0o600),
                Item::block_device("zero", 0, 0),
            ])],
        ),
        refused(
            "device-major-too-large",
            "A major number of 13 bits",
            [tar([Item::char_device("c", 0x1000, 1)])],
        ),
        refused(
            "device-minor-too-large",
            "A minor number of 21 bits",
            [tar([Item::char_device("c", 1, 0x10_0000)])],
        ),
        refused("device-negative", "A negative number", [tar([Item::char_device("c", -1, 1)])]),
        tree(
            "device-with-data",
            "A device, a folder, a pipe and a symlink with a size: they have no data",
            [tar([
                Item::char_device("null", 1, 3).size(512),
                Item::folder("d").size(1024),
                Item::fifo("p").size(7),
                Item::symlink("s", "t").size(9),
                Item::file("f", "f"),
            ])],
        ),
    ]
}

fn types() -> Vec<Case> {
    vec![
        tree(
            "type-file-with-slash",
            "Type `0` with a slash at the end is a file",
            [tar([Item::file("f/", "f")])],
        ),
        tree(
            "type-old-file-with-slash",
            "Type `\\0` with a slash at the end is a folder, without one a file",
            [tar([Item::new(0, "d/").mode(0o755), Item::new(0, "f").data("f")])],
        ),
        tree(
            "type-folder-no-slash",
            "Type `5` needs no slash",
            [tar([Item::folder("d"), Item::folder("e/")])],
        ),
        tree("type-contiguous", "A contiguous file is a file", [tar([Item::new(b'7', "f").data("f")])]),
        refused("type-unknown", "An unknown type", [tar([Item::new(b'Z', "f").data("f")])]),
        refused("type-reserved", "A type that POSIX leaves to vendors", [tar([Item::new(b'A', "f")])]),
        refused(
            "type-gnu-volume",
            "GNU's label of a volume",
            [tar([Item::new(b'V', "label").flavour(Flavour::Gnu)])],
        ),
        refused(
            "type-gnu-multi",
            "GNU's rest of a file from another volume",
            [tar([Item::new(b'M', "f").flavour(Flavour::Gnu).data("f")])],
        ),
        tree(
            "type-symlink-over-whiteout",
            "A symlink with the name of what a mark of the same layer hides",
            [
                tar([Item::folder("d"), Item::file("d/x", "x")]),
                tar([Item::mark(".wh.d"), Item::symlink("d", "e")]),
            ],
        ),
    ]
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

fn sparse() -> Vec<Case> {
    let three = [(512, 512), (4096, 1000), (10_000, 0)];
    let many: Vec<(i64, i64)> = (0..60).map(|at| (at * 2048 + 512, 512)).collect();
    vec![
        tree(
            "sparse-old",
            "An old sparse file with three pieces, the last an empty one at the end",
            [tar([
                Item::file("f", data(1512)).gnu_sparse(&[(512, 512), (4096, 1000), (10_000, 0)], 10_000),
                Item::file("g", "g"),
            ])],
        ),
        tree(
            "sparse-old-extended",
            "An old sparse file with 60 pieces: three extension headers",
            [tar([Item::file("f", data(60 * 512)).gnu_sparse(&many, 200_000), Item::file("g", "g")])],
        ),
        tree(
            "sparse-old-all-hole",
            "An old sparse file with nothing but a hole",
            [tar([Item::file("f", "").gnu_sparse(&[(70_000, 0)], 70_000), Item::file("g", "g")])],
        ),
        tree(
            "sparse-pax-00",
            "A sparse file of PAX 0.0",
            [tar([Item::file("f", data(1512)).pax_sparse_00(&three, 10_000), Item::file("g", "g")])],
        ),
        tree(
            "sparse-pax-01",
            "A sparse file of PAX 0.1",
            [tar([Item::file("f", data(1512)).pax_sparse_01(&three, 10_000), Item::file("g", "g")])],
        ),
        tree(
            "sparse-pax-10",
            "A sparse file of PAX 1.0, whose name is in its records",
            [tar([Item::file("f", data(1512)).pax_sparse_10(&three, 10_000), Item::file("g", "g")])],
        ),
        tree(
            "sparse-whole",
            "A sparse file without holes, and one that is empty",
            [tar([
                Item::file("f", data(600)).pax_sparse_10(&[(0, 600)], 600),
                Item::file("e", "").pax_sparse_10(&[], 0),
                Item::file("z", "z"),
            ])],
        ),
    ]
}

fn wrong_sparse() -> Vec<Case> {
    let old = |pieces: &[(i64, i64)], real| tar([Item::file("f", data(1024)).gnu_sparse(pieces, real)]);
    vec![
        refused("sparse-overlapping", "Pieces that overlap", [old(&[(0, 512), (256, 512)], 9000)]),
        refused("sparse-descending", "Pieces out of order", [old(&[(4096, 512), (0, 512)], 9000)]),
        refused(
            "sparse-past-the-end",
            "A piece behind the end of the file",
            [old(&[(0, 512), (9000, 512)], 9001)],
        ),
        refused("sparse-negative", "A negative piece", [old(&[(-512, 512), (0, 512)], 9000)]),
        refused(
            "sparse-data-too-short",
            "Pieces that need more bytes than are stored",
            [old(&[(0, 512), (512, 513)], 9000)],
        ),
        refused(
            "sparse-count-wrong",
            "A map with fewer pieces than its count says",
            [tar([Item::file("f", data(512))
                .pax("GNU.sparse.size", "9000")
                .pax("GNU.sparse.numblocks", "2")
                .pax("GNU.sparse.map", "0,512")])],
        ),
        refused(
            "sparse-pax-10-torn",
            "PAX 1.0 with a map that has no end",
            [tar([Item::file("f", "3\n0\n512\n")
                .pax("GNU.sparse.major", "1")
                .pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.realsize", "9000")])],
        ),
        refused(
            "size-negative",
            "A negative size",
            [Tar::default().item(Item::file("f", "").size(-1)).end()],
        ),
        refused(
            "size-beyond-the-end",
            "A size of 2^60 bytes: the archive ends before",
            [Tar::default().item(Item::file("f", "f").size(1 << 60)).end()],
        ),
    ]
}
