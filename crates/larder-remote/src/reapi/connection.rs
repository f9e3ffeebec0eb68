//! One connection to a server: limits of time, a count of what moved, room in memory.
//!
//! Made when it is first needed, by the runtime that asks then, and bound to that one. A request that makes no progress
//! ends: [`Patience`] says when. Every request here may be made twice; one that found no server is tried twice more,
//! within its time.

use std::sync::Arc;
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use larder_core::{Error, ErrorKind, Result};
use prost::Message;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::endpoint::Place;
use super::errors::{Failure, NAME};
use crate::connection::Patience;
use crate::meter::Meter;
use crate::tier::Transfer;

/// Mebibytes of content that all transfers of a tier hold at once.
const ROOM: u32 = 40;
/// The largest message that is read.
pub(crate) const LARGEST_MESSAGE: usize = 16 << 20;

/// Pauses before a request is made again.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];

/// A server, as one operation uses it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    meter: Meter,
}

#[derive(Debug)]
struct Shared {
    place: Place,
    patience: Patience,
    channel: OnceCell<Channel>,
    room: Arc<Semaphore>,
    invocation: String,
}

impl Connection {
    pub(crate) fn new(place: Place, patience: Patience) -> Self {
        let shared = Shared {
            place,
            patience,
            channel: OnceCell::new(),
            room: Arc::new(Semaphore::new(ROOM as usize)),
            invocation: random_id(),
        };
        Self { shared: Arc::new(shared), meter: Meter::default() }
    }

    /// The same connection, with a count of its own for one operation: several run at once.
    pub(crate) fn apart(&self) -> Self {
        Self { shared: self.shared.clone(), meter: self.meter.apart() }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.shared.place
    }

    pub(crate) fn patience(&self) -> Patience {
        self.shared.patience
    }

    /// Everything since the tier was opened, and what was [worked on](Self::count_work).
    pub(crate) fn moved(&self) -> Transfer {
        self.meter.total()
    }

    /// Everything of the operation that this was set [apart](Self::apart) for.
    pub(crate) fn moved_here(&self) -> Transfer {
        self.meter.here()
    }

    pub(crate) fn count_request(&self) {
        self.meter.request();
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.meter.bytes(bytes);
    }

    /// Tells that work goes on where nothing moves.
    pub(crate) fn count_work(&self, bytes: usize) {
        self.meter.work(bytes);
    }

    /// Waits until there is room for so many bytes in memory.
    pub(crate) async fn room(&self, bytes: u64) -> OwnedSemaphorePermit {
        let wanted = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(ROOM).clamp(1, ROOM);
        self.shared.room.clone().acquire_many_owned(wanted).await.expect("nobody closes it")
    }

    pub(crate) async fn channel(&self) -> Result<Channel> {
        let make = async || {
            let Shared { place, patience, .. } = &*self.shared;
            let failed = |error: tonic::transport::Error| {
                Error::new(ErrorKind::Unavailable, "open a cache tier").with("tier", NAME).caused_by(error)
            };
            let mut endpoint = Endpoint::from(place.uri.clone())
                .connect_timeout(patience.answer)
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(4 << 20)
                .tcp_nodelay(true);
            if place.tls {
                endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(failed)?;
            }
            Ok::<_, Error>(endpoint.connect_lazy())
        };
        self.shared.channel.get_or_try_init(make).await.cloned()
    }

    /// A request with what says who asks.
    pub(crate) fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        if let Some(token) = &self.shared.place.token {
            metadata.insert("authorization", token.clone());
        }
        let tool = api::ToolDetails {
            tool_name: "larder".to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let about = api::RequestMetadata {
            tool_details: Some(tool),
            tool_invocation_id: self.shared.invocation.clone(),
            ..api::RequestMetadata::default()
        };
        let name = "build.bazel.remote.execution.v2.requestmetadata-bin";
        metadata.insert_bin(name, MetadataValue::from_bytes(&about.encode_to_vec()));
        request
    }

    /// Asks one question, within `limit`.
    pub(crate) async fn ask<Q, A, F>(
        &self,
        limit: Duration,
        question: Q,
        call: impl Fn(Channel, Request<Q>) -> F + Send,
    ) -> Result<Result<A, Failure>>
    where
        Q: Message + Clone,
        A: Message,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let channel = self.channel().await?;
        let sent = question.encoded_len();
        let asked = async {
            let mut again = AGAIN.iter();
            loop {
                self.count_request();
                let answer = call(channel.clone(), self.request(question.clone())).await;
                match (answer, again.next()) {
                    (Err(status), Some(pause)) if status.code() == Code::Unavailable => {
                        tokio::time::sleep(*pause).await;
                    }
                    (answer, _) => return answer,
                }
            }
        };
        let answer = match tokio::time::timeout(limit, asked).await {
            Err(_) => return Ok(Err(Failure::Silent(limit))),
            Ok(Err(status)) => {
                self.count_bytes(sent);
                return Ok(Err(status.into()));
            }
            Ok(Ok(answer)) => answer.into_inner(),
        };
        self.count_bytes(sent + answer.encoded_len());
        Ok(Ok(answer))
    }
}

/// A random UUID.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let [mut high, mut low] = [1, 2].map(|number: u64| RandomState::new().hash_one(number));
    high = high & !0xF000 | 0x4000;
    low = low & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{high:016x}{low:016x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
