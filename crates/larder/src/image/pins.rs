//! Images that are pinned: their tables, and whatever is and will be kept of their layers.
//!
//! A pinned image is a document in the store: the reference, the manifest's digest, the keys of its tables and the digests of its tar streams. The document is pinned, and each
//! of those too, as `larder cache pin` does it; so a collection needs to know nothing of images, and layers that images share stay until the last one is unpinned.

use larder_core::{Digest, Error, ErrorKind, Result};
use larder_oci::OciDigest;
use larder_oci::toc::ImageToc;
use larder_store::Store;
use larder_store::local::index::{Index, PinKind};
use serde::{Deserialize, Serialize};

use super::Indexer;
use super::spans::tar_digest;

/// The version of the document.
const VERSION: u32 = 1;
/// Larger blobs are no such documents.
const LARGEST: u64 = 1 << 20;

/// An image that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedImage {
    image_pin: u32,
    /// The image, as it was named.
    pub reference: String,
    /// The digest of its manifest.
    pub manifest: String,
    /// For which platform.
    pub platform: String,
    /// Keys of the results that its tables are, in hexadecimal.
    results: Vec<String>,
    /// The tar streams of its layers.
    tars: Vec<String>,
}

impl PinnedImage {
    /// How many layers it has; one that it has twice counts once.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.tars.len()
    }

    /// Whether it is meant by a name: a reference, a manifest's digest, or both as `NAME@DIGEST`.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.reference == name
            || self.manifest == name
            || name.rsplit_once('@') == Some((self.reference.as_str(), self.manifest.as_str()))
    }

    fn why(&self) -> String {
        format!("image {}", self.reference)
    }
}

fn index(store: &Store) -> Result<&Index> {
    store.index().map_err(|error| Error::new(error.kind(), "use the index").caused_by(error))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Pins an image whose tables are in the store. `who` is noted.
///
/// # Errors
/// `Invalid` when a table of it is not in the store; what writing to the store answers.
pub fn pin_image(
    store: &Store,
    indexer: &Indexer,
    (reference, platform): (&str, &str),
    image: &ImageToc,
    who: &str,
) -> Result<PinnedImage> {
    let (mut results, mut tars) = (Vec::new(), Vec::new());
    for (table, layer) in image.layers().iter().zip(&image.manifest().layers) {
        let key = indexer.kept_key(layer, table.info().diff_id);
        let (Some(key), Some(tar)) = (key, tar_digest(table.info())) else {
            return Err(Error::new(ErrorKind::Invalid, "pin an image")
                .with_message("a table of it is not kept")
                .with("layer", layer.digest)
                .with_hint("tables that nobody signed whom you trust are not kept; `larder image index --no-remote-toc REF` makes them"));
        };
        results.push(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        tars.push(tar.to_string());
    }
    for list in [&mut results, &mut tars] {
        list.sort();
        list.dedup();
    }
    let manifest = OciDigest::sha256(image.manifest_bytes()).to_string();
    let (reference, platform) = (reference.to_owned(), platform.to_owned());
    let pinned = PinnedImage { image_pin: VERSION, reference, manifest, platform, results, tars };
    let document = serde_json::to_vec(&pinned)
        .map_err(|error| Error::new(ErrorKind::Internal, "pin an image").with_message(error.to_string()))?;
    let document = store.put_bytes(&document)?;
    let (local, namespace, why) = (store.local_store(), store.namespace(), pinned.why());
    for key in pinned.results.iter().filter_map(|key| from_hex(key)) {
        local.pin_result(namespace, &key, who, &why)?;
    }
    for tar in pinned.tars.iter().filter_map(|tar| tar.parse::<Digest>().ok()) {
        local.pin_blob(namespace, &tar, who, &why)?;
    }
    local.pin_blob(namespace, &document, who, &why)?;
    Ok(pinned)
}

/// The images that are pinned.
///
/// # Errors
/// When the store's index cannot be read.
pub fn pinned_images(store: &Store) -> Result<Vec<PinnedImage>> {
    Ok(documents(store)?.into_iter().map(|(_, image)| image).collect())
}

fn documents(store: &Store) -> Result<Vec<(Digest, PinnedImage)>> {
    let pins = index(store)?.pins(Some(store.namespace()))?;
    let read = |key: &[u8]| {
        let (hash, size) = key.split_first_chunk::<32>()?;
        let size = u64::from_le_bytes(size.try_into().ok()?);
        let hash = larder_core::Hash(*hash);
        let digest = Digest { function: larder_core::DigestFunction::Blake3, hash, size };
        let bytes = if size <= LARGEST { store.get(&digest, LARGEST).ok()? } else { return None };
        let image: PinnedImage = serde_json::from_slice(&bytes).ok()?;
        (image.image_pin == VERSION).then_some((digest, image))
    };
    let blobs = pins.iter().filter(|pin| pin.kind == PinKind::Blob && pin.why.starts_with("image "));
    Ok(blobs.filter_map(|pin| read(&pin.key)).collect())
}

/// Unpins the images that `name` means, and answers which. What other pinned images need stays pinned.
///
/// # Errors
/// When the store's index cannot be read or written.
pub fn unpin_image(store: &Store, name: &str, dry_run: bool) -> Result<Vec<PinnedImage>> {
    let (gone, left): (Vec<_>, Vec<_>) =
        documents(store)?.into_iter().partition(|(_, image)| image.is_named(name));
    if !dry_run {
        let (local, namespace) = (store.local_store(), store.namespace());
        for (document, image) in &gone {
            // The document last: what is left after a kill is found again.
            for key in &image.results {
                let is_needed = left.iter().any(|(_, other)| other.results.contains(key));
                if let Some(key) = from_hex(key).filter(|_| !is_needed) {
                    local.unpin_result(namespace, &key)?;
                }
            }
            for tar in &image.tars {
                let is_needed = left.iter().any(|(_, other)| other.tars.contains(tar));
                if let Some(tar) = tar.parse::<Digest>().ok().filter(|_| !is_needed) {
                    local.unpin_blob(namespace, &tar)?;
                }
            }
            local.unpin_blob(namespace, document)?;
        }
    }
    Ok(gone.into_iter().map(|(_, image)| image).collect())
}
