//! One layer of an image: a tar stream, perhaps compressed.
//!
//! | file | what |
//! |---|---|
//! | `entry` | what the tar stream says of one name, raw and in archive order |
//! | `tar` | the tar stream → entries; bytes are handed in as they come |
//! | `compression` | gzip, zstd and plain: which one it is, and where decoding may begin |
//!
//! Nothing here knows how layers are put together (that is [`crate::tree`]) or how a table is written ([`crate::toc`]).

pub mod entry;

pub use entry::{Content, Device, Entry, Kind, Time};
