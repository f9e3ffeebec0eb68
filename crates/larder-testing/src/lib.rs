//! Development only: what several crates test with.
//!
//! | module | what |
//! |---|---|
//! | [`conformance`] | the one suite that every backend and wrapper of the store's seam runs |
//! | [`flaky`] | a backend that fails, truncates and flips bits |
//! | [`strict`] | a backend that is stricter than reality |
//! | [`layers`] | layers that are hard to get right, and the trees that they make |
//! | [`tables`] | tables for lazy reads, made by hand: ones that lie, too |
//! | [`strangers`] | what containerd, moby, podman and umoci make of them |
//! | [`registry`] | a real OCI registry |
//! | [`project`] | a project in a temporary folder, and the `larder` command run in it |
//! | [`running`] | a program that goes on while the test does something, and waiting for what it does |
//! | [`skipped()`] | a test that cannot be run here says so |
//! | [`proxy`] | a server as seen through a bad network, with requests and bytes counted |

pub mod conformance;
pub mod flaky;
pub mod layers;
pub mod project;
pub mod proxy;
pub mod registry;
pub mod running;
mod skipped;
pub mod strangers;
pub mod strict;
pub mod tables;

pub use project::{Output, Project};
pub use running::Running;
pub use skipped::skipped;
