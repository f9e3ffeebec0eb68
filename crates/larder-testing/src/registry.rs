//! A real registry on a free loopback port, in a temporary folder.
//!
//! Which one, the variable `LARDER_TEST_REGISTRY` says, so that every test of a registry runs against each of them (`scripts/registries`):
//!
//! | written | what |
//! |---|---|
//! | not set | Debian's `docker-registry`: distribution 2.8, which does not list referrers |
//! | `distribution=PROGRAM` | that program, a distribution 3, which does not either |
//! | `go-containerregistry` | the registry of that project, which does; built with [`crate::strangers`] |
//!
//! Stopped, by its process id, when it is dropped. Where it is not installed, tests say so and pass; with `REQUIRE_CLIENTS=1`
//! they fail.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::strangers;

/// Which program is a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Software {
    /// distribution 2 or 3: this program.
    Distribution(PathBuf),
    /// go-containerregistry's.
    GoContainerregistry,
}

/// With what a registry is run besides.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// A certificate and its key, in PEM: then it speaks TLS only. For distribution only.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl Software {
    /// Debian's distribution 2.8.
    #[must_use]
    pub fn debian() -> Self {
        Self::Distribution("docker-registry".into())
    }

    /// The one that the environment names.
    ///
    /// # Panics
    /// When what it names is none.
    #[must_use]
    pub fn chosen() -> Self {
        let chosen = std::env::var("LARDER_TEST_REGISTRY").unwrap_or_default();
        match chosen.split_once('=') {
            Some(("distribution", program)) => Self::Distribution(program.into()),
            None if chosen == "go-containerregistry" => Self::GoContainerregistry,
            None if chosen.is_empty() => Self::debian(),
            _ => panic!("`{chosen}` is no registry: `distribution=PROGRAM` or `go-containerregistry`"),
        }
    }

    /// Whether it lists referrers itself. The others have a tag that stands for the list.
    #[must_use]
    pub fn lists_referrers(&self) -> bool {
        matches!(self, Self::GoContainerregistry)
    }

    /// The command that serves `folder` on `port`.
    fn command(&self, folder: &Path, port: u16, setting: &Setting) -> std::io::Result<Command> {
        let data = folder.join("data");
        let program = match self {
            Self::GoContainerregistry => {
                let mut command = Command::new(strangers::program()?);
                command.arg("registry").arg(format!("127.0.0.1:{port}")).arg(data);
                return Ok(command);
            }
            Self::Distribution(program) => program,
        };
        let tls = setting.tls.as_ref().map_or(String::new(), |(certificate, key)| {
            format!(", tls: {{certificate: '{}', key: '{}'}}", certificate.display(), key.display())
        });
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage:\n  filesystem: {{rootdirectory: '{}'}}\n  delete: {{enabled: true}}\n\
             http: {{addr: '127.0.0.1:{port}', secret: test{tls}}}\n",
            data.display()
        );
        let config = folder.join("config.yml");
        std::fs::write(&config, text)?;
        let mut command = Command::new(program);
        // Distribution 3 would look for a collector of traces.
        command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
        Ok(command)
    }
}

/// A registry that runs.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    software: Software,
}

impl DockerRegistry {
    /// Starts one; `None` if it is not installed.
    ///
    /// # Panics
    /// With `REQUIRE_CLIENTS=1` when it is not installed; when it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(Software::chosen(), &Setting::default())
    }

    /// Starts this one, as [`start`](Self::start) does.
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn start_with(software: Software, setting: &Setting) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..5 {
            // Another process may take the port in between: then the next one.
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = free.expect("a free port").port();
            let log = std::fs::File::create(folder.path().join("log")).expect("a file in a temporary folder");
            let started = software.command(folder.path(), port, setting).and_then(|mut command| {
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
            });
            let mut child = match started {
                Ok(child) => child,
                Err(error) => {
                    skip(&format!("{software:?}"), &error);
                    return None;
                }
            };
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Self { child, port, folder, software });
                }
                if matches!(child.try_wait(), Ok(Some(_))) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
            let mut said = String::new();
            let log = std::fs::File::open(folder.path().join("log"));
            let _ = log.and_then(|mut log| log.read_to_string(&mut said));
            assert!(said.contains("in use"), "{software:?} does not start: {said}");
        }
        panic!("no port stays free long enough")
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it is.
    #[must_use]
    pub fn software(&self) -> &Software {
        &self.software
    }

    /// All blobs and links as files below its folder.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(&self.folder.path().join("data"), &mut found);
        found
    }
}

/// Whether a program can be started; if not, as for the registry.
///
/// # Panics
/// With `REQUIRE_CLIENTS=1` when it is not installed.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    let started = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.map_err(|error| skip(program, &error)).is_ok()
}

pub(crate) fn skip(program: &str, error: &std::io::Error) {
    crate::skipped(&format!("{program} cannot be started: {error}"));
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
