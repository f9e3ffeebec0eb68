//! Blobs on a server: what both directions share.
//!
//! | file | what |
//! |---|---|
//! | [`upload`](super::upload) | what the server lacks, from the store or from memory |
//! | [`download`](super::download) | what the store lacks, proven on the way in |
//!
//! Small blobs travel many in one message, large ones as a stream each; at most [`AT_ONCE`] transfers at once, and what
//! they hold in memory is bounded by the connection's room, whatever the blobs' sizes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use futures::stream::{self, StreamExt, TryStreamExt};
use larder_core::{Digest, DigestFunction, Result};

use super::capabilities::{Terms, number};
use super::connection::Connection;

/// Transfers of one operation at once.
pub(crate) const AT_ONCE: usize = 8;
/// A larger blob is a stream of its own.
pub(crate) const SMALL: u64 = 1 << 20;
/// What a blob costs in a message besides its content.
pub(crate) const OVERHEAD: u64 = 256;
/// Digests in one question for what is missing: far below 4 MiB.
const DIGESTS: usize = 20_000;

/// The blobs of a server, named by one digest function.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    pub(crate) connection: Connection,
    pub(crate) terms: Arc<Terms>,
    pub(crate) function: DigestFunction,
    pub(crate) level: i32,
}

impl Blobs {
    /// Those of `addresses` that the server lacks.
    pub(crate) async fn missing(&self, addresses: &[Digest]) -> Result<HashSet<Digest>> {
        let ask = |part: Vec<Digest>| async move {
            let question = api::FindMissingBlobsRequest {
                instance_name: self.connection.place().instance.clone(),
                blob_digests: part.iter().map(message).collect(),
                digest_function: number(self.function),
            };
            let limit = self.limit(part.len() as u64 * OVERHEAD);
            let answer = self.connection.ask(limit, question, |channel, request| async move {
                ContentAddressableStorageClient::new(channel)
                    .max_decoding_message_size(super::connection::LARGEST_MESSAGE)
                    .find_missing_blobs(request)
                    .await
            });
            let found = answer.await?.map_err(|failure| failure.explain("ask for missing content"))?;
            let named = found.missing_blob_digests.iter().filter_map(|digest| self.digest(digest));
            Ok::<Vec<Digest>, larder_core::Error>(named.collect())
        };
        let parts: Vec<Vec<Digest>> = addresses.chunks(DIGESTS).map(<[Digest]>::to_vec).collect();
        let found: Vec<Vec<Digest>> =
            stream::iter(parts.into_iter().map(ask)).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The digest that a message names.
    pub(crate) fn digest(&self, digest: &api::Digest) -> Option<Digest> {
        let hash = larder_core::Hash::from_hex(&digest.hash)?;
        Some(Digest { function: self.function, hash, size: u64::try_from(digest.size_bytes).ok()? })
    }

    /// Whether a blob travels with others.
    pub(crate) fn is_small(&self, size: u64) -> bool {
        size <= SMALL && size + OVERHEAD <= self.terms.batch
    }

    /// `blobs` in groups that fit one message each.
    pub(crate) fn batches<T>(&self, blobs: Vec<T>, size: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
        let mut batches: Vec<Vec<T>> = Vec::new();
        let mut used = u64::MAX;
        for blob in blobs {
            let cost = size(&blob) + OVERHEAD;
            used = used.saturating_add(cost);
            match batches.last_mut() {
                Some(batch) if used <= self.terms.batch => batch.push(blob),
                _ => {
                    used = cost;
                    batches.push(vec![blob]);
                }
            }
        }
        batches
    }

    /// How long the body of `length` bytes is waited for.
    pub(crate) fn limit(&self, length: u64) -> Duration {
        self.connection.patience().body(length)
    }

    /// The name of a blob as a resource, in the form that is read.
    pub(crate) fn resource(&self, address: &Digest, zstd: bool) -> String {
        let kind = if zstd { "compressed-blobs/zstd/" } else { "blobs/" };
        // Functions whose hashes have a length of their own are not named.
        let function = if self.function == DigestFunction::Blake3 { "blake3/" } else { "" };
        format!("{}{kind}{function}{}/{}", self.connection.place().prefix(), address.hash, address.size)
    }
}

/// A digest as a message.
pub(crate) fn message(digest: &Digest) -> api::Digest {
    api::Digest {
        hash: digest.hash.to_hex(),
        size_bytes: i64::try_from(digest.size).expect("no content has 2^63 bytes"),
    }
}
