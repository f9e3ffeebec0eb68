//! Deterministic workloads: the same seed gives the same bytes on every machine, for ever.
//!
//! The tree of the store bench is half incompressible bytes, a quarter text and a quarter binary-like content, in files
//! whose sizes are spread evenly over the powers of two from 1 KiB to 8 MiB. Its second version has 1 % of all bytes
//! edited in place, in runs of [`RUN`] bytes, and [`INSERTED`] files more. The kind of a file is its first folder, so
//! that a baseline may know what compresses without trying.
//!
//! A unit test pins the digest of a small tree: a change of the generator makes old figures incomparable and must be
//! deliberate. Files are written through a small buffer, so that this process stays small (see `measure`).

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Result;

/// Length of one edit in the second version of a tree.
pub(crate) const RUN: u64 = 16 << 10;
/// Files that only the second version has.
pub(crate) const INSERTED: u64 = 10;
/// The mean chunk, to which edits are rounded when the goal says "rounded to chunks".
pub(crate) const CHUNK: u64 = 8 << 10;

/// SplitMix64: small, fast and good enough to be incompressible.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A stream of its own for `(seed, part)`.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        let mut rng = Self(seed ^ part.wrapping_mul(0xA24B_AED4_963E_E407));
        rng.next();
        rng
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias is far below what a bench could see.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number below `bound`, small ones far more often.
    fn skewed(&mut self, bound: u64) -> u64 {
        let x = self.below(bound);
        self.below(x + 1)
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Random bytes.
    Incompressible,
    /// Lines of words.
    Text,
    /// Records that repeat with small differences, as machine code and tables do.
    Binary,
}

impl Kind {
    /// The folder of such files.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Incompressible => "incompressible",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// Makes content of the three kinds.
pub(crate) struct Content {
    words: Vec<Vec<u8>>,
    records: Vec<[u8; 16]>,
}

impl Content {
    /// The vocabulary of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, u64::MAX);
        let word = |rng: &mut Rng| {
            let len = 2 + rng.skewed(10);
            (0..len).map(|_| b"etaoinsrhldcumfpgwybvkxjqz_"[rng.skewed(27) as usize]).collect()
        };
        let words = (0..4096).map(|_| word(&mut rng)).collect();
        let record = |rng: &mut Rng| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&rng.next().to_le_bytes());
            bytes[8] = rng.below(16) as u8;
            bytes
        };
        let records = (0..1024).map(|_| record(&mut rng)).collect();
        Self { words, records }
    }

    /// Appends about 4 KiB of `kind`.
    fn block(&self, kind: Kind, rng: &mut Rng, out: &mut Vec<u8>) {
        let end = out.len() + 4096;
        while out.len() < end {
            match kind {
                Kind::Incompressible => out.extend_from_slice(&rng.next().to_le_bytes()),
                Kind::Text => {
                    out.extend(std::iter::repeat_n(b' ', 4 * rng.below(4) as usize));
                    for _ in 0..1 + rng.below(12) {
                        out.extend_from_slice(&self.words[rng.skewed(4096) as usize]);
                        out.push(b" (.,;"[rng.skewed(5) as usize]);
                    }
                    out.push(b'\n');
                }
                Kind::Binary => {
                    out.extend_from_slice(&self.records[rng.skewed(1024) as usize]);
                    let at = out.len() - 4;
                    out[at..].copy_from_slice(&(rng.skewed(1 << 16) as u32).to_le_bytes());
                }
            }
        }
    }

    /// Writes a file of exactly `size` bytes, with `edits` (offsets of runs, rising) made of other content.
    pub(crate) fn file(
        &self,
        path: &Path,
        kind: Kind,
        rng: &mut Rng,
        size: u64,
        edits: &[u64],
    ) -> Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut other = Rng::new(rng.clone().next(), 1);
        let mut out = BufWriter::with_capacity(64 << 10, File::create(path)?);
        let (mut block, mut at) = (Vec::with_capacity(8192), 0);
        while at < size {
            block.clear();
            self.block(kind, rng, &mut block);
            block.truncate((size - at).min(block.len() as u64) as usize);
            for &edit in edits {
                let from = edit.max(at);
                let to = (edit + RUN).min(at + block.len() as u64);
                for byte in block.iter_mut().take(to.saturating_sub(at) as usize).skip((from - at) as usize) {
                    *byte ^= 1 + (other.below(7) as u8);
                }
            }
            out.write_all(&block)?;
            at += block.len() as u64;
        }
        out.flush()?;
        Ok(())
    }
}

