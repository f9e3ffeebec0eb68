//! Content-defined chunking: FastCDC (Xia et al., 2020) with normalization level 2, as REAPI's `FAST_CDC_2020`.
//!
//! Where a blob is cut depends on its bytes and the parameters alone, so equal regions of different blobs become equal
//! chunks. The parameters are recorded with each chunk list: a store may mix them.
//!
//! The cuts are those of `fastcdc`, whose tables and masks are used, found by a loop of our own: the rolling hash forgets
//! a byte after 64 more, so two places of the window are hashed at once, each waiting for its own last step only.

use std::borrow::Cow;

use fastcdc::v2020::{self, Normalization};

/// After so many bytes the rolling hash has forgotten what was before them.
const MEMORY: usize = 64;

/// Chunk sizes in bytes. Invariant: `64 <= min <= avg <= max <= 16 MiB`, all even (see [`ChunkerParams::new`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkerParams {
    min: u32,
    avg: u32,
    max: u32,
}

impl ChunkerParams {
    /// The store's default: 2 / 8 / 64 KiB.
    pub const STORE: Self = Self { min: 2 << 10, avg: 8 << 10, max: 64 << 10 };
    /// Preset `code`: 1 / 4 / 32 KiB.
    pub const CODE: Self = Self { min: 1 << 10, avg: 4 << 10, max: 32 << 10 };
    /// Preset `media`: 8 / 32 / 256 KiB.
    pub const MEDIA: Self = Self { min: 8 << 10, avg: 32 << 10, max: 256 << 10 };

    /// Parameters of one's own; `None` if they are out of range.
    #[must_use]
    pub fn new(min: u32, avg: u32, max: u32) -> Option<Self> {
        let even = (min | avg | max) & 1 == 0;
        let ordered = 64 <= min && min <= avg && 256 <= avg && avg <= max && 1024 <= max;
        (even && ordered && min <= 1 << 20 && avg <= 4 << 20 && max <= 16 << 20).then_some(Self {
            min,
            avg,
            max,
        })
    }

    /// The preset with this name (`store`, `code`, `media`).
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "store" => Some(Self::STORE),
            "code" => Some(Self::CODE),
            "media" => Some(Self::MEDIA),
            _ => None,
        }
    }

    /// Smallest chunk, save a blob's last.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.min
    }

    /// Aimed-at mean.
    #[must_use]
    pub fn avg(&self) -> u32 {
        self.avg
    }

    /// Largest chunk.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }
}

/// Finds cuts. Holds no state between calls: a caller keeps at least `max` bytes in its window until the blob ends.
#[derive(Clone, Copy, Debug)]
pub struct Chunker {
    params: ChunkerParams,
    mask_s: u64,
    mask_l: u64,
    gear: &'static [u64; 256],
}

impl Chunker {
    /// A chunker with these parameters.
    #[must_use]
    pub fn new(params: ChunkerParams) -> Self {
        let (mask_s, mask_l) = v2020::select_masks(params.avg as usize, Normalization::Level2);
        let (Cow::Borrowed(gear), _) = v2020::get_gear_with_seed(0) else {
            unreachable!("without a seed it is the table itself")
        };
        let gear = gear.try_into().expect("one number for each value of a byte");
        Self { params, mask_s, mask_l, gear }
    }

    /// Length of the chunk that begins at `window[0]`. `window` must hold `max` bytes, or all that is left of the blob.
    #[must_use]
    pub fn cut(&self, window: &[u8]) -> usize {
        let (min, avg, max) = (self.params.min as usize, self.params.avg as usize, self.params.max as usize);
        let end = window.len().min(max);
        if end <= min {
            return end;
        }
        // The last byte of an odd number is no place to cut.
        let (middle, last) = (avg.min(end) & !1, end & !1);
        let mut roll = Roll { gear: self.gear, hash: 0 };
        let strict = roll.find(window, min..middle, self.mask_s, (avg - min) / 2);
        strict.or_else(|| roll.find(window, middle..last, self.mask_l, avg / 16)).unwrap_or(end)
    }

