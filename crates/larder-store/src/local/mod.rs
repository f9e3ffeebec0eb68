//! The local tier.

pub mod index;
