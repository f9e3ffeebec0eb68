//! What is in a store: counted and measured now, nothing estimated.

use std::fs;
use std::io;
use std::path::Path;

use larder_core::{Error, Result};
use serde::Serialize;

use super::LocalStore;
use crate::event::{DEFAULT_LIMIT, EventLog};
use crate::statistics::Statistics;

/// Bytes of the files in a store's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Packs, open ones included.
    pub packs: u64,
    /// Rows of blobs.
    pub blobs: u64,
    /// Whole files.
    pub whole: u64,
    /// Parts of blobs: what they take, not how long their files are.
    pub partial: u64,
    /// The index.
    pub index: u64,
    /// Event log, quarantine, temporary files, locks.
    pub other: u64,
}

impl Sizes {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.packs + self.blobs + self.whole + self.partial + self.index + self.other
    }
}

/// What is in a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreStats {
    /// Bytes on disk.
    pub physical_bytes: u64,
    /// Where they are.
    pub sizes: Sizes,
    /// Sizes of all blobs; each blob once for each namespace, its aliases in other digest functions not again.
    pub logical_bytes: u64,
    /// Bytes of the chunks in all packs, decompressed.
    pub chunk_bytes: u64,
    /// How many chunks there are.
    pub chunks: u64,
    /// Mean size of a chunk; nothing if there are none.
    pub mean_chunk_size: Option<f64>,
    /// How many packs there are.
    pub packs: u64,
    /// How many blobs there are.
    pub blobs: u64,
    /// How many blobs there are of which only parts are here.
    pub partial_blobs: u64,
    /// How many results there are.
    pub results: u64,
    /// Logical bytes for a byte of chunks: what is stored once instead of again.
    pub dedup_ratio: Option<f64>,
    /// Bytes of chunks for a byte in packs.
    pub compression_ratio: Option<f64>,
    /// The limit that applies when no other is configured.
    pub default_limit: u64,
}

fn stats_error(error: io::Error) -> Error {
    Error::from_io(error, "measure the store")
}

/// Bytes of all files below `folder`; what vanishes meanwhile counts as nothing. Links are not followed.
fn sum(folder: &Path, depth: u8) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() && depth > 0 => bytes += sum(&entry.path(), depth - 1)?,
            Ok(metadata) if metadata.is_file() => bytes += metadata.len(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

impl LocalStore {
    /// Bytes on disk by what they are for.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sizes(&self) -> io::Result<Sizes> {
        let mut sizes = Sizes {
            packs: sum(&self.home.join("packs"), 0)?,
            blobs: sum(&self.home.join("blobs"), 1)?,
            whole: sum(&self.home.join("whole"), 2)?,
            partial: self.measure_partial_blobs().map_err(io::Error::other)?.1,
            ..Sizes::default()
        };
        for folder in ["events", "quarantine", "tmp", "locks"] {
            sizes.other += sum(&self.home.join(folder), 1)?;
        }
        for entry in fs::read_dir(self.home.path())? {
            let entry = entry?;
            let length =
                entry.metadata().map_or(0, |metadata| if metadata.is_file() { metadata.len() } else { 0 });
            if entry.file_name().to_string_lossy().starts_with("index.db") {
                sizes.index += length;
            } else {
                sizes.other += length;
            }
        }
        Ok(sizes)
    }

    /// Counts and measures what is here.
    ///
    /// # Errors
    /// When the store or its index cannot be read.
    pub fn stats(&self) -> Result<StoreStats> {
        self.packs.refresh().map_err(stats_error)?;
        let (mut blobs, mut logical_bytes) = (0, 0);
        for (_, rows) in self.all_rows().map_err(stats_error)? {
            let mut seen: Vec<_> =
                rows.rows().into_iter().map(|(digest, root, _)| (root.chunk().hash, digest.size)).collect();
            seen.sort_unstable();
            seen.dedup();
            blobs += seen.len() as u64;
            logical_bytes += seen.iter().map(|(_, size)| size).sum::<u64>();
        }
        let (sealed, open) = (self.packs.sealed(), self.packs.open());
        let mut chunks = sealed.iter().map(|pack| pack.chunks()).sum::<u64>();
        let mut chunk_bytes = sealed.iter().map(|pack| pack.content_bytes()).sum::<u64>();
        for pack in &open {
            let rows = pack.rows();
            chunks += rows.len() as u64;
            chunk_bytes += rows.iter().map(|row| u64::from(row.length)).sum::<u64>();
        }
        let sizes = self.sizes().map_err(stats_error)?;
        let ratio = |of: u64, to: u64| (to > 0).then(|| of as f64 / to as f64);
        Ok(StoreStats {
            physical_bytes: sizes.total(),
            sizes,
            logical_bytes,
            chunk_bytes,
            chunks,
            mean_chunk_size: ratio(chunk_bytes, chunks),
            packs: (sealed.len() + open.len()) as u64,
            blobs,
            partial_blobs: self.measure_partial_blobs()?.0,
            results: self.index()?.result_totals()?.0,
            dedup_ratio: ratio(logical_bytes, chunk_bytes),
            compression_ratio: ratio(chunk_bytes, sizes.packs),
            default_limit: self.default_limit().map_err(stats_error)?,
        })
    }

    /// What the event log adds up to since `since_ms` (milliseconds since 1970).
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn event_statistics(&self, since_ms: u64) -> Result<Statistics> {
        Ok(EventLog::new(self.home.join("events"), DEFAULT_LIMIT).read(since_ms)?.collect())
    }
}
