//! The stat table on disk; normative description in `docs/formats/stat-table.md`.
//!
//! Read in one go and checked whole: a table of another version, with a flipped bit or a reference that leads nowhere is
//! discarded, never repaired. Written beside and renamed over, so that readers and other writers see whole tables only.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use larder_core::{Digest, DigestFunction, Hash};

use super::stat::{FsTime, Stat};
use super::table::{Answer, Dep, Id, Kind, OUTSIDE, On, ROOT, Remembered, Span, Table};

const MAGIC: &[u8; 8] = b"larderST";
const VERSION: u32 = 1;
const HEADER: usize = 28;
const CHECKSUM: u64 = 32;
const BUFFER: usize = 64 << 10;
const NODE: usize = 111;
const DEP: usize = 9;
const NOT_LISTED: u8 = 255;
const LARGEST: u64 = 1 << 30;
const MOST_ANSWERS: usize = 10_000;
const MOST_DEPS: usize = 4_000_000;

/// The table in `file`; `None` if there is none that can be trusted.
pub(super) fn load(file: &Path) -> Option<Table> {
    let flags = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(file).ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.len() > LARGEST {
        return None;
    }
    let table = decode(Reader::new(file, about.len().checked_sub(CHECKSUM)?));
    if table.is_none() {
        tracing::debug!("the stat table is of another version or damaged; begun anew");
    }
    table
}

/// Writes the table to `file`.
pub(super) fn save(table: &Table, file: &Path) -> io::Result<()> {
    let bytes = encode(table);
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".stat-table-").tempfile_in(folder)?;
    new.write_all(&bytes)?;
    new.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// Takes a table apart while it is read, through a buffer that stays in the processor's cache.
struct Reader {
    file: File,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Bytes before the checksum that are not yet in the buffer.
    left: u64,
}

impl Reader {
    fn new(file: File, left: u64) -> Self {
        Self { file, hasher: blake3::Hasher::new(), buffer: vec![0; BUFFER], at: 0, end: 0, left }
    }

    /// The next bytes; `n` is not more than the buffer holds.
    fn bytes(&mut self, n: usize) -> Option<&[u8]> {
        if self.end - self.at < n {
            self.fill(n)?;
        }
        self.at += n;
        Some(&self.buffer[self.at - n..self.at])
    }

    fn fill(&mut self, n: usize) -> Option<()> {
        self.buffer.copy_within(self.at..self.end, 0);
        (self.at, self.end) = (0, self.end - self.at);
        while self.end < n {
            let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.buffer.len() - self.end);
            let read = match self.file.read(&mut self.buffer[self.end..][..room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.ok().filter(|&read| read > 0)?,
            };
            self.hasher.update(&self.buffer[self.end..][..read]);
            self.end += read;
            self.left -= read as u64;
        }
        Some(())
    }

    /// Bytes before the checksum that were not yet taken.
    fn remaining(&self) -> u64 {
        self.left + (self.end - self.at) as u64
    }

    /// Whether all was taken and is what was written.
    fn ends_whole(mut self) -> bool {
        let mut checksum = [0; CHECKSUM as usize];
        self.remaining() == 0
            && self.file.read_exact(&mut checksum).is_ok()
            && *self.hasher.finalize().as_bytes() == checksum
    }

    /// The next bytes, to be taken apart.
    fn fields(&mut self, n: usize) -> Option<Fields<'_>> {
        self.bytes(n).map(Fields)
    }
}

/// Takes bytes apart.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn hash(&mut self) -> Option<Hash> {
        self.array().map(Hash)
    }
}

/// Nothing of a table is used before all of it was checked.
fn decode(mut r: Reader) -> Option<Table> {
    let mut header = r.fields(HEADER)?;
    if header.array()? != *MAGIC || header.u32()? != VERSION {
        return None;
    }
    let mut count = || Some(header.u32()? as usize);
    let (nodes, text, answers) = (count()?, count()?, count()?);
    if nodes < 2 || nodes.checked_mul(NODE)?.checked_add(text)? as u64 > r.remaining() {
        return None;
    }
    let mut table = Table::default();
    table.nodes.reserve(nodes);
    for id in 0..Id::try_from(nodes).ok()? {
        decode_node(r.bytes(NODE)?.first_chunk()?, id, text, &mut table)?;
    }
    table.text.reserve(text);
    while table.text.len() < text {
        let part = r.bytes((text - table.text.len()).min(BUFFER))?;
        table.text.extend_from_slice(part);
    }
    for _ in 0..answers {
        let (key, answer) = decode_answer(&mut r, nodes)?;
        table.answers.insert(key, answer);
    }
    (r.ends_whole() && table.is_sorted()).then_some(table)
}

