//! A world of its own for each test: projects, one store, one user's home, and larder with a time limit.
//!
//! Recipes count their executions with `echo >> $HOME/NAME`: the home is outside every project and the same for all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nothing in these tests may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A project in a temporary folder.
#[derive(Clone)]
pub(crate) struct Project {
    base: Arc<tempfile::TempDir>,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// Added to the environment of larder.
    env: Vec<(String, String)>,
}

/// How larder ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; `None` when it was killed.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// Peak of resident memory, in KiB.
    pub(crate) peak: u64,
}

impl Project {
    /// A strict project `demo`, with one cookbook `app` in its root that holds `recipes` (YAML below `recipes:`).
    pub(crate) fn new(recipes: &str) -> Self {
        let project = Self::empty();
        project.file("larder.yml", "name: demo\n");
        project.recipes(recipes);
        project
    }

    /// The simplest cached recipe: `make` copies `in` to `out`, and counts.
    pub(crate) fn copying(content: &str) -> Self {
        let project = Self::new(
            "  make:
    cache: {inputs: [in], outputs: [out]}
    run: |
      echo >> $HOME/make
      cp in out
",
        );
        project.file("in", content);
        project
    }

    /// A folder without any file.
    pub(crate) fn empty() -> Self {
        let base = tempfile::tempdir().unwrap();
        let base_path = fs::canonicalize(base.path()).unwrap();
        let root = base_path.join("project");
        for folder in [&root, &base_path.join("user"), &base_path.join("store")] {
            fs::create_dir(folder).unwrap();
        }
        Self { base: Arc::new(base), root, env: Vec::new() }
    }

    /// Another folder in the same world (same store, same user), with a copy of all files but larder's state.
    pub(crate) fn copy(&self, name: &str) -> Self {
        let root = self.base().join(name);
        let copied = Command::new("cp").arg("-a").arg(&self.root).arg(&root).status().unwrap();
        assert!(copied.success());
        let _ = fs::remove_dir_all(root.join(".larder/state"));
        Self { base: Arc::clone(&self.base), root, env: self.env.clone() }
    }

    pub(crate) fn base(&self) -> PathBuf {
        fs::canonicalize(self.base.path()).unwrap()
    }

    /// The user's home.
    pub(crate) fn user(&self) -> PathBuf {
        self.base().join("user")
    }

    /// `LARDER_HOME`.
    pub(crate) fn store(&self) -> PathBuf {
        self.base().join("store")
    }

    /// (Re)writes the root cookbook.
    pub(crate) fn recipes(&self, recipes: &str) {
        self.file("cookbook.yml", format!("name: app\nrecipes:\n{recipes}"));
    }

