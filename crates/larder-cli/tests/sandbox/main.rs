//! Sandboxes as a person meets them: what a command sees, what comes out of it, and what is said where there can be none.
//!
//! Every test that makes a sandbox is run as it is and, by root, as a user without privilege too ([`World::each`]). Where
//! this machine has no user namespaces, a line on stderr says that a test did nothing; `SANDBOX_TESTS=required` makes that
//! a failure.

mod failures;
mod network;
mod outputs;
mod processes;
mod refusals;
mod sees;
mod works;
mod world;
