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
use crate::table::{
    DISTANCE_BITS, DISTANCE_SIZE, END, LITERAL, LITERAL_BITS, LITERAL_SIZE, SPECIAL, SUBTABLE, Tables,
};

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
    if std::arch::is_x86_feature_detected!("bmi2") {
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

#[inline(always)]
fn turns<const MARK: bool>(
    run: &mut Run<'_>,
    tables: &Tables,
    point: isize,
    mut marks: Option<&mut Marks>,
) -> bool {
    assert!(run.at <= run.limit && run.limit <= run.buffer.len() && run.member <= run.at);
    let mut next = run.bit / 8;
    let (Some(last_input), Some(last_room)) =
        (run.input.len().checked_sub(INPUT), run.limit.checked_sub(ROOM))
    else {
        return false;
    };
    if next > last_input || run.at > last_room {
        return false;
    }
    let input = run.input.as_ptr();
    let out = run.buffer.as_mut_ptr();
    let mut at = run.at;
    let (mut bits, mut left) = (0u64, 0u32);
    macro_rules! refill {
        () => {
            // SAFETY: `next` is at most 15 bytes behind a place that had `INPUT` bytes (header).
            bits |= unsafe { word(input.add(next)) } << (left & 63);
            next += 7 - (left as usize >> 3 & 7);
            left |= 56;
        };
    }
    macro_rules! skip {
        ($entry:expr) => {
            bits >>= $entry & 63;
            left = left.wrapping_sub($entry);
        };
    }
    macro_rules! look_up {
        () => {
            tables.literal[bits as usize & ((1 << LITERAL_BITS) - 1)]
        };
    }
    refill!();
    skip!((run.bit % 8) as u32);
    let mut entry = look_up!();
    let mut ended = false;
    // The place of a symbol that is given back.
    let mut back = None;
    while next <= last_input && at <= last_room {
        refill!();
        macro_rules! literal {
            () => {
                // SAFETY: there is room for a turn, of which these are the first bytes (header).
                unsafe { out.add(at).write((entry >> 16) as u8) };
                at += 1;
                skip!(entry);
                entry = look_up!();
            };
        }
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
        let begin = (next * 8).wrapping_sub(left as usize & 0xff);
        if entry & SPECIAL != 0 {
            if entry & SUBTABLE != 0 {
                skip!(LITERAL_BITS);
                let index = bits as usize & ((1 << (entry >> 8 & 15)) - 1);
                entry = tables.literal[((entry >> 16) as usize + index) & (LITERAL_SIZE - 1)];
                if entry & LITERAL != 0 {
                    literal!();
                    continue;
                }
            }
            if entry & SPECIAL != 0 {
                if entry & END != 0 {
                    left = left.wrapping_sub(entry);
                    ended = true;
                } else {
                    back = Some(begin);
                }
                break;
            }
        }
        let length = value(bits, entry);
        skip!(entry);
        refill!();
        // A distance has up to 28 bits.
        let mut far = tables.distance[bits as usize & ((1 << DISTANCE_BITS) - 1)];
        if far & SPECIAL != 0 {
            if far & SUBTABLE != 0 {
                skip!(DISTANCE_BITS);
                let index = bits as usize & ((1 << (far >> 8 & 15)) - 1);
                far = tables.distance[((far >> 16) as usize + index) & (DISTANCE_SIZE - 1)];
            }
            if far & SPECIAL != 0 {
                back = Some(begin);
                break;
            }
        }
        let distance = value(bits, far);
        skip!(far);
        if distance > at - run.member {
            back = Some(begin);
            break;
        }
        entry = look_up!();
        if MARK
            && let Some(marks) = marks.as_deref_mut()
            && distance as isize > at as isize - point
        {
            mark(marks, (distance as isize - (at as isize - point)) as usize, length);
        }
        // SAFETY: the distance is neither 0 (no base of a distance is) nor beyond the member's begin; there is room for the match.
        unsafe { copy(out.add(at), distance, length) };
        at += length;
    }
    run.bit = back.unwrap_or((next * 8).wrapping_sub(left as usize & 0xff));
    run.at = at;
    ended
}

#[cold]
#[inline(never)]
fn mark(marks: &mut Marks, back: usize, length: usize) {
    marks.mark(back, length);
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