/// Which state of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// As generated.
    First,
    /// With edits and inserted files.
    Second,
}

/// What was generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Summary {
    /// Regular files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Bytes in edited runs (second version).
    pub(crate) edited: u64,
    /// The same, each run widened to multiples of [`CHUNK`].
    pub(crate) edited_in_chunks: u64,
    /// Bytes of inserted files (second version).
    pub(crate) inserted: u64,
}

/// One planned file.
struct Planned {
    path: PathBuf,
    kind: Kind,
    size: u64,
    part: u64,
}

fn plan(seed: u64, bytes: u64) -> Vec<Planned> {
    let mut rng = Rng::new(seed, 0);
    let mut files = Vec::new();
    for (kind, share) in [(Kind::Incompressible, 2), (Kind::Text, 4), (Kind::Binary, 4)] {
        let mut left = bytes / share;
        while left > 0 {
            let power = 10 + rng.below(13);
            let size = ((1 << power) + rng.below(1 << power)).min(left);
            let part = files.len() as u64 + 1;
            let folder = rng.below(1 + files.len() as u64 / 16);
            files.push(Planned {
                path: format!("{}/d{folder:03}/f{part:06}", kind.folder()).into(),
                kind,
                size,
                part,
            });
            left -= size;
        }
    }
    files
}

/// Offsets of the runs to edit, by file: 1 % of all bytes, in files of at least 4 runs, one run per 2 runs' space.
fn edits(seed: u64, files: &[Planned], bytes: u64) -> Vec<Vec<u64>> {
    let mut rng = Rng::new(seed, u64::MAX - 1);
    let slots: Vec<(usize, u64)> = files
        .iter()
        .enumerate()
        .filter(|(_, file)| file.size >= 4 * RUN)
        .flat_map(|(index, file)| (0..file.size / (2 * RUN)).map(move |slot| (index, slot)))
        .collect();
    let mut out = vec![Vec::new(); files.len()];
    let want = (bytes / 100 / RUN).min(slots.len() as u64);
    let mut chosen = std::collections::BTreeSet::new();
    while (chosen.len() as u64) < want {
        chosen.insert(slots[rng.below(slots.len() as u64) as usize]);
    }
    for (index, slot) in chosen {
        out[index].push(slot * 2 * RUN + rng.below(RUN));
    }
    out
}

/// Writes the tree of `bytes` bytes in `version` into `dir`.
pub(crate) fn tree(dir: &Path, seed: u64, bytes: u64, version: Version) -> Result<Summary> {
    let content = Content::new(seed);
    let files = plan(seed, bytes);
    let none = vec![Vec::new(); files.len()];
    let edited = if version == Version::Second { edits(seed, &files, bytes) } else { none };
    let mut summary = Summary::default();
    for (file, runs) in files.iter().zip(&edited) {
        content.file(&dir.join(&file.path), file.kind, &mut Rng::new(seed, file.part), file.size, runs)?;
        summary.files += 1;
        summary.bytes += file.size;
        for &run in runs {
            summary.edited += RUN;
            let end = (run + RUN).next_multiple_of(CHUNK).min(file.size);
            summary.edited_in_chunks += end - run / CHUNK * CHUNK;
        }
    }
    if version == Version::Second {
        for index in 0..INSERTED {
            let mut rng = Rng::new(seed, (1 << 40) + index);
            let kind = [Kind::Incompressible, Kind::Text, Kind::Binary][index as usize % 3];
            let size = (bytes >> 11).max(4096) + rng.below(4096);
            content.file(&dir.join(kind.folder()).join(format!("new{index}")), kind, &mut rng, size, &[])?;
            summary.files += 1;
            summary.bytes += size;
            summary.inserted += size;
        }
    }
    Ok(summary)
}

