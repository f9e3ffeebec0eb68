//! The services of the server.

use api::action_cache_server::ActionCache;
use api::capabilities_server::Capabilities;
use api::content_addressable_storage_server::ContentAddressableStorage;
use api::{batch_read_blobs_response as read, batch_update_blobs_response as update, compressor};
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::bytestream::byte_stream_server::ByteStream;
use bazel_remote_apis::google::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use bazel_remote_apis::google::rpc;
use futures::stream::{self, BoxStream, StreamExt};
use larder_core::{Digest, DigestFunction, Hash};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::server::{Fault, INSTANCE, LARGEST_MESSAGE, State};

const ZSTD: i32 = compressor::Value::Zstd as i32;
/// Bytes that a read stream gives at once.
const PIECE: usize = 64 << 10;

fn status(done: &Result<(), Status>) -> Option<rpc::Status> {
    let (code, message) = match done {
        Ok(()) => (0, String::new()),
        Err(status) => (status.code() as i32, status.message().to_owned()),
    };
    Some(rpc::Status { code, message, ..rpc::Status::default() })
}

/// Does a fault to what is given.
fn spoil(fault: Option<&Fault>, mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    match fault {
        Some(Fault::Flip) if !bytes.is_empty() => bytes[middle] ^= 0x10,
        Some(Fault::Cut) => bytes.truncate(middle),
        Some(Fault::Bomb) => bytes.resize(bytes.len() + (20 << 20), 0),
        _ => {}
    }
    bytes
}

#[async_trait]
impl Capabilities for State {
    async fn get_capabilities(
        &self,
        request: Request<api::GetCapabilitiesRequest>,
    ) -> Result<Response<api::ServerCapabilities>, Status> {
        self.enter("capabilities", &request).await?;
        if request.into_inner().instance_name != INSTANCE {
            return Err(Status::not_found("no such instance"));
        }
        let manner = &self.manner;
        if manner.terse {
            return Ok(Response::new(api::ServerCapabilities::default()));
        }
        let mut functions = vec![api::digest_function::Value::Sha1 as i32];
        functions.push(match manner.function {
            DigestFunction::Blake3 => api::digest_function::Value::Blake3 as i32,
            _ => api::digest_function::Value::Sha256 as i32,
        });
        let zstd = if manner.zstd { vec![0, ZSTD] } else { Vec::new() };
        let cache = api::CacheCapabilities {
            digest_functions: functions,
            action_cache_update_capabilities: Some(api::ActionCacheUpdateCapabilities {
                update_enabled: manner.writable,
            }),
            max_batch_total_size_bytes: manner.batch,
            max_cas_blob_size_bytes: manner.largest_blob,
            supported_compressors: zstd.clone(),
            supported_batch_update_compressors: zstd,
            ..api::CacheCapabilities::default()
        };
        let said = api::ServerCapabilities { cache_capabilities: Some(cache), ..Default::default() };
        Ok(Response::new(said))
    }
}

#[async_trait]
impl ActionCache for State {
    async fn get_action_result(
        &self,
        request: Request<api::GetActionResultRequest>,
    ) -> Result<Response<api::ActionResult>, Status> {
        self.enter("get", &request).await?;
        let asked = request.into_inner();
        self.check(&asked.instance_name, asked.digest_function)?;
        let key = self.digest(asked.action_digest.as_ref())?;
        let held = self.held();
        let result = held.results.get(&key).ok_or_else(|| Status::not_found("no result"))?;
        self.is_whole(&held, result).map_err(|status| Status::not_found(status.message()))?;
        Ok(Response::new(result.clone()))
    }

    async fn update_action_result(
        &self,
        request: Request<api::UpdateActionResultRequest>,
    ) -> Result<Response<api::ActionResult>, Status> {
        self.enter("update", &request).await?;
        let asked = request.into_inner();
        self.check(&asked.instance_name, asked.digest_function)?;
        if !self.manner.writable {
            return Err(Status::permission_denied("read only"));
        }
        let key = self.digest(asked.action_digest.as_ref())?;
        let result = asked.action_result.ok_or_else(|| Status::invalid_argument("no result"))?;
        let mut held = self.held();
        self.is_action(&held, &key)?;
        self.is_whole(&held, &result)?;
        held.results.insert(key, result.clone());
        Ok(Response::new(result))
    }
}

