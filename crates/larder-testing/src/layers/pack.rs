//! How a layer is stored: plain, or in the many shapes that gzip and zstd allow.

use std::io::Write;

use flate2::{Compression, GzBuilder, write::GzEncoder};

/// A shape of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    Plain,
    /// One gzip member.
    Gzip,
    /// One gzip member of stored blocks only.
    GzipStored,
    /// A gzip member for every 700 bytes, with names and comments in some headers, and empty members between, before and after.
    GzipMembers,
    /// One zstd frame, without its content's size.
    Zstd,
    /// A zstd frame for every 700 bytes, with an empty one and skippable ones between.
    ZstdFrames,
}

impl Packing {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::Gzip, Self::GzipStored, Self::GzipMembers, Self::Zstd, Self::ZstdFrames];

    /// The layer's media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip | Self::GzipStored | Self::GzipMembers => {
                "application/vnd.oci.image.layer.v1.tar+gzip"
            }
            Self::Zstd | Self::ZstdFrames => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Packs a tar stream.
    pub fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => tar.to_vec(),
            Self::Gzip => member(GzBuilder::new(), Compression::default(), tar),
            Self::GzipStored => member(GzBuilder::new(), Compression::none(), tar),
            Self::GzipMembers => members(tar),
            Self::Zstd => frame(tar),
            Self::ZstdFrames => frames(tar),
        }
    }
}

fn member(builder: GzBuilder, level: Compression, data: &[u8]) -> Vec<u8> {
    let mut out: GzEncoder<Vec<u8>> = builder.write(Vec::new(), level);
    out.write_all(data).and_then(|()| out.finish()).expect("writing to memory does not fail")
}

fn members(tar: &[u8]) -> Vec<u8> {
    let empty = || member(GzBuilder::new(), Compression::default(), b"");
    let mut out = empty();
    for (at, part) in tar.chunks(700).enumerate() {
        let mut builder = GzBuilder::new();
        if at % 3 == 1 {
            builder = builder.filename("a name").comment("and a comment").mtime(7);
        }
        if at % 4 == 2 {
            builder = builder.extra(vec![7; 300]);
        }
        out.extend(member(builder, Compression::best(), part));
        if at % 5 == 0 {
            out.extend(empty());
        }
    }
    out.extend(empty());
    out
}

fn frame(data: &[u8]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 3).expect("a level that exists");
    out.write_all(data).and_then(|()| out.finish()).expect("writing to memory does not fail")
}

fn frames(tar: &[u8]) -> Vec<u8> {
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    let mut out = Vec::new();
    for (at, part) in tar.chunks(700).enumerate() {
        out.extend(zstd::bulk::compress(part, 3).expect("room for everything"));
        match at % 5 {
            0 => out.extend(frame(b"")),
            3 => out.extend(&skipped),
            _ => {}
        }
    }
    out.extend(&skipped);
    out
}
