//! What a recipe's command touches in the file system, seen from outside: `trace: warn|strict`, `--suggest-inputs`.
//!
//! - `access.rs` what was seen: the words that everything here speaks
//! - `judge.rs` what of that the recipe does not declare

mod access;
mod judge;

pub use access::{Access, AccessKind, Trace};
pub use judge::{Undeclared, UndeclaredAccess};
