//! Huffman tables: the next bits of the stream → what they mean.
//!
//! A code is looked up by its next [`LITERAL_BITS`] (distances: [`DISTANCE_BITS`]) bits; longer codes lead to a table of their own behind the
//! first. An entry says everything about a symbol:
//! ```text
//!  31        24 23        16   15      14       13        12     11 … 8            7 … 0
//! │ base of a length or distance │ LITERAL │ SPECIAL │ SUBTABLE │ END │ bits of code │ bits of code and extra bits │
//! │       0       │ the literal  │    1    │    0    │    0     │  0  │ bits of code │ bits of code                │
//! │ begin of a table             │    0    │    1    │    1     │  0  │ bits of its index │ bits of the first index │
//! ```
//! `SPECIAL` without more is a code that stands for nothing. Codes are accepted by zlib's rules: complete, or a single code of one bit, or (for
//! distances) none at all.

use crate::error::{Code, ErrorKind};

pub(crate) const LITERAL: u32 = 1 << 15;
pub(crate) const SPECIAL: u32 = 1 << 14;
pub(crate) const SUBTABLE: u32 = 1 << 13;
pub(crate) const END: u32 = 1 << 12;

pub(crate) const LITERAL_BITS: u32 = 10;
pub(crate) const DISTANCE_BITS: u32 = 8;
/// 286 codes of up to 15 bits need at most 1,332 entries with a first index of 10 bits, 30 codes at most 402 with 8 (`enough` of zlib's
/// examples counts them); the next powers of two, so that an index can be cut to them.
pub(crate) const LITERAL_SIZE: usize = 2048;
pub(crate) const DISTANCE_SIZE: usize = 512;

const LONGEST: usize = 15;
/// Of the fixed codes, which have two symbols more than may be used.
const LITERALS: usize = 288;
const DISTANCES: usize = 32;

/// The two tables of a block.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) literal: [u32; LITERAL_SIZE],
    pub(crate) distance: [u32; DISTANCE_SIZE],
}

impl Tables {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { literal: [SPECIAL; LITERAL_SIZE], distance: [SPECIAL; DISTANCE_SIZE] })
    }

    /// Tables from the lengths of codes.
    pub(crate) fn build(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), ErrorKind> {
        build(&mut self.literal, LITERAL_BITS, &LITERAL_ENTRIES, literals, Code::Literal)?;
        build(&mut self.distance, DISTANCE_BITS, &DISTANCE_ENTRIES, distances, Code::Distance)
    }

    /// The tables of blocks of type 1.
    pub(crate) fn fixed(&mut self) {
        let mut literals = [8; LITERALS];
        literals[144..256].fill(9);
        literals[256..280].fill(7);
        self.build(&literals, &[5; DISTANCES]).expect("the fixed codes are complete");
    }
}

/// What is in the entries of literals, ends and lengths but the bits of their codes.
const LITERAL_ENTRIES: [u32; LITERALS] = {
    let mut entries = [SPECIAL; LITERALS];
    let mut symbol = 0;
    while symbol < 256 {
        entries[symbol] = LITERAL | (symbol as u32) << 16;
        symbol += 1;
    }
    entries[256] = SPECIAL | END;
    let (mut base, mut index) = (3, 0);
    while index < 28 {
        let extra = if index < 8 { 0 } else { index / 4 - 1 };
        entries[257 + index] = base << 16 | extra as u32;
        base += 1 << extra;
        index += 1;
    }
    entries[285] = 258 << 16;
    entries
};

const DISTANCE_ENTRIES: [u32; DISTANCES] = {
    let mut entries = [SPECIAL; DISTANCES];
    let (mut base, mut index) = (1, 0);
    while index < 30 {
        let extra = if index < 4 { 0 } else { index / 2 - 1 };
        entries[index] = base << 16 | extra as u32;
        base += 1 << extra;
        index += 1;
    }
    entries
};

/// The code in which lengths of codes are written: up to seven bits → `symbol << 16 | bits`.
pub(crate) const CODE_LENGTH_BITS: u32 = 7;

pub(crate) fn build_code_lengths(table: &mut [u32; 128], lengths: &[u8; 19]) -> Result<(), ErrorKind> {
    const ENTRIES: [u32; 19] = {
        let mut entries = [0; 19];
        let mut symbol = 0;
        while symbol < 19 {
            entries[symbol] = (symbol as u32) << 16;
            symbol += 1;
        }
        entries
    };
    build(table, CODE_LENGTH_BITS, &ENTRIES, lengths, Code::CodeLength)
}

