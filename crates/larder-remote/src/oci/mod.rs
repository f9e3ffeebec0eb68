//! A repository of an OCI registry as a tier. The layout is `docs/formats/oci.md`.
//!
//! | file | what |
//! |---|---|
//! | [`artifact`] | results and notes as manifests |
//! | [`shelf`] | packs and results as blobs and manifests, wherever these lie: [`Artifacts`](shelf::Artifacts) |
//! | [`registry`] | the blobs and manifests of a registry; what its failures mean |
//!
//! A result is a manifest under a tag that is made from its key; its layers are the stored result and the packs, so that
//! tools that list and copy artifacts copy all of it, and a registry that collects garbage keeps what is needed.
//! Larder deletes nothing in a registry.

pub(crate) mod artifact;
mod registry;
pub(crate) mod shelf;

use std::sync::Arc;

use larder_core::{Error, ErrorKind, Result};
use larder_oci::Reference;

use crate::Environment;
use crate::connection::Patience;
use crate::packed::{PackOptions, PackedTier};
use registry::Remote;
use shelf::OciShelf;

/// Its name in the configuration.
pub const NAME: &str = "oci";

/// Which repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciConfig {
    /// `registry.example.org/team/cache`; begins with `http://` for a registry without encryption.
    pub reference: String,
}

/// What tells this repository from others.
#[must_use]
pub fn identity(config: &OciConfig) -> String {
    match parse(config) {
        Ok(reference) => format!("oci:{}/{}", reference.host(), reference.repository()),
        Err(_) => "oci:".to_owned(),
    }
}

fn parse(config: &OciConfig) -> Result<Reference> {
    let host = config.reference.split_once("://").map_or(&config.reference[..], |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    if host.contains('@') {
        // Not shown: it holds a password.
        return Err(Error::new(ErrorKind::Invalid, "open a cache tier")
            .with_message("the reference has a user or password in it")
            .with_hint("remove it; log in with `docker login` or `podman login`"));
    }
    let invalid = |message: String, hint: String| {
        Error::new(ErrorKind::Invalid, "open a cache tier")
            .with("reference", &config.reference)
            .with_message(message)
            .with_hint(hint)
    };
    let reference: Reference =
        config.reference.parse().map_err(|error: larder_oci::reference::ParseReferenceError| {
            invalid(error.to_string(), error.hint().to_owned())
        })?;
    if reference.tag().is_some() || reference.digest().is_some() {
        return Err(invalid(
            "a tier is a repository, without tag or digest".into(),
            "Larder makes a tag for each result; remove what follows the name".into(),
        ));
    }
    Ok(reference)
}

/// Opens the tier. Nothing is asked of the registry yet. Logins are found as docker and podman find theirs.
///
/// # Errors
/// `Invalid` when the reference is none.
pub fn open(
    config: &OciConfig,
    environment: &Environment,
    packs: PackOptions,
    patience: Patience,
) -> Result<PackedTier> {
    let reference = parse(config)?;
    let remote = Remote::open(&reference, environment, patience)?;
    Ok(PackedTier::new(Arc::new(OciShelf::new(NAME, identity(config), Arc::new(remote))), packs))
}
