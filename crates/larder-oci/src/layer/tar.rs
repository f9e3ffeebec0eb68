//! The tar stream of a layer → its entries.
//!
//! Bytes are pushed in as they come, in pieces of any size; an entry comes out when its header is whole. Content is passed over: an entry says
//! where it lies. What is read, and what is refused, is what Go's `archive/tar` reads and refuses, since containerd, moby and podman read
//! layers with it; beyond that the limits of [`Limits`] and of this file.
//!
//! | archive | tree |
//! |---|---|
//! | a name by GNU's `L`, by PAX, by the header | the first of these that is there |
//! | type `0`, `7`, `S`, zero byte without a slash at the end | a file |
//! | type zero byte with a slash at the end, `5` | a folder |
//! | type `g` | nothing |
//! | two blocks of zeros, or the stream's end | the end; what follows is not looked at, and is 64 MiB at most |
//!
//! Memory: an extended header (1 MiB at most) and one entry.

use super::budget::{Budget, Limits};
use super::entry::{Content, Device, Entry, Kind};
pub use super::fault::{Fault, TarError};
use super::header::{BLOCK, Format, Header};
use super::pax::{self, Pax};
use super::sparse;

/// The longest extended header, and the longest map of a sparse file.
pub(super) const LONGEST_EXTENSION: u64 = 1 << 20;
/// The longest name, and the longest target of a link.
pub(crate) const LONGEST_PATH: usize = 4095;
pub(crate) const LONGEST_XATTR_NAME: usize = 255;
pub(crate) const LONGEST_XATTR: usize = 65_535;

/// Bytes of a stream that may be there for nothing: between entries, and again behind the end.
const ALLOWANCE: u64 = 64 << 20;
/// Bytes of headers and padding that every entry may have, beside what [`Limits::metadata`] allows.
const BESIDE_ENTRY: u64 = 8 * BLOCK as u64;
/// What was dropped from an entry, because no container gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedXattr {
    /// The entry.
    pub entry: Vec<u8>,
    /// The attribute.
    pub name: Vec<u8>,
}

/// What an extended header is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Pax,
    Global,
    LongName,
    LongTarget,
}

#[derive(Debug)]
enum State {
    /// Waits for a header; `true` after a block of zeros.
    Header(bool),
    /// Collects an extended header of so many bytes.
    Extension(Extension, usize, Vec<u8>),
    /// Collects blocks of a sparse file's map: GNU's before the content, PAX's at its begin.
    Map(Box<Half>),
    /// Passes over this much content, and then padding.
    Content(u64, u64),
    /// Passes over padding.
    Padding(u64),
    Ended,
}

/// An entry whose sparse map is still read.
#[derive(Debug)]
struct Half {
    entry: Entry,
    /// Bytes of content and map that follow.
    left: u64,
    map: sparse::Map,
}

/// Reads a tar stream.
#[derive(Debug)]
pub struct Walker {
    state: State,
    /// Bytes pushed so far.
    at: u64,
    block: Box<[u8; BLOCK]>,
    filled: usize,
    /// Of the entry that follows.
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_target: Option<Vec<u8>>,
    budget: Budget,
    /// Bytes that may belong to no file, by the entries so far.
    allowed: u64,
    /// Bytes of files, by the entries so far.
    content: u64,
    /// Where the end is, once it was seen.
    end: Option<u64>,
    /// The entry that was read last, for messages.
    last: Option<Vec<u8>>,
    /// Whether the bytes that come next belong to that entry.
    is_within: bool,
    dropped: Vec<DroppedXattr>,
}

/// The most notes of dropped attributes that are kept.
const MOST_DROPPED: usize = 100;

