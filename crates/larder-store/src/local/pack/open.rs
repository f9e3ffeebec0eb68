//! A pack that is being written.
//!
//! Its writer holds an exclusive `flock` on it from before it gets its name `ID.open` until it is sealed or the process dies. Everybody
//! else may read whole frames of it at any time ([`OpenPack::tail`]), and may seal it once the lock is free
//! ([`seal_abandoned`]): up to its last whole frame, what follows is cut off. Nothing that was acknowledged is lost,
//! because a writer acknowledges after the frame was written.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use larder_core::{Format, Hash};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};

use super::frame::{self, FrameInfo};
use super::{ChunkRow, HEADER, TAIL_MAGIC};
use crate::local::by_hash::ByHash;
use crate::local::poison;
use crate::local::table;

/// A pack is sealed when it has so many bytes …
const FULL_BYTES: u64 = 256 << 20;
/// … or so many chunks: they are in memory while it is open, which is what bounds a writer of very compressible bytes. The
/// most that a table of 2^17 slots holds.
const FULL_CHUNKS: usize = (1 << 17) / 8 * 7;

/// What is known of an open pack's frames.
#[derive(Debug)]
struct State {
    scanned: u64,
    frames: Vec<FrameInfo>,
    chunks: ByHash<ChunkRow>,
}

/// An open pack as a reader sees it.
#[derive(Debug)]
pub(crate) struct OpenPack {
    id: String,
    file: File,
    state: RwLock<State>,
}

impl OpenPack {
    /// Opens `packs/ID.open` of another writer.
    pub(crate) fn read(path: &Path, id: &str) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?, id))
    }

    fn new(file: File, id: &str) -> Self {
        let state = State { scanned: HEADER.len() as u64, frames: Vec::new(), chunks: ByHash::default() };
        Self { id: id.to_owned(), file, state: RwLock::new(state) }
    }

    /// The pack's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Takes in the frames that were written since the last call.
    pub(crate) fn tail(&self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let mut state = self.state.write().unwrap_or_else(poison);
        while let Some((info, chunks)) = frame::read_head(&self.file, state.scanned, size)? {
            state.take(info, &chunks);
        }
        Ok(())
    }

    /// Where `hash` is, if it is here.
    pub(crate) fn find(&self, hash: &Hash) -> Option<(FrameInfo, ChunkRow)> {
        let state = self.state.read().unwrap_or_else(poison);
        let row = state.chunks.get(hash)?;
        Some((state.frames[row.frame as usize], *row))
    }

    /// The file, for reading payloads.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// All chunks, in the order of their frames.
    pub(crate) fn rows(&self) -> Vec<ChunkRow> {
        let mut rows: Vec<_> = self.state.read().unwrap_or_else(poison).chunks.values().copied().collect();
        rows.sort_unstable_by_key(|row| (row.frame, row.offset));
        rows
    }

    /// Bytes taken in so far.
    pub(crate) fn size(&self) -> u64 {
        self.state.read().unwrap_or_else(poison).scanned
    }

    /// Whether it is to be sealed before more is taken in.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.state.read().unwrap_or_else(poison);
        state.scanned >= FULL_BYTES || state.chunks.len() >= FULL_CHUNKS
    }
}

impl State {
    fn take(&mut self, info: FrameInfo, chunks: &[(Hash, u32)]) {
        let number = self.frames.len() as u32;
        self.frames.push(info);
        for row in frame::rows(number, chunks) {
            self.chunks.entry(row.hash).or_insert(row);
        }
        self.scanned = info.payload + u64::from(info.stored);
    }
}

/// Room is asked of the file system ahead of what is written, as much as was written but within these bounds: it is
/// cheaper than to let each write find its own (on ext4 by more than half of what a write costs).
const AHEAD: std::ops::RangeInclusive<u64> = (1 << 20)..=(32 << 20);

/// Writes an open pack.
#[derive(Debug)]
pub(crate) struct PackWriter {
    pack: std::sync::Arc<OpenPack>,
    path: PathBuf,
    head: Vec<u8>,
    /// Up to where the file system was asked for room; `u64::MAX` if it cannot give any.
    room: u64,
    failed: bool,
}

impl PackWriter {
    /// Creates a pack: locked in `tmp` first, then named, so that nobody takes it for abandoned.
    pub(crate) fn create(packs: &Path, tmp: &Path, id: &str) -> io::Result<Self> {
        let (named, hidden) = (packs.join(format!("{id}.open")), tmp.join(format!("{id}.open")));
        let mut file = File::options().read(true).write(true).create_new(true).open(&hidden)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(&HEADER)?;
        std::fs::rename(&hidden, &named)?;
        let pack = std::sync::Arc::new(OpenPack::new(file, id));
        Ok(Self { pack, path: named, head: Vec::new(), room: 0, failed: false })
    }

