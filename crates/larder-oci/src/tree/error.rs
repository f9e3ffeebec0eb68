//! What can be wrong with a layer, and what is only odd.

use super::names::{MAX_NAME, MAX_PATH, MAX_TARGET, MAX_XATTR_NAMES};

/// A layer that has no place in any tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("layer {} (from the bottom): entry `{entry}`: {problem}", layer + 1)]
pub struct TreeError {
    /// Which layer; 0 is the lowest.
    pub layer: usize,
    /// The name of the entry as the archive has it, printable.
    pub entry: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The path, once symbolic links are followed, is too long.
    #[error("the path is longer than {MAX_PATH} bytes")]
    PathTooLong,
    /// One part of the path is too long.
    #[error("the name `{name}` is longer than {MAX_NAME} bytes")]
    NameTooLong {
        /// The part, printable and cut.
        name: String,
    },
    /// A link's target is too long.
    #[error("the link's target is longer than {MAX_TARGET} bytes")]
    TargetTooLong,
    /// A symbolic link without a text, or with a zero byte in it.
    #[error("the link's target is empty or has a zero byte")]
    BadTarget,
    /// `.wh.`, `.wh..` or `.wh...`.
    #[error("a whiteout that names nothing")]
    Whiteout,
    /// Something else than a directory for the root.
    #[error("the root is always a directory")]
    Root,
    /// The path leads through something that is no directory.
    #[error("`{at}` is not a directory")]
    NotADirectory {
        /// Where, printable.
        at: String,
    },
    /// More than 255 symbolic links on the way, or far too many in the whole layer.
    #[error("too many symbolic links on the way to it")]
    TooManyLinks,
    /// A hard link to what is not there (at that moment), or to itself.
    #[error("a hard link to `{target}`, which does not exist before it")]
    LinkTarget {
        /// The target, printable.
        target: String,
    },
    /// A hard link to a directory.
    #[error("a hard link to the directory `{target}`")]
    LinkToDirectory {
        /// The target, printable.
        target: String,
    },
    /// The layers up to this one have more names (parents that they do not list counted) than any real ones.
    #[error("the layers have more than {most} names together")]
    TooManyNames {
        /// How many are allowed.
        most: u32,
    },
    /// Directories hand down more bytes of access control lists than any real ones.
    #[error("directories hand down more than {most} bytes of access control lists")]
    TooMuchInherited {
        /// How many are allowed.
        most: u64,
    },
    /// An inode has more attributes than any kernel could list.
    #[error("the names of its extended attributes take more than {MAX_XATTR_NAMES} bytes")]
    TooManyXattrs,
}

/// What was dropped, or what people would not expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which layer; 0 is the lowest.
    pub layer: usize,
    /// The name of the entry as the archive has it, printable.
    pub entry: String,
    /// What is odd.
    pub oddity: Oddity,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "layer {} (from the bottom): entry `{}`: {}", self.layer + 1, self.entry, self.oddity)
    }
}

/// What is odd about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Oddity {
    /// A whiteout below something that is no directory.
    #[error("a whiteout below something that is not a directory: it hides nothing")]
    WhiteoutBelowFile,
    /// A whiteout of what the same layer has put there before.
    #[error("a whiteout of what the same layer has put there: it hides lower layers only")]
    WhiteoutOfOwn,
    /// A character device 0:0.
    #[error("a character device 0:0, which hides as a whiteout does")]
    DeviceHides,
    /// `user.` attributes on something that cannot have them.
    #[error("`user.` attributes are kept on files and directories only")]
    UserAttributes,
    /// An access control list that no kernel takes, or one where there can be none.
    #[error("an access control list that is malformed or has no place there: dropped")]
    List,
    /// A mark that the whole root is opaque.
    #[error("an opaque mark at the root, which overlays ignore: it hides nothing")]
    OpaqueRoot,
}

/// Why a path could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookUpError {
    /// The path leads through something that is no directory.
    #[error("`{at}` is not a directory")]
    NotADirectory {
        /// Where, printable.
        at: String,
    },
    /// More than 255 symbolic links on the way.
    #[error("too many symbolic links on the way (a loop?)")]
    TooManyLinks,
    /// The path is longer than any in a tree.
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
}
