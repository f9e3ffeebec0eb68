//! A shared folder as a tier.
//!
//! Written so that NFS is safe: whole files appear by an atomic rename or hard link, nothing is locked, no database. It
//! was not tried on one.
//!
//! Whoever may write to the folder may put anything there. Nothing is read, written or deleted through a symbolic link
//! in it, and only regular files are opened: a FIFO would be waited for without end ([`Guarded`]). Who swaps a folder for
//! a link at just the right moment could make a file be written or deleted elsewhere under a name of Larder's form; a
//! share is for people who do not do that to each other.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use larder_core::{Error, ErrorKind, Result};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use crate::bucket::errors::Misplaced;
use crate::bucket::{self, BucketOptions};
use crate::packed::PackedTier;

/// Its name in the configuration.
pub const NAME: &str = "dir";

/// What tells this folder from others.
#[must_use]
pub fn identity(path: &Path) -> String {
    format!("dir:{}", path.display())
}

/// Opens the tier in the folder `path`, which must exist: a share that is not mounted must not fill the disk under it.
///
/// # Errors
/// `Invalid` when there is no such folder.
pub fn open(path: &Path, options: BucketOptions) -> Result<PackedTier> {
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| {
        Error::new(ErrorKind::Invalid, "open a cache tier")
            .with("path", path.display())
            .with_message("there is no such folder")
            .with_hint("make it (once, for all who share it), or mount what is shared")
            .caused_by(error)
    })?;
    let store = Guarded { root: path.to_owned(), inner: Arc::new(store.with_automatic_cleanup(false)) };
    let options = BucketOptions { silent: Some(SILENT), ..options };
    Ok(bucket::tier(Arc::new(store), NAME, &identity(path), options))
}

const SILENT: &str = "is the share mounted, and may its files be read and written?";

/// A folder in which symbolic links lead nowhere.
#[derive(Clone, Debug)]
struct Guarded {
    root: PathBuf,
    inner: Arc<LocalFileSystem>,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Guarded {
    /// Refuses a name that leads over a link, or to something that is no regular file.
    fn check(&self, name: &Name) -> object_store::Result<()> {
        let mut path = self.root.clone();
        let mut parts = name.parts().peekable();
        while let Some(part) = parts.next() {
            path.push(part.as_ref());
            let Ok(found) = fs::symlink_metadata(&path) else { return Ok(()) };
            let fits = if parts.peek().is_some() { found.is_dir() } else { found.is_file() };
            if !fits {
                let source = Box::new(Misplaced(path));
                return Err(object_store::Error::Generic { store: "dir", source });
            }
        }
        Ok(())
    }
}

/// All regular files below a folder. What others put there, under names that no object has, is passed over; a folder that
/// cannot be read is an error: whoever deletes must have seen everything.
fn list(root: &Path, prefix: &Name) -> io::Result<Vec<ObjectMeta>> {
    let mut found = Vec::new();
    let mut open = vec![prefix.parts().fold(root.to_owned(), |path, part| path.join(part.as_ref()))];
    // A link above it, or a name that is none: there is nothing of Larder's.
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let above = open[0].ancestors().take_while(|path| *path != root);
    if !above.into_iter().all(is_folder) {
        return Ok(found);
    }
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            let name =
                path.strip_prefix(root).ok().and_then(Path::to_str).and_then(|name| Name::parse(name).ok());
            let Some(location) = name else { continue };
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    // Somebody deleted it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                let (size, last_modified) = (metadata.len(), metadata.modified()?.into());
                found.push(ObjectMeta { location, last_modified, size, e_tag: None, version: None });
            }
        }
    }
    Ok(found)
}

#[async_trait]
impl ObjectStore for Guarded {
    async fn put_opts(
        &self,
        name: &Name,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.check(name)?;
        self.inner.put_opts(name, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        name: &Name,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.check(name)?;
        self.inner.put_multipart_opts(name, options).await
    }

    async fn get_opts(&self, name: &Name, options: GetOptions) -> object_store::Result<GetResult> {
        self.check(name)?;
        self.inner.get_opts(name, options).await
    }

    fn delete_stream(
        &self,
        names: BoxStream<'static, object_store::Result<Name>>,
    ) -> BoxStream<'static, object_store::Result<Name>> {
        let guard = self.clone();
        let checked = names.map(move |name| name.and_then(|name| guard.check(&name).map(|()| name)));
        self.inner.delete_stream(checked.boxed())
    }

    fn list(&self, prefix: Option<&Name>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (root, prefix) = (self.root.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move {
            let listed = tokio::task::spawn_blocking(move || list(&root, &prefix));
            let failed = |error: &dyn fmt::Display| object_store::Error::Generic {
                store: "dir",
                source: error.to_string().into(),
            };
            match listed.await {
                Ok(listed) => listed.map_err(|error| failed(&error)),
                Err(error) => Err(failed(&error)),
            }
        };
        stream::once(listed)
            .flat_map(|listed| match listed {
                Ok(found) => stream::iter(found.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Name>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Name, to: &Name, options: CopyOptions) -> object_store::Result<()> {
        self.check(from)?;
        self.check(to)?;
        self.inner.copy_opts(from, to, options).await
    }
}
