//! Entries as bytes: blocks of at most 4,096, in archive order, each in columns.
//!
//! ```text
//! block    length of the rest; entries; then each column: its length, its bytes
//! ```
//! The columns are in the order of [`Column`]; what they hold is in `docs/formats/toc.md`. Within a block an entry's name shares a begin with the name
//! before, times and places are differences; a block can be read without the one before.

use super::TocError;
use super::number::{self, Cursor};
use super::section::{Section, SectionReader, SectionWriter};
use crate::layer::tar::{LONGEST_PATH, LONGEST_XATTR, LONGEST_XATTR_NAME};
use crate::layer::{Content, Device, Entry, Kind, Time};

const MOST_ENTRIES: usize = 4096;
/// A block is closed when it has this many bytes; one entry more may come, of some megabytes at most.
const BLOCK_BYTES: usize = 256 << 10;
/// The longest block that is read.
const LONGEST_BLOCK: u64 = 16 << 20;
const COLUMNS: usize = 13;

/// What is in a column, for each entry (or each entry of some kinds) one number, or several.
#[derive(Clone, Copy)]
enum Column {
    /// A byte: the kind, as in [`KINDS`].
    Kind,
    /// How many bytes the name shares with the name before.
    Shared,
    /// The rest of the name: length and bytes.
    Name,
    Mode,
    Uid,
    Gid,
    /// Signed: difference to the one before.
    Seconds,
    Nanos,
    /// Of files.
    Size,
    /// Of files with content, signed: difference to where the content would be, were there nothing but a header between.
    At,
    /// Of links: length and bytes.
    Target,
    /// Of devices: major and minor.
    Device,
    /// Number of attributes, each name and value; and of files 0, or pieces + 1, bytes stored, and each piece: gap before it, length.
    Extras,
}

/// Kinds by number.
const KINDS: [Kind; 7] = [
    Kind::File,
    Kind::Directory,
    Kind::Symlink,
    Kind::HardLink,
    Kind::CharDevice,
    Kind::BlockDevice,
    Kind::Fifo,
];

/// What the differences of a block are to.
#[derive(Default)]
struct Before {
    path: Vec<u8>,
    seconds: i64,
    content_end: u64,
}

impl Before {
    fn expected(&self) -> u64 {
        (self.content_end.wrapping_add(511) & !511).wrapping_add(512)
    }

    fn now(&mut self, entry: &Entry) {
        self.path.clone_from(&entry.path);
        self.seconds = entry.modified.seconds.cast_signed();
        if entry.content.stored > 0 {
            self.content_end = entry.content.at.wrapping_add(entry.content.stored);
        } else {
            // A header alone.
            self.content_end = self.content_end.wrapping_add(511) & !511;
            self.content_end = self.content_end.wrapping_add(512);
        }
    }
}

/// Writes entries.
pub(super) struct EntryWriter {
    section: SectionWriter,
    columns: [Vec<u8>; COLUMNS],
    before: Before,
    in_block: usize,
    count: u64,
}

impl EntryWriter {
    pub(super) fn new() -> Self {
        Self {
            section: SectionWriter::new(),
            columns: Default::default(),
            before: Before::default(),
            in_block: 0,
            count: 0,
        }
    }

    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), TocError> {
        let shared = entry.path.iter().zip(&self.before.path).take_while(|(one, other)| one == other).count();
        let kind = KINDS.iter().position(|kind| *kind == entry.kind).expect("all kinds are there");
        self.column(Column::Kind).push(u8::try_from(kind).expect("seven kinds"));
        self.put(Column::Shared, shared as u64);
        number::put_bytes(self.column(Column::Name), &entry.path[shared..]);
        self.put(Column::Mode, u64::from(entry.mode));
        self.put(Column::Uid, u64::from(entry.uid));
        self.put(Column::Gid, u64::from(entry.gid));
        let seconds = entry.modified.seconds.cast_signed().wrapping_sub(self.before.seconds);
        number::put_signed(self.column(Column::Seconds), seconds);
        self.put(Column::Nanos, u64::from(entry.modified.nanos));
        match entry.kind {
            Kind::File => self.put(Column::Size, entry.size),
            Kind::Symlink | Kind::HardLink => number::put_bytes(self.column(Column::Target), &entry.target),
            Kind::CharDevice | Kind::BlockDevice => {
                self.put(Column::Device, u64::from(entry.device.major));
                self.put(Column::Device, u64::from(entry.device.minor));
            }
            Kind::Directory | Kind::Fifo => {}
        }
        self.extras(entry);
        if entry.content.stored > 0 {
            let difference = entry.content.at.wrapping_sub(self.before.expected()).cast_signed();
            number::put_signed(self.column(Column::At), difference);
        }
        self.before.now(entry);
        self.in_block += 1;
        self.count += 1;
        let bytes: usize = self.columns.iter().map(Vec::len).sum();
        if self.in_block == MOST_ENTRIES || bytes >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn extras(&mut self, entry: &Entry) {
        let extras = self.column(Column::Extras);
        number::put(extras, entry.xattrs.len() as u64);
        for (name, value) in &entry.xattrs {
            number::put_bytes(extras, name);
            number::put_bytes(extras, value);
        }
        if entry.kind != Kind::File {
            return;
        }
        let Some(pieces) = &entry.content.sparse else { return number::put(extras, 0) };
        number::put(extras, pieces.len() as u64 + 1);
        number::put(extras, entry.content.stored);
        let mut end = 0;
        for (at, length) in pieces {
            number::put(extras, at - end);
            number::put(extras, *length);
            end = at + length;
        }
    }

    fn column(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.columns[column as usize]
    }

    fn put(&mut self, column: Column, value: u64) {
        number::put(self.column(column), value);
    }

    fn flush(&mut self) -> Result<(), TocError> {
        if self.in_block == 0 {
            return Ok(());
        }
        let mut block = Vec::new();
        number::put(&mut block, self.in_block as u64);
        for column in &mut self.columns {
            number::put_bytes(&mut block, column);
            column.clear();
        }
        let mut length = Vec::new();
        number::put(&mut length, block.len() as u64);
        self.section.write(&length)?;
        self.section.write(&block)?;
        self.before = Before::default();
        self.in_block = 0;
        Ok(())
    }

    /// The section, and how many entries it has.
    pub(super) fn finish(mut self) -> Result<(Section, u64), TocError> {
        self.flush()?;
        Ok((self.section.finish()?, self.count))
    }
}

