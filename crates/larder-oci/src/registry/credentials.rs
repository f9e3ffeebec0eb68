//! Logins: given by the caller, or found in docker's and podman's files.
//!
//! # Files, in this order; the first with an entry for the registry wins
//! 1. `$REGISTRY_AUTH_FILE` (podman, skopeo)
//! 2. `$DOCKER_CONFIG/config.json`
//! 3. `$XDG_RUNTIME_DIR/containers/auth.json`
//! 4. `$XDG_CONFIG_HOME/containers/auth.json`, else `$HOME/.config/containers/auth.json`
//! 5. `$HOME/.docker/config.json`, if `DOCKER_CONFIG` is not set
//!
//! # In a file
//! `credHelpers` for this registry, then `auths` with something in it (podman's keys may name a repository or a part of the way to it:
//! the longest wins), then `credsStore`. Programs are run as `program.rs` says.
//!
//! The environment is the caller's: this library reads none. Files are read when a registry first asks who is there.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::program;
use crate::reference::{Host, RepositoryName};

/// The longest file of credentials that is read.
const LONGEST_FILE: u64 = 1 << 20;

/// Text that is not shown, and does not linger in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Who speaks to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody in particular.
    Anonymous,
    /// A user.
    Password {
        /// The name.
        user: String,
        /// The password, or a token in its place.
        password: Secret,
    },
    /// Exchanged for tokens at the registry's token server (docker's `identitytoken`).
    IdentityToken(Secret),
    /// Sent to the registry as it is (docker's `registrytoken`).
    RegistryToken(Secret),
}

/// Variables and their values, as a process has them; handed in, never read here.
#[derive(Clone, Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The same, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Where a login comes from.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// There is none.
    #[default]
    Anonymous,
    /// This one.
    Login(Login),
    /// Docker's and podman's files, found by these variables.
    Files(Arc<Environment>),
}

impl Credentials {
    /// From docker's and podman's files, found by the variables of `environment`: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`,
    /// `XDG_RUNTIME_DIR`, `XDG_CONFIG_HOME`, `HOME`; programs are looked for in `PATH`, and get all of it.
    #[must_use]
    pub fn files(environment: Environment) -> Self {
        Self::Files(Arc::new(environment))
    }

    /// The login for a registry, and for a repository in it.
    ///
    /// # Errors
    /// When a file or program that is there cannot be understood. No login at all is [`Login::Anonymous`].
    pub async fn login(
        &self,
        host: &Host,
        repository: Option<&RepositoryName>,
    ) -> Result<Login, CredentialsError> {
        match self {
            Self::Anonymous => Ok(Login::Anonymous),
            Self::Login(login) => Ok(login.clone()),
            Self::Files(environment) => {
                let (environment, host, repository) =
                    (environment.clone(), host.clone(), repository.cloned());
                let found =
                    tokio::task::spawn_blocking(move || find(&environment, &host, repository.as_ref()));
                found.await.unwrap_or(Err(CredentialsError::Aborted))
            }
        }
    }
}

/// Why a login could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file of credentials could not be read.
    #[error("`{path}` cannot be read: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A program that keeps credentials did not give any.
    #[error("`{program}` {why}")]
    Program {
        /// Its name.
        program: String,
        /// What became of it.
        why: String,
    },
    /// The look-up ended before it was done.
    #[error("the look-up of credentials was broken off")]
    Aborted,
}

impl CredentialsError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "mend the file, or log in anew with `docker login` or `podman login`",
            Self::Program { .. } => {
                "run the program's `get` by hand to see why, or take it out of `credsStore` and `credHelpers` in docker's `config.json`"
            }
            Self::Aborted => "try again",
        }
    }
}

/// A file of credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: Option<HashMap<String, Entry>>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: Option<HashMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    identitytoken: Option<Secret>,
    #[serde(default)]
    registrytoken: Option<Secret>,
}

