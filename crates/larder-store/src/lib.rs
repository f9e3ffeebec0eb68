//! Larder's content store: packs, action cache, eviction, event log.
//!
//! | module | what |
//! |---|---|
//! | [`local`] | the backend in a local folder, with synchronous methods |
//! | [`message`] | between `Digest` and the REAPI message of that name |

pub mod local;
pub mod message;

pub use local::{Durability, LocalStore, Options};