/// Reads entries, a block at a time.
pub(super) struct EntryReader<'a> {
    from: SectionReader<'a>,
    block: std::vec::IntoIter<Entry>,
    /// How many there still should be.
    left: u64,
    failed: bool,
}

impl<'a> EntryReader<'a> {
    /// Of a section that should have so many.
    pub(super) fn new(section: &'a Section, count: u64) -> Self {
        Self { from: section.reader(), block: Vec::new().into_iter(), left: count, failed: false }
    }

    /// The next block's length; `None` at the end.
    fn length(&mut self) -> Result<Option<usize>, TocError> {
        let mut digits = Vec::new();
        loop {
            let mut byte = [0];
            if self.from.next(&mut byte)? == 0 {
                return if digits.is_empty() {
                    Ok(None)
                } else {
                    Err(TocError::Damaged("a block is cut off"))
                };
            }
            digits.push(byte[0]);
            if byte[0] & 0x80 == 0 || digits.len() > 9 {
                let length = Cursor::new(&digits).number()?;
                if length > LONGEST_BLOCK {
                    return Err(TocError::TooLarge("a block of entries"));
                }
                return Ok(Some(usize::try_from(length).expect("bounded above")));
            }
        }
    }

    fn next_block(&mut self) -> Result<bool, TocError> {
        let Some(length) = self.length()? else {
            return if self.left == 0 {
                Ok(false)
            } else {
                Err(TocError::Damaged("it has fewer entries than it says"))
            };
        };
        let mut block = Vec::new();
        self.from.read_up_to(length, &mut block)?;
        if block.len() != length {
            return Err(TocError::Damaged("a block is cut off"));
        }
        let entries = parse(&block)?;
        // An empty block would be one more that costs nothing.
        if entries.is_empty() {
            return Err(TocError::Damaged("a block of entries is empty"));
        }
        let left = self.left.checked_sub(entries.len() as u64);
        self.left = left.ok_or(TocError::Damaged("it has more entries than it says"))?;
        self.block = entries.into_iter();
        Ok(true)
    }
}

impl Iterator for EntryReader<'_> {
    type Item = Result<Entry, TocError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.block.next() {
                return Some(Ok(entry));
            }
            if self.failed {
                return None;
            }
            match self.next_block() {
                Ok(true) => {}
                Ok(false) => {
                    self.failed = true;
                    return None;
                }
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn parse(block: &[u8]) -> Result<Vec<Entry>, TocError> {
    let mut cursor = Cursor::new(block);
    let count = cursor.count()?;
    if count > MOST_ENTRIES {
        return Err(TocError::TooLarge("a block of entries"));
    }
    let mut columns = [Cursor::new(&[]); COLUMNS];
    for column in &mut columns {
        *column = Cursor::new(cursor.bytes()?);
    }
    let mut before = Before::default();
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let entry = entry(&mut columns, &before)?;
        before.now(&entry);
        entries.push(entry);
    }
    if !cursor.is_empty() || columns.iter().any(|column| !column.is_empty()) {
        return Err(TocError::Damaged("a block holds more than its entries"));
    }
    Ok(entries)
}

