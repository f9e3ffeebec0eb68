//! The programs that Larder is measured beside, and where they are.
//!
//! Backup stores, `cp`, `git`, `tar` and `zstd` are taken from `PATH`; turbo, moon and nx from `LARDER_BENCH_TURBO`, `…_MOON` and `…_NX`
//! (`node_modules/.bin/nx`), or installed with `npm` into the cache folder; bake from `LARDER_BENCH_BAKE`; s3s-fs from `LARDER_BENCH_S3S_FS` or `PATH`; Larder from `LARDER_BENCH_LARDER`, or built. What is not
//! there is reported with the reason, never skipped in silence. Nothing is written into the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// The versions that are compared.
const TURBO: &str = "2.11.11";
const MOON: &str = "2.5.5";
const NX: &str = "24.0.6";

/// A program, or why there is none.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its path.
    pub(crate) path: std::result::Result<String, String>,
}

impl Peer {
    /// First line with a number of what it says about its version.
    pub(crate) fn version(&self) -> Option<String> {
        let flag = if ["restic", "rclone"].contains(&self.name) { "version" } else { "--version" };
        let output = Command::new(self.path.as_ref().ok()?).arg(flag).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit())).unwrap_or("unknown");
        Some(format!("{}: {}", self.name, line))
    }
}

/// A program of `PATH`.
pub(crate) fn in_path(name: &'static str) -> Peer {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    let path = found.map(|file| file.display().to_string()).ok_or_else(|| format!("{name}: not in PATH"));
    Peer { name, path }
}

fn from_variable(variable: &str) -> Option<std::result::Result<String, String>> {
    let value = std::env::var(variable).ok()?;
    let exists = Path::new(&value).is_file();
    Some(if exists { Ok(value) } else { Err(format!("`{variable}` names no file: {value}")) })
}

/// bake, by its variable only.
pub(crate) fn bake() -> Peer {
    let path = from_variable("LARDER_BENCH_BAKE");
    Peer {
        name: "bake",
        path: path.unwrap_or_else(|| Err("bake: `LARDER_BENCH_BAKE` is not set".to_owned())),
    }
}

/// The server of buckets.
pub(crate) fn s3s_fs() -> Peer {
    let path = from_variable("LARDER_BENCH_S3S_FS").unwrap_or_else(|| {
        in_path("s3s-fs").path.map_err(|_| {
            "s3s-fs: not in PATH, and `LARDER_BENCH_S3S_FS` is not set (scripts/cloud-servers builds it)"
                .to_owned()
        })
    });
    Peer { name: "s3s-fs", path }
}

/// turbo's native program (without node's start-up, to its advantage).
pub(crate) fn turbo(cache: &Path) -> Peer {
    let dir = cache.join("turbo");
    from_npm("turbo", "LARDER_BENCH_TURBO", &dir, &format!("turbo@{TURBO}"), || {
        native(&dir.join("node_modules/@turbo"), "bin/turbo")
    })
}

/// moon's native program (the same).
pub(crate) fn moon(cache: &Path) -> Peer {
    let dir = cache.join("moon");
    from_npm("moon", "LARDER_BENCH_MOON", &dir, &format!("@moonrepo/cli@{MOON}"), || {
        native(&dir.join("node_modules/@moonrepo"), "moon")
    })
}

/// nx, a program of node.
pub(crate) fn nx(cache: &Path) -> Peer {
    let dir = cache.join("nx");
    from_npm("nx", "LARDER_BENCH_NX", &dir, &format!("nx@{NX}"), || {
        let program = dir.join("node_modules/.bin/nx");
        if program.is_file() { Ok(program.display().to_string()) } else { Err("npm made no `nx`".into()) }
    })
}

/// The program that a variable names, or that `find` finds once the package is installed in `dir`.
fn from_npm(
    name: &'static str,
    variable: &str,
    dir: &Path,
    package: &str,
    find: impl Fn() -> Result<String>,
) -> Peer {
    let installed = || find().or_else(|_| install(dir, package).and_then(|()| find()));
    let path = from_variable(variable)
        .unwrap_or_else(|| installed().map_err(|error| format!("{name}: {error} ({package})")));
    Peer { name, path }
}

fn install(dir: &Path, package: &str) -> Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("package.json"), r#"{"name":"larder-bench-peers","private":true}"#)?;
    let done = Command::new("npm").args(["install", "--silent", package]).current_dir(dir).status()?;
    if done.success() { Ok(()) } else { Err(format!("npm ended with {done}").into()) }
}

/// `tail` in one of the packages of a scope, of which there is one for this machine.
fn native(scope: &Path, tail: &str) -> Result<String> {
    for entry in fs::read_dir(scope)? {
        let program = entry?.path().join(tail);
        if program.is_file() {
            return Ok(program.display().to_string());
        }
    }
    Err(format!("no native program below {}", scope.display()).into())
}

/// Larder itself.
pub(crate) fn larder() -> Peer {
    let path = from_variable("LARDER_BENCH_LARDER")
        .unwrap_or_else(|| build_larder().map_err(|error| format!("larder: {error}")));
    Peer { name: "larder", path }
}

fn build_larder() -> Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let done = Command::new(&cargo).args(["build", "--quiet", "--release", "-p", "larder-cli"]).status()?;
    if !done.success() {
        return Err(format!("`cargo build` ended with {done}").into());
    }
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec()?;
    let path: PathBuf = metadata.target_directory.join("release/larder").into();
    if path.is_file() { Ok(path.display().to_string()) } else { Err("the build made no `larder`".into()) }
}

/// What the figures depend on: processor, cores, kernel, file system of `work`.
pub(crate) fn machine(work: &Path) -> Vec<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let say = |program: &str, args: &[&str]| {
        let output =
            Command::new(program).args(args).output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).lines().last().unwrap_or("").trim().to_owned()
    };
    let kernel = say("uname", &["-sr"]);
    let file_system = say("df", &["--output=fstype", &work.display().to_string()]);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    vec![
        model.to_owned(),
        format!("{cores} cores"),
        kernel,
        file_system,
        format!("load before {}", load.trim()),
    ]
}
