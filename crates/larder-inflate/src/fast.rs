//! The hot loop: symbols while enough input and room are left to do without looking at either. The only `unsafe` of this crate.
//!
//! The loop stops at a symbol: at the end of its block, or before the first symbol that it may not or cannot decode, which
//! [`crate::symbol`] then looks at with every bound checked. It never stops inside one, and reports no errors itself.
//!
//! **Why it stays inside.** A turn reads at most two words of 8 bytes, the second at most 7 bytes behind the first, and begins only if
//! [`INPUT`] bytes are left. A turn writes at most four literals, or two and a match of up to 258 bytes of which the last words may stand
//! out by 31, and begins only if [`ROOM`] bytes are left before the limit. A match is copied only if its distance, which is not zero, does
//! not reach before the member's begin, which is not before the buffer's. Tables are indexed by masked values.
//!
//! Bits: the low byte of `left` counts those of `bits` that may be used (above it is whatever subtraction left there); `bits` may hold more
//! than that, which are those that the next refill brings again.
#![expect(
    unsafe_code,
    reason = "unaligned words are read and written without bounds; see the header for why they hold"
)]

use crate::marks::Marks;
use crate::table::{DISTANCE_BITS, END, LITERAL, LITERAL_BITS, SPECIAL, SUBTABLE, Tables};

/// Bytes of input that must be left for a turn.
pub(crate) const INPUT: usize = 24;
/// Bytes of room that must be left for a turn.
pub(crate) const ROOM: usize = 320;

/// Where the loop is, and how far it may go.
pub(crate) struct Run<'a> {
    pub(crate) input: &'a [u8],
    /// The next bit of `input`.
    pub(crate) bit: usize,
    pub(crate) buffer: &'a mut [u8],
    /// The next byte of `buffer`.
    pub(crate) at: usize,
    /// The loop does not pass this byte of `buffer`.
    pub(crate) limit: usize,
    /// What the member has in `buffer` begins here.
    pub(crate) member: usize,
}

/// Decodes until the block ends (`true`) or it cannot go on (`false`).
pub(crate) fn run(run: &mut Run<'_>, tables: &Tables) -> bool {
    dispatch::<false>(run, tables, 0, None)
}

/// The same, and marks what is used of the bytes before place `point` of the buffer (which may have left it).
pub(crate) fn run_marking(run: &mut Run<'_>, tables: &Tables, point: isize, marks: &mut Marks) -> bool {
    dispatch::<true>(run, tables, point, Some(marks))
}

fn dispatch<const MARK: bool>(
    run: &mut Run<'_>,
    tables: &Tables,
    point: isize,
    marks: Option<&mut Marks>,
) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi1") && std::arch::is_x86_feature_detected!("bmi2") {
        // SAFETY: the processor has these instructions.
        return unsafe { with_bmi2::<MARK>(run, tables, point, marks) };
    }
    turns::<MARK>(run, tables, point, marks)
}

/// Shifts by a register without moving it first, which is what the loop mostly does.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2")]
fn with_bmi2<const MARK: bool>(
    run: &mut Run<'_>,
    tables: &Tables,
    point: isize,
    marks: Option<&mut Marks>,
) -> bool {
    turns::<MARK>(run, tables, point, marks)
}

/// The input from a bit on.
struct Ahead {
    input: *const u8,
    /// The next byte that is not in `bits` whole.
    next: usize,
    bits: u64,
    left: u32,
}

impl Ahead {
    /// Makes at least 56 bits usable.
    ///
    /// # Safety
    /// Eight bytes from `next` on must be readable.
    #[inline(always)]
    unsafe fn refill(&mut self) {
        // SAFETY: as the caller promises.
        self.bits |= unsafe { word(self.input.add(self.next)) } << (self.left & 63);
        self.next += 7 - (self.left as usize >> 3 & 7);
        self.left |= 56;
    }

    /// Passes as many bits as the entry's low byte says.
    #[inline(always)]
    fn skip(&mut self, entry: u32) {
        self.bits >>= entry & 63;
        self.left = self.left.wrapping_sub(entry);
    }

    /// The entry of the next code.
    #[inline(always)]
    fn entry<const SIZE: usize>(&self, table: &[u32; SIZE], first_bits: u32) -> u32 {
        table[self.bits as usize & ((1 << first_bits) - 1) & (SIZE - 1)]
    }

    /// The entry of the table that `entry` leads to.
    #[inline(always)]
    fn entry_behind<const SIZE: usize>(&mut self, table: &[u32; SIZE], entry: u32, first_bits: u32) -> u32 {
        self.skip(first_bits);
        let index = self.bits as usize & ((1 << (entry >> 8 & 15)) - 1);
        table[((entry >> 16) as usize + index) & (SIZE - 1)]
    }

    /// The bit of the input that is next.
    #[inline(always)]
    fn bit(&self) -> usize {
        self.next * 8 - (self.left & 0xff) as usize
    }
}

