//! Upkeep at the end of a run: cheap when nothing is to be done, and it never makes a run wait long.
//!
//! [`LocalStore::maintain`] adds up file sizes; above the limit it collects garbage down to 90 % of it. Where many short
//! runs left many small packs or tables, it merges them, so that a look-up asks few; it does that only if no writer is
//! at work at that moment.

use std::fs;
use std::io;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

use super::gc::{Copier, GcOptions, GcReport, sweep_lock};
use super::gc_lock::GcLock;
use super::{LocalStore, new_id};

/// The limit when none is configured, if the disk is large.
const LARGEST_DEFAULT: u64 = 50 << 30;
/// A pack below this is small.
const SMALL: u64 = 32 << 20;
/// So many small packs, or tables of a namespace, are left alone.
const MANY: usize = 16;
/// Bytes that one merge copies at most: it holds the lock meanwhile.
const MOST: u64 = 256 << 20;

/// What upkeep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// The collection, if one was needed and nobody else was at it.
    pub gc: Option<GcReport>,
    /// Packs that were merged into others.
    pub merged_packs: usize,
    /// Tables of rows that were merged into others.
    pub merged_tables: usize,
}

fn merge_error(error: io::Error) -> Error {
    Error::from_io(error, "merge packs")
}

impl LocalStore {
    /// A tenth of the disk, and at most 50 GiB.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn default_limit(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(self.home.path())?;
        Ok((disk.f_blocks.saturating_mul(disk.f_frsize) / 10).min(LARGEST_DEFAULT))
    }

    /// Keeps the store within `max_size` bytes (or the default limit), and in few files.
    ///
    /// # Errors
    /// When the store cannot be read or written. That others are at work is no error: they, or the next run, do it.
    pub fn maintain(&self, max_size: Option<u64>) -> Result<Maintained> {
        self.flush()?;
        let limit = match max_size {
            Some(limit) => limit,
            None => self.default_limit().map_err(merge_error)?,
        };
        let mut done = Maintained::default();
        if self.sizes().map_err(merge_error)?.total() > limit {
            let options = GcOptions {
                to_size: Some(limit / 10 * 9),
                patience: Duration::from_secs(2),
                ..GcOptions::default()
            };
            match self.gc(&options) {
                Ok(report) => done.gc = Some(report),
                Err(error) if error.kind() == ErrorKind::Busy => {}
                Err(error) => return Err(error),
            }
        }
        match self.merge_small() {
            Ok((packs, tables)) => (done.merged_packs, done.merged_tables) = (packs, tables),
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(error) => return Err(error),
        }
        Ok(done)
    }

    /// Merges small packs and tables where there are many. Answers how many of each went.
    ///
    /// # Errors
    /// `Busy` when writers or a collection are at work.
    pub fn merge_small(&self) -> Result<(usize, usize)> {
        self.packs.refresh().map_err(merge_error)?;
        let mut small = self.packs.sealed();
        small.retain(|pack| pack.size() < SMALL);
        let spaces = self.all_rows().map_err(merge_error)?;
        let many_tables = spaces.iter().any(|(_, rows)| rows.tables() > MANY);
        if small.len() <= MANY && !many_tables {
            return Ok((0, 0));
        }
        let _one = sweep_lock(self)?;
        let path = self.home.join("gc.lock");
        let busy = || Error::new(ErrorKind::Busy, "merge packs");
        let lock = GcLock::try_exclusive(&path).map_err(merge_error)?.ok_or_else(busy)?;
        lock.count_deletion().map_err(merge_error)?;
        let merged = self.merge_locked();
        lock.count_deletion().map_err(merge_error)?;
        drop(lock);
        self.refresh_all().map_err(merge_error)?;
        merged.map_err(merge_error)
    }

    fn merge_locked(&self) -> io::Result<(usize, usize)> {
        self.packs.refresh()?;
        let mut small = self.packs.sealed();
        small.retain(|pack| pack.size() < SMALL);
        let mut merged_packs = 0;
        if small.len() > MANY {
            let mut bytes = 0;
            small.sort_by_key(|pack| pack.size());
            small.retain(|pack| {
                bytes += pack.size();
                bytes <= MOST
            });
            let mut copier = Copier::new(self)?;
            let mut gone = Vec::new();
            for pack in small {
                // A chunk that is bad here may be whole elsewhere; what is bad is left to `verify` and GC.
                if !pack.has_bad() && copier.pack(&pack, &|_| true)? == 0 {
                    gone.push(pack);
                }
            }
            copier.finish()?;
            for pack in gone {
                fs::remove_file(self.home.join("packs").join(format!("{}.pack", pack.id())))?;
                merged_packs += 1;
            }
        }
        let mut merged_tables = 0;
        for (_, rows) in self.all_rows()? {
            if rows.tables() > MANY {
                merged_tables += rows.tables();
                rows.rewrite(&new_id(), |_| true)?;
            }
        }
        Ok((merged_packs, merged_tables))
    }
}
