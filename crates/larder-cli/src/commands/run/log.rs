//! Recipes' output: line by line behind a name, whole, or its end.
//!
//! Nothing here holds more than one line of a running recipe, or the last [`TAIL_BYTES`] of a log.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::printer::Printer;

/// Lines of a failed recipe that are shown.
pub(super) const TAIL_LINES: usize = 200;
/// How far back these are looked for.
const TAIL_BYTES: u64 = 256 << 10;
/// A line is cut here when it does not end.
const LONGEST_LINE: usize = 64 << 10;

/// Puts a recipe's name before each line of its output.
#[derive(Debug, Default)]
pub(super) struct Prefixer {
    unfinished: HashMap<String, Vec<u8>>,
}

impl Prefixer {
    /// The complete lines in what came, each behind `prefix`; the rest waits.
    pub(super) fn feed(&mut self, name: &str, prefix: &str, bytes: &[u8]) -> Vec<u8> {
        let held = self.unfinished.entry(name.to_owned()).or_default();
        let mut out = Vec::with_capacity(bytes.len() + prefix.len());
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            held.extend_from_slice(piece);
            if piece.ends_with(b"\n") || held.len() >= LONGEST_LINE {
                out.extend_from_slice(prefix.as_bytes());
                out.append(held);
                if !out.ends_with(b"\n") {
                    out.push(b'\n');
                }
            }
        }
        out
    }

    /// What is left when the recipe is done.
    pub(super) fn end(&mut self, name: &str, prefix: &str) -> Vec<u8> {
        let Some(rest) = self.unfinished.remove(name).filter(|rest| !rest.is_empty()) else {
            return Vec::new();
        };
        let mut out = prefix.as_bytes().to_vec();
        out.extend(rest);
        out.push(b'\n');
        out
    }
}

/// Writes a whole log, piece by piece.
pub(super) fn whole(printer: &Printer, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    let mut last = b'\n';
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        printer.bytes(&buffer[..count]);
        last = buffer[count - 1];
    }
    if last != b'\n' {
        printer.bytes(b"\n");
    }
    Ok(())
}

/// The last lines of a log, and whether there are more before them.
pub(crate) fn tail(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let mut is_cut = from > 0;
    if is_cut && let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
        bytes.drain(..=end);
    }
    if bytes.last().is_some_and(|&byte| byte != b'\n') {
        bytes.push(b'\n');
    }
    let ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    if ends.len() > TAIL_LINES {
        bytes.drain(..=ends[ends.len() - TAIL_LINES - 1]);
        is_cut = true;
    }
    Ok((bytes, is_cut))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn lines_are_prefixed_whole() {
        let mut prefixer = Prefixer::default();
        assert_eq!(prefixer.feed("a", "a | ", b"one\ntw"), b"a | one\n");
        assert_eq!(prefixer.feed("b", "b | ", b"x\n"), b"b | x\n");
        assert_eq!(prefixer.feed("a", "a | ", b"o\n\n"), b"a | two\na | \n");
        assert_eq!(prefixer.feed("a", "a | ", b"end"), b"");
        assert_eq!(prefixer.end("a", "a | "), b"a | end\n");
        assert_eq!(prefixer.end("a", "a | "), b"");
        let long = vec![b'x'; LONGEST_LINE];
        assert_eq!(prefixer.feed("c", "", &long).len(), LONGEST_LINE + 1);
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, b"a\nb").unwrap();
        assert_eq!(tail(&path).unwrap(), (b"a\nb\n".to_vec(), false));
        let lines: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, lines).unwrap();
        let (bytes, is_cut) = tail(&path).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(is_cut && text.starts_with("line 99800\n") && text.ends_with("line 99999\n"));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(tail(&path).unwrap(), (Vec::new(), false));
    }
}
