//! Tar streams, byte by byte: everything that a real writer would never write can be written.
//!
//! A [`Tar`] is a growing stream; an [`Item`] is one entry of it with everything that a header can say, right or wrong. Nothing is checked
//! and nothing is sorted: what goes in comes out. Numbers that do not fit their field as octal digits are written in base 256.

/// The size of a block.
pub const BLOCK: usize = 512;

/// Which magic a header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// POSIX: `ustar\0` and `00`.
    Ustar,
    /// GNU: `ustar ` and ` \0`.
    Gnu,
    /// None at all: the seventh edition's.
    V7,
}

/// One entry: a header, what goes before it and what comes after.
#[derive(Clone, Debug)]
pub struct Item {
    name: Vec<u8>,
    kind: u8,
    mode: i64,
    uid: i64,
    gid: i64,
    time: i64,
    link: Vec<u8>,
    data: Vec<u8>,
    size: Option<i64>,
    device: (i64, i64),
    pax: Vec<(Vec<u8>, Vec<u8>)>,
    flavour: Flavour,
    gnu_long: bool,
    checksum: i64,
    tail: Vec<u8>,
    sparse: Option<Sparse>,
}

#[derive(Clone, Debug)]
struct Sparse {
    pieces: Vec<(i64, i64)>,
    real: i64,
}

impl Item {
    /// An entry of type `kind`, with mode 0644 (0755 of a folder), owner 0:0, time 1.
    pub fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            time: 1,
            link: Vec::new(),
            data: Vec::new(),
            size: None,
            device: (0, 0),
            pax: Vec::new(),
            flavour: Flavour::Ustar,
            gnu_long: false,
            checksum: 0,
            tail: Vec::new(),
            sparse: None,
        }
    }

    /// A file.
    pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        Self::new(b'0', name).data(data)
    }

    /// A folder.
    pub fn folder(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', name)
    }

    /// A symbolic link.
    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(b'2', name).link(target).mode(0o777)
    }

    /// A hard link.
    pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(b'1', name).link(target)
    }

    /// A character device.
    pub fn char_device(name: impl AsRef<[u8]>, major: i64, minor: i64) -> Self {
        Self::new(b'3', name).device(major, minor)
    }

    /// A block device.
    pub fn block_device(name: impl AsRef<[u8]>, major: i64, minor: i64) -> Self {
        Self::new(b'4', name).device(major, minor)
    }

    /// A named pipe.
    pub fn fifo(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'6', name)
    }

    /// A file whose name says that it is a whiteout.
    pub fn mark(name: impl AsRef<[u8]>) -> Self {
        Self::file(name, "")
    }

    /// Sets the permissions, and whatever else is in the number.
    pub fn mode(mut self, mode: i64) -> Self {
        self.mode = mode;
        self
    }

    /// Sets user and group.
    pub fn owner(mut self, uid: i64, gid: i64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Sets the time of modification in the header.
    pub fn time(mut self, seconds: i64) -> Self {
        self.time = seconds;
        self
    }

    /// Sets the link's target.
    pub fn link(mut self, target: impl AsRef<[u8]>) -> Self {
        self.link = target.as_ref().to_vec();
        self
    }

    /// Sets what follows the header, and with it the size.
    pub fn data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.data = data.as_ref().to_vec();
        self
    }

    /// Sets a size that is not that of the data.
    pub fn size(mut self, size: i64) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets a device's number.
    pub fn device(mut self, major: i64, minor: i64) -> Self {
        self.device = (major, minor);
        self
    }

    /// Adds a record to the PAX header that goes before.
    pub fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds an extended attribute.
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(format!("SCHILY.xattr.{name}"), value)
    }

    /// Sets the magic.
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// Writes name and target in GNU's `L` and `K` entries before this one, and only what fits in the header itself.
    pub fn gnu_long(mut self) -> Self {
        self.flavour = Flavour::Gnu;
        self.gnu_long = true;
        self
    }

    /// Makes the checksum wrong by so much.
    pub fn checksum_off_by(mut self, off: i64) -> Self {
        self.checksum = off;
        self
    }

    /// Adds blocks after the header that its size does not count.
    pub fn tail(mut self, tail: Vec<u8>) -> Self {
        self.tail = tail;
        self
    }

    /// Makes this a sparse file of the old GNU kind: type `S`, the data being the pieces one after another.
    pub fn gnu_sparse(mut self, pieces: &[(i64, i64)], real: i64) -> Self {
        self.kind = b'S';
        self.flavour = Flavour::Gnu;
        self.sparse = Some(Sparse { pieces: pieces.to_vec(), real });
        self
    }

    /// Makes this a sparse file of PAX 0.0: offset and length of each piece in records of their own.
    pub fn pax_sparse_00(mut self, pieces: &[(u64, u64)], real: u64) -> Self {
        self = self.pax("GNU.sparse.size", real.to_string());
        self = self.pax("GNU.sparse.numblocks", pieces.len().to_string());
        for (at, length) in pieces {
            self = self.pax("GNU.sparse.offset", at.to_string());
            self = self.pax("GNU.sparse.numbytes", length.to_string());
        }
        self
    }

    /// Makes this a sparse file of PAX 0.1: the pieces in one record.
    pub fn pax_sparse_01(self, pieces: &[(u64, u64)], real: u64) -> Self {
        let map = pieces.iter().map(|(at, length)| format!("{at},{length}")).collect::<Vec<_>>().join(",");
        let name = self.name.clone();
        self.pax("GNU.sparse.size", real.to_string())
            .pax("GNU.sparse.numblocks", pieces.len().to_string())
            .pax("GNU.sparse.map", map)
            .pax("GNU.sparse.name", name)
    }

    /// Makes this a sparse file of PAX 1.0: the pieces in blocks before the data.
    pub fn pax_sparse_10(mut self, pieces: &[(u64, u64)], real: u64) -> Self {
        let mut map = format!("{}\n", pieces.len());
        for (at, length) in pieces {
            map.push_str(&format!("{at}\n{length}\n"));
        }
        let mut data = map.into_bytes();
        pad(&mut data);
        data.append(&mut self.data);
        let name = self.name.clone();
        self.name = b"GNUSparseFile.0/x".to_vec();
        self.data = data;
        self.pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.name", name)
            .pax("GNU.sparse.realsize", real.to_string())
    }

    /// Whether a hard link to this makes sense: a file, a pipe, a symlink.
    pub(crate) fn is_linkable(&self) -> bool {
        matches!(self.kind, b'0' | b'2' | b'6') && !self.name.windows(4).any(|part| part == b".wh.")
    }

    fn header(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        text(&mut block[..100], &self.name);
        number(&mut block[100..108], self.mode);
        number(&mut block[108..116], self.uid);
        number(&mut block[116..124], self.gid);
        number(&mut block[124..136], self.size.unwrap_or(self.data.len() as i64));
        number(&mut block[136..148], self.time);
        block[156] = self.kind;
        text(&mut block[157..257], &self.link);
        match self.flavour {
            Flavour::Ustar => block[257..265].copy_from_slice(b"ustar\x0000"),
            Flavour::Gnu => block[257..265].copy_from_slice(b"ustar  \0"),
            Flavour::V7 => {}
        }
        if self.flavour != Flavour::V7 {
            number(&mut block[329..337], self.device.0);
            number(&mut block[337..345], self.device.1);
        }
        if let Some(sparse) = &self.sparse {
            for (slot, piece) in sparse.pieces.iter().take(4).enumerate() {
                sparse_slot(&mut block[386 + 24 * slot..], *piece);
            }
            block[482] = u8::from(sparse.pieces.len() > 4);
            number(&mut block[483..495], sparse.real);
        }
        block[148..156].fill(b' ');
        let sum = block.iter().map(|byte| i64::from(*byte)).sum::<i64>() + self.checksum;
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// The extension headers of an old sparse file.
    fn extensions(&self) -> Vec<u8> {
        let rest = self.sparse.as_ref().map_or(&[][..], |sparse| sparse.pieces.get(4..).unwrap_or_default());
        let mut out = Vec::new();
        for (at, pieces) in rest.chunks(21).enumerate() {
            let mut block = [0; BLOCK];
            for (slot, piece) in pieces.iter().enumerate() {
                sparse_slot(&mut block[24 * slot..], *piece);
            }
            block[504] = u8::from((at + 1) * 21 < rest.len());
            out.extend_from_slice(&block);
        }
        out
    }
}