/// Writes `count` files of `size` bytes each, a hundred to a folder, kinds mixed as in the tree.
pub(crate) fn flat(dir: &Path, seed: u64, count: u64, size: u64) -> Result<()> {
    let content = Content::new(seed);
    for index in 0..count {
        let kind = [Kind::Incompressible, Kind::Text, Kind::Incompressible, Kind::Binary][index as usize % 4];
        let path = dir.join(format!("d{:02}/f{index:05}.bin", index / 100));
        content.file(&path, kind, &mut Rng::new(seed, index), size, &[])?;
    }
    Ok(())
}

/// Digest of a tree: names and content, in the order of names. Used to check what a tool restored.
pub(crate) fn digest(dir: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut files = Vec::new();
    list(dir, dir, &mut files)?;
    files.sort();
    for path in files {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        let mut one = blake3::Hasher::new();
        one.update_reader(File::open(dir.join(&path))?)?;
        hasher.update(one.finalize().as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The regular files below `dir`, relative to `root`.
pub(crate) fn list(root: &Path, dir: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(root, &entry.path(), out)?;
        } else {
            out.push(entry.path().strip_prefix(root)?.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn made(version: Version) -> (tempfile::TempDir, Summary) {
        let dir = tempfile::tempdir().unwrap();
        let summary = tree(dir.path(), 7, 8 << 20, version).unwrap();
        (dir, summary)
    }

    #[test]
    fn a_seed_pins_every_byte() {
        let (first, _) = made(Version::First);
        let (second, _) = made(Version::Second);
        let digests = [first, second].map(|dir| digest(dir.path()).unwrap()[..16].to_owned());
        assert_eq!(digests, ["2586031fcab0ca16", "0d059fffb09e7a17"]);
    }

    #[test]
    fn the_second_version_differs_by_what_the_summary_says() {
        let ((one, before), (two, after)) = (made(Version::First), made(Version::Second));
        assert_eq!(before.bytes, 8 << 20);
        assert_eq!((after.files, after.bytes), (before.files + INSERTED, before.bytes + after.inserted));
        assert_eq!(after.edited, (8 << 20) / 100 / RUN * RUN);
        assert!(after.edited_in_chunks >= after.edited && after.edited_in_chunks <= 2 * after.edited);
        let mut files = Vec::new();
        list(one.path(), one.path(), &mut files).unwrap();
        let differing: u64 = files
            .iter()
            .map(|path| {
                let (a, b) =
                    (fs::read(one.path().join(path)).unwrap(), fs::read(two.path().join(path)).unwrap());
                assert_eq!(a.len(), b.len());
                a.iter().zip(&b).filter(|(a, b)| a != b).count() as u64
            })
            .sum();
        assert_eq!(differing, after.edited);
    }

    #[test]
    fn the_kinds_compress_as_they_should() {
        let content = Content::new(7);
        let ratio = |kind| {
            let (mut rng, mut bytes) = (Rng::new(7, 1), Vec::new());
            for _ in 0..64 {
                content.block(kind, &mut rng, &mut bytes);
            }
            bytes.len() as f64 / zstd::bulk::compress(&bytes, 1).unwrap().len() as f64
        };
        assert!(ratio(Kind::Incompressible) < 1.01);
        assert!((2.0..5.0).contains(&ratio(Kind::Text)), "{}", ratio(Kind::Text));
        assert!((2.0..5.0).contains(&ratio(Kind::Binary)), "{}", ratio(Kind::Binary));
    }
}
