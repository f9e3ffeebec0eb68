//! Remote tiers against servers that speak the clouds' protocols, through the program as a user meets it.
//!
//! ```text
//! servers.rs   the servers that the environment names     sharing.rs   machines share, and damage heals
//! world.rs     machines and their project                 refusals.rs  servers that refuse, are gone, or say nothing
//! reapi.rs     a server of the Remote Execution API          examined.rs  what `larder doctor` finds in buckets
//! faults.rs    a bad network in between                  requests.rs  what moves, counted
//! ```
//! `scripts/cloud-servers run cargo test -p larder-cli --test clouds` starts servers and names them; what the variables are
//! is said there. Without any, tests that need one say so on standard error and pass; with `REQUIRE_CLIENTS=1` they fail.
#![expect(clippy::unwrap_used, reason = "tests")]

mod examined;
mod faults;
mod reapi;
mod refusals;
mod requests;
mod servers;
mod sharing;
mod world;
