//! [`Asked`]: a [`Listing`] that notes what it was asked, so that it can be asked again whether the answers are still the same.
//!
//! What a configuration is depends on its files and on these answers: which cookbooks there are, and which files a `matrix` finds.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::config::{Listing, Mark};

/// See the module's header.
pub struct Asked<'a> {
    listing: &'a dyn Listing,
    globs: Mutex<Vec<Glob>>,
}

/// A glob, and what it found; `None`: it could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    pub(super) folder: PathBuf,
    pub(super) patterns: Vec<String>,
    pub(super) found: Option<Vec<PathBuf>>,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

impl<'a> Asked<'a> {
    /// Asks `listing`.
    #[must_use]
    pub fn new(listing: &'a dyn Listing) -> Self {
        Self { listing, globs: Mutex::default() }
    }

    pub(super) fn take(&self) -> Vec<Glob> {
        std::mem::take(&mut *self.globs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listing for Asked<'_> {
    fn files_named(&self, root: &Path, wanted: &dyn Fn(&OsStr) -> bool) -> io::Result<Vec<PathBuf>> {
        self.listing.files_named(root, wanted)
    }

    fn glob(&self, folder: &Path, patterns: &[String]) -> io::Result<Vec<PathBuf>> {
        let answer = self.listing.glob(folder, patterns);
        let found = answer.as_ref().ok().cloned();
        let glob = Glob { folder: folder.to_owned(), patterns: patterns.to_vec(), found };
        let mut globs = self.globs.lock().unwrap_or_else(PoisonError::into_inner);
        if !globs.contains(&glob) {
            globs.push(glob);
        }
        answer
    }

    fn marks(&self, root: &Path, files: &[PathBuf]) -> Vec<Option<Mark>> {
        self.listing.marks(root, files)
    }
}
