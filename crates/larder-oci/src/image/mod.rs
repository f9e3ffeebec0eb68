//! An image that is read without being pulled.
//!
//! | file | what |
//! |---|---|
//! | `reference` | what a person writes: a registry's reference, `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE` |
//! | `source` | where manifests and blobs come from; layouts, archives |
//! | `registry` | registries, with mirrors |
//! | `mirror` | which registry stands in for which |
//! | `artifacts` | what is kept beside an image and about it |
//! | `docker_archive` | what `docker save` writes |
//! | `layer` | any bytes of a layer's tar stream: fetched, decoded, verified, kept |
//! | `open` | an image: its table, its tree, content of its files |
//!
//! Everything here blocks. Bytes of a file are given only after the span that holds them was checked against the table.

mod artifacts;
mod docker_archive;
mod layer;
mod mirror;
mod open;
mod reference;
mod registry;
mod source;

pub use layer::{LazyLayer, NoSpans, ReadError, SpanCache};
pub use mirror::{Mirror, ParseMirrorError};
pub use open::{Image, OpenError, differences, tree};
pub use reference::{ImageReference, ParseImageReferenceError};
pub use registry::RegistrySource;
pub use source::{Found, ImageSource, LayoutSource, SourceError};
