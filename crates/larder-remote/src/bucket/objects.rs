//! Objects, with this crate's errors, limits of time, and a count of what moved.
//!
//! A request that makes no progress ends: [`Patience`] says when. Retries are the object store's own, few and short: a
//! cache that must be waited for is worth less than none.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use larder_core::{Error, ErrorKind, Result};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, PutMode, PutOptions, PutPayload};

use crate::tier::Transfer;

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to a look-up, and for the first byte of anything else.
    pub answer: Duration,
    /// For the rest of a body, as bytes a second at least.
    pub slowest: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(3), slowest: 64 << 10 }
    }
}

impl Patience {
    /// For a body of `length` bytes.
    fn body(&self, length: u64) -> Duration {
        // Uploads and large reads may begin slowly: a cold bucket, a retry.
        self.answer * 3 + Duration::from_secs(length / self.slowest.max(1))
    }
}

/// The objects of a tier.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    name: &'static str,
    patience: Patience,
    moved: Arc<(AtomicU64, AtomicU64)>,
}

/// What a conditional write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there now.
    Yes,
    /// Something was there, and stayed.
    Present,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, name: &'static str, patience: Patience) -> Self {
        Self { store, name, patience, moved: Arc::default() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Requests and bytes of everything since it was made.
    pub(crate) fn moved(&self) -> Transfer {
        Transfer {
            requests: self.moved.0.load(Ordering::Relaxed),
            bytes: self.moved.1.load(Ordering::Relaxed),
        }
    }

    fn count(&self, bytes: usize) {
        self.moved.0.fetch_add(1, Ordering::Relaxed);
        self.moved.1.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    async fn in_time<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done.map_err(|error| self.error(operation, error)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, operation)
                .with_message(format!("no answer within {} s", limit.as_secs()))
                .with("tier", self.name)
                .retryable(true)),
        }
    }

    /// A whole object of at most `limit` bytes; nothing if there is none, or if it is larger.
    pub(crate) async fn get(&self, path: &Path, limit: u64) -> Result<Option<Bytes>> {
        let begun = self.store.get_opts(path, GetOptions::default());
        let found = match self.in_time("look up a result", self.patience.answer, begun).await {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.count(0);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let size = found.meta.size;
        if size > limit {
            return Ok(None);
        }
        let mut body = found.into_stream();
        let read = async {
            let mut bytes = Vec::with_capacity(size as usize);
            while let Some(piece) = body.try_next().await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() as u64 > limit {
                    break;
                }
            }
            Ok(bytes)
        };
        let bytes = self.in_time("read a result", self.patience.body(size), read).await?;
        self.count(bytes.len());
        Ok((bytes.len() as u64 <= limit).then(|| bytes.into()))
    }

    /// Whether there is such an object.
    pub(crate) async fn exists(&self, path: &Path) -> Result<bool> {
        let head = self.store.get_opts(path, GetOptions { head: true, ..GetOptions::default() });
        let found = self.in_time("look up a result", self.patience.answer, head).await;
        self.count(0);
        match found {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The bytes `range` of an object, all of them.
    pub(crate) async fn range(&self, path: &Path, range: Range<u64>) -> Result<Bytes> {
        let length = range.end - range.start;
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let read = async { self.store.get_opts(path, options).await?.bytes().await };
        let bytes = self.in_time("read content", self.patience.body(length), read).await?;
        self.count(bytes.len());
        if bytes.len() as u64 == length {
            return Ok(bytes);
        }
        Err(Error::new(ErrorKind::Unavailable, "read content")
            .with_message(format!("{} bytes came instead of {length}", bytes.len()))
            .with("tier", self.name))
    }

    /// Writes an object, whatever was there.
    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        self.write(path, bytes, PutMode::Overwrite).await
    }

    /// Writes an object if there is none.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created> {
        match self.write(path, bytes, PutMode::Create).await {
            Ok(()) => Ok(Created::Yes),
            Err(error) if error.kind() == ErrorKind::Busy => Ok(Created::Present),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<()> {
        let length = bytes.len();
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.store.put_opts(path, PutPayload::from_bytes(bytes), options);
        let done = self.in_time("write an object", self.patience.body(length as u64), put).await;
        self.count(length);
        done.map(drop)
    }

    /// Everything below `prefix`.
    pub(crate) async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let list = self.store.list(Some(prefix)).try_collect::<Vec<_>>();
        let found = self.in_time("list objects", self.patience.answer * 20, list).await;
        self.count(0);
        found
    }

    /// Deletes an object; one that is not there is no error.
    pub(crate) async fn delete(&self, path: &Path) -> Result<()> {
        use object_store::ObjectStoreExt;
        let done = self.in_time("delete an object", self.patience.answer * 3, self.store.delete(path)).await;
        self.count(0);
        match done {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn error(&self, operation: &'static str, error: object_store::Error) -> Error {
        use object_store::Error as Of;
        let kind = match &error {
            Of::NotFound { .. } => ErrorKind::NotFound,
            Of::AlreadyExists { .. } | Of::Precondition { .. } => ErrorKind::Busy,
            Of::PermissionDenied { .. } | Of::Unauthenticated { .. } => ErrorKind::Permission,
            Of::InvalidPath { .. } | Of::UnknownConfigurationKey { .. } => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let said = chain(&error);
        // A bucket that is not there answers like an object that is not there.
        let (kind, hint) = match hint(&said) {
            Some((kind, hint)) => (kind, Some(hint)),
            None => (kind, None),
        };
        let error = Error::new(kind, operation).with_message(short(&said)).with("tier", self.name);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        next = cause.source();
    }
    said
}

/// The answer of a server in one line of bounded length.
fn short(said: &str) -> String {
    let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(300).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// What the codes that clouds put into their answers mean, and what to do.
fn hint(said: &str) -> Option<(ErrorKind, &'static str)> {
    const CODES: &[(&str, ErrorKind, &str)] = &[
        ("NoSuchBucket", ErrorKind::Invalid, "make the bucket, or mend `bucket:`"),
        ("ContainerNotFound", ErrorKind::Invalid, "make the container, or mend `container:`"),
        ("The specified bucket does not exist", ErrorKind::Invalid, "make the bucket, or mend `bucket:`"),
        ("RequestTimeTooSkewed", ErrorKind::Permission, "this machine's clock is wrong; set it"),
        (
            "InvalidAccessKeyId",
            ErrorKind::Permission,
            "the access key is unknown there; see AWS_ACCESS_KEY_ID",
        ),
        (
            "SignatureDoesNotMatch",
            ErrorKind::Permission,
            "the secret key is wrong; see AWS_SECRET_ACCESS_KEY",
        ),
        ("ExpiredToken", ErrorKind::Permission, "the session has expired; log in again"),
        ("AuthenticationFailed", ErrorKind::Permission, "the account key or token is wrong"),
        ("QuotaExceeded", ErrorKind::Full, "the bucket is full"),
        ("AccessDenied", ErrorKind::Permission, "these credentials may not do that in this bucket"),
    ];
    CODES.iter().find(|(code, ..)| said.contains(code)).map(|(_, kind, hint)| (*kind, *hint))
}
