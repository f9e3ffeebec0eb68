//! The second thread's work: digests, entries, the table's sections.

use super::{CARRY, HISTORY, IndexError, IndexOptions, Indexed, Mismatch, Part};
use crate::digest::{Algorithm, Hasher, OciDigest};
use crate::layer::{Compression, Entry, Walker};
use crate::toc::entries::EntryWriter;
use crate::toc::file::Placed;
use crate::toc::files::FileHasher;
use crate::toc::layer::LayerInfo;
use crate::toc::section::{Section, SectionKind, SectionWriter};
use crate::toc::{LayerToc, RULE, Start, TocError, spans};

pub(super) struct Digester {
    blob: Hasher,
    tar: Hasher,
    /// Of the span at hand, up to `hashed`.
    span: blake3::Hasher,
    hashed: u64,
    /// Bytes of the tar stream taken.
    size: u64,
    /// Begins of spans that are not hashed up to yet.
    begins: std::collections::VecDeque<u64>,
    spans: u64,
    /// Of the last span written: out and bit; and whether it begins within a frame.
    before: Option<(u64, u64)>,
    is_within: bool,
    walker: Walker,
    entries: EntryWriter,
    rows: SectionWriter,
    digests: SectionWriter,
    windows: SectionWriter,
    files: Option<FileHasher>,
}

impl Digester {
    pub(super) fn new(options: &IndexOptions) -> Self {
        let algorithm = |digest: Option<&OciDigest>| digest.map_or(Algorithm::Sha256, OciDigest::algorithm);
        Self {
            blob: algorithm(options.blob.as_ref().map(|(digest, _)| digest)).hasher(),
            tar: algorithm(options.diff_id.as_ref()).hasher(),
            span: blake3::Hasher::new(),
            hashed: 0,
            size: 0,
            begins: std::collections::VecDeque::new(),
            spans: 0,
            before: None,
            is_within: false,
            walker: Walker::new(options.limits),
            entries: EntryWriter::new(),
            rows: SectionWriter::new(),
            digests: SectionWriter::new(),
            windows: SectionWriter::new(),
            files: options.file_digests.then(FileHasher::new),
        }
    }

    pub(super) fn take(&mut self, part: &Part) -> Result<(), IndexError> {
        if let Some(packed) = &part.packed {
            self.blob.update(&packed[CARRY..]);
        }
        let fresh = &part.buffer[part.from..part.to];
        self.tar.update(fresh);
        let Self { walker, entries, files, .. } = self;
        let mut failed = None;
        walker.push(fresh, &mut |entry: Entry| {
            if failed.is_none() {
                failed = entries.push(&entry).err();
            }
            if let Some(files) = files {
                files.expect(&entry);
            }
        })?;
        if let Some(files) = &mut self.files {
            files.take(self.size, fresh).map_err(TocError::Io)?;
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        for found in &part.found {
            let is_within = found.span.start == Start::Within;
            if !is_within {
                self.check_packed(found.span.bit)?;
            }
            self.is_within = is_within;
            let mut row = Vec::new();
            spans::put(&mut row, self.before, &found.span);
            self.rows.write(&row)?;
            self.windows.write(&found.window)?;
            self.before = Some((found.span.out, found.span.bit));
            self.begins.push_back(found.span.out);
            self.spans += 1;
        }
        self.size += fresh.len() as u64;
        // A begin that is not known yet lies in the last 32 KiB; those are in the next buffer too.
        self.hash(part, self.size.saturating_sub(HISTORY as u64))?;
        Ok(())
    }

    /// Hashes spans up to a place in the tar stream; what was not hashed yet is in the part.
    fn hash(&mut self, part: &Part, to: u64) -> Result<(), TocError> {
        let first = self.size - part.to as u64;
        while self.hashed < to {
            // The first begin is the span at hand's own.
            let next = self.begins.get(1).copied().filter(|next| *next <= to);
            let end = next.unwrap_or(to);
            let at = |place: u64| usize::try_from(place - first).expect("in the buffer");
            self.span.update(&part.buffer[at(self.hashed)..at(end)]);
            self.hashed = end;
            if next.is_some() {
                self.close()?;
            }
        }
        Ok(())
    }

    /// Refuses a span that ends at `bit` and is decoded from more than may be.
    fn check_packed(&self, bit: u64) -> Result<(), IndexError> {
        match self.before {
            Some((_, from)) if !self.is_within && bit.saturating_sub(from) > spans::MOST_PACKED * 8 => {
                Err(IndexError::Nothing { at: from / 8 })
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), TocError> {
        self.digests.write(self.span.finalize().as_bytes())?;
        self.span.reset();
        self.begins.pop_front();
        Ok(())
    }

    /// The end: checks, and the table.
    pub(super) fn finish(
        mut self,
        compression: Compression,
        blob_size: u64,
        last: &Part,
        options: &IndexOptions,
    ) -> Result<Indexed, IndexError> {
        self.walker.finish()?;
        self.hash(last, self.size)?;
        if self.size > 0 {
            self.close()?;
        }
        self.check_packed(blob_size.saturating_mul(8))?;
        let (blob, diff_id) = (self.blob.finish(), self.tar.finish());
        if let Some((said, size)) = &options.blob {
            if *size != blob_size {
                return Err(IndexError::Size { said: *size, found: blob_size });
            }
            if *said != blob {
                return Err(IndexError::Blob(Box::new(Mismatch { said: *said, found: blob })));
            }
        }
        if let Some(said) = options.diff_id.as_ref().filter(|said| **said != diff_id) {
            return Err(IndexError::DiffId(Box::new(Mismatch { said: *said, found: diff_id })));
        }
        let (entries, count) = self.entries.finish()?;
        let info = LayerInfo {
            blob,
            blob_size,
            diff_id,
            size: self.size,
            compression,
            span: options.span.out,
            rule: RULE,
            entries: count,
            spans: self.spans,
        };
        let info = serde_json::to_vec(&info).expect("names and numbers");
        let placed = |kind, section: Section| Placed { kind, layer: 0, section };
        let sections = vec![
            placed(SectionKind::Layer, SectionWriter::of(&info)?),
            placed(SectionKind::Entries, entries),
            placed(SectionKind::Spans, self.rows.finish()?),
            placed(SectionKind::Digests, self.digests.finish()?),
            placed(SectionKind::Windows, self.windows.finish()?),
        ];
        let files = self.files.map(|files| files.finish(&diff_id)).transpose().map_err(TocError::Io)?;
        Ok(Indexed {
            toc: LayerToc::of(sections, None)?,
            dropped: self.walker.dropped().to_vec(),
            file_digests: files.flatten(),
        })
    }
}
