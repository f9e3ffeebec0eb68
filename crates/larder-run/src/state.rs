//! `.larder/state/`: what this worktree remembers. Nothing in it is ever an input, and losing it makes no wrong hit. It costs time; what was kept for
//! undo; which files are Larder's, so that outputs that are there count as somebody's; and which files recipes made beside their outputs, so that these
//! count as inputs until they are removed (see `engine/spared.rs`).
//!
//! ```text
//! .gitignore     "*": the folder ignores itself
//! stat-table     the worktree's stat table            owned/ trash/ undo/ tmp/   see `outputs`
//! recipes        what each recipe last left here      keys/HASH   items of each recipe's last key; HASH.made
//! locks/         one lock per recipe                  logs/HASH   each recipe's last log
//! runs/N         the last runs, for `larder why` and `larder profile` (see `history`)
//! cookbooks      parsed cookbooks (see `config::parsed`)
//! ```
//! `recipes`, `cookbooks` and `keys/` are `postcard` behind a version byte and a BLAKE3 checksum, replaced whole; a file that does
//! not read is no file. Two processes at once: the last writer wins, and what the other knew is found again by looking.
//!
//! Nothing here makes a hit: a hit is a trusted result of the store for the key computed now. The record only says
//! which tree was put in place, so that an unchanged tree is recognised by its digest.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::recipe::RecipeId;

const VERSION: u8 = 1;
/// Bytes before the body: the version and the checksum.
const CHECK: usize = 33;

/// What a recipe last left in this worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Digest (text form) of the `Tree` that was put in place or captured.
    pub tree: String,
    /// Root digest (text form) of the outputs as the stat table gave it; `None` if the tree has none.
    pub root: Option<String>,
    /// Glob matches that belong to the outputs, relative to the project's root, as bytes.
    pub globbed: Vec<Vec<u8>>,
}

/// One thing that a key was computed from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyItem {
    /// `command`, `input`, `env`, `variable`, `tool`, `dependency`, `output`, `args`, `sandbox`, `platform`.
    pub kind: String,
    /// Which one; a path for inputs.
    pub name: String,
    /// Its value, or the digest of its content.
    pub value: String,
}

/// The state folder.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    recipes: Mutex<(HashMap<String, Placed>, bool)>,
}

fn hash(id: &RecipeId) -> String {
    larder_core::Hash::blake3(id.to_string().as_bytes()).to_hex()[..32].to_owned()
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    postcard::from_bytes(&read_checked(path)?).ok()
}

/// The body of a state file, if its checksum is right.
pub(crate) fn read_checked(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    let (check, body) = bytes.split_at_checked(CHECK)?;
    let sound = check[0] == VERSION && check[1..] == larder_core::Hash::blake3(body).0;
    sound.then(|| bytes.split_off(CHECK))
}

pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_checked(path, &postcard::to_stdvec(value).map_err(io::Error::other)?)
}

/// Writes a state file with this body, whole or not at all.
pub(crate) fn write_checked(path: &Path, body: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&[VERSION])?;
    file.write_all(&larder_core::Hash::blake3(body).0)?;
    file.write_all(body)?;
    file.persist(path)?;
    Ok(())
}

/// Where the log of a recipe's last run in the project at `root` is.
#[must_use]
pub fn log_path(root: &Path, recipe: &RecipeId) -> PathBuf {
    root.join(".larder/state/logs").join(hash(recipe))
}

