//! Larder's content store: packs, action cache, eviction, event log.
//!
//! | module | what |
//! |---|---|
//! | [`local`] | the backend in a local folder, with synchronous methods |
//! | [`envelope`], [`trust`] | signed results; whose signatures are believed, and for which namespaces |
//! | [`event`], [`statistics`] | the bounded event log, and what is told from it |
//! | [`message`] | between `Digest` and the REAPI message of that name |

pub mod envelope;
pub mod event;
pub mod local;
pub mod message;
pub mod statistics;
pub mod trust;

pub use local::{Durability, LocalStore, Options};
