//! One layer of an image: a tar stream, perhaps compressed.
//!
//! | file | what |
//! |---|---|
//! | `entry` | what the tar stream says of one name, raw and in archive order |
//! | `tar` | the tar stream → entries; bytes are handed in as they come |
//! | `header`, `pax`, `sparse` | what it reads: a header block, extended records, maps of sparse files |
//! | `compression` | gzip, zstd or plain |
//!
//! Nothing here knows how layers are put together (that is [`crate::tree`], which also shows names) or how a table is written ([`crate::toc`]).

mod compression;
pub mod entry;
mod header;
mod pax;
mod sparse;
pub mod tar;

pub use compression::Compression;
pub use entry::{Content, Device, Entry, Kind, Time};
pub use tar::{Budget, DroppedXattr, Limits, TarError, Walker};