/// A tar stream that grows.
#[derive(Clone, Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// The bytes of a stream of these entries, with its end mark.
    pub fn of(items: impl IntoIterator<Item = Item>) -> Vec<u8> {
        Self::open(items).end()
    }

    /// A stream of these entries, without an end.
    pub fn open(items: impl IntoIterator<Item = Item>) -> Self {
        items.into_iter().fold(Self::default(), Self::item)
    }

    /// Appends an entry.
    #[must_use]
    pub fn item(mut self, item: Item) -> Self {
        if !item.pax.is_empty() {
            self = self.records(b'x', &item.pax);
        }
        if item.gnu_long {
            self = self.gnu(b'L', &item.name);
            if !item.link.is_empty() {
                self = self.gnu(b'K', &item.link);
            }
        }
        self.bytes.extend_from_slice(&item.header());
        self.bytes.extend(item.extensions());
        self.bytes.extend_from_slice(&item.data);
        pad(&mut self.bytes);
        self.bytes.extend_from_slice(&item.tail);
        self
    }

    /// Appends a PAX header for what follows: `x`, or `g` for a global one.
    #[must_use]
    pub fn records(self, kind: u8, records: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let data: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.item(Item::new(kind, "pax").data(data))
    }

    /// Appends a global PAX header.
    #[must_use]
    pub fn global(self, key: &str, value: &str) -> Self {
        self.records(b'g', &[(key.as_bytes().to_vec(), value.as_bytes().to_vec())])
    }

    /// Appends bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Two blocks of zeros, and all the bytes.
    pub fn end(self) -> Vec<u8> {
        self.raw(&[0; 2 * BLOCK]).bytes
    }

    /// All the bytes without an end mark.
    pub fn torn(self) -> Vec<u8> {
        self.bytes
    }

    fn gnu(self, kind: u8, name: &[u8]) -> Self {
        let data = [name, b"\0"].concat();
        self.item(Item::new(kind, "././@LongLink").flavour(Flavour::Gnu).data(data))
    }
}

/// One PAX record with its own length in front.
pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn text(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Octal digits and a zero byte; base 256 where they do not suffice.
fn number(field: &mut [u8], value: i64) {
    let digits = field.len() - 1;
    if value >= 0 && (digits >= 21 || value < 1 << (3 * digits)) {
        text(field, format!("{value:0digits$o}\0").as_bytes());
        return;
    }
    let bytes = i128::from(value).to_be_bytes();
    let length = field.len();
    field.copy_from_slice(&bytes[bytes.len() - length..]);
    field[0] |= 0x80;
}

fn sparse_slot(slot: &mut [u8], (at, length): (i64, i64)) {
    number(&mut slot[..12], at);
    number(&mut slot[12..24], length);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}
