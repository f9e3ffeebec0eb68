//! Headers of blocks (RFC 1951, 3.2.3 to 3.2.7): read whole or not at all.

use crate::error::{Code, ErrorKind, Stuck};
use crate::table::{CODE_LENGTH_BITS, Tables, build_code_lengths};

/// In which order the lengths of the code-length code are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The most literal and distance codes together.
const MOST: usize = 286 + 30;

/// More bytes than a header can have: 3 + 14 + 19 × 3 bits, then 316 lengths of up to 7 + 7 bits.
pub(crate) const LONGEST_HEADER: usize = 640;

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// No block of this member follows.
    pub(crate) last: bool,
    pub(crate) kind: Kind,
    /// Bits up to the first symbol or stored byte.
    pub(crate) bits: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stored { length: u16 },
    Fixed,
    Dynamic,
}

/// Reads the header at `bit` of `input`. The codes of a dynamic block are left in `tables`; those of a fixed one are not made.
///
/// Stored blocks begin at a byte of the stream: `bit` must be the stream's bit, modulo 8.
pub(crate) fn read(input: &[u8], bit: usize, tables: &mut Tables) -> Result<Header, Stuck> {
    let mut bits = Bits { input, at: bit };
    let last = bits.take(1)? == 1;
    let kind = match bits.take(2)? {
        0 => {
            bits.at = bits.at.next_multiple_of(8);
            let (length, complement) = (bits.take(16)? as u16, bits.take(16)? as u16);
            if length != !complement {
                return Err(ErrorKind::StoredLength.into());
            }
            Kind::Stored { length }
        }
        1 => Kind::Fixed,
        2 => {
            dynamic(&mut bits, tables)?;
            Kind::Dynamic
        }
        _ => return Err(ErrorKind::BlockType.into()),
    };
    Ok(Header { last, kind, bits: bits.at - bit })
}

/// The codes of a dynamic block.
fn dynamic(bits: &mut Bits<'_>, tables: &mut Tables) -> Result<(), Stuck> {
    let literals = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let code_lengths = bits.take(4)? as usize + 4;
    if literals > 286 || distances > 30 {
        return Err(ErrorKind::TooManyCodes { literals: literals as u16, distances: distances as u16 }.into());
    }
    let mut lengths = [0u8; 19];
    for &symbol in &ORDER[..code_lengths] {
        lengths[symbol] = bits.take(3)? as u8;
    }
    let mut table = [0u32; 1 << CODE_LENGTH_BITS];
    build_code_lengths(&mut table, &lengths)?;

    let (mut lengths, mut at) = ([0u8; MOST], 0);
    let all = literals + distances;
    while at < all {
        let (next, available) = bits.peek();
        let entry = table[next as usize & ((1 << CODE_LENGTH_BITS) - 1)];
        let (symbol, code) = ((entry >> 16) as u8, entry & 0xff);
        // The extra bits of a repetition, and what they count from.
        let (extra, least) = match symbol {
            0..16 => (0, 1),
            16 => (2, 3),
            17 => (3, 3),
            _ => (7, 11),
        };
        if code + extra > available {
            return Err(Stuck::Input);
        }
        bits.at += (code + extra) as usize;
        if symbol < 16 {
            lengths[at] = symbol;
            at += 1;
            continue;
        }
        let length = match symbol {
            16 => *at.checked_sub(1).and_then(|before| lengths.get(before)).ok_or(ErrorKind::Repeat)?,
            _ => 0,
        };
        let times = least + (next >> code) as usize % (1 << extra);
        if times > all - at {
            return Err(ErrorKind::Repeat.into());
        }
        lengths[at..at + times].fill(length);
        at += times;
    }
    if lengths[256] == 0 {
        return Err(ErrorKind::NoEnd.into());
    }
    let (literals, distances) = lengths[..all].split_at(literals);
    tables.build(literals, distances)?;
    Ok(())
}

/// What is wrong with a symbol, and of which code.
pub(crate) fn meaningless(code: Code) -> Stuck {
    ErrorKind::Symbol(code).into()
}

/// A place in the input, by bits.
struct Bits<'a> {
    input: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn peek(&self) -> (u64, u32) {
        peek(self.input, self.at)
    }

    /// Up to 32 bits.
    fn take(&mut self, count: u32) -> Result<u64, Stuck> {
        let (bits, available) = self.peek();
        if count > available {
            return Err(Stuck::Input);
        }
        self.at += count as usize;
        Ok(bits & ((1 << count) - 1))
    }
}

/// The bits from `at` on, lowest first, zeros behind the input's end; and how many are there, at most 64, at least 57 if the input has them.
pub(crate) fn peek(input: &[u8], at: usize) -> (u64, u32) {
    let rest = input.get(at / 8..).unwrap_or_default();
    let (bytes, there) = match rest.first_chunk::<8>() {
        Some(bytes) => (*bytes, 64),
        None => {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            (bytes, rest.len() as u32 * 8)
        }
    };
    let shift = (at % 8) as u32;
    (u64::from_le_bytes(bytes) >> shift, there.saturating_sub(shift))
}

/// `count` bits of `input` from bit `from` on, moved to begin at bit `to` (below 8) of what is returned.
pub(crate) fn copy_bits(input: &[u8], from: usize, count: usize, to: usize) -> Vec<u8> {
    let mut copy = vec![0; (to + count).div_ceil(8)];
    for index in (0..count).step_by(8) {
        let (bits, _) = peek(input, from + index);
        let bits = (bits as u8 & (0xff >> (8 - (count - index).min(8)))) as u16;
        let place = to + index;
        copy[place / 8] |= (bits << (place % 8)) as u8;
        if let Some(next) = copy.get_mut(place / 8 + 1) {
            *next |= (bits >> (8 - place % 8)) as u8;
        }
    }
    copy
}
