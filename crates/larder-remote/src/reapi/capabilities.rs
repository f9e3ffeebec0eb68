//! What a server says that it can: asked once, read liberally. What is left out is taken for what the protocol's first
//! version had: SHA-256, no compression, batches as large as they are made here.

use api::capabilities_client::CapabilitiesClient;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use larder_core::{DigestFunction, Error, ErrorKind, Result};
use tonic::Code;

use super::connection::Connection;
use super::errors::NAME;

/// What fails when a server cannot be asked.
pub(crate) const OPERATION: &str = "ask a server what it can";
/// The largest batch: half of gRPC's usual limit for messages, so that several fit into memory.
const BATCH: u64 = 2 << 20;
/// What is left free in a batch for everything besides content.
const SPARE: u64 = 64 << 10;

/// What a server can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    functions: Vec<DigestFunction>,
    /// Bytes of content in one message.
    pub(crate) batch: u64,
    /// The largest blob that it takes.
    pub(crate) largest: u64,
    /// Streams and reads may be compressed with zstd.
    pub(crate) zstd: bool,
    /// Batches that are written may be.
    pub(crate) zstd_batches: bool,
    /// It takes results.
    pub(crate) writable: bool,
}

impl Terms {
    pub(crate) async fn ask(connection: &Connection) -> Result<Self> {
        let question = api::GetCapabilitiesRequest { instance_name: connection.place().instance.clone() };
        let answer = connection.ask(connection.patience().answer, question, |channel, request| async move {
            CapabilitiesClient::new(channel).get_capabilities(request).await
        });
        let said = match answer.await? {
            Ok(said) => said,
            // Old caches have no such service.
            Err(failure) if failure.code() == Some(Code::Unimplemented) => api::ServerCapabilities::default(),
            Err(failure) => {
                return Err(failure.explain_first(OPERATION, &connection.place().instance));
            }
        };
        let terms = Self::of(&said.cache_capabilities.unwrap_or_default());
        tracing::debug!(tier = NAME, ?terms, "a server said what it can");
        Ok(terms)
    }

    fn of(said: &api::CacheCapabilities) -> Self {
        use api::compressor::Value::Zstd;
        let function = |value: &i32| match api::digest_function::Value::try_from(*value) {
            Ok(api::digest_function::Value::Blake3) => Some(DigestFunction::Blake3),
            Ok(api::digest_function::Value::Sha256) => Some(DigestFunction::Sha256),
            _ => None,
        };
        let mut functions: Vec<_> = said.digest_functions.iter().filter_map(function).collect();
        if said.digest_functions.is_empty() {
            functions.push(DigestFunction::Sha256);
        }
        let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
        let zstd = said.supported_compressors.contains(&(Zstd as i32));
        Self {
            functions,
            batch: positive(said.max_batch_total_size_bytes)
                .unwrap_or(BATCH)
                .min(BATCH)
                .saturating_sub(SPARE),
            largest: positive(said.max_cas_blob_size_bytes).unwrap_or(u64::MAX),
            zstd,
            zstd_batches: zstd && said.supported_batch_update_compressors.contains(&(Zstd as i32)),
            writable: said.action_cache_update_capabilities.is_none_or(|it| it.update_enabled),
        }
    }

    /// The function by which results of `action`'s function are kept there: the same, or SHA-256 for BLAKE3.
    pub(crate) fn function(&self, action: DigestFunction) -> Result<DigestFunction> {
        let sha256 = (action == DigestFunction::Blake3).then_some(DigestFunction::Sha256);
        let usable = [Some(action), sha256].into_iter().flatten().find(|it| self.functions.contains(it));
        usable.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, OPERATION)
                .with_message("the server names content neither by BLAKE3 nor by SHA-256")
                .with("tier", NAME)
                .with_hint("let the server use one of them")
        })
    }
}

/// A function's number in messages.
pub(crate) fn number(function: DigestFunction) -> i32 {
    match function {
        DigestFunction::Blake3 => api::digest_function::Value::Blake3 as i32,
        _ => api::digest_function::Value::Sha256 as i32,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_server_that_says_nothing_is_taken_for_a_plain_one() {
        let terms = Terms::of(&api::CacheCapabilities::default());
        assert_eq!(terms.function(DigestFunction::Blake3).unwrap(), DigestFunction::Sha256);
        assert!(terms.writable && !terms.zstd && !terms.zstd_batches);
        assert_eq!((terms.batch, terms.largest), (BATCH - SPARE, u64::MAX));
    }

    #[test]
    fn blake3_is_preferred_and_functions_that_are_not_known_are_skipped() {
        let said = |functions: &[i32]| {
            Terms::of(&api::CacheCapabilities {
                digest_functions: functions.to_vec(),
                max_batch_total_size_bytes: 100,
                ..api::CacheCapabilities::default()
            })
        };
        assert_eq!(said(&[2, 1, 9]).function(DigestFunction::Blake3).unwrap(), DigestFunction::Blake3);
        assert_eq!(said(&[99, 1]).function(DigestFunction::Blake3).unwrap(), DigestFunction::Sha256);
        assert!(said(&[3]).function(DigestFunction::Blake3).is_err());
        assert!(said(&[9]).function(DigestFunction::Sha256).is_err());
        assert_eq!(said(&[1]).batch, 0, "everything is streamed then");
    }
}
