//! The table of one layer.

use std::cell::Cell;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entries::EntryReader;
use super::file::{self, FileKind, Identity, Placed};
use super::section::{Section, SectionKind};
use super::spans::{self, Span, Start};
use super::{RULE, TocError};
use crate::digest::OciDigest;
use crate::layer::{Budget, Compression, Entry, shown};
use crate::layout::ReadAt;

/// The most bytes of the sections that are read whole.
const MOST_INFO: u64 = 64 << 10;
/// The most bytes of all spans, and the most spans: of a layer of 8 TiB with the usual span.
const MOST_OF_SPANS: u64 = 256 << 20;
const MOST_SPANS: u64 = 1 << 23;
/// The most bytes of all entries.
const MOST_OF_ENTRIES: u64 = 4 << 30;

/// What a table is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerInfo {
    /// The blob, as the registry has it.
    pub blob: OciDigest,
    /// Its size.
    pub blob_size: u64,
    /// The tar stream in it, as the image's configuration names it.
    pub diff_id: OciDigest,
    /// The tar stream's size.
    pub size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// Bytes of the tar stream after which a span closes at the next block or frame.
    pub span: u64,
    /// The version of the rules, see [`RULE`].
    pub rule: u16,
    /// How many entries there are.
    pub entries: u64,
    /// How many spans.
    pub spans: u64,
}

/// The most spans that a layer of this size can have by rule 1: each has at least `span` bytes, but the last, and what is left of a zstd frame
/// after the last cut within it, before which there was a longer one.
fn most_spans(info: &LayerInfo) -> u64 {
    let span = info.span.max(larder_inflate::WINDOW as u64);
    (info.size / span).saturating_mul(2).saturating_add(1).min(MOST_SPANS).min(info.size)
}

/// The table of one layer. Cheap to clone; spans are in memory, the rest is read when it is asked for.
#[derive(Clone, Debug)]
pub struct LayerToc {
    info: LayerInfo,
    spans: Arc<[Span]>,
    digests: Arc<[[u8; 32]]>,
    entries: Section,
    windows: Section,
    /// All sections in their order, with layer 0.
    sections: Vec<Placed>,
    identity: Identity,
}

