//! Larder's vocabulary: digests, chunks, compression, errors.

pub mod error;

pub use error::{Error, ErrorKind, Result};
