//! Cookbooks as they were parsed before, so that a run parses only what changed.
//!
//! ```text
//! .larder/state/cookbooks    as all state: postcard behind a version byte and a BLAKE3 checksum
//!                            a list of (key, cookbook as postcard)
//! ```
//! A key is the hash of everything that parsing depends upon: this program's version and the text of its modules that
//! read, the mode, the file's path, its stat and the digest of its content, which the stat table proves (see
//! `worktree/stat.rs`). The stat also keeps out what came with a repository: nobody can know the inode and the times
//! that a file will have here.
//!
//! Only a cookbook about which there is nothing to say is kept, and in bake mode only one without templates: what is
//! kept is a pure function of one file. Content is hashed as it was parsed; if that is not what the stat table saw,
//! nothing is kept. A file that does not read is no file, and what no cookbook asked for is dropped. Two processes at
//! once: the last writer wins.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::discover::Mark;
use super::raw::RawCookbook;
use crate::recipe::Mode;
use crate::state;

/// What decides how text becomes a cookbook. Any edit makes other keys, so that no build reads what another one kept.
const READERS: [&str; 5] = [
    env!("CARGO_PKG_VERSION"),
    include_str!("yaml.rs"),
    include_str!("raw.rs"),
    include_str!("decode.rs"),
    include_str!("source.rs"),
];
/// More is not kept.
const LARGEST: usize = 64 << 20;

/// What a cookbook is kept under.
pub(super) type Key = [u8; 32];

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    key: Key,
    #[serde(borrow)]
    cookbook: Cow<'a, [u8]>,
}

/// The kept cookbooks of one project.
pub(super) struct Parsed {
    /// `None`: nothing is kept.
    file: Option<PathBuf>,
    reader: blake3::Hasher,
    /// What was kept and not yet asked for.
    old: HashMap<Key, Vec<u8>>,
    /// What will be kept.
    new: Vec<(Key, Vec<u8>)>,
    changed: bool,
}

impl Parsed {
    /// What is kept in a state folder.
    pub(super) fn open(state: Option<&Path>) -> Self {
        let file = state.map(|folder| folder.join("cookbooks"));
        let body = file.as_deref().and_then(state::read_checked);
        let entries: Option<Vec<Entry<'_>>> =
            body.as_deref().and_then(|body| postcard::from_bytes(body).ok());
        let old =
            entries.into_iter().flatten().map(|entry| (entry.key, entry.cookbook.into_owned())).collect();
        let mut reader = blake3::Hasher::new();
        for text in READERS {
            reader.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        Self { file, reader, old, new: Vec::new(), changed: false }
    }

    /// Whether anything is ever kept.
    pub(super) fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// The key of the cookbook in `file`, whose state on disk is `mark`.
    pub(super) fn key(&self, mode: Mode, file: &Path, mark: &Mark) -> Key {
        let mut hasher = self.reader.clone();
        hasher.update(&[u8::from(mode == Mode::Bake)]);
        for number in mark.stat.iter().chain([&mark.digest.size]) {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&mark.digest.hash.0);
        // Last, because only this has no fixed length.
        hasher.update(file.as_os_str().as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The cookbook that is kept under `key`.
    pub(super) fn take(&mut self, key: &Key) -> Option<RawCookbook> {
        let bytes = self.old.remove(key)?;
        let cookbook = postcard::from_bytes(&bytes).ok();
        match &cookbook {
            Some(_) => self.new.push((*key, bytes)),
            None => self.changed = true,
        }
        cookbook
    }

    /// Keeps a cookbook.
    pub(super) fn keep(&mut self, key: Key, cookbook: &RawCookbook) {
        if let Ok(bytes) = postcard::to_stdvec(cookbook) {
            self.new.push((key, bytes));
            self.changed = true;
        }
    }

    /// Writes what is kept, if it is not what was read.
    pub(super) fn save(self) {
        let Some(file) = self.file.filter(|_| self.changed || !self.old.is_empty()) else { return };
        let size: usize = self.new.iter().map(|(key, cookbook)| key.len() + cookbook.len()).sum();
        let fits = size < LARGEST / 2;
        let entries = self.new.iter().filter(|_| fits);
        let entries: Vec<Entry<'_>> =
            entries.map(|(key, cookbook)| Entry { key: *key, cookbook: Cow::Borrowed(cookbook) }).collect();
        if let Err(error) = state::write(&file, &entries) {
            tracing::debug!(%error, "parsed cookbooks could not be kept");
        }
    }
}
