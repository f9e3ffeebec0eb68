//! A tree as a POSIX pax archive.
//!
//! The same tree gives the same bytes: names in the order of a walk, the export's root first as `./`, owners by number only, no time but that
//! of modification, no name of the program. A file with several names is stored at the first of them, the others are hard links to it. What
//! the plain header cannot hold is in an extended one: long names and such with bytes beyond ASCII, large numbers, nanoseconds, attributes
//! (`SCHILY.xattr.`). Files with holes are in GNU's sparse format 1.0, which GNU tar, libarchive and Go read: a file of a terabyte of nothing
//! is a few hundred bytes.
//!
//! An archive that failed lacks the end of a file, or the two blocks of zeros that end an archive: readers say so, or show less. Whoever
//! writes to a file gives it its name when all went well.

use std::collections::HashMap;
use std::io::Write;

use super::{ExportError, Exported, Piece, ReadContent, copy, pieces};
use crate::layer::{Content, Kind, Time};
use crate::tree::{Inode, InodeId, NodeId, Tree, printable};

const BLOCK: usize = 512;

/// Writes what is at and below `from` to `out`, which should be buffered; names are from there.
pub fn tar(
    tree: &Tree,
    from: NodeId,
    content: &dyn ReadContent,
    out: impl Write,
) -> Result<Exported, ExportError> {
    let mut writer = Writer { out, content, written: 0, buffer: Vec::new(), exported: Exported::default() };
    let above = match tree.path(from).len() {
        0 => 0,
        // A directory is the root of its archive, anything else is in its root.
        length if tree.inode_of(from).is_directory() => length + 1,
        length => length - tree.node(from).name().len(),
    };
    let mut first: HashMap<InodeId, Vec<u8>> = HashMap::new();
    let mut walk = tree.walk(from);
    while let Some(id) = walk.advance() {
        let inode = tree.inode_of(id);
        let mut path = walk.path().get(above..).unwrap_or_default().to_vec();
        if inode.is_directory() {
            path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
        }
        let mut same = None;
        if inode.links > 1 && !inode.is_directory() {
            same = first.get(&tree.node(id).inode()).cloned();
            if same.is_none() {
                first.insert(tree.node(id).inode(), path.clone());
            }
        }
        writer.entry(&path, inode, same.as_deref())?;
    }
    writer.end()
}

struct Writer<'content, Out> {
    out: Out,
    content: &'content dyn ReadContent,
    written: u64,
    buffer: Vec<u8>,
    exported: Exported,
}

/// What a header block says.
struct Header<'entry> {
    path: &'entry [u8],
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    modified: u64,
    target: &'entry [u8],
    device: Option<(u32, u32)>,
}

impl<Out: Write> Writer<'_, Out> {
    fn entry(&mut self, path: &[u8], inode: &Inode, same: Option<&[u8]>) -> Result<(), ExportError> {
        let stored = inode.content.as_ref().filter(|_| same.is_none());
        let map = stored.and_then(|(_, content)| sparse_map(content, inode.size));
        let size = stored.map_or(0, |(_, content)| content.stored);
        let size = map.as_ref().map_or(0, Vec::len) as u64 + size;
        let mut header = Header {
            path,
            kind: match inode.kind {
                _ if same.is_some() => b'1',
                Kind::File | Kind::HardLink => b'0',
                Kind::Symlink => b'2',
                Kind::CharDevice => b'3',
                Kind::BlockDevice => b'4',
                Kind::Directory => b'5',
                Kind::Fifo => b'6',
            },
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            size,
            modified: inode.modified.seconds,
            target: same.unwrap_or(&inode.target),
            device: matches!(inode.kind, Kind::CharDevice | Kind::BlockDevice)
                .then_some((inode.device.major, inode.device.minor)),
        };
        let mut records = Vec::new();
        let placeholder;
        if map.is_some() {
            record(&mut records, b"GNU.sparse.major", b"1");
            record(&mut records, b"GNU.sparse.minor", b"0");
            record(&mut records, b"GNU.sparse.name", path);
            record(&mut records, b"GNU.sparse.realsize", inode.size.to_string().as_bytes());
            placeholder = [b"GNUSparseFile.0/", &path[path.len().saturating_sub(64)..]].concat();
            header.path = &placeholder;
        } else if !is_plain(path) {
            record(&mut records, b"path", path);
        }
        if !is_plain(header.target) {
            record(&mut records, b"linkpath", header.target);
        }
        self.attributes(&mut records, path, inode)?;
        extend_numbers(&mut records, &header, inode.modified);
        self.exported.names += 1;
        if !records.is_empty() {
            let size = records.len() as u64;
            let extended = Header {
                path: b"././@PaxHeader",
                kind: b'x',
                mode: 0o644,
                uid: 0,
                gid: 0,
                size,
                modified: 0,
                target: b"",
                device: None,
            };
            self.write(path, &extended.block())?;
            self.write(path, &records)?;
            self.pad(path)?;
        }
        self.write(path, &header.block())?;
        if let Some(map) = &map {
            self.write(path, map)?;
        }
        if let Some((layer, content)) = stored {
            self.content(path, *layer, content)?;
        }
        self.pad(path)
    }

    fn attributes(&self, records: &mut Vec<u8>, path: &[u8], inode: &Inode) -> Result<(), ExportError> {
        for (name, value) in &inode.xattrs {
            if name.contains(&b'=') {
                let what = "the name of an attribute has a `=`, which a tar cannot say";
                return Err(ExportError::CannotBe { path: printable(path), what });
            }
            record(records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
        }
        Ok(())
    }

    fn content(&mut self, path: &[u8], layer: usize, content: &Content) -> Result<(), ExportError> {
        let piece = Piece { layer, at: content.at, length: content.stored };
        let mut buffer = std::mem::take(&mut self.buffer);
        let reader = self.content;
        let done = copy(piece, path, reader, &mut buffer, |_, bytes| self.write(path, bytes));
        self.buffer = buffer;
        self.exported.bytes += content.stored;
        done
    }

    fn write(&mut self, path: &[u8], bytes: &[u8]) -> Result<(), ExportError> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|source| ExportError::Write { path: printable(path), source })
    }

    fn pad(&mut self, path: &[u8]) -> Result<(), ExportError> {
        let over = usize::try_from(self.written % BLOCK as u64).expect("below a block");
        if over == 0 { Ok(()) } else { self.write(path, &[0; BLOCK][over..]) }
    }

    fn end(mut self) -> Result<Exported, ExportError> {
        self.write(b"", &[0; 2 * BLOCK])?;
        self.out.flush().map_err(|source| ExportError::Write { path: String::new(), source })?;
        Ok(self.exported)
    }
}

