//! The first thread's work: bytes of the blob → bytes of the tar stream, and where spans begin.
//!
//! Spans of gzip are [`larder_inflate`]'s. Of zstd: a span closes at the first end of a frame after [`SpanRule::out`] bytes; a frame that goes on over
//! [`SpanRule::most`] is cut there, into spans that begin within. Of a plain tar stream: every [`SpanRule::out`] bytes.

use larder_inflate::{Decoder, Point, SpanRule, State};
use zstd::stream::raw::{DParameter, Operation as _};
use zstd::zstd_safe::{InBuffer, OutBuffer};

use super::IndexError;
use crate::layer::Compression;
use crate::toc::spans::{Span, Start};

/// The largest window of zstd that is decoded, as a power of two: 128 MiB.
const WINDOW_LOG: u32 = 27;

/// A span's begin, with the bytes of its window.
pub(super) struct Found {
    pub(super) span: Span,
    pub(super) window: Vec<u8>,
}

impl From<Point> for Found {
    fn from(point: Point) -> Self {
        let runs = point
            .window
            .runs()
            .map(|(at, run)| (at, u32::try_from(run.len()).expect("at most 32 KiB")))
            .collect();
        let window = point.window.bytes().to_vec();
        let start = match point.header_bits {
            0 => Start::Anew,
            header_bits => Start::InBlock { header_bit: point.header_bit, header: point.header, header_bits },
        };
        Self { span: Span { out: point.out, bit: point.resume_bit, start, runs, window_at: 0 }, window }
    }
}

/// What one step did.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    /// Nothing more comes of what was not consumed; else there was no room.
    pub(super) wants_input: bool,
}

/// Unpacks a blob.
pub(super) enum Unpack {
    Plain { out: u64, rule: SpanRule, found: Vec<Found> },
    Gzip(Box<Decoder>),
    Zstd(Box<Zstd>),
}

/// Where in a zstd stream it is.
pub(super) struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    rule: SpanRule,
    consumed: u64,
    out: u64,
    /// Where the frame begins that is being decoded.
    frame: u64,
    is_in_frame: bool,
    /// `out` at the begin of the span.
    span: u64,
    /// Whether the span at hand begins within a frame.
    is_within: bool,
    /// A span begins with the next byte: of a frame, or within one.
    next: Option<Next>,
    found: Vec<Found>,
}

#[derive(Clone, Copy, PartialEq)]
enum Next {
    Frame,
    Within,
}

fn plain(out: u64, byte: u64, start: Start) -> Found {
    Found { span: Span { out, bit: byte * 8, start, runs: Vec::new(), window_at: 0 }, window: Vec::new() }
}

impl Unpack {
    pub(super) fn new(compression: Compression, rule: SpanRule) -> Result<Self, IndexError> {
        let rule = rule.sound();
        Ok(match compression {
            Compression::None => Self::Plain { out: 0, rule, found: Vec::new() },
            Compression::Gzip => Self::Gzip(Box::new(Decoder::new(Some(rule)))),
            Compression::Zstd => Self::Zstd(Box::new(Zstd::new(rule)?)),
        })
    }

    /// Spans whose windows are whole, ascending.
    ///
    /// A span that is not among them begins at most 32 KiB before what was unpacked.
    pub(super) fn take_found(&mut self) -> Vec<Found> {
        match self {
            Self::Plain { found, .. } => std::mem::take(found),
            Self::Gzip(decoder) => decoder.take_points().into_iter().map(Found::from).collect(),
            Self::Zstd(zstd) => std::mem::take(&mut zstd.found),
        }
    }

    /// Unpacks on into `buffer[from..]`.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        is_last: bool,
        buffer: &mut [u8],
        from: usize,
    ) -> Result<Step, IndexError> {
        match self {
            Self::Plain { out, rule, found } => {
                let length = input.len().min(buffer.len() - from);
                buffer[from..from + length].copy_from_slice(&input[..length]);
                let end = *out + length as u64;
                let first = out.next_multiple_of(rule.out);
                found.extend(
                    (first..end)
                        .step_by(usize::try_from(rule.out).expect("not so large"))
                        .map(|at| plain(at, at, Start::Anew)),
                );
                *out = end;
                Ok(Step { consumed: length, produced: length, wants_input: length == input.len() })
            }
            Self::Gzip(decoder) => {
                let progress = decoder.decode(input, is_last, buffer, from)?;
                let wants_input = progress.state != State::NeedsRoom;
                Ok(Step { consumed: progress.consumed, produced: progress.produced, wants_input })
            }
            Self::Zstd(zstd) => zstd.step(input, is_last, &mut buffer[from..]),
        }
    }
}

impl Zstd {
    fn new(rule: SpanRule) -> Result<Self, IndexError> {
        let failed = |error: std::io::Error| IndexError::Zstd { at: 0, why: error.to_string() };
        let mut decoder = zstd::stream::raw::Decoder::new().map_err(failed)?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(failed)?;
        Ok(Self {
            decoder,
            rule,
            consumed: 0,
            out: 0,
            frame: 0,
            is_in_frame: false,
            span: 0,
            is_within: false,
            next: Some(Next::Frame),
            found: Vec::new(),
        })
    }

    fn step(&mut self, input: &[u8], is_last: bool, room: &mut [u8]) -> Result<Step, IndexError> {
        let (mut consumed, mut produced) = (0, 0);
        loop {
            // Never over the place where a span is cut.
            let to_cut = usize::try_from(self.span + self.rule.most - self.out).unwrap_or(usize::MAX);
            let limit = (room.len() - produced).min(to_cut.max(1));
            let mut from = InBuffer::around(&input[consumed..]);
            let mut into = OutBuffer::around(&mut room[produced..produced + limit]);
            let at = self.consumed;
            let left = self
                .decoder
                .run(&mut from, &mut into)
                .map_err(|error| IndexError::Zstd { at, why: error.to_string() })?;
            let (read, written) = (from.pos(), into.pos());
            self.is_in_frame |= read > 0;
            if written > 0 {
                self.begin();
            }
            (consumed, produced) = (consumed + read, produced + written);
            self.consumed += read as u64;
            self.out += written as u64;
            if left == 0 && self.is_in_frame {
                self.is_in_frame = false;
                self.frame = self.consumed;
                if self.out - self.span >= self.rule.out || self.next.is_some() || self.is_within {
                    self.next = Some(Next::Frame);
                }
            } else if self.out - self.span >= self.rule.most && self.next.is_none() {
                self.next = Some(Next::Within);
            }
            let is_stuck = read == 0 && written == 0;
            if produced == room.len() {
                return Ok(Step { consumed, produced, wants_input: false });
            }
            if consumed == input.len() && is_stuck {
                if is_last && self.is_in_frame {
                    return Err(IndexError::Zstd { at: self.consumed, why: "it is cut off".to_owned() });
                }
                return Ok(Step { consumed, produced, wants_input: true });
            }
            if is_stuck && limit > 0 {
                return Err(IndexError::Zstd { at: self.consumed, why: "it does not go on".to_owned() });
            }
        }
    }

    /// A byte comes: if a span begins with it, notes it.
    fn begin(&mut self) {
        let Some(next) = self.next.take() else { return };
        let (byte, start) = match next {
            Next::Frame => (self.frame, Start::Anew),
            Next::Within => (self.frame, Start::Within),
        };
        self.span = self.out;
        self.is_within = next == Next::Within;
        self.found.push(plain(self.out, byte, start));
    }
}