fn entry(columns: &mut [Cursor<'_>; COLUMNS], before: &Before) -> Result<Entry, TocError> {
    let wrong = TocError::Damaged;
    let at = |column: Column| column as usize;
    let kind = *KINDS
        .get(usize::from(columns[at(Column::Kind)].byte()?))
        .ok_or(wrong("an entry's kind is not known"))?;
    let shared = usize::try_from(columns[at(Column::Shared)].number()?).unwrap_or(usize::MAX);
    let shared = before.path.get(..shared).ok_or(wrong("a name shares more than there is"))?;
    let path = [shared, columns[at(Column::Name)].bytes()?].concat();
    if path.is_empty() || path.len() > LONGEST_PATH || path.contains(&0) {
        return Err(wrong("a name is none"));
    }
    let mode = columns[at(Column::Mode)].small()?;
    let (uid, gid) = (columns[at(Column::Uid)].small()?, columns[at(Column::Gid)].small()?);
    let seconds = before.seconds.wrapping_add(columns[at(Column::Seconds)].signed()?);
    let nanos = columns[at(Column::Nanos)].small()?;
    let seconds = u64::try_from(seconds).map_err(|_| wrong("a time is out of range"))?;
    if mode > 0o7777 || nanos >= 1_000_000_000 || seconds > i64::MAX.unsigned_abs() / 1_000_000_000 {
        return Err(wrong("a mode or a time is out of range"));
    }
    let (mut size, mut target, mut device) = (0, Vec::new(), Device::default());
    match kind {
        Kind::File => size = columns[at(Column::Size)].number()?,
        Kind::Symlink | Kind::HardLink => target = columns[at(Column::Target)].bytes()?.to_vec(),
        Kind::CharDevice | Kind::BlockDevice => {
            let numbers = &mut columns[at(Column::Device)];
            device = Device { major: numbers.small()?, minor: numbers.small()? };
        }
        Kind::Directory | Kind::Fifo => {}
    }
    if target.len() > LONGEST_PATH
        || target.contains(&0)
        || device.major >> 12 != 0
        || device.minor >> 20 != 0
    {
        return Err(wrong("a target or a device's number is out of range"));
    }
    let xattrs = xattrs(&mut columns[at(Column::Extras)])?;
    let mut content = Content::default();
    if kind == Kind::File {
        (content.stored, content.sparse) = stored(&mut columns[at(Column::Extras)], size)?;
    }
    if content.stored > 0 {
        let difference = columns[at(Column::At)].signed()?;
        content.at = before.expected().wrapping_add(difference.cast_unsigned());
        if content.at.checked_add(content.stored).is_none_or(|end| end > i64::MAX.unsigned_abs()) {
            return Err(wrong("content lies where it cannot"));
        }
    }
    Ok(Entry {
        path,
        kind,
        mode,
        uid,
        gid,
        modified: Time { seconds, nanos },
        size,
        target,
        device,
        xattrs,
        content,
    })
}

#[expect(clippy::type_complexity, reason = "names and values")]
fn xattrs(extras: &mut Cursor<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>, TocError> {
    let count = extras.count()?;
    let mut xattrs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for _ in 0..count {
        let (name, value) = (extras.bytes()?, extras.bytes()?);
        let is_next = xattrs.last().is_none_or(|(before, _)| before.as_slice() < name);
        let fits = name.len() <= LONGEST_XATTR_NAME && value.len() <= LONGEST_XATTR;
        if name.is_empty() || name.contains(&0) || !is_next || !fits {
            return Err(TocError::Damaged("an extended attribute cannot be"));
        }
        xattrs.push((name.to_vec(), value.to_vec()));
    }
    Ok(xattrs)
}

#[expect(clippy::type_complexity, reason = "as in `Content`")]
fn stored(extras: &mut Cursor<'_>, size: u64) -> Result<(u64, Option<Box<[(u64, u64)]>>), TocError> {
    let wrong = || TocError::Damaged("the map of a sparse file makes no sense");
    let pieces = extras.count();
    let Some(pieces) = pieces?.checked_sub(1) else { return Ok((size, None)) };
    let stored = extras.number()?;
    let (mut end, mut sum, mut all) = (0u64, 0u64, Vec::new());
    for _ in 0..pieces {
        let at = end.checked_add(extras.number()?).ok_or_else(wrong)?;
        let length = extras.number()?;
        end = at.checked_add(length).filter(|end| *end <= size && length > 0).ok_or_else(wrong)?;
        sum += length;
        all.push((at, length));
    }
    if sum != stored {
        return Err(wrong());
    }
    Ok((stored, Some(all.into())))
}

#[cfg(test)]
mod tests;
