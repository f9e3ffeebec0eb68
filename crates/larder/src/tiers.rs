//! Remote tiers, wired from a project's configuration. Nothing is opened before the first question.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use larder_core::{Error, ErrorKind, Result};
use larder_remote::bucket::BucketOptions;
use larder_remote::packed::PackOptions;
use larder_remote::packed::seal::Seal;
use larder_remote::tiers::{Configured, Open, Runtime, Warning};
use larder_remote::{Tier, Tiers, TiersOptions, azure, dir, gcs, oci, reapi, s3};
use larder_run::config::CacheConfig;
use larder_run::config::settings::{RemoteKind, RemoteTier};
use larder_store::Store;
use larder_store::trust::Policy;

use crate::project::Surroundings;

/// The tiers of a project, or why they are not used.
#[derive(Debug)]
pub enum Opened {
    /// None is configured, or they are switched off.
    None,
    /// They are configured and cannot be used.
    Unusable(Warning),
    /// They stand behind the store.
    Ready(Tiers),
}

/// The tiers of `cache`, behind `store`.
#[must_use]
pub fn open(cache: &CacheConfig, root: &Path, store: &Store, around: &Surroundings) -> Opened {
    if !cache.remotes.enabled || cache.remotes.tiers.is_empty() {
        return Opened::None;
    }
    if store.trust().policy() == Policy::OwnOnly {
        return Opened::Unusable(Warning {
            message: "remote tiers are not used: there is no key to sign or to verify results with".into(),
            hint: Some(
                "trust the key of who fills them (`larder key trust`), or set LARDER_CACHE_SECRET to a secret that your \
                 team shares"
                    .into(),
            ),
        });
    }
    let signs = store.signer().signs() || store.trust().policy() == Policy::Off;
    let configured = configured(cache, root, around, signs);
    Opened::Ready(Tiers::new(store.clone(), configured, runtime(), TiersOptions::default()))
}

/// The tiers that `cache` names, in the order in which they are asked. Nothing is opened yet.
/// `writes`: whether results may be sent there.
#[must_use]
pub fn configured(cache: &CacheConfig, root: &Path, around: &Surroundings, writes: bool) -> Vec<Configured> {
    let text =
        |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
    let environment: Arc<[(String, String)]> = around.environment.iter().filter_map(text).collect();
    let mut tiers: Vec<&RemoteTier> = cache.remotes.tiers.iter().collect();
    let place = |tier: &&RemoteTier| {
        cache.order.iter().position(|name| name == tier.kind.name()).unwrap_or(usize::MAX)
    };
    tiers.sort_by_key(place);
    tiers.into_iter().map(|tier| configure(tier, root, &environment, writes)).collect()
}

/// A runtime for tiers, made when it is first asked for; it ends when this is dropped.
#[must_use]
pub fn runtime() -> Runtime {
    let runtime: OnceLock<std::io::Result<tokio::runtime::Runtime>> = OnceLock::new();
    Box::new(move || {
        let made = runtime.get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("larder-tiers")
                .enable_all()
                .build()
        });
        made.as_ref()
            .map(|runtime| runtime.handle().clone())
            .map_err(|error| Error::new(ErrorKind::Io, "start a runtime").with_message(error.to_string()))
    })
}

fn configure(
    tier: &RemoteTier,
    root: &Path,
    environment: &Arc<[(String, String)]>,
    signs: bool,
) -> Configured {
    let environment = environment.clone();
    let (place, prefix) = place(&tier.kind, root);
    let level = tier.compression_level.map_or(3, |level| i32::try_from(level).unwrap_or(19));
    let secret = tier.encryption.clone();
    let seal = move || secret.as_ref().map(|secret| Seal::new(secret.reveal().as_bytes())).transpose();
    // What a tier had in plain form, or under another key, it does not have under this one.
    let sealed_with = seal().ok().flatten().map_or(String::new(), |seal| seal.id());
    let identity = format!("{}#{prefix}#{sealed_with}", place.identity(&environment));
    let open: Open = Box::new(move || {
        // A key that cannot be used is said, and nothing is sent without it.
        let packs = PackOptions { level, seal: seal()? };
        place.open(&environment, BucketOptions { prefix: prefix.clone(), packs, ..BucketOptions::default() })
    });
    let name = tier.kind.name();
    Configured { name, identity, open, read: true, write: signs }
}

/// A tier's place, as the crate for tiers wants it.
enum Place {
    S3(s3::S3Config),
    Gcs(gcs::GcsConfig),
    Azure(azure::AzureConfig),
    Dir(std::path::PathBuf),
    Oci(oci::OciConfig),
    Reapi(reapi::ReapiConfig),
}

fn place(kind: &RemoteKind, root: &Path) -> (Place, String) {
    let kind = kind.clone();
    let (place, prefix) = match kind {
        RemoteKind::S3 { bucket, region, prefix, endpoint } => {
            (Place::S3(s3::S3Config { bucket, region, endpoint }), prefix)
        }
        RemoteKind::Gcs { bucket, prefix, endpoint } => {
            (Place::Gcs(gcs::GcsConfig { bucket, endpoint }), prefix)
        }
        RemoteKind::Azure { account, container, prefix, endpoint } => {
            (Place::Azure(azure::AzureConfig { account, container, endpoint }), prefix)
        }
        RemoteKind::Dir { path } => (Place::Dir(root.join(path)), None),
        RemoteKind::Oci { reference } => (Place::Oci(oci::OciConfig { reference }), None),
        RemoteKind::Reapi { endpoint, instance } => {
            (Place::Reapi(reapi::ReapiConfig { endpoint, instance: instance.unwrap_or_default() }), None)
        }
    };
    (place, prefix.unwrap_or_default())
}

impl Place {
    fn identity(&self, environment: &[(String, String)]) -> String {
        match self {
            Self::S3(config) => s3::identity(config, environment),
            Self::Gcs(config) => gcs::identity(config),
            Self::Azure(config) => azure::identity(config),
            Self::Dir(path) => dir::identity(path),
            Self::Oci(config) => oci::identity(config),
            Self::Reapi(config) => reapi::identity(config),
        }
    }

    fn open(&self, environment: &[(String, String)], options: BucketOptions) -> Result<Arc<dyn Tier>> {
        let tier = match self {
            Self::S3(config) => s3::open(config, environment, options)?,
            Self::Gcs(config) => gcs::open(config, environment, options)?,
            Self::Azure(config) => azure::open(config, environment, options)?,
            Self::Dir(path) => dir::open(path, options)?,
            Self::Oci(config) => oci::open(config, environment, options.packs, options.patience)?,
            Self::Reapi(_) if options.packs.seal.is_some() => {
                return Err(Error::new(ErrorKind::Invalid, "open a cache tier")
                    .with_message("nothing can be encrypted on a server of this kind")
                    .with_hint("remove the tier's `encryption`, or the tier: nothing is sent to it"));
            }
            Self::Reapi(config) => {
                let BucketOptions { packs, patience, .. } = options;
                let options = reapi::ReapiOptions { level: packs.level, patience };
                return Ok(Arc::new(reapi::open(config, environment, options)?));
            }
        };
        Ok(Arc::new(tier))
    }
}
