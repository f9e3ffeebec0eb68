//! Blobs to a server: only what it lacks, and only what was checked against its name.
//!
//! Large blobs pass through in pieces: a thread of the runtime reads, checks and compresses, the connection takes. The
//! last piece is sent only when the whole blob was what it should be.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::batch_update_blobs_request::Request as Item;
use api::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::bytestream::WriteRequest;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bytes::Bytes;
use futures::future::{self, BoxFuture, Either};
use futures::stream::{self, StreamExt, TryStreamExt};
use larder_core::{Digest, Error, ErrorKind, Hasher, Result};
use larder_store::Store;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::blobs::{AT_ONCE, Blobs, message};
use super::capabilities::number;
use super::connection::random_id;
use super::errors::{Failure, NAME, of_blob};

const OPERATION: &str = "send content";
/// Bytes of a stream that are sent at once.
const PIECE: usize = 256 << 10;
/// What a stream holds in memory, compressed at `level` or not at all.
fn held(level: Option<i32>) -> u64 {
    match level {
        None => 2 << 20,
        Some(..=6) => 8 << 20,
        Some(..=12) => 20 << 20,
        Some(_) => 40 << 20,
    }
}

/// A blob that a server should have.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// Its name there.
    pub(crate) address: Digest,
    pub(crate) content: Content,
}

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// In the store, under this name.
    Stored(Digest),
    Bytes(Bytes),
}

impl Blobs {
    /// Sends all of `uploads`, which the server lacks.
    pub(crate) async fn upload(&self, store: &Store, uploads: Vec<Upload>) -> Result<()> {
        if let Some(large) = uploads.iter().find(|upload| upload.address.size > self.terms.largest) {
            return Err(Error::new(ErrorKind::Invalid, OPERATION)
                .with("digest", large.address)
                .with("tier", NAME)
                .with_message(format!(
                    "the server takes no blobs of more than {} bytes",
                    self.terms.largest
                )));
        }
        let (small, large): (Vec<_>, Vec<_>) =
            uploads.into_iter().partition(|upload| self.is_small(upload.address.size));
        let batches = self.batches(small, |upload| upload.address.size);
        let mut transfers: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
        for batch in batches {
            transfers.push(Box::pin(self.write_batch(store, batch)));
        }
        for upload in large {
            transfers.push(Box::pin(self.write_stream(store, upload)));
        }
        stream::iter(transfers).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn write_batch(&self, store: &Store, batch: Vec<Upload>) -> Result<()> {
        let size: u64 = batch.iter().map(|upload| upload.address.size).sum();
        // As it is kept to be sent again, as it is sent, and on the wire.
        let _room = self.connection.room(size * 3).await;
        let requests = batch.iter().map(|upload| self.item(store, upload)).collect::<Result<Vec<_>>>()?;
        let question = api::BatchUpdateBlobsRequest {
            instance_name: self.connection.place().instance.clone(),
            requests,
            digest_function: number(self.function),
        };
        let answer = self.connection.ask(self.limit(size), question, |channel, request| async move {
            ContentAddressableStorageClient::new(channel).batch_update_blobs(request).await
        });
        let answer = answer.await?.map_err(|failure| failure.explain_write(OPERATION))?;
        let mut taken = std::collections::HashSet::new();
        for item in answer.responses {
            let status = item.status.unwrap_or_default();
            if status.code != 0 {
                return Err(of_blob(status.code, &status.message, OPERATION));
            }
            taken.extend(item.digest.as_ref().and_then(|digest| self.digest(digest)));
        }
        if batch.iter().all(|upload| taken.contains(&upload.address)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, OPERATION)
            .with_message("the server did not say that it took everything")
            .with("tier", NAME))
    }

    fn item(&self, store: &Store, upload: &Upload) -> Result<Item> {
        let mut data = match &upload.content {
            Content::Stored(digest) => store.get(digest, super::blobs::SMALL)?,
            Content::Bytes(bytes) => bytes.to_vec(),
        };
        if upload.address.function.digest(&data) != upload.address {
            return Err(changed(&upload.address));
        }
        let mut compressor = api::compressor::Value::Identity;
        if self.terms.zstd_batches && self.level > 0 {
            let compressed = zstd::bulk::compress(&data, self.level).map_err(unpressed)?;
            if compressed.len() < data.len() {
                (data, compressor) = (compressed, api::compressor::Value::Zstd);
            }
        }
        Ok(Item { digest: Some(message(&upload.address)), data, compressor: compressor as i32 })
    }

