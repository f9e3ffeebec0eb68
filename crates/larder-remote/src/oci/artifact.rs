//! Results and notes as OCI manifests (image-spec 1.1, "Guidelines for Artifact Usage").
//!
//! ```text
//! tag larder-r-<64 hex>   artifactType RESULT    layers: the stored result, then its packs
//! tag larder-n-<64 hex>   artifactType NOTE      layers: the note
//! ```
//! The hexadecimal digits are BLAKE3 of `kind NUL namespace NUL name`: a tag has 128 characters at most. A small first layer
//! stands in its descriptor, too, so that reading it is one request.

use bytes::Bytes;
use larder_core::Hash;
use larder_oci::{Descriptor, Manifest, Tag};
use larder_store::ActionDigest;

use crate::packed::shelf::{Kind, Place};

/// Media type and artifact type of a stored result.
pub(crate) const RESULT: &str = "application/vnd.larder.result.v1";
/// Media type and artifact type of the note of a recipe.
pub(crate) const NOTE: &str = "application/vnd.larder.note.v1";
/// Media type of a pack.
pub(crate) const PACK: &str = "application/vnd.larder.pack.v1";
/// Annotation of a manifest: the recipe, for people.
pub(crate) const RECIPE: &str = "dev.larder.recipe";
/// Annotation of a manifest: the digest of the action that it is the result of.
pub(crate) const ACTION: &str = "dev.larder.action";
/// Annotation of a manifest: the namespace.
pub(crate) const NAMESPACE: &str = "dev.larder.namespace";
/// Annotation of a layer: a file name, for tools that write layers to files.
const TITLE: &str = "org.opencontainers.image.title";
/// A first layer of at most this many bytes stands in its descriptor.
const INLINE: usize = 64 << 10;

/// What an artifact is, and of its first layer.
fn kind_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Result => RESULT,
        Kind::Note => NOTE,
    }
}

/// The tag of a place.
pub(crate) fn tag(place: &Place) -> Tag {
    let (letter, kind) = match place.kind {
        Kind::Result => ('r', "result"),
        Kind::Note => ('n', "note"),
    };
    let hash = Hash::blake3([kind, &place.namespace, &place.name].join("\0").as_bytes());
    format!("larder-{letter}-{}", hash.to_hex()).parse().expect("letters, digits and dashes, 73 of them")
}

/// The manifest of an object with packs.
pub(crate) fn manifest(
    place: &Place,
    object: &Bytes,
    packs: &[(Hash, u64)],
    of: Option<(&str, &ActionDigest)>,
) -> Manifest {
    let kind = kind_of(place.kind);
    let mut first = Descriptor::of(kind, object).annotated(TITLE, "result");
    if object.len() <= INLINE {
        first.data = Some(object.clone());
    }
    let mut layers = vec![first];
    layers.extend(packs.iter().map(|(pack, size)| {
        let digest = larder_oci::OciDigest::from_sha256(*pack);
        Descriptor::new(PACK, digest, *size).annotated(TITLE, pack.to_hex())
    }));
    let mut manifest = Manifest::artifact(kind, layers);
    manifest.annotations.insert(NAMESPACE.into(), place.namespace.clone());
    if let Some((recipe, action)) = of {
        manifest.annotations.insert(RECIPE.into(), recipe.to_owned());
        manifest.annotations.insert(ACTION.into(), action.to_string());
    }
    manifest
}

/// The first layer, and the packs with their sizes; nothing if this is no artifact of that kind.
pub(crate) fn parts(kind: Kind, manifest: &Manifest) -> Option<(&Descriptor, Vec<(Hash, u64)>)> {
    let kind = kind_of(kind);
    let (first, packs) = manifest.layers.split_first()?;
    if manifest.kind() != kind || first.media_type != kind {
        return None;
    }
    let packs = packs.iter().filter(|layer| layer.media_type == PACK);
    Some((first, packs.filter_map(|layer| Some((layer.digest.as_sha256()?, layer.size))).collect()))
}
