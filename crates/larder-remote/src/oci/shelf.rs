//! Packs and results as OCI blobs and manifests.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Error, ErrorKind, Hash, Result};
use larder_oci::manifest::EMPTY_CONFIG;
use larder_oci::{Descriptor, Manifest, OciDigest, Tag};
use tokio::sync::OnceCell;

use super::artifact;
use crate::meter::Meter;
use crate::packed::collect::Sweep;
use crate::packed::shelf::{About, Kind, Object, Place, Presence, Shelf, Written};
use crate::packed::stored::LARGEST;
use crate::tier::{Examination, Rate, TRIED_BYTES, TRIES, Transfer, noise};

/// Where blobs and manifests are: a repository of a registry, or an image layout.
#[async_trait]
pub(crate) trait Artifacts: fmt::Debug + Send + Sync {
    /// Whether there is such a tag.
    async fn has(&self, tag: &Tag) -> Result<bool>;

    /// The manifest of a tag.
    async fn manifest(&self, tag: &Tag) -> Result<Option<Manifest>>;

    /// Gives a tag to a manifest. `NotFound` when a blob that it names is not there.
    async fn put_manifest(&self, tag: &Tag, manifest: Manifest) -> Result<()>;

    /// The content of a descriptor, verified, of at most `most` bytes.
    async fn blob(&self, descriptor: &Descriptor, most: usize) -> Result<Option<Bytes>>;

    /// Bytes of a blob, all of `range`.
    async fn range(&self, digest: &OciDigest, range: Range<u64>) -> Result<Bytes>;

    /// Keeps a blob. `known`: it may be there already, which is asked first.
    async fn put_blob(&self, digest: &OciDigest, bytes: Bytes, known: bool) -> Result<()>;

    /// What moved since it was opened.
    fn moved(&self) -> Transfer;
}

/// A shelf over [`Artifacts`].
#[derive(Clone, Debug)]
pub(crate) struct OciShelf {
    name: &'static str,
    identity: String,
    artifacts: Arc<dyn Artifacts>,
    /// Sizes of packs that were written, or seen in manifests: a manifest has to say them.
    sizes: Arc<Mutex<HashMap<Hash, u64>>>,
    /// The empty configuration is there.
    configured: Arc<OnceCell<()>>,
    /// Operations and bytes since this was set apart.
    meter: Meter,
}

impl OciShelf {
    /// A shelf of this name over `artifacts`.
    pub(crate) fn new(name: &'static str, identity: String, artifacts: Arc<dyn Artifacts>) -> Self {
        Self {
            name,
            identity,
            artifacts,
            sizes: Arc::default(),
            configured: Arc::default(),
            meter: Meter::default(),
        }
    }

    fn count(&self, bytes: usize) {
        self.meter.request();
        self.meter.bytes(bytes);
    }

    fn remember(&self, packs: impl IntoIterator<Item = (Hash, u64)>) {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).extend(packs);
    }

    /// Packs with their sizes. `NotFound` when one was neither written nor seen: it is written anew then.
    fn sized(&self, packs: &[Hash]) -> Result<Vec<(Hash, u64)>> {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let size = |pack: &Hash| {
            sizes.get(pack).map(|size| (*pack, *size)).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "write a result")
                    .with_message("the size of a pack is not known")
                    .with("tier", self.name)
            })
        };
        packs.iter().map(size).collect()
    }

    async fn put(&self, digest: &OciDigest, bytes: Bytes, known: bool) -> Result<()> {
        self.count(bytes.len());
        self.artifacts.put_blob(digest, bytes, known).await
    }
}

#[async_trait]
impl Shelf for OciShelf {
    fn name(&self) -> &'static str {
        self.name
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn moved(&self) -> Transfer {
        self.artifacts.moved()
    }

    fn moved_here(&self) -> Transfer {
        self.meter.here()
    }

    fn apart(&self) -> Arc<dyn Shelf> {
        Arc::new(Self { meter: self.meter.apart(), ..self.clone() })
    }

