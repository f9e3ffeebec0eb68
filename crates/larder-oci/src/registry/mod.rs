//! The client for registries (distribution-spec 1.1).
//!
//! [`Registry`] is one host, and cheap to clone: connections, tokens and counters are shared by all clones. A
//! [`Repository`] is one name in it, and has the operations. What is not there is `None` or `false`, not an error.
//!
//! | file | what |
//! |---|---|
//! | `manifests` | look up, fetch, push, delete |
//! | `blobs` | ask for, push, mount |
//! | `read` | blobs read by range, resumed when the connection breaks |
//! | `lists` | tags, referrers |
//! | `auth`, `challenge` | what a 401 asks for; tokens, and when they end |
//! | `credentials`, `program` | logins from docker's and podman's files, and from the programs that they name |
//! | `wire` | one request: time limits, retries, redirects, counting |
//! | `errors` | what went wrong, in words |
//!
//! # What always holds
//! - Bytes are checked against the digest they were asked by, or the answer is an error.
//! - Credentials and tokens go to the registry's own address (scheme, host and port), and credentials to the realm that it names,
//!   nowhere else: not along a redirect, not to an upload's location on another host. Nothing goes from TLS to plain HTTP.
//! - Every answer has a largest size and a time limit ([`Patience`]).
//! - Dropping a future abandons its request, and nothing else.

pub(crate) mod auth;
mod blobs;
mod challenge;
pub mod credentials;
pub(crate) mod errors;
mod lists;
mod manifests;
mod program;
mod read;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use credentials::{Credentials, Environment, Login, Secret};
pub use errors::{Kind, RegistryError};
pub use lists::Tags;
pub use manifests::{PushedManifest, RawManifest};
pub use read::BlobReader;
pub use wire::Transfer;

use crate::reference::{Host, Reference, RepositoryName};
use wire::Wire;

/// What the registry's operations give.
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// How long a registry is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, for the first byte of an answer, and between two pieces of it.
    pub answer: Duration,
    /// For a body, in either direction, as bytes a second at least; three times `answer` is added, since things begin slowly.
    pub slowest: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(10), slowest: 64 << 10 }
    }
}

impl Patience {
    /// For a body of `length` bytes.
    fn body(&self, length: u64) -> Duration {
        self.answer * 3 + Duration::from_secs(length / self.slowest.max(1))
    }
}

/// What failures are tried again, and how often.
///
/// Tried again is what may pass: no connection, a broken connection, 429 and 5xx; never a time limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often one request is tried again.
    pub most: u32,
    /// The pause before the first; doubled each time.
    pub pause: Duration,
    /// A `Retry-After` that is longer is not waited for.
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 2, pause: Duration::from_millis(200), longest_pause: Duration::from_secs(5) }
    }
}

/// An HTTP proxy before the registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://host:port`, perhaps with user and password.
    pub url: String,
    /// Hosts that are reached without it, as in `NO_PROXY`.
    pub except: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address may hold a password.
        f.debug_struct("Proxy").field("except", &self.except).finish_non_exhaustive()
    }
}

impl Proxy {
    /// The proxy that programs use by habit for `host`: `HTTPS_PROXY` or `HTTP_PROXY` and `NO_PROXY`, in either case.
    #[must_use]
    pub fn from_environment(environment: &Environment, host: &Host) -> Option<Self> {
        let get = |name: &str| {
            environment
                .text(&name.to_lowercase())
                .or_else(|| environment.text(name))
                .filter(|value| !value.is_empty())
        };
        let url = get(if host.is_plain_http() { "HTTP_PROXY" } else { "HTTPS_PROXY" })
            .or_else(|| get("ALL_PROXY"))?;
        if host.is_loopback() {
            return None;
        }
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        Some(Self { url, except: get("NO_PROXY").unwrap_or_default().to_owned() })
    }
}

/// How a registry is spoken to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Who speaks.
    pub credentials: Credentials,
    /// How long it is waited for.
    pub patience: Patience,
    /// What is tried again.
    pub retries: Retries,
    /// A proxy before it.
    pub proxy: Option<Proxy>,
    /// Certificates of authorities to trust beside the system's, each file in PEM.
    pub certificates: Vec<Vec<u8>>,
}

/// A registry.
#[derive(Clone, Debug)]
pub struct Registry {
    wire: Arc<Wire>,
}

impl Registry {
    /// The registry on `host`. Connects to nothing yet.
    ///
    /// # Errors
    /// When certificates or the proxy's address cannot be read, or this machine trusts no authority at all.
    pub fn open(host: &Host, options: Options) -> Result<Self> {
        Ok(Self { wire: Arc::new(Wire::open(host, options)?) })
    }

    /// Where it is.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.wire.host()
    }

    /// A repository in it.
    #[must_use]
    pub fn repository(&self, name: &RepositoryName) -> Repository {
        Repository { wire: self.wire.clone(), name: name.clone() }
    }

    /// Whether it is a registry, answers, and takes the credentials (distribution-spec, "Determining Support").
    pub async fn ping(&self) -> Result<()> {
        self.wire.ping().await
    }

    /// What was moved so far, by all clones and repositories.
    #[must_use]
    pub fn moved(&self) -> Transfer {
        self.wire.moved()
    }
}

/// A repository in a registry.
#[derive(Clone, Debug)]
pub struct Repository {
    wire: Arc<Wire>,
    name: RepositoryName,
}

impl Repository {
    /// The repository of `reference`, on a connection of its own.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn open(reference: &Reference, options: Options) -> Result<Self> {
        Ok(Registry::open(reference.host(), options)?.repository(reference.repository()))
    }

    /// The registry that it is in.
    #[must_use]
    pub fn registry(&self) -> Registry {
        Registry { wire: self.wire.clone() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }
}
