//! Copies chunks out of packs that go, into new packs.
//!
//! A frame of which everything is wanted is copied as it stands; else what is wanted of several frames is gathered into
//! new ones. Every chunk is proven before it is copied; one that is wrong is noted as bad and left behind. A copy is
//! made durable before what it was taken from may be unlinked.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::FileExt;

use larder_core::compress::{Compressor, Decompressor};
use larder_core::{Format, Hash};

use crate::local::pack::ChunkRow;
use crate::local::pack::frame::{FrameInfo, MAX_CHUNKS, TARGET};
use crate::local::pack::open::PackWriter;
use crate::local::pack::sealed::SealedPack;
use crate::local::pack::set::Pack;
use crate::local::{LocalStore, new_id};

/// Writes copies.
pub(crate) struct Copier<'store> {
    store: &'store LocalStore,
    pack: Option<PackWriter>,
    compressor: Compressor,
    decompressor: Decompressor,
    taken: HashSet<Hash>,
    raw: Vec<u8>,
    chunks: Vec<(Hash, u32)>,
    /// Bytes written.
    pub(crate) bytes: u64,
}

impl<'store> Copier<'store> {
    pub(crate) fn new(store: &'store LocalStore) -> io::Result<Self> {
        let compressor = Compressor::new(store.options.format, store.options.level)?;
        Ok(Self {
            store,
            pack: None,
            compressor,
            decompressor: Decompressor::default(),
            taken: HashSet::new(),
            raw: Vec::new(),
            chunks: Vec::new(),
            bytes: 0,
        })
    }

    /// Copies the chunks of `pack` that `wanted` accepts. Answers how many were found bad.
    pub(crate) fn pack(
        &mut self,
        pack: &std::sync::Arc<SealedPack>,
        wanted: &dyn Fn(&Hash) -> bool,
    ) -> io::Result<u64> {
        let mut rows: Vec<ChunkRow> = pack.rows().collect();
        rows.sort_unstable_by_key(|row| (row.frame, row.offset));
        let mut bad = 0;
        for of_frame in rows.chunk_by(|a, b| a.frame == b.frame) {
            let live: Vec<&ChunkRow> =
                of_frame.iter().filter(|row| !self.taken.contains(&row.hash) && wanted(&row.hash)).collect();
            if let (false, Some(frame)) = (live.is_empty(), pack.frame(of_frame[0].frame)) {
                bad += self.frame(pack, &frame, &live)?;
            }
        }
        Ok(bad)
    }

    fn frame(
        &mut self,
        pack: &std::sync::Arc<SealedPack>,
        frame: &FrameInfo,
        live: &[&ChunkRow],
    ) -> io::Result<u64> {
        let mut stored = vec![0; frame.stored as usize];
        let mut raw = Vec::new();
        let read = pack
            .file()
            .read_exact_at(&mut stored, frame.payload)
            .and_then(|()| self.decompressor.decompress(frame.format, &stored, frame.raw as usize, &mut raw));
        match read {
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                return Err(error);
            }
            _ => {}
        }
        let bytes_of = |row: &ChunkRow| {
            let bytes = raw.get(row.offset as usize..)?.get(..row.length as usize)?;
            (read.is_ok() && Hash::blake3(bytes) == row.hash).then_some(bytes)
        };
        let (sound, bad): (Vec<&ChunkRow>, Vec<&ChunkRow>) =
            live.iter().copied().partition(|row| bytes_of(row).is_some());
        for row in &bad {
            self.store.packs.mark_bad(&Pack::Sealed(pack.clone()), row.hash);
        }
        if sound.len() == usize::from(frame.chunks) {
            let chunks: Vec<(Hash, u32)> = sound.iter().map(|row| (row.hash, row.length)).collect();
            self.append(frame.format, &chunks, &stored, frame.raw)?;
        } else {
            for row in &sound {
                let bytes = bytes_of(row).expect("it was sound just above");
                self.chunk(row.hash, bytes)?;
            }
        }
        self.taken.extend(sound.iter().map(|row| row.hash));
        Ok(bad.len() as u64)
    }

    /// Takes a chunk that is known to be sound.
    pub(crate) fn chunk(&mut self, hash: Hash, bytes: &[u8]) -> io::Result<()> {
        if !self.raw.is_empty() && (self.raw.len() + bytes.len() > TARGET || self.chunks.len() == MAX_CHUNKS)
        {
            self.flush()?;
        }
        self.raw.extend_from_slice(bytes);
        self.chunks.push((hash, bytes.len() as u32));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        let (raw, chunks) = (std::mem::take(&mut self.raw), std::mem::take(&mut self.chunks));
        let mut out = Vec::new();
        let format = self.compressor.compress(&raw, &mut out)?;
        let stored = if format == Format::Raw { &raw } else { &out };
        self.append(format, &chunks, stored, raw.len() as u32)
    }

    fn append(&mut self, format: Format, chunks: &[(Hash, u32)], stored: &[u8], raw: u32) -> io::Result<()> {
        if self.pack.as_ref().is_some_and(|pack| pack.pack().is_full())
            && let Some(full) = self.pack.take()
        {
            full.seal(true)?;
        }
        if self.pack.is_none() {
            let home = &self.store.home;
            self.pack = Some(PackWriter::create(&home.join("packs"), &home.join("tmp"), &new_id())?);
        }
        let pack = self.pack.as_mut().expect("set just above");
        self.bytes += pack.append(format, chunks, stored, raw)?;
        Ok(())
    }

    /// Seals what was copied; only then may the originals go. Answers the bytes that were written.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        if let Some(pack) = self.pack.take() {
            pack.seal(true)?;
        }
        Ok(self.bytes)
    }
}
