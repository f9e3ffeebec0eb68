//! One layer of an image: a tar stream, perhaps compressed.
//!
//! | file | what |
//! |---|---|
//! | `entry` | what the tar stream says of one name, raw and in archive order |
//! | `tar` | the tar stream → entries; bytes are handed in as they come |
//! | `header`, `pax`, `sparse` | what it reads: a header block, extended records, maps of sparse files |
//! | `compression` | gzip, zstd and plain: which one it is, and where decoding may begin |
//!
//! Nothing here knows how layers are put together (that is [`crate::tree`]) or how a table is written ([`crate::toc`]).

pub mod entry;
mod header;
mod pax;
mod sparse;
pub mod tar;

pub use entry::{Content, Device, Entry, Kind, Time};
pub use tar::{Limits, TarError, Walker};
