//! The blobs and manifests of a registry.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use larder_oci::manifest::{Document, media_type};
use larder_oci::registry::credentials::{Credentials, Environment as Variables};
use larder_oci::registry::{Kind, Options, Patience as RegistryPatience, Proxy, RegistryError, Retries};
use larder_oci::{Descriptor, Manifest, OciDigest, Reference, Repository, Tag};

use super::NAME;
use super::shelf::Artifacts;
use crate::Environment;
use crate::connection::Patience;
use crate::tier::Transfer;

/// A repository.
#[derive(Debug)]
pub(super) struct Remote {
    repository: Repository,
}

impl Remote {
    /// The repository of `reference`.
    pub(super) fn open(reference: &Reference, environment: &Environment, patience: Patience) -> Result<Self> {
        let variables: Variables =
            environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut options = Options::default();
        options.proxy = Proxy::from_environment(&variables, reference.host());
        options.credentials = Credentials::files(variables);
        options.patience = RegistryPatience { answer: patience.answer, slowest: patience.slowest };
        // A cache that must be waited for is worth less than none.
        options.retries = Retries { most: 1, ..Retries::default() };
        let repository =
            Repository::open(reference, options).map_err(|error| explain("open a cache tier", &error))?;
        Ok(Self { repository })
    }
}

/// A registry's failure in this crate's terms.
fn explain(operation: &'static str, error: &RegistryError) -> Error {
    let kind = match error.kind() {
        Kind::Unauthorized | Kind::Denied | Kind::Credentials => ErrorKind::Permission,
        Kind::NotFound | Kind::MissingContent => ErrorKind::NotFound,
        Kind::TooLarge => ErrorKind::Full,
        Kind::Corrupt => ErrorKind::Corrupt,
        Kind::Misuse => ErrorKind::Invalid,
        // A repository that is not there must not be taken for a result that is not there.
        _ => ErrorKind::Unavailable,
    };
    let explained = Error::new(kind, operation)
        .with_message(error.message().to_owned())
        .with("tier", NAME)
        .with("registry", error.registry())
        .retryable(error.is_retryable());
    match error.hint() {
        "" => explained,
        hint => explained.with_hint(hint),
    }
}

/// A repository that does not exist yet has no results: many registries make it with the first push.
fn absent<T>(operation: &'static str, error: &RegistryError) -> Result<Option<T>> {
    match error.kind() {
        Kind::NameUnknown | Kind::NotFound => Ok(None),
        _ => Err(explain(operation, error)),
    }
}

#[async_trait]
impl Artifacts for Remote {
    async fn has(&self, tag: &Tag) -> Result<bool> {
        match self.repository.resolve(tag.clone()).await {
            Ok(found) => Ok(found.is_some()),
            Err(error) => absent::<()>("look up a result", &error).map(|_| false),
        }
    }

    async fn manifest(&self, tag: &Tag) -> Result<Option<Manifest>> {
        const OPERATION: &str = "look up a result";
        let raw = match self.repository.manifest(tag.clone()).await {
            Ok(raw) => raw,
            Err(error) => absent(OPERATION, &error)?,
        };
        let Some(raw) = raw else { return Ok(None) };
        let malformed = || Error::new(ErrorKind::Corrupt, OPERATION).with("tier", NAME);
        match raw.parse() {
            Ok(Document::Manifest(manifest)) => Ok(Some(manifest)),
            Ok(_) => Err(malformed().with_message("what has its tag is something else")),
            Err(error) => Err(malformed().with_message(error.to_string())),
        }
    }

    async fn put_manifest(&self, tag: &Tag, manifest: Manifest) -> Result<()> {
        let media_type = manifest.media_type.clone().unwrap_or_else(|| media_type::MANIFEST.to_owned());
        let put = self.repository.put_manifest(tag.clone(), manifest.to_bytes(), &media_type).await;
        put.map(drop).map_err(|error| explain("write a result", &error))
    }

    async fn blob(&self, descriptor: &Descriptor, most: usize) -> Result<Option<Bytes>> {
        self.repository.fetch(descriptor, most).await.map_err(|error| explain("read a result", &error))
    }

    async fn range(&self, digest: &OciDigest, range: Range<u64>) -> Result<Bytes> {
        const OPERATION: &str = "read content";
        let length = range.end - range.start;
        let short = |error: RegistryError| explain(OPERATION, &error);
        let reader = self.repository.read_blob(digest, range).await.map_err(short)?;
        let reader = reader.ok_or_else(|| Error::new(ErrorKind::NotFound, OPERATION).with("tier", NAME))?;
        let bytes = reader.read_all(usize::try_from(length).unwrap_or(usize::MAX)).await.map_err(short)?;
        if bytes.len() as u64 == length {
            return Ok(bytes);
        }
        Err(Error::new(ErrorKind::Unavailable, OPERATION)
            .with_message(format!("{} bytes came instead of {length}", bytes.len()))
            .with("tier", NAME))
    }

    async fn put_blob(&self, digest: &OciDigest, bytes: Bytes, known: bool) -> Result<()> {
        let put = if known {
            self.repository.push_blob(digest, bytes).await.map(drop)
        } else {
            self.repository.upload_blob(digest, bytes).await
        };
        put.map_err(|error| match error.kind() {
            // There is nothing to write into.
            Kind::NotFound | Kind::NameUnknown => {
                let nowhere = Error::new(ErrorKind::Unavailable, "write an object").with("tier", NAME);
                nowhere
                    .with_message(error.message().to_owned())
                    .with_hint("make the repository, or mend its name")
            }
            _ => explain("write an object", &error),
        })
    }

    fn moved(&self) -> Transfer {
        let moved = self.repository.registry().moved();
        Transfer { requests: moved.requests, bytes: moved.sent + moved.received }
    }
}