    /// The pack, for readers in this process.
    pub(crate) fn pack(&self) -> &std::sync::Arc<OpenPack> {
        &self.pack
    }

    /// Appends a frame. After an error (a full disk) what was written of it is cut off again, and the pack goes on.
    pub(crate) fn append(
        &mut self,
        format: Format,
        chunks: &[(Hash, u32)],
        stored: &[u8],
        raw: u32,
    ) -> io::Result<u64> {
        if self.failed {
            return Err(io::Error::other("an earlier write to this pack failed"));
        }
        self.head.clear();
        frame::encode_head(&mut self.head, format, chunks, stored.len() as u32, raw);
        let head = self.head.len() as u64;
        let offset = self.pack.size();
        let end = offset + head + u64::from(stored.len() as u32);
        self.make_room(end);
        if let Err(error) = write_both_at(&self.pack.file, &self.head, stored, offset) {
            self.failed = self.pack.file.set_len(offset).is_err();
            self.room = 0;
            return Err(error);
        }
        let info = FrameInfo {
            payload: offset + head,
            stored: stored.len() as u32,
            raw,
            format,
            chunks: chunks.len() as u16,
        };
        self.pack.state.write().unwrap_or_else(poison).take(info, chunks);
        Ok(end - offset)
    }

    /// Asks for room up to `end` and beyond. The length stays what was written; what is not used is given back by `seal`.
    fn make_room(&mut self, end: u64) {
        if end <= self.room {
            return;
        }
        let ahead = end.clamp(*AHEAD.start(), *AHEAD.end());
        let asked = fallocate(&self.pack.file, FallocateFlags::KEEP_SIZE, self.room, end + ahead - self.room);
        self.room = if asked.is_ok() { end + ahead } else { u64::MAX };
    }

    /// Makes what was appended survive a loss of power.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.pack.file.sync_data()
    }

    /// Writes the table and gives the pack its final name. An empty pack is removed.
    pub(crate) fn seal(self, sync: bool) -> io::Result<()> {
        seal(&self.pack, &self.path, sync)
    }
}

/// Writes `head` and then `body` at `offset`, in one call if the system takes it all.
fn write_both_at(file: &File, head: &[u8], body: &[u8], offset: u64) -> io::Result<()> {
    let written = loop {
        match rustix::io::pwritev(file, &[IoSlice::new(head), IoSlice::new(body)], offset) {
            Ok(written) => break written,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if written < head.len() {
        file.write_all_at(&head[written..], offset + written as u64)?;
    }
    let of_body = written.saturating_sub(head.len());
    file.write_all_at(&body[of_body..], offset + (head.len() + of_body) as u64)
}

fn seal(pack: &OpenPack, path: &Path, sync: bool) -> io::Result<()> {
    let state = pack.state.read().unwrap_or_else(poison);
    if state.frames.is_empty() {
        return std::fs::remove_file(path);
    }
    let mut out = Vec::with_capacity(state.frames.len() * frame::DIRECTORY_ENTRY);
    state.frames.iter().for_each(|info| info.encode(&mut out));
    let mut rows: Vec<ChunkRow> = state.chunks.values().copied().collect();
    let content = rows.iter().map(|row| u64::from(row.length)).sum();
    let directory = (state.scanned, state.frames.len() as u32);
    let table = table::encode(&mut rows, TAIL_MAGIC, state.scanned + out.len() as u64, directory, content);
    out.extend_from_slice(&table);
    pack.file.set_len(state.scanned)?;
    pack.file.write_all_at(&out, state.scanned)?;
    pack.file.set_len(state.scanned + out.len() as u64)?; // gives back the room that was not used
    if sync {
        pack.file.sync_all()?;
    }
    std::fs::rename(path, path.with_extension("pack"))
}

/// Seals `packs/ID.open` if its writer is gone. Answers whether it did.
pub(crate) fn seal_abandoned(path: &Path, id: &str) -> io::Result<bool> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    if !path.exists() {
        return Ok(false);
    }
    let mut head = [0; 16];
    let sound = file.read_exact_at(&mut head, 0).is_ok() && head == HEADER;
    if !sound {
        std::fs::remove_file(path)?;
        return Ok(true);
    }
    let pack = OpenPack::new(file, id);
    pack.tail()?;
    seal(&pack, path, false)?;
    Ok(true)
}