    /// All chunks of a blob in memory, in order.
    pub fn chunks<'a>(&self, blob: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (chunker, mut rest) = (*self, blob);
        std::iter::from_fn(move || {
            (!rest.is_empty()).then(|| {
                let (chunk, tail) = rest.split_at(chunker.cut(rest));
                rest = tail;
                chunk
            })
        })
    }
}

/// The rolling hash on its way through a window.
struct Roll {
    gear: &'static [u64; 256],
    hash: u64,
}

impl Roll {
    /// The hash with one byte more.
    fn step(&self, hash: u64, byte: u8) -> u64 {
        (hash << 1).wrapping_add(self.gear[usize::from(byte)])
    }

    /// The first place in `range` whose hash has none of the bits of `mask`; two lanes of about `lane` bytes at a time.
    fn find(
        &mut self,
        window: &[u8],
        range: std::ops::Range<usize>,
        mask: u64,
        lane: usize,
    ) -> Option<usize> {
        let lane = lane.max(MEMORY) & !7;
        let mut at = range.start;
        while range.end.saturating_sub(at) >= 2 * lane {
            let middle = at + lane;
            let (one, two) = (&window[at..middle], &window[middle..middle + lane]);
            let before = &window[middle - MEMORY..middle];
            let mut second = before.iter().fold(0, |hash, &byte| self.step(hash, byte));
            match self.find_in_two(one, two, mask, &mut second) {
                Some((offset, true)) => return Some(at + offset),
                // The first lane comes first.
                Some((offset, false)) => {
                    let rest =
                        self.find_in_one(&one[offset + 1..], mask).map(|found| at + offset + 1 + found);
                    return rest.or(Some(middle + offset));
                }
                None => self.hash = second,
            }
            at += 2 * lane;
        }
        self.find_in_one(window.get(at..range.end)?, mask).map(|found| at + found)
    }

    /// The first offset that is a cut in one of two lanes of equal length, and whether it is in the first.
    fn find_in_two(&mut self, one: &[u8], two: &[u8], mask: u64, second: &mut u64) -> Option<(usize, bool)> {
        let (mut a, mut b) = (self.hash, *second);
        // Eight bytes at once have no limits to be checked in between.
        let words = one.as_chunks::<8>().0.iter().zip(two.as_chunks::<8>().0);
        for (word, (one, two)) in words.enumerate() {
            for byte in 0..8 {
                a = self.step(a, one[byte]);
                b = self.step(b, two[byte]);
                if a & mask == 0 {
                    return Some((word * 8 + byte, true));
                }
                if b & mask == 0 {
                    self.hash = a;
                    return Some((word * 8 + byte, false));
                }
            }
        }
        (self.hash, *second) = (a, b);
        None
    }

    fn find_in_one(&mut self, bytes: &[u8], mask: u64) -> Option<usize> {
        let mut hash = self.hash;
        let found = bytes.iter().position(|&byte| {
            hash = self.step(hash, byte);
            hash & mask == 0
        });
        self.hash = hash;
        found
    }
}

/// What chunking did, as measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkStats {
    /// Chunks seen.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that were already there.
    pub known_chunks: u64,
    /// Bytes of those.
    pub known_bytes: u64,
    /// Bytes written after compression, with headers.
    pub stored_bytes: u64,
}

impl ChunkStats {
    /// Mean chunk size in bytes; 0 without chunks.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.bytes.checked_div(self.chunks).unwrap_or(0)
    }

    /// Adds what another writer measured.
    pub fn add(&mut self, other: &Self) {
        self.chunks += other.chunks;
        self.bytes += other.bytes;
        self.known_chunks += other.known_chunks;
        self.known_bytes += other.known_bytes;
        self.stored_bytes += other.stored_bytes;
    }
}
