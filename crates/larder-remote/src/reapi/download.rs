//! Blobs from a server into the store. Each is hashed whole before it is visible there; what was compressed is
//! decompressed only as far as its digest says.

use std::collections::HashMap;
use std::io::{self, Read};
use std::time::Duration;

use api::batch_read_blobs_response::Response as Item;
use api::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{ReadRequest, ReadResponse};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use larder_core::{Digest, Error, ErrorKind, Result};
use larder_store::Store;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tonic::{Code, Streaming};

use super::blobs::{AT_ONCE, Blobs, message};
use super::capabilities::number;
use super::connection::{Connection, LARGEST_MESSAGE};
use super::errors::{Failure, NAME, of_blob};

const OPERATION: &str = "read content";
/// What a stream holds in memory, with what writes it into the store; without and with compression.
const HELD: [u64; 2] = [10 << 20, 18 << 20];
/// The largest window of a compressed stream, as a power of two: 8 MiB, as the format recommends.
const WINDOW_LOG: u32 = 23;

/// A blob that the store lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What the result says that it is.
    pub(crate) digest: Digest,
    /// Its name on the server.
    pub(crate) address: Digest,
}

/// Small blobs, and their place in memory.
type Batch = (Vec<(Digest, Vec<u8>)>, OwnedSemaphorePermit);

impl Blobs {
    /// Brings all of `wanted` into the store.
    pub(crate) async fn download(&self, store: &Store, wanted: Vec<Wanted>) -> Result<()> {
        let (small, large): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|wanted| self.is_small(wanted.address.size));
        let batches = self.batches(small, |wanted| wanted.address.size);
        let mut transfers: Vec<BoxFuture<'_, Result<Option<Batch>>>> = Vec::new();
        for batch in batches {
            transfers.push(Box::pin(async { self.read_batch(batch).await.map(Some) }));
        }
        for wanted in large {
            transfers.push(Box::pin(async move { self.read_stream(store, wanted).await.map(|()| None) }));
        }
        let mut transfers = stream::iter(transfers).buffer_unordered(AT_ONCE);
        while let Some(done) = transfers.next().await {
            let Some((blobs, _room)) = done? else { continue };
            let mut writer = store.writer()?;
            for (digest, bytes) in blobs {
                writer.put_verified(&digest, &mut &bytes[..]).map_err(|error| other(error, &digest))?;
            }
            writer.commit()?;
        }
        Ok(())
    }

    async fn read_batch(&self, batch: Vec<Wanted>) -> Result<Batch> {
        let size: u64 = batch.iter().map(|wanted| wanted.address.size).sum();
        // On the wire, as a message, and decompressed.
        let room = self.connection.room(size * 3).await;
        let zstd = [api::compressor::Value::Zstd as i32];
        let question = api::BatchReadBlobsRequest {
            instance_name: self.connection.place().instance.clone(),
            digests: batch.iter().map(|wanted| message(&wanted.address)).collect(),
            acceptable_compressors: if self.terms.zstd { zstd.to_vec() } else { Vec::new() },
            digest_function: number(self.function),
        };
        let answer = self.connection.ask(self.limit(size), question, |channel, request| async move {
            ContentAddressableStorageClient::new(channel)
                .max_decoding_message_size(LARGEST_MESSAGE)
                .batch_read_blobs(request)
                .await
        });
        let answer = answer.await?.map_err(|failure| failure.explain(OPERATION))?;
        let mut found: HashMap<Digest, Item> = HashMap::new();
        for item in answer.responses {
            let digest = item.digest.as_ref().and_then(|digest| self.digest(digest));
            found.extend(digest.map(|digest| (digest, item)));
        }
        let mut blobs = Vec::with_capacity(batch.len());
        for Wanted { digest, address } in batch {
            let item = found.remove(&address).ok_or_else(|| not_there().with("digest", address))?;
            let status = item.status.as_ref().map(|status| (status.code, status.message.as_str()));
            let (code, message) = status.unwrap_or_default();
            if code != 0 {
                return Err(of_blob(code, message, OPERATION).with("digest", address));
            }
            blobs.push((digest, plain(item, &digest)?));
        }
        Ok((blobs, room))
    }

    async fn read_stream(&self, store: &Store, wanted: Wanted) -> Result<()> {
        let zstd = self.terms.zstd;
        let _room = self.connection.room(HELD[usize::from(zstd)]).await;
        let (pieces, taken) = mpsc::channel(1);
        let (store, digest) = (store.clone(), wanted.digest);
        let writing = tokio::task::spawn_blocking(move || {
            let source = Source { taken, piece: Vec::new(), at: 0 };
            // One byte more tells that there is more.
            let most = digest.size.saturating_add(1);
            let mut writer = store.writer()?;
            let source: Box<dyn Read> = if zstd {
                let mut decoder = zstd::stream::read::Decoder::new(source).map_err(unreadable)?;
                decoder.window_log_max(WINDOW_LOG).map_err(unreadable)?;
                Box::new(decoder.take(most))
            } else {
                Box::new(source.take(most))
            };
            let mut source = Watched { source, failed: false };
            writer.put_verified(&digest, &mut source).map_err(|error| match source.failed {
                true => corrupt(&digest).caused_by(error),
                false => other(error, &digest),
            })?;
            writer.commit().map(drop)
        });
        let received = self.pass_on(&wanted.address, zstd, &pieces).await;
        drop(pieces);
        let written = writing
            .await
            .map_err(|panicked| Error::new(ErrorKind::Internal, OPERATION).caused_by(panicked))?;
        received.and(written)
    }

    async fn pass_on(&self, address: &Digest, zstd: bool, pieces: &mpsc::Sender<Vec<u8>>) -> Result<()> {
        let mut incoming = self.receive(address, zstd).await?;
        while let Some(piece) = incoming.next().await? {
            // Who does not take it has enough, or failed and will say so.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// A blob of bounded size, whole, as it is named there.
    pub(crate) async fn read_whole(&self, address: &Digest) -> Result<Bytes> {
        let mut bytes = Vec::new();
        let mut incoming = self.receive(address, false).await?;
        while let Some(piece) = incoming.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > address.size {
                break;
            }
        }
        if address.function.digest(&bytes) != *address {
            return Err(corrupt(address));
        }
        Ok(bytes.into())
    }

    async fn receive(&self, address: &Digest, zstd: bool) -> Result<Incoming> {
        let resource_name = self.resource(address, zstd);
        let question = ReadRequest { resource_name, ..ReadRequest::default() };
        self.connection.count_request();
        let mut client = ByteStreamClient::new(self.connection.channel().await?)
            .max_decoding_message_size(LARGEST_MESSAGE);
        let pause = self.limit(0);
        let begun = tokio::time::timeout(pause, client.read(self.connection.request(question))).await;
        let answer = begun.map_err(|_| Failure::Silent(pause)).and_then(|it| it.map_err(Failure::from));
        Ok(Incoming {
            answer: answer.map_err(explain)?.into_inner(),
            deadline: Instant::now() + self.limit(address.size),
            pause,
            connection: self.connection.clone(),
        })
    }
}

