//! Descriptors, manifests and indexes (image-spec: descriptor.md, manifest.md, image-index.md).
//!
//! # Reading
//! Bounded: [`LONGEST`] bytes, [`MOST_ENTRIES`] layers or manifests, [`MOST_ANNOTATIONS`] annotations at one place. Fields that
//! are not known here are dropped; so a manifest that must keep its digest is passed on as the bytes it came in. A text
//! that could be taken for both a manifest and an index is refused, and so is one whose `mediaType` differs from what the
//! registry said it is. Docker's schema 2 is read as the same thing under other names.
//!
//! # Writing
//! [`Manifest::to_bytes`] and [`Index::to_bytes`] depend on the values alone: fields in the order of the specification,
//! annotations sorted, no white space.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::digest::OciDigest;
use crate::said::short;

/// The longest manifest that is read or sent: what every registry takes (distribution-spec, "Pushing Manifests").
pub const LONGEST: usize = 4 << 20;
/// The most layers of an image that is opened, or of a table of one; docker stops at 127. Manifests of other things may list more.
pub const MOST_LAYERS: usize = 512;
/// The most layers of a manifest, and manifests of an index.
pub const MOST_ENTRIES: usize = 16_384;
/// The most annotations at one place.
pub const MOST_ANNOTATIONS: usize = 1024;

/// Media types (image-spec, media-types.md).
pub mod media_type {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The configuration of an image.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// The empty value `{}` (manifest.md, "Guidance for an Empty Descriptor").
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A layer: tar.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer: tar, gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer: tar, zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's list of manifests, schema 2.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's configuration of an image.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer: tar, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// What this crate can parse, as a client says it in `Accept`.
    pub const MANIFESTS: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
}

/// Name of the annotation that names an entry of a layout's index (image-layout.md, "index.json file").
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Annotations, sorted by key (image-spec, annotations.md).
pub type Annotations = BTreeMap<String, String>;

/// What a platform is called (image-index.md, `platform`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, … as Go calls it.
    pub architecture: String,
    /// `linux`, … as Go calls it.
    pub os: String,
    /// The version of the system, on Windows.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the system must offer.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The processor's variant: `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Points to content (image-spec, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Its digest.
    pub digest: OciDigest,
    /// Its size in bytes; below 2^63.
    pub size: u64,
    /// Other places where it may be had.
    #[serde(default, deserialize_with = "or_none", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Notes.
    #[serde(default, deserialize_with = "or_none", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The content itself, if it is small; its digest is checked when it is read.
    #[serde(default, with = "base64_bytes", skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
    /// In an index: which platform it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact it points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// Points to content of this digest and size.
    #[must_use]
    pub fn new(media_type: impl Into<String>, digest: OciDigest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// Points to `content`, named by SHA-256.
    #[must_use]
    pub fn of(media_type: impl Into<String>, content: &[u8]) -> Self {
        Self::new(media_type, OciDigest::sha256(content), content.len() as u64)
    }

    /// Points to [`EMPTY_CONFIG`], and holds it (manifest.md, "Guidance for an Empty Descriptor").
    #[must_use]
    pub fn empty() -> Self {
        Self { data: Some(Bytes::from_static(EMPTY_CONFIG)), ..Self::of(media_type::EMPTY, EMPTY_CONFIG) }
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

/// The content of the empty descriptor.
pub const EMPTY_CONFIG: &[u8] = b"{}";

/// An image manifest, or an artifact in its form (image-spec, manifest.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: Two,
    /// What it is: [`media_type::MANIFEST`] or docker's. Some leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is, if it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers.
    #[serde(deserialize_with = "or_none")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, deserialize_with = "or_none", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Manifest {
    /// An image with this configuration and these layers.
    #[must_use]
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: Two,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// An artifact of this type, with the empty configuration (manifest.md, "Guidelines for Artifact Usage").
    #[must_use]
    pub fn artifact(artifact_type: impl Into<String>, layers: Vec<Descriptor>) -> Self {
        Self { artifact_type: Some(artifact_type.into()), ..Self::new(Descriptor::empty(), layers) }
    }

    /// What kind of artifact it is: its own word, else the configuration's media type (distribution-spec, "Listing
    /// Referrers").
    #[must_use]
    pub fn kind(&self) -> &str {
        self.artifact_type.as_deref().unwrap_or(&self.config.media_type)
    }

    /// Its bytes: depend on the values alone.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("a manifest has text keys only").into()
    }

    /// The manifest in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        match Document::parse(bytes, None)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(ManifestError::Other { found: "an index", wanted: "a manifest" }),
        }
    }
}

/// Points to manifests: one image for several platforms, or whatever a layout or a list of referrers holds (image-spec,
/// image-index.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: Two,
    /// What it is: [`media_type::INDEX`] or docker's. Some leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is, if it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(deserialize_with = "or_none")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, deserialize_with = "or_none", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Index {
    /// An index of these manifests.
    #[must_use]
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: Two,
            media_type: Some(media_type::INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// Its bytes: depend on the values alone.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("an index has text keys only").into()
    }

    /// The index in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        match Document::parse(bytes, None)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(ManifestError::Other { found: "a manifest", wanted: "an index" }),
        }
    }
}

