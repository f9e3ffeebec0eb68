//! Larder: one cache for every build, as a library.
//!
//! | module | what |
//! |---|---|
//! | [`cache`] | the embedding API: `Cache::open`, `put`, `get`, `lookup`, `record`, `plan_gc`, `verify` |
//! | [`keys`] | the user's keys and trust: files, checks, `SigningConfig` |
//! | [`tiers`] | remote tiers, wired from a project's configuration |
//! | [`project`] | a project with its worktree and its store, wired from its configuration |

pub mod cache;
pub mod keys;
pub mod project;
pub mod tiers;

pub use cache::{Cache, Config};
pub use larder_core as core;
pub use larder_reapi as reapi;
pub use larder_remote as remote;
pub use larder_run as run;
pub use larder_store as store;
