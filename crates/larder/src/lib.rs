//! Larder: one cache for every build, as a library.
//!
//! | module | what |
//! |---|---|
//! | [`cache`] | the embedding API: `Cache::open`, `with_tiers`, `put`, `get`, `lookup`, `record`, `finish`, `plan_gc`, `verify` |
//! | [`image`](mod@image) | images: where they come from, their tables in the store |
//! | [`keys`] | the user's keys and trust: files, checks, `SigningConfig` |
//! | [`tiers`] | remote tiers: described by whoever embeds Larder, or by a project's configuration |
//! | [`project`] | a project with its worktree and its store, wired from its configuration |

pub mod cache;
mod describe;
pub mod image;
pub mod keys;
pub mod project;
pub mod tiers;

pub use cache::{Cache, Config, Finished};
pub use larder_core as core;
pub use larder_oci as oci;
pub use larder_reapi as reapi;
pub use larder_remote as remote;
pub use larder_run as run;
pub use larder_store as store;
