//! Where an image's manifest and blobs come from; layouts and archives among it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::docker_archive::DockerArchive;
use super::{ImageReference, artifacts};
use crate::digest::OciDigest;
use crate::layout::{LayoutError, LayoutReader};
use crate::manifest::{Descriptor, Document, Index, LONGEST, MOST_LAYERS, Manifest, ManifestError, Platform};
use crate::registry::{Kind, RegistryError};

/// An image that cannot be had from where it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The layout or archive cannot be read.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// What is there is no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file cannot be read.
    #[error("`{path}` cannot be read: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// There is no such image.
    #[error("there is no image `{0}`")]
    NotFound(String),
    /// An archive holds several images.
    #[error("it holds several images, and none was named")]
    Several(Vec<String>),
    /// The image is not for this platform.
    #[error("the image is not there for `{wanted}`")]
    Platform {
        /// The platform that was asked for.
        wanted: String,
        /// Those that there are.
        found: Vec<String>,
    },
    /// It has more layers than are read.
    #[error("the image has {0} layers, and {MOST_LAYERS} are read at most")]
    ManyLayers(usize),
    /// It is an artifact, not an image.
    #[error("this is no image, but `{0}`")]
    NoImage(String),
    /// A blob is not there.
    #[error("the blob `{0}` of the image is not there")]
    NoBlob(OciDigest),
    /// Fewer bytes came than should.
    #[error("the blob `{0}` has fewer bytes than its manifest says")]
    Short(OciDigest),
    /// The archive is none of `docker save`.
    #[error("this is no archive of `docker save`: {0}")]
    DockerArchive(&'static str),
}

impl SourceError {
    /// Whether what is there is not what its digest or its length says; else it is not there, cannot be read, or is something else.
    #[must_use]
    pub fn is_wrong_content(&self) -> bool {
        match self {
            Self::Registry(error) => *error.kind() == Kind::Corrupt,
            Self::Layout(error) => matches!(error, LayoutError::Corrupt(_) | LayoutError::Length { .. }),
            Self::Short(_) => true,
            _ => false,
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Registry(error) => error.hint().to_owned(),
            Self::Layout(error) => error.hint().to_owned(),
            Self::NotFound(_) => "see that name and tag are right, and that you may read it".to_owned(),
            Self::Several(names) => format!("name one of: {}", names.join(", ")),
            Self::Platform { found, .. } => format!("`--platform` may be: {}", found.join(", ")),
            Self::File { error, .. } if error.kind() == io::ErrorKind::IsADirectory => {
                "a layout in a folder is read with `oci:DIR`".to_owned()
            }
            Self::File { .. } => "see that it is there and may be read".to_owned(),
            Self::ManyLayers(_) => "no tool makes so many: build the image again with fewer".to_owned(),
            Self::NoImage(_) => "an artifact has no root file system".to_owned(),
            Self::Manifest(_) | Self::NoBlob(_) | Self::Short(_) => "push or pull the image again".to_owned(),
            Self::DockerArchive(_) => {
                "an image layout in a tar file is read with `oci-archive:FILE`".to_owned()
            }
        }
    }
}

/// A manifest that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its digest.
    pub digest: OciDigest,
    /// What it says.
    pub manifest: Manifest,
    /// Artifacts that the index lists in which it was found.
    pub beside: Vec<Descriptor>,
    /// Whether an index says which platform it is for.
    pub was_chosen: bool,
}

/// What a configuration says of its platform (image-spec, config.md).
#[derive(serde::Deserialize)]
struct ConfigPlatform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
}

impl Found {
    /// Whether an image that no index lists for a platform is for this one, as its configuration says. One that says nothing is for all.
    ///
    /// # Errors
    /// When it is for another.
    pub fn check_platform(&self, config: &[u8], wanted: &Platform) -> Result<(), SourceError> {
        let Ok(ConfigPlatform { architecture, os, variant }) = serde_json::from_slice(config) else {
            return Ok(());
        };
        if self.was_chosen || architecture.is_empty() || os.is_empty() {
            return Ok(());
        }
        let is = Platform { architecture, os, variant, ..Platform::default() };
        if is_for(&is, wanted) && is_variant(&is, wanted) {
            return Ok(());
        }
        Err(SourceError::Platform { wanted: platform_name(wanted), found: vec![platform_name(&is)] })
    }
}

/// Gives an image. Blocks; may be used by several threads.
pub trait ImageSource: Send + Sync {
    /// The manifest for a platform.
    fn manifest(&self, platform: &Platform) -> Result<Found, SourceError>;

