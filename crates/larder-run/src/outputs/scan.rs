//! Finds the project's real root in output bytes.
//!
//! Bytes come in pieces of any size; an occurrence that lies across pieces is found too. What is compressed or encoded
//! hides it: recipes whose outputs hold the path so are bound by nothing here.

use memchr::memmem::Finder;

/// What to look for: shared by all files of a capture.
#[derive(Clone, Debug, Default)]
pub struct Needles {
    finders: Vec<Finder<'static>>,
    longest: usize,
}

impl Needles {
    /// Looks for each of `roots` (the path as given and the resolved one, say), also as JSON with `\/`.
    #[must_use]
    pub fn new<'r>(roots: impl IntoIterator<Item = &'r [u8]>) -> Self {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for root in roots {
            let trimmed = root.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(root);
            let escaped = trimmed.iter().fold(Vec::new(), |mut text, &byte| {
                if byte == b'/' {
                    text.push(b'\\');
                }
                text.push(byte);
                text
            });
            texts.extend([trimmed.to_vec(), escaped]);
        }
        texts.retain(|text| !text.is_empty());
        texts.sort();
        texts.dedup();
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let finders = texts.iter().map(|text| Finder::new(text).into_owned()).collect();
        Self { finders, longest }
    }

    /// Starts on one file.
    #[must_use]
    pub fn scan(&self) -> Scan<'_> {
        Scan { needles: self, tail: Vec::new(), found: false }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        self.finders.iter().any(|finder| finder.find(bytes).is_some())
    }
}

/// The scan of one stream of bytes.
#[derive(Debug)]
pub struct Scan<'n> {
    needles: &'n Needles,
    /// The last bytes seen, one less than the longest needle.
    tail: Vec<u8>,
    found: bool,
}

impl Scan<'_> {
    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let keep = self.needles.longest.saturating_sub(1);
        if self.found || self.needles.longest == 0 {
            return;
        }
        let border = piece.len().min(keep);
        let before = self.tail.len();
        self.tail.extend_from_slice(&piece[..border]);
        self.found = (before > 0 && self.needles.is_in(&self.tail)) || self.needles.is_in(piece);
        if piece.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - keep..]);
        } else {
            let surplus = self.tail.len().saturating_sub(keep);
            self.tail.drain(..surplus);
        }
    }

    /// A needle was seen.
    #[must_use]
    pub fn found(&self) -> bool {
        self.found
    }
}
