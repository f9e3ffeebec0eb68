//! Larder's content store: packs, action cache, eviction, event log.
//!
//! | module | what |
//! |---|---|
//! | [`envelope`] | an action result, signed |
//! | [`event`] | the bounded log of what the store did |
//! | [`local`] | the backend in a local folder, with synchronous methods |
//! | [`message`] | between `Digest` and the REAPI message of that name |
//! | [`statistics`] | what the event log adds up to |
//! | [`trust`] | who signs results, and whose are believed |

pub mod envelope;
pub mod event;
pub mod local;
pub mod message;
pub mod statistics;
pub mod trust;

pub use local::{Durability, LocalStore, Options};
