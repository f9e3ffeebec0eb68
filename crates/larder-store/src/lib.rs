//! Larder's content store: packs, action cache, eviction, event log.
//!
//! | module | what |
//! |---|---|
//! | [`store`] | the handle that callers hold: bound to one namespace |
//! | [`action`] | the key of a result, and what a result needs |
//! | [`seam`] | the traits that backends and wrappers implement, and their contract |
//! | [`wrap`] | backends made of backends: verify, metered, retry, tiered |
//! | [`memory`] | the backend in memory |
//! | [`local`] | the backend in a local folder, with synchronous methods |
//! | [`envelope`], [`trust`] | signed results; whose signatures are believed, and for which namespaces |
//! | [`event`], [`statistics`] | the bounded event log, and what is told from it |
//! | [`message`] | between `Digest` and the REAPI message of that name |

pub mod action;
pub mod envelope;
pub mod event;
pub mod local;
pub mod memory;
pub mod message;
pub mod seam;
pub mod statistics;
pub mod store;
pub mod trust;
pub mod wrap;

pub use action::ActionDigest;
pub use local::{Durability, LocalStore, Options};
pub use store::{LookUp, Miss, Store, StoreWriter};
