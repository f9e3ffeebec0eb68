//! Garbage collection: what to evict is planned, can be looked at, and is then done.
//!
//! | file | what |
//! |---|---|
//! | [`reach`] | which blobs a result, a root or a manifest needs |
//! | [`mark`] | which chunks blobs need, and what they cost on disk |
//! | [`plan`] | what is kept, in order of use, until the budget is full |
//! | [`parts`] | partial blobs, which go before anything else |
//! | [`sweep`] | deletion, under the lock |
//! | [`copy`] | live chunks of packs that go, copied into new ones |
//! | [`tidy`] | what else lies about: bad-chunk notes, quarantine, old temporary files and locks |
//!
//! # What is kept whatever the budget says
//! Pinned results and blobs, what roots name, what leases hold, blobs whose row is younger than [`GcOptions::grace`],
//! and rows that another process is still appending to. Then results and blobs that no result reaches, by time of use;
//! what one adds beyond the newer ones is what evicting it frees. The first that does not fit ends it: of the older
//! ones only those stay that cost nothing more. Partial blobs that are not pinned go before all of that, as many as bring the folder to its size:
//! what they hold can be fetched again, and who has one open reads on.
//!
//! # Concurrency
//! One GC at a time (`locks/gc`). Planning and copying go on beside readers and writers. Deletion holds the GC lock
//! exclusively, so no writer is at work; it looks again at what came since the plan, and lets live whatever that needs.
//! Readers go on with the files that they have open, and look again when a chunk is gone.
//!
//! # A kill at any moment
//! Results go first, then rows, then packs; a copy is sealed before what it replaces is unlinked. So whatever is found
//! afterwards can be read; what was doomed and not yet deleted is doomed again next time.

mod copy;
mod mark;
mod parts;
mod plan;
mod reach;
mod sweep;
mod tidy;

use std::time::Duration;

use larder_core::Result;
use serde::Serialize;

pub(crate) use copy::Copier;
pub(crate) use mark::{Added, Marker};
pub use parts::EvictedPart;
pub use plan::{EvictedResult, GcPlan, PackAction, PlannedPack};
pub(crate) use reach::{Reach, candidates};
pub(crate) use sweep::only_one as sweep_lock;

use super::LocalStore;

/// What is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// What was not used for the longest time.
    #[default]
    Lru,
    /// What is largest.
    LargestFirst,
}

/// What GC should reach.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// At most so many bytes on disk, everything in the store's folder counted. Nothing: no limit.
    pub to_size: Option<u64>,
    /// Evict what was not used for so long, even if there is room.
    pub older_than: Option<Duration>,
    /// In which order.
    pub policy: Policy,
    /// Blobs that were written or renewed in this time stay: a client was told that they are here.
    pub grace: Duration,
    /// The present, in seconds since 1970.
    pub now: u64,
    /// How long to wait for a moment in which no writer is at work.
    pub patience: Duration,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            to_size: None,
            older_than: None,
            policy: Policy::Lru,
            grace: Duration::from_secs(3600),
            now: u64::from(super::now_seconds()),
            patience: Duration::from_secs(30),
        }
    }
}

/// What GC did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Bytes in the store's folder before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Results evicted, those included whose blobs were gone.
    pub results: u64,
    /// Rows of blobs removed.
    pub blobs: u64,
    /// Packs unlinked, those included that were replaced.
    pub packs_removed: u64,
    /// Partial blobs removed.
    pub partial_blobs: u64,
    /// Bytes of chunks that were copied out of packs.
    pub bytes_copied: u64,
}

impl LocalStore {
    /// Plans and runs a collection.
    ///
    /// # Errors
    /// As [`LocalStore::plan_gc`] and [`LocalStore::run_gc`].
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        self.run_gc(self.plan_gc(options)?)
    }
}
