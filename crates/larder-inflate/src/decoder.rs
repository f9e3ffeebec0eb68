//! The decoder: the stages of a stream, with input and output in pieces of any size.
//!
//! ```text
//! ┌► between ─► member's header ─► ┌► block's header ─► stored bytes or symbols ─► (last block?) ─► trailer ┐
//! │  (end of input: finished)      └───────────────────────────────────────┘ no                             │
//! └─────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! Between calls the decoder keeps an absolute bit, the tables of its block, and what is left of a match that did not fit. Headers of blocks,
//! symbols and trailers are read whole or not at all; what was not consumed is handed in again, with more behind it. 1 KiB of input always
//! makes progress, and one byte of room.

use crate::block::{self, Header, Kind};
use crate::error::{Error, ErrorKind, Stuck};
use crate::fast::{self, Run};
use crate::gzip;
use crate::point::{Point, SpanRule, WINDOW};
use crate::spans::{Marking, Spans, point};
use crate::symbol::{self, Symbol};
use crate::table::Tables;

/// What a call of [`Decoder::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of `input` that are not to be handed in again.
    pub consumed: usize,
    /// Bytes that were put at `buffer[from..]`.
    pub produced: usize,
    /// Why it returned.
    pub state: State,
}

/// Why [`Decoder::decode`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// More input is needed behind what was not consumed.
    NeedsInput,
    /// The buffer is full.
    NeedsRoom,
    /// The stream is at its end: all members were whole, and nothing follows them.
    Finished,
}

/// Decompresses a gzip stream, and finds its restart points.
#[derive(Debug)]
pub struct Decoder {
    /// The next bit of the stream.
    pub(crate) bit: u64,
    /// Bytes decompressed, of all members.
    pub(crate) out: u64,
    /// `out` at the begin of the member.
    pub(crate) member: u64,
    pub(crate) stage: Stage,
    pub(crate) block: Block,
    pub(crate) tables: Box<Tables>,
    /// What is left of a match that did not fit: length, distance.
    pending: Option<(usize, usize)>,
    /// The checksum of the member; `None` if it was not decompressed from its begin.
    pub(crate) checksum: Option<crc32fast::Hasher>,
    spans: Option<Spans>,
    pub(crate) marking: Marking,
    /// Nothing is looked at behind a full buffer: a span's input ends with its last symbol.
    pub(crate) ends_when_full: bool,
    failed: Option<Error>,
}

#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Before a member, or the end; whether it is the first.
    Between {
        first: bool,
    },
    Member {
        header: gzip::Header,
        first: bool,
    },
    BlockHeader,
    /// In a stored block: bytes left.
    Stored(usize),
    Symbols,
    Trailer,
    Finished,
}

/// The block that is being decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) last: bool,
    /// Whether it gave a byte.
    pub(crate) begun: bool,
    pub(crate) header_bit: u64,
    /// The bytes in which the header is, for points inside the block.
    pub(crate) header: Vec<u8>,
    pub(crate) header_bits: u32,
    /// The tables are those of fixed codes.
    pub(crate) fixed: bool,
}

impl Block {
    /// The header's bits alone.
    fn header(&self) -> Vec<u8> {
        block::copy_bits(&self.header, (self.header_bit % 8) as usize, self.header_bits as usize, 0)
    }
}

/// A call's input and output.
struct Call<'a> {
    input: &'a [u8],
    /// The byte of the stream that `input` begins with.
    begin: u64,
    buffer: &'a mut [u8],
    at: usize,
}

impl Call<'_> {
    /// The place of a bit of the stream in the input.
    fn place(&self, bit: u64) -> usize {
        (bit - self.begin * 8) as usize
    }

    /// The input from a bit on that is the first of its byte.
    fn rest(&self, bit: u64) -> &[u8] {
        &self.input[(self.place(bit) / 8).min(self.input.len())..]
    }

    fn room(&self) -> usize {
        self.buffer.len() - self.at
    }
}

/// Why a stage goes no further.
enum Wait {
    Input,
    Room,
    Wrong(ErrorKind),
}

