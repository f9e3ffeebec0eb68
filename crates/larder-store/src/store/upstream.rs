//! What stands behind a store: asked when it has no result, told when it has one.
//!
//! The store knows no network. Who runs actions asks the store first, then the upstream, which brings what it finds into
//! the store, then the store again: so trust and completeness are judged in one place.

use std::fmt;

use crate::action::ActionDigest;

/// Remote tiers, as whoever runs actions sees them. Synchronous; may be called from several threads at once.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// Brings the result of `action` and all its content into the store. Never fails: what goes wrong is a miss.
    fn fetch(&self, action: &ActionDigest, label: &str) -> Fetched;

    /// Tells that the store has a result of `action`, made here or found. Returns at once; what tiers lack of it is
    /// sent in the background.
    fn offer(&self, action: &ActionDigest, label: &str);

    /// As [`offer`](Self::offer), of what takes the place of whatever tiers have.
    fn replace(&self, action: &ActionDigest, label: &str);

    /// Whether anything that is offered is sent.
    fn sends(&self) -> bool;
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The result is in the store now.
    Hit {
        /// The tier that had it.
        tier: &'static str,
        /// Bytes that were fetched.
        bytes: u64,
        /// Requests that it took.
        requests: u64,
    },
    /// No tier had a result that is believed and whole; why, if one had something.
    Miss(Option<String>),
}
