//! Content-defined chunking: FastCDC (Xia et al., 2020) with normalization level 2, as REAPI's `FAST_CDC_2020`.
//!
//! Where a blob is cut depends on its bytes and the parameters alone, so equal regions of different blobs become equal
//! chunks. The parameters are recorded with each chunk list: a store may mix them.

use fastcdc::v2020::{self, Normalization};

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
}

impl Chunker {
    /// A chunker with these parameters.
    #[must_use]
    pub fn new(params: ChunkerParams) -> Self {
        let (mask_s, mask_l) = v2020::select_masks(params.avg as usize, Normalization::Level2);
        Self { params, mask_s, mask_l }
    }

    /// Length of the chunk that begins at `window[0]`. `window` must hold `max` bytes, or all that is left of the blob.
    #[must_use]
    pub fn cut(&self, window: &[u8]) -> usize {
        let (min, avg, max) = (self.params.min as usize, self.params.avg as usize, self.params.max as usize);
        if window.len() <= min {
            return window.len();
        }
        v2020::cut(window, min, avg, max, self.mask_s, self.mask_l, self.mask_s << 1, self.mask_l << 1).1
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
