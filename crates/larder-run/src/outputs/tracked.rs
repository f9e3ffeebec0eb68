//! What git tracks: files that may be replaced, but are never removed.
//!
//! `git ls-files` runs at most once, and only when something is about to be removed. Without a repository nothing is
//! tracked. With one whose files cannot be listed (no `git`, foreign owner, damaged index) whatever Larder has not
//! itself recorded counts as tracked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::beneath::ends;
use super::error::Result;

/// Says which paths git tracks.
pub trait Tracked: Sync {
    /// `path` is tracked. `recorded`: it is an output that Larder recorded in this worktree.
    ///
    /// # Errors
    /// Those of the implementation.
    fn is_tracked(&self, path: &[u8], recorded: bool) -> Result<bool>;
}

enum Listing {
    NoRepository,
    Files(BTreeSet<Vec<u8>>),
    Unknown,
}

/// Asks `git`, once.
pub struct Git {
    root: PathBuf,
    program: PathBuf,
    listing: OnceLock<Listing>,
}

impl Git {
    /// For the project at `root`, whose repository may begin further up.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self::with_program(root, Path::new("git"))
    }

    /// As [`Git::new`] with another program.
    #[must_use]
    pub fn with_program(root: &Path, program: &Path) -> Self {
        Self { root: root.to_path_buf(), program: program.to_path_buf(), listing: OnceLock::new() }
    }

    fn list(&self) -> Listing {
        let absolute = std::path::absolute(&self.root).unwrap_or_else(|_| self.root.clone());
        if !absolute.ancestors().any(|folder| folder.join(".git").symlink_metadata().is_ok()) {
            return Listing::NoRepository;
        }
        // A hook's variables would point git at another repository or index; a file-system monitor is a program that
        // the repository names.
        let output = Command::new(&self.program)
            .args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--cached"])
            .current_dir(&self.root)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => Listing::Files(
                output
                    .stdout
                    .split(|&b| b == 0)
                    .filter(|path| !path.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect(),
            ),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                tracing::warn!(error = said.trim(), "git cannot list its files; what was not recorded stays");
                Listing::Unknown
            }
            Err(error) => {
                tracing::warn!(%error, "git cannot be run; what was not recorded stays");
                Listing::Unknown
            }
        }
    }
}

impl Tracked for Git {
    fn is_tracked(&self, path: &[u8], recorded: bool) -> Result<bool> {
        Ok(match self.listing.get_or_init(|| self.list()) {
            Listing::NoRepository => false,
            // A submodule is listed as one path.
            Listing::Files(files) => ends(path).any(|end| files.contains(&path[..end])),
            Listing::Unknown => !recorded,
        })
    }
}

impl std::fmt::Debug for Git {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Git").field("root", &self.root).finish_non_exhaustive()
    }
}