    /// The same project with a variable in larder's environment.
    pub(crate) fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut with = self.clone();
        with.env.retain(|(known, _)| known != name);
        with.env.push((name.to_owned(), value.into()));
        with
    }

    /// The same project without that variable.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut without = self.clone();
        without.env.retain(|(known, _)| known != name);
        without
    }

    pub(crate) fn path(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.root.join(Path::new(path.as_ref()))
    }

    /// Writes a file and the folders it is in.
    pub(crate) fn file(&self, path: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Text of a file; an absent one is `(absent)`.
    pub(crate) fn read(&self, path: impl AsRef<OsStr>) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|_| "(absent)".to_owned())
    }

    pub(crate) fn has(&self, path: impl AsRef<OsStr>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub(crate) fn remove(&self, path: impl AsRef<OsStr>) {
        let path = self.path(path);
        if path.symlink_metadata().unwrap().is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub(crate) fn mode(&self, path: impl AsRef<OsStr>) -> u32 {
        fs::symlink_metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn chmod(&self, path: impl AsRef<OsStr>, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn link(&self, target: impl AsRef<Path>, path: impl AsRef<OsStr>) {
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    /// How often recipes did `echo >> $HOME/NAME`.
    pub(crate) fn count(&self, name: &str) -> usize {
        fs::read_to_string(self.user().join(name)).map_or(0, |text| text.lines().count())
    }

    /// `git init` with everything committed.
    pub(crate) fn git(&self) {
        self.shell("git init -q . && git add -A && git -c user.name=t -c user.email=t@t commit -qm x");
    }

    /// A shell command in the project's folder, by the user.
    pub(crate) fn shell(&self, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).current_dir(&self.root).env("HOME", self.user());
        let ran = finish(command, &self.base());
        assert_eq!(ran.code, Some(0), "{script}: {ran:?}");
    }

    /// Larder behind other programs (`taskset`, `setpriv`, …), with a clean environment.
    pub(crate) fn larder_by(&self, before: &[&str], args: &[&str]) -> Command {
        let larder = env!("CARGO_BIN_EXE_larder");
        let mut command = match before {
            [] => Command::new(larder),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(larder);
                command
            }
        };
        command.args(args).current_dir(&self.root).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.user()).env("LARDER_HOME", self.store());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `larder ARGS`.
    pub(crate) fn larder(&self, args: &[&str]) -> Ran {
        finish(self.larder_by(&[], args), &self.base())
    }

    /// `larder run ARGS`.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_by(&[], args)
    }

    /// `larder run ARGS` behind other programs.
    pub(crate) fn run_by(&self, before: &[&str], args: &[&str]) -> Ran {
        let args: Vec<&str> = ["run"].iter().chain(args).copied().collect();
        finish(self.larder_by(before, &args), &self.base())
    }

    /// `larder run ARGS`, which must succeed.
    pub(crate) fn good(&self, args: &[&str]) -> Ran {
        self.run(args).good()
    }

    /// Begins `larder run ARGS`; the caller ends it through [`Running`].
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let args: Vec<&str> = ["run"].iter().chain(args).copied().collect();
        start(self.larder_by(&[], &args), &self.base())
    }

    /// Waits for a file in the user's home, for which a recipe said that it came this far.
    pub(crate) fn wait_for(&self, name: &str) {
        let path = self.user().join(name);
        wait_until(&format!("{name} in the user's home"), || path.exists());
    }

    /// Makes a file in the user's home, for which a recipe waits.
    pub(crate) fn let_go(&self, name: &str) {
        fs::write(self.user().join(name), "").unwrap();
    }
}

/// Waits, not for ever.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process lives (a zombie does not).
pub(crate) fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A program that runs.
pub(crate) struct Running {
    child: Option<Child>,
    files: [PathBuf; 2],
}

pub(crate) fn start(mut command: Command, base: &Path) -> Running {
    let name = |kind| {
        let (_, path) = tempfile::Builder::new().prefix(kind).tempfile_in(base).unwrap().keep().unwrap();
        path
    };
    let files = [name("stdout-"), name("stderr-")];
    command.stdin(Stdio::null());
    command.stdout(File::create(&files[0]).unwrap()).stderr(File::create(&files[1]).unwrap());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Running { child: Some(child), files }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until it says that it waits for another larder.
    pub(crate) fn waits(&self) {
        wait_until("it waits for another", || self.said().contains(" waits for "));
    }

    /// What it said so far, on both streams.
    pub(crate) fn said(&self) -> String {
        self.files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        let mut child = self.child.take().unwrap();
        let begun = Instant::now();
        let mut peak = 0;
        let status: ExitStatus = loop {
            peak = peak.max(peak_of(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                panic!("it hangs; it said: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ran { code: status.code(), out: text(&self.files[0]), err: text(&self.files[1]), peak }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn finish(command: Command, base: &Path) -> Ran {
    start(command, base).end()
}

fn peak_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

impl Ran {
    /// It must have succeeded.
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// It must have ended with this code.
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The figure before `word` in the summary line.
    fn figure(&self, word: &str) -> usize {
        let summary = self
            .out
            .lines()
            .rev()
            .find(|line| line.contains(" cached") && line.contains(" run") && line.contains(" · "));
        let summary = summary.unwrap_or_else(|| panic!("no summary: {self:#?}"));
        let parts: Vec<&str> = summary.split([' ', ',']).filter(|part| !part.is_empty()).collect();
        let at = parts.iter().position(|part| *part == word).unwrap();
        parts[at - 1].parse().unwrap_or_else(|_| panic!("no figure for {word}: {summary}"))
    }

    pub(crate) fn cached(&self) -> usize {
        self.figure("cached")
    }

    pub(crate) fn executed(&self) -> usize {
        self.figure("run")
    }

    /// Everything that was said.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// It must have said this.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.all().contains(text), "does not say `{text}`: {self:#?}");
        self
    }

    /// How many lines begin with `warning:`.
    pub(crate) fn warnings(&self) -> usize {
        self.all().lines().filter(|line| line.starts_with("warning")).count()
    }
}