/// A stream that is read: each piece in time, and all of them.
struct Incoming {
    answer: Streaming<ReadResponse>,
    deadline: Instant,
    pause: Duration,
    connection: Connection,
}

impl Incoming {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let until = self.deadline.min(Instant::now() + self.pause);
        let next = tokio::time::timeout_at(until, self.answer.message()).await;
        let piece = next.map_err(|_| Failure::Silent(self.pause)).and_then(|it| it.map_err(Failure::from));
        let piece = piece.map_err(explain)?;
        if let Some(piece) = &piece {
            self.connection.count_bytes(piece.data.len());
        }
        Ok(piece.map(|piece| piece.data))
    }
}

fn explain(failure: Failure) -> Error {
    match failure {
        Failure::Said(status) if status.code() == Code::NotFound => not_there(),
        failure => failure.explain(OPERATION),
    }
}

fn not_there() -> Error {
    of_blob(Code::NotFound as i32, "", OPERATION)
}

/// The bytes of one of many, not more than its digest says.
fn plain(item: Item, digest: &Digest) -> Result<Vec<u8>> {
    if item.compressor == api::compressor::Value::Identity as i32 {
        return Ok(item.data);
    }
    if item.compressor != api::compressor::Value::Zstd as i32 {
        return Err(corrupt(digest));
    }
    let size = usize::try_from(digest.size).map_err(|_| corrupt(digest))?;
    zstd::bulk::decompress(&item.data, size).map_err(|error| corrupt(digest).caused_by(error))
}

fn corrupt(digest: &Digest) -> Error {
    Error::new(ErrorKind::Corrupt, OPERATION)
        .with_message("the server has other content than the result says")
        .with("digest", digest)
        .with("tier", NAME)
}

fn unreadable(error: io::Error) -> Error {
    Error::from_io(error, OPERATION)
}

/// What the store refused was the server's doing.
fn other(error: Error, digest: &Digest) -> Error {
    if error.kind() == ErrorKind::Invalid { corrupt(digest).caused_by(error) } else { error }
}

/// Tells whether what is read failed, or what is done with it.
struct Watched<R> {
    source: R,
    failed: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer);
        self.failed |= read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

/// The pieces of a stream, as a thread reads them.
struct Source {
    taken: mpsc::Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(piece) = self.taken.blocking_recv() else { return Ok(0) };
            (self.piece, self.at) = (piece, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
