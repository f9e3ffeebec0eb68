//! The sorted, immutable table of packs and blob rows: a key is found in about two cache lines, an absent one in one.
//!
//! ```text
//! fan-out      u32 × (2^bits + 1)    index of the first row whose key's leading bits are at least the slot
//! fingerprints u8 × rows, padded to 8 bytes; byte 8 of each key: the filter
//! rows         fixed size, sorted by their first 32 bytes, the key
//! tail         64 bytes at the end of the file
//! ```
//! Tail (little-endian): `magic [8] | directory_offset u64 | directory_count u32 | bits u32 | rows u64 |
//! table_offset u64 | content_bytes u64 | check [16]`, `check` being BLAKE3 of what precedes it in the tail, truncated.
//! `bits` is chosen so that there is about one row a slot.
//!
//! A flipped bit in fan-out, fingerprints or a key can only hide a row; what a found row says is proven elsewhere (a
//! chunk's bytes by their hash, a blob row by its own check).

use larder_core::Hash;

use super::mapped::Mapped;

/// Size of the tail in bytes.
pub(crate) const TAIL: usize = 64;
const MAX_BITS: u32 = 24;

/// A row of a table: fixed size, begins with its key.
pub(crate) trait Row: Copy {
    /// Encoded size in bytes.
    const SIZE: usize;
    /// The key.
    fn key(&self) -> &Hash;
    /// Appends the encoded row, key first.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a row of [`Row::SIZE`] bytes.
    fn decode(bytes: &[u8]) -> Self;
}

/// What a tail says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Where a file's own directory (a pack's frames) begins.
    pub(crate) directory_offset: u64,
    /// Its number of entries.
    pub(crate) directory_count: u32,
    bits: u32,
    /// Number of rows.
    pub(crate) rows: u64,
    table_offset: u64,
    /// Bytes of content that the rows stand for.
    pub(crate) content_bytes: u64,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl Tail {
    fn encode(&self, magic: [u8; 8]) -> [u8; TAIL] {
        let mut out = [0; TAIL];
        out[..8].copy_from_slice(&magic);
        out[8..16].copy_from_slice(&self.directory_offset.to_le_bytes());
        out[16..20].copy_from_slice(&self.directory_count.to_le_bytes());
        out[20..24].copy_from_slice(&self.bits.to_le_bytes());
        out[24..32].copy_from_slice(&self.rows.to_le_bytes());
        out[32..40].copy_from_slice(&self.table_offset.to_le_bytes());
        out[40..48].copy_from_slice(&self.content_bytes.to_le_bytes());
        let check = Hash::blake3(&out[..48]);
        out[48..].copy_from_slice(&check.0[..16]);
        out
    }

    fn decode(bytes: &[u8], magic: [u8; 8]) -> Option<Self> {
        let sound =
            bytes.len() == TAIL && bytes[..8] == magic && bytes[48..] == Hash::blake3(&bytes[..48]).0[..16];
        sound.then(|| Self {
            directory_offset: u64_at(bytes, 8),
            directory_count: u32_at(bytes, 16),
            bits: u32_at(bytes, 20),
            rows: u64_at(bytes, 24),
            table_offset: u64_at(bytes, 32),
            content_bytes: u64_at(bytes, 40),
        })
    }
}

fn slot(key: &Hash, bits: u32) -> usize {
    let lead = u32::from_be_bytes(key.0[..4].try_into().expect("four bytes"));
    if bits == 0 { 0 } else { (lead >> (32 - bits)) as usize }
}

fn bits(rows: usize) -> u32 {
    rows.max(1).next_power_of_two().trailing_zeros().min(MAX_BITS)
}

/// Bytes of a table of so many rows, its tail not counted.
pub(crate) fn length<R: Row>(rows: usize) -> usize {
    ((1usize << bits(rows)) + 1) * 4 + rows.next_multiple_of(8) + rows * R::SIZE
}

/// Encodes a table and its tail. `rows` are sorted here; `offset` is where the returned bytes will stand in the file.
pub(crate) fn encode<R: Row>(
    rows: &mut [R],
    magic: [u8; 8],
    offset: u64,
    directory: (u64, u32),
    content_bytes: u64,
) -> Vec<u8> {
    rows.sort_unstable_by_key(|row| row.key().0);
    let bits = bits(rows.len());
    let slots = 1usize << bits;
    let mut out = Vec::with_capacity(slots * 4 + rows.len() * (R::SIZE + 1) + TAIL + 16);
    let mut next = 0;
    for at in 0..=slots {
        while next < rows.len() && slot(rows[next].key(), bits) < at {
            next += 1;
        }
        out.extend_from_slice(&(next as u32).to_le_bytes());
    }
    out.extend(rows.iter().map(|row| row.key().0[8]));
    out.resize(out.len() + rows.len().next_multiple_of(8) - rows.len(), 0);
    for row in rows.iter() {
        row.encode(&mut out);
    }
    let tail = Tail {
        directory_offset: directory.0,
        directory_count: directory.1,
        bits,
        rows: rows.len() as u64,
        table_offset: offset,
        content_bytes,
    };
    out.extend_from_slice(&tail.encode(magic));
    out
}

/// A mapped table.
#[derive(Debug)]
pub(crate) struct Table {
    map: Mapped,
    tail: Tail,
    rows_at: usize,
    fingerprints_at: usize,
}

impl Table {
    /// Reads the tail and checks that everything it speaks of lies within the file; `None` if not.
    pub(crate) fn new<R: Row>(map: Mapped, magic: [u8; 8], directory_entry: u64) -> Option<Self> {
        let tail_at = map.len().checked_sub(TAIL)?;
        let tail = Tail::decode(&map[tail_at..], magic)?;
        if tail.bits > MAX_BITS || tail.rows > u64::from(u32::MAX) {
            return None;
        }
        let directory = u64::from(tail.directory_count).checked_mul(directory_entry)?;
        let fingerprints_at = tail.table_offset.checked_add(((1u64 << tail.bits) + 1) * 4)?;
        let rows_at = fingerprints_at.checked_add(tail.rows.next_multiple_of(8))?;
        let end = rows_at.checked_add(tail.rows * R::SIZE as u64)?;
        let sound =
            end == tail_at as u64 && tail.directory_offset.checked_add(directory)? <= tail.table_offset;
        sound.then_some(Self {
            map,
            tail,
            rows_at: rows_at as usize,
            fingerprints_at: fingerprints_at as usize,
        })
    }

    /// The tail.
    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The row at `index`; the caller keeps `index` below the number of rows.
    fn row<R: Row>(&self, index: usize) -> R {
        let at = self.rows_at + index * R::SIZE;
        R::decode(&self.map[at..at + R::SIZE])
    }

    /// All rows, in order of their keys.
    pub(crate) fn rows<R: Row>(&self) -> impl Iterator<Item = R> {
        (0..self.tail.rows as usize).map(|index| self.row(index))
    }

    /// The first row with this key that `wanted` accepts.
    pub(crate) fn find<R: Row>(&self, key: &Hash, mut wanted: impl FnMut(&R) -> bool) -> Option<R> {
        let at = self.tail.table_offset as usize + slot(key, self.tail.bits) * 4;
        let count = self.tail.rows as usize;
        let from = u32_at(&self.map, at) as usize;
        let to = (u32_at(&self.map, at + 4) as usize).min(count);
        for index in from..to {
            if self.map[self.fingerprints_at + index] == key.0[8] {
                let row: R = self.row(index);
                if row.key() == key && wanted(&row) {
                    return Some(row);
                }
            }
        }
        None
    }
}
