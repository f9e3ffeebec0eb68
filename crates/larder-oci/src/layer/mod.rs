//! One layer of an image: a tar stream, perhaps compressed.
//!
//! | file | what |
//! |---|---|
//! | `entry` | what the tar stream says of one name, raw and in archive order |
//! | `tar` | the tar stream → entries; bytes are handed in as they come |
//! | `fault` | what can be wrong with it |
//! | `budget` | how much a layer or an image may hold |
//! | `header`, `pax`, `sparse` | what it reads: a header block, extended records, maps of sparse files |
//! | `compression` | gzip, zstd or plain |
//!
//! Nothing here knows how layers are put together (that is [`crate::tree`], which also shows names) or how a table is written ([`crate::toc`]).

mod budget;
mod compression;
pub mod entry;
mod fault;
mod header;
mod pax;
mod sparse;
pub mod tar;

pub use budget::{Budget, Limits};
pub use compression::Compression;
pub use entry::{Content, Device, Entry, Kind, Time};
pub(crate) use fault::shown;
pub use fault::{Fault, TarError};
pub use tar::{DroppedXattr, Walker};
