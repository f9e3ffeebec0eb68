//! Remote tiers behind a cache: described by [`TierConfig`], wherever the description comes from.
//!
//! Whoever embeds Larder describes tiers and hands them to [`Cache::with_tiers`](crate::Cache::with_tiers); [`project`]
//! describes those that a project's configuration names. From there on it is one path.

pub mod project;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use larder_core::{Error, ErrorKind, Result};
use larder_remote::azure::{self, AzureConfig};
use larder_remote::bucket::BucketOptions;
use larder_remote::gcs::{self, GcsConfig};
use larder_remote::oci::{self, OciConfig};
use larder_remote::packed::PackOptions;
use larder_remote::packed::seal::Seal;
use larder_remote::reapi::{self, ReapiConfig, ReapiOptions};
use larder_remote::s3::{self, S3Config};
use larder_remote::tiers::Configured;
use larder_remote::{Tier, dir};
use larder_store::Store;
use larder_store::trust::Policy;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

pub use larder_remote::tiers::{Runtime, Sent, Warning};
pub use project::{Opened, configured, open};

const OPEN: &str = "open a cache tier";

/// Where a tier is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Place {
    /// A bucket of S3, or of anything that speaks its protocol.
    S3(S3Config),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsConfig),
    /// A container of Azure Blob Storage.
    Azure(AzureConfig),
    /// A shared folder, which must exist.
    Dir(PathBuf),
    /// A repository of an OCI registry.
    Oci(OciConfig),
    /// A server of the Remote Execution API.
    Reapi(ReapiConfig),
    /// A tier of the caller's own.
    Own(Arc<dyn Tier>),
}

macro_rules! places {
    ($($config:ty => $place:ident),*) => { $(
        impl From<$config> for Place {
            fn from(config: $config) -> Self {
                Self::$place(config)
            }
        }
    )* };
}
places!(
    S3Config => S3, GcsConfig => Gcs, AzureConfig => Azure, PathBuf => Dir, OciConfig => Oci,
    ReapiConfig => Reapi, Arc<dyn Tier> => Own
);

/// A remote tier, described: where it is, who asks, how it is used. Nothing is opened.
///
/// ```
/// use larder::remote::s3::S3Config;
/// use larder::tiers::TierConfig;
///
/// let bucket = S3Config { bucket: "team-cache".into(), region: Some("eu-central-1".into()), endpoint: None };
/// let tier = TierConfig::new(bucket)
///     .prefix("my-tool")
///     .credentials([("AWS_ACCESS_KEY_ID", "…"), ("AWS_SECRET_ACCESS_KEY", "…")]);
/// assert_eq!(tier.name(), "s3");
/// # assert!(!format!("{tier:?}").contains('…'));
/// ```
#[derive(Clone)]
pub struct TierConfig {
    place: Place,
    prefix: String,
    credentials: Arc<[(String, String)]>,
    level: Option<i32>,
    encryption: Option<Zeroizing<Vec<u8>>>,
    read_only: bool,
}

impl fmt::Debug for TierConfig {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials: Vec<&str> = self.credentials.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("TierConfig")
            .field("place", &self.place)
            .field("prefix", &self.prefix)
            .field("credentials", &credentials)
            .field("encrypted", &self.encryption.is_some())
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

impl TierConfig {
    /// The tier at `place`: an `S3Config`, `GcsConfig`, `AzureConfig`, `OciConfig`, `ReapiConfig`, or the `PathBuf` of a
    /// shared folder.
    pub fn new(place: impl Into<Place>) -> Self {
        Self {
            place: place.into(),
            prefix: String::new(),
            credentials: Arc::default(),
            level: None,
            encryption: None,
            read_only: false,
        }
    }

    /// A tier of your own.
    pub fn own(tier: impl Tier + 'static) -> Self {
        Self::new(Place::Own(Arc::new(tier)))
    }

    /// Who asks, as the variables by which the cloud's own tools know it: `AWS_ACCESS_KEY_ID` and so on, as listed in
    /// `docs/guides/remote-cache.md`. Others are ignored, so [`std::env::vars`] may be given. Nothing is taken from the
    /// environment that is not given here.
    #[must_use]
    pub fn credentials<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        self.credentials = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// What stands before the names of all objects: a folder of the bucket, so that several can share it. Buckets and
    /// shared folders only.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The zstd level of what is sent, 0 to 19; 0 sends raw, 3 is usual. A tier of your own does as it likes.
    #[must_use]
    pub fn compression(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Encrypts everything before it is sent, with a secret of at least 16 bytes that all who share the tier have. Not for
    /// REAPI servers and tiers of your own.
    #[must_use]
    pub fn encrypted_with(mut self, secret: &[u8]) -> Self {
        self.encryption = Some(Zeroizing::new(secret.to_vec()));
        self
    }

    /// Never sends anything there.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The tier's name, as events and [`Hit::tier`](larder_store::store::Hit::tier) tell it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.place {
            Place::S3(_) => s3::NAME,
            Place::Gcs(_) => gcs::NAME,
            Place::Azure(_) => azure::NAME,
            Place::Dir(_) => dir::NAME,
            Place::Oci(_) => oci::NAME,
            Place::Reapi(_) => reapi::NAME,
            Place::Own(tier) => tier.name(),
        }
    }

