//! What moved: of a tier since it was opened, and of one operation, since several run at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::tier::Transfer;

/// Counts requests and bytes. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    total: Arc<Moved>,
    here: Arc<Moved>,
}

#[derive(Debug, Default)]
struct Moved {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Moved {
    fn read(&self) -> Transfer {
        let (requests, bytes) = (self.requests.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        Transfer { requests, bytes }
    }
}

impl Meter {
    /// The same tier's, with a count of its own for one operation.
    pub(crate) fn apart(&self) -> Self {
        Self { total: self.total.clone(), here: Arc::default() }
    }

    /// Everything since the tier was opened.
    pub(crate) fn total(&self) -> Transfer {
        self.total.read()
    }

    /// Everything since this was set [apart](Self::apart).
    pub(crate) fn here(&self) -> Transfer {
        self.here.read()
    }

    /// One more request.
    pub(crate) fn request(&self) {
        for moved in [&self.total, &self.here] {
            moved.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So many bytes more.
    pub(crate) fn bytes(&self, bytes: usize) {
        for moved in [&self.total, &self.here] {
            moved.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Work on so many bytes, none of which moved: a sign of life of the tier, and nothing that an operation reports.
    pub(crate) fn work(&self, bytes: usize) {
        self.total.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
