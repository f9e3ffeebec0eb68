//! [`Project`]: a folder with a project in it, a store of its own, and the binary run in it.
//!
//! For black-box tests: the binary's path comes from the test (`env!("CARGO_BIN_EXE_larder")`). The environment of every run is
//! small and fixed, so that snapshots do not depend on who runs the tests. Everything is removed when the value is dropped.
//! A fixture: every failure of its own is a panic that says what could not be done.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// A project in a temporary folder.
#[derive(Debug)]
pub struct Project {
    folder: tempfile::TempDir,
    environment: Vec<(OsString, OsString)>,
}

/// What a run of the binary came to.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, lossy.
    pub stdout: String,
    /// Standard error, lossy.
    pub stderr: String,
}

impl Output {
    /// The exit code; 128 + the signal's number for a process that was killed.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Panics with everything that was printed unless the exit code is 0.
    #[must_use]
    #[track_caller]
    pub fn good(self) -> Self {
        assert!(self.status.success(), "exit {}\n{}\n{}", self.code(), self.stdout, self.stderr);
        self
    }
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

impl Project {
    /// An empty folder; [`file`](Self::file) fills it.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("larder-test-").tempdir().expect("a temporary folder");
        for name in ["project", "home", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("folders of the fixture");
        }
        Self { folder, environment: Vec::new() }
    }

    /// The project's root, with links resolved.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        fs::canonicalize(self.folder.path().join("project")).expect("the project's folder")
    }

    /// `LARDER_HOME` of its runs: the store. It is made by the first run.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// `HOME` of its runs.
    #[must_use]
    pub fn user_folder(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A path in the project.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file, with its folders.
    pub fn file(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file has a parent")).expect("folders of the file");
        fs::write(path, text).expect("the file");
        self
    }

    /// Reads a file.
    #[must_use]
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        String::from_utf8_lossy(&fs::read(self.path(path)).expect("the file")).into_owned()
    }

    /// Sets a variable of the environment for all further runs.
    pub fn env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The command, ready to be started: for tests that need it while it runs ([`crate::Running`]).
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(
        &self,
        bin: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(bin);
        command
            .args(args)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", self.user_folder())
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("LARDER_HOME", self.store())
            .env("RUST_BACKTRACE", "0")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary in the project's root and waits for it.
    #[must_use]
    pub fn larder<S: AsRef<OsStr>>(
        &self,
        bin: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = S>,
    ) -> Output {
        let output = self.command(bin, args).output().expect("the binary can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}
