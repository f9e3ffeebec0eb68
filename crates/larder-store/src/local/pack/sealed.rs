//! A sealed pack: immutable, mapped for look-ups, read with `pread` for payloads (so that a large store's bytes do not
//! count as this process's memory).

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::RwLock;

use larder_core::Hash;

use super::frame::{DIRECTORY_ENTRY, FrameInfo};
use super::{ChunkRow, TAIL_MAGIC};
use crate::local::mapped::Mapped;
use crate::local::poison;
use crate::local::table::Table;

/// An immutable pack.
#[derive(Debug)]
pub(crate) struct SealedPack {
    id: String,
    file: File,
    table: Table,
    size: u64,
    bad: RwLock<HashSet<Hash>>,
}

impl SealedPack {
    /// Opens `packs/ID.pack`; `InvalidData` if its tail is not sound.
    pub(crate) fn open(path: &Path, id: &str, bad: HashSet<Hash>) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let map = if size == 0 { None } else { Some(Mapped::new(&file)?) };
        let table = map
            .and_then(|map| Table::new::<ChunkRow>(map, TAIL_MAGIC, DIRECTORY_ENTRY as u64))
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { id: id.to_owned(), file, table, size, bad: RwLock::new(bad) })
    }

    /// The pack's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Size of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of content in it, decompressed.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.table.tail().content_bytes
    }

    /// The file, for reading payloads.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where `hash` is, if it is here and not known to be bad.
    pub(crate) fn find(&self, hash: &Hash) -> Option<(FrameInfo, ChunkRow)> {
        let row = self.table.find(hash, |_: &ChunkRow| true)?;
        if self.bad.read().unwrap_or_else(poison).contains(hash) {
            return None;
        }
        Some((self.frame(row.frame)?, row))
    }

    /// The frame of this number, if there is one.
    pub(crate) fn frame(&self, number: u32) -> Option<FrameInfo> {
        let tail = self.table.tail();
        if number >= tail.directory_count {
            return None;
        }
        let at = tail.directory_offset as usize + number as usize * DIRECTORY_ENTRY;
        FrameInfo::decode(&self.table.bytes()[at..at + DIRECTORY_ENTRY])
    }

    /// How many frames there are.
    pub(crate) fn frames(&self) -> u32 {
        self.table.tail().directory_count
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> u64 {
        self.table.tail().rows
    }

    /// Whether this chunk is known to be bad here.
    pub(crate) fn is_bad(&self, hash: &Hash) -> bool {
        self.bad.read().unwrap_or_else(poison).contains(hash)
    }

    /// All rows, sorted by hash.
    pub(crate) fn rows(&self) -> impl Iterator<Item = ChunkRow> {
        self.table.rows()
    }

    /// Whether chunks of it were found to be bad.
    pub(crate) fn has_bad(&self) -> bool {
        !self.bad.read().unwrap_or_else(poison).is_empty()
    }

    /// Forgets a chunk whose bytes are not what they should be.
    pub(crate) fn mark_bad(&self, hash: Hash) {
        self.bad.write().unwrap_or_else(poison).insert(hash);
    }
}
