//! A tier on any server of the Remote Execution API, version 2: the protocol of Bazel's caches. What lies there is
//! described in `docs/formats/reapi.md`.
//!
//! | file | what |
//! |---|---|
//! | [`endpoint`] | where the server is, and who asks |
//! | [`connection`] | requests: limits of time, counts, room in memory |
//! | [`errors`] | what failures mean, and what to do |
//! | [`capabilities`] | what the server says that it can |
//! | [`key`] | the key of a result there |
//! | [`carried`] | what Larder adds to a result, so that it can be believed |
//! | [`view`] | the result as the server sees it |
//! | [`blobs`], [`upload`], [`download`] | content |
//!
//! Content is named by BLAKE3 where the server does that, else by SHA-256, which is an address and nothing more: what is
//! fetched must be what the signed result names by BLAKE3.
//!
//! # Invariants
//! 1. Content is there before the trees that name it, and those before the result.
//! 2. Nothing is sent before it was checked against its name, and nothing kept before it was hashed whole.
//! 3. A result of one namespace is not found from another.
//!
//! # Concurrency
//! A tier is bound to the runtime that asks it first; any number of operations may run on it. Two machines that publish
//! one result send the same blobs, and the later result stays.

mod blobs;
mod capabilities;
mod carried;
mod connection;
mod download;
mod endpoint;
mod errors;
mod key;
mod upload;
mod view;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use api::action_cache_client::ActionCacheClient;
use async_trait::async_trait;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bytes::Bytes;
use larder_core::{Digest, DigestFunction, Error, ErrorKind, Result};
use larder_reapi::{ActionResult, Message};
use larder_store::action::needs;
use larder_store::{ActionDigest, Store, envelope};
use tokio::sync::OnceCell;
use tonic::Code;

use crate::Environment;
use crate::connection::Patience;
use crate::tier::{Examination, Offer, Publication, Receipt, TRIES, Tier, Transfer};
use blobs::{Blobs, message};
use capabilities::{Terms, number};
use carried::{Carried, Wrapped};
use connection::{Connection, LARGEST_MESSAGE};
use download::Wanted;
use endpoint::Place;
use errors::Failure;
use key::Key;
use upload::{Content, Upload};
use view::View;

/// Its name in the configuration.
pub const NAME: &str = errors::NAME;

/// The largest result that is sent: servers read messages of 4 MiB.
const LARGEST_RESULT: usize = (4 << 20) - (64 << 10);

/// Which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReapiConfig {
    /// `grpcs://host:port`, `grpc://host:port`, `https://…`, `http://…`; without a scheme TLS is spoken.
    pub endpoint: String,
    /// The instance; may be empty.
    pub instance: String,
}

/// How a tier is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReapiOptions {
    /// zstd level of what is sent, where the server takes that; 0 sends raw.
    pub level: i32,
    /// How long answers are waited for.
    pub patience: Patience,
}

impl Default for ReapiOptions {
    fn default() -> Self {
        Self { level: 3, patience: Patience::default() }
    }
}

/// What tells this server from others.
#[must_use]
pub fn identity(config: &ReapiConfig) -> String {
    format!("reapi:{}/{}", config.endpoint, config.instance)
}

/// Opens the tier. Nothing is asked of the server yet. The token is that of `LARDER_REAPI_TOKEN` in `environment`.
///
/// # Errors
/// `Invalid` when the configuration makes no sense, `Permission` when a token would travel unencrypted.
pub fn open(config: &ReapiConfig, environment: &Environment, options: ReapiOptions) -> Result<ReapiTier> {
    let place = Place::new(config, environment)?;
    Ok(ReapiTier {
        connection: Connection::new(place, options.patience),
        identity: identity(config),
        level: options.level.clamp(0, 19),
        terms: Arc::default(),
    })
}

/// A tier on a server. See the [module](self).
#[derive(Clone, Debug)]
pub struct ReapiTier {
    connection: Connection,
    identity: String,
    level: i32,
    terms: Arc<OnceCell<Arc<Terms>>>,
}

