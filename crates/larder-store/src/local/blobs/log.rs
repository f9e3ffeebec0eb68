//! Blob rows that are being appended: `ID.rows`, a plain sequence of rows.
//!
//! As an open pack: its writer holds an `flock` on it; others read on at any time; when the lock is free anybody may turn
//! it into a sorted table. A torn last row is cut off; a row that is not sound is ignored when it is looked at.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use larder_core::{Digest, Hash};
use rustix::fs::{FlockOperation, flock};

use super::TAIL_MAGIC;
use super::row::BlobRow;
use crate::local::by_hash::ByHash;
use crate::local::poison;
use crate::local::table::{self, Row};

#[derive(Debug, Default)]
struct State {
    read: u64,
    rows: ByHash<BlobRow>,
}

/// A log as a reader sees it.
#[derive(Debug)]
pub(crate) struct RowLog {
    id: String,
    file: File,
    state: RwLock<State>,
}

impl RowLog {
    /// Opens the log of another writer.
    pub(crate) fn read(path: &Path, id: &str) -> io::Result<Self> {
        Ok(Self { id: id.to_owned(), file: File::open(path)?, state: RwLock::default() })
    }

    /// The log's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Takes in the rows that were appended since the last call.
    pub(crate) fn tail(&self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let mut state = self.state.write().unwrap_or_else(poison);
        let whole = size.saturating_sub(state.read) / BlobRow::SIZE as u64 * BlobRow::SIZE as u64;
        if whole == 0 {
            return Ok(());
        }
        let mut bytes = vec![0; whole as usize];
        self.file.read_exact_at(&mut bytes, state.read)?;
        for row in bytes.chunks_exact(BlobRow::SIZE).map(BlobRow::decode) {
            state.rows.insert(*row.key(), row);
        }
        state.read += whole;
        Ok(())
    }

    /// The row of `digest`, if it is here and sound.
    pub(crate) fn find(&self, hash: &Hash) -> Option<BlobRow> {
        self.state.read().unwrap_or_else(poison).rows.get(hash).copied()
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<BlobRow> {
        self.state.read().unwrap_or_else(poison).rows.values().copied().collect()
    }
}

/// Appends rows.
#[derive(Debug)]
pub(crate) struct RowWriter {
    log: Arc<RowLog>,
    path: PathBuf,
}

impl RowWriter {
    /// Creates a log, locked before it is named.
    pub(crate) fn create(folder: &Path, tmp: &Path, id: &str) -> io::Result<Self> {
        let (named, hidden) = (folder.join(format!("{id}.rows")), tmp.join(format!("{id}.rows")));
        let file = File::options().read(true).write(true).create_new(true).open(&hidden)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&hidden, &named)?;
        let log = Arc::new(RowLog { id: id.to_owned(), file, state: RwLock::default() });
        Ok(Self { log, path: named })
    }

    /// The log, for readers in this process.
    pub(crate) fn log(&self) -> &Arc<RowLog> {
        &self.log
    }

    /// Appends rows; visible to everybody when this returns.
    pub(crate) fn append(&self, rows: &[(Digest, BlobRow)]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(rows.len() * BlobRow::SIZE);
        rows.iter().for_each(|(_, row)| row.encode(&mut bytes));
        let mut state = self.log.state.write().unwrap_or_else(poison);
        if let Err(error) = self.log.file.write_all_at(&bytes, state.read) {
            self.log.file.set_len(state.read)?;
            return Err(error);
        }
        state.read += bytes.len() as u64;
        state.rows.extend(rows.iter().map(|(digest, row)| (digest.hash, *row)));
        Ok(())
    }

    /// How many rows were appended.
    pub(crate) fn rows(&self) -> u64 {
        self.log.state.read().unwrap_or_else(poison).read / BlobRow::SIZE as u64
    }

    /// Makes what was appended survive a loss of power.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.log.file.sync_data()
    }

    /// Turns the log into a table.
    pub(crate) fn seal(self) -> io::Result<()> {
        seal(&self.log, &self.path)
    }
}

fn seal(log: &RowLog, path: &Path) -> io::Result<()> {
    write_table(log.rows(), path, false)?;
    std::fs::remove_file(path)
}

/// Writes `rows` as the table that stands beside `path` under the same id; nothing if there are none.
pub(crate) fn write_table(mut rows: Vec<BlobRow>, path: &Path, sync: bool) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let bytes = table::encode(&mut rows, TAIL_MAGIC, 0, (0, 0), 0);
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&bytes)?;
    if sync {
        file.sync_all()?;
    }
    std::fs::rename(&new, path.with_extension("table"))
}

/// Seals a log whose writer is gone. Answers whether it did.
pub(crate) fn seal_abandoned(path: &Path, id: &str) -> io::Result<bool> {
    let log = match RowLog::read(path, id) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if flock(&log.file, FlockOperation::NonBlockingLockExclusive).is_err() || !path.exists() {
        return Ok(false);
    }
    log.tail()?;
    seal(&log, path)?;
    Ok(true)
}
