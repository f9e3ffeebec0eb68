//! Objects, with this crate's errors, limits of time, and a count of what moved.
//!
//! A request that makes no progress ends: [`Patience`] says when. Retries are the object store's own, few and short: a
//! cache that must be waited for is worth less than none.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use larder_core::{Error, ErrorKind, Result};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, PutMode, PutOptions, PutPayload};

use super::errors::{Speaker, broke_off};
use crate::connection::Patience;
use crate::meter::Meter;
use crate::packed::shelf::Written;
use crate::tier::Transfer;

/// The objects of a tier.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    speaker: Speaker,
    patience: Patience,
    meter: Meter,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, speaker: Speaker, patience: Patience) -> Self {
        Self { store, speaker, patience, meter: Meter::default() }
    }

    /// The same objects, with a count of their own for one operation: several run at once.
    pub(crate) fn apart(&self) -> Self {
        Self { meter: self.meter.apart(), ..self.clone() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.speaker.tier
    }

    /// Everything since the tier was opened.
    pub(crate) fn moved(&self) -> Transfer {
        self.meter.total()
    }

    /// Everything of the operation that these were set [apart](Self::apart) for.
    pub(crate) fn moved_here(&self) -> Transfer {
        self.meter.here()
    }

    /// A request, with what it moved.
    fn count(&self, bytes: usize) {
        self.meter.request();
        self.meter.bytes(bytes);
    }

    async fn in_time<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done.map_err(|error| self.speaker.explain(operation, &error)),
            Err(_) => Err(self.speaker.unanswered(operation, limit.as_secs())),
        }
    }

    /// A whole object; nothing if there is none, `Corrupt` if it has more than `limit` bytes.
    /// With when it was written, by the store's clock.
    pub(crate) async fn get(&self, path: &Path, limit: u64) -> Result<Option<(Bytes, SystemTime)>> {
        let begun = self.store.get_opts(path, GetOptions::default());
        let found = match self.in_time("look up a result", self.patience.answer, begun).await {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.count(0);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (size, written) = (found.meta.size, SystemTime::from(found.meta.last_modified));
        let too_large = || {
            Error::new(ErrorKind::Corrupt, "read a result")
                .with_message(format!("it has more than {limit} bytes"))
                .with("tier", self.name())
        };
        if size > limit {
            return Err(too_large());
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
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(Some((bytes.into(), written)))
    }

    /// When an object was written, by the store's clock, if there is one. Asked for by its first byte: a `HEAD` costs the same, and its
    /// answer has no body that could say what is wrong.
    pub(crate) async fn written(&self, path: &Path) -> Result<Option<SystemTime>> {
        match self.first_byte(path, GetOptions::default().with_range(Some(0..1))).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // An empty object has no first byte.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let head = GetOptions { head: true, ..GetOptions::default() };
                self.first_byte(path, head).await.map(Some).map_err(|_| error)
            }
            found => found.map(Some),
        }
    }

    async fn first_byte(&self, path: &Path, options: GetOptions) -> Result<SystemTime> {
        let found =
            self.in_time("look up a result", self.patience.answer, self.store.get_opts(path, options)).await;
        self.count(0);
        found.map(|found| found.meta.last_modified.into())
    }

    /// The bytes `range` of an object, all of them.
    pub(crate) async fn range(&self, path: &Path, range: Range<u64>) -> Result<Bytes> {
        const OPERATION: &str = "read content";
        let (length, end) = (range.end - range.start, range.end);
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let begun = Instant::now();
        let silence = self.patience.answer * 3;
        let found = self.in_time(OPERATION, silence, self.store.get_opts(path, options)).await?;
        let corrupt = |message: &'static str| {
            Error::new(ErrorKind::Corrupt, OPERATION).with_message(message).with("tier", self.name())
        };
        if found.meta.size < end {
            return Err(corrupt("an object is shorter than the result says"));
        }
        let mut body = found.into_stream();
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.count(0);
        // Each piece comes soon, and all of them at a bearable rate.
        while let Some(piece) = self.in_time(OPERATION, silence, body.try_next()).await? {
            bytes.extend_from_slice(&piece);
            self.meter.bytes(piece.len());
            if bytes.len() as u64 > length {
                return Err(corrupt("more came than was asked for"));
            }
            if begun.elapsed() > self.patience.body(length) {
                return Err(self.speaker.unanswered(OPERATION, begun.elapsed().as_secs()));
            }
        }
        if bytes.len() as u64 == length {
            return Ok(bytes.into());
        }
        Err(Error::new(ErrorKind::Unavailable, OPERATION)
            .with_message(format!("{} bytes came instead of {length}", bytes.len()))
            .with("tier", self.name()))
    }

    /// Writes an object, whatever was there.
    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        self.write(path, bytes, PutMode::Overwrite).await
    }

    /// Writes an object if there is none.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Written> {
        match self.write(path, bytes, PutMode::Create).await {
            Ok(()) => Ok(Written::Yes),
            Err(error) if error.kind() == ErrorKind::Busy => Ok(Written::Present),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<()> {
        let length = bytes.len();
        let (payload, again) = (PutPayload::from_bytes(bytes), mode == PutMode::Create);
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = async {
            match self.store.put_opts(path, payload.clone(), options.clone()).await {
                // The library does not repeat a conditional write. This one can be: if it arrived, it is there.
                Err(error) if again && broke_off(&error).is_some() => {
                    self.store.put_opts(path, payload, options).await
                }
                done => done,
            }
        };
        let done = self.in_time("write an object", self.patience.body(length as u64), put).await;
        self.count(length);
        match done {
            // Only the bucket can be missing, and that is never a result that is missing.
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.speaker.nowhere()),
            done => done.map(drop),
        }
    }

    /// Everything below `prefix`.
    pub(crate) async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let mut pages = self.store.list(Some(prefix));
        let mut found = Vec::new();
        // However many there are, they keep coming.
        while let Some(object) =
            self.in_time("list objects", self.patience.answer * 3, pages.try_next()).await?
        {
            found.push(object);
        }
        self.count(0);
        Ok(found)
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
}