impl ReapiTier {
    /// The server's blobs, as results of `action`'s function are kept there.
    async fn blobs(&self, action: &ActionDigest) -> Result<Blobs> {
        let connection = self.connection.apart();
        let terms = self.terms.get_or_try_init(|| async { Terms::ask(&connection).await.map(Arc::new) });
        // Whoever waits for another's question waits no longer than for one of its own.
        let limit = connection.patience().answer;
        let terms = tokio::time::timeout(limit, terms).await;
        let terms = terms.map_err(|_| Failure::Silent(limit).explain(capabilities::OPERATION))??.clone();
        let function = terms.function(action.function())?;
        Ok(Blobs { connection, terms, function, level: self.level })
    }
}

/// What the server has under `key` of Larder's.
async fn find(blobs: &Blobs, key: &Key) -> Result<Option<Carried>> {
    let connection = &blobs.connection;
    let question = api::GetActionResultRequest {
        instance_name: connection.place().instance.clone(),
        action_digest: Some(message(&key.digest)),
        digest_function: number(blobs.function),
        ..api::GetActionResultRequest::default()
    };
    let answer = connection.ask(connection.patience().answer, question, |channel, request| async move {
        let client = ActionCacheClient::new(channel);
        client.max_decoding_message_size(LARGEST_MESSAGE).get_action_result(request).await
    });
    let result = match answer.await? {
        Ok(result) => result,
        Err(failure) if failure.code() == Some(Code::NotFound) => return Ok(None),
        Err(failure) => return Err(failure.explain("look up a result")),
    };
    // What others have put there is none of Larder's results.
    let carried = match Carried::find(&result) {
        None => return Ok(None),
        Some(Wrapped::Inline { length, frame }) => Carried::read(length, &frame)?,
        Some(Wrapped::Blob { length, digest }) => {
            let address = blobs.digest(&digest).filter(|it| it.size <= Carried::largest_blob());
            let address = address.ok_or_else(|| errors::corrupt("it carries more than it may"))?;
            Carried::read(length, &blobs.read_whole(&address).await?)?
        }
    };
    Ok(Some(carried))
}

/// Whether a result is there with all its content. One that is not whole is replaced.
async fn is_whole(blobs: &Blobs, key: &Key, action: &ActionDigest) -> Result<bool> {
    match has_all(blobs, key, action).await {
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
            tracing::debug!(%error, "a result is there and not whole");
            Ok(false)
        }
        found => found,
    }
}

async fn has_all(blobs: &Blobs, key: &Key, action: &ActionDigest) -> Result<bool> {
    let Some(carried) = find(blobs, key).await? else { return Ok(false) };
    let mut content = carried.addresses(&carried_needs(&carried, action)?, blobs.function)?;
    // What is carried is there.
    let messages: HashSet<Digest> = carried.trees.iter().map(|tree| blobs.function.digest(tree)).collect();
    content.retain(|address| address.size > 0 && !messages.contains(address));
    Ok(content.is_empty() || blobs.missing(&content).await?.is_empty())
}

/// All that a result names, by what it carries. Who signed it does not matter here: nothing of it is given to anybody.
fn carried_needs(carried: &Carried, action: &ActionDigest) -> Result<Vec<Digest>> {
    let malformed = || errors::corrupt("it does not decode");
    let payload = envelope::payload_unjudged(&carried.envelope).map_err(|_| malformed())?;
    let result = ActionResult::decode(payload).map_err(|error| malformed().caused_by(error))?;
    let function = action.function();
    needs(function, &result, &mut |digest| {
        let tree = carried.trees.iter().find(|tree| function.digest(tree) == *digest);
        tree.map(|tree| tree.to_vec()).ok_or_else(malformed)
    })
}

#[async_trait]
impl Tier for ReapiTier {
    fn name(&self) -> &'static str {
        NAME
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn moved(&self) -> Transfer {
        self.connection.moved()
    }

    async fn look_up(&self, namespace: &str, action: &ActionDigest) -> Result<Option<Box<dyn Offer>>> {
        let blobs = self.blobs(action).await?;
        let key = Key::new(namespace, action, blobs.function);
        let Some(carried) = find(&blobs, &key).await? else { return Ok(None) };
        let blobs = Blobs { connection: blobs.connection.apart(), ..blobs };
        Ok(Some(Box::new(ReapiOffer { blobs, carried })))
    }

