//! The stat table on disk; normative description in `docs/formats/stat-table.md`.
//!
//! Read whole and checked whole: a table of another version, with a flipped bit or a reference that leads nowhere is
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
const CHECKSUM: usize = 32;
const NODE: usize = 111;
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
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).ok()? + 1);
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    let table = decode(&bytes);
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

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
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

    fn time(&mut self) -> Option<FsTime> {
        Some(FsTime { seconds: self.i64()?, nanos: self.u32()? })
    }

    fn hash(&mut self) -> Option<Hash> {
        self.array().map(Hash)
    }

    fn span(&mut self, text: usize) -> Option<Span> {
        let span = Span { at: self.u32()?, len: self.u32()? };
        (u64::from(span.at) + u64::from(span.len) <= text as u64).then_some(span)
    }
}

fn decode(bytes: &[u8]) -> Option<Table> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    if !body.starts_with(MAGIC) || body.get(8..12)? != VERSION.to_le_bytes() {
        return None;
    }
    if blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    let mut r = Reader(&body[12..]);
    let (nodes, text, answers) = (r.u32()? as usize, r.u32()? as usize, r.u32()? as usize);
    r.u32()?;
    if nodes < 2 || nodes.checked_mul(NODE)? > r.0.len() {
        return None;
    }
    let mut node_bytes = Reader(r.bytes(nodes * NODE)?);
    let mut table = Table::default();
    table.text = r.bytes(text)?.to_vec();
    table.nodes.reserve(nodes);
    for id in 0..Id::try_from(nodes).ok()? {
        decode_node(&mut node_bytes, id, &mut table)?;
    }
    for _ in 0..answers {
        let (key, answer) = decode_answer(&mut r, nodes)?;
        table.answers.insert(key, answer);
    }
    r.0.is_empty().then_some(table)
}

fn decode_node(r: &mut Reader<'_>, id: Id, table: &mut Table) -> Option<()> {
    let text = table.text.len();
    let parent = r.u32()?;
    let name = r.span(text)?;
    let kind = Kind::from_number(r.u8()?)?;
    let listed = match r.u8()? {
        NOT_LISTED => None,
        number => Some(Kind::from_number(number)?),
    };
    let proven = r.u8()? != 0;
    let version = r.u32()?;
    let (dev, ino, size, mode) = (r.u64()?, r.u64()?, r.u64()?, r.u32()?);
    let stat = Stat { dev, ino, size, mode, mtime: r.time()?, ctime: r.time()? };
    let hash = r.hash()?;
    let target = r.span(text)?;
    if i64::try_from(size).is_err() || (id > OUTSIDE && parent >= id) || (id <= OUTSIDE && parent != ROOT) {
        return None;
    }
    table.push_loaded(parent, name);
    let node = table.node_mut(id);
    (node.kind, node.listed, node.proven, node.version) = (kind, listed, proven, version);
    (node.stat, node.hash, node.target) = (stat, hash, target);
    if id > OUTSIDE {
        let last = table.children(parent).last().copied();
        if last.is_some_and(|last| table.name(last) >= table.name(id)) {
            return None;
        }
        table.children_mut(parent).push(id);
    }
    Some(())
}

fn decode_answer(r: &mut Reader<'_>, nodes: usize) -> Option<([u8; 32], Answer)> {
    let id = |r: &mut Reader<'_>| r.u32().filter(|&id| (id as usize) < nodes);
    let key = r.array()?;
    let made = r.i64()?;
    let result = match r.u8()? {
        1 => {
            let root = Digest { function: DigestFunction::Blake3, hash: r.hash()?, size: r.u64()? };
            Remembered::Summary { root, files: r.u64()?, bytes: r.u64()? }
        }
        2 => {
            let count = r.u32()?;
            Remembered::Nodes((0..count).map(|_| id(r)).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let count = r.u32()?;
    let mut dep = || {
        let node = id(r)?;
        let on = match r.u8()? {
            1 => On::Kind(Kind::from_number(u8::try_from(r.u32()?).ok()?)? as u8),
            2 => On::Content(r.u32()?),
            3 => On::Listing(r.u32()?),
            _ => return None,
        };
        Some(Dep { node, on })
    };
    let deps = (0..count).map(|_| dep()).collect::<Option<_>>()?;
    Some((key, Answer { deps, result, made }))
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
        for dep in &answer.deps {
            out.extend_from_slice(&numbers[&dep.node].to_le_bytes());
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