fn decode_node(record: &[u8; NODE], id: Id, text: usize, table: &mut Table) -> Option<()> {
    let parent = u32_at(record, 0);
    let name = span_at(record, 4, text)?;
    let kind = Kind::from_number(record[12])?;
    let listed = match record[13] {
        NOT_LISTED => None,
        number => Some(Kind::from_number(number)?),
    };
    let proven = record[14] != 0;
    let version = u32_at(record, 15);
    let (dev, ino, size, mode) =
        (u64_at(record, 19), u64_at(record, 27), u64_at(record, 35), u32_at(record, 43));
    let stat = Stat { dev, ino, size, mode, mtime: time_at(record, 47), ctime: time_at(record, 59) };
    let hash = Hash(array_at(record, 71));
    let target = span_at(record, 103, text)?;
    if i64::try_from(size).is_err() || (id > OUTSIDE && parent >= id) || (id <= OUTSIDE && parent != ROOT) {
        return None;
    }
    table.push_loaded(parent, name);
    let node = table.node_mut(id);
    (node.kind, node.listed, node.proven, node.version) = (kind, listed, proven, version);
    (node.stat, node.hash, node.target) = (stat, hash, target);
    if id > OUTSIDE {
        table.children_mut(parent).push(id);
    }
    Some(())
}

/// Bytes of a record, whose length the compiler knows: nothing of this is checked when it runs.
fn array_at<const N: usize>(record: &[u8; NODE], at: usize) -> [u8; N] {
    *record[at..].first_chunk().expect("a field ends within its record")
}

fn u32_at(record: &[u8; NODE], at: usize) -> u32 {
    u32::from_le_bytes(array_at(record, at))
}

fn u64_at(record: &[u8; NODE], at: usize) -> u64 {
    u64::from_le_bytes(array_at(record, at))
}

fn time_at(record: &[u8; NODE], at: usize) -> FsTime {
    FsTime { seconds: u64_at(record, at).cast_signed(), nanos: u32_at(record, at + 8) }
}

fn span_at(record: &[u8; NODE], at: usize, text: usize) -> Option<Span> {
    let span = Span { at: u32_at(record, at), len: u32_at(record, at + 4) };
    (u64::from(span.at) + u64::from(span.len) <= text as u64).then_some(span)
}