impl State {
    fn take_item(&self, item: api::batch_update_blobs_request::Request) -> Result<(), Status> {
        let digest = self.digest(item.digest.as_ref())?;
        let bytes = match item.compressor {
            0 => item.data,
            ZSTD if self.manner.zstd => zstd::bulk::decompress(&item.data, digest.size as usize)
                .map_err(|_| Status::invalid_argument("does not decompress"))?,
            _ => return Err(Status::invalid_argument("no such compressor")),
        };
        self.take(digest, bytes)
    }

    /// The blob that a resource below the instance names, and whether it is compressed.
    fn resource(&self, name: &str, upload: bool) -> Result<(Digest, bool), Status> {
        let wrong = || Status::invalid_argument(format!("no such resource: {name}"));
        let mut rest =
            name.strip_prefix(INSTANCE).and_then(|rest| rest.strip_prefix('/')).ok_or_else(wrong)?;
        if upload {
            let (id, below) =
                rest.strip_prefix("uploads/").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
            if id.len() != 36 || id.matches('-').count() != 4 {
                return Err(wrong());
            }
            rest = below;
        }
        let (zstd, rest) = match (rest.strip_prefix("blobs/"), rest.strip_prefix("compressed-blobs/zstd/")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) if self.manner.zstd => (true, rest),
            _ => return Err(wrong()),
        };
        let rest = match self.manner.function {
            DigestFunction::Blake3 => rest.strip_prefix("blake3/").ok_or_else(wrong)?,
            _ => rest,
        };
        let (hash, size) = rest.split_once('/').ok_or_else(wrong)?;
        let hash = Hash::from_hex(hash).ok_or_else(wrong)?;
        let size = size.parse().map_err(|_| wrong())?;
        Ok((Digest { function: self.manner.function, hash, size }, zstd))
    }

    fn limit(&self) -> usize {
        usize::try_from(self.manner.batch).ok().filter(|limit| *limit > 0).unwrap_or(LARGEST_MESSAGE)
    }
}

#[async_trait]
impl ContentAddressableStorage for State {
    type GetTreeStream = BoxStream<'static, Result<api::GetTreeResponse, Status>>;
    type GetChunkMappingStream = BoxStream<'static, Result<api::GetChunkMappingResponse, Status>>;

