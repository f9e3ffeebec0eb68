//! Restart points: where decoding may begin again, and what it needs there.
//!
//! ```text
//! compressed   … │ header of a block │ symbols … │ symbols of the span …
//!                ▲ header_bit                    ▲ resume_bit          (inside a block; `header` is a copy of the header's bits)
//!                ▲ header_bit = resume_bit                             (at a block's begin; `header` is empty)
//! decompressed   … │ up to 32 KiB, of which the window holds what the span refers to │ bytes of the span …
//!                                                                                    ▲ out
//! ```
//! A **span** is what lies between two points. A span closes at the begin of the first non-empty block at which it has at least
//! [`SpanRule::out`] bytes of output and [`SpanRule::input`] bytes of input, else before the symbol that would make it pass
//! [`SpanRule::most`] bytes (stored blocks: exactly there). Input is counted in bits, from a point's `resume_bit` to the block's header,
//! with ends and headers of members on the way. So:
//! - the first point is at the first block that gives a byte, with `out` 0; a stream of no bytes has no point;
//! - blocks that give no byte, and ends and headers of members, belong to the span before;
//! - windows never cross members;
//! - points depend on the compressed bytes and the rule only.
//!
//! Only the first 32 KiB of a span can refer to what lies before it; what they refer to is marked while they are decoded. A point is
//! finished when they are.

use crate::error::{Error, ErrorKind};

/// How far back a match may reach, and the most that a window holds.
pub const WINDOW: usize = 32 << 10;

/// When a span closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanRule {
    /// Least bytes of output for a span to close at a block. At least 32 KiB: less is taken as that.
    pub out: u64,
    /// Least bytes of input for that.
    pub input: u64,
    /// Most bytes of output. At least `out`: less is taken as that.
    pub most: u64,
}

impl Default for SpanRule {
    fn default() -> Self {
        Self { out: 1 << 20, input: 400 << 10, most: 4 << 20 }
    }
}

/// A span was asked for that is smaller than a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("span of {0} bytes, at least 32 KiB and at most 1 TiB are possible")]
pub struct SpanSize(pub u64);

impl SpanRule {
    /// The rule for spans of `out` bytes: the other numbers in the proportions of the default.
    pub fn of_span(out: u64) -> Result<Self, SpanSize> {
        if !(WINDOW as u64..=1 << 40).contains(&out) {
            return Err(SpanSize(out));
        }
        Ok(Self { out, input: out * 400 / 1024, most: out * 4 })
    }

    /// With its limits in order: whatever was asked for, a span is never shorter than a window.
    #[must_use]
    pub fn sound(self) -> Self {
        let out = self.out.max(WINDOW as u64);
        Self { out, input: self.input, most: self.most.max(out) }
    }
}

/// Where decoding may begin again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// Decompressed bytes before it, of all members.
    pub out: u64,
    /// The bit of the compressed stream at which the block's header begins.
    pub header_bit: u64,
    /// A copy of the header's bits, the first one lowest, if the point is inside a block; else empty. Of a stored block everything
    /// up to its first byte.
    pub header: Vec<u8>,
    /// How many bits `header` has.
    pub header_bits: u32,
    /// The bit at which decoding goes on: of a symbol, of a stored byte, or of the block's header.
    pub resume_bit: u64,
    /// What the span refers to of the bytes before it.
    pub window: Window,
}

/// Some of the 32 KiB before a point: runs of bytes, ascending, that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Window {
    /// Place in the 32 KiB and length. Lengths up to 32 KiB do not fit `u16` in one case only, hence `u32`.
    runs: Vec<(u32, u32)>,
    bytes: Vec<u8>,
}

impl Window {
    /// The runs: place in the 32 KiB before the point (32,767 is the last byte before it), and bytes.
    pub fn runs(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.runs.iter().map(move |&(at, length)| {
            let (run, behind) = rest.split_at(length as usize);
            rest = behind;
            (at, run)
        })
    }

    /// How many runs there are.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// All runs' bytes, one after another.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing is referred to.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Appends a run behind the others; one that touches the last is merged with it, an empty one is nothing.
    pub fn push(&mut self, at: u32, bytes: &[u8]) -> Result<(), Error> {
        let wrong = |what| Error { at: 0, kind: ErrorKind::Point(what) };
        if at as usize > WINDOW || bytes.len() > WINDOW - at as usize {
            return Err(wrong("a run of its window ends behind 32 KiB"));
        }
        let end = self.runs.last().map_or(0, |&(at, length)| at + length);
        if at < end {
            return Err(wrong("runs of its window are not ascending"));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        match self.runs.last_mut() {
            Some((_, length)) if at == end => *length += bytes.len() as u32,
            _ => self.runs.push((at, bytes.len() as u32)),
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
