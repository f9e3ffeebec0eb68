//! `larder image` through its command line, on images that the tests make, in registries that run here.
//!
//! ```text
//! world.rs      machines, images, and the places where they lie     large.rs     a large layer, and what a small file of it costs
//! commands.rs   every command, on every kind of place              faults.rs    a bad network in between
//! refusals.rs   what cannot be done, and how it is said            logins.rs    tokens, credentials, redirects
//! exports.rs    trees and tar files, as root                       kept.rs      parts of layers that are kept
//! mirrors.rs    registries that stand in for others               strange.rs    what people met who did not know Larder
//! tls.rs        certificates of one's own authority                elsewhere.rs  images that other programs made
//! ```
//! What needs a program that is not installed (`docker-registry`, `skopeo`) says so on standard error and passes; with `REQUIRE_CLIENTS=1` it fails.
#![expect(clippy::unwrap_used, reason = "tests")]

mod commands;
mod elsewhere;
mod exports;
mod faults;
mod kept;
mod large;
mod logins;
mod mirrors;
mod refusals;
mod strange;
mod tls;
mod world;
