//! Proof that what is here can be read, and repair of what cannot.
//!
//! Reads every frame of every pack and proves every chunk by its hash; checks that every table finds its rows; that
//! every blob's chunks are here; that every result's blobs are here; that SQLite finds its database sound. Chunks that
//! prove bad are noted as such at once, as any reader does: they are misses from then on, and will be written anew.
//!
//! Repair makes the store say only what it can keep. Packs with damage are replaced by copies of what is sound in them
//! (a damaged table is made again from the frames, and what follows a damaged frame is found again by its magic); rows
//! and results that cannot be served are removed; a damaged index is put aside. What was replaced is in `quarantine/`.
//! It holds the GC lock: writers wait meanwhile.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use larder_core::chunk_list::Root;
use larder_core::{Digest, Error, Hash, Result};
use serde::Serialize;

use super::gc::{Copier, Reach, sweep_lock};
use super::gc_lock::GcLock;
use super::index::Index;
use super::pack::ChunkRow;
use super::pack::frame::{FrameInfo, read_head};
use super::pack::sealed::SealedPack;
use super::pack::set::Pack;
use super::prove::Prover;
use super::reader::Reader;
use super::{LocalStore, new_id, now_seconds};

const PAGE: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(30);

/// What [`LocalStore::verify`] should do.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions {
    /// Repair what is damaged.
    pub repair: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of packs that were read.
    pub done: u64,
    /// Bytes of all packs.
    pub total: u64,
}

/// A blob that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct BrokenBlob {
    /// Its namespace.
    pub namespace: String,
    /// Its digest, as text.
    pub digest: String,
}

/// A result that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenResult {
    /// Its namespace.
    pub namespace: String,
    /// Its key.
    pub key: Vec<u8>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Packs that were read.
    pub packs: u64,
    /// Chunks that were proven.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were looked at.
    pub blobs: u64,
    /// Results that were looked at.
    pub results: u64,
    /// Chunks whose bytes are wrong, in one pack at least.
    pub corrupt_chunks: Vec<String>,
    /// Packs whose table or frames' headers are damaged.
    pub damaged_packs: Vec<String>,
    /// Rows of blobs whose check does not hold, and tables of them that cannot be read.
    pub unsound_rows: u64,
    /// Blobs of which chunks are gone or wrong.
    pub broken_blobs: Vec<BrokenBlob>,
    /// Results of which blobs are gone or wrong.
    pub broken_results: Vec<BrokenResult>,
    /// What is wrong with the index.
    pub index_problems: Vec<String>,
    /// Whether it was repaired.
    pub repaired: bool,
}

impl VerifyReport {
    /// Whether nothing wrong was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.corrupt_chunks.is_empty()
            && self.damaged_packs.is_empty()
            && self.unsound_rows == 0
            && self.broken_blobs.is_empty()
            && self.broken_results.is_empty()
            && self.index_problems.is_empty()
    }
}

fn verify_error(error: io::Error) -> Error {
    Error::from_io(error, "verify the store")
}

/// A repair looks again at most this often.
const REPAIR_PASSES: u32 = 4;

/// What one look found.
struct Looked {
    report: VerifyReport,
    index: Option<Arc<Index>>,
    broken: HashSet<(String, Digest)>,
}

