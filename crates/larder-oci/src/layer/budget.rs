//! How much a layer or an image may hold, and what is left of that: counted by entries, the same way wherever they come from.

use super::entry::Entry;
use super::fault::Fault;

/// How much a layer, or an image, may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files, holes counted.
    pub logical: u64,
    /// Bytes of names, targets, attributes and maps of sparse files: who opens an image holds them in memory. Headers that say nothing may have
    /// as many.
    pub metadata: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 4_000_000, logical: 1 << 40, metadata: 512 << 20 }
    }
}

/// What is left of [`Limits`].
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: Limits,
}

impl Budget {
    /// All of it is left.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { left: limits }
    }

    /// Takes an entry from what is left.
    ///
    /// # Errors
    /// When it is more than that.
    pub fn charge(&mut self, entry: &Entry) -> Result<(), Fault> {
        let Limits { entries, logical, metadata } = &mut self.left;
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let pieces = entry.content.sparse.as_ref().map_or(0, |pieces| pieces.len() * 16);
        let bytes = (entry.path.len() + entry.target.len() + xattrs + pieces) as u64;
        *entries = entries.checked_sub(1).ok_or(Fault::TooMany)?;
        *metadata = metadata.checked_sub(bytes).ok_or(Fault::TooMuchMetadata)?;
        *logical = logical.checked_sub(entry.size).ok_or(Fault::TooLarge)?;
        Ok(())
    }
}