    /// Opens the tier by itself, to examine it or to delete what is old there. Nothing is asked of it yet.
    ///
    /// # Errors
    /// `Invalid` when the description makes no sense, `Permission` when credentials are missing.
    pub fn open(&self) -> Result<Arc<dyn Tier>> {
        let seal = self.seal()?;
        let invalid = |what: &'static str, hint: &'static str| {
            Error::new(ErrorKind::Invalid, OPEN).with("tier", self.name()).with_message(what).with_hint(hint)
        };
        if seal.is_some() && matches!(self.place, Place::Reapi(_) | Place::Own(_)) {
            return Err(invalid(
                "nothing can be encrypted on a server of this kind",
                "remove the tier's `encryption`, or the tier: nothing is sent to it",
            ));
        }
        if !self.prefix.is_empty() && matches!(self.place, Place::Oci(_) | Place::Reapi(_) | Place::Own(_)) {
            return Err(invalid("only buckets and shared folders have a prefix", "remove the tier's prefix"));
        }
        let level = self.level.unwrap_or_else(|| PackOptions::default().level);
        let options = BucketOptions {
            prefix: self.prefix.clone(),
            packs: PackOptions { level, seal },
            ..BucketOptions::default()
        };
        let environment = &self.credentials;
        let tier = match &self.place {
            Place::S3(config) => s3::open(config, environment, options)?,
            Place::Gcs(config) => gcs::open(config, environment, options)?,
            Place::Azure(config) => azure::open(config, environment, options)?,
            Place::Dir(path) => dir::open(path, options)?,
            Place::Oci(config) => oci::open(config, environment, options.packs, options.patience)?,
            Place::Reapi(config) => {
                let options = ReapiOptions { level, patience: options.patience };
                return Ok(Arc::new(reapi::open(config, environment, options)?));
            }
            Place::Own(tier) => return Ok(tier.clone()),
        };
        Ok(Arc::new(tier))
    }

    fn seal(&self) -> Result<Option<Seal>> {
        self.encryption.as_ref().map(|secret| Seal::new(secret)).transpose()
    }

    /// What tells the tier from any other for ever. What it had in plain form, or under another key, it does not have
    /// under this one.
    fn identity(&self) -> String {
        let place = match &self.place {
            Place::S3(config) => s3::identity(config, &self.credentials),
            Place::Gcs(config) => gcs::identity(config),
            Place::Azure(config) => azure::identity(config),
            Place::Dir(path) => dir::identity(path),
            Place::Oci(config) => oci::identity(config),
            Place::Reapi(config) => reapi::identity(config),
            Place::Own(tier) => tier.identity(),
        };
        let sealed_with = self.seal().ok().flatten().map_or(String::new(), |seal| seal.id());
        format!("{place}#{}#{sealed_with}", self.prefix)
    }

    /// The tier, opened when it is first needed. `writes`: whether results may be sent to tiers at all.
    pub(crate) fn configured(self, writes: bool) -> Configured {
        Configured {
            name: self.name(),
            identity: self.identity(),
            write: writes && !self.read_only,
            // A key that cannot be used is said then, and nothing is sent without it.
            open: Box::new(move || self.open()),
        }
    }

    /// The tier, opened now, so that what is wrong with it is known now.
    pub(crate) fn configured_open(self, writes: bool) -> Result<Configured> {
        let tier = self.open()?;
        Ok(Configured { open: Box::new(move || Ok(tier.clone())), ..self.configured(writes) })
    }
}

/// What a store may do with others, by what it signs with and whom it trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// It would believe nothing that it found, and nobody would believe it.
    Nothing,
    /// It believes others, and cannot sign.
    Reads,
    /// It believes others, and others it.
    Both,
}

impl Sharing {
    pub(crate) fn of(store: &Store) -> Self {
        match store.trust().policy() {
            Policy::OwnOnly => Self::Nothing,
            Policy::Off => Self::Both,
            _ if store.signer().signs() => Self::Both,
            _ => Self::Reads,
        }
    }
}

/// A runtime for tiers with two threads of its own, made when it is first asked for.
#[must_use]
pub fn runtime() -> Runtime {
    let own = OwnRuntime::default();
    Runtime::when_needed(move || own.handle())
}

#[derive(Default)]
struct OwnRuntime(OnceLock<std::io::Result<tokio::runtime::Runtime>>);

impl OwnRuntime {
    fn handle(&self) -> Result<Handle> {
        let made = self.0.get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("larder-tiers")
                .enable_all()
                .build()
        });
        made.as_ref()
            .map(|runtime| runtime.handle().clone())
            .map_err(|error| Error::new(ErrorKind::Io, "start a runtime").with_message(error.to_string()))
    }
}

impl Drop for OwnRuntime {
    /// Without waiting, which a thread of another runtime must not do: who waits is [`Tiers`](larder_remote::Tiers).
    fn drop(&mut self) {
        if let Some(Ok(runtime)) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
