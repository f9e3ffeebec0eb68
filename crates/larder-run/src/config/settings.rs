//! `config:` of the root file: [`RunConfig`] and [`CacheConfig`], with the defaults of both modes.
//!
//! Secrets are held in [`Secret`], which prints as redacted. Remote tiers parse fully; opening them is not this module's.

use std::fmt;
use std::path::{Path, PathBuf};

use super::decode::Reader;
use super::keys;
use super::yaml::{Node, Value};
use crate::diagnostic::{Diagnostic, nearest};
use crate::recipe::{Mode, TraceSpec};

/// A value that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; not for messages.
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

/// How recipes are run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// `maxParallel`: jobs at once; `None`: as many as cores.
    pub max_parallel: Option<u64>,
    /// `reservedThreads`: cores left free. Default 0 (in `bake.yml`: 1).
    pub reserved_threads: u64,
    /// `fastFail`: a failure stops the rest. Default true (in `bake.yml`: false if there is a `config:`).
    pub fast_fail: bool,
    /// `verbose`.
    pub verbose: bool,
    /// `cleanEnvironment`: recipes without `cache` see only declared environment too. Default true (in `bake.yml`: false).
    pub clean_environment: bool,
    /// `trace`: for recipes that do not say. Default off.
    pub trace: TraceSpec,
    /// `minVersion`.
    pub min_version: Option<String>,
    /// `cache`.
    pub cache: CacheConfig,
}

/// Where results are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheConfig {
    /// The store on this machine.
    pub local: LocalCache,
    /// Remote tiers.
    pub remotes: Remotes,
    /// Look-up order: `local`, `s3`, `gcs`, …; empty: the order of the file.
    pub order: Vec<String>,
    /// `signing.key`: understood, and without effect (keys are the user's, never the repository's).
    pub signing: Option<Secret>,
    /// `signing: off`: unsigned results will do. Counts only where the user's trust file permits it.
    pub signing_off: bool,
    /// `BAKE_CACHE_SECRET` of the environment, in bake mode only.
    pub secret: Option<Secret>,
    /// Sizes of chunks.
    pub chunking: Option<Chunking>,
}

/// `cache.local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCache {
    /// Used at all. Default true.
    pub enabled: bool,
    /// Folder; `None`: the user's.
    pub path: Option<PathBuf>,
    /// zstd level.
    pub compression_level: Option<u64>,
    /// Bytes that eviction keeps below.
    pub max_size: Option<u64>,
}

impl Default for LocalCache {
    fn default() -> Self {
        Self { enabled: true, path: None, compression_level: None, max_size: None }
    }
}

/// `cache.chunking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunking {
    /// Smallest chunk.
    pub min: Option<u64>,
    /// Aimed at.
    pub average: Option<u64>,
    /// Largest chunk.
    pub max: Option<u64>,
}

/// `cache.remotes`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Remotes {
    /// Used at all: true by default if a remote is named.
    pub enabled: bool,
    /// The tiers, in the order of the file.
    pub tiers: Vec<RemoteTier>,
}

/// One remote tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTier {
    /// What it speaks.
    pub kind: RemoteKind,
    /// zstd level.
    pub compression_level: Option<u64>,
    /// `encryption`.
    pub encryption: Option<Encryption>,
}

/// What a tier is encrypted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// `true`: with the key that the user's environment has.
    Environment,
    /// `{key}`: with this one, which everyone knows who has the repository.
    Key(Secret),
}

/// What a remote tier speaks, with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named as in the file")]
pub enum RemoteKind {
    /// `s3`
    S3 { bucket: String, region: Option<String>, prefix: Option<String>, endpoint: Option<String> },
    /// `gcs`
    Gcs { bucket: String, prefix: Option<String>, endpoint: Option<String> },
    /// `azure`
    Azure { account: String, container: String, prefix: Option<String>, endpoint: Option<String> },
    /// `dir`
    Dir { path: PathBuf },
    /// `oci`
    Oci { reference: String },
    /// `reapi`
    Reapi { endpoint: String, instance: Option<String> },
}

impl RemoteKind {
    /// Its key in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::S3 { .. } => "s3",
            Self::Gcs { .. } => "gcs",
            Self::Azure { .. } => "azure",
            Self::Dir { .. } => "dir",
            Self::Oci { .. } => "oci",
            Self::Reapi { .. } => "reapi",
        }
    }
}

/// The defaults of a mode, for a root file without `config:`.
#[must_use]
pub fn defaults(mode: Mode) -> RunConfig {
    let strict = mode == Mode::Strict;
    RunConfig {
        max_parallel: None,
        reserved_threads: u64::from(!strict),
        fast_fail: true,
        verbose: false,
        clean_environment: strict,
        trace: TraceSpec::default(),
        min_version: None,
        cache: CacheConfig::default(),
    }
}

/// Decodes `config:`.
pub fn decode(reader: &mut Reader<'_>, node: Option<&Node>, root: &Path) -> RunConfig {
    let mut config = defaults(reader.mode);
    let Some(node) = node else { return config };
    if reader.mode == Mode::Bake {
        config.fast_fail = false;
    }
    for entry in reader.map(node, &keys::CONFIG) {
        let value = &entry.value;
        match entry.key.as_str() {
            "maxParallel" => config.max_parallel = reader.count(value).filter(|count| *count > 0),
            "reservedThreads" => {
                config.reserved_threads = reader.count(value).unwrap_or(config.reserved_threads)
            }
            "fastFail" => config.fast_fail = reader.boolean(value).unwrap_or(config.fast_fail),
            "verbose" => config.verbose = reader.boolean(value).unwrap_or(false),
            "cleanEnvironment" => {
                config.clean_environment = reader.boolean(value).unwrap_or(config.clean_environment);
            }
            "trace" => {
                let spec = super::trace::decode(reader, value, Path::new(""), root);
                config.trace = spec.unwrap_or_default();
            }
            "minVersion" => config.min_version = reader.text(value),
            "cache" => config.cache = cache(reader, value),
            _ => {}
        }
    }
    if reader.mode == Mode::Strict
        && let Some(wanted) = &config.min_version
        && let Some(node) = node.get("minVersion")
        && newer_than_this(wanted)
    {
        reader.refuse(
            node.span,
            format!("this project needs larder {wanted} or newer; this is {}", env!("CARGO_PKG_VERSION")),
            "install a newer one; `minVersion` is the oldest that the project was tried with",
        );
    }
    config
}

