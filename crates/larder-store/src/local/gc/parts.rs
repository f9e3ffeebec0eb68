//! Partial blobs that go: before any result, since what they hold can be fetched again.

use std::time::{Duration, UNIX_EPOCH};

use larder_core::Result;
use serde::Serialize;

use super::{GcOptions, Policy};
use crate::local::LocalStore;
use crate::local::partial::PartialEntry;

/// A partial blob that is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvictedPart {
    /// The digest of the whole blob.
    pub digest: String,
    /// When it was last used, in seconds since 1970.
    pub last_used: u64,
    /// What it takes on the disk.
    pub bytes: u64,
}

impl From<&PartialEntry> for EvictedPart {
    fn from(entry: &PartialEntry) -> Self {
        let last_used = entry.used.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { digest: entry.digest.to_string(), last_used, bytes: entry.allocated }
    }
}

impl LocalStore {
    /// The partial blobs that go from a store of `total` bytes.
    pub(super) fn choose_parts(&self, options: &GcOptions, total: u64) -> Result<Vec<PartialEntry>> {
        let mut entries = self.partial_blobs(None)?;
        if options.policy == Policy::LargestFirst {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.allocated));
        }
        let now = UNIX_EPOCH + Duration::from_secs(options.now);
        let mut left = total;
        entries.retain(|entry| {
            let age = now.duration_since(entry.used).unwrap_or_default();
            let is_old = options.older_than.is_some_and(|limit| age > limit);
            let is_over = options.to_size.is_some_and(|size| left > size);
            let goes = !entry.pinned && (is_old || is_over);
            left -= if goes { entry.allocated.min(left) } else { 0 };
            goes
        });
        Ok(entries)
    }

    /// Deletes what was planned, save for what was used or pinned since.
    pub(super) fn delete_parts(&self, planned: &[PartialEntry]) -> Result<u64> {
        if planned.is_empty() {
            return Ok(0);
        }
        let mut deleted = 0;
        for entry in self.partial_blobs(None)? {
            if !entry.pinned && planned.iter().any(|one| one.is_same_use(&entry)) {
                self.remove_partial_blob(&entry)?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}
