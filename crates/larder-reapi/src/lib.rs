//! The messages of the Remote Execution API (REAPI v2) that Larder stores, with `prost` alone.
//!
//! Written from the field numbers of `build/bazel/remote/execution/v2/remote_execution.proto` (version 2.12); the test
//! `wire_equality` encodes random messages here and in crate `bazel-remote-apis` and compares the bytes. Deprecated
//! fields that Larder never writes are left out where nothing must be read from them, and are skipped when decoding.
//!
//! The gRPC services are not here: who speaks them uses `bazel-remote-apis`. Names that are not UTF-8: see [`name`].

pub mod name;

mod messages;
pub use messages::*;

pub use prost::{DecodeError, Message};
