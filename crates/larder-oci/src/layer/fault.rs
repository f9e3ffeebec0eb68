//! What is wrong with a tar stream, and where. Names in messages are one line, and short.

use crate::said;
use crate::tree::printable;

/// Most characters of a name in a message.
const MOST_SHOWN: usize = 400;

/// What is wrong with a tar stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The sum of a header is not what it says.
    #[error("a header's checksum is wrong")]
    Checksum,
    /// A number field is none.
    #[error("a header has a number that cannot be read")]
    Number,
    /// An extended header is malformed.
    #[error("an extended header is malformed")]
    Pax,
    /// An extended header is longer than 1 MiB.
    #[error("an extended header has more than 1 MiB")]
    LongExtension,
    /// A map of a sparse file makes no sense.
    #[error("the map of a sparse file makes no sense")]
    Sparse,
    /// A map of a sparse file is longer than 1 MiB.
    #[error("the map of a sparse file has more than 1 MiB")]
    LongSparse,
    /// A single block of zeros.
    #[error("a block of zeros is followed by something else")]
    LoneZero,
    /// The stream ends where it must not.
    #[error("the archive is cut off")]
    Cut,
    /// An empty name.
    #[error("it has an entry without a name")]
    NoName,
    /// A name or a target is longer than 4,095 bytes.
    #[error("its name or its target has more than 4,095 bytes")]
    LongPath,
    /// A type that nobody knows.
    #[error("its type is not known")]
    Type,
    /// An owner, a group or a device's number is out of range.
    #[error("its owner, group or device number is out of range")]
    Range,
    /// A size is negative or too large.
    #[error("its size is out of range")]
    Size,
    /// A name of an attribute over 255 bytes, or a value over 65,535.
    #[error("it has an extended attribute that is too long")]
    LongXattr,
    /// More entries than [`Limits::entries`](super::Limits::entries).
    #[error("it has more entries than are allowed")]
    TooMany,
    /// More bytes than [`Limits::metadata`](super::Limits::metadata).
    #[error("names and attributes of all entries take more than is allowed")]
    TooMuchMetadata,
    /// More bytes than [`Limits::logical`](super::Limits::logical).
    #[error("its files are larger together than is allowed")]
    TooLarge,
    /// Far more bytes than its files and its entries account for: zeros, headers that say nothing, what follows its end.
    #[error("it has more bytes that belong to no file than any layer")]
    TooMuchBeside,
}

impl Fault {
    /// Whether it is only more than is allowed.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(self, Self::TooMany | Self::TooLarge | Self::TooMuchMetadata | Self::TooMuchBeside)
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::TooMany | Self::TooLarge => {
                "raise the limit with `--max-entries` or `--max-size` if the image is to be trusted"
            }
            Self::TooMuchMetadata => {
                "no option raises this limit: no image that is known has near as many names and attributes"
            }
            Self::TooMuchBeside => "no option raises this limit: build the image again, with another tool",
            _ => "no tool could use this layer: push or pull the image again",
        }
    }
}

/// A tar stream that is no layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the layer's tar stream is broken at byte {at}{}: {fault}", place(entry, *is_after))]
pub struct TarError {
    /// Where in the uncompressed stream.
    pub at: u64,
    /// The entry that it is about; where its name was not read, the one before.
    pub entry: Option<Vec<u8>>,
    /// Whether it is about what follows the entry.
    pub is_after: bool,
    /// What is wrong.
    pub fault: Fault,
}

fn place(entry: &Option<Vec<u8>>, is_after: bool) -> String {
    let relation = if is_after { "after" } else { "in" };
    entry.as_ref().map_or(String::new(), |name| format!(", {relation} `{}`", shown(name)))
}

/// A name in a message, cut.
pub(crate) fn shown(name: &[u8]) -> String {
    said::short(&printable(name), MOST_SHOWN)
}
