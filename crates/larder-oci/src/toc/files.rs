//! Digests of a layer's files: `docs/formats/file-digests.md`. Made in the pass that makes the table, if they are asked for; apart from the table, which does not depend on
//! them.
//!
//! A file is named by where its content begins in the layer's tar stream. Sparse files have none: what is hashed is what is stored, in one pass.

use std::collections::VecDeque;
use std::io::{self, Seek as _, Write as _};

use tempfile::SpooledTempFile;

use super::TocError;
use crate::digest::OciDigest;
use crate::layer::{Content, Entry};

const MAGIC: &[u8; 8] = b"LARDRFDG";
const VERSION: u16 = 1;
/// Magic, version, six zeros, the tar stream's SHA-256.
const HEAD: usize = 48;
const HASH: usize = 32;
/// Where the content begins, and its BLAKE3.
const RECORD: usize = 8 + HASH;
/// What is more is written to a file.
const IN_MEMORY: usize = 1 << 20;

/// BLAKE3 digests of a layer's files.
#[derive(Clone, Debug)]
pub struct FileDigests {
    bytes: Vec<u8>,
}

impl FileDigests {
    /// Reads them, of the layer whose tar stream has this digest.
    ///
    /// # Errors
    /// When they are damaged, or of another layer.
    pub fn open(bytes: Vec<u8>, tar: &OciDigest) -> Result<Self, TocError> {
        let Some((rest, sum)) = bytes.split_last_chunk::<HASH>().filter(|(rest, _)| rest.len() >= HEAD)
        else {
            return Err(TocError::Damaged("digests of files are cut short"));
        };
        if rest[..8] != *MAGIC {
            return Err(TocError::Damaged("these are no digests of files"));
        }
        let version = u16::from_le_bytes([rest[8], rest[9]]);
        if version != VERSION {
            return Err(TocError::Version(version));
        }
        let is_of_it = tar.as_sha256().is_some_and(|hash| rest[16..HEAD] == hash.0);
        if blake3::hash(rest).as_bytes() != sum || !(rest.len() - HEAD).is_multiple_of(RECORD) || !is_of_it {
            return Err(TocError::Damaged("digests of files are wrong, or of another layer"));
        }
        Ok(Self { bytes })
    }

    fn records(&self) -> &[[u8; RECORD]] {
        self.bytes[HEAD..self.bytes.len() - HASH].as_chunks().0
    }

    /// How many files have one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Whether no file has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of a file with this content.
    #[must_use]
    pub fn of(&self, content: &Content) -> Option<[u8; HASH]> {
        if content.sparse.is_some() {
            return None;
        }
        if content.stored == 0 {
            return Some(*blake3::hash(b"").as_bytes());
        }
        let begin =
            |record: &[u8; RECORD]| u64::from_le_bytes(*record.first_chunk().expect("eight of forty"));
        let at = self.records().binary_search_by_key(&content.at, begin).ok()?;
        self.records()[at].last_chunk().copied()
    }
}

/// Hashes files while a tar stream passes.
pub(super) struct FileHasher {
    /// Files that were begun or are to come, by begin and end.
    files: VecDeque<(u64, u64)>,
    hasher: blake3::Hasher,
    out: SpooledTempFile,
}

impl FileHasher {
    pub(super) fn new() -> Self {
        let out = tempfile::spooled_tempfile(IN_MEMORY);
        Self { files: VecDeque::new(), hasher: blake3::Hasher::new(), out }
    }

    /// An entry whose content comes next.
    pub(super) fn expect(&mut self, entry: &Entry) {
        let content = &entry.content;
        if content.stored > 0 && content.sparse.is_none() {
            self.files.push_back((content.at, content.at.saturating_add(content.stored)));
        }
    }

    /// Bytes of the tar stream from `at` on.
    pub(super) fn take(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let after = at + bytes.len() as u64;
        while let Some((begin, end)) = self.files.front().copied().filter(|(begin, _)| *begin < after) {
            let place = |byte: u64| usize::try_from(byte - at).expect("in the buffer");
            self.hasher.update(&bytes[place(begin.max(at))..place(end.min(after))]);
            if end > after {
                return Ok(());
            }
            let mut record = [0; RECORD];
            record[..8].copy_from_slice(&begin.to_le_bytes());
            record[8..].copy_from_slice(self.hasher.finalize().as_bytes());
            self.hasher.reset();
            self.files.pop_front();
            if self.out.stream_position()? == 0 {
                // The head is written last: the tar stream's digest is not known yet.
                self.out.write_all(&[0; HEAD])?;
            }
            self.out.write_all(&record)?;
        }
        Ok(())
    }

    /// What was hashed, as a file; none for a tar stream that is not named by its SHA-256.
    pub(super) fn finish(mut self, tar: &OciDigest) -> io::Result<Option<SpooledTempFile>> {
        let Some(hash) = tar.as_sha256() else { return Ok(None) };
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        head[16..].copy_from_slice(&hash.0);
        self.out.rewind()?;
        self.out.write_all(&head)?;
        let records = self.out.seek(io::SeekFrom::End(0))?;
        let mut sum = blake3::Hasher::new();
        self.out.rewind()?;
        io::copy(&mut io::Read::take(&mut self.out, records), &mut sum)?;
        self.out.seek(io::SeekFrom::End(0))?;
        self.out.write_all(sum.finalize().as_bytes())?;
        self.out.rewind()?;
        Ok(Some(self.out))
    }
}