    async fn find_missing_blobs(
        &self,
        request: Request<api::FindMissingBlobsRequest>,
    ) -> Result<Response<api::FindMissingBlobsResponse>, Status> {
        self.enter("find", &request).await?;
        let asked = request.into_inner();
        self.check(&asked.instance_name, asked.digest_function)?;
        let held = self.held();
        let missing = asked.blob_digests.into_iter().filter(|digest| self.has(&held, Some(digest)).is_err());
        Ok(Response::new(api::FindMissingBlobsResponse { missing_blob_digests: missing.collect() }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<api::BatchUpdateBlobsRequest>,
    ) -> Result<Response<api::BatchUpdateBlobsResponse>, Status> {
        self.enter("batch_write", &request).await?;
        let asked = request.into_inner();
        self.check(&asked.instance_name, asked.digest_function)?;
        if asked.requests.iter().map(|item| item.data.len()).sum::<usize>() > self.limit() {
            return Err(Status::invalid_argument("too much"));
        }
        let responses = asked.requests.into_iter().map(|item| {
            let digest = item.digest.clone();
            update::Response { digest, status: status(&self.take_item(item)) }
        });
        Ok(Response::new(api::BatchUpdateBlobsResponse { responses: responses.collect() }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<api::BatchReadBlobsRequest>,
    ) -> Result<Response<api::BatchReadBlobsResponse>, Status> {
        let fault = self.enter("batch_read", &request).await?;
        let asked = request.into_inner();
        self.check(&asked.instance_name, asked.digest_function)?;
        let zstd = self.manner.zstd && asked.acceptable_compressors.contains(&ZSTD);
        let (held, mut responses, mut total) = (self.held(), Vec::new(), 0);
        // In another order than asked for.
        for digest in asked.digests.iter().rev() {
            let found = self.digest(Some(digest)).map(|digest| held.blobs.get(&digest).cloned())?;
            let Some(bytes) = found else {
                let status = Some(rpc::Status { code: 5, ..rpc::Status::default() });
                responses.push(read::Response { digest: Some(digest.clone()), status, ..Default::default() });
                continue;
            };
            total += bytes.len();
            let bytes = spoil(fault.as_ref(), bytes);
            let (data, compressor) = match zstd {
                true => (zstd::bulk::compress(&bytes, 1).unwrap(), ZSTD),
                false => (bytes, 0),
            };
            responses.push(read::Response { digest: Some(digest.clone()), data, compressor, status: None });
        }
        if total > self.limit() {
            return Err(Status::invalid_argument("too much"));
        }
        Ok(Response::new(api::BatchReadBlobsResponse { responses }))
    }

    async fn get_tree(
        &self,
        _request: Request<api::GetTreeRequest>,
    ) -> Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented("get_tree"))
    }

    async fn split_blob(
        &self,
        _request: Request<api::SplitBlobRequest>,
    ) -> Result<Response<api::SplitBlobResponse>, Status> {
        Err(Status::unimplemented("split_blob"))
    }

    async fn get_chunk_mapping(
        &self,
        _request: Request<api::GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Status::unimplemented("get_chunk_mapping"))
    }

    async fn splice_blob(
        &self,
        _request: Request<api::SpliceBlobRequest>,
    ) -> Result<Response<api::SpliceBlobResponse>, Status> {
        Err(Status::unimplemented("splice_blob"))
    }

    async fn register_chunk_mapping(
        &self,
        _request: Request<Streaming<api::RegisterChunkMappingRequest>>,
    ) -> Result<Response<api::RegisterChunkMappingResponse>, Status> {
        Err(Status::unimplemented("register_chunk_mapping"))
    }
}

#[async_trait]
impl ByteStream for State {
    type ReadStream = BoxStream<'static, Result<ReadResponse, Status>>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let fault = self.enter("read", &request).await?;
        let asked = request.into_inner();
        let (digest, zstd) = self.resource(&asked.resource_name, false)?;
        let bytes = self.held().blobs.get(&digest).cloned().ok_or_else(|| Status::not_found("no blob"))?;
        let mut bytes = spoil(fault.as_ref(), bytes);
        if zstd {
            bytes = zstd::bulk::compress(&bytes, 1).unwrap();
        }
        let pieces: Vec<_> =
            bytes.chunks(PIECE).map(|piece| Ok(ReadResponse { data: piece.to_vec() })).collect();
        let stream = match fault {
            Some(Fault::Stall) => stream::iter(pieces.into_iter().take(1)).chain(stream::pending()).boxed(),
            _ => stream::iter(pieces).boxed(),
        };
        Ok(Response::new(stream))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let fault = self.enter("write", &request).await?;
        let mut pieces = request.into_inner();
        let first = pieces.message().await?.ok_or_else(|| Status::invalid_argument("nothing came"))?;
        let (digest, zstd) = self.resource(&first.resource_name, true)?;
        match fault {
            Some(Fault::Stall) => std::future::pending::<()>().await,
            // Says early that it has the blob, and reads no further.
            Some(Fault::Cut) => {
                let committed_size = if zstd { -1 } else { digest.size as i64 };
                return Ok(Response::new(WriteResponse { committed_size }));
            }
            Some(Fault::Flip) => {
                return Ok(Response::new(WriteResponse { committed_size: digest.size as i64 / 2 }));
            }
            _ => {}
        }
        let (mut bytes, mut finished, mut next) = (Vec::new(), false, Some(first));
        while let Some(piece) = next {
            if finished || piece.write_offset != bytes.len() as i64 {
                return Err(Status::invalid_argument("not where the stream stands"));
            }
            bytes.extend_from_slice(&piece.data);
            finished = piece.finish_write;
            next = pieces.message().await?;
        }
        if !finished {
            return Err(Status::invalid_argument("the stream was not finished"));
        }
        let committed_size = bytes.len() as i64;
        if zstd {
            bytes = zstd::stream::decode_all(&bytes[..])
                .map_err(|_| Status::invalid_argument("does not decompress"))?;
        }
        self.take(digest, bytes)?;
        Ok(Response::new(WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        _request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::unimplemented("query_write_status"))
    }
}
