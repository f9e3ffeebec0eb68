//! The store's seam: what a backend does, and what a wrapper wraps.
//!
//! | trait | what |
//! |---|---|
//! | [`BlobStore`] | blobs by digest: asked, read, written, uploaded |
//! | [`Upload`] | a blob that arrives in pieces, whose digest is learnt last |
//! | [`ActionCache`] | key → bytes, with conditions; [`ActionCacheExt`] is the typed view of action results |
//! | [`Sweep`] | listing and deleting, for backends that can |
//! | [`Leases`], [`Lease`] | keeping content for a while |
//!
//! # The contract
//! Four sentences, which the conformance suite of `larder-testing` asks of every backend and wrapper:
//! 1. The callee verifies the digest before the blob becomes visible.
//! 2. The empty blob always exists.
//! 3. Writing a present blob succeeds and moves nothing.
//! 4. `read` never passes off short or wrong bytes as success.
//!
//! # Shape
//! Every method is required, and takes batches where a remote could answer many at once. A backend is bound to one
//! namespace when it is made, and shows nothing of another. The traits are object safe; callers hold `Arc<dyn …>`.
//! Batches fail as a whole only when nothing could be asked; otherwise every item has its own result.
//!
//! # Concurrency
//! All methods may be called at once, from any thread. Futures do their work only while they are polled; dropping one
//! cancels it, and what it had not finished is not visible. Local backends block the thread for the time of disk
//! access: callers with a runtime use its threads for blocking work.

mod source;

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};
use larder_core::{Chunk, ChunkerParams, Digest, Error, ErrorKind, Result};
use larder_reapi::{ActionResult, Message};

use crate::action::{ActionDigest, signed_name};
use crate::envelope::{self, Context, Rejected};
use crate::local::now_seconds;
use crate::trust::{Place, Signer, Trust};

pub use crate::local::index::{Condition, Origin, Outcome, payload_hash};
pub use source::BlobSource;

/// The bytes of a blob as they come. They are the blob's only once the stream ended without an error.
pub type Pieces = BoxStream<'static, Result<Bytes>>;

/// Which backend it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The kind of backend or the tier's name, as events tell it: `local`, `memory`, `s3`.
    pub name: String,
    /// The namespace that it is bound to.
    pub namespace: String,
}

/// What a backend can do, so that callers choose well; everything works either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Calls go over a network: batches and few requests matter.
    pub remote: bool,
    /// [`BlobStore::chunks`] answers, and [`BlobStore::put_chunks`] asks only for chunks that it lacks.
    pub chunked: bool,
    /// Ranges are read without reading the rest.
    pub ranges: bool,
    /// How many items one batch holds at most; larger ones are refused as `Invalid`.
    pub batch: usize,
    /// How many bytes [`BlobStore::read_many`] gives for one blob at most; larger ones are refused as `Invalid`.
    pub small: u64,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The bytes of content that were taken from the source; nothing when the blob was present.
    pub moved: u64,
}

/// A part of a blob's chunk list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkPage {
    /// How the blob was cut.
    pub params: ChunkerParams,
    /// The offset in the blob of the first chunk here.
    pub offset: u64,
    /// The chunks, in order, without gaps.
    pub chunks: Vec<Chunk>,
    /// The offset of the first chunk of the next page; nothing at the end.
    pub next: Option<u64>,
}

/// Gives the bytes of chunks to [`BlobStore::put_chunks`], as often as it is asked.
#[async_trait]
pub trait ChunkSource: Send + Sync {
    /// The bytes of `chunk`; the callee verifies them.
    ///
    /// # Errors
    /// `NotFound` if this source does not have it, and whatever it fails with.
    async fn chunk(&self, chunk: &Chunk) -> Result<Bytes>;
}