fn decode_answer(r: &mut Reader, nodes: usize) -> Option<([u8; 32], Answer)> {
    let known = |id: &Id| (*id as usize) < nodes;
    let mut head = r.fields(32 + 8 + 1)?;
    let (key, made, kind) = (head.array()?, head.i64()?, head.u8()?);
    let result = match kind {
        1 => {
            let mut about = r.fields(32 + 3 * 8)?;
            let root = Digest { function: DigestFunction::Blake3, hash: about.hash()?, size: about.u64()? };
            Remembered::Summary { root, files: about.u64()?, bytes: about.u64()? }
        }
        2 => {
            let count = r.fields(4)?.u32()?;
            let mut id = || r.fields(4)?.u32().filter(known);
            Remembered::Nodes((0..count).map(|_| id()).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let mut left = r.fields(4)?.u32()? as usize;
    let mut deps = Vec::new();
    while left > 0 {
        let some = left.min(BUFFER / DEP);
        let (records, _) = r.bytes(some * DEP)?.as_chunks::<DEP>();
        // Only as much room as there are bytes.
        deps.reserve(some);
        for record in records {
            deps.push(decode_dep(record, nodes)?);
        }
        left -= some;
    }
    Some((key, Answer { deps, result, made }))
}

fn decode_dep(record: &[u8; DEP], nodes: usize) -> Option<Dep> {
    let mut fields = Fields(record);
    let node = fields.u32().filter(|&id| (id as usize) < nodes)?;
    let (aspect, value) = (fields.u8()?, fields.u32()?);
    let on = match aspect {
        1 => On::Kind(Kind::from_number(u8::try_from(value).ok()?)? as u8),
        2 => On::Content(value),
        3 => On::Listing(value),
        _ => return None,
    };
    Some(Dep { node, on })
}

/// The answers that are kept: the newest, within bounds.
fn kept_answers(table: &Table) -> Vec<(&[u8; 32], &Answer)> {
    let mut answers: Vec<_> = table.answers.iter().collect();
    answers.sort_by(|a, b| b.1.made.cmp(&a.1.made).then(a.0.cmp(b.0)));
    answers.truncate(MOST_ANSWERS);
    let mut deps = 0;
    answers.retain(|(_, answer)| {
        deps += answer.deps.len();
        deps <= MOST_DEPS
    });
    answers
}

/// New numbers for the nodes that are kept, in an order where brothers stand together, and the old ones in that order.
fn renumber(table: &Table, answers: &[(&[u8; 32], &Answer)]) -> (HashMap<Id, Id>, Vec<Id>) {
    let mut needed = vec![false; table.nodes.len()];
    let mut need = |mut id: Id| {
        while !std::mem::replace(&mut needed[id as usize], true) {
            id = table.node(id).parent;
        }
    };
    need(ROOT);
    need(OUTSIDE);
    for (_, answer) in answers {
        answer.deps.iter().for_each(|dep| need(dep.node));
        if let Remembered::Nodes(nodes) = &answer.result {
            nodes.iter().for_each(|&id| need(id));
        }
    }
    let keeps = |parent: Id, id: Id| {
        let (above, node) = (table.node(parent), table.node(id));
        let alive = parent == OUTSIDE || matches!(above.kind, Kind::Folder | Kind::Unknown);
        let known = matches!(node.kind, Kind::File | Kind::Link | Kind::Folder);
        needed[id as usize]
            || (alive && (node.listed.is_some() || (known && (node.seen > 0 || !above.proven))))
    };
    let mut order = vec![ROOT, OUTSIDE];
    let mut at = 0;
    while at < order.len() {
        let parent = order[at];
        order.extend(table.children(parent).iter().copied().filter(|&id| keeps(parent, id)));
        at += 1;
    }
    let numbers = order.iter().zip(0..).map(|(&old, new)| (old, new)).collect();
    (numbers, order)
}

fn encode(table: &Table) -> Vec<u8> {
    let answers = kept_answers(table);
    let (numbers, order) = renumber(table, &answers);
    let mut text = Vec::new();
    let mut out = Vec::with_capacity(order.len() * (NODE + 16) + HEADER);
    out.extend_from_slice(MAGIC);
    let count = |n: usize| u32::try_from(n).expect("a table has fewer than 2^32 parts").to_le_bytes();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&count(order.len()));
    let text_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count(answers.len()));
    out.extend_from_slice(&[0; 4]);
    for &id in &order {
        encode_node(table, id, &numbers, &mut text, &mut out);
    }
    out[text_at..text_at + 4].copy_from_slice(&count(text.len()));
    out.extend_from_slice(&text);
    for (key, answer) in answers {
        out.extend_from_slice(key);
        out.extend_from_slice(&answer.made.to_le_bytes());
        match &answer.result {
            Remembered::Summary { root, files, bytes } => {
                out.push(1);
                out.extend_from_slice(&root.hash.0);
                [root.size, *files, *bytes].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
            }
            Remembered::Nodes(nodes) => {
                out.push(2);
                out.extend_from_slice(&count(nodes.len()));
                nodes.iter().for_each(|id| out.extend_from_slice(&numbers[id].to_le_bytes()));
            }
        }
        out.extend_from_slice(&count(answer.deps.len()));
        // In the order of the nodes, so that they are looked at folder by folder.
        let numbered = answer.deps.iter().map(|dep| Dep { node: numbers[&dep.node], ..*dep });
        let mut deps: Vec<Dep> = numbered.collect();
        deps.sort_unstable();
        for dep in deps {
            out.extend_from_slice(&dep.node.to_le_bytes());
            let (tag, value) = match dep.on {
                On::Kind(kind) => (1, u32::from(kind)),
                On::Content(version) => (2, version),
                On::Listing(version) => (3, version),
            };
            out.push(tag);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
    let checksum = blake3::hash(&out);
    out.extend_from_slice(checksum.as_bytes());
    out
}

fn encode_node(table: &Table, id: Id, numbers: &HashMap<Id, Id>, text: &mut Vec<u8>, out: &mut Vec<u8>) {
    let node = table.node(id);
    let mut span = |span: Span, out: &mut Vec<u8>| {
        let at = u32::try_from(text.len()).expect("not longer than the table's text");
        text.extend_from_slice(table.text(span));
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(&span.len.to_le_bytes());
    };
    out.extend_from_slice(&numbers[&node.parent].to_le_bytes());
    span(node.name, out);
    out.extend_from_slice(&[
        node.kind as u8,
        node.listed.map_or(NOT_LISTED, |kind| kind as u8),
        node.proven.into(),
    ]);
    out.extend_from_slice(&node.version.to_le_bytes());
    let stat = &node.stat;
    [stat.dev, stat.ino, stat.size].iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    out.extend_from_slice(&stat.mode.to_le_bytes());
    for time in [stat.mtime, stat.ctime] {
        out.extend_from_slice(&time.seconds.to_le_bytes());
        out.extend_from_slice(&time.nanos.to_le_bytes());
    }
    out.extend_from_slice(&node.hash.0);
    let target = if node.kind == Kind::Link { node.target } else { Span::default() };
    span(target, out);
}
