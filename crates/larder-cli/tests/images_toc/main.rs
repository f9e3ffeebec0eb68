//! Tables in registries (`larder image push-toc`), through the program as a user meets it, against a real registry without the API for referrers.
//!
//! ```text
//! world.rs     an image in a registry, and machines that read it      sharing.rs   pushed, and read by others
//! forge.rs     tables that lie                                        refusals.rs  what is not used, and what is said of it
//! ```
//! Where `docker-registry` (or `skopeo`) is not installed, tests say so and pass; with `REQUIRE_CLIENTS=1` they fail.
#![expect(clippy::unwrap_used, reason = "tests")]

mod forge;
mod refusals;
mod sharing;
mod world;
