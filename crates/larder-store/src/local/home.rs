//! The store's folder: made, recognised and judged here.
//!
//! A home is used only if it belongs to the user who runs Larder and nobody else may write to it: whoever can write to
//! a store can decide what builds get. It is created with mode 0700. The file `larder-store.json` says that it is a
//! store, and of which format version; a folder with other things in it is never taken over.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use larder_core::{Error, ErrorKind, Result};
use rustix::fs::Access;
use serde::{Deserialize, Serialize};

/// The format that this version reads and writes.
pub const FORMAT_VERSION: u32 = 1;

const MARKER: &str = "larder-store.json";
const FOLDERS: &[&str] = &["packs", "blobs", "whole", "locks", "events", "quarantine", "tmp", "partial"];
/// Files of a store, beside the marker: a folder that holds only these is a store whose marker was lost.
const FILES: &[&str] = &["gc.lock", "uploads"];
const PREFIXES: &[&str] = &[MARKER, "index.db", "index-"];

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
}

/// A store's folder that passed the checks.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

fn untrusted(path: &Path, why: &'static str, hint: &str) -> Error {
    Error::new(ErrorKind::Untrusted, "open the store")
        .with_message(why)
        .with("path", path.display())
        .with_hint(hint)
}

impl Home {
    /// Opens the home, or makes it.
    ///
    /// # Errors
    /// `Untrusted` if it belongs to somebody else or others may write to it; `Version` if a newer Larder wrote it;
    /// `Invalid` if it is a folder of something else; and what the file system answers.
    pub fn open(path: &Path) -> Result<Self> {
        let io_error =
            |error: io::Error| Error::from_io(error, "open the store").with("path", path.display());
        match fs::symlink_metadata(path).and_then(|_| fs::metadata(path)) {
            Ok(metadata) => Self::judge(path, &metadata)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error)?;
            }
            Err(error) => return Err(io_error(error)),
        }
        // A store that takes nothing is of no use to a run: said once, here, instead of at every write.
        rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| io_error(errno.into()))?;
        match fs::read(path.join(MARKER)) {
            // A marker that cannot be read says nothing; what lies beside it tells whether this is a store.
            Ok(bytes) => match serde_json::from_slice::<Marker>(&bytes) {
                Ok(marker) => Self::check_version(path, &marker)?,
                Err(error) => Self::create(path).map_err(|_| {
                    Error::new(ErrorKind::Corrupt, "open the store")
                        .with("path", path.join(MARKER).display())
                        .with_hint("move the folder away; Larder makes a new one")
                        .caused_by(error)
                })?,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path).map_err(|error| {
                let hint = "choose an empty folder for LARDER_HOME";
                if error.kind() == io::ErrorKind::AlreadyExists {
                    Error::new(ErrorKind::Invalid, "open the store")
                        .with_message("the folder holds other things than a Larder store")
                        .with("path", path.display())
                        .with_hint(hint)
                } else {
                    io_error(error)
                }
            })?,
            Err(error) => return Err(io_error(error)),
        }
        for folder in FOLDERS {
            match fs::DirBuilder::new().mode(0o700).create(path.join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io_error(error)),
                _ => {}
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    fn judge(path: &Path, metadata: &fs::Metadata) -> Result<()> {
        if !metadata.is_dir() {
            return Err(Error::new(ErrorKind::Invalid, "open the store")
                .with_message("not a folder")
                .with("path", path.display())
                .with_hint("point LARDER_HOME at a folder"));
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            let hint = "point LARDER_HOME at a folder of your own";
            return Err(untrusted(path, "the folder belongs to another user", hint));
        }
        if metadata.mode() & 0o022 != 0 {
            let hint = format!("`chmod go-w {}`", path.display());
            return Err(untrusted(path, "other users may write to the folder", &hint));
        }
        Ok(())
    }

    fn check_version(path: &Path, marker: &Marker) -> Result<()> {
        if marker.format == FORMAT_VERSION {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Version, "open the store")
            .with_message(format!(
                "the store has format {}, this Larder knows format {FORMAT_VERSION}",
                marker.format
            ))
            .with("path", path.display())
            .with_hint("use the newer Larder, or another LARDER_HOME"))
    }

    /// Writes the marker into an empty folder, or into a store that lost it. Two processes may do this at once.
    fn create(path: &Path) -> io::Result<()> {
        let foreign = fs::read_dir(path)?.filter_map(|entry| entry.ok()).any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let known = |list: &[&str]| list.contains(&&*name);
            !known(FOLDERS) && !known(FILES) && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        });
        if foreign {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let new = path.join(format!("{MARKER}.{}", super::new_id()));
        fs::write(&new, format!("{{\"format\": {FORMAT_VERSION}}}\n"))?;
        fs::rename(&new, path.join(MARKER))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder or file below it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