    /// A small blob, whole and checked.
    fn content(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError>;

    /// A layer from front to back; checked by whoever reads it.
    fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, SourceError>;

    /// Some bytes of a layer; checked by whoever reads them.
    fn range(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Bytes, SourceError>;

    /// What came of this blob proved to be wrong: whether it may be right from another place, which is asked from now on. `false` in the end.
    fn distrust(&self, blob: &OciDigest) -> bool {
        let _ = blob;
        false
    }

    /// Bytes of blobs that were moved so far, in ranges and whole.
    fn moved(&self) -> u64;

    /// Manifests of artifacts of this type that are about a manifest: its referrers, and what is beside it; a few at most, and those that can be
    /// had within seconds. Nothing proves that they are what they say.
    fn artifacts(&self, found: &Found, kind: &str) -> Vec<Manifest> {
        let _ = (found, kind);
        Vec::new()
    }
}

/// The name of a platform: `linux/arm64/v8`.
pub(super) fn platform_name(platform: &Platform) -> String {
    let variant = platform.variant.as_ref().map_or(String::new(), |variant| format!("/{variant}"));
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

fn is_for(found: &Platform, wanted: &Platform) -> bool {
    found.os == wanted.os && found.architecture == wanted.architecture
}

/// The variant counts if both name one.
fn is_variant(found: &Platform, wanted: &Platform) -> bool {
    found.variant == wanted.variant || found.variant.is_none() || wanted.variant.is_none()
}

/// Chooses the manifest for a platform from an index: the variant counts if both name one.
fn choose<'a>(index: &'a Index, platform: &Platform) -> Result<&'a Descriptor, SourceError> {
    let of = |descriptor: &'a Descriptor| descriptor.platform.as_ref().map(|platform| (descriptor, platform));
    let with_platform: Vec<_> = index.manifests.iter().filter_map(of).collect();
    let mut fitting = with_platform.iter().filter(|(_, found)| is_for(found, platform));
    let exact = fitting.clone().find(|(_, found)| found.variant == platform.variant);
    let loose = fitting.find(|(_, found)| is_variant(found, platform));
    if let Some((descriptor, _)) = exact.or(loose) {
        return Ok(descriptor);
    }
    match index.manifests.as_slice() {
        [only] if only.platform.is_none() => Ok(only),
        _ => Err(SourceError::Platform {
            wanted: platform_name(platform),
            found: with_platform
                .iter()
                .map(|(_, platform)| platform_name(platform))
                .filter(|name| !name.contains("unknown"))
                .collect(),
        }),
    }
}

/// Refuses more layers than are read.
pub(super) fn few_layers(count: usize) -> Result<(), SourceError> {
    if count > MOST_LAYERS { Err(SourceError::ManyLayers(count)) } else { Ok(()) }
}

/// The manifest that a document is, or leads to.
pub(super) fn lead(
    bytes: Bytes,
    said: Option<&str>,
    platform: &Platform,
    fetch: &dyn Fn(&Descriptor) -> Result<Bytes, SourceError>,
) -> Result<Found, SourceError> {
    let mut bytes = bytes;
    let mut document = Document::parse(&bytes, said)?;
    let mut beside = Vec::new();
    let mut was_chosen = false;
    // An index may hold an index; nobody needs more.
    for _ in 0..3 {
        match document {
            Document::Manifest(manifest) => {
                if manifest.artifact_type.is_some()
                    || manifest.layers.is_empty() && manifest.kind().contains("empty")
                {
                    return Err(SourceError::NoImage(manifest.kind().to_owned()));
                }
                few_layers(manifest.layers.len())?;
                return Ok(Found { digest: OciDigest::sha256(&bytes), bytes, manifest, beside, was_chosen });
            }
            Document::Index(index) => {
                let chosen = choose(&index, platform)?;
                was_chosen |= chosen.platform.is_some();
                bytes = fetch(chosen)?;
                beside.extend(index.manifests.into_iter().filter(artifacts::may_be));
                document = Document::parse(&bytes, None)?;
            }
        }
    }
    Err(SourceError::NoImage("an index of indexes of indexes".to_owned()))
}

/// What a layout or an archive is read by.
enum Files {
    Layout(Box<LayoutReader>),
    Docker(DockerArchive),
}

/// An image in an image layout, or in an archive of `docker save`.
pub struct LayoutSource {
    files: Files,
    name: Option<String>,
    moved: AtomicU64,
}

impl std::fmt::Debug for LayoutSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayoutSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LayoutSource {
    /// Opens what `reference` names.
    ///
    /// # Panics
    /// When it is a registry's.
    pub fn open(reference: &ImageReference) -> Result<Self, SourceError> {
        let failed = |path: &Path, error| SourceError::File { path: path.display().to_string(), error };
        let open = |path: &Path| File::open(path).map_err(|error| failed(path, error));
        // A folder can be opened, but not read as a file.
        let archive = |path: &Path| match open(path)? {
            file if file.metadata().is_ok_and(|found| found.is_dir()) => {
                Err(failed(path, io::ErrorKind::IsADirectory.into()))
            }
            file => Ok(file),
        };
        let (files, name) = match reference {
            ImageReference::Layout { path, name } => {
                open(path)?;
                (Files::Layout(Box::new(LayoutReader::folder(path.clone())?)), name)
            }
            ImageReference::OciArchive { path, name } => {
                (Files::Layout(Box::new(LayoutReader::archive(archive(path)?)?)), name)
            }
            ImageReference::DockerArchive { path, name } => {
                (Files::Docker(DockerArchive::open(archive(path)?)?), name)
            }
            ImageReference::Registry(_) => panic!("a registry is no layout"),
        };
        Ok(Self { files, name: name.clone(), moved: AtomicU64::new(0) })
    }

