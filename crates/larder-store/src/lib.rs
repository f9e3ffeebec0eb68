//! Larder's content store: packs, action cache, eviction, event log.

pub mod local;