/// Makes a table of `first_bits` bits, and those behind it, of codes with the given lengths.
fn build(
    table: &mut [u32],
    first_bits: u32,
    entries: &[u32],
    lengths: &[u8],
    code: Code,
) -> Result<(), ErrorKind> {
    let mut count = [0u16; LONGEST + 1];
    for &length in lengths {
        count[usize::from(length)] += 1;
    }
    count[0] = 0;
    let mut room = 1i32;
    for &count in &count[1..] {
        room = room * 2 - i32::from(count);
        if room < 0 {
            return Err(ErrorKind::OverSubscribed(code));
        }
    }
    let first_size = 1usize << first_bits;
    if room > 0 {
        return build_incomplete(&mut table[..first_size], entries, lengths, code);
    }
    // Symbols in the order of their codes.
    let mut next = [0u16; LONGEST + 2];
    for length in 1..=LONGEST {
        next[length + 1] = next[length] + count[length];
    }
    let used = usize::from(next[LONGEST + 1]);
    let mut sorted = [0u16; LITERALS];
    for (symbol, &length) in lengths.iter().enumerate() {
        if length > 0 {
            sorted[usize::from(next[usize::from(length)])] = symbol as u16;
            next[usize::from(length)] += 1;
        }
    }
    // Codes are counted up in the order of the stream's bits: the first bit lowest. While codes get longer, the table is doubled.
    let (mut reversed, mut done) = (0usize, 0usize);
    for (length, &own) in count.iter().enumerate().take(first_bits as usize + 1).skip(1) {
        let size = 1usize << length;
        if length > 1 {
            table.copy_within(..size / 2, size / 2);
        }
        let end = done + usize::from(own);
        for &symbol in &sorted[done..end] {
            table[reversed] = entries[usize::from(symbol)] + (length as u32) * 0x101;
            reversed = next_code(reversed, length);
        }
        done = end;
    }
    if done < used {
        build_behind(table, first_bits, entries, &sorted[done..used], lengths, count, reversed);
    }
    Ok(())
}

/// The code after `code`, bits reversed; 0 after the last.
fn next_code(code: usize, length: usize) -> usize {
    let zeros = !code & ((1 << length) - 1);
    if zeros == 0 {
        return 0;
    }
    let highest = 1 << zeros.ilog2();
    code & (highest - 1) | highest
}

/// The tables of the codes that are longer than the first table's index.
fn build_behind(
    table: &mut [u32],
    first_bits: u32,
    entries: &[u32],
    sorted: &[u16],
    lengths: &[u8],
    mut count: [u16; LONGEST + 1],
    mut reversed: usize,
) {
    let first = first_bits as usize;
    let (mut prefix, mut begin, mut bits, mut free) = (usize::MAX, 0, 0, 1usize << first);
    for &symbol in sorted {
        let length = usize::from(lengths[usize::from(symbol)]);
        if reversed & ((1 << first) - 1) != prefix {
            prefix = reversed & ((1 << first) - 1);
            // As many bits as make a table that the codes from here on fill.
            bits = length - first;
            let mut filled = usize::from(count[length]);
            while filled < 1 << bits && first + bits < LONGEST {
                bits += 1;
                filled = filled * 2 + usize::from(count[first + bits]);
            }
            begin = free;
            free += 1 << bits;
            table[prefix] = (begin as u32) << 16 | SPECIAL | SUBTABLE | (bits as u32) << 8 | first_bits;
        }
        let own = length - first;
        let entry = entries[usize::from(symbol)] + (own as u32) * 0x101;
        for index in (reversed >> first..1 << bits).step_by(1 << own) {
            table[begin + index] = entry;
        }
        count[length] -= 1;
        reversed = next_code(reversed, length);
    }
}

/// Codes that leave some bits without a meaning: one code of one bit, or none.
fn build_incomplete(table: &mut [u32], entries: &[u32], lengths: &[u8], code: Code) -> Result<(), ErrorKind> {
    let mut used = lengths.iter().enumerate().filter(|(_, length)| **length > 0);
    let only = used.next();
    if code == Code::CodeLength || used.next().is_some() || only.is_some_and(|(_, length)| *length != 1) {
        return Err(ErrorKind::Incomplete(code));
    }
    table.fill(SPECIAL | 0x101);
    if let Some((symbol, _)) = only {
        table.iter_mut().step_by(2).for_each(|entry| *entry = entries[symbol] + 0x101);
    }
    Ok(())
}
