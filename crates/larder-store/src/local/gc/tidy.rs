//! What lies about in a store's folder and is of no use: notes about packs that are gone, old things in quarantine, and
//! temporary files and locks that dead processes left.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::local::{LocalStore, stale};

/// Bytes that quarantine may hold; the oldest files go first.
const QUARANTINE: u64 = 64 << 20;
/// Temporary files and locks are left alone when they are younger.
const STALE: Duration = Duration::from_secs(24 * 3600);

fn files(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => files.push((entry.path(), metadata)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn age(metadata: &Metadata, now: u64) -> Duration {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Duration::from_secs(now).saturating_sub(modified.unwrap_or_default())
}

/// Removes a file; one that is gone already is no error.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl LocalStore {
    /// Removes what is of no use at `now`, in seconds since 1970.
    pub(crate) fn tidy(&self, now: u64) -> io::Result<()> {
        let packs = self.home.join("packs");
        let mut kept = Vec::new();
        for (path, metadata) in files(&self.home.join("quarantine"))? {
            let pack = path.file_stem().map(|id| packs.join(id));
            let pack_is_here = pack.is_some_and(|pack| {
                pack.with_extension("pack").exists() || pack.with_extension("open").exists()
            });
            if path.extension().is_none_or(|ext| ext != "bad") {
                kept.push((path, metadata));
            } else if !pack_is_here {
                remove(&path)?;
            }
        }
        kept.sort_by_key(|(_, metadata)| age(metadata, now));
        let mut total = 0;
        for (path, metadata) in kept {
            total += metadata.len();
            if total > QUARANTINE {
                remove(&path)?;
            }
        }
        let is_old = |metadata: &Metadata| age(metadata, now) > STALE;
        for (path, metadata) in files(&self.home.join("tmp"))? {
            if is_old(&metadata) {
                stale::remove(&path, is_old)?;
            }
        }
        for (path, metadata) in files(&self.home.join("locks"))? {
            if is_old(&metadata) && path.file_name().is_some_and(|name| name != "gc") {
                stale::remove(&path, is_old)?;
            }
        }
        let expired = self.expire_partial_blobs(UNIX_EPOCH + Duration::from_secs(now));
        expired.map_err(io::Error::other)?;
        for namespace in self.namespaces_on_disk()? {
            for (path, metadata) in files(self.rows(&namespace).folder())? {
                if path.extension().is_some_and(|ext| ext == "new") && is_old(&metadata) {
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }
}
