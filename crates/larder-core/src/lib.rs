//! Larder's vocabulary: digests, chunks, compression, errors. No tokio, no network, no `unsafe`.
//!
//! | module | what |
//! |---|---|
//! | [`digest`] | `Digest`, `DigestFunction`, `Hasher`: how content is named |
//! | [`chunker`] | FastCDC: where a blob is cut |
//! | [`chunk_list`] | `ChunkList`: the ordered chunks that rebuild a blob, as a tree of nodes |
//! | [`compress`] | formats, levels, and the decision whether compressing is worth it |
//! | [`error`] | the one public error |

pub mod chunk_list;
pub mod chunker;
pub mod compress;
pub mod digest;
pub mod error;

pub use chunk_list::Chunk;
pub use chunker::ChunkerParams;
pub use compress::Format;
pub use digest::{Digest, DigestFunction, Hash, Hasher};
pub use error::{Error, ErrorKind, Result};
