//! What a recipe's command touches in the file system, seen from outside: `trace: warn|strict`, `--suggest-inputs`.
//!
//! - `access.rs` what was seen: the words that everything here speaks

mod access;

pub use access::{Access, AccessKind, Trace};
