//! What a place must do to hold packs and results.
//!
//! # Contract
//! 1. What `write_pack` and `write` have answered is there for every machine, whole.
//! 2. A pack is never changed. Its name tells it from all others of the namespace.
//! 3. `write` with `replace` off leaves what is there where the place can promise that; else the last writer wins.
//! 4. Nothing waits for ever: a place that does not answer is an error.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{DigestFunction, Hash, Result};
use larder_store::ActionDigest;

use super::collect::Sweep;
use super::seal::Seal;
use crate::tier::{Examination, Transfer};

/// Holds packs, results and notes. Counts what moves.
#[async_trait]
pub(crate) trait Shelf: fmt::Debug + Send + Sync {
    /// The tier's name in the configuration.
    fn name(&self) -> &'static str;

    /// What tells this place from any other for ever.
    fn identity(&self) -> String;

    /// What moved since it was opened.
    fn moved(&self) -> Transfer;

    /// What moved since it was set [apart](Self::apart).
    fn moved_here(&self) -> Transfer;

    /// The same place, with a count of its own.
    fn apart(&self) -> Arc<dyn Shelf>;

    /// Whether there is something at `place`.
    async fn presence(&self, place: &Place) -> Result<Presence>;

    /// What is at `place`, of at most [`super::stored::LARGEST`] bytes.
    async fn read(&self, place: &Place) -> Result<Option<Object>>;

    /// Puts a result or a note at `place`. `NotFound` when the place can tell that a pack that it names is gone.
    async fn write(&self, place: &Place, object: Bytes, about: &About<'_>) -> Result<Written>;

    /// Bytes of a pack, all of `range`.
    async fn read_pack(&self, namespace: &str, pack: &Hash, range: Range<u64>) -> Result<Bytes>;

    /// Keeps a pack; answers its name.
    async fn write_pack(&self, namespace: &str, bytes: Bytes) -> Result<Hash>;

    /// Packs that no new result may take over from an earlier one.
    async fn doomed(&self, namespace: &str) -> Result<Arc<HashSet<Hash>>>;

    /// Itself, if Larder deletes here; a place that deletes by rules of its own has none.
    fn sweep(&self) -> Option<&dyn Sweep>;

    /// As [`Tier::examine`](crate::Tier::examine).
    async fn examine(&self, namespace: &str) -> Examination;
}

/// Where a result or the note of a recipe lies. Its parts are hexadecimal, save the namespace, which shelves escape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Whose it is.
    pub(crate) namespace: String,
    /// What lies there.
    pub(crate) kind: Kind,
    /// `<function>-<64 hex>-<size>` of a result, `<32 hex>` of a note; of an encrypted tier `k-<64 hex>` and `<32 hex>`.
    pub(crate) name: String,
}

/// What was at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// All of it.
    pub(crate) bytes: Bytes,
    /// Whether who still uses it should write it anew; never, where that cannot be told.
    pub(crate) old: bool,
}

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A stored result.
    Result,
    /// The recent results of a recipe.
    Note,
}

/// What goes with an object.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    /// Packs that it names.
    pub(crate) packs: &'a [Hash],
    /// What it is of, for people and for tools that copy; nothing when that is nobody's business.
    pub(crate) of: Option<(&'a str, &'a ActionDigest)>,
    /// Take the place of what is there.
    pub(crate) replace: bool,
}

/// Whether something is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing.
    Absent,
    /// Yes.
    Present,
    /// Yes, and so long already that who still uses it should write it anew.
    Old,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is there now.
    Yes,
    /// Something was there, and stayed.
    Present,
}

impl Place {
    /// Of the result of `action`.
    pub(crate) fn result(namespace: &str, action: &ActionDigest, seal: Option<&Seal>) -> Self {
        let function = match action.function() {
            DigestFunction::Blake3 => "b3",
            _ => "sha256",
        };
        let plain = format!("{function}-{}-{}", action.0.hash.to_hex(), action.0.size);
        let name = seal.map_or(plain.clone(), |seal| format!("k-{}", seal.hide(&plain).to_hex()));
        Self { namespace: namespace.to_owned(), kind: Kind::Result, name }
    }

    /// Of the note of a recipe.
    pub(crate) fn note(namespace: &str, label: &str, seal: Option<&Seal>) -> Self {
        let hash = seal.map_or_else(|| Hash::blake3(label.as_bytes()), |seal| seal.hide(label));
        Self { namespace: namespace.to_owned(), kind: Kind::Note, name: hash.to_hex()[..32].to_owned() }
    }
}
