//! Larder's store as the store bench uses it: the only file of the bench that knows its API.
//!
//! Each function is called in a child process of its own, so that CPU and memory are those of the operation alone. Until
//! the library has the operation, [`UNAVAILABLE`] says so, and the figures list Larder as missing.

use std::path::Path;

use crate::Result;

/// Why Larder's rows are missing; `None` once the functions below do their work.
pub(crate) const UNAVAILABLE: Option<&str> = Some("larder: the library cannot ingest a folder yet");

/// Stores the tree `dir` under `name` in the store at `home`.
pub(crate) fn ingest(_home: &Path, _name: &str, _dir: &Path) -> Result<()> {
    Err(UNAVAILABLE.unwrap_or_default().into())
}

/// Restores the tree `name` into `dir`, which does not exist.
pub(crate) fn restore(_home: &Path, _name: &str, _dir: &Path) -> Result<()> {
    Err(UNAVAILABLE.unwrap_or_default().into())
}

/// Fills the store with `blobs` small blobs.
pub(crate) fn fill(_home: &Path, _blobs: u64) -> Result<()> {
    Err(UNAVAILABLE.unwrap_or_default().into())
}

/// Asks for 100,000 digests, half of them present; returns the seconds that one question took.
pub(crate) fn find_missing(_home: &Path, _blobs: u64) -> Result<f64> {
    Err(UNAVAILABLE.unwrap_or_default().into())
}

/// Reads 4 KiB blobs, verified; returns CPU microseconds per read.
pub(crate) fn read_4k(_home: &Path, _blobs: u64) -> Result<f64> {
    Err(UNAVAILABLE.unwrap_or_default().into())
}
