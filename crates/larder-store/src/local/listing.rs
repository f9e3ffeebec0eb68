//! Lists a folder in which other processes replace files by others.
//!
//! A file that is there all the time is always listed; but where one is made and then another removed (a log becomes a
//! table, a pack its compacted copy), a single pass over the folder may see neither. Whatever happened before a
//! pass ended is seen by the next one; so two passes that agree have missed nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Passes at most; only a folder that changes without a pause needs more, and then another look comes soon.
pub(crate) const PASSES: usize = 50;

fn pass(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    Ok(paths)
}

/// The files of `folder`, sorted; none if there is no folder.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut before = pass(folder)?;
    for _ in 0..PASSES {
        let after = pass(folder)?;
        if after == before {
            return Ok(after);
        }
        before = after;
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "the folder changes all the time"))
}

/// What `open` answers; nothing when the file is gone, so that the caller lists again.
pub(crate) fn unless_gone<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
