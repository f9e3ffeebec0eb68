//! Larder's content store: packs, action cache, eviction, event log.

pub mod envelope;
pub mod local;
pub mod trust;
