//! Manifests: looked up, fetched, pushed, deleted (distribution-spec: "Pulling manifests", "Pushing Manifests", "Deleting").

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use super::auth::Scope;
use super::errors::Kind;
use super::wire::Ask;
use super::{Repository, Result};
use crate::digest::OciDigest;
use crate::manifest::{Descriptor, Document, LONGEST, ManifestError, media_type};
use crate::reference::TagOrDigest;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// A manifest as the registry keeps it: the bytes that its digest is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawManifest {
    /// The bytes.
    pub bytes: Bytes,
    /// What the registry says they are; empty if it says nothing.
    pub media_type: String,
    /// Their digest; checked.
    pub digest: OciDigest,
}

impl RawManifest {
    /// What is in it.
    pub fn parse(&self) -> Result<Document, ManifestError> {
        Document::parse(&self.bytes, Some(&self.media_type))
    }

    /// Points to it.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        let own = if self.media_type.is_empty() { media_type::MANIFEST } else { &self.media_type };
        Descriptor::new(own, self.digest, self.bytes.len() as u64)
    }
}

/// What became of a manifest that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    /// Its digest.
    pub digest: OciDigest,
    /// Whether the registry says that it lists it as a referrer of its subject; without that, who pushes must keep the list
    /// (see [`Repository::push_referrer`]).
    pub listed: bool,
}