/// Where files of credentials may be.
fn paths(environment: &Environment) -> Vec<PathBuf> {
    let at = |name: &str, below: &str| environment.get(name).map(|folder| Path::new(folder).join(below));
    let docker = at("DOCKER_CONFIG", "config.json");
    let home = if docker.is_none() { at("HOME", ".docker/config.json") } else { None };
    let podman = at("XDG_CONFIG_HOME", "containers/auth.json");
    [
        environment.get("REGISTRY_AUTH_FILE").map(PathBuf::from),
        docker,
        at("XDG_RUNTIME_DIR", "containers/auth.json"),
        podman.or_else(|| at("HOME", ".config/containers/auth.json")),
        home,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn find(
    environment: &Environment,
    host: &Host,
    repository: Option<&RepositoryName>,
) -> Result<Login, CredentialsError> {
    for path in paths(environment) {
        let Some(file) = read(&path)? else { continue };
        if let Some(login) = file.login(&path, environment, host, repository)? {
            tracing::debug!(registry = %host, path = %path.display(), "login found");
            return Ok(login);
        }
    }
    Ok(Login::Anonymous)
}

fn read(path: &Path) -> Result<Option<File>, CredentialsError> {
    use std::io::{ErrorKind, Read as _};
    let wrong = |why: String| CredentialsError::File { path: path.to_owned(), why };
    let missing =
        |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied);
    let status = match std::fs::metadata(path) {
        Ok(status) => status,
        Err(error) if missing(error.kind()) => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    if !status.is_file() {
        return Ok(None);
    }
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut text = Zeroizing::new(Vec::new());
    file.take(LONGEST_FILE + 1).read_to_end(&mut text).map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(wrong("it is longer than 1 MiB".to_owned()));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    // The parser's message may quote what it read: only the place is told.
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|error| {
        wrong(format!(
            "it is not of the form that it must be (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

impl File {
    fn login(
        &self,
        path: &Path,
        environment: &Environment,
        host: &Host,
        repository: Option<&RepositoryName>,
    ) -> Result<Option<Login>, CredentialsError> {
        let keys = keys(host, repository);
        let by_key = keys.iter().find_map(|key| {
            let programs = self.cred_helpers.as_ref()?;
            programs.get(key).map(|program| (program, key))
        });
        if let Some((program, key)) = by_key {
            // It stands for this registry alone: what it has not, nobody has.
            let found = program::get(environment, program, &server(host, key))?;
            return Ok(Some(found.unwrap_or(Login::Anonymous)));
        }
        let wrong = |why: &str| CredentialsError::File { path: path.to_owned(), why: why.to_owned() };
        let entries: HashMap<String, &Entry> =
            self.auths.iter().flatten().map(|(key, entry)| (plain(key), entry)).collect();
        for key in &keys {
            if let Some(entry) = entries.get(key)
                && let Some(login) =
                    entry.login().map_err(|()| wrong(&format!("its entry for `{key}` is broken")))?
            {
                return Ok(Some(login));
            }
        }
        match &self.creds_store {
            Some(program) if !program.is_empty() => {
                program::get(environment, program, &server(host, &host.to_string()))
            }
            _ => Ok(None),
        }
    }
}

/// What programs know a registry as.
fn server(host: &Host, key: &str) -> String {
    if host.is_docker() { "https://index.docker.io/v1/".to_owned() } else { key.to_owned() }
}

/// What a registry may be called in a file, the most telling first.
fn keys(host: &Host, repository: Option<&RepositoryName>) -> Vec<String> {
    let host_name = host.to_string();
    let mut keys = Vec::new();
    let mut path = repository.map(|name| format!("{host_name}/{name}"));
    while let Some(key) = path.filter(|key| key.len() > host_name.len()) {
        path = key.rsplit_once('/').map(|(shorter, _)| shorter.to_owned());
        keys.push(key);
    }
    keys.push(host_name);
    if host.is_docker() {
        keys.extend(
            ["index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"].map(str::to_owned),
        );
    }
    keys
}

/// A file's key without what old versions of docker wrote around it.
fn plain(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    key.to_owned()
}

impl Entry {
    /// The login in it; `None` if it is empty, as docker writes it when a program keeps the login.
    fn login(&self) -> Result<Option<Login>, ()> {
        let some = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.reveal().is_empty());
        if let Some(token) = some(&self.identitytoken) {
            return Ok(Some(Login::IdentityToken(token)));
        }
        if let Some(token) = some(&self.registrytoken) {
            return Ok(Some(Login::RegistryToken(token)));
        }
        if let Some(auth) = some(&self.auth) {
            let pair = Zeroizing::new(BASE64_STANDARD.decode(auth.reveal().trim()).map_err(drop)?);
            let pair = std::str::from_utf8(&pair).map_err(drop)?;
            let (user, password) = pair.split_once(':').ok_or(())?;
            // Docker once padded passwords with zero bytes.
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Login::Password { user: user.to_owned(), password }));
        }
        match (&self.username, some(&self.password)) {
            (Some(user), Some(password)) => Ok(Some(Login::Password { user: user.clone(), password })),
            _ => Ok(None),
        }
    }
}
