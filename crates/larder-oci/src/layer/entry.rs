//! What a layer's tar stream says of one name.
//!
//! Entries are raw: names, link targets and whiteouts are as the archive has them, in its order, duplicates included. What they mean is
//! decided when an image's layers are put together ([`crate::tree`]). What cannot be right in any tree (a number out of range, a type that
//! nobody knows, a name too long) was refused before there is an `Entry`.

/// What is at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file; the only kind with content.
    File,
    /// A folder.
    Directory,
    /// A symbolic link to [`Entry::target`].
    Symlink,
    /// Another name of the inode that [`Entry::target`] has at that moment.
    HardLink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// The number of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Device {
    /// Its driver: 12 bits at most.
    pub major: u32,
    /// Which of that driver's: 20 bits at most.
    pub minor: u32,
}

/// A point in time, to the nanosecond, from 1970 to 2262; what lies outside was made 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: u64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

/// Where the bytes of a file are in the layer's uncompressed tar stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Content {
    /// The first byte.
    pub at: u64,
    /// How many bytes are stored there.
    pub stored: u64,
    /// Of a sparse file: the pieces that are stored, one after another, as (place in the file, length), ascending and apart. Everything
    /// else is zeros. `None`: the file is stored as it is.
    pub sparse: Option<Box<[(u64, u64)]>>,
}

/// One entry of a tar stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The name, as in the archive (of GNU, PAX or ustar, in this order), without anything resolved: it may hold `..`, begin or end with `/`.
    /// Never empty, never with a zero byte, at most 4,095 bytes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky: `07777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was modified.
    pub modified: Time,
    /// Size of a file, in bytes, holes included; 0 of everything else.
    pub size: u64,
    /// Of a symbolic link its text; of a hard link the name of its target; else empty.
    pub target: Vec<u8>,
    /// Of a device its number.
    pub device: Device,
    /// Extended attributes that are kept, with full names (`user.mime_type`), ascending by name, values may be empty.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a file its bytes.
    pub content: Content,
}
