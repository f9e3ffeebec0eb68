//! OCI: what images and registries are made of, and a client for registries.
//!
//! | module | what |
//! |---|---|
//! | [`reference`](mod@reference) | `host/repository:tag@digest`, as docker reads it |
//! | [`digest`] | `sha256:…`, the name of every blob |
//! | [`manifest`] | descriptors, manifests, indexes; parsed with bounds, written always the same |
//! | [`registry`] | the client: manifests, blobs, tags, referrers; tokens; credentials from docker's and podman's files |
//! | [`layout`] | an image layout in one tar file, written and read; in a folder, read |
//! | [`layer`] | one layer: its tar stream, its compression |
//! | [`image`](mod@image) | an image read without being pulled: where it comes from, its files' content |
//! | [`toc`] | tables for lazy reads: a blob → its table; files of tables |
//! | [`tree`] | layers put together: the tree that a container sees |
//! | [`export`] | a tree written out: as a tar stream, or into a directory |
//!
//! The crate knows no store and no tier. It reads no environment and no home folder (both are handed in), prints nothing,
//! and makes no runtime: the client runs on the caller's (tokio, with timers and network).
//!
//! Sections named in the documentation are those of the OCI specifications: *distribution-spec* 1.1 and *image-spec* 1.1.

pub mod digest;
pub mod export;
pub mod image;
pub mod layer;
pub mod layout;
pub mod manifest;
pub mod reference;
pub mod registry;
mod said;
pub mod toc;
pub mod tree;

pub use digest::{Algorithm, OciDigest};
pub use manifest::{Descriptor, Document, Index, Manifest, Platform};
pub use reference::{Host, Reference, RepositoryName, Tag, TagOrDigest};
pub use registry::{Options, Registry, Repository};
