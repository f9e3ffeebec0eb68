//! Larder: one cache for every build, as a library.
//!
//! | module | what |
//! |---|---|
//! | [`project`] | a project with its worktree and its store, wired from its configuration |

pub mod project;

pub use larder_core as core;
pub use larder_run as run;
pub use larder_store as store;