impl LayerToc {
    /// Opens a table in a file.
    ///
    /// # Errors
    /// When it is none, is damaged, or is of a version that is not known.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self, TocError> {
        let (kind, sections, identity) = file::open(source)?;
        if kind != FileKind::Layer {
            return Err(TocError::NoToc);
        }
        Self::of(sections, Some(identity))
    }

    /// The table that has these sections; without an identity it is computed.
    pub(super) fn of(sections: Vec<Placed>, identity: Option<Identity>) -> Result<Self, TocError> {
        let find = |kind| {
            let mut found = sections.iter().filter(|placed| placed.kind == kind);
            match (found.next(), found.next()) {
                (Some(one), None) => Ok(one.section.clone()),
                _ => Err(TocError::Damaged("a layer has not the sections that it should have")),
            }
        };
        if sections.len() != SectionKind::OF_LAYER.len() {
            return Err(TocError::Damaged("a layer has not the sections that it should have"));
        }
        let info = find(SectionKind::Layer)?.read_all(MOST_INFO)?;
        let info: LayerInfo =
            serde_json::from_slice(&info).map_err(|_| TocError::Damaged("what it is of cannot be read"))?;
        if info.rule != RULE {
            return Err(TocError::Rule(info.rule));
        }
        if info.spans > most_spans(&info) {
            return Err(TocError::TooLarge("its number of spans"));
        }
        let digests = find(SectionKind::Digests)?;
        if digests.size != info.spans * 32 {
            return Err(TocError::Damaged("its spans, digests and windows do not belong together"));
        }
        let rows = find(SectionKind::Spans)?.read_all(MOST_OF_SPANS)?;
        let spans = spans::parse(&rows, &info)?;
        let digests = digests.read_all(MOST_SPANS * 32)?;
        let windows = find(SectionKind::Windows)?;
        let wanted: u64 = spans.iter().map(|span| span.window_length() as u64).sum();
        if info.spans != spans.len() as u64 || windows.size != wanted {
            return Err(TocError::Damaged("its spans, digests and windows do not belong together"));
        }
        let digests =
            digests.chunks_exact(32).map(|digest| digest.try_into().expect("thirty-two bytes")).collect();
        let entries = find(SectionKind::Entries)?;
        if entries.size > MOST_OF_ENTRIES {
            return Err(TocError::TooLarge("its entries"));
        }
        let identity = identity.map_or_else(|| file::identity(&sections), Ok)?;
        Ok(Self { info, spans: spans.into(), digests, entries, windows, sections, identity })
    }

    /// Writes it as a file; says how many bytes that has.
    pub fn write_to(&self, to: &mut dyn Write) -> Result<u64, TocError> {
        file::write(to, FileKind::Layer, &self.sections, self.identity)
    }

    /// What it is of.
    #[must_use]
    pub fn info(&self) -> &LayerInfo {
        &self.info
    }

    /// Its identity, as the file says it. See [`LayerToc::verify`].
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether every section is what the identity says, and the entries are as many as it says. Reads all of the table.
    pub fn verify(&self) -> Result<(), TocError> {
        if file::identity(&self.sections)? != self.identity {
            return Err(TocError::Damaged("it is not what its identity says"));
        }
        self.entries().try_for_each(|entry| entry.map(drop))
    }

    /// How many bytes the table has, without head, directory and foot.
    #[must_use]
    pub fn packed_size(&self) -> u64 {
        self.sections.iter().map(|placed| placed.section.packed()).sum()
    }

    /// The entries in archive order, read as they are asked for; an error if they are not as many as the table says.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, TocError>> + '_ {
        EntryReader::new(&self.entries, self.info.entries)
    }

    /// The entries, as [`LayerToc::entries`], as long as `budget` has room for them; it has less afterwards.
    pub fn entries_within<'a>(
        &'a self,
        budget: &'a Cell<Budget>,
    ) -> impl Iterator<Item = Result<Entry, TocError>> + 'a {
        self.entries().map(|entry| {
            let entry = entry?;
            let mut left = budget.get();
            let charged = left.charge(&entry);
            budget.set(left);
            match charged {
                Ok(()) => Ok(entry),
                Err(fault) => {
                    Err(TocError::Limit { layer: Box::new(self.info.blob), entry: shown(&entry.path), fault })
                }
            }
        })
    }

    /// The spans, ascending.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span that holds this byte of the tar stream.
    #[must_use]
    pub fn span_at(&self, byte: u64) -> Option<usize> {
        (byte < self.info.size).then(|| self.spans.partition_point(|span| span.out <= byte) - 1)
    }

    /// Which bytes of the tar stream a span has.
    #[must_use]
    pub fn bytes_of(&self, span: usize) -> Range<u64> {
        self.spans[span].out..self.spans.get(span + 1).map_or(self.info.size, |next| next.out)
    }

    /// The spans that must be decoded for this one, itself included: more than one only if it begins within a frame.
    #[must_use]
    pub fn run_of(&self, span: usize) -> Range<usize> {
        let from = self.spans[..=span].iter().rposition(|span| span.start != Start::Within).unwrap_or(0);
        from..span + 1
    }

    /// Which bytes of the blob spans are decoded from.
    #[must_use]
    pub fn packed_bytes_of(&self, spans: Range<usize>) -> Range<u64> {
        let from = self.spans[spans.start].bit / 8;
        // One that begins within a frame is not known to begin at a byte: what is before it ends where the frame does.
        let next = self.spans[spans.end..].iter().find(|span| span.start != Start::Within);
        from..next.map_or(self.info.blob_size, |next| next.bit.div_ceil(8))
    }

    /// The BLAKE3 of a span's bytes of the tar stream.
    #[must_use]
    pub fn digest_of(&self, span: usize) -> &[u8; 32] {
        &self.digests[span]
    }

    /// The point that a span's decoding begins at, with its window.
    pub fn point(&self, span: usize) -> Result<larder_inflate::Point, TocError> {
        let span = &self.spans[span];
        span.point(&self.windows.read_range(span.window_at, span.window_length())?)
    }

    /// Its sections, for an image's table.
    pub(super) fn sections(&self) -> &[Placed] {
        &self.sections
    }
}
