//! A tier in an object store: packs and results. The layout is `docs/formats/bucket.md`.
//!
//! | file | what |
//! |---|---|
//! | [`names`] | names of objects |
//! | [`objects`] | requests: errors, limits of time, counts |
//! | [`stored`] | what a result object holds |
//! | [`fetch`] | content from packs into the store |
//! | [`publish`] | a result and its content into the bucket |
//!
//! Nothing in a bucket is ever changed in place, save the notes of recipes and results that proved bad. A pack's name is
//! the hash of its bytes. A result is written after its packs, so whoever finds it finds them; it is found by its key
//! alone: there is no index to download.
//!
//! Works from many machines at once with no server between. Two who publish one result write the same packs, and one of
//! the two results stays.

mod fetch;
mod names;
mod objects;
mod publish;
mod stored;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::chunk_list::Root;
use larder_core::{Digest, Hash, Result};
use larder_store::{ActionDigest, Store};
use object_store::ObjectStore;
use tokio::sync::{Mutex, OnceCell};

use crate::tier::{Offer, Publication, Receipt, Tier, Transfer};
use fetch::Content;
use names::Names;
pub use objects::Patience;
use objects::{Created, Objects};
use stored::{LARGEST, Stored};

/// How long marks are believed before they are read again. Far less than the time between mark and deletion.
const MARKS_FRESH: Duration = Duration::from_secs(600);

/// A tier in an object store.
#[derive(Clone, Debug)]
pub struct BucketTier {
    objects: Objects,
    identity: String,
    prefix: String,
    level: i32,
    creates: Arc<OnceCell<bool>>,
    marked: Arc<Mutex<Option<Marks>>>,
}

type Marks = (Instant, String, Arc<HashSet<Hash>>);

/// How a [`BucketTier`] is used.
#[derive(Clone, Debug)]
pub struct BucketOptions {
    /// What stands before all names.
    pub prefix: String,
    /// zstd level of packs; 0 stores raw.
    pub level: i32,
    /// How long answers are waited for.
    pub patience: Patience,
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self { prefix: String::new(), level: 3, patience: Patience::default() }
    }
}

impl BucketTier {
    /// A tier over `store`. `name` is the tier's in the configuration; `identity` tells the bucket from all others.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        name: &'static str,
        identity: &str,
        options: BucketOptions,
    ) -> Self {
        Self {
            objects: Objects::new(store, name, options.patience),
            identity: format!("{identity}#{}", options.prefix),
            prefix: options.prefix,
            level: options.level.clamp(0, 19),
            creates: Arc::default(),
            marked: Arc::default(),
        }
    }

    fn names(&self, namespace: &str) -> Names {
        Names::new(&self.prefix, namespace)
    }

    /// Whether the store truly refuses to create what is there. Tried once; some ignore the condition silently.
    async fn honours_create(&self) -> bool {
        *self
            .creates
            .get_or_init(|| async {
                let id = format!("{:016x}", rand_id());
                let path = self.names("probe").probe(&id);
                let tried = async {
                    let first = self.objects.create(&path, Bytes::from_static(b"1")).await?;
                    let second = self.objects.create(&path, Bytes::from_static(b"2")).await?;
                    Ok::<_, larder_core::Error>(first == Created::Yes && second == Created::Present)
                };
                let honours = tried.await.unwrap_or(false);
                if let Err(error) = self.objects.delete(&path).await {
                    tracing::debug!(%error, "an object for trying stays");
                }
                tracing::debug!(tier = self.objects.name(), honours, "conditional create");
                honours
            })
            .await
    }

    /// Packs that will be deleted.
    async fn marked(&self, names: &Names) -> Result<Arc<HashSet<Hash>>> {
        let mut marked = self.marked.lock().await;
        let folder = names.marked();
        if let Some((read, of, marks)) = &*marked
            && read.elapsed() < MARKS_FRESH
            && *of == folder.as_ref()
        {
            return Ok(marks.clone());
        }
        let found = self.objects.list(&folder).await?;
        let marks: Arc<HashSet<Hash>> =
            Arc::new(found.iter().filter_map(|object| names::pack_of(&object.location)).collect());
        *marked = Some((Instant::now(), folder.to_string(), marks.clone()));
        Ok(marks)
    }
}

fn rand_id() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[async_trait]
impl Tier for BucketTier {
    fn name(&self) -> &str {
        self.objects.name()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn moved(&self) -> Transfer {
        self.objects.moved()
    }

    async fn look_up(&self, namespace: &str, action: &ActionDigest) -> Result<Option<Box<dyn Offer>>> {
        let names = self.names(namespace);
        let Some(object) = self.objects.get(&names.result(action), LARGEST as u64).await? else {
            return Ok(None);
        };
        let Some(stored) = Stored::decode_object(&object) else {
            tracing::warn!(tier = self.objects.name(), %action, "a result object does not decode; it is a miss");
            return Ok(None);
        };
        Ok(Some(Box::new(BucketOffer { objects: self.objects.clone(), names, stored })))
    }

    async fn publish(&self, publication: &Publication<'_>) -> Result<Receipt> {
        publish::publish(self, publication).await
    }
}

/// A result object.
#[derive(Debug)]
struct BucketOffer {
    objects: Objects,
    names: Names,
    stored: Stored,
}

#[async_trait]
impl Offer for BucketOffer {
    fn envelope(&self) -> &Bytes {
        &self.stored.envelope
    }

    fn trees(&self) -> &[Bytes] {
        &self.stored.trees
    }

    async fn fetch(&self, store: &Store, needs: &[Digest], missing: &[Digest]) -> Result<Transfer> {
        let before = self.objects.moved();
        let roots: Vec<Root> = self.stored.roots(needs);
        Content::new(&self.objects, &self.names, &self.stored).bring(store, needs, &roots, missing).await?;
        let now = self.objects.moved();
        Ok(Transfer { requests: now.requests - before.requests, bytes: now.bytes - before.bytes })
    }
}
