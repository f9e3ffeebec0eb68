//! What can be wrong with a compressed stream, and where.
//!
//! Every error names a byte of the compressed stream: where the header, block or symbol begins that is wrong. The place and the kind
//! depend on the bytes only, not on the pieces in which they came.

/// Why a stream cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at compressed byte {at}")]
pub struct Error {
    /// The byte of the compressed stream at which the faulty part begins.
    pub at: u64,
    /// What is wrong with it.
    pub kind: ErrorKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The stream does not begin with `1f 8b`.
    #[error("not a gzip stream")]
    Magic,
    /// A method other than 8.
    #[error("gzip method {0}, only 8 (deflate) exists")]
    Method(u8),
    /// Flags that no version of gzip defines.
    #[error("reserved gzip flags `{0:#04x}`")]
    Flags(u8),
    /// The checksum of a member's header.
    #[error("checksum of the gzip header is wrong")]
    HeaderChecksum,
    /// A block of type 3.
    #[error("deflate block of an unknown type")]
    BlockType,
    /// `LEN` and `NLEN` of a stored block.
    #[error("length of a stored block does not match its complement")]
    StoredLength,
    /// More symbols than deflate has.
    #[error("{literals} literal and {distances} distance codes, at most 286 and 30 exist")]
    TooManyCodes {
        /// `HLIT` + 257.
        literals: u16,
        /// `HDIST` + 1.
        distances: u16,
    },
    /// Lengths that make no prefix code: more codes than there is room for.
    #[error("{0} code has more codes than its lengths have room for")]
    OverSubscribed(Code),
    /// Lengths that leave codes without a symbol.
    #[error("{0} code is incomplete")]
    Incomplete(Code),
    /// A repetition of nothing, or of too much.
    #[error("code lengths repeat what is not there, or more than there is room for")]
    Repeat,
    /// Without a code for the end, the block could not end.
    #[error("block without a code for its end")]
    NoEnd,
    /// A code that stands for no literal, length or distance.
    #[error("{0} code without a meaning")]
    Symbol(Code),
    /// A match that begins before the member does.
    #[error("distance {distance} reaches before the {available} bytes of this member")]
    TooFar {
        /// How far back the match begins.
        distance: u32,
        /// How far back it may begin.
        available: u64,
    },
    /// The CRC32 in a member's trailer.
    #[error("checksum of the decompressed bytes is `{actual:08x}`, the trailer says `{expected:08x}`")]
    Checksum {
        /// What the trailer says.
        expected: u32,
        /// What the bytes have.
        actual: u32,
    },
    /// The length in a member's trailer.
    #[error("decompressed length is {actual} (modulo 2^32), the trailer says {expected}")]
    Length {
        /// What the trailer says.
        expected: u32,
        /// What was decompressed.
        actual: u32,
    },
    /// The stream ends early.
    #[error("stream is cut off; is the download complete?")]
    Truncated,
    /// Something that is no member follows the last member; zeros too.
    #[error("junk after the last gzip member")]
    Junk,
    /// `buffer[..from]` holds less of the member than a match may need. The caller's mistake.
    #[error("buffer holds {given} decompressed bytes, {needed} are needed")]
    History {
        /// `from`, as far as the buffer reaches.
        given: usize,
        /// The least that it may be.
        needed: usize,
    },
    /// A point whose parts contradict each other.
    #[error("restart point is wrong: {0}")]
    Point(&'static str),
    /// A span that needs a byte of the window that its point does not have.
    #[error("span refers to a byte that its window lacks")]
    Window,
    /// The stream ends before the span is full.
    #[error("stream ends {missing} bytes before the span does")]
    SpanEnd {
        /// How many bytes are missing.
        missing: usize,
    },
}

/// One of the codes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The code in which lengths of codes are written.
    CodeLength,
    /// Literals, lengths of matches, the end of the block.
    Literal,
    /// Distances of matches.
    Distance,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CodeLength => "code-length",
            Self::Literal => "literal/length",
            Self::Distance => "distance",
        })
    }
}

/// Why a part could not be read: more input may help, or nothing will.
pub(crate) enum Stuck {
    /// The part is not there whole.
    Input,
    /// It is wrong.
    Wrong(ErrorKind),
}

impl From<ErrorKind> for Stuck {
    fn from(kind: ErrorKind) -> Self {
        Self::Wrong(kind)
    }
}
