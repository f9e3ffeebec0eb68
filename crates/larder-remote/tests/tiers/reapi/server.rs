//! A server of the Remote Execution API that is stricter than real ones, and does wrong on demand.
//!
//! It believes no digest, takes no message beyond the usual limit, no result whose action, content or directories are
//! not there, and gives none of which content is gone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use api::action_cache_server::ActionCacheServer;
use api::capabilities_server::CapabilitiesServer;
use api::content_addressable_storage_server::ContentAddressableStorageServer;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::bytestream::byte_stream_server::ByteStreamServer;
use larder_core::{Digest, DigestFunction, Hash};
use larder_remote::Patience;
use larder_remote::reapi::{self, ReapiConfig, ReapiOptions, ReapiTier};
use prost::Message;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Status};

pub(crate) const INSTANCE: &str = "main/team";
/// gRPC's usual limit.
pub(crate) const LARGEST_MESSAGE: usize = 4 << 20;

/// How a server speaks.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) function: DigestFunction,
    pub(crate) zstd: bool,
    pub(crate) writable: bool,
    /// Says no more about itself than it must.
    pub(crate) terse: bool,
    /// Bytes of a batch; 0 for the usual limit.
    pub(crate) batch: i64,
    pub(crate) largest_blob: i64,
    /// Who has another token is not let in.
    pub(crate) token: Option<&'static str>,
    /// How long the tier waits for it.
    pub(crate) answer: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            function: DigestFunction::Sha256,
            zstd: false,
            writable: true,
            terse: false,
            batch: 0,
            largest_blob: 0,
            token: None,
            answer: Duration::from_secs(20),
        }
    }
}

/// What goes wrong with a kind of call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Say(Code),
    /// Nothing is ever answered.
    Silence,
    /// Streams and blobs end in the middle; streams say that this was all.
    Cut,
    /// A bit in the middle is another.
    Flip,
    /// After the first piece the connection says nothing more.
    Stall,
    /// Far more comes than there should be.
    Bomb,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) blobs: HashMap<Digest, Vec<u8>>,
    pub(crate) results: HashMap<Digest, api::ActionResult>,
    pub(crate) faults: HashMap<&'static str, Fault>,
    pub(crate) calls: Vec<&'static str>,
}

/// What all services share.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) manner: Manner,
    held: Arc<Mutex<Held>>,
}

