//! The stream itself: checksums, ends, junk, global headers, limits, and how it is packed.

use super::{case, refused, tar, tree};
use crate::layers::{BLOCK, Blob, Case, Expect, Flavour, Item, Layer, Listing, Packing, Tar};

pub(super) fn cases() -> Vec<Case> {
    [headers(), ends(), limits(), packed()].into_iter().flatten().collect()
}

fn records(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn headers() -> Vec<Case> {
    vec![
        tree(
            "global-header",
            "A global PAX header is consumed and ignored",
            [Tar::default()
                .global("mtime", "99")
                .item(Item::file("f", "f"))
                .global("path", "other")
                .item(Item::file("g", "g"))
                .end()],
        ),
        tree(
            "global-header-last",
            "A global PAX header at the end of the archive",
            [Tar::open([Item::file("f", "f")]).global("comment", "bye").end()],
        ),
        tree(
            "pax-unknown-keys",
            "Unknown PAX records are passed over",
            [tar([Item::file("f", "f")
                .pax("LARDER.odd", "x")
                .pax("comment", "a=b\nc")
                .pax("hdrcharset", "BINARY")])],
        ),
        tree(
            "pax-size",
            "A PAX size wins over the header's",
            [tar([Item::file("f", "12345").size(0).pax("size", "5"), Item::file("g", "g")])],
        ),
        tree(
            "pax-twice",
            "Two PAX headers before one entry: the last of them is the entry's",
            [Tar::default()
                .records(b'x', &records(&[("path", "one"), ("mtime", "5")]))
                .records(b'x', &records(&[("path", "two")]))
                .item(Item::file("header", "x"))
                .end()],
        ),
        refused(
            "pax-malformed",
            "A PAX record whose length is wrong",
            [Tar::default()
                .item(Item::new(b'x', "pax").data("99 path=f\n"))
                .item(Item::file("f", "f"))
                .end()],
        ),
        refused(
            "pax-no-newline",
            "A PAX record without its newline",
            [Tar::default().item(Item::new(b'x', "pax").data("8 path=f")).item(Item::file("f", "f")).end()],
        ),
        tree(
            "pax-then-end",
            "A PAX header with no entry after it says nothing",
            [Tar::default().records(b'x', &records(&[("path", "f")])).end()],
        ),
        refused("checksum-wrong", "A wrong checksum", [tar([Item::file("f", "f").checksum_off_by(1)])]),
        tree("checksum-signed", "A checksum of signed bytes, as some old writers have it", [signed()]),
        refused("not-a-tar", "Bytes that are no archive", [b"hello, this is no archive ".repeat(40)]),
    ]
}

/// A file whose name has high bytes, with the checksum of bytes taken as signed.
fn signed() -> Vec<u8> {
    let name = b"\xe9t\xe9";
    let high = name.iter().filter(|byte| **byte >= 0x80).count() as i64;
    tar([Item::file(name, "x").flavour(Flavour::V7).checksum_off_by(-256 * high)])
}

fn ends() -> Vec<Case> {
    let f = || Tar::open([Item::file("f", "f")]);
    let junk = Tar::of([Item::file("hidden", "hidden")]);
    vec![
        tree("end-none", "No end mark at all: the archive ends at EOF", [f().torn()]),
        tree("end-one-block", "One block of zeros and EOF", [f().raw(&[0; BLOCK]).torn()]),
        tree(
            "end-then-junk",
            "What follows the end mark is hashed only",
            [f().raw(&[0; 2 * BLOCK]).raw(&junk).raw(b"odd length").torn()],
        ),
        tree(
            "end-many-zeros",
            "The end mark and 30 blocks of zeros more",
            [f().raw(&[0; 32 * BLOCK]).torn()],
        ),
        refused(
            "end-one-block-then-entry",
            "One block of zeros within an archive",
            [f().raw(&[0; BLOCK]).raw(&junk).torn()],
        ),
        tree("end-nothing", "An empty stream", [Vec::new()]),
        refused("torn-header", "EOF within a header", [f().raw(&junk[..200]).torn()]),
        refused("torn-content", "EOF within a file's content", [junk[..BLOCK + 3].to_vec()]),
        tree(
            "torn-padding",
            "EOF after the content, within the block's filling",
            [junk[..BLOCK + 6].to_vec()],
        ),
    ]
}

fn limits() -> Vec<Case> {
    let comment = |length: usize| tar([Item::file("f", "f").pax("comment", vec![b'c'; length])]);
    vec![
        tree("pax-header-large", "A PAX header of just under 1 MiB", [comment((1 << 20) - 100)]),
        refused("pax-header-too-large", "A PAX header above 1 MiB", [comment(1 << 20)]),
        refused(
            "pax-header-endless",
            "A PAX header that says that it has 2^50 bytes",
            [Tar::default().item(Item::new(b'x', "pax").size(1 << 50)).end()],
        ),
        refused(
            "gnu-name-too-large",
            "A GNU long name above 1 MiB",
            [Tar::default()
                .item(Item::new(b'L', "././@LongLink").flavour(Flavour::Gnu).data(vec![b'n'; (1 << 20) + 1]))
                .item(Item::file("f", "f"))
                .end()],
        ),
        refused(
            "sparse-map-too-large",
            "A sparse map above 1 MiB",
            [tar([Item::file("f", "").pax_sparse_10(&large_map(), 1 << 30)])],
        ),
        refused(
            "sparse-count-absurd",
            "A sparse map that says that it has 2^62 pieces",
            [tar([Item::file("f", format!("{}\n", 1_u64 << 62))
                .pax("GNU.sparse.major", "1")
                .pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.realsize", "9000")])],
        ),
        refused(
            "logical-size",
            "Sparse files of 2^62 bytes: above the cap on logical size",
            [tar([Item::file("f", "").gnu_sparse(&[(1 << 62, 0)], 1 << 62)])],
        ),
    ]
}

/// Empty pieces, 150,000 of them: a map of more than 1 MiB.
fn large_map() -> Vec<(u64, u64)> {
    (0..150_000).map(|at| (at * 512, 0)).collect()
}

/// A layer whose packing is changed after it is packed.
fn spoilt(packing: Packing, spoil: impl FnOnce(&mut Vec<u8>)) -> Layer {
    let mut blob = Blob::new(&tar([Item::file("f", "f"), Item::file("g", vec![b'g'; 5000])]), packing);
    spoil(&mut blob.stored);
    Layer::Blob(blob)
}

/// A layer as one zstd frame of a raw block, whose header asks for a window of so many bits.
fn window(bits: u8) -> Layer {
    let tar = tar([Item::file("f", "f")]);
    let mut blob = Blob::new(&tar, Packing::Zstd);
    let block = ((tar.len() as u32) << 3 | 1).to_le_bytes();
    blob.stored = [&[0x28, 0xb5, 0x2f, 0xfd, 0, (bits - 10) << 3], &block[..3], &tar].concat();
    Layer::Blob(blob)
}

fn packed() -> Vec<Case> {
    let bad = |name, what, layer| case(name, what, vec![layer], Expect::Refused);
    vec![
        case(
            "zstd-window-128",
            "A zstd frame that asks for a window of 128 MiB is the largest",
            vec![window(27)],
            Expect::Tree(Listing::parse(". d 755 0:0 0\nf f 644 0:0 1 \"f\"").expect("a right line")),
        ),
        bad("zstd-window-256", "A zstd frame that asks for a window of 256 MiB", window(28)),
        bad(
            "gzip-trailing-junk",
            "Junk after a gzip stream",
            spoilt(Packing::Gzip, |bytes| bytes.extend_from_slice(b"junk, and more than a header is long")),
        ),
        bad(
            "gzip-trailing-zeros",
            "Zeros after a gzip stream",
            spoilt(Packing::Gzip, |bytes| bytes.resize(bytes.len() + 512, 0)),
        ),
        bad(
            "gzip-bad-crc",
            "A gzip stream with a wrong CRC",
            spoilt(Packing::Gzip, |bytes| {
                let at = bytes.len() - 8;
                bytes[at] ^= 1;
            }),
        ),
        bad(
            "gzip-bad-length",
            "A gzip stream with a wrong length",
            spoilt(Packing::Gzip, |bytes| {
                let at = bytes.len() - 4;
                bytes[at] ^= 1;
            }),
        ),
        bad(
            "gzip-torn",
            "A gzip stream that is cut",
            spoilt(Packing::Gzip, |bytes| bytes.truncate(bytes.len() - 9)),
        ),
        bad(
            "gzip-no-trailer",
            "A gzip stream without its trailer",
            spoilt(Packing::GzipStored, |bytes| bytes.truncate(bytes.len() - 8)),
        ),
        bad(
            "zstd-torn",
            "A zstd stream that is cut",
            spoilt(Packing::Zstd, |bytes| bytes.truncate(bytes.len() - 5)),
        ),
        bad(
            "zstd-trailing-junk",
            "Junk after a zstd stream",
            spoilt(Packing::Zstd, |bytes| bytes.extend_from_slice(b"junk, and more")),
        ),
    ]
}
