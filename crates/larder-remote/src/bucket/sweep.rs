//! Listing and deleting in a bucket.

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Error, ErrorKind, Hash, Result};
use object_store::path::Path;

use super::{Bucket, random_id};
use crate::packed::collect::{Item, Listed, Sweep};

impl Bucket {
    fn path(&self, namespace: &str, what: Listed, name: &str) -> Result<Path> {
        let folder = self.folder(namespace, what);
        let fan = match what {
            // As names are made: by the first two digits of the hash.
            Listed::Results => name.split('-').nth(1).and_then(|hex| hex.get(..2)),
            Listed::Packs => name.get(..2),
            Listed::Notes | Listed::Marks => Some(""),
        };
        let fan = fan.ok_or_else(|| Error::new(ErrorKind::Invalid, "name an object").with("name", name))?;
        Ok(if fan.is_empty() { folder.join(name) } else { folder.join(fan).join(name) })
    }

    fn folder(&self, namespace: &str, what: Listed) -> Path {
        let names = self.names(namespace);
        match what {
            Listed::Results => names.results(),
            Listed::Notes => names.recipes(),
            Listed::Packs => names.packs(),
            Listed::Marks => names.marked(),
        }
    }
}

#[async_trait]
impl Sweep for Bucket {
    async fn now(&self) -> Result<SystemTime> {
        let path = self.names("probe").probe(&format!("{:016x}", random_id()));
        self.objects.put(&path, Bytes::from_static(b"what time is it")).await?;
        let written = self.objects.written(&path).await?;
        self.objects.delete(&path).await?;
        written.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "ask for the time")
                .with_message("an object that was just written is not there")
                .with("tier", self.objects.name())
        })
    }

    async fn list(&self, namespace: &str, what: Listed) -> Result<Vec<Item>> {
        let found = self.objects.list(&self.folder(namespace, what)).await?;
        let item = |object: object_store::ObjectMeta| {
            let name = object.location.filename()?.to_owned();
            // What others put into the bucket is not Larder's.
            let ours = self.path(namespace, what, &name).is_ok_and(|path| path == object.location);
            ours.then(|| Item { name, size: object.size, written: object.last_modified.into() })
        };
        Ok(found.into_iter().filter_map(item).collect())
    }

    async fn written(&self, namespace: &str, what: Listed, name: &str) -> Result<Option<SystemTime>> {
        self.objects.written(&self.path(namespace, what, name)?).await
    }

    async fn delete(&self, namespace: &str, what: Listed, name: &str) -> Result<()> {
        self.objects.delete(&self.path(namespace, what, name)?).await
    }

    async fn mark(&self, namespace: &str, pack: &Hash) -> Result<()> {
        self.objects.put(&self.names(namespace).mark(pack), Bytes::from_static(b"deleted soon")).await
    }
}
