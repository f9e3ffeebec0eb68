//! What git says has changed since a commit: committed, staged, in the worktree, and files that it does not know yet.
//!
//! `BASE` means where the history of `HEAD` left it (the merge base), as a pull request shows its changes. Renamed files count with both names. Files
//! that git ignores are not seen. git runs with the caller's configuration, and without its variables that name another repository.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Branches that are asked for when no base is named, in this order.
const USUAL: [&str; 5] = ["origin/HEAD", "origin/main", "origin/master", "main", "master"];

/// Why changes cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesError {
    /// The project is in no git repository.
    #[error("the project is in no git repository")]
    NoRepository,
    /// git cannot be run.
    #[error("git cannot be run")]
    NoGit(#[source] std::io::Error),
    /// No such commit.
    #[error("git knows no commit `{0}`")]
    NoCommit(String),
    /// None of the usual branches is there.
    #[error("there is none of the branches that changes are usually compared with")]
    NoBase,
    /// Two histories without a common commit.
    #[error("the histories of `{0}` and of `HEAD` have no commit in common")]
    NoMergeBase(String),
    /// git said something else.
    #[error("git {step} failed: {said}")]
    Failed {
        /// Which command.
        step: &'static str,
        /// What it said, its last line.
        said: String,
    },
}

impl ChangesError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRepository => Some("without git nothing tells what changed: leave `--affected` out"),
            Self::NoGit(_) => Some("install git"),
            Self::NoCommit(_) => Some(
                "what follows `--affected` is a commit or branch, so put selectors before it; a shallow clone has few: fetch it first",
            ),
            Self::NoBase => Some("name one: `--affected=BRANCH`"),
            Self::NoMergeBase(_) => Some(
                "a shallow clone has too little of the history: `git fetch --unshallow`, or fetch-depth 0 in CI",
            ),
            Self::Failed { .. } => None,
        }
    }
}

/// What changed, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The commit that is compared with, as named or found.
    pub base: String,
    /// Paths inside the project, relative to its root; gone ones too.
    pub paths: BTreeSet<PathBuf>,
}

impl Changes {
    /// Asks git. `root`: the project's, absolute. `base`: a commit; `None`: the usual branches are tried.
    ///
    /// # Errors
    /// As [`ChangesError`] says.
    pub fn since(root: &Path, base: Option<&str>) -> Result<Self, ChangesError> {
        let git = Git { root };
        let top = git.line("rev-parse", &["--show-toplevel"]).map_err(|error| match error {
            ChangesError::Failed { .. } => ChangesError::NoRepository,
            error => error,
        })?;
        let base = match base {
            Some(base) => base.to_owned(),
            None => USUAL
                .iter()
                .find(|name| git.commit(name).is_ok())
                .map(|name| (*name).to_owned())
                .ok_or(ChangesError::NoBase)?,
        };
        let commit = git.commit(&base)?;
        let from = match git.commit("HEAD") {
            // Before the first commit everything is new; there is no base either, so this is a base of another kind.
            Err(_) => commit,
            Ok(head) => git
                .line("merge-base", &[commit.as_os_str(), head.as_os_str()])
                .map_err(|_| ChangesError::NoMergeBase(base.clone()))?,
        };
        let changed = ["--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none"];
        let mut words: Vec<&OsStr> = changed.iter().map(OsStr::new).collect();
        words.extend([from.as_os_str(), OsStr::new("--")]);
        let mut listed = git.run("diff", &words)?;
        // Relative to the top, as those of `diff`; only below the folder that it runs in.
        listed.extend(
            git.run("ls-files", &["--others", "--exclude-standard", "--full-name", "-z"].map(OsStr::new))?,
        );
        let top = PathBuf::from(top);
        let real = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let paths = listed
            .split(|&byte| byte == 0)
            .filter(|path| !path.is_empty())
            .filter_map(|path| top.join(OsStr::from_bytes(path)).strip_prefix(&real).ok().map(Path::to_owned))
            .collect();
        Ok(Self { base, paths })
    }
}

struct Git<'a> {
    root: &'a Path,
}

impl Git<'_> {
    fn run(&self, step: &'static str, words: &[impl AsRef<OsStr>]) -> Result<Vec<u8>, ChangesError> {
        let output = Command::new("git")
            .args(["-c", "core.fsmonitor=false", step])
            .args(words)
            .current_dir(self.root)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(ChangesError::NoGit)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
        Err(ChangesError::Failed { step, said })
    }

    fn line(
        &self,
        step: &'static str,
        words: &[impl AsRef<OsStr>],
    ) -> Result<std::ffi::OsString, ChangesError> {
        let mut bytes = self.run(step, words)?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Ok(std::ffi::OsString::from_vec(bytes))
    }

    fn commit(&self, name: &str) -> Result<std::ffi::OsString, ChangesError> {
        let name_of_commit = format!("{name}^{{commit}}");
        let words = ["--verify", "--quiet", "--end-of-options", &name_of_commit];
        self.line("rev-parse", &words).map_err(|error| match error {
            ChangesError::Failed { .. } => ChangesError::NoCommit(name.to_owned()),
            error => error,
        })
    }
}