    fn listed<'a>(&self, layout: &'a LayoutReader) -> Result<&'a Descriptor, SourceError> {
        if let Some(name) = &self.name {
            return layout.named(name).ok_or_else(|| SourceError::NotFound(name.clone()));
        }
        match layout.index().manifests.as_slice() {
            [only] => Ok(only),
            [] => Err(SourceError::NotFound("of any name".to_owned())),
            several => {
                let names =
                    several.iter().filter_map(|one| one.annotations.get(crate::manifest::REF_NAME).cloned());
                Err(SourceError::Several(names.collect()))
            }
        }
    }
}

impl ImageSource for LayoutSource {
    fn manifest(&self, platform: &Platform) -> Result<Found, SourceError> {
        match &self.files {
            Files::Layout(layout) => {
                // Several entries without a name may be one image for several platforms.
                let descriptor = match self.listed(layout) {
                    Err(SourceError::Several(names)) if names.is_empty() => choose(layout.index(), platform)?,
                    listed => listed?,
                };
                let fetch = |descriptor: &Descriptor| Ok(layout.fetch(descriptor, LONGEST as u64)?);
                let found = lead(fetch(descriptor)?, Some(&descriptor.media_type), platform, &fetch)?;
                let was_chosen = found.was_chosen || (self.name.is_none() && descriptor.platform.is_some());
                Ok(Found { was_chosen, ..found })
            }
            Files::Docker(archive) => archive.manifest(self.name.as_deref()),
        }
    }

    fn content(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError> {
        match &self.files {
            Files::Layout(layout) => Ok(layout.fetch(descriptor, LONGEST as u64)?),
            Files::Docker(archive) => archive.content(descriptor),
        }
    }

    fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>, SourceError> {
        Ok(Box::new(Ranges { source: self, descriptor: descriptor.clone(), at: 0 }))
    }

    fn range(&self, descriptor: &Descriptor, range: Range<u64>) -> Result<Bytes, SourceError> {
        let mut bytes =
            vec![0; usize::try_from(range.end - range.start).expect("a range that fits in memory")];
        match &self.files {
            Files::Layout(layout) => {
                let blob = layout.blob(&descriptor.digest)?.ok_or(SourceError::NoBlob(descriptor.digest))?;
                if range.end > blob.size() {
                    return Err(SourceError::Short(descriptor.digest));
                }
                blob.read_exact_at(&mut bytes, range.start)?;
            }
            Files::Docker(archive) => archive.read_layer(descriptor, &mut bytes, range.start)?,
        }
        self.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }

    fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn artifacts(&self, found: &Found, kind: &str) -> Vec<Manifest> {
        let Files::Layout(layout) = &self.files else { return Vec::new() };
        let fetch = |descriptor: &Descriptor| Ok(layout.fetch(descriptor, LONGEST as u64)?);
        artifacts::of_kind(found, layout.index().manifests.clone(), kind, &fetch)
    }
}

/// A layer read by ranges, as long as its descriptor says.
struct Ranges<'a> {
    source: &'a LayoutSource,
    descriptor: Descriptor,
    at: u64,
}

impl Read for Ranges<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = (self.descriptor.size - self.at).min(into.len() as u64);
        let bytes =
            self.source.range(&self.descriptor, self.at..self.at + length).map_err(io::Error::other)?;
        into[..bytes.len()].copy_from_slice(&bytes);
        self.at += length;
        Ok(bytes.len())
    }
}