    async fn publish(&self, publication: &Publication<'_>) -> Result<Receipt> {
        let blobs = self.blobs(publication.action).await?;
        if !blobs.terms.writable {
            return Err(errors::read_only("publish a result"));
        }
        let key = Key::new(publication.store.namespace(), publication.action, blobs.function);
        let present = !publication.replace && is_whole(&blobs, &key, publication.action).await?;
        if !present {
            publish(&blobs, &key, publication).await?;
        }
        Ok(Receipt { sent: blobs.connection.moved_here(), present })
    }

    /// Looks up what is not there, and asks whether results are taken. Content is not written: no server takes it away again.
    async fn examine(&self, namespace: &str) -> Examination {
        let mut found = Examination::default();
        let absent = ActionDigest::of(DigestFunction::Blake3, &larder_reapi::Action::default());
        let look_up = async {
            let blobs = self.blobs(&absent).await?;
            let key = Key::new(namespace, &absent, blobs.function);
            let mut took = Vec::new();
            for _ in 0..TRIES {
                let begun = Instant::now();
                find(&blobs, &key).await?;
                took.push(begun.elapsed());
            }
            Ok::<_, Error>((took, blobs.terms.writable))
        };
        match look_up.await {
            Ok((took, writable)) => {
                found.look_up = Some(Ok(took));
                found.write = (!writable).then(|| Err(errors::read_only("publish a result")));
            }
            Err(error) => found.look_up = Some(Err(error)),
        }
        found
    }
}

/// Content, then trees, then the result.
async fn publish(blobs: &Blobs, key: &Key, publication: &Publication<'_>) -> Result<()> {
    let view = View::new(publication, blobs.function, &mut |bytes| blobs.connection.count_work(bytes))?;
    let carried = Carried::new(publication.envelope, publication.trees, view.addresses.as_deref());
    let (any, blob) = carried.wrap(blobs.function)?;
    let mut result = view.result;
    result.execution_metadata.get_or_insert_default().auxiliary_metadata.push(any);
    if result.encoded_len() > LARGEST_RESULT {
        return Err(Error::new(ErrorKind::Invalid, "publish a result")
            .with("tier", NAME)
            .with_message("it names more than one message can hold")
            .with_hint("let the recipe name folders as its outputs instead of thousands of files"));
    }
    let mut content = key.uploads(publication.store);
    content.extend(view.blobs);
    content.extend(blob.map(|(address, bytes)| Upload { address, content: Content::Bytes(bytes) }));
    let all: Vec<Digest> = content.iter().chain(&view.trees).map(|upload| upload.address).collect();
    let mut missing = blobs.missing(&all).await?;
    for uploads in [content, view.trees] {
        let uploads = uploads.into_iter().filter(|upload| missing.remove(&upload.address)).collect();
        blobs.upload(publication.store, uploads).await?;
    }
    let question = api::UpdateActionResultRequest {
        instance_name: blobs.connection.place().instance.clone(),
        action_digest: Some(message(&key.digest)),
        action_result: Some(result),
        digest_function: number(blobs.function),
        ..api::UpdateActionResultRequest::default()
    };
    let limit = blobs.limit(question.encoded_len() as u64);
    let answer = blobs.connection.ask(limit, question, |channel, request| async move {
        let client = ActionCacheClient::new(channel);
        client.max_decoding_message_size(LARGEST_MESSAGE).update_action_result(request).await
    });
    answer.await?.map(drop).map_err(|failure| failure.explain_write("publish a result"))
}

/// A result on a server.
#[derive(Debug)]
struct ReapiOffer {
    blobs: Blobs,
    carried: Carried,
}

#[async_trait]
impl Offer for ReapiOffer {
    fn envelope(&self) -> &Bytes {
        &self.carried.envelope
    }

    fn trees(&self) -> &[Bytes] {
        &self.carried.trees
    }

    async fn fetch(&self, store: &Store, needs: &[Digest], missing: &[Digest]) -> Result<Transfer> {
        let addresses = self.carried.addresses(needs, self.blobs.function)?;
        let missing: HashSet<&Digest> = missing.iter().collect();
        let wanted = needs.iter().zip(addresses).filter(|(digest, _)| missing.contains(digest));
        let wanted = wanted.map(|(digest, address)| Wanted { digest: *digest, address }).collect();
        self.blobs.download(store, wanted).await?;
        Ok(self.blobs.connection.moved_here())
    }
}