/// Blobs by digest. See the [module](self) for the contract.
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Which backend it is.
    fn info(&self) -> Info;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Those of `digests` that are not here, in their order; one that is asked for twice is answered twice. What is not
    /// answered can be read whole.
    ///
    /// # Errors
    /// `Invalid` for a batch that is too large, `Unavailable` or `Io` when nothing could be asked.
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>>;

    /// The bytes `range` of a blob.
    ///
    /// # Errors
    /// At once or in the stream: `NotFound`, `Corrupt` when what lies here is not the blob, `Invalid` if the range is
    /// not inside the blob, `Unavailable` or `Io`. A stream that had an error has ended.
    async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Pieces>;

    /// Small blobs, whole and verified, each with its own result, in the order of `digests`.
    ///
    /// # Errors
    /// `Invalid` for a batch that is too large, `Unavailable` or `Io` when nothing could be asked; per blob as
    /// [`BlobStore::read`], and `Invalid` for one that is not small.
    async fn read_many(&self, digests: &[Digest]) -> Result<Vec<Result<Bytes>>>;

    /// Writes blobs, each with its own result, in the order of `blobs`. What is `Ok` is visible and acknowledged.
    ///
    /// # Errors
    /// `Invalid` for a batch that is too large, `Full`, `ReadOnly`, `Unavailable` or `Io` when nothing could be written;
    /// per blob `Invalid` if the source is not what the digest says, and what the source fails with.
    async fn write_many(&self, blobs: &[(Digest, BlobSource)]) -> Result<Vec<Result<Written>>>;

    /// The chunks of a blob from the chunk that holds `offset` on; nothing if it is not kept in chunks.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Invalid` if `offset` is beyond the blob, `Unavailable` or `Io`.
    async fn chunks(&self, digest: &Digest, offset: u64) -> Result<Option<ChunkPage>>;

    /// Writes a blob that is `chunks`, one after the other, asking `source` only for what is not here.
    ///
    /// The caller vouches that it may have the content: chunks that other namespaces brought are used. A server must
    /// not offer this to clients who only know hashes.
    ///
    /// # Errors
    /// `Invalid` if the chunks are not the blob, and as [`BlobStore::write_many`].
    async fn put_chunks(
        &self,
        digest: &Digest,
        chunks: &[Chunk],
        source: &dyn ChunkSource,
    ) -> Result<Written>;

    /// Begins a blob whose digest is not known yet.
    ///
    /// # Errors
    /// `Full` when too many uploads are open, `ReadOnly`, `Unavailable` or `Io`.
    async fn begin_upload(&self) -> Result<Box<dyn Upload>>;

    /// Goes on with an upload that was dropped, here or in another process.
    ///
    /// # Errors
    /// `NotFound` when there is none of that id in this namespace, or it expired or was committed; `Busy` when somebody
    /// holds it; `Invalid` when `id` cannot be one.
    async fn resume_upload(&self, id: &str) -> Result<Box<dyn Upload>>;
}

/// A blob that arrives in pieces. Dropped, it can be resumed by its id until it expires.
#[async_trait]
pub trait Upload: fmt::Debug + Send + Sync {
    /// Its id.
    fn id(&self) -> &str;

    /// How many bytes were taken.
    fn offset(&self) -> u64;

    /// Takes `bytes`, which begin at `offset`.
    ///
    /// # Errors
    /// `Invalid` unless `offset` is [`Upload::offset`], which is unchanged then; `Full`, `Io`.
    async fn append(&mut self, offset: u64, bytes: Bytes) -> Result<()>;

    /// Makes what was taken visible as `digest`.
    ///
    /// # Errors
    /// `Invalid` when it is another content: then the upload is gone and nothing is visible. `Full`, `Io`.
    async fn commit(self: Box<Self>, digest: &Digest) -> Result<Written>;

    /// Forgets what was taken.
    ///
    /// # Errors
    /// `Io`.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// An entry of the action cache that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes as they were written.
    pub payload: Bytes,
    /// Where they lie, which their trust is judged by.
    pub place: Place,
}

/// An entry to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The key.
    pub key: Vec<u8>,
    /// The bytes, which come back as they are.
    pub payload: Bytes,
    /// Where they come from.
    pub origin: Origin,
}

/// Key → bytes, with conditions. Whether the bytes are believed is not judged here.
#[async_trait]
pub trait ActionCache: fmt::Debug + Send + Sync {
    /// Which backend it is.
    fn info(&self) -> Info;

    /// The entries of `keys`, in their order.
    ///
    /// # Errors
    /// `Unavailable` or `Io` when it could not be asked. A damaged entry is nothing.
    async fn get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>>;

    /// Writes entries, each if `condition` holds for it: of two who create the same key at once, one is refused.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Unavailable` or `Io`; `Invalid` for an entry that is too large.
    async fn put(&self, entries: &[NewEntry], condition: Condition) -> Result<Vec<Outcome>>;

    /// Deletes entries; says how many were there.
    ///
    /// # Errors
    /// As [`ActionCache::put`].
    async fn remove(&self, keys: &[&[u8]]) -> Result<usize>;
}

/// Action results over an [`ActionCache`]: sealed and judged.
#[async_trait]
pub trait ActionCacheExt: ActionCache {
    /// The result of `action` if there is one, or why it is not believed. Its blobs are not asked for.
    ///
    /// # Errors
    /// As [`ActionCache::get`]; `Corrupt` for a believed envelope that holds no result.
    async fn get_result(
        &self,
        action: &ActionDigest,
        trust: &Trust,
    ) -> Result<Option<Result<ActionResult, Rejected>>> {
        let key = action.key();
        let Some(entry) = self.get(&[&key]).await?.pop().flatten() else { return Ok(None) };
        let info = self.info();
        let context = Context {
            namespace: &info.namespace,
            function: signed_name(action.function()),
            action_digest: &key,
        };
        let now = u64::from(now_seconds());
        match envelope::open(&entry.payload, &context, trust, entry.place, now) {
            Err(rejected) => Ok(Some(Err(rejected))),
            Ok(opened) => {
                let result = ActionResult::decode(opened.payload).map_err(|error| {
                    Error::new(ErrorKind::Corrupt, "read an action result")
                        .with("action", action)
                        .caused_by(error)
                })?;
                Ok(Some(Ok(result)))
            }
        }
    }

