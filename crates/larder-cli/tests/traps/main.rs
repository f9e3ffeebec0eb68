//! What must be true of a hit, tested through the program as a user meets it: every rule of "trust in a hit", and every trap
//! that task caches have fallen into. Each test names its rule or trap, and would fail if the trap were open.
//!
//! ```text
//! world.rs         projects, store and home of a test; larder with a time limit
//! key.rs           what a key consists of              place.rs         other clones, other worktrees
//! inputs.rs        what counts as an input, and when   environment.rs   what recipes see
//! stat.rs          size and times are no proof         processes.rs     nothing outlives larder
//! outputs.rs       captured and restored exactly       concurrency.rs   several at once
//! owning.rs        what may be removed                 store_damage.rs  stores that are broken, hostile, full
//! escape.rs        nothing outside the project         trust.rs         whose results are believed
//! memory.rs        bounded, whatever the outputs       config.rs        commands, templates, exit codes
//! odd.rs           files and folders that are rare     remote.rs        shared through a folder
//! tiers.rs         registries, encryption, doctor, warm, collections in tiers
//! trace.rs         what is touched and not declared
//! ```
#![expect(clippy::unwrap_used, reason = "tests")]

mod concurrency;
mod config;
mod environment;
mod escape;
mod inputs;
mod key;
mod memory;
mod odd;
mod outputs;
mod owning;
mod place;
mod processes;
mod remote;
mod stat;
mod store_damage;
mod tiers;
mod trace;
mod trust;
mod world;
