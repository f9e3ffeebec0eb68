//! Spans: which part of the tar stream is decoded from where.
//!
//! ```text
//! span   bytes of the tar stream before it, bits of the blob before it (differences to the span before);
//!        how it begins: 0 anew, 1 inside a block, 2 where the span before ends;
//!        (1) bits from the block's header to here, bits of the header, the header's bytes
//!        (0 and 1) runs of the window; each: gap before it, length
//! ```
//! The bytes of all windows' runs are in a section of their own, in the same order, so that reading one file takes no more of them than it needs.

use larder_inflate::{Point, Window};

use super::TocError;
use super::number::{self, Cursor};

/// The most bits of a block's header that a span carries along: a dynamic one has fewer than 2,400.
const MOST_HEADER_BITS: u32 = 4096;

/// The longest span that is read: it is held in memory.
const LONGEST: u64 = 64 << 20;

/// How a span begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At a place where decoding begins anew: of a plain tar stream anywhere, of zstd a frame, of gzip a block.
    Anew,
    /// Of gzip, inside a block.
    InBlock {
        /// The bit of the blob at which the block's header begins.
        header_bit: u64,
        /// The header's bits, the first one lowest.
        header: Vec<u8>,
        /// How many bits it has.
        header_bits: u32,
    },
    /// Only by decoding what is before it, from the nearest span that begins otherwise: of a zstd frame over 4 MiB.
    Within,
}

/// A part of the tar stream that is verified as a whole, and mostly decoded alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Bytes of the tar stream before it.
    pub out: u64,
    /// Bits of the blob before it.
    pub bit: u64,
    /// How it begins.
    pub start: Start,
    /// Of gzip: the window's runs, as (place in the 32 KiB before the span, length).
    pub runs: Vec<(u32, u32)>,
    /// Where in the section of windows the runs' bytes begin.
    pub(super) window_at: u64,
}

impl Span {
    /// How many bytes of window it has.
    pub(super) fn window_length(&self) -> usize {
        self.runs.iter().map(|(_, length)| *length as usize).sum()
    }

    /// The point that inflate begins at, with the bytes of its window.
    pub(super) fn point(&self, mut window: &[u8]) -> Result<Point, TocError> {
        let wrong = |_| TocError::Damaged("a window makes no sense");
        let mut runs = Window::default();
        for (at, length) in &self.runs {
            let (run, rest) = window
                .split_at_checked(*length as usize)
                .ok_or(TocError::Damaged("a window is too short"))?;
            runs.push(*at, run).map_err(wrong)?;
            window = rest;
        }
        let (header_bit, header, header_bits) = match &self.start {
            Start::InBlock { header_bit, header, header_bits } => (*header_bit, header.clone(), *header_bits),
            _ => (self.bit, Vec::new(), 0),
        };
        Ok(Point { out: self.out, header_bit, header, header_bits, resume_bit: self.bit, window: runs })
    }
}

/// Appends a span.
pub(super) fn put(into: &mut Vec<u8>, before: Option<(u64, u64)>, span: &Span) {
    let (out, bit) = before.unwrap_or_default();
    number::put(into, span.out - out);
    number::put(into, span.bit - bit);
    match &span.start {
        Start::Anew => into.push(0),
        Start::InBlock { header_bit, header, header_bits } => {
            into.push(1);
            number::put(into, span.bit - header_bit);
            number::put(into, u64::from(*header_bits));
            into.extend_from_slice(header);
        }
        Start::Within => return into.push(2),
    }
    number::put(into, span.runs.len() as u64);
    let mut end = 0;
    for (at, length) in &span.runs {
        number::put(into, u64::from(at - end));
        number::put(into, u64::from(*length));
        end = at + length;
    }
}

/// Reads all `count` spans of a layer whose blob and tar stream have these sizes.
pub(super) fn parse(bytes: &[u8], count: u64, blob: u64, tar: u64) -> Result<Vec<Span>, TocError> {
    let wrong = TocError::Damaged;
    let mut cursor = Cursor::new(bytes);
    let mut spans: Vec<Span> = Vec::new();
    let (mut out, mut bit, mut window_at) = (0u64, 0u64, 0u64);
    while !cursor.is_empty() {
        if spans.len() as u64 == count {
            return Err(wrong("it has more spans than it says"));
        }
        let ahead = cursor.number()?;
        out = out.checked_add(ahead).ok_or(wrong("a span lies where it cannot"))?;
        bit = bit.checked_add(cursor.number()?).ok_or(wrong("a span lies where it cannot"))?;
        let is_first = spans.is_empty();
        if ahead > LONGEST {
            return Err(TocError::TooLarge("a span"));
        }
        if out >= tar || is_first != (ahead == 0) || bit / 8 >= blob {
            return Err(wrong("a span lies where it cannot"));
        }
        let start = match cursor.byte()? {
            0 => Start::Anew,
            1 => in_block(&mut cursor, bit)?,
            2 if !is_first => Start::Within,
            _ => return Err(wrong("a span begins in no known way")),
        };
        let runs = if start == Start::Within { Vec::new() } else { runs(&mut cursor)? };
        let span = Span { out, bit, start, runs, window_at };
        window_at += span.window_length() as u64;
        spans.push(span);
    }
    if tar.saturating_sub(out) > LONGEST {
        return Err(TocError::TooLarge("a span"));
    }
    if spans.is_empty() != (tar == 0) {
        return Err(wrong("its spans are not its content"));
    }
    Ok(spans)
}

fn in_block(cursor: &mut Cursor<'_>, bit: u64) -> Result<Start, TocError> {
    let wrong = TocError::Damaged("a block's header makes no sense");
    let Some(header_bit) = bit.checked_sub(cursor.number()?) else { return Err(wrong) };
    let header_bits = cursor.small()?;
    if header_bits > MOST_HEADER_BITS {
        return Err(wrong);
    }
    let header = cursor.take(header_bits.div_ceil(8) as usize)?.to_vec();
    Ok(Start::InBlock { header_bit, header, header_bits })
}

fn runs(cursor: &mut Cursor<'_>) -> Result<Vec<(u32, u32)>, TocError> {
    let count = cursor.count()?;
    let mut runs = Vec::with_capacity(count.min(cursor.left() / 2));
    let mut end = 0u32;
    for _ in 0..count {
        let at = end.checked_add(cursor.small()?);
        let length = cursor.small()?;
        let to = at
            .and_then(|at| at.checked_add(length))
            .filter(|to| *to <= larder_inflate::WINDOW as u32 && length > 0);
        let (Some(at), Some(to)) = (at, to) else { return Err(TocError::Damaged("a window makes no sense")) };
        runs.push((at, length));
        end = to;
    }
    Ok(runs)
}