    async fn write_stream(&self, store: &Store, upload: Upload) -> Result<()> {
        let zstd = self.terms.zstd && self.level > 0;
        let level = zstd.then_some(self.level);
        let _room = self.connection.room(held(level)).await;
        let place = self.connection.place();
        let read = self.resource(&upload.address, zstd);
        let below = read.strip_prefix(&place.prefix()).unwrap_or(&read);
        let resource = format!("{}uploads/{}/{below}", place.prefix(), random_id());

        let (pieces, taken) = mpsc::channel(1);
        // The reader ends when this is dropped, whoever still holds the stream.
        let (wanted, unwanted) = watch::channel(());
        let (size, store) = (upload.address.size, store.clone());
        let runtime = Handle::current();
        let reading = tokio::task::spawn_blocking(move || {
            let sender = Sender::new(pieces, unwanted, runtime, resource);
            let mut sink = Pieces::new(sender, &upload.address, level)?;
            match &upload.content {
                Content::Bytes(bytes) => sink.take(bytes)?,
                Content::Stored(digest) => {
                    store.read(digest, 0..digest.size, &mut |piece| sink.take(piece))?;
                }
            }
            sink.finish(&upload.address)
        });
        let flow = Arc::new(Flow::new());
        let (watched, connection) = (flow.clone(), self.connection.clone());
        let pieces = stream::unfold((taken, watched, connection), |(mut taken, flow, connection)| async {
            let piece: Option<WriteRequest> = taken.recv().await;
            flow.moved(piece.as_ref().is_none_or(|piece| piece.finish_write));
            let piece = piece?;
            connection.count_bytes(piece.data.len());
            Some((piece, (taken, flow, connection)))
        });
        self.connection.count_request();
        let mut client = ByteStreamClient::new(self.connection.channel().await?);
        let request = self.connection.request(pieces);
        let call = pin!(client.write(request));
        let stalled = pin!(flow.stalled(self.limit(0), self.limit(size)));
        let answer = match future::select(call, stalled).await {
            Either::Left((answer, _)) => answer.map_err(Failure::from),
            Either::Right((waited, _)) => Err(Failure::Silent(waited)),
        };
        drop(wanted);
        // A reader that fails ends the stream without its last piece; what it failed with is the reason then.
        let read = reading.await;
        let sent =
            read.map_err(|panicked| Error::new(ErrorKind::Internal, OPERATION).caused_by(panicked))??;
        let committed =
            answer.map_err(|failure| failure.explain_write(OPERATION))?.into_inner().committed_size;
        // Who has the blob already may say so early. Of a compressed one it may then say -1.
        let whole = u64::try_from(committed).is_ok_and(|it| it == size || sent == Some(it));
        if whole || (zstd && committed == -1) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, OPERATION)
            .with_message(format!("the server took {committed} bytes of {size}"))
            .with("tier", NAME))
    }
}

fn changed(digest: &Digest) -> Error {
    Error::new(ErrorKind::NotFound, OPERATION)
        .with_message("the content in the store is another by now")
        .with("digest", digest)
}

fn unpressed(error: io::Error) -> Error {
    Error::from_io(error, "compress")
}

/// Whether a stream moves.
#[derive(Debug)]
struct Flow {
    begun: Instant,
    /// Milliseconds after the beginning.
    last: AtomicU64,
    ended: AtomicBool,
}

impl Flow {
    fn new() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0), ended: AtomicBool::new(false) }
    }

    fn moved(&self, ended: bool) {
        self.last.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.ended.fetch_or(ended, Ordering::Relaxed);
    }

    /// Ends when nothing moved for `pause`, or when after the end nothing came for `end`.
    async fn stalled(&self, pause: Duration, end: Duration) -> Duration {
        loop {
            let limit = if self.ended.load(Ordering::Relaxed) { end } else { pause };
            let still = Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            match still.checked_sub(self.begun.elapsed()) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return limit,
            }
        }
    }
}

/// Cuts what is written into pieces of a stream; the hash is taken of what goes in.
struct Pieces {
    hasher: Hasher,
    encoder: Encoder,
}

enum Encoder {
    Plain(Sender),
    Zstd(Box<zstd::stream::write::Encoder<'static, Sender>>),
}

struct Sender {
    pieces: mpsc::Sender<WriteRequest>,
    unwanted: watch::Receiver<()>,
    runtime: Handle,
    resource: String,
    buffer: Vec<u8>,
    sent: u64,
    /// The server has heard enough.
    closed: bool,
}

impl Sender {
    fn new(
        pieces: mpsc::Sender<WriteRequest>,
        unwanted: watch::Receiver<()>,
        runtime: Handle,
        resource: String,
    ) -> Self {
        let buffer = Vec::with_capacity(PIECE);
        Self { pieces, unwanted, runtime, resource, buffer, sent: 0, closed: false }
    }

    fn send(&mut self, finish: bool) {
        let data = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let length = data.len() as u64;
        let piece = WriteRequest {
            resource_name: std::mem::take(&mut self.resource),
            write_offset: i64::try_from(self.sent).expect("no content has 2^63 bytes"),
            finish_write: finish,
            data,
        };
        self.sent += length;
        let (sent, unwanted) = (pin!(self.pieces.send(piece)), pin!(self.unwanted.changed()));
        let sent = self.runtime.block_on(future::select(sent, unwanted));
        self.closed |= !matches!(sent, Either::Left((Ok(()), _)));
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let taken = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PIECE {
            self.send(false);
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pieces {
    fn new(sender: Sender, address: &Digest, level: Option<i32>) -> Result<Self> {
        let encoder = match level {
            None => Encoder::Plain(sender),
            Some(level) => {
                let encoder = zstd::stream::write::Encoder::new(sender, level).map_err(unpressed)?;
                Encoder::Zstd(Box::new(encoder))
            }
        };
        Ok(Self { hasher: address.function.hasher(), encoder })
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.hasher.update(piece);
        match &mut self.encoder {
            Encoder::Plain(sender) => sender.write_all(piece),
            Encoder::Zstd(encoder) => encoder.write_all(piece),
        }
        .map_err(unpressed)
    }

    /// Sends the last piece; answers how many bytes were sent, if the server took all.
    fn finish(self, address: &Digest) -> Result<Option<u64>> {
        if self.hasher.finish() != *address {
            return Err(changed(address));
        }
        let mut sender = match self.encoder {
            Encoder::Plain(sender) => sender,
            Encoder::Zstd(encoder) => encoder.finish().map_err(unpressed)?,
        };
        if !sender.closed {
            sender.send(true);
        }
        Ok((!sender.closed).then_some(sender.sent))
    }
}
