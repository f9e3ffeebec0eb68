//! Larder: one cache for every build, as a library.
