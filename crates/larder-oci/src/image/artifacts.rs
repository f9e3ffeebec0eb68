//! Artifacts about an image: referrers of its manifest, and what an index lists beside it.
//!
//! Who may push to a repository decides what is found here, so it is bounded in number and time, and proves nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::source::{Found, SourceError};
use crate::manifest::{Descriptor, Manifest, media_type};
use crate::registry::Repository;

/// How many are looked at.
const MOST: usize = 16;
/// How long a registry is asked for its list, and how long for what is listed.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether an index may list an artifact by this descriptor: those who build images list them for no platform.
pub(super) fn may_be(descriptor: &Descriptor) -> bool {
    let is_for_none = |platform: &crate::manifest::Platform| platform.os == "unknown";
    descriptor.artifact_type.is_some() || descriptor.platform.as_ref().is_some_and(is_for_none)
}

/// What a registry lists as referrers; nothing when it does not say, or takes too long.
pub(super) async fn referrers(repository: &Repository, found: &Found, kind: &str) -> Vec<Descriptor> {
    let asked = tokio::time::timeout(PATIENCE, repository.referrers(&found.digest, Some(kind))).await;
    match asked {
        Ok(Ok(listed)) => return listed,
        Ok(Err(error)) => tracing::debug!(%error, "the registry does not list referrers"),
        Err(_) => tracing::debug!("the registry takes too long to list referrers"),
    }
    Vec::new()
}

/// The manifests of this type among `listed` and those beside the image, the last listed first: the newest, where there is an order. One that is
/// not there or no manifest is left out.
pub(super) fn of_kind(
    found: &Found,
    listed: Vec<Descriptor>,
    kind: &str,
    fetch: &dyn Fn(&Descriptor) -> Result<Bytes, SourceError>,
) -> Vec<Manifest> {
    let begun = Instant::now();
    // An empty configuration's type is what some registries list for an artifact of any.
    let fits = |one: &Descriptor| match one.artifact_type.as_deref() {
        Some(own) => own == kind || own == media_type::EMPTY,
        None => may_be(one),
    };
    let mut seen = Vec::new();
    let mut manifests = Vec::new();
    for descriptor in found.beside.iter().chain(&listed).rev().filter(|one| fits(one)) {
        if seen.len() == MOST || begun.elapsed() > PATIENCE {
            break;
        }
        if seen.contains(&descriptor.digest) {
            continue;
        }
        seen.push(descriptor.digest);
        let parsed = fetch(descriptor).and_then(|bytes| Ok(Manifest::parse(&bytes)?));
        match parsed {
            Ok(manifest) if manifest.artifact_type.as_deref() == Some(kind) => manifests.push(manifest),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, digest = %descriptor.digest, "an artifact cannot be read"),
        }
    }
    manifests
}
