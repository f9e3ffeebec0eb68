//! Two clones of a project that share a store, and runs of the program in them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::model::Model;
use super::random::Random;

/// Where everything of one case lives.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// Empty clones, no store.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("larder-trust-").tempdir().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        Self { folder }
    }

    /// The root of a clone. Their paths differ in length.
    pub(crate) fn root(&self, clone: usize) -> PathBuf {
        self.folder.path().join(["clone", "second-clone"][clone])
    }

    /// A folder for what tests write outside of projects.
    pub(crate) fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// `LARDER_HOME`.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The program, not yet started.
    pub(crate) fn larder(&self, clone: usize) -> Command {
        let program = std::env::var_os("LARDER_TEST_PROGRAM");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_larder").into()));
        command.current_dir(self.root(clone)).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.folder.path().join("home"));
        command.env("LARDER_HOME", self.store()).env("UNDECLARED", "seen");
        command.stdin(Stdio::null());
        command
    }

    /// Whether the program can do `cache COMMAND`: asked of a store with one result.
    pub(crate) fn can(command: &str) -> bool {
        let world = Self::new();
        let root = world.root(0);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("larder.yml"), "name: probe\n").unwrap();
        let recipe = "name: c\nrecipes: {r: {run: 'true', cache: {inputs: [], outputs: []}}}\n";
        fs::write(root.join("cookbook.yml"), recipe).unwrap();
        let run = world.larder(0).arg("run").output().unwrap();
        assert!(run.status.success(), "{}", said(&run));
        world.larder(0).args(["cache", command]).output().unwrap().status.success()
    }

    /// Keeps the folder for a person to look at.
    pub(crate) fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

/// `larder run` as a model asks for it.
pub(crate) fn run_command(
    world: &World,
    clone: usize,
    model: &Model,
    selected: &[usize],
    options: &[&str],
    args: &[String],
) -> Command {
    let mut command = world.larder(clone);
    command.arg("run").args(options).args(selected.iter().map(|&at| model.name(at)));
    if let Some(define) = &model.define {
        command.arg("-D").arg(format!("p={define}"));
    }
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    command.envs(&model.environment);
    command
}

/// Starts it without output.
pub(crate) fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// What it said, for messages.
pub(crate) fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status)
}

/// `cached` and `run` of the summary line.
pub(crate) fn counts(output: &Output) -> (usize, usize) {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let before = |word: &str| {
        let at = line.find(word)?;
        line[..at].trim_end().rsplit([' ', ':']).next()?.parse().ok()
    };
    (before(" cached").unwrap_or(0), before(" run").unwrap_or(0))
}

/// The first sources of a project.
pub(crate) fn first_sources(root: &Path, model: &Model, random: &mut Random) {
    let put = |path: PathBuf, text: String| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for cookbook in 0..model.cookbooks {
        let src = root.join(format!("c{cookbook}/src"));
        for name in ["f0.txt", "f1.txt", "sub/g.txt", "skip/s.txt", "sub/data"] {
            put(src.join(name), format!("{name} {}\n", random.below(10)));
        }
        if random.once_in(2) {
            put(src.join(OsString::from_vec(b"caf\xe9 'q\".txt".to_vec())), "odd\n".into());
        }
        if random.once_in(2) {
            symlink("../../shared/s0", src.join("shared.txt")).unwrap();
        }
        if random.once_in(3) {
            fs::create_dir(src.join("empty")).unwrap();
        }
    }
    put(root.join("shared/s0"), "shared\n".into());
    put(root.join("shared/deep/s1"), format!("deep {}\n", random.below(10)));
}
