//! What `docker save`, `podman save` and `skopeo copy … docker-archive:FILE` write: a tar file with `manifest.json`, a configuration and the layers'
//! tar streams, which may be links to each other. There is no OCI manifest in it; one is made of what is there.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use serde::Deserialize;

use super::source::{Found, SourceError, few_layers};
use crate::digest::{Algorithm, OciDigest};
use crate::layer::{Compression, Entry, Kind, Limits, Walker};
use crate::manifest::{Descriptor, LONGEST, Manifest, media_type};
use crate::reference::Reference;

/// Links that are followed, from layer to layer.
const MOST_LINKS: usize = 16;
/// The most members of an archive.
const MEMBERS: Limits = Limits { entries: 1 << 20, logical: u64::MAX, metadata: 256 << 20 };

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An archive.
pub(super) struct DockerArchive {
    file: File,
    members: HashMap<Vec<u8>, Entry>,
    images: Vec<Listed>,
    /// Layers by the digests that the made manifests give them, filled when a manifest is made.
    layers: std::sync::Mutex<HashMap<OciDigest, (u64, u64)>>,
}

fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// Whether two names are of one image: archives have `docker.io/library/app:1` where people write `app:1`.
fn is_same(one: &str, other: &str) -> bool {
    let parse = |name: &str| name.parse::<Reference>().ok();
    one == other || parse(one).is_some_and(|one| parse(other) == Some(one))
}