impl From<Stuck> for Wait {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Input => Self::Input,
            Stuck::Wrong(kind) => Self::Wrong(kind),
        }
    }
}

impl Decoder {
    /// A decoder at the begin of a stream that finds points by `rule`; without a rule it only decompresses.
    pub fn new(rule: Option<SpanRule>) -> Self {
        Self {
            bit: 0,
            out: 0,
            member: 0,
            stage: Stage::Between { first: true },
            block: Block::default(),
            tables: Tables::new(),
            pending: None,
            checksum: None,
            spans: rule.map(Spans::new),
            marking: Marking::new(),
            ends_when_full: false,
            failed: None,
        }
    }

    /// Bytes of the stream that were consumed: `input` begins there. The byte in which a symbol ends is consumed with its last bit.
    pub fn consumed(&self) -> u64 {
        self.bit / 8
    }

    /// Bytes that were decompressed.
    pub fn produced(&self) -> u64 {
        self.out
    }

    /// The points that were finished since the last call, ascending. A point is finished at the latest 32 KiB behind it (or at the end), so
    /// the last is taken after [`State::Finished`].
    pub fn take_points(&mut self) -> Vec<Point> {
        self.spans.as_mut().map(Spans::take).unwrap_or_default()
    }

    /// Decodes until the input, the room or the stream is at its end.
    ///
    /// `input` is what follows [`Decoder::consumed`] in the stream; `is_last` says that nothing follows it. Bytes go to `buffer[from..]`;
    /// `buffer[..from]` must hold the last 32 KiB that were decompressed, or all of the member so far. What lies behind the produced bytes in
    /// the buffer is overwritten with anything. After an error every call returns it again.
    pub fn decode(
        &mut self,
        input: &[u8],
        is_last: bool,
        buffer: &mut [u8],
        from: usize,
    ) -> Result<Progress, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let begin = self.consumed();
        let needed = (self.out - self.member).min(WINDOW as u64) as usize;
        if from > buffer.len() || from < needed {
            let given = from.min(buffer.len());
            return Err(Error { at: begin, kind: ErrorKind::History { given, needed } });
        }
        let mut call = Call { input, begin, buffer, at: from };
        let state = loop {
            if matches!(self.stage, Stage::Finished) {
                break State::Finished;
            }
            let summed = call.at;
            let step = self.step(&mut call, is_last);
            if let Some(checksum) = &mut self.checksum {
                checksum.update(&call.buffer[summed..call.at]);
            }
            if let Some(spans) = &mut self.spans {
                spans.settle(self.out, &mut self.marking);
            }
            self.marking.settle(self.out);
            let kind = match step {
                Ok(()) => continue,
                Err(Wait::Room) => break State::NeedsRoom,
                Err(Wait::Input) if !is_last => break State::NeedsInput,
                Err(Wait::Input) => ErrorKind::Truncated,
                Err(Wait::Wrong(kind)) => kind,
            };
            let error = Error { at: self.consumed(), kind };
            self.failed = Some(error.clone());
            return Err(error);
        };
        Ok(Progress { consumed: (self.consumed() - begin) as usize, produced: call.at - from, state })
    }

    /// One step of the current stage.
    fn step(&mut self, call: &mut Call<'_>, is_last: bool) -> Result<(), Wait> {
        self.look_further(call)?;
        match &mut self.stage {
            Stage::Between { first } => {
                if call.rest(self.bit).is_empty() {
                    if *first || !is_last {
                        return Err(Wait::Input);
                    }
                    if let Some(spans) = &mut self.spans {
                        spans.finish(&mut self.marking);
                    }
                    self.stage = Stage::Finished;
                    return Ok(());
                }
                self.stage = Stage::Member { header: gzip::Header::new(), first: *first };
            }
            Stage::Member { header, first } => match header.read(call.rest(self.bit), *first)? {
                Some(read) => self.bit += read as u64 * 8,
                None => {
                    self.member = self.out;
                    self.checksum = Some(crc32fast::Hasher::new());
                    self.stage = Stage::BlockHeader;
                }
            },
            Stage::BlockHeader => self.block_header(call)?,
            Stage::Stored(left) => {
                let left = *left;
                self.stored(call, left)?;
            }
            Stage::Symbols => self.symbols(call)?,
            Stage::Trailer => self.trailer(call)?,
            Stage::Finished => {}
        }
        Ok(())
    }

    fn look_further(&self, call: &Call<'_>) -> Result<(), Wait> {
        if self.ends_when_full && call.room() == 0 { Err(Wait::Room) } else { Ok(()) }
    }

    fn block_header(&mut self, call: &Call<'_>) -> Result<(), Wait> {
        let place = call.place(self.bit);
        let header = match block::read(call.input, place, &mut self.tables) {
            Ok(header) => header,
            Err(stuck) => {
                // Tables may be half made.
                self.block.fixed = false;
                return Err(stuck.into());
            }
        };
        self.block.header.clear();
        if self.spans.is_some() {
            let bytes = &call.input[place / 8..(place + header.bits).div_ceil(8)];
            self.block.header.extend_from_slice(bytes);
        }
        self.block.begun = false;
        self.block.header_bit = self.bit;
        self.enter_block(header);
        self.bit += header.bits as u64;
        Ok(())
    }

    /// Goes on behind a block's header.
    pub(crate) fn enter_block(&mut self, header: Header) {
        self.block.last = header.last;
        self.block.header_bits = header.bits as u32;
        self.stage = match header.kind {
            Kind::Stored { length } => Stage::Stored(length.into()),
            Kind::Fixed => {
                if !self.block.fixed {
                    self.tables.fixed();
                }
                self.block.fixed = true;
                Stage::Symbols
            }
            Kind::Dynamic => {
                self.block.fixed = false;
                Stage::Symbols
            }
        };
    }

    fn end_block(&mut self) {
        self.stage = if self.block.last { Stage::Trailer } else { Stage::BlockHeader };
    }

    fn trailer(&mut self, call: &Call<'_>) -> Result<(), Wait> {
        self.bit = self.bit.next_multiple_of(8);
        let (checksum, length) = gzip::trailer(call.rest(self.bit))?;
        if let Some(hasher) = self.checksum.take() {
            let actual = hasher.finalize();
            if actual != checksum {
                return Err(Wait::Wrong(ErrorKind::Checksum { expected: checksum, actual }));
            }
            let actual = (self.out - self.member) as u32;
            if actual != length {
                return Err(Wait::Wrong(ErrorKind::Length { expected: length, actual }));
            }
        }
        self.bit += gzip::TRAILER as u64 * 8;
        self.stage = Stage::Between { first: false };
        Ok(())
    }

    /// Stored bytes, up to where a span closes.
    fn stored(&mut self, call: &mut Call<'_>, left: usize) -> Result<(), Wait> {
        if left == 0 {
            self.end_block();
            return Ok(());
        }
        let place = call.place(self.bit) / 8;
        let there = call.input.len().saturating_sub(place);
        if there == 0 {
            return Err(Wait::Input);
        }
        if call.room() == 0 {
            return Err(Wait::Room);
        }
        self.before(call, 1);
        let within = self.spans.as_ref().map_or(u64::MAX, |spans| spans.limit() - self.out);
        let count = left.min(there).min(call.room()).min(usize::try_from(within).unwrap_or(usize::MAX));
        call.buffer[call.at..call.at + count].copy_from_slice(&call.input[place..place + count]);
        call.at += count;
        self.out += count as u64;
        self.bit += count as u64 * 8;
        self.stage = Stage::Stored(left - count);
        Ok(())
    }

    /// What is before a symbol that gives `length` bytes: a point, if the span closes here.
    fn before(&mut self, call: &Call<'_>, length: usize) {
        let Some(spans) = &mut self.spans else { return };
        let Block { header_bit, header_bits, begun, .. } = self.block;
        let point = if !begun && spans.closes_at_block(self.out, header_bit, length as u64) {
            point(self.out, header_bit, Vec::new(), 0, header_bit)
        } else if begun && spans.closes_inside(self.out, length as u64) {
            point(self.out, header_bit, self.block.header(), header_bits, self.bit)
        } else {
            self.block.begun = true;
            return;
        };
        self.block.begun = true;
        let member = ((self.out - self.member) as usize).min(call.at);
        spans.open(point, &call.buffer[call.at - member..call.at], &mut self.marking);
    }

    /// Symbols until the block ends.
    fn symbols(&mut self, call: &mut Call<'_>) -> Result<(), Wait> {
        self.rest_of_match(call)?;
        loop {
            // The first symbol of a block says whether a point is due there.
            if (self.block.begun || self.spans.is_none()) && self.fast(call) {
                self.end_block();
                return Ok(());
            }
            self.look_further(call)?;
            let (next, available) = block::peek(call.input, call.place(self.bit));
            match symbol::read(&self.tables, next, available)? {
                Symbol::End { bits } => {
                    self.bit += u64::from(bits);
                    self.end_block();
                    return Ok(());
                }
                Symbol::Literal { byte, bits } => {
                    if call.room() == 0 {
                        return Err(Wait::Room);
                    }
                    self.before(call, 1);
                    self.bit += u64::from(bits);
                    call.buffer[call.at] = byte;
                    call.at += 1;
                    self.out += 1;
                }
                Symbol::Match { length, distance, bits } => {
                    let available = self.out - self.member;
                    if u64::from(distance) > available {
                        return Err(Wait::Wrong(ErrorKind::TooFar { distance, available }));
                    }
                    if call.room() == 0 {
                        return Err(Wait::Room);
                    }
                    self.before(call, length as usize);
                    self.bit += u64::from(bits);
                    self.mark(distance as usize, length as usize);
                    self.pending = Some((length as usize, distance as usize));
                    self.rest_of_match(call)?;
                }
            }
        }
    }

    /// Marks what a match uses of the bytes before the point.
    fn mark(&mut self, distance: usize, length: usize) {
        if let Some(from) = self.marking.from {
            let behind = self.out - from;
            if distance as u64 > behind {
                self.marking.marks.mark(distance - behind as usize, length);
            }
        }
    }

    /// What is left of a match, as far as there is room.
    fn rest_of_match(&mut self, call: &mut Call<'_>) -> Result<(), Wait> {
        let Some((length, distance)) = self.pending else { return Ok(()) };
        let count = length.min(call.room());
        for at in call.at..call.at + count {
            call.buffer[at] = call.buffer[at - distance];
        }
        call.at += count;
        self.out += count as u64;
        self.pending = (count < length).then_some((length - count, distance));
        if self.pending.is_some() { Err(Wait::Room) } else { Ok(()) }
    }

    /// The hot loop, as far as input, room and span allow; whether the block ended.
    fn fast(&mut self, call: &mut Call<'_>) -> bool {
        let span = self.spans.as_ref().map_or(u64::MAX, |spans| spans.limit() - self.out);
        let room = call.room().min(usize::try_from(span).unwrap_or(usize::MAX));
        let bit = call.place(self.bit);
        if room < fast::ROOM || call.input.len().saturating_sub(bit / 8) < fast::INPUT {
            return false;
        }
        let member = call.at - ((self.out - self.member).min(call.at as u64) as usize);
        let mut run =
            Run { input: call.input, bit, buffer: call.buffer, at: call.at, limit: call.at + room, member };
        let mut ended = false;
        if let Some(from) = self.marking.from {
            let behind = (self.out - from) as isize;
            let point = call.at as isize - behind;
            // Some turns more than must be marked, so that none is left to the slow way.
            let to_mark = (WINDOW as isize - behind).max(0) as usize + fast::ROOM;
            run.limit = call.at + room.min(to_mark);
            ended = fast::run_marking(&mut run, &self.tables, point, &mut self.marking.marks);
            if run.at as isize - point >= WINDOW as isize {
                self.marking.from = None;
            }
            run.limit = call.at + room;
        }
        if !ended && self.marking.from.is_none() {
            ended = fast::run(&mut run, &self.tables);
        }
        let (bit_after, at_after) = (run.bit, run.at);
        self.bit += (bit_after - bit) as u64;
        self.out += (at_after - call.at) as u64;
        call.at = at_after;
        ended
    }
}
