//! A real registry: Debian's `docker-registry` (2.8, without referrers) on a free loopback port, in a temporary folder.
//!
//! Stopped, by its process id, when it is dropped. Where it is not installed, tests say so and pass; with `REQUIRE_CLIENTS=1`
//! they fail.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A registry that runs.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl DockerRegistry {
    /// Starts one; `None` if it is not installed.
    ///
    /// # Panics
    /// With `REQUIRE_CLIENTS=1` when it is not installed; when it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..5 {
            // Another process may take the port in between: then the next one.
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = free.expect("a free port").port();
            let config = folder.path().join("config.yml");
            let text = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage:\n  filesystem: {{rootdirectory: '{}'}}\n  delete: {{enabled: true}}\n\
                 http: {{addr: '127.0.0.1:{port}'}}\n",
                folder.path().join("data").display()
            );
            std::fs::write(&config, text).expect("a file in a temporary folder");
            let started = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn();
            let mut child = match started {
                Ok(child) => child,
                Err(error) => {
                    skip("docker-registry", &error);
                    return None;
                }
            };
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Self { child, port, folder });
                }
                if matches!(child.try_wait(), Ok(Some(_))) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let mut said = String::new();
            let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
            let _ = child.wait();
            assert!(said.contains("in use"), "docker-registry does not start: {said}");
        }
        panic!("no port stays free long enough")
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
        walk(self.folder.path(), &mut found);
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
    let required = std::env::var_os("REQUIRE_CLIENTS").is_some_and(|value| value == "1");
    assert!(!required, "{program} is required and cannot be started: {error}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {program} cannot be started: {error}");
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
