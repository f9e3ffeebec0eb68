//! Recipes: configuration, keys, execution, capture and restore.
//!
//! See `docs/design/0002-runner.md` for the flow and the decisions. The library reads no home directory, prints nothing and never exits:
//! what happens is told through events; the CLI shows it.

pub mod lock;
pub mod process;
pub mod outputs;
pub mod recipe;
pub mod worktree;
pub mod config;
pub mod diagnostic;
pub mod plan;
pub mod recipe;
pub mod select;
pub mod template;
