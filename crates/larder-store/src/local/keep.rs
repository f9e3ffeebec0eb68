//! What is kept from eviction by word of mouth: pins (a person's, until lifted) and leases (a running build's, for a while).
//!
//! A pin of a result keeps its blobs too. A lease of a namespace keeps everything of it; whoever holds one renews it
//! before half of its time is gone, and a process that dies leaves one that ends by itself.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Digest, Error, ErrorKind, Result};

use super::index::{Index, LeaseId, Pin, PinKind};
use super::{LocalStore, now_seconds};
use crate::envelope::digest_bytes;

/// A lease that is held; released when it is dropped.
#[derive(Debug)]
pub struct HeldLease {
    index: Arc<Index>,
    id: LeaseId,
    duration: Duration,
}

impl HeldLease {
    /// Lets the lease last its whole duration again from now.
    ///
    /// # Errors
    /// `NotFound` when it had run out and was cleared away: what it kept may be gone.
    pub fn renew(&self) -> Result<()> {
        if self.index.renew_lease(self.id, end(self.duration))? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, "renew a lease").with_message("the lease had run out"))
    }

    /// When to renew: after half of its duration.
    #[must_use]
    pub fn renew_after(&self) -> Duration {
        self.duration / 2
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        if let Err(error) = self.index.release_lease(self.id) {
            tracing::debug!(%error, "could not release a lease; it ends by itself");
        }
    }
}

fn end(duration: Duration) -> u64 {
    u64::from(now_seconds()).saturating_add(duration.as_secs().max(1))
}

impl LocalStore {
    fn pin(&self, namespace: &str, kind: PinKind, key: &[u8], who: &str, why: &str) -> Result<()> {
        self.index()?.pin(&Pin {
            namespace: namespace.to_owned(),
            kind,
            key: key.to_owned(),
            who: who.to_owned(),
            why: why.to_owned(),
            created: u64::from(now_seconds()),
        })
    }

    /// Keeps a result and all that it reaches until it is unpinned.
    ///
    /// # Errors
    /// As [`LocalStore::index`], and what writing to it answers; so for all methods here.
    pub fn pin_result(&self, namespace: &str, key: &[u8], who: &str, why: &str) -> Result<()> {
        self.pin(namespace, PinKind::Result, key, who, why)
    }

    /// Keeps a blob until it is unpinned.
    ///
    /// # Errors
    /// As [`LocalStore::pin_result`].
    pub fn pin_blob(&self, namespace: &str, digest: &Digest, who: &str, why: &str) -> Result<()> {
        self.pin(namespace, PinKind::Blob, &digest_bytes(digest), who, why)
    }

    /// Lifts the pin of a result; says whether there was one.
    ///
    /// # Errors
    /// As [`LocalStore::pin_result`].
    pub fn unpin_result(&self, namespace: &str, key: &[u8]) -> Result<bool> {
        self.index()?.unpin(namespace, PinKind::Result, key)
    }

    /// Lifts the pin of a blob; says whether there was one.
    ///
    /// # Errors
    /// As [`LocalStore::pin_result`].
    pub fn unpin_blob(&self, namespace: &str, digest: &Digest) -> Result<bool> {
        self.index()?.unpin(namespace, PinKind::Blob, &digest_bytes(digest))
    }

    /// Keeps everything of a namespace for `duration`, for a build that runs.
    ///
    /// # Errors
    /// As [`LocalStore::pin_result`].
    pub fn lease_namespace(&self, namespace: &str, duration: Duration) -> Result<HeldLease> {
        let index = self.index()?;
        let id = index.lease(namespace, None, end(duration))?;
        Ok(HeldLease { index, id, duration })
    }

    /// Keeps these blobs for `duration`.
    ///
    /// # Errors
    /// As [`LocalStore::pin_result`].
    pub fn lease_blobs(&self, namespace: &str, digests: &[Digest], duration: Duration) -> Result<HeldLease> {
        let index = self.index()?;
        let keys: Vec<[u8; 40]> = digests.iter().map(digest_bytes).collect();
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; 40]>::as_slice).collect();
        let id = index.lease(namespace, Some(&keys), end(duration))?;
        Ok(HeldLease { index, id, duration })
    }
}
