//! Remote tiers: places besides this machine where results and their content are kept, and shared.
//!
//! | file | what |
//! |---|---|
//! | [`tier`] | what a tier does: [`Tier`], and what travels: [`Offer`], [`Publication`] |
//! | [`tiers`] | several tiers behind a local store: order, promotion, write-back, circuit breakers |
//! | [`exchange`] | one result between a store and one tier |
//! | [`archive`] | results in one file: an image layout |
//! | [`packed`] | packs and results, wherever they lie; encryption |
//! | [`bucket`] | packs and results in an object store |
//! | [`s3`], [`gcs`], [`azure`], [`dir`] | buckets, and a shared folder: how each is opened, and what its errors mean |
//! | [`oci`] | a repository of a registry |
//! | [`reapi`] | servers of the Remote Execution API |
//! | [`connection`] | how long is waited, retries, what is said when nobody answers |
//! | [`meter`] | what moved |
//! | [`seen`] | what a tier is known to have, so that nothing is uploaded twice |
//!
//! # Trust
//! Nothing that a tier answers is believed: envelopes are judged by the user's trust, chunks and blobs are hashed. A
//! tier can at worst be a miss.
//!
//! # Runtime
//! Needs a tokio runtime that the caller owns ([`Runtime`](tiers::Runtime)). Nothing here reads the environment, save that the clouds' usual
//! variables are handed over by whoever opens a tier ([`Environment`]).

pub mod archive;
pub mod azure;
pub mod bucket;
mod connection;
pub mod dir;
mod exchange;
pub mod gcs;
mod meter;
pub mod oci;
pub mod packed;
pub mod reapi;
mod runtime;
pub mod s3;
pub mod seen;
pub mod tier;
pub mod tiers;

pub use connection::Patience;
pub use packed::PackedTier;
pub use reapi::ReapiTier;
pub use tier::{Examination, Offer, Publication, Rate, Receipt, Tier, Transfer};
pub use tiers::{Tiers, TiersOptions};

/// Environment variables as whoever opens a tier hands them over: name and value.
pub type Environment = [(String, String)];