/// The map of a file with holes, as the archive has it before the bytes: how many pieces, and of each its place and length, in decimal;
/// filled up to a block. A hole at the end is said by a piece of nothing behind it. `None` for a file that is stored as it is.
fn sparse_map(content: &Content, size: u64) -> Option<Vec<u8>> {
    content.sparse.as_ref()?;
    let mut list: Vec<_> = pieces(content).collect();
    if list.last().is_none_or(|(place, _, length)| place.saturating_add(*length) < size) {
        list.push((size, 0, 0));
    }
    let mut map = format!("{}\n", list.len());
    for (place, _, length) in list {
        map += &format!("{place}\n{length}\n");
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    Some(map)
}

/// Does it fit into a plain header's field, for every reader alike?
fn is_plain(text: &[u8]) -> bool {
    text.len() <= 100 && (text.is_ascii() || std::str::from_utf8(text).is_err())
}

/// Numbers for which the plain header has no room.
fn extend_numbers(records: &mut Vec<u8>, header: &Header<'_>, modified: Time) {
    if modified.nanos > 0 {
        let time = format!("{}.{:09}", modified.seconds, modified.nanos);
        record(records, b"mtime", time.trim_end_matches('0').as_bytes());
    } else if modified.seconds > octal_most(12) {
        record(records, b"mtime", modified.seconds.to_string().as_bytes());
    }
    for (name, number, room) in [
        (&b"uid"[..], u64::from(header.uid), 8),
        (b"gid", u64::from(header.gid), 8),
        (b"size", header.size, 12),
    ] {
        if number > octal_most(room) {
            record(records, name, number.to_string().as_bytes());
        }
    }
}

/// The largest number in a field of `room` bytes, the last of which is zero.
fn octal_most(room: u32) -> u64 {
    (1 << (3 * (room - 1))) - 1
}

/// One extended record: its own length, the name, the value.
fn record(records: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // A blank, `=` and a newline.
    let rest = name.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() > length {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(name);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

impl Header<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut text = |at: usize, most: usize, text: &[u8]| {
            let length = text.len().min(most);
            block[at..at + length].copy_from_slice(&text[..length]);
        };
        text(0, 100, self.path);
        text(100, 8, &octal(u64::from(self.mode), 8));
        text(108, 8, &octal(u64::from(self.uid), 8));
        text(116, 8, &octal(u64::from(self.gid), 8));
        text(124, 12, &octal(self.size, 12));
        text(136, 12, &octal(self.modified, 12));
        text(148, 8, b"        ");
        text(156, 1, &[self.kind]);
        text(157, 100, self.target);
        text(257, 8, b"ustar\x0000");
        let (major, minor) = self.device.unwrap_or_default();
        text(329, 8, &octal(u64::from(major), 8));
        text(337, 8, &octal(u64::from(minor), 8));
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..154].copy_from_slice(&octal(sum, 7)[..6]);
        block[154] = 0;
        block
    }
}

/// A number in a field of `room` bytes, ended by a zero; what has no room is 0 there (and in the extended header).
fn octal(number: u64, room: u32) -> Vec<u8> {
    let number = if number > octal_most(room) { 0 } else { number };
    let digits = room as usize - 1;
    format!("{number:0digits$o}\0").into_bytes()
}
