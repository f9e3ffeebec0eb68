//! A shared folder as a tier.
//!
//! Written so that NFS is safe: whole files appear by an atomic rename or hard link, nothing is locked, no database. It
//! was not tried on one.

use std::path::Path;
use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use object_store::local::LocalFileSystem;

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
    let store = store.with_automatic_cleanup(false);
    Ok(bucket::tier(Arc::new(store), NAME, &identity(path), options))
}
