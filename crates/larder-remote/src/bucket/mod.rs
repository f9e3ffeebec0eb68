//! A shelf in an object store. The layout is `docs/formats/bucket.md`.
//!
//! | file | what |
//! |---|---|
//! | [`names`] | names of objects |
//! | [`objects`] | requests: limits of time, counts |
//! | [`sweep`] | listing and deleting |
//! | [`examine`] | trying what the bucket and its rights allow |
//! | [`errors`] | what their failures mean, and what to do |
//!
//! Works from many machines at once with no server between. Two who publish one result write the same packs, whose name is
//! the hash of their bytes, and one of the two results stays.

pub(crate) mod errors;
mod examine;
mod names;
mod objects;
mod sweep;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Error, ErrorKind, Hash, Result};
use object_store::ObjectStore;
use tokio::sync::{Mutex, OnceCell};

use crate::connection::Patience;
use crate::packed::collect::Sweep;
use crate::packed::shelf::{About, Kind, Object, Place, Presence, Shelf, Written};
use crate::packed::stored::LARGEST;
use crate::packed::{PackOptions, PackedTier};
use crate::tier::{Examination, Transfer};
use errors::Speaker;
use names::Names;
use objects::Objects;

/// How long marks are believed before they are read again. Far less than the time between mark and deletion.
const MARKS_FRESH: Duration = Duration::from_secs(600);
/// A result that is in use is written anew when it is older, so that its age says when it was last used.
const OLD: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes of the note of a recipe at most.
const LARGEST_NOTE: u64 = 4096;

/// How a bucket is used.
#[derive(Clone, Debug, Default)]
pub struct BucketOptions {
    /// What stands before all names.
    pub prefix: String,
    /// How packs are written.
    pub packs: PackOptions,
    /// How long answers are waited for.
    pub patience: Patience,
    /// What to do when nobody answers.
    pub silent: Option<&'static str>,
}

/// A tier over `store`. `name` is the tier's in the configuration; `identity` tells the bucket from all others.
#[must_use]
pub fn tier(
    store: Arc<dyn ObjectStore>,
    name: &'static str,
    identity: &str,
    options: BucketOptions,
) -> PackedTier {
    let bucket = Bucket {
        objects: Objects::new(store, Speaker { tier: name, silent: options.silent }, options.patience),
        identity: format!("{identity}#{}", options.prefix),
        prefix: options.prefix,
        creates: Arc::default(),
        marked: Arc::default(),
    };
    PackedTier::new(Arc::new(bucket), options.packs)
}

#[derive(Clone, Debug)]
struct Bucket {
    objects: Objects,
    identity: String,
    prefix: String,
    creates: Arc<OnceCell<bool>>,
    marked: Arc<Mutex<Option<Marks>>>,
}

/// Marks of a folder, as read at a time; nothing if they could not be read.
type Marks = (Instant, String, Option<Arc<HashSet<Hash>>>);

impl Bucket {
    fn names(&self, namespace: &str) -> Names {
        Names::new(&self.prefix, namespace)
    }

    /// Whether the store truly refuses to create what is there. Tried once; some ignore the condition silently.
    async fn honours_create(&self) -> bool {
        *self
            .creates
            .get_or_init(|| async {
                let id = format!("{:016x}", random_id());
                let path = self.names("probe").probe(&id);
                let tried = async {
                    let first = self.objects.create(&path, Bytes::from_static(b"1")).await?;
                    let second = self.objects.create(&path, Bytes::from_static(b"2")).await?;
                    Ok::<_, Error>(first == Written::Yes && second == Written::Present)
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
}

fn is_old(written: SystemTime) -> bool {
    SystemTime::now().duration_since(written).is_ok_and(|age| age > OLD)
}

/// Another number each time.
pub(crate) fn random_id() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[async_trait]
impl Shelf for Bucket {
    fn name(&self) -> &'static str {
        self.objects.name()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn moved(&self) -> Transfer {
        self.objects.moved()
    }

    fn moved_here(&self) -> Transfer {
        self.objects.moved_here()
    }

    fn apart(&self) -> Arc<dyn Shelf> {
        Arc::new(Self { objects: self.objects.apart(), ..self.clone() })
    }

    async fn presence(&self, place: &Place) -> Result<Presence> {
        let written = self.objects.written(&self.names(&place.namespace).place(place)).await?;
        Ok(match written {
            None => Presence::Absent,
            Some(written) if is_old(written) => Presence::Old,
            Some(_) => Presence::Present,
        })
    }

    async fn read(&self, place: &Place) -> Result<Option<Object>> {
        let limit = match place.kind {
            Kind::Result => LARGEST as u64,
            Kind::Note => LARGEST_NOTE,
        };
        let found = self.objects.get(&self.names(&place.namespace).place(place), limit).await?;
        Ok(found.map(|(bytes, written)| Object { bytes, old: is_old(written) }))
    }

    async fn write(&self, place: &Place, object: Bytes, about: &About<'_>) -> Result<Written> {
        let path = self.names(&place.namespace).place(place);
        if about.replace || !self.honours_create().await {
            return self.objects.put(&path, object).await.map(|()| Written::Yes);
        }
        self.objects.create(&path, object).await
    }

    async fn read_pack(&self, namespace: &str, pack: &Hash, range: Range<u64>) -> Result<Bytes> {
        self.objects.range(&self.names(namespace).pack(pack), range).await
    }

    async fn write_pack(&self, namespace: &str, bytes: Bytes) -> Result<Hash> {
        let (pack, names) = (Hash::blake3(&bytes), self.names(namespace));
        self.objects.put(&names.pack(&pack), bytes).await?;
        // It is alive again. Whoever may not list finds no marks, and a pack that goes is a miss.
        if self.doomed(namespace).await.is_ok_and(|doomed| doomed.contains(&pack)) {
            self.objects.delete(&names.mark(&pack)).await?;
        }
        Ok(pack)
    }

    fn sweep(&self) -> Option<&dyn Sweep> {
        Some(self)
    }

    async fn examine(&self, namespace: &str) -> Examination {
        examine::examine(self, namespace).await
    }

    async fn doomed(&self, namespace: &str) -> Result<Arc<HashSet<Hash>>> {
        let mut marked = self.marked.lock().await;
        let folder = self.names(namespace).marked();
        if let Some((read, of, marks)) = &*marked
            && read.elapsed() < MARKS_FRESH
            && *of == folder.as_ref()
        {
            let unknown =
                || Error::new(ErrorKind::Permission, "list objects").with("tier", self.objects.name());
            return marks.clone().ok_or_else(unknown);
        }
        let found = self.objects.list(&folder).await;
        let marks = found.as_ref().ok().map(|found| {
            Arc::new(
                found.iter().filter_map(|object| names::pack_of(&object.location)).collect::<HashSet<_>>(),
            )
        });
        *marked = Some((Instant::now(), folder.to_string(), marks.clone()));
        found.map(|_| marks.unwrap_or_default())
    }
}