#[inline(always)]
fn turns<const MARK: bool>(
    run: &mut Run<'_>,
    tables: &Tables,
    point: isize,
    mut marks: Option<&mut Marks>,
) -> bool {
    assert!(run.at <= run.limit && run.limit <= run.buffer.len() && run.member <= run.at);
    let ends = (run.input.len().checked_sub(INPUT), run.limit.checked_sub(ROOM));
    let (Some(last_input), Some(last_room)) = ends else { return false };
    if run.bit / 8 > last_input {
        return false;
    }
    let (out, mut at) = (run.buffer.as_mut_ptr(), run.at);
    let mut ahead = Ahead { input: run.input.as_ptr(), next: run.bit / 8, bits: 0, left: 0 };
    // SAFETY: `INPUT` bytes are left.
    unsafe { ahead.refill() };
    ahead.skip((run.bit % 8) as u32);
    let mut entry = ahead.entry(&tables.literal, LITERAL_BITS);
    macro_rules! literal {
        () => {
            // SAFETY: there is room for a turn, of which this is one of the first four bytes (header).
            unsafe { out.add(at).write((entry >> 16) as u8) };
            at += 1;
            ahead.skip(entry);
            entry = ahead.entry(&tables.literal, LITERAL_BITS);
        };
    }
    let mut ended = false;
    // The place of a symbol that is given back.
    let mut back = None;
    while ahead.next <= last_input && at <= last_room {
        // SAFETY: `INPUT` bytes are left.
        unsafe { ahead.refill() };
        // Four literals of the first table and the look-up of a fifth have at most 50 of the 56 bits.
        if entry & LITERAL != 0 {
            literal!();
            if entry & LITERAL != 0 {
                literal!();
                if entry & LITERAL != 0 {
                    literal!();
                    if entry & LITERAL != 0 {
                        literal!();
                    }
                    continue;
                }
            }
        }
        // At least 36 bits are left: a length has up to 20.
        let begin = ahead.bit();
        if entry & SPECIAL != 0 {
            if entry & SUBTABLE != 0 {
                entry = ahead.entry_behind(&tables.literal, entry, LITERAL_BITS);
                if entry & LITERAL != 0 {
                    literal!();
                    continue;
                }
            }
            if entry & SPECIAL != 0 {
                ended = entry & END != 0;
                if ended {
                    ahead.skip(entry);
                } else {
                    back = Some(begin);
                }
                break;
            }
        }
        let length = value(ahead.bits, entry);
        ahead.skip(entry);
        // SAFETY: the refill before went on by at most 7 of the `INPUT` bytes. A distance has up to 28 bits, the look-up behind it 10.
        unsafe { ahead.refill() };
        let mut far = ahead.entry(&tables.distance, DISTANCE_BITS);
        if far & (SPECIAL | SUBTABLE) == SPECIAL | SUBTABLE {
            far = ahead.entry_behind(&tables.distance, far, DISTANCE_BITS);
        }
        let distance = value(ahead.bits, far);
        ahead.skip(far);
        if far & SPECIAL != 0 || distance > at - run.member {
            back = Some(begin);
            break;
        }
        entry = ahead.entry(&tables.literal, LITERAL_BITS);
        if MARK && let Some(marks) = marks.as_deref_mut() {
            mark(marks, distance as isize - (at as isize - point), length);
        }
        // SAFETY: the distance is neither 0 (no base of a distance is) nor beyond the member's begin; there is room for the match.
        unsafe { copy(out.add(at), distance, length) };
        at += length;
    }
    run.bit = back.unwrap_or_else(|| ahead.bit());
    run.at = at;
    ended
}

/// Marks what a match uses that begins `back` bytes before the point, or behind it.
#[inline(always)]
fn mark(marks: &mut Marks, back: isize, length: usize) {
    if back > 0 {
        marks.mark(back as usize, length);
    }
}

/// Base and extra bits of a length or distance.
#[inline(always)]
fn value(bits: u64, entry: u32) -> usize {
    let with_extra = bits & ((1u64 << (entry & 63)) - 1);
    (entry >> 16) as usize + (with_extra >> (entry >> 8 & 15)) as usize
}

/// Eight bytes as they are in the stream: the first one lowest.
///
/// # Safety
/// Eight bytes at `at` must be readable.
#[inline(always)]
unsafe fn word(at: *const u8) -> u64 {
    // SAFETY: as the caller promises.
    u64::from_le(unsafe { at.cast::<u64>().read_unaligned() })
}

/// Copies a match of `length` bytes to `to` from `distance` bytes before it. Writes up to 31 bytes more.
///
/// # Safety
/// `distance` bytes before `to` must be readable, and `length` + 31 bytes from it on writable, of one allocation; `distance` is not 0.
#[inline(always)]
unsafe fn copy(to: *mut u8, distance: usize, length: usize) {
    // SAFETY: the loops write whole words while the word's first byte is within the match; every source word ends at or before the end of
    // the word that is written, and holds bytes that were written before it.
    unsafe {
        let from = to.sub(distance).cast_const();
        if distance >= 16 {
            let mut done = 0;
            loop {
                // Two words, since most matches are shorter: whether a second is needed cannot be foreseen.
                let word = from.add(done).cast::<u128>().read_unaligned();
                to.add(done).cast::<u128>().write_unaligned(word);
                let word = from.add(done + 16).cast::<u128>().read_unaligned();
                to.add(done + 16).cast::<u128>().write_unaligned(word);
                done += 32;
                if done >= length {
                    return;
                }
            }
        }
        if distance >= 8 {
            let mut done = 0;
            loop {
                let word = from.add(done).cast::<u64>().read_unaligned();
                to.add(done).cast::<u64>().write_unaligned(word);
                done += 8;
                if done >= length {
                    return;
                }
            }
        }
        // A pattern of fewer than eight bytes: repeated to a word, which is written at steps of whole patterns.
        let own = distance as u32 * 8;
        let mut pattern = word(from) & ((1 << own) - 1);
        let mut filled = own;
        while filled < 64 {
            pattern |= pattern << filled;
            filled *= 2;
        }
        let step = 8 - 8 % distance;
        let mut done = 0;
        while done < length {
            to.add(done).cast::<u64>().write_unaligned(pattern.to_le());
            done += step;
        }
    }
}
