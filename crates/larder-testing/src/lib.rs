//! Development only: conformance suites, strict stores, fixtures.
