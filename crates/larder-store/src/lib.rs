//! Larder's content store: packs, action cache, eviction, event log.

pub mod envelope;
pub mod event;
pub mod local;
pub mod statistics;
pub mod trust;