impl Repository {
    /// The manifest of this tag or digest, if it is there (distribution-spec, "Pulling manifests").
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if it is not what its digest says; [`Kind::Invalid`] if it is longer than 4 MiB.
    pub async fn manifest(&self, which: impl Into<TagOrDigest>) -> Result<Option<RawManifest>> {
        let which = which.into();
        let ask = self.ask_manifest("fetch a manifest", Method::GET, &which);
        let retries = self.wire.retries();
        let mut tried = 0;
        let (media_type, said, bytes) = loop {
            let response = self.wire.send(&ask).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(None),
                _ => return Err(self.wire.fail(&ask, response).await),
            }
            let media_type = text(response.headers(), &CONTENT_TYPE).unwrap_or_default().to_owned();
            let said = content_digest(response.headers());
            match self.wire.read_all(&ask, response, LONGEST).await {
                // An answer that breaks off.
                Err(error) if *error.kind() == Kind::Unreachable && tried < retries.most => {
                    tried += 1;
                    tokio::time::sleep(retries.pause * tried).await;
                }
                bytes => break (media_type, said, bytes?),
            }
        };
        let wanted = which.digest().copied().or(said);
        let digest = wanted.unwrap_or_else(|| OciDigest::sha256(&bytes));
        if wanted.is_some_and(|wanted| !wanted.is_of(&bytes)) {
            let message = format!("the manifest that came for `{which}` is not `{digest}`");
            return Err(self.wire.error(Kind::Corrupt, ask.operation, message));
        }
        Ok(Some(RawManifest { bytes, media_type, digest }))
    }

    /// What a tag or digest points to, without fetching it where the registry tells enough (distribution-spec, "Pulling
    /// manifests": HEAD).
    pub async fn resolve(&self, which: impl Into<TagOrDigest>) -> Result<Option<Descriptor>> {
        let which = which.into();
        let ask = self.ask_manifest("look up a manifest", Method::HEAD, &which);
        let response = self.wire.send(&ask).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            // An answer to HEAD has no words: ask again for those, or for a registry that has no HEAD.
            _ => return Ok(self.manifest(which).await?.map(|manifest| manifest.descriptor())),
        }
        let headers = response.headers();
        let size = text(headers, &CONTENT_LENGTH).and_then(|size| size.parse().ok());
        let digest = content_digest(headers);
        if let (Some(wanted), Some(digest)) = (which.digest(), &digest)
            && wanted != digest
        {
            let message = format!("the registry answers for `{wanted}` with `{digest}`");
            return Err(self.wire.error(Kind::Corrupt, ask.operation, message));
        }
        let media_type = text(headers, &CONTENT_TYPE).map(str::to_owned);
        match (digest.or(which.digest().copied()), media_type, size) {
            (Some(digest), Some(media_type), Some(size)) => {
                Ok(Some(Descriptor::new(media_type, digest, size)))
            }
            _ => Ok(self.manifest(which).await?.map(|manifest| manifest.descriptor())),
        }
    }

    /// Pushes a manifest under a tag or its digest (distribution-spec, "Pushing Manifests"). What it refers to must be there.
    ///
    /// # Errors
    /// [`Kind::Misuse`] if it is longer than 4 MiB or not of the digest; [`Kind::MissingContent`] if something that it
    /// refers to is not there.
    pub async fn put_manifest(
        &self,
        which: impl Into<TagOrDigest>,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<PushedManifest> {
        let which = which.into();
        let ask = self.ask_manifest("push a manifest", Method::PUT, &which);
        let misuse = |message: &str| self.wire.error(Kind::Misuse, ask.operation, message);
        if bytes.len() > LONGEST {
            return Err(misuse("the manifest is longer than 4 MiB").with_hint("put less into one manifest"));
        }
        if which.digest().is_some_and(|digest| !digest.is_of(&bytes)) {
            return Err(misuse("the manifest is not of the digest to push it under"));
        }
        let kind = HeaderValue::from_str(media_type).map_err(|_| misuse("the media type cannot be sent"))?;
        let digest = which.digest().copied().unwrap_or_else(|| OciDigest::sha256(&bytes));
        let mut ask = ask;
        ask.scope = Scope::push(&self.name);
        ask.headers = HeaderMap::new();
        let ask = ask.header(CONTENT_TYPE, kind).body(bytes.clone());
        let response = self.wire.send(&ask).await?;
        if !matches!(response.status(), StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED) {
            return Err(self.wire.fail(&ask, response).await);
        }
        let listed = response.headers().contains_key(&SUBJECT);
        if let Some(said) = content_digest(response.headers())
            && !said.is_of(&bytes)
        {
            let message = format!("the registry keeps the manifest as `{said}`, which it is not");
            return Err(self.wire.error(Kind::Corrupt, ask.operation, message));
        }
        Ok(PushedManifest { digest, listed })
    }

    /// Deletes a manifest by its digest, or a tag by its name; `false` if it was not there (distribution-spec, "Deleting
    /// Manifests", "Deleting tags").
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if the registry deletes nothing, or no tags.
    pub async fn delete_manifest(&self, which: impl Into<TagOrDigest>) -> Result<bool> {
        let which = which.into();
        let mut ask = self.ask_manifest("delete a manifest", Method::DELETE, &which);
        ask.scope = Scope::delete(&self.name);
        ask.headers = HeaderMap::new();
        let response = self.wire.send(&ask).await?;
        match response.status().as_u16() {
            200 | 202 | 204 => Ok(true),
            404 => Ok(false),
            // Before tags could be deleted, registries took them for broken digests.
            400 if which.digest().is_none() => Err(self.wire.fail(&ask, response).await.unsupported()),
            _ => Err(self.wire.fail(&ask, response).await),
        }
    }

    fn ask_manifest(&self, operation: &'static str, method: Method, which: &TagOrDigest) -> Ask {
        let url = self.wire.url(&format!("{}/manifests/{which}", self.name));
        let accept =
            HeaderValue::from_str(&media_type::MANIFESTS.join(", ")).expect("media types are plain text");
        Ask::new(operation, method, url, Scope::pull(&self.name)).header(ACCEPT, accept)
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn content_digest(headers: &HeaderMap) -> Option<OciDigest> {
    text(headers, &CONTENT_DIGEST)?.parse().ok()
}

/// Whether it says so itself: a filter was applied.
pub(super) fn says(response: &Response, name: &'static str) -> bool {
    response.headers().contains_key(name)
}
