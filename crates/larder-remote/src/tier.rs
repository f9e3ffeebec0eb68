//! What a remote tier does.
//!
//! A tier is asked for results, not for blobs: a bucket has no index of blobs that could be asked. Whoever has a result
//! (an [`Offer`]) knows from it where its content lies.
//!
//! # Contract
//! 1. `look_up` answers what was published under the key, or nothing. It judges nothing.
//! 2. [`Offer::fetch`] brings the blobs it was asked for into the store, or fails; blobs become visible there one by
//!    one, each hashed whole before.
//! 3. `publish` answers `Ok` only when another machine can find the result and all its content.
//! 4. Whatever is dropped or killed in the middle leaves nothing visible that is not whole.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Digest, Error, ErrorKind, Result};
use larder_store::{ActionDigest, Store};

use crate::packed::collect::{CollectOptions, Collected};

/// A place where results are shared.
#[async_trait]
pub trait Tier: fmt::Debug + Send + Sync {
    /// Its name in the configuration and in events: `s3`, `dir`.
    fn name(&self) -> &'static str;

    /// What tells this tier from any other for ever: what was uploaded is remembered under it.
    fn identity(&self) -> String;

    /// What moved since it was opened: a sign of life, for those whose one publication can take long. A tier that cannot
    /// tell says nothing.
    fn moved(&self) -> Transfer {
        Transfer::default()
    }

    /// What was published for `action` in `namespace`.
    ///
    /// # Errors
    /// `Unavailable`, `Permission` and others when it could not be asked; `Corrupt` when what is there does not decode,
    /// `Version` when only a newer Larder could decode it.
    async fn look_up(&self, namespace: &str, action: &ActionDigest) -> Result<Option<Box<dyn Offer>>>;

    /// Publishes a result, its content first.
    ///
    /// # Errors
    /// `Unavailable`, `Permission`, `Full` and others; `NotFound` when content is gone from the store meanwhile.
    async fn publish(&self, publication: &Publication<'_>) -> Result<Receipt>;

    /// Deletes old results, and content that no result names any more, in two phases. Tiers that do not say how delete
    /// by rules of their own.
    ///
    /// # Errors
    /// `Invalid` when the tier deletes by rules of its own; `Permission` and others.
    async fn collect(&self, namespace: &str, options: &CollectOptions) -> Result<Collected> {
        let _ = (namespace, options);
        Err(deletes_itself(self.name()))
    }

    /// Tries what a tier is used for, with objects of its own that it takes away again where it can. Tiers that do not
    /// say how try nothing.
    async fn examine(&self, namespace: &str) -> Examination {
        let _ = namespace;
        Examination::default()
    }
}

/// What came of trying a tier. What was not tried, or cannot be told, is `None`.
#[derive(Debug, Default)]
pub struct Examination {
    /// Looking up what is not there, several times: how long each took.
    pub look_up: Option<Result<Vec<Duration>>>,
    /// Writing content.
    pub write: Option<Result<Rate>>,
    /// Reading what was written.
    pub read: Option<Result<Rate>>,
    /// Listing, which only deletion needs.
    pub list: Option<Result<()>>,
    /// Taking away what was written.
    pub delete: Option<Result<()>>,
    /// Whether it truly refuses to create what is there.
    pub creates: Option<bool>,
    /// Milliseconds that its clock is ahead of this machine's.
    pub clock_ahead: Option<i64>,
}

impl Examination {
    /// What failed, in the order in which it was tried.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &Error)> {
        [
            ("look-up", self.look_up.as_ref().and_then(|tried| tried.as_ref().err())),
            ("write", self.write.as_ref().and_then(|tried| tried.as_ref().err())),
            ("read", self.read.as_ref().and_then(|tried| tried.as_ref().err())),
            ("list", self.list.as_ref().and_then(|tried| tried.as_ref().err())),
            ("delete", self.delete.as_ref().and_then(|tried| tried.as_ref().err())),
        ]
        .into_iter()
        .filter_map(|(name, error)| Some((name, error?)))
    }
}

/// How quickly bytes moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes.
    pub bytes: u64,
    /// In this time.
    pub took: Duration,
}

impl Rate {
    /// Bytes a second.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        let micros = self.took.as_micros().max(1);
        u64::try_from(u128::from(self.bytes) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}

/// How many look-ups are tried, and how much is written and read.
pub(crate) const TRIES: usize = 5;
pub(crate) const TRIED_BYTES: usize = 4 << 20;

/// The error of a tier in which Larder deletes nothing.
pub(crate) fn deletes_itself(tier: &str) -> Error {
    Error::new(ErrorKind::Invalid, "collect")
        .with_message("this tier deletes by rules of its own")
        .with("tier", tier)
        .with_hint("set how long it keeps what is not used in the registry or server itself")
}

/// A result that a tier has, before anything of it is believed.
#[async_trait]
pub trait Offer: fmt::Debug + Send + Sync {
    /// The sealed result.
    fn envelope(&self) -> &Bytes;

    /// The `Tree` messages that came with the result, encoded: those of [`Publication::trees`]. A result that names a tree
    /// that is neither here nor in the store is a miss.
    fn trees(&self) -> &[Bytes];

    /// Whether it was written so long ago that who uses it should publish it again.
    fn is_old(&self) -> bool {
        false
    }

    /// Brings `missing` into the store. `needs` is all that the result names, in the order of
    /// [`larder_store::action::needs`].
    ///
    /// # Errors
    /// `NotFound` when the tier lacks content, `Corrupt` when it has other content; as [`Tier::look_up`]; what the store
    /// fails with.
    async fn fetch(&self, store: &Store, needs: &[Digest], missing: &[Digest]) -> Result<Transfer>;
}

/// What moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Requests that were made.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

impl Transfer {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
    }
}

/// A result to publish.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// Where its content is; also names the namespace.
    pub store: &'a Store,
    /// Its key.
    pub action: &'a ActionDigest,
    /// The sealed result, as it will come back.
    pub envelope: &'a Bytes,
    /// All that it names, in the order of [`larder_store::action::needs`].
    pub needs: &'a [Digest],
    /// Its `Tree` messages, encoded, in their order.
    pub trees: &'a [Bytes],
    /// The recipe, so that the next result of it is cut against this one.
    pub label: &'a str,
    /// Replace what is there: it proved bad.
    pub replace: bool,
}

/// What a publication did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// What moved.
    pub sent: Transfer,
    /// A result was there already, and stayed.
    pub present: bool,
}

/// Bytes that nobody can compress, the same for the same seed.
pub(crate) fn noise(length: usize, seed: u64) -> bytes::Bytes {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect::<Vec<u8>>().into()
}
