//! What an earlier result recorded in this worktree, per recipe: the paths that it owns here.
//!
//! ```text
//! STATE/owned/<64 hex: BLAKE3 of the recipe's name>.rec    what the last result (or failed run) left
//! STATE/owned/<…>.run                                      while it runs: what matched its globs before
//! file: "larder owned 1\n" | BLAKE3 of the payload (32 bytes) | payload (postcard)
//! ```
//! Files are replaced by rename. One that is missing, damaged or of another version owns nothing, so that only literal
//! outputs are the recipe's until its next result. The caller holds the recipe's lock.
//!
//! A `.run` file that is found before a run belongs to a run that was killed: what matches the globs now and is not in
//! it was made by that run, and is the recipe's ([`take_over`]).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use larder_core::{Digest, DigestFunction, Hash};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::beneath::FileStat;
use super::error::{Error, Result};
use super::tree::{Folder, Node};
use crate::recipe::RecipeId;
use crate::state::make_one;

const MAGIC: &[u8] = b"larder owned 1\n";
/// A record is about 150 bytes a path.
const MAX_SIZE: u64 = 1 << 30;

/// What kind of thing a recorded path is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file; the content if it is known (a failed run's is not).
    File(Option<Content>),
    /// A symbolic link.
    Symlink,
    /// A folder.
    Dir,
}

/// A digest as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    function: u8,
    hash: [u8; 32],
    size: u64,
}

impl Content {
    fn new(digest: &Digest) -> Self {
        Self { function: digest.function as u8, hash: digest.hash.0, size: digest.size }
    }

    /// The digest; `None` if it is of a function that this version does not know.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let function = DigestFunction::from_number(self.function)?;
        Some(Digest { function, hash: Hash(self.hash), size: self.size })
    }
}

/// One recorded path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedEntry {
    /// Its kind and content.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// What `lstat` said when it was recorded.
    pub stat: Option<FileStat>,
}

/// The paths that a recipe owns in this worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// By path relative to the project's root.
    pub entries: BTreeMap<Vec<u8>, OwnedEntry>,
}

impl Owned {
    /// What a restored or captured tree makes the recipe own; `stats` are of entries just captured or placed.
    #[must_use]
    pub fn of_tree(
        tree: &Folder,
        stats: &BTreeMap<Vec<u8>, FileStat>,
        is_output: impl Fn(&[u8]) -> bool,
    ) -> Self {
        let mut owned = Self::default();
        let walked = tree.walk(&mut |path, node| {
            let (kind, mode) = match node {
                Node::File { digest, mode } => (Kind::File(Some(Content::new(digest))), *mode),
                Node::Symlink { .. } => (Kind::Symlink, 0o777),
                Node::Dir(folder) if is_output(path) => (Kind::Dir, folder.mode.unwrap_or(0o755)),
                Node::Dir(_) => return Ok(()),
            };
            let entry = OwnedEntry { kind, mode, stat: stats.get(path).copied() };
            owned.entries.insert(path.to_vec(), entry);
            Ok(())
        });
        debug_assert!(walked.is_ok(), "the visitor never fails");
        owned
    }

    /// The recipe owns `path` by an earlier result.
    #[must_use]
    pub fn contains(&self, path: &[u8]) -> bool {
        self.entries.contains_key(path)
    }

    /// Reads the record of `recipe` in the state folder.
    #[must_use]
    pub fn load(state: &Path, recipe: &RecipeId) -> Self {
        read(&file(state, recipe, "rec")).unwrap_or_default()
    }

    /// Replaces the record, and ends the run that [`begin`] began.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, state: &Path, recipe: &RecipeId) -> Result<()> {
        write(state, &file(state, recipe, "rec"), self)?;
        let run = file(state, recipe, "run");
        match fs::remove_file(&run) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Io { op: "remove", path: run, source })
            }
            _ => Ok(()),
        }
    }
}

/// What matched the globs of a recipe before a run without being its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By path relative to the project's root.
    pub unowned: BTreeMap<Vec<u8>, FileStat>,
}

impl Snapshot {
    /// `path` was there, and is unchanged.
    #[must_use]
    pub fn is_unchanged(&self, path: &[u8], stat: &FileStat) -> bool {
        self.unowned.get(path) == Some(stat)
    }
}

/// Notes that a run begins, so that a kill leaves no output without an owner.
///
/// # Errors
/// [`Error::Io`].
pub fn begin(state: &Path, recipe: &RecipeId, snapshot: &Snapshot) -> Result<()> {
    write(state, &file(state, recipe, "run"), snapshot)
}

/// The snapshot of a run that began and never ended.
#[must_use]
pub fn interrupted(state: &Path, recipe: &RecipeId) -> Option<Snapshot> {
    read(&file(state, recipe, "run"))
}

/// Adds what `found` (glob matches now) holds beyond `before` to what the recipe owns: a failed or killed run made it.
pub fn take_over(owned: &mut Owned, before: &Snapshot, found: &BTreeMap<Vec<u8>, FileStat>) {
    for (path, stat) in found {
        if !before.is_unchanged(path, stat) && !owned.contains(path) {
            let kind = match stat.file_type() {
                rustix::fs::FileType::Directory => Kind::Dir,
                rustix::fs::FileType::Symlink => Kind::Symlink,
                _ => Kind::File(None),
            };
            let entry = OwnedEntry { kind, mode: stat.permissions() & 0o777, stat: Some(*stat) };
            owned.entries.insert(path.clone(), entry);
        }
    }
}

fn file(state: &Path, recipe: &RecipeId, ending: &str) -> PathBuf {
    let mut hasher = blake3::Hasher::new_derive_key("larder 1 owned paths of a recipe");
    for part in [Some(&recipe.cookbook), Some(&recipe.recipe), recipe.instance.as_ref()] {
        hasher.update(&[u8::from(part.is_some())]);
        let part = part.map_or("", String::as_str);
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    state.join("owned").join(format!("{}.{ending}", hasher.finalize().to_hex()))
}

/// The value of a file with magic and checksum; `None` if anything about it is not as it was written.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let size = fs::metadata(file).ok()?.len();
    if size > MAX_SIZE {
        return None;
    }
    let bytes = fs::read(file).ok()?;
    let (hash, payload) = bytes.strip_prefix(MAGIC)?.split_at_checked(32)?;
    if blake3::hash(payload).as_bytes() != hash {
        tracing::warn!(file = %file.display(), "damaged record is ignored");
        return None;
    }
    postcard::from_bytes(payload).ok()
}

/// Replaces `file` (in a folder of the state folder) by `value`.
pub(crate) fn write<T: Serialize>(state: &Path, file: &Path, value: &T) -> Result<()> {
    let fail = |source| Error::Io { op: "write", path: file.to_path_buf(), source };
    let payload = postcard::to_stdvec(value).map_err(|error| fail(std::io::Error::other(error)))?;
    let folder = file.parent().unwrap_or(state);
    make_one(folder).map_err(fail)?;
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    for part in [MAGIC, blake3::hash(&payload).as_bytes(), &payload] {
        new.write_all(part).map_err(fail)?;
    }
    new.persist(file).map_err(|error| fail(error.error))?;
    Ok(())
}