/// What a registry keeps as a manifest: a manifest, or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one is looked at at a time")]
pub enum Document {
    /// One image, or an artifact.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

/// What tells a manifest from an index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<IgnoredAny>,
    #[serde(default)]
    layers: Option<IgnoredAny>,
    #[serde(default)]
    fs_layers: Option<IgnoredAny>,
    #[serde(default)]
    manifests: Option<IgnoredAny>,
}

impl Document {
    /// What `bytes` hold, and hold as what they were sent: `said` is the answer's `Content-Type`, where there is one.
    pub fn parse(bytes: &[u8], said: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > LONGEST {
            return Err(ManifestError::TooLong);
        }
        let shape: Shape = json(bytes)?;
        if shape.schema_version == Some(1) || shape.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        // Some registries send an unknown type as plain JSON; that says nothing.
        let said = said.map(|said| said.split(';').next().unwrap_or_default().trim());
        let said = said.filter(|said| !matches!(*said, "" | "application/json" | "application/octet-stream"));
        if let (Some(said), Some(own)) = (said, &shape.media_type)
            && said != own
        {
            return Err(ManifestError::Types { said: short(said, 100), own: short(own, 100) });
        }
        let has_manifest = shape.config.is_some() || shape.layers.is_some();
        match (has_manifest, shape.manifests.is_some()) {
            (true, true) => return Err(ManifestError::Ambiguous),
            (false, false) => return Err(ManifestError::Neither),
            _ => {}
        }
        let is_index = match shape.media_type.as_deref().or(said) {
            None => !has_manifest,
            Some(media_type::INDEX | media_type::DOCKER_INDEX) => true,
            Some(media_type::MANIFEST | media_type::DOCKER_MANIFEST) => false,
            Some(other) => return Err(ManifestError::Unknown(short(other, 100))),
        };
        if is_index == has_manifest {
            return Err(ManifestError::Ambiguous);
        }
        let document = if is_index { Self::Index(json(bytes)?) } else { Self::Manifest(json(bytes)?) };
        document.check()?;
        Ok(document)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let (entries, subject, config, annotations) = match self {
            Self::Manifest(of) => (&of.layers, &of.subject, Some(&of.config), &of.annotations),
            Self::Index(of) => (&of.manifests, &of.subject, None, &of.annotations),
        };
        if entries.len() > MOST_ENTRIES {
            return Err(ManifestError::TooMany { what: "entries", most: MOST_ENTRIES });
        }
        if annotations.len() > MOST_ANNOTATIONS {
            return Err(ManifestError::TooMany { what: "annotations", most: MOST_ANNOTATIONS });
        }
        entries.iter().chain(subject).chain(config).try_for_each(check)
    }
}

fn check(descriptor: &Descriptor) -> Result<(), ManifestError> {
    if descriptor.annotations.len() > MOST_ANNOTATIONS {
        return Err(ManifestError::TooMany { what: "annotations", most: MOST_ANNOTATIONS });
    }
    if i64::try_from(descriptor.size).is_err() {
        return Err(ManifestError::Size(descriptor.digest));
    }
    match &descriptor.data {
        Some(data) if data.len() as u64 != descriptor.size || !descriptor.digest.is_of(data) => {
            Err(ManifestError::Data(descriptor.digest))
        }
        _ => Ok(()),
    }
}

fn json<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(bytes).map_err(|error| ManifestError::Json(short(&error.to_string(), 200)))
}

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Longer than [`LONGEST`].
    #[error("a manifest is longer than 4 MiB")]
    TooLong,
    /// More of something than is read.
    #[error("a manifest has more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are read.
        most: usize,
    },
    /// Not JSON, or not of this form.
    #[error("a manifest is not of the form that it must be: {0}")]
    Json(String),
    /// Docker's old form, which says neither sizes nor what the layers are.
    #[error("the manifest is in docker's schema 1, which is not read")]
    Schema1,
    /// Said to be one thing, and saying that it is another.
    #[error("a manifest was sent as `{said}`, but says that it is `{own}`")]
    Types {
        /// The registry's word.
        said: String,
        /// Its own.
        own: String,
    },
    /// Could be read in two ways.
    #[error("a manifest could be taken for an image as well as for an index")]
    Ambiguous,
    /// Neither a manifest nor an index.
    #[error("there is neither an image nor an index in a manifest")]
    Neither,
    /// Of a type that is not known here.
    #[error("manifests of the type `{0}` are not known")]
    Unknown(String),
    /// One where the other was wanted.
    #[error("it is {found}, not {wanted}")]
    Other {
        /// What it is.
        found: &'static str,
        /// What it should have been.
        wanted: &'static str,
    },
    /// A size that cannot be.
    #[error("a descriptor of {0:?} has an impossible size")]
    Size(OciDigest),
    /// `data` that is not the content.
    #[error("the data in a descriptor is not what its digest {0:?} says")]
    Data(OciDigest),
}

/// `schemaVersion`, which is 2.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Two;

impl fmt::Debug for Two {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("2")
    }
}

impl Serialize for Two {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(2)
    }
}

impl<'de> Deserialize<'de> for Two {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            2 => Ok(Self),
            other => Err(serde::de::Error::custom(format_args!("schemaVersion is {other}, not 2"))),
        }
    }
}

/// Go writes lists and maps that are not there as `null`.
fn or_none<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        match data {
            Some(data) => serializer.serialize_str(&BASE64_STANDARD.encode(data)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let data = BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Some(data.into()))
    }
}
