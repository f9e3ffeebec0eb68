//! Tiers as a project's configuration names them. Nothing is opened before the first question.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use larder_remote::azure::AzureConfig;
use larder_remote::gcs::GcsConfig;
use larder_remote::oci::OciConfig;
use larder_remote::reapi::ReapiConfig;
use larder_remote::s3::S3Config;
use larder_remote::tiers::{Configured, Warning};
use larder_remote::{Tiers, TiersOptions};
use larder_run::config::CacheConfig;
use larder_run::config::settings::{Encryption, RemoteKind, RemoteTier};
use larder_store::Store;

use super::{Place, Sharing, TierConfig, runtime};
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

/// The tiers of `cache`, behind `store`. `sends`: whether they get what the store has, if it may be sent.
#[must_use]
pub fn open(cache: &CacheConfig, root: &Path, store: &Store, around: &Surroundings, sends: bool) -> Opened {
    if !cache.remotes.enabled || cache.remotes.tiers.is_empty() {
        return Opened::None;
    }
    let writes = match Sharing::of(store) {
        Sharing::Nothing => {
            return Opened::Unusable(Warning {
                message: "remote tiers are not used: there is no key to sign or to verify results with"
                    .into(),
                hint: Some(
                    "trust the key of who fills them (`larder key trust`), or set LARDER_CACHE_SECRET to a secret \
                     that your team shares"
                        .into(),
                ),
            });
        }
        Sharing::Reads => false,
        Sharing::Both => sends,
    };
    let configured = configured(cache, root, around, writes);
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
    let configure = |tier| {
        let described = TierConfig { credentials: environment.clone(), ..describe(tier, root, around) };
        described.configured(writes)
    };
    tiers.into_iter().map(configure).collect()
}

fn describe(tier: &RemoteTier, root: &Path, around: &Surroundings) -> TierConfig {
    let kind = tier.kind.clone();
    let (place, prefix): (Place, Option<String>) = match kind {
        RemoteKind::S3 { bucket, region, prefix, endpoint } => {
            (S3Config { bucket, region, endpoint }.into(), prefix)
        }
        RemoteKind::Gcs { bucket, prefix, endpoint } => (GcsConfig { bucket, endpoint }.into(), prefix),
        RemoteKind::Azure { account, container, prefix, endpoint } => {
            (AzureConfig { account, container, endpoint }.into(), prefix)
        }
        RemoteKind::Dir { path } => (Place::Dir(root.join(path)), None),
        RemoteKind::Oci { reference } => (OciConfig { reference }.into(), None),
        RemoteKind::Reapi { endpoint, instance } => {
            (ReapiConfig { endpoint, instance: instance.unwrap_or_default() }.into(), None)
        }
    };
    let mut config = TierConfig::new(place).prefix(prefix.unwrap_or_default());
    if let Some(level) = tier.compression_level {
        config = config.compression(i32::try_from(level).unwrap_or(19));
    }
    match &tier.encryption {
        None => config,
        Some(Encryption::Key(secret)) => config.encrypted_with(secret.reveal().as_bytes()),
        // Without one, nothing is sent: an empty key is refused when the tier is opened.
        Some(Encryption::Environment) => {
            config.encrypted_with(around.keys.tier_key.as_deref().map_or(&[][..], |key| &key[..]))
        }
    }
}
