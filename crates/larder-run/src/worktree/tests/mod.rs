//! What the worktree promises, through its public interface.
#![expect(clippy::unwrap_used, reason = "tests")]

mod measure;
mod random;
mod semantics;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A project in a temporary folder.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn state(&self) -> PathBuf {
        self.path(".larder/state")
    }

    /// As the next process would.
    fn open(&self) -> Worktree {
        Worktree::open(self.folder.path(), &self.state()).unwrap()
    }

    /// Without a table.
    fn fresh(&self, state: &Path) -> Worktree {
        let _ = fs::remove_file(state.join(FILE_NAME));
        Worktree::open(self.folder.path(), state).unwrap()
    }

    fn paths(&self, spec: &PathSpec) -> Vec<String> {
        let entries = self.open().entries(spec).unwrap();
        entries.iter().map(|entry| entry.path.to_string_lossy().into_owned()).collect()
    }
}
