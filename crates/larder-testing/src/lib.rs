//! Development only: conformance suites, strict stores, fixtures.

pub mod project;

pub use project::{Output, Project};
