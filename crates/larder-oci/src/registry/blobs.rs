//! Blobs: asked for, pushed, mounted from another repository (distribution-spec: "Pushing blobs", "Mounting a blob").
//!
//! A blob is pushed as containerd does it: POST for a place, one PUT with all bytes. A place can be used once; when the PUT
//! breaks, there is a new one.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::auth::Scope;
use super::errors::{Kind, RegistryError};
use super::wire::Ask;
use super::{Repository, Result};
use crate::digest::OciDigest;
use crate::manifest::Descriptor;
use crate::reference::RepositoryName;

/// What a wish to mount came to.
enum Mount {
    Mounted,
    /// The registry would rather have the bytes, here.
    Place(Url),
}

impl Repository {
    /// Whether the blob is in this repository (distribution-spec, "Checking if content exists in the registry").
    pub async fn has_blob(&self, digest: &OciDigest) -> Result<bool> {
        let ask = Ask::new("ask for a blob", Method::HEAD, self.blob_url(digest), Scope::pull(&self.name));
        let response = self.wire.send(&ask).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.wire.fail(&ask, response).await),
        }
    }

    /// Pushes a blob, unless it is there already (distribution-spec, "Pushing a blob monolithically"). Gives whether it was sent.
    pub async fn push_blob(&self, digest: &OciDigest, bytes: Bytes) -> Result<bool> {
        if self.has_blob(digest).await? {
            return Ok(false);
        }
        self.upload_blob(digest, bytes).await?;
        Ok(true)
    }

    /// Pushes a blob without asking first whether it is there.
    pub async fn upload_blob(&self, digest: &OciDigest, bytes: Bytes) -> Result<()> {
        let mut tried = 0;
        loop {
            let place = self.place().await?;
            let outcome = self.put(place, digest, bytes.clone()).await;
            let Err(error) = &outcome else { return outcome };
            if tried >= self.wire.retries().most || !may_pass(error) {
                return outcome;
            }
            tried += 1;
            tracing::debug!(op = error.operation(), %digest, tried, %error, "trying again");
            tokio::time::sleep(self.wire.retries().pause * tried).await;
        }
    }

    /// Makes a blob of another repository of the same registry one of this one, without moving it; `false` if the registry
    /// does not do that, or has no such blob there (distribution-spec, "Mounting a blob from another repository").
    pub async fn mount_blob(&self, digest: &OciDigest, from: &RepositoryName) -> Result<bool> {
        match self.mount(digest, from).await? {
            Mount::Mounted => Ok(true),
            Mount::Place(place) => {
                self.cancel(place).await;
                Ok(false)
            }
        }
    }

    /// Mounts a blob if that can be done, else sends it. Gives whether it was sent.
    pub async fn mount_or_push(
        &self,
        digest: &OciDigest,
        from: &RepositoryName,
        bytes: Bytes,
    ) -> Result<bool> {
        let Mount::Place(place) = self.mount(digest, from).await? else { return Ok(false) };
        match self.put(place, digest, bytes.clone()).await {
            Err(error) if may_pass(&error) => self.upload_blob(digest, bytes).await?,
            outcome => outcome?,
        }
        Ok(true)
    }

    /// The content of a descriptor: what it holds itself, else the blob; `None` if that is not there.
    ///
    /// # Errors
    /// [`Kind::Misuse`] if it is larger than `most`; [`Kind::Corrupt`] if it is not what the descriptor says.
    pub async fn fetch(&self, descriptor: &Descriptor, most: usize) -> Result<Option<Bytes>> {
        let operation = "fetch a blob";
        if descriptor.size > most as u64 {
            let message =
                format!("a blob of {} bytes is more than the {most} that are read", descriptor.size);
            return Err(self.wire.error(Kind::Misuse, operation, message));
        }
        let wrong = || {
            let message = format!("the blob `{}` is not what its descriptor says", descriptor.digest);
            self.wire.error(Kind::Corrupt, operation, message)
        };
        if let Some(data) = &descriptor.data {
            let right = data.len() as u64 == descriptor.size && descriptor.digest.is_of(data);
            return if right { Ok(Some(data.clone())) } else { Err(wrong()) };
        }
        let Some(reader) = self.read_blob(&descriptor.digest, ..).await? else { return Ok(None) };
        if reader.length().is_some_and(|length| length != descriptor.size) {
            return Err(wrong());
        }
        let bytes = reader.read_all(usize::try_from(descriptor.size).unwrap_or(most)).await?;
        if bytes.len() as u64 == descriptor.size { Ok(Some(bytes)) } else { Err(wrong()) }
    }

    async fn mount(&self, digest: &OciDigest, from: &RepositoryName) -> Result<Mount> {
        let mut url = self.uploads_url();
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from.as_str());
        let scope = Scope::push(&self.name).and_pull(from);
        let ask = Ask::new("mount a blob", Method::POST, url, scope);
        let response = self.wire.send(&ask).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Mounted),
            StatusCode::ACCEPTED => Ok(Mount::Place(self.wire.location(ask.operation, &response)?)),
            _ => Err(self.wire.fail(&ask, response).await),
        }
    }

    /// A place to push a blob to.
    async fn place(&self) -> Result<Url> {
        let mut ask =
            Ask::new("begin to push a blob", Method::POST, self.uploads_url(), Scope::push(&self.name));
        // A place that nobody uses is cleared away by the registry.
        ask.again = true;
        let response = self.wire.send(&ask).await?;
        match response.status() {
            StatusCode::ACCEPTED => self.wire.location(ask.operation, &response),
            _ => Err(self.wire.fail(&ask, response).await),
        }
    }

    async fn put(&self, mut place: Url, digest: &OciDigest, bytes: Bytes) -> Result<()> {
        // What is there already is the registry's, and stays as it is.
        let rest = place.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&"));
        place.set_query(Some(&format!("{}digest={digest}", rest.unwrap_or_default())));
        let octets = HeaderValue::from_static("application/octet-stream");
        let ask = Ask::new("push a blob", Method::PUT, place, Scope::push(&self.name))
            .header(CONTENT_TYPE, octets)
            .body(bytes)
            .once();
        let response = self.wire.send(&ask).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(self.wire.fail(&ask, response).await),
        }
    }

    /// Gives up a place; whether that works is of no importance.
    async fn cancel(&self, place: Url) {
        let ask = Ask::new("give up a push", Method::DELETE, place, Scope::push(&self.name));
        if let Err(error) = self.wire.send(&ask).await {
            tracing::debug!(%error, "a place for a blob stays open");
        }
    }

    pub(super) fn blob_url(&self, digest: &OciDigest) -> Url {
        self.wire.url(&format!("{}/blobs/{digest}", self.name))
    }

    fn uploads_url(&self) -> Url {
        self.wire.url(&format!("{}/blobs/uploads/", self.name))
    }
}

/// Whether another place may help: the connection broke, the registry failed, or lost the place.
fn may_pass(error: &RegistryError) -> bool {
    match error.kind() {
        Kind::Unreachable | Kind::Broken => true,
        Kind::NotFound => error.code() == Some("BLOB_UPLOAD_UNKNOWN"),
        _ => false,
    }
}
