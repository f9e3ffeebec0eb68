//! An object store that counts requests and bytes, and does wrong on demand.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What goes wrong with a request whose path has a certain part.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The server says 500, or the connection breaks.
    Fail,
    /// The rights do not suffice.
    Deny,
    /// The answer has only its first half.
    Cut,
    /// A bit in the middle of the answer is another.
    Flip,
    /// It takes so long.
    Delay(Duration),
}

pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    faults: Mutex<Vec<(&'static str, &'static str, Fault)>>,
    unconditional: AtomicBool,
    reads: AtomicU64,
    writes: AtomicU64,
}

/// What moved since the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            faults: Mutex::default(),
            unconditional: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        })
    }

    /// From now on, `get`, `put` or `list` of paths with `part` in them go wrong.
    pub(crate) fn fault(&self, operation: &'static str, part: &'static str, fault: Fault) {
        self.faults.lock().unwrap().push((operation, part, fault));
    }

    /// Everything is right again.
    pub(crate) fn mend(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub(crate) fn ignore_conditions(&self) {
        self.unconditional.store(true, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> Count {
        Count { reads: self.reads.swap(0, Ordering::Relaxed), writes: self.writes.swap(0, Ordering::Relaxed) }
    }

    async fn judge(&self, operation: &str, path: &str) -> Result<Option<Fault>> {
        let fault = {
            let faults = self.faults.lock().unwrap();
            faults
                .iter()
                .find(|(of, part, _)| *of == operation && path.contains(part))
                .map(|(.., fault)| fault.clone())
        };
        match fault {
            Some(Fault::Fail) => {
                Err(Error::Generic { store: "faulty", source: "500 Internal Server Error".into() })
            }
            Some(Fault::Deny) => {
                Err(Error::PermissionDenied { path: path.to_owned(), source: "403 AccessDenied".into() })
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.judge("put", path.as_ref()).await?;
        if self.unconditional.load(Ordering::Relaxed) {
            options.mode = PutMode::Overwrite;
        }
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let fault = self.judge("get", path.as_ref()).await?;
        let head = options.head;
        let found = self.inner.get_opts(path, options).await?;
        let (meta, range, attributes, extensions) =
            (found.meta.clone(), found.range.clone(), found.attributes.clone(), found.extensions.clone());
        let mut bytes = if head { Vec::new() } else { found.bytes().await?.to_vec() };
        match fault {
            Some(Fault::Cut) => bytes.truncate(bytes.len() / 2),
            Some(Fault::Flip) => {
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
        let payload = GetResultPayload::Stream(stream::once(async { Ok(Bytes::from(bytes)) }).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
