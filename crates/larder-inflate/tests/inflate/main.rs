//! Inflate through its public interface: against zlib, against an oracle that goes bit by bit, and against hostile bytes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod differential;
mod errors;
mod hostile;
mod naive;
mod restart;
mod streams;