/// Makes one folder, if it is not there, and none above it.
pub(crate) fn make_one(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes the folders from `root` to `folder`, never the root: a project that was renamed or removed meanwhile shall not be there again, as an empty
/// folder that is in the way.
fn make_below(root: &Path, folder: &Path) -> io::Result<()> {
    let Ok(below) = folder.strip_prefix(root) else { return fs::create_dir_all(folder) };
    let mut folder = root.to_owned();
    below.components().try_for_each(|name| {
        folder.push(name);
        make_one(&folder)
    })
}

/// Makes the state folder of the project at `root`, and the file by which git and the walk ignore it.
pub(crate) fn make_folder(root: &Path, folder: &Path) -> io::Result<()> {
    let ignore = folder.join(".gitignore");
    if ignore.exists() {
        return Ok(());
    }
    make_below(root, folder)?;
    fs::write(ignore, "*\n")
}

impl State {
    /// Opens the state of the project at `root`, making what is missing.
    ///
    /// # Errors
    /// When the folder cannot be made; there is none without the root.
    pub fn open(root: &Path) -> io::Result<Self> {
        let folder = root.join(".larder/state");
        let recipes = folder.join("recipes");
        if !recipes.exists() {
            for name in ["keys", "locks", "logs", "runs", "tmp"] {
                make_below(root, &folder.join(name))?;
            }
            make_folder(root, &folder)?;
        }
        let recipes = Mutex::new((read(&recipes).unwrap_or_default(), false));
        Ok(Self { folder, recipes })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn recipes(&self) -> std::sync::MutexGuard<'_, (HashMap<String, Placed>, bool)> {
        self.recipes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What `recipe` last left here.
    #[must_use]
    pub fn placed(&self, recipe: &RecipeId) -> Option<Placed> {
        self.recipes().0.get(&recipe.to_string()).cloned()
    }

    /// Notes what `recipe` left here; `None`: nothing that can be relied on.
    pub fn set_placed(&self, recipe: &RecipeId, placed: Option<Placed>) {
        let mut guard = self.recipes();
        let name = recipe.to_string();
        if guard.0.get(&name) == placed.as_ref() {
            return;
        }
        match placed {
            Some(placed) => guard.0.insert(name, placed),
            None => guard.0.remove(&name),
        };
        guard.1 = true;
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn save(&self) -> io::Result<()> {
        let mut guard = self.recipes();
        if guard.1 {
            write(&self.folder.join("recipes"), &guard.0)?;
            guard.1 = false;
        }
        Ok(())
    }

    /// Files beside the recipe's outputs that it made and that are no outputs, each with what was in it: bytes relative to the project's root, and a text
    /// that tells contents apart.
    #[must_use]
    pub fn scratch(&self, recipe: &RecipeId) -> BTreeMap<Vec<u8>, String> {
        read(&self.scratch_path(recipe)).unwrap_or_default()
    }

    /// Notes them.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn set_scratch(&self, recipe: &RecipeId, scratch: &BTreeMap<Vec<u8>, String>) -> io::Result<()> {
        write(&self.scratch_path(recipe), scratch)
    }

    fn scratch_path(&self, recipe: &RecipeId) -> PathBuf {
        self.folder.join("keys").join(format!("{}.made", hash(recipe)))
    }

    /// Items of the key that `recipe` had when it last ran or was restored here.
    #[must_use]
    pub fn last_key(&self, recipe: &RecipeId) -> Option<Vec<KeyItem>> {
        read(&self.folder.join("keys").join(hash(recipe)))
    }

    /// Notes the items of a recipe's key.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn set_last_key(&self, recipe: &RecipeId, items: &[KeyItem]) -> io::Result<()> {
        write(&self.folder.join("keys").join(hash(recipe)), &items)
    }

    /// Forgets all about a recipe's outputs, what it made beside them, and its key.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn forget(&self, recipe: &RecipeId) -> io::Result<()> {
        self.set_placed(recipe, None);
        for path in [self.folder.join("keys").join(hash(recipe)), self.scratch_path(recipe)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the recipe's log is.
    #[must_use]
    pub fn log_path(&self, recipe: &RecipeId) -> PathBuf {
        self.folder.join("logs").join(hash(recipe))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Else a project that is renamed away and back comes to lie in the folder that was made for it.
    #[test]
    fn a_root_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        assert!(State::open(&root).is_err() && !root.exists());
        assert!(make_folder(&root, &root.join(".larder/state")).is_err() && !root.exists());
        fs::create_dir(&root).unwrap();
        let state = State::open(&root).unwrap();
        assert!(state.folder().join("keys").is_dir() && state.folder().join(".gitignore").is_file());
    }
}