    async fn presence(&self, place: &Place) -> Result<Presence> {
        self.count(0);
        let there = self.artifacts.has(&artifact::tag(place)).await?;
        Ok(if there { Presence::Present } else { Presence::Absent })
    }

    async fn read(&self, place: &Place) -> Result<Option<Object>> {
        self.count(0);
        let Some(manifest) = self.artifacts.manifest(&artifact::tag(place)).await? else { return Ok(None) };
        let malformed = |message: &'static str| {
            Error::new(ErrorKind::Corrupt, "read a result").with_message(message).with("tier", self.name)
        };
        let (first, packs) = artifact::parts(place.kind, &manifest)
            .ok_or_else(|| malformed("what has its tag is something else"))?;
        self.remember(packs);
        if first.data.is_none() {
            self.count(usize::try_from(first.size).unwrap_or(usize::MAX));
        }
        let object = self.artifacts.blob(first, LARGEST).await?;
        let bytes = object.ok_or_else(|| malformed("its manifest is there, and its content is not"))?;
        // When it was pushed is not told; registries have rules of their own for what is old.
        Ok(Some(Object { bytes, old: false }))
    }

    async fn write(&self, place: &Place, object: Bytes, about: &About<'_>) -> Result<Written> {
        let packs = self.sized(about.packs)?;
        let manifest = artifact::manifest(place, &object, &packs, about.of);
        let empty = OciDigest::sha256(EMPTY_CONFIG);
        self.configured.get_or_try_init(|| self.put(&empty, Bytes::from_static(EMPTY_CONFIG), true)).await?;
        self.put(&manifest.layers[0].digest, object, false).await?;
        self.count(0);
        self.artifacts.put_manifest(&artifact::tag(place), manifest).await.map(|()| Written::Yes)
    }

    async fn read_pack(&self, _namespace: &str, pack: &Hash, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.artifacts.range(&OciDigest::from_sha256(*pack), range).await?;
        self.count(bytes.len());
        Ok(bytes)
    }

    async fn write_pack(&self, _namespace: &str, bytes: Bytes) -> Result<Hash> {
        let (digest, size) = (OciDigest::sha256(&bytes), bytes.len() as u64);
        let pack = digest.as_sha256().expect("it was just made with SHA-256");
        self.put(&digest, bytes, true).await?;
        self.remember([(pack, size)]);
        Ok(pack)
    }

    async fn doomed(&self, _namespace: &str) -> Result<Arc<HashSet<Hash>>> {
        Ok(Arc::default())
    }

    fn sweep(&self) -> Option<&dyn Sweep> {
        None
    }

    async fn examine(&self, namespace: &str) -> Examination {
        let mut found = Examination::default();
        let absent = Place { namespace: namespace.to_owned(), kind: Kind::Note, name: "nothing".into() };
        let mut took = Vec::new();
        for _ in 0..TRIES {
            let begun = Instant::now();
            if let Err(error) = self.artifacts.has(&artifact::tag(&absent)).await {
                found.look_up = Some(Err(error));
                return found;
            }
            took.push(begun.elapsed());
        }
        found.look_up = Some(Ok(took));
        // The same bytes each time: registries rarely delete blobs, so there shall be one of them.
        let bytes = noise(TRIED_BYTES, 1);
        let digest = OciDigest::sha256(&bytes);
        let rate = |begun: Instant| Rate { bytes: TRIED_BYTES as u64, took: begun.elapsed() };
        let begun = Instant::now();
        let written = self.artifacts.put_blob(&digest, bytes, false).await;
        found.write = Some(written.map(|()| rate(begun)));
        if matches!(found.write, Some(Ok(_))) {
            let begun = Instant::now();
            let read = self.artifacts.range(&digest, 0..TRIED_BYTES as u64).await;
            found.read = Some(read.map(|_| rate(begun)));
        }
        found
    }
}