impl Walker {
    /// At the begin of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Header(false),
            at: 0,
            block: Box::new([0; BLOCK]),
            filled: 0,
            pax: None,
            long_name: None,
            long_target: None,
            budget: Budget::new(limits),
            allowed: ALLOWANCE.saturating_add(limits.metadata),
            content: 0,
            end: None,
            last: None,
            is_within: false,
            dropped: Vec::new(),
        }
    }

    /// Attributes that were dropped, a hundred at most.
    #[must_use]
    pub fn dropped(&self) -> &[DroppedXattr] {
        &self.dropped
    }

    /// Reads on; gives `sink` each entry whose header is whole.
    ///
    /// # Errors
    /// When the stream is malformed, or over a limit. Nothing may be pushed after that.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Entry)) -> Result<(), TarError> {
        while !bytes.is_empty() {
            let taken = self.step(bytes, sink).map_err(|fault| self.error(fault))?;
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
        let is_over = self.at.saturating_sub(self.content) > self.allowed
            || self.end.is_some_and(|end| self.at - end > ALLOWANCE);
        if is_over { Err(self.error(Fault::TooMuchBeside)) } else { Ok(()) }
    }

    /// Passes over the content that comes next, which is not pushed then; how many bytes that is.
    pub fn skip_content(&mut self) -> u64 {
        let skipped = match &mut self.state {
            State::Content(left, padding) => std::mem::take(left) + std::mem::take(padding),
            State::Padding(left) => std::mem::take(left),
            _ => 0,
        };
        self.at += skipped;
        self.settle();
        skipped
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// When it must not end here.
    pub fn finish(&self) -> Result<(), TarError> {
        let is_cut = match &self.state {
            State::Header(_) => self.filled > 0,
            State::Ended | State::Padding(_) => false,
            State::Content(left, _) => *left > 0,
            State::Extension(..) | State::Map(_) => true,
        };
        if is_cut { Err(self.error(Fault::Cut)) } else { Ok(()) }
    }

    fn error(&self, fault: Fault) -> TarError {
        TarError { at: self.at, entry: self.last.clone(), is_after: !self.is_within, fault }
    }

    /// Takes some of `bytes`, at least one; says how many.
    fn step(&mut self, bytes: &[u8], sink: &mut impl FnMut(Entry)) -> Result<usize, Fault> {
        let available = bytes.len() as u64;
        match &mut self.state {
            State::Header(_) | State::Map(_) => {
                let taken = bytes.len().min(BLOCK - self.filled);
                self.block[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
                self.filled += taken;
                if self.filled == BLOCK {
                    self.filled = 0;
                    self.whole_block(sink)?;
                }
                Ok(taken)
            }
            State::Extension(kind, wanted, body) => {
                let taken = bytes.len().min(*wanted - body.len());
                body.extend_from_slice(&bytes[..taken]);
                if body.len() == *wanted {
                    let (kind, body) = (*kind, std::mem::take(body));
                    self.state = State::Padding(padding(body.len() as u64));
                    self.extension(kind, &body)?;
                    self.settle();
                }
                Ok(taken)
            }
            State::Content(left, _) | State::Padding(left) => {
                let taken = available.min(*left);
                *left -= taken;
                self.settle();
                Ok(usize::try_from(taken).expect("at most what was given"))
            }
            State::Ended => Ok(bytes.len()),
        }
    }

    /// Goes on from states that have nothing left.
    fn settle(&mut self) {
        if let State::Content(0, padding) = self.state {
            self.state = State::Padding(padding);
        }
        if let State::Padding(0) = self.state {
            self.state = State::Header(false);
            self.is_within = false;
        }
    }

    fn whole_block(&mut self, sink: &mut impl FnMut(Entry)) -> Result<(), Fault> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Header(after_zeros) => {
                let is_zero = self.block.iter().all(|byte| *byte == 0);
                match (is_zero, after_zeros) {
                    (true, true) => {
                        self.end = Some(self.at);
                        Ok(())
                    }
                    (true, false) => {
                        self.state = State::Header(true);
                        Ok(())
                    }
                    (false, true) => Err(Fault::LoneZero),
                    (false, false) => self.header(sink),
                }
            }
            State::Map(mut half) => {
                let is_whole = half.map.block(&self.block)?;
                if half.map.is_in_content() {
                    half.left = half.left.checked_sub(BLOCK as u64).ok_or(Fault::Sparse)?;
                }
                if is_whole {
                    self.whole_map(*half, sink)
                } else {
                    self.state = State::Map(half);
                    Ok(())
                }
            }
            _ => unreachable!("only these two collect blocks"),
        }
    }

    fn extension(&mut self, kind: Extension, body: &[u8]) -> Result<(), Fault> {
        match kind {
            Extension::Pax => self.pax = Some(Pax::parse(body)?),
            // Read, so that what is malformed is refused; it says nothing about the tree.
            Extension::Global => drop(Pax::parse(body)?),
            Extension::LongName => self.long_name = Some(super::header::text(body).to_vec()),
            Extension::LongTarget => self.long_target = Some(super::header::text(body).to_vec()),
        }
        Ok(())
    }

    fn header(&mut self, sink: &mut impl FnMut(Entry)) -> Result<(), Fault> {
        let header = Header::parse(&self.block)?;
        let extension = match header.kind {
            b'x' => Extension::Pax,
            b'g' => Extension::Global,
            b'L' => Extension::LongName,
            b'K' => Extension::LongTarget,
            _ => return self.entry(header, sink),
        };
        let size = u64::try_from(header.size).map_err(|_| Fault::Size)?;
        if size > LONGEST_EXTENSION {
            return Err(Fault::LongExtension);
        }
        let size = usize::try_from(size).expect("bounded above");
        self.state = State::Extension(extension, size, Vec::with_capacity(size));
        if size == 0 {
            self.extension(extension, &[])?;
            self.state = State::Header(false);
        }
        Ok(())
    }

    fn entry(&mut self, header: Header, sink: &mut impl FnMut(Entry)) -> Result<(), Fault> {
        let mut pax = self.pax.take().unwrap_or_default();
        let path =
            self.long_name.take().filter(|name| !name.is_empty()).or(pax.path.take()).unwrap_or(header.name);
        let target = self
            .long_target
            .take()
            .filter(|name| !name.is_empty())
            .or(pax.target.take())
            .unwrap_or(header.target);
        self.last = Some(path.clone());
        self.is_within = true;
        let kind = kind(header.kind, &path)?;
        let is_link = matches!(kind, Kind::Symlink | Kind::HardLink);
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        let stored = u64::try_from(pax.size.unwrap_or(header.size)).map_err(|_| Fault::Size)?;
        // Everything else has no content, whatever its header says.
        let stored = if kind == Kind::File { stored } else { 0 };
        let owner =
            |number: i64| u32::try_from(number).ok().filter(|number| *number != u32::MAX).ok_or(Fault::Range);
        let entry = Entry {
            kind,
            mode: u32::try_from(header.mode & 0o7777).expect("masked"),
            uid: owner(pax.uid.unwrap_or(header.uid))?,
            gid: owner(pax.gid.unwrap_or(header.gid))?,
            modified: pax.modified.unwrap_or_else(|| pax::in_range(header.modified, 0)),
            size: stored,
            target: if is_link { target } else { Vec::new() },
            device: if is_device { device(header.major, header.minor)? } else { Device::default() },
            xattrs: self.xattrs(std::mem::take(&mut pax.xattrs), kind, &path)?,
            content: Content { at: 0, stored, sparse: None },
            path,
        };
        let map = if kind == Kind::File { self.map(header.format, header.kind, &pax)? } else { None };
        let Some((map, name, size)) = map else {
            return self.whole_entry(entry, stored, sink);
        };
        if name.is_some() {
            self.last.clone_from(&name);
        }
        let entry = Entry { path: name.unwrap_or(entry.path), size: size.unwrap_or(entry.size), ..entry };
        let half = Half { entry, left: stored, map };
        if half.map.is_whole() {
            return self.whole_map(half, sink);
        }
        self.state = State::Map(Box::new(half));
        Ok(())
    }

    /// The sparse map of a file that has one, with the name and the size that come with it.
    #[expect(clippy::type_complexity, reason = "taken apart at once")]
    fn map(
        &self,
        format: Format,
        kind: u8,
        pax: &Pax,
    ) -> Result<Option<(sparse::Map, Option<Vec<u8>>, Option<u64>)>, Fault> {
        if kind == b'S' {
            if format != Format::Gnu {
                return Err(Fault::Sparse);
            }
            let (map, size) = sparse::Map::old_gnu(&self.block)?;
            return Ok(Some((map, None, Some(size))));
        }
        let Some(map) = sparse::Map::of_pax(&pax.sparse)? else { return Ok(None) };
        let name = pax.sparse.name.clone().filter(|name| !name.is_empty());
        let size = pax.sparse.real_size.map(|size| u64::try_from(size).map_err(|_| Fault::Sparse));
        Ok(Some((map, name, size.transpose()?)))
    }

    fn whole_map(&mut self, half: Half, sink: &mut impl FnMut(Entry)) -> Result<(), Fault> {
        let Half { mut entry, left, map } = half;
        entry.content.sparse = Some(map.pieces(entry.size, left)?);
        entry.content.stored = left;
        self.whole_entry(entry, left, sink)
    }

    fn whole_entry(
        &mut self,
        mut entry: Entry,
        stored: u64,
        sink: &mut impl FnMut(Entry),
    ) -> Result<(), Fault> {
        if entry.path.is_empty() {
            return Err(Fault::NoName);
        }
        if entry.path.len() > LONGEST_PATH || entry.target.len() > LONGEST_PATH {
            return Err(Fault::LongPath);
        }
        self.budget.charge(&entry)?;
        self.allowed = self.allowed.saturating_add(BESIDE_ENTRY);
        self.content = self.content.saturating_add(stored);
        // The last byte of this block is not counted yet, see `push`: a block is complete with what is taken now.
        entry.content.at = (self.at / BLOCK as u64 + 1) * BLOCK as u64;
        if entry.content.stored == 0 {
            entry.content.at = 0;
        }
        sink(entry);
        self.state = State::Content(stored, padding(stored));
        self.settle();
        Ok(())
    }

    /// What is kept of attributes.
    #[expect(clippy::type_complexity, reason = "names and values")]
    fn xattrs(
        &mut self,
        all: Vec<(Vec<u8>, Vec<u8>)>,
        kind: Kind,
        path: &[u8],
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Fault> {
        let mut kept = Vec::new();
        for (name, value) in all {
            if name.len() > LONGEST_XATTR_NAME || value.len() > LONGEST_XATTR {
                return Err(Fault::LongXattr);
            }
            if is_kept(&name, kind) {
                kept.push((name, value));
            } else if self.dropped.len() < MOST_DROPPED {
                self.dropped.push(DroppedXattr { entry: path.to_vec(), name });
            }
        }
        kept.sort();
        Ok(kept)
    }
}

fn is_kept(name: &[u8], kind: Kind) -> bool {
    match name {
        b"security.selinux" => false,
        b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ if name.starts_with(b"trusted.overlay.") => false,
        _ if name.starts_with(b"user.") => matches!(kind, Kind::File | Kind::Directory | Kind::HardLink),
        _ => name.starts_with(b"security.") || name.starts_with(b"trusted."),
    }
}

fn kind(said: u8, path: &[u8]) -> Result<Kind, Fault> {
    Ok(match said {
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return Err(Fault::Type),
    })
}

fn device(major: i64, minor: i64) -> Result<Device, Fault> {
    let number = |number: i64, bits: u32| {
        u32::try_from(number).ok().filter(|number| number >> bits == 0).ok_or(Fault::Range)
    };
    Ok(Device { major: number(major, 12)?, minor: number(minor, 20)? })
}

/// How many bytes follow content of this size, to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
