//! Larder's vocabulary: digests, chunks, compression, errors. No tokio, no network, no `unsafe`.

pub mod digest;

pub use digest::{Digest, DigestFunction, Hash, Hasher};