impl LocalStore {
    /// Looks at everything, and repairs it if that is asked for.
    ///
    /// # Errors
    /// When the store cannot be read at all; for a repair also `Busy`, when others are at work all the time, and what
    /// the file system answers.
    pub fn verify(
        &self,
        options: &VerifyOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport> {
        self.flush()?;
        let mut found = self.look(progress)?;
        let mut report = found.report.clone();
        if options.repair {
            report.repaired = !report.is_clean();
            // What a repair makes again may show what it hid: a pack's new table has no rows for a frame that is gone.
            let mut passes = 0;
            while !found.report.is_clean() && passes < REPAIR_PASSES {
                self.repair(&found.report, found.index.as_deref(), &found.broken)?;
                found = self.look(&mut |_| {})?;
                passes += 1;
            }
        }
        Ok(report)
    }

    fn look(&self, progress: &mut dyn FnMut(Progress)) -> Result<Looked> {
        self.refresh_all().map_err(verify_error)?;
        let mut report = VerifyReport { damaged_packs: self.packs.take_rebuilt(), ..VerifyReport::default() };
        self.verify_packs(&mut report, progress).map_err(verify_error)?;
        let broken = self.verify_rows(&mut report).map_err(verify_error)?;
        let index = self.verify_index(&mut report)?;
        if let Some(index) = &index {
            self.verify_results(&mut report, index, &broken)?;
        }
        Ok(Looked { report, index, broken })
    }

    fn verify_packs(&self, report: &mut VerifyReport, progress: &mut dyn FnMut(Progress)) -> io::Result<()> {
        let (sealed, open) = (self.packs.sealed(), self.packs.open());
        let total = sealed.iter().map(|pack| pack.size()).chain(open.iter().map(|pack| pack.size())).sum();
        let mut prover = Prover::default();
        let mut done = 0;
        for pack in open {
            let rows = pack.rows();
            let frame = |row: &ChunkRow| pack.find(&row.hash).map(|(frame, _)| frame);
            self.verify_pack(report, &mut prover, &Pack::Open(pack.clone()), &rows, &frame)?;
            done += pack.size();
            progress(Progress { done, total });
        }
        for pack in sealed {
            let mut rows: Vec<ChunkRow> = pack.rows().collect();
            rows.sort_unstable_by_key(|row| (row.frame, row.offset));
            let frame = |row: &ChunkRow| pack.frame(row.frame);
            if !has_sound_table(&pack, &rows)? {
                report.damaged_packs.push(pack.id().to_owned());
            }
            self.verify_pack(report, &mut prover, &Pack::Sealed(pack.clone()), &rows, &frame)?;
            done += pack.size();
            progress(Progress { done, total });
        }
        Ok(())
    }

    fn verify_pack(
        &self,
        report: &mut VerifyReport,
        prover: &mut Prover,
        pack: &Pack,
        rows: &[ChunkRow],
        frame: &dyn Fn(&ChunkRow) -> Option<FrameInfo>,
    ) -> io::Result<()> {
        report.packs += 1;
        for rows in rows.chunk_by(|a, b| a.frame == b.frame) {
            let bad = match frame(&rows[0]) {
                Some(info) => prover.frame(pack, &info, rows)?,
                None => rows.iter().map(|row| row.hash).collect(),
            };
            report.chunks += rows.len() as u64;
            report.bytes += rows.iter().map(|row| u64::from(row.length)).sum::<u64>();
            for hash in bad {
                let known = matches!(pack, Pack::Sealed(pack) if pack.is_bad(&hash));
                if !known {
                    tracing::debug!(chunk = %hash, pack = pack.id(), "a chunk is corrupt");
                    self.packs.mark_bad(pack, hash);
                }
                report.corrupt_chunks.push(hash.to_hex());
            }
        }
        Ok(())
    }

    /// The blobs that cannot be read, after their chunks were proven.
    fn verify_rows(&self, report: &mut VerifyReport) -> io::Result<HashSet<(String, Digest)>> {
        let mut broken = HashSet::new();
        let mut reader = Reader::default();
        let spaces = self.all_rows()?;
        // After the rows: so every chunk that a row needs can be in the view.
        self.packs.refresh()?;
        for (name, rows) in spaces {
            report.unsound_rows += rows.unsound() + rows.unreadable()?.len() as u64;
            for (digest, root, _) in rows.rows() {
                report.blobs += 1;
                let mut whole = match &root {
                    Root::Whole(file) => self.prove_whole(file),
                    Root::Chunk(_) | Root::List(_) => true,
                };
                let visited = reader.visit(&self.packs, &root, &mut |chunk| {
                    whole &= self.packs.has(&chunk.hash);
                });
                if visited.is_err() || !whole {
                    report
                        .broken_blobs
                        .push(BrokenBlob { namespace: name.clone(), digest: digest.to_string() });
                    broken.insert((name.clone(), digest));
                }
            }
        }
        Ok(broken)
    }

    fn verify_index(&self, report: &mut VerifyReport) -> Result<Option<Arc<Index>>> {
        let index = self.index()?;
        if let Some(recovered) = self.index_recovered() {
            report.index_problems.push(recovered.reason);
            self.forget_recovered();
        }
        match index.check() {
            Ok(problems) => report.index_problems.extend(problems),
            Err(error) => report.index_problems.push(error.to_string()),
        }
        Ok(report.index_problems.is_empty().then_some(index))
    }

    fn verify_results(
        &self,
        report: &mut VerifyReport,
        index: &Index,
        broken: &HashSet<(String, Digest)>,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let page = index.list_results(None, after, PAGE)?;
            for row in page.rows {
                report.results += 1;
                let served = match index.get_result(&row.namespace, &row.key)? {
                    None => false,
                    Some(found) => {
                        let mut reach = Reach::of_result(self, &row.namespace, &found.payload);
                        if reach.incomplete {
                            // It may be newer than the view.
                            self.refresh_all().map_err(verify_error)?;
                            reach = Reach::of_result(self, &row.namespace, &found.payload);
                        }
                        let lost = |digest: &Digest| broken.contains(&(row.namespace.clone(), *digest));
                        !reach.incomplete && !reach.blobs.iter().any(lost)
                    }
                };
                if !served {
                    report.broken_results.push(BrokenResult { namespace: row.namespace, key: row.key });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn repair(
        &self,
        report: &VerifyReport,
        index: Option<&Index>,
        broken: &HashSet<(String, Digest)>,
    ) -> Result<()> {
        let _one = sweep_lock(self)?;
        let lock = GcLock::exclusive(&self.home.join("gc.lock"), PATIENCE).map_err(verify_error)?;
        lock.count_deletion().map_err(verify_error)?;
        let files = self.repair_files(report, broken);
        lock.count_deletion().map_err(verify_error)?;
        drop(lock);
        files.map_err(verify_error)?;
        self.refresh_all().map_err(verify_error)?;
        match index {
            Some(index) => {
                for row in &report.broken_results {
                    // What was rebuilt may have brought its blobs back.
                    let found = index.get_result(&row.namespace, &row.key)?;
                    let served = found.is_some_and(|found| {
                        !Reach::of_result(self, &row.namespace, &found.payload).incomplete
                    });
                    if !served {
                        index.delete_results(&row.namespace, &[&row.key])?;
                    }
                }
            }
            None => {
                self.index()?.suspect();
                self.close_index();
                self.index()?;
                self.forget_recovered();
            }
        }
        self.tidy(u64::from(now_seconds())).map_err(verify_error)
    }

    fn repair_files(&self, report: &VerifyReport, broken: &HashSet<(String, Digest)>) -> io::Result<()> {
        let damaged: HashSet<&str> = report.damaged_packs.iter().map(String::as_str).collect();
        self.packs.refresh()?;
        for pack in self.packs.sealed().iter().filter(|pack| damaged.contains(pack.id())) {
            let path = self.home.join("packs").join(format!("{}.pack", pack.id()));
            self.packs.rebuild(&path, pack.id());
        }
        self.packs.take_rebuilt();
        self.packs.refresh()?;
        if !damaged.is_empty() {
            // What was rebuilt was not proven yet. This notes what is bad in it.
            self.verify_packs(&mut VerifyReport::default(), &mut |_| {})?;
        }
        let mut copier = Copier::new(self)?;
        let mut gone = Vec::new();
        for pack in self.packs.sealed().into_iter().filter(|pack| pack.has_bad()) {
            copier.pack(&pack, &|hash| !pack.is_bad(hash))?;
            gone.push(pack);
        }
        copier.finish()?;
        for pack in gone {
            let name = format!("{}.pack", pack.id());
            fs::rename(self.home.join("packs").join(&name), self.home.join("quarantine").join(&name))?;
        }
        for (name, rows) in self.all_rows()? {
            let lost = broken.iter().any(|(namespace, _)| *namespace == name);
            for path in rows.unreadable()? {
                let saved = rows.salvage(&path, &new_id())?;
                tracing::info!(namespace = name, saved, "a damaged table of blobs was made again");
                let id = path.file_name().unwrap_or_default();
                fs::rename(&path, self.home.join("quarantine").join(id))?;
            }
            rows.refresh()?;
            if lost || rows.unsound() > 0 {
                let mut reader = Reader::default();
                self.packs.refresh()?;
                let keep = |digest: &Digest| !broken.contains(&(name.clone(), *digest));
                let again: HashSet<Digest> = rows
                    .rows()
                    .into_iter()
                    .filter(|(digest, root, _)| {
                        let mut whole = !matches!(root, Root::Whole(_));
                        let visit = &mut |chunk: &larder_core::Chunk| whole &= self.packs.has(&chunk.hash);
                        !keep(digest) && reader.visit(&self.packs, root, visit).is_ok() && whole
                    })
                    .map(|(digest, _, _)| digest)
                    .collect();
                rows.rewrite(&new_id(), |digest| keep(digest) || again.contains(digest))?;
            }
        }
        Ok(())
    }
}

/// Whether the table finds each of its rows, and knows each chunk that the frames' own headers tell.
fn has_sound_table(pack: &SealedPack, rows: &[ChunkRow]) -> io::Result<bool> {
    let found = |row: &ChunkRow| pack.is_bad(&row.hash) || pack.find(&row.hash).is_some();
    if !rows.iter().all(found) {
        return Ok(false);
    }
    for number in 0..pack.frames() {
        let Some(frame) = pack.frame(number) else { return Ok(false) };
        let Some((told, chunks)) = read_head(pack.file(), frame.start(), pack.size())? else {
            return Ok(false);
        };
        let known = |(hash, _): &(Hash, u32)| pack.is_bad(hash) || pack.find(hash).is_some();
        if told != frame || !chunks.iter().all(known) {
            return Ok(false);
        }
    }
    Ok(true)
}