impl DockerArchive {
    /// Scans an archive, headers only.
    pub(super) fn open(file: File) -> Result<Self, SourceError> {
        let broken = |_| SourceError::DockerArchive("its tar stream is broken");
        let unread = |error| SourceError::File { path: "the archive".to_owned(), error };
        let mut members = HashMap::new();
        let mut walker = Walker::new(MEMBERS);
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            let length = file.read_at(&mut buffer, at).map_err(unread)?;
            if length == 0 {
                break;
            }
            walker
                .push(&buffer[..length], &mut |entry: Entry| drop(members.insert(clean(&entry.path), entry)))
                .map_err(broken)?;
            at += length as u64;
            at += walker.skip_content();
        }
        if at > file.metadata().map_err(unread)?.len() {
            return Err(SourceError::DockerArchive("it is cut off"));
        }
        walker.finish().map_err(broken)?;
        let mut archive = Self { file, members, images: Vec::new(), layers: Default::default() };
        if !archive.members.contains_key(&b"manifest.json"[..]) {
            return Err(SourceError::DockerArchive("there is no `manifest.json` in it"));
        }
        let list = archive.small("manifest.json")?;
        archive.images = serde_json::from_slice(&list)
            .map_err(|_| SourceError::DockerArchive("its `manifest.json` cannot be read"))?;
        Ok(archive)
    }

    /// Where a member's bytes are, through links.
    fn member(&self, name: &str) -> Result<(u64, u64), SourceError> {
        let mut path = clean(name.as_bytes());
        for _ in 0..MOST_LINKS {
            let entry = self
                .members
                .get(&path)
                .ok_or(SourceError::DockerArchive("a file that it lists is not in it"))?;
            path = match entry.kind {
                Kind::File if entry.content.sparse.is_none() => return Ok((entry.content.at, entry.size)),
                Kind::HardLink => clean(&entry.target),
                Kind::Symlink => {
                    let folder =
                        path.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |slash| &path[..=slash]);
                    clean(&[folder, &entry.target].concat())
                }
                _ => break,
            };
        }
        Err(SourceError::DockerArchive("a file that it lists is none"))
    }

    fn small(&self, name: &str) -> Result<Bytes, SourceError> {
        let (at, size) = self.member(name)?;
        if size > LONGEST as u64 {
            return Err(SourceError::DockerArchive("a file of it is larger than 4 MiB"));
        }
        let mut bytes = vec![0; usize::try_from(size).expect("bounded above")];
        self.read(&mut bytes, at)?;
        Ok(bytes.into())
    }

    fn read(&self, into: &mut [u8], at: u64) -> Result<(), SourceError> {
        self.file
            .read_exact_at(into, at)
            .map_err(|error| SourceError::File { path: "the archive".to_owned(), error })
    }

    fn chosen(&self, name: Option<&str>) -> Result<&Listed, SourceError> {
        let tags = |image: &Listed| image.repo_tags.clone().unwrap_or_default();
        match (name, self.images.as_slice()) {
            (None, [only]) => Ok(only),
            (None, []) => Err(SourceError::NotFound("of any name".to_owned())),
            (None, several) => Err(SourceError::Several(several.iter().flat_map(tags).collect())),
            (Some(name), images) => images
                .iter()
                .find(|image| tags(image).iter().any(|tag| is_same(tag, name)))
                .ok_or_else(|| SourceError::NotFound(name.to_owned())),
        }
    }

    /// A manifest of what is there. Layers that are not compressed are named as the configuration names them.
    pub(super) fn manifest(&self, name: Option<&str>) -> Result<Found, SourceError> {
        let image = self.chosen(name)?;
        let config = self.small(&image.config)?;
        let diff_ids = crate::toc::diff_ids(&config)
            .map_err(|_| SourceError::DockerArchive("its configuration cannot be read"))?;
        if diff_ids.len() != image.layers.len() {
            return Err(SourceError::DockerArchive("it has not the layers that its configuration names"));
        }
        few_layers(image.layers.len())?;
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(diff_ids) {
            let (at, size) = self.member(name)?;
            let mut first = [0; Compression::TELLING];
            let telling = first.len().min(usize::try_from(size).unwrap_or(usize::MAX));
            self.read(&mut first[..telling], at)?;
            let (digest, kind) = match Compression::of(&first[..telling]) {
                Compression::None => (diff_id, media_type::LAYER),
                Compression::Gzip => (self.hash(at, size)?, media_type::LAYER_GZIP),
                Compression::Zstd => (self.hash(at, size)?, media_type::LAYER_ZSTD),
            };
            self.layers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(digest, (at, size));
            layers.push(Descriptor::new(kind, digest, size));
        }
        let manifest = Manifest::new(Descriptor::of(media_type::CONFIG, &config), layers);
        let bytes = manifest.to_bytes();
        Ok(Found {
            digest: OciDigest::sha256(&bytes),
            bytes,
            manifest,
            beside: Vec::new(),
            was_chosen: false,
        })
    }

    fn hash(&self, at: u64, size: u64) -> Result<OciDigest, SourceError> {
        let mut hasher = Algorithm::Sha256.hasher();
        let mut buffer = vec![0; 256 << 10];
        let mut done = 0;
        while done < size {
            let length = buffer.len().min(usize::try_from(size - done).unwrap_or(usize::MAX));
            self.read(&mut buffer[..length], at + done)?;
            hasher.update(&buffer[..length]);
            done += length as u64;
        }
        Ok(hasher.finish())
    }

    /// The configuration that a made manifest points to.
    pub(super) fn content(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError> {
        for image in &self.images {
            let config = self.small(&image.config)?;
            if descriptor.digest.is_of(&config) {
                return Ok(config);
            }
        }
        Err(SourceError::NoBlob(descriptor.digest))
    }

    /// Some bytes of a layer.
    pub(super) fn read_layer(
        &self,
        descriptor: &Descriptor,
        into: &mut [u8],
        from: u64,
    ) -> Result<(), SourceError> {
        let place = self
            .layers
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .get(&descriptor.digest)
            .copied();
        let (at, size) = place.ok_or(SourceError::NoBlob(descriptor.digest))?;
        if from.checked_add(into.len() as u64).is_none_or(|end| end > size) {
            return Err(SourceError::Short(descriptor.digest));
        }
        self.read(into, at + from)
    }
}
