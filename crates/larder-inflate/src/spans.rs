//! Spans while they are made: when one closes, and the point that waits for its window.

use crate::marks::Marks;
use crate::point::{Point, SpanRule, WINDOW, Window};

/// The marking of the first 32 KiB after a point.
#[derive(Clone, Debug)]
pub(crate) struct Marking {
    pub(crate) marks: Marks,
    /// The point's place in the output, while what follows it is marked.
    pub(crate) from: Option<u64>,
}

impl Marking {
    pub(crate) fn new() -> Self {
        Self { marks: Marks::new(), from: None }
    }

    /// Ends once 32 KiB are behind the point.
    pub(crate) fn settle(&mut self, out: u64) {
        if self.from.is_some_and(|from| out - from >= WINDOW as u64) {
            self.from = None;
        }
    }
}

/// The spans of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    rule: SpanRule,
    /// Where the current span began: byte of output, bit of input. `None` before the first byte.
    begin: Option<(u64, u64)>,
    /// The current span's point, until its window is known.
    open: Option<Point>,
    finished: Vec<Point>,
}

impl Spans {
    pub(crate) fn new(rule: SpanRule) -> Self {
        Self { rule: rule.sound(), begin: None, open: None, finished: Vec::new() }
    }

    /// Whether the current span closes at a block that begins at `bit` and whose first symbol gives `length` bytes.
    pub(crate) fn closes_at_block(&self, out: u64, bit: u64, length: u64) -> bool {
        self.begin.is_none_or(|(begin_out, begin_bit)| {
            let enough =
                out - begin_out >= self.rule.out && bit - begin_bit >= self.rule.input.saturating_mul(8);
            enough || self.closes_inside(out, length)
        })
    }

    /// Whether it closes before a symbol inside a block that gives `length` bytes.
    pub(crate) fn closes_inside(&self, out: u64, length: u64) -> bool {
        out + length > self.limit()
    }

    /// The byte of output that the current span does not pass.
    pub(crate) fn limit(&self) -> u64 {
        self.begin.map_or(u64::MAX, |(begin, _)| begin.saturating_add(self.rule.most))
    }

    /// Closes the current span and opens one at `point`, of whose member `history` was decompressed before.
    pub(crate) fn open(&mut self, point: Point, history: &[u8], marking: &mut Marking) {
        self.finish(marking);
        self.begin = Some((point.out, point.resume_bit));
        marking.marks.begin(history);
        marking.from = (!history.is_empty()).then_some(point.out);
        self.open = Some(point);
    }

    /// Gives the current span's point its window.
    pub(crate) fn finish(&mut self, marking: &mut Marking) {
        if let Some(point) = self.open.take() {
            self.finished.push(Point { window: marking.marks.window(), ..point });
            marking.from = None;
        }
    }

    /// Gives the point its window if nothing more can be marked.
    pub(crate) fn settle(&mut self, out: u64, marking: &mut Marking) {
        if self.open.as_ref().is_some_and(|point| out - point.out >= WINDOW as u64) {
            self.finish(marking);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Point> {
        std::mem::take(&mut self.finished)
    }
}

/// A point inside or at the begin of a block; the window is to come.
pub(crate) fn point(out: u64, header_bit: u64, header: Vec<u8>, header_bits: u32, resume_bit: u64) -> Point {
    Point { out, header_bit, header, header_bits, resume_bit, window: Window::default() }
}
