//! Maps of sparse files: old GNU (in the header and in blocks after it), and GNU's in PAX: 0.0 and 0.1 (in records), 1.0 (at the begin of the content).
//!
//! A map is taken as it comes and judged once, in [`Map::pieces`]: pieces ascend, do not overlap, lie in the file, and are all that is stored.

use super::header::{BLOCK, number};
use super::pax::{self, Sparse};
use super::tar::{Fault, LONGEST_EXTENSION};

/// A map that is being read: places and lengths in turn.
#[derive(Debug)]
pub(super) struct Map {
    numbers: Vec<i64>,
    rest: Rest,
    /// Whether its blocks are the first of the content.
    is_in_content: bool,
    /// Bytes read in blocks of its own.
    read: u64,
}

/// What of a map still comes.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing.
    None,
    /// Blocks of old GNU.
    OldGnu,
    /// Lines of 1.0: digits of a line that is not whole, and how many numbers there will be, once that is known.
    Lines { line: Vec<u8>, wanted: Option<usize> },
}

impl Map {
    /// Of an old GNU header, with the file's size.
    pub(super) fn old_gnu(header: &[u8; BLOCK]) -> Result<(Self, u64), Fault> {
        let mut map = Self { numbers: Vec::new(), rest: Rest::None, is_in_content: false, read: 0 };
        map.old_gnu_entries(&header[386..482], header[482])?;
        let size = number(&header[483..495]).and_then(|size| u64::try_from(size).ok());
        Ok((map, size.ok_or(Fault::Sparse)?))
    }

    /// Of PAX records; `None` when the file is not sparse, or in a way that nobody knows: then it is what is stored.
    pub(super) fn of_pax(sparse: &Sparse) -> Result<Option<Self>, Fault> {
        let version =
            (sparse.major.as_deref().unwrap_or_default(), sparse.minor.as_deref().unwrap_or_default());
        let (numbers, rest) = match (version, &sparse.map) {
            ((b"1", b"0"), _) => (Vec::new(), Rest::Lines { line: Vec::new(), wanted: None }),
            ((b"0", b"0" | b"1"), map) => (map.clone().unwrap_or_default(), Rest::None),
            ((b"", b""), Some(map)) => (map.clone(), Rest::None),
            _ => return Ok(None),
        };
        let is_in_content = rest != Rest::None;
        let said = sparse.pieces.and_then(|pieces| usize::try_from(pieces).ok()?.checked_mul(2));
        if !is_in_content && said != Some(numbers.len()) {
            return Err(Fault::Sparse);
        }
        Ok(Some(Self { numbers, rest, is_in_content, read: 0 }))
    }

    /// Whether no more blocks are needed.
    pub(super) fn is_whole(&self) -> bool {
        self.rest == Rest::None
    }

    /// Whether its blocks are counted as content.
    pub(super) fn is_in_content(&self) -> bool {
        self.is_in_content
    }

    /// Takes a block; says whether the map is whole.
    pub(super) fn block(&mut self, block: &[u8; BLOCK]) -> Result<bool, Fault> {
        self.read += BLOCK as u64;
        if self.read > LONGEST_EXTENSION {
            return Err(Fault::LongSparse);
        }
        match &mut self.rest {
            Rest::OldGnu => self.old_gnu_entries(&block[..504], block[504])?,
            Rest::Lines { .. } => self.lines(block)?,
            Rest::None => return Err(Fault::Sparse),
        }
        Ok(self.is_whole())
    }

    fn old_gnu_entries(&mut self, entries: &[u8], more: u8) -> Result<(), Fault> {
        self.rest = if more > 0 { Rest::OldGnu } else { Rest::None };
        for entry in entries.chunks_exact(24) {
            if entry[0] == 0 {
                break;
            }
            self.numbers.push(number(&entry[..12]).ok_or(Fault::Sparse)?);
            self.numbers.push(number(&entry[12..]).ok_or(Fault::Sparse)?);
        }
        Ok(())
    }

    fn lines(&mut self, block: &[u8; BLOCK]) -> Result<(), Fault> {
        let Rest::Lines { line, wanted } = &mut self.rest else { return Err(Fault::Sparse) };
        for byte in block {
            if *byte != b'\n' {
                if !byte.is_ascii_digit() || line.len() > 20 {
                    return Err(Fault::Sparse);
                }
                line.push(*byte);
                continue;
            }
            let number = pax::decimal(line).ok_or(Fault::Sparse)?;
            line.clear();
            match wanted {
                None => {
                    let count = usize::try_from(number).ok().and_then(|count| count.checked_mul(2));
                    *wanted = Some(
                        count.filter(|count| *count as u64 <= LONGEST_EXTENSION).ok_or(Fault::LongSparse)?,
                    );
                }
                Some(_) => self.numbers.push(number),
            }
            if *wanted == Some(self.numbers.len()) {
                // What is left of the block is padding.
                self.rest = Rest::None;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The pieces of a file of `size` bytes of which `stored` are there.
    pub(super) fn pieces(&self, size: u64, stored: u64) -> Result<Box<[(u64, u64)]>, Fault> {
        if !self.numbers.len().is_multiple_of(2) {
            return Err(Fault::Sparse);
        }
        let (mut pieces, mut end, mut sum) = (Vec::new(), 0u64, 0u64);
        for pair in self.numbers.chunks_exact(2) {
            let (Ok(at), Ok(length)) = (u64::try_from(pair[0]), u64::try_from(pair[1])) else {
                return Err(Fault::Sparse);
            };
            let to = at.checked_add(length).filter(|to| *to <= size && at >= end).ok_or(Fault::Sparse)?;
            (end, sum) = (to, sum + length);
            if length > 0 {
                pieces.push((at, length));
            }
        }
        if sum == stored { Ok(pieces.into()) } else { Err(Fault::Sparse) }
    }
}