fn newer_than_this(wanted: &str) -> bool {
    let parts = |version: &str| -> Vec<u64> {
        version.trim_start_matches('v').split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
    };
    parts(wanted) > parts(env!("CARGO_PKG_VERSION"))
}

/// Says that a setting is understood and does nothing yet.
fn unused(reader: &mut Reader<'_>, node: &Node, message: &str, hint: &str) {
    let found = reader.source.locate(Diagnostic::warning(message).with_hint(hint), node.span);
    reader.out.push(found);
}

fn cache(reader: &mut Reader<'_>, node: &Node) -> CacheConfig {
    let mut config = CacheConfig::default();
    for entry in reader.map(node, &keys::CACHE_SETTINGS) {
        let value = &entry.value;
        match entry.key.as_str() {
            "local" => {
                for entry in reader.map(value, &keys::LOCAL) {
                    let value = &entry.value;
                    match entry.key.as_str() {
                        "enabled" => config.local.enabled = reader.boolean(value).unwrap_or(true),
                        "path" => config.local.path = reader.text(value).map(PathBuf::from),
                        "compressionLevel" => config.local.compression_level = reader.count(value),
                        "maxSize" => config.local.max_size = reader.size(value),
                        _ => {}
                    }
                }
            }
            "remotes" => config.remotes = remotes(reader, value),
            "order" => config.order = order(reader, value),
            "signing" if value.text() == Some("off") => config.signing_off = true,
            "signing" => {
                unused(
                    reader,
                    value,
                    "`signing` in a project has no effect but `off`",
                    "keys are the user's, never the repository's: `larder key generate`, `LARDER_SIGNING_KEY`",
                );
                config.signing = reader
                    .map(value, &keys::SECRET)
                    .iter()
                    .find_map(|e| reader.text(&e.value))
                    .map(Secret::new);
            }
            "chunking" => {
                reader.map(value, &keys::CHUNKING);
                let mut size = |key| value.get(key).and_then(|node| reader.size(node));
                config.chunking =
                    Some(Chunking { min: size("min"), average: size("average"), max: size("max") });
            }
            _ => {}
        }
    }
    config
}

fn order(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let order = reader.texts(node);
    for (tier, item) in order.iter().zip(node.items()) {
        if tier != "local" && !keys::TIERS.contains(&tier.as_str()) {
            let hint = match nearest(tier, keys::TIERS.iter().copied().chain(["local"])) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("tiers are local, {}", keys::TIERS.join(", ")),
            };
            reader.refuse(item.span, format!("`{tier}` is no tier"), hint);
        }
    }
    order
}

fn remotes(reader: &mut Reader<'_>, node: &Node) -> Remotes {
    let mut found = Remotes { enabled: true, tiers: Vec::new() };
    if node.value == Value::Null {
        return Remotes::default();
    }
    for entry in reader.map(node, &keys::REMOTES) {
        if entry.key == "enabled" {
            found.enabled = reader.boolean(&entry.value).unwrap_or(false);
        } else if let Some(tier) = tier(reader, &entry.key, &entry.value) {
            found.tiers.push(tier);
        }
    }
    found.enabled &= !found.tiers.is_empty();
    found
}

fn tier(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<RemoteTier> {
    let table = keys::tier(key)?;
    reader.map(node, table);
    for key in table.required() {
        if node.get(key).is_none() {
            let needed: Vec<String> = table.required().map(|key| format!("{key}: …")).collect();
            let hint = format!("`{}: {{{}}}`", table.name, needed.join(", "));
            reader.refuse(node.span, format!("missing key `{key}`"), hint);
        }
    }
    let mut text = |key| node.get(key).and_then(|node| reader.text(node));
    let kind = match key {
        "s3" => RemoteKind::S3 {
            bucket: text("bucket")?,
            region: text("region"),
            prefix: text("prefix"),
            endpoint: text("endpoint"),
        },
        "gcs" => {
            RemoteKind::Gcs { bucket: text("bucket")?, prefix: text("prefix"), endpoint: text("endpoint") }
        }
        "azure" => RemoteKind::Azure {
            account: text("account")?,
            container: text("container")?,
            prefix: text("prefix"),
            endpoint: text("endpoint"),
        },
        "dir" => RemoteKind::Dir { path: text("path")?.into() },
        "oci" => RemoteKind::Oci { reference: text("reference")? },
        _ => RemoteKind::Reapi { endpoint: text("endpoint")?, instance: text("instance") },
    };
    let encryption = node.get("encryption").and_then(|node| match node.value {
        Value::Map(_) => {
            reader.map(node, &keys::SECRET);
            let key = node.get("key").and_then(|node| reader.text(node));
            key.map(|key| Encryption::Key(Secret::new(key)))
        }
        _ => reader.boolean(node)?.then_some(Encryption::Environment),
    });
    Some(RemoteTier {
        kind,
        compression_level: node.get("compressionLevel").and_then(|node| reader.count(node)),
        encryption,
    })
}
