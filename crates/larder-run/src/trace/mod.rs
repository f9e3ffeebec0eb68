//! What a recipe's command touches in the file system, seen from outside: `trace: warn|strict`, `--suggest-inputs`.
//!
//! - `access.rs` what was seen: the words that everything here speaks
//! - `calls.rs` the system calls that touch paths · `located.rs` from arguments to paths
//! - `observer.rs` from calls to a trace · `seen.rs` what was touched so far, and what the command made itself
//! - `judge.rs` what of that the recipe does not declare · `told.rs` how that is told

mod access;
mod calls;
mod judge;
mod located;
mod observer;
mod seen;
mod told;

pub use access::{Access, AccessKind, Trace};
pub use judge::{Declared, FromDependency, Undeclared, UndeclaredAccess, judge};
pub use observer::{Observation, TraceObserver};
