//! A writer of the handle: the local one, which also notes what it wrote.

use std::io::Read;

use larder_core::chunker::ChunkStats;
use larder_core::{Digest, DigestFunction, Result};

use crate::event::{Content, Event, Kind, now_ms};
use crate::local::Writer;

use super::{LOCAL_TIER, Store};

/// Writes many blobs, which become visible at [`StoreWriter::commit`].
#[derive(Debug)]
pub struct StoreWriter<'store> {
    store: &'store Store,
    writer: Writer<'store>,
    started: std::time::Instant,
}

impl<'store> StoreWriter<'store> {
    pub(super) fn new(store: &'store Store, writer: Writer<'store>) -> Self {
        Self { store, writer, started: std::time::Instant::now() }
    }

    /// Takes a blob that is in memory.
    ///
    /// # Errors
    /// As [`Writer::put_reader`].
    pub fn put_bytes(&mut self, blob: &[u8]) -> Result<Digest> {
        self.writer.put_bytes(blob)
    }

    /// Takes a blob that claims to be `digest`; refuses it if it is not.
    ///
    /// # Errors
    /// As [`Writer::put_verified`].
    pub fn put_verified(&mut self, digest: &Digest, source: &mut dyn Read) -> Result<()> {
        self.writer.put_verified(digest, source)
    }

    /// Takes everything that `source` gives as one blob; `observe` sees all bytes.
    ///
    /// # Errors
    /// As [`Writer::put_reader`].
    pub fn put_reader(
        &mut self,
        source: &mut dyn Read,
        function: DigestFunction,
        observe: &mut dyn FnMut(&[u8]),
    ) -> Result<Digest> {
        self.writer.put_reader(source, function, observe)
    }

    /// Takes a file from its start as one blob, cloned where that works.
    ///
    /// # Errors
    /// As [`Writer::put_file`].
    pub fn put_file(&mut self, file: &std::fs::File, observe: &mut dyn FnMut(&[u8])) -> Result<Digest> {
        self.writer.put_file(file, observe)
    }

    /// Makes everything that was taken visible to everybody, and answers what was measured.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub fn commit(self) -> Result<ChunkStats> {
        let stats = self.writer.commit()?;
        if stats.chunks > 0 {
            let kind = Kind::Write { tier: LOCAL_TIER.to_owned() };
            let what = format!("{} chunks", stats.chunks - stats.known_chunks);
            let mut event = Event::new(now_ms(), kind, Content::Blob, self.store.namespace(), what);
            event.bytes = Some(stats.stored_bytes);
            event.millis = u64::try_from(self.started.elapsed().as_millis()).ok();
            self.store.inner.journal.note([event]);
        }
        Ok(stats)
    }
}
