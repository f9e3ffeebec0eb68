//! A tier of packs and results, wherever these lie: what buckets, registries and archives have in common.
//!
//! | file | what |
//! |---|---|
//! | [`shelf`] | what a place must do to hold packs and results: [`Shelf`] |
//! | [`stored`] | what a stored result says: the sealed result, its trees, where its content lies |
//! | [`fetch`] | content from packs into the store |
//! | [`publish`] | a result and its content onto a shelf; what earlier results hold is not written again |
//! | [`packer`] | chunks into frames into packs |
//! | [`collect`] | deletion in two phases |
//! | [`seal`] | encryption on this side, so that whoever owns the place reads nothing |
//!
//! A result is written after its packs, so whoever finds it finds them; it is found by its key alone: there is no index
//! to download. Nothing is changed in place, save notes of recipes and results that proved bad.

pub mod collect;
mod fetch;
mod packer;
mod publish;
pub mod seal;
pub(crate) mod shelf;
pub(crate) mod stored;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::chunk_list::Root;
use larder_core::{Digest, Error, ErrorKind, Hash, Result};
use larder_store::{ActionDigest, Store};
use tokio::sync::Semaphore;

use crate::tier::{Examination, Offer, Publication, Receipt, Tier, Transfer, deletes_itself};
use collect::{CollectOptions, Collected};
use fetch::Content;
use seal::Seal;
use shelf::{Place, Shelf};
use stored::Stored;

/// Mebibytes of content that all who read a tier hold at once.
const ROOM: u32 = 20;

/// A tier of packs and results. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct PackedTier {
    shelf: Arc<dyn Shelf>,
    level: i32,
    seal: Option<Seal>,
    /// Mebibytes of content that may be in memory at once, whoever reads them.
    room: Arc<Semaphore>,
}

/// How packs are written.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// zstd level, 0 to 19; 0 stores raw.
    pub level: i32,
    /// Encrypts everything that is written, and reads nothing else.
    pub seal: Option<Seal>,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { level: 3, seal: None }
    }
}

impl PackedTier {
    /// A tier whose packs and results lie on `shelf`.
    pub(crate) fn new(shelf: Arc<dyn Shelf>, options: PackOptions) -> Self {
        Self {
            shelf,
            level: options.level.clamp(0, 19),
            seal: options.seal,
            room: Arc::new(Semaphore::new(ROOM as usize)),
        }
    }

    /// The same tier, with a count of its own for one operation: several run at once.
    fn apart(&self) -> Self {
        Self { shelf: self.shelf.apart(), ..self.clone() }
    }

    /// Where the result of an action lies.
    fn result_place(&self, namespace: &str, action: &ActionDigest) -> Place {
        Place::result(&self.shelved(namespace), action, self.seal.as_ref())
    }

    /// An object as it lies at `place`.
    fn sealed(&self, place: &Place, object: Vec<u8>) -> Bytes {
        match &self.seal {
            Some(seal) => seal.seal_object(place, &object).into(),
            None => object.into(),
        }
    }

    /// What a place may show of a result.
    fn shown<'a>(&self, label: &'a str, action: &'a ActionDigest) -> Option<(&'a str, &'a ActionDigest)> {
        self.seal.is_none().then_some((label, action))
    }

    /// Reads what is at `place`, decrypted.
    async fn stored(&self, place: &Place) -> Result<Option<Stored>> {
        let Some(object) = self.shelf.read(place).await? else { return Ok(None) };
        self.decode(place, &object.bytes).map(Some)
    }

    fn decode(&self, place: &Place, object: &[u8]) -> Result<Stored> {
        let wrong = |kind: ErrorKind, why: &'static str| {
            Error::new(kind, "read a result").with_message(why).with("tier", self.shelf.name())
        };
        let opened = self.seal.as_ref().map(|seal| seal.open_object(place, object));
        let plain = match &opened {
            Some(Some(plain)) => plain,
            Some(None) => {
                return Err(wrong(ErrorKind::Corrupt, "it cannot be decrypted with this tier's key"));
            }
            None => object,
        };
        if Stored::is_foreign(plain) {
            return Err(wrong(ErrorKind::Version, "it was written by a newer Larder"));
        }
        Stored::decode_object(plain).ok_or_else(|| wrong(ErrorKind::Corrupt, "it does not decode"))
    }

    /// Where a namespace lies on the shelf. What is encrypted lies apart, by its key: who lacks the key cannot know what is
    /// needed there, and deletes nothing there.
    fn shelved(&self, namespace: &str) -> String {
        match &self.seal {
            Some(seal) => format!("{namespace}/sealed-{}", seal.id()),
            None => namespace.to_owned(),
        }
    }
}

#[async_trait]
impl Tier for PackedTier {
    fn name(&self) -> &'static str {
        self.shelf.name()
    }

    fn identity(&self) -> String {
        match &self.seal {
            Some(seal) => format!("{}#{}", self.shelf.identity(), seal.id()),
            None => self.shelf.identity(),
        }
    }

    fn moved(&self) -> Transfer {
        self.shelf.moved()
    }

    async fn look_up(&self, namespace: &str, action: &ActionDigest) -> Result<Option<Box<dyn Offer>>> {
        let place = self.result_place(namespace, action);
        let Some(object) = self.shelf.read(&place).await? else { return Ok(None) };
        let stored = self.decode(&place, &object.bytes)?;
        let offer = PackedOffer { tier: self.apart(), namespace: place.namespace, stored, old: object.old };
        Ok(Some(Box::new(offer)))
    }

    async fn publish(&self, publication: &Publication<'_>) -> Result<Receipt> {
        publish::publish(&self.apart(), publication).await
    }

    async fn collect(&self, namespace: &str, options: &CollectOptions) -> Result<Collected> {
        match self.shelf.sweep() {
            Some(place) => self.sweep(place, &self.shelved(namespace), options).await,
            None => Err(deletes_itself(self.name())),
        }
    }

    async fn examine(&self, namespace: &str) -> Examination {
        self.shelf.examine(&self.shelved(namespace)).await
    }
}

/// What a stored result says of itself, for whoever looks into a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The recipe.
    pub label: String,
    /// Packs that hold its content.
    pub packs: Vec<Hash>,
    /// Frames of them that it names.
    pub frames: u64,
    /// Chunks in these.
    pub chunks: u64,
}

/// Reads the object of a result, which may come from anywhere; nothing if it is none, or encrypted.
#[must_use]
pub fn describe(object: &[u8]) -> Option<Described> {
    let stored = Stored::decode_object(object)?;
    let (mut frames, mut chunks) = (0, 0);
    stored.frames(&mut |_, prints| {
        frames += 1;
        chunks += prints.len() as u64;
    });
    Some(Described { packs: stored.pack_names(), label: stored.label, frames, chunks })
}

/// A stored result.
#[derive(Debug)]
struct PackedOffer {
    tier: PackedTier,
    /// As it is shelved.
    namespace: String,
    stored: Stored,
    old: bool,
}

#[async_trait]
impl Offer for PackedOffer {
    fn envelope(&self) -> &Bytes {
        &self.stored.envelope
    }

    fn trees(&self) -> &[Bytes] {
        &self.stored.trees
    }

    fn is_old(&self) -> bool {
        self.old
    }

    async fn fetch(&self, store: &Store, needs: &[Digest], missing: &[Digest]) -> Result<Transfer> {
        let roots: Vec<Root> = self.stored.roots(needs);
        let mut content = Content::new(&self.tier, &self.namespace, &self.stored);
        content.bring(store, needs, &roots, missing).await?;
        Ok(self.tier.shelf.moved_here())
    }
}
