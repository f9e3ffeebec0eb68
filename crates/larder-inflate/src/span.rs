//! One span from its point alone.

use crate::block::{self, Kind};
use crate::decoder::{Decoder, Stage, State};
use crate::error::{Error, ErrorKind, Stuck};
use crate::point::{Point, WINDOW};

/// Decodes one span: `input` begins at byte `point.resume_bit / 8` of the stream, and `out`, as long as the span or shorter, is filled.
///
/// The span may cross blocks and members. Checksums are checked of members that begin and end in it, so whoever does not trust point and
/// input checks the bytes by a digest. A byte that the span needs and the window lacks is an error, as is input that ends before `out` is full.
pub fn decode_span(point: &Point, input: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let mut decoder = Decoder::at(point).map_err(|kind| Error { at: point.resume_bit / 8, kind })?;
    let history = WINDOW;
    let first = out.len().min(WINDOW);
    let mut scratch = vec![0; history + first];
    for (at, bytes) in point.window.runs() {
        scratch[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }
    let progress = decoder.decode(input, true, &mut scratch, history)?;
    let lacking = |missing| Error { at: decoder.consumed(), kind: ErrorKind::SpanEnd { missing } };
    if progress.produced < first {
        return Err(lacking(out.len() - progress.produced));
    }
    if !decoder.marking.marks.within(&point.window) {
        return Err(Error { at: point.resume_bit / 8, kind: ErrorKind::Window });
    }
    out[..first].copy_from_slice(&scratch[history..]);
    if first == out.len() || progress.state == State::Finished {
        return if first == out.len() { Ok(()) } else { Err(lacking(out.len() - first)) };
    }
    let progress = decoder.decode(&input[progress.consumed..], true, out, first)?;
    match out.len() - first - progress.produced {
        0 => Ok(()),
        missing => Err(Error { at: decoder.consumed(), kind: ErrorKind::SpanEnd { missing } }),
    }
}

impl Decoder {
    /// A decoder that goes on at a point, with a window of which only some bytes are known, and marks what is used of it.
    fn at(point: &Point) -> Result<Self, ErrorKind> {
        // So far no stream goes, and no sum overflows.
        if point.resume_bit >= 1 << 60 || point.out >= 1 << 60 {
            return Err(ErrorKind::Point("it lies behind every stream"));
        }
        let mut decoder = Self::new(None);
        decoder.ends_when_full = true;
        decoder.bit = point.resume_bit;
        decoder.out = point.out;
        decoder.member = point.out.saturating_sub(WINDOW as u64);
        decoder.marking.from = Some(point.out);
        decoder.stage = Stage::BlockHeader;
        if point.header_bits == 0 {
            if point.header_bit != point.resume_bit {
                return Err(ErrorKind::Point("it lies inside a block and has no header"));
            }
            return Ok(decoder);
        }
        let bits = point.header_bits as usize;
        if bits > block::LONGEST_HEADER * 8 || point.header.len() != bits.div_ceil(8) {
            return Err(ErrorKind::Point("its header has another length than it says"));
        }
        // Where the header lies in its bytes matters to stored blocks.
        let begin = (point.header_bit % 8) as usize;
        let header = block::copy_bits(&point.header, 0, bits, begin);
        let header = match block::read(&header, begin, &mut decoder.tables) {
            Ok(header) if header.bits == bits => header,
            Ok(_) | Err(Stuck::Input) => {
                return Err(ErrorKind::Point("its header has another length than it says"));
            }
            Err(Stuck::Wrong(kind)) => return Err(kind),
        };
        let behind =
            point.header_bit.checked_add(bits as u64).and_then(|begin| point.resume_bit.checked_sub(begin));
        let Some(behind) = behind else {
            return Err(ErrorKind::Point("it goes on before its block begins"));
        };
        decoder.enter_block(header);
        if let Kind::Stored { length } = header.kind {
            let left = u64::from(length).checked_sub(behind / 8).filter(|_| behind % 8 == 0);
            let left = left.ok_or(ErrorKind::Point("it lies outside of its stored block"))?;
            decoder.stage = Stage::Stored(left as usize);
        }
        Ok(decoder)
    }
}