impl State {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    /// Every call passes here first.
    pub(crate) async fn enter<Q>(
        &self,
        call: &'static str,
        request: &Request<Q>,
    ) -> Result<Option<Fault>, Status> {
        let metadata = request.metadata();
        let about = metadata.get_bin("build.bazel.remote.execution.v2.requestmetadata-bin");
        let about = about.and_then(|about| about.to_bytes().ok());
        let about = about.and_then(|about| api::RequestMetadata::decode(about).ok());
        let tool = about.and_then(|about| about.tool_details).unwrap_or_default();
        if tool.tool_name != "larder" {
            return Err(Status::invalid_argument("who asks?"));
        }
        if let Some(token) = self.manner.token {
            let given = metadata.get("authorization").and_then(|value| value.to_str().ok());
            if given != Some(&format!("Bearer {token}")) {
                return Err(Status::unauthenticated("no"));
            }
        }
        let fault = {
            let mut held = self.held();
            held.calls.push(call);
            held.faults.get(call).cloned()
        };
        match fault {
            Some(Fault::Say(code)) => Err(Status::new(code, "as the test wants it")),
            Some(Fault::Silence) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(None)
            }
            fault => Ok(fault),
        }
    }

    pub(crate) fn check(&self, instance: &str, function: i32) -> Result<(), Status> {
        if instance != INSTANCE {
            return Err(Status::invalid_argument("no such instance"));
        }
        let expected = match self.manner.function {
            DigestFunction::Blake3 => api::digest_function::Value::Blake3,
            _ => api::digest_function::Value::Sha256,
        };
        if function == expected as i32 { Ok(()) } else { Err(Status::invalid_argument("another function")) }
    }

    pub(crate) fn digest(&self, digest: Option<&api::Digest>) -> Result<Digest, Status> {
        let parse = || {
            let digest = digest?;
            let hash = Hash::from_hex(&digest.hash)?;
            Some(Digest {
                function: self.manner.function,
                hash,
                size: u64::try_from(digest.size_bytes).ok()?,
            })
        };
        parse().ok_or_else(|| Status::invalid_argument("not a digest"))
    }

    /// Takes a blob if it is what it says.
    pub(crate) fn take(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Status> {
        if self.manner.function.digest(&bytes) != digest {
            return Err(Status::invalid_argument("the content is not what its digest says"));
        }
        self.held().blobs.insert(digest, bytes);
        Ok(())
    }

    pub(crate) fn has(&self, held: &Held, digest: Option<&api::Digest>) -> Result<Digest, Status> {
        let digest = self.digest(digest)?;
        let here = digest.size == 0 || held.blobs.contains_key(&digest);
        if here { Ok(digest) } else { Err(Status::failed_precondition(format!("{digest} is not here"))) }
    }

    fn blob<M: Message + Default>(&self, held: &Held, digest: Option<&api::Digest>) -> Result<M, Status> {
        let digest = self.has(held, digest)?;
        let bytes = held.blobs.get(&digest).map(Vec::as_slice).unwrap_or_default();
        M::decode(bytes).map_err(|_| Status::invalid_argument("a message does not decode"))
    }

    /// Refuses a result that is not whole.
    pub(crate) fn is_whole(&self, held: &Held, result: &api::ActionResult) -> Result<(), Status> {
        for file in &result.output_files {
            self.has(held, file.digest.as_ref())?;
        }
        for stream in [&result.stdout_digest, &result.stderr_digest].into_iter().flatten() {
            self.has(held, Some(stream))?;
        }
        for directory in &result.output_directories {
            let tree: api::Tree = self.blob(held, directory.tree_digest.as_ref())?;
            for directory in tree.root.iter().chain(&tree.children) {
                for file in &directory.files {
                    self.has(held, file.digest.as_ref())?;
                }
                let own = self.manner.function.digest(&directory.encode_to_vec());
                self.has(held, Some(&api::Digest { hash: own.hash.to_hex(), size_bytes: own.size as i64 }))?;
                for node in &directory.directories {
                    let _: api::Directory = self.blob(held, node.digest.as_ref())?;
                }
            }
        }
        Ok(())
    }

    /// Refuses a key whose action is not here. What is named by BLAKE3 may have no action.
    pub(crate) fn is_action(&self, held: &Held, key: &Digest) -> Result<(), Status> {
        let key = api::Digest { hash: key.hash.to_hex(), size_bytes: key.size as i64 };
        match self.blob::<api::Action>(held, Some(&key)) {
            Err(_) if self.manner.function == DigestFunction::Blake3 => Ok(()),
            Err(status) => Err(status),
            Ok(action) => {
                let _: api::Command = self.blob(held, action.command_digest.as_ref())?;
                let _: api::Directory = self.blob(held, action.input_root_digest.as_ref())?;
                Ok(())
            }
        }
    }
}

/// A server in this process, on a free port.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: State,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub(crate) fn new(manner: Manner) -> Self {
        let state = State { manner, held: Arc::default() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let served = state.clone();
        let address = runtime.block_on(async {
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = incoming.local_addr().unwrap();
            let router = tonic::transport::Server::builder()
                .add_service(CapabilitiesServer::new(served.clone()))
                .add_service(
                    ActionCacheServer::new(served.clone()).max_decoding_message_size(LARGEST_MESSAGE),
                )
                .add_service(
                    ContentAddressableStorageServer::new(served.clone())
                        .max_decoding_message_size(LARGEST_MESSAGE)
                        .max_encoding_message_size(LARGEST_MESSAGE),
                )
                .add_service(ByteStreamServer::new(served).max_decoding_message_size(LARGEST_MESSAGE));
            tokio::spawn(router.serve_with_incoming(incoming));
            address
        });
        Self { address, state, runtime: Some(runtime) }
    }

    pub(crate) fn open_with(&self, instance: &str, token: Option<&str>) -> ReapiTier {
        let config = ReapiConfig { endpoint: format!("grpc://{}", self.address), instance: instance.into() };
        let environment: Vec<_> =
            token.map(|token| ("LARDER_REAPI_TOKEN".to_owned(), token.to_owned())).into_iter().collect();
        let patience = Patience { answer: self.state.manner.answer, slowest: 64 << 10 };
        let options = ReapiOptions { patience, ..ReapiOptions::default() };
        reapi::open(&config, &environment, options).unwrap()
    }

    pub(crate) fn open(&self) -> ReapiTier {
        self.open_with(INSTANCE, self.state.manner.token)
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.state.held()
    }

    /// From now on, or no more.
    pub(crate) fn fault(&self, call: &'static str, fault: impl Into<Option<Fault>>) {
        match fault.into() {
            Some(fault) => self.held().faults.insert(call, fault),
            None => self.held().faults.remove(call),
        };
    }

    /// The calls since the last time.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.held().calls)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