    /// Records the result of `action` as made here, sealed by `signer`.
    ///
    /// # Errors
    /// As [`ActionCache::put`].
    async fn put_result(
        &self,
        action: &ActionDigest,
        result: &ActionResult,
        signer: &Signer,
        condition: Condition,
    ) -> Result<Outcome> {
        let key = action.key();
        let info = self.info();
        let context = Context {
            namespace: &info.namespace,
            function: signed_name(action.function()),
            action_digest: &key,
        };
        let payload =
            envelope::seal(signer, &context, &result.encode_to_vec(), u64::from(now_seconds()))?.into();
        let entry = NewEntry { key: key.to_vec(), payload, origin: Origin::Built };
        Ok(self.put(&[entry], condition).await?.pop().unwrap_or(Outcome::Refused))
    }
}

impl<T: ActionCache + ?Sized> ActionCacheExt for T {}

/// A blob as [`Sweep::list`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Its digest.
    pub digest: Digest,
    /// When it was written or last renewed, in seconds since 1970.
    pub time: u64,
}

/// Listing and deleting, for backends that can.
#[async_trait]
pub trait Sweep: fmt::Debug + Send + Sync {
    /// At most `limit` blobs of the namespace that come after `after`, in the order of digests.
    ///
    /// # Errors
    /// `Unavailable` or `Io`.
    async fn list(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<Swept>>;

    /// Deletes blobs, save those that a lease keeps; says how many went. One that is not there is no error.
    ///
    /// # Errors
    /// `ReadOnly`, `Unavailable` or `Io`.
    async fn delete(&self, digests: &[Digest]) -> Result<usize>;
}

/// Keeping content for a while.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync {
    /// Keeps `digests` from eviction for `seconds`, whether they are here yet or not.
    ///
    /// # Errors
    /// `ReadOnly`, `Full`, `Unavailable` or `Io`.
    async fn lease(&self, digests: &[Digest], seconds: u64) -> Result<Box<dyn Lease>>;
}

/// A lease that is held. Dropped, it ends at its time.
#[async_trait]
pub trait Lease: fmt::Debug + Send + Sync {
    /// Makes it last `seconds` from now; false when it had ended, so that what it kept may be gone.
    ///
    /// # Errors
    /// `ReadOnly`, `Full`, `Unavailable` or `Io`.
    async fn renew(&mut self, seconds: u64) -> Result<bool>;

    /// Ends it.
    ///
    /// # Errors
    /// As [`Lease::renew`].
    async fn release(self: Box<Self>) -> Result<()>;
}

/// A whole blob in memory, at most `limit` bytes. Checks length and hash.
///
/// # Errors
/// As [`BlobStore::read`]; `Invalid` if the blob is larger than `limit`, `Corrupt` if it is not what its digest says.
pub async fn read_whole(store: &dyn BlobStore, digest: &Digest, limit: u64) -> Result<Bytes> {
    if digest.size > limit {
        return Err(Error::new(ErrorKind::Invalid, "read a blob")
            .with_message(format!("larger than {limit} bytes"))
            .with("digest", digest));
    }
    let mut pieces = store.read(digest, 0..digest.size).await?;
    let mut out = Vec::new();
    while let Some(piece) = pieces.try_next().await? {
        out.extend_from_slice(&piece);
        if out.len() as u64 > digest.size {
            break;
        }
    }
    if digest.function.digest(&out) != *digest {
        return Err(corrupt(digest));
    }
    Ok(out.into())
}

pub(crate) fn corrupt(digest: &Digest) -> Error {
    Error::new(ErrorKind::Corrupt, "read a blob")
        .with_message("the content is not what its digest says")
        .with("digest", digest)
}

pub(crate) fn not_found(digest: &Digest) -> Error {
    Error::new(ErrorKind::NotFound, "read a blob").with("digest", digest)
}

pub(crate) fn wrong_content(digest: &Digest, found: &Digest) -> Error {
    Error::new(ErrorKind::Invalid, "write a blob")
        .with_message("the content is not what its digest says")
        .with("digest", digest)
        .with("found", found)
}

/// Refuses what does not make sense for every backend alike.
pub(crate) fn check_range(digest: &Digest, range: &Range<u64>) -> Result<()> {
    if range.start <= range.end && range.end <= digest.size {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "read a blob")
        .with_message("the range ends beyond the blob")
        .with("digest", digest))
}

pub(crate) fn wrong_offset(expected: u64, given: u64) -> Error {
    Error::new(ErrorKind::Invalid, "append to an upload")
        .with_message("the bytes do not begin where the upload stands")
        .with("offset", given)
        .with("expected", expected)
}
