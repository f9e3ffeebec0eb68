//! Development only: benches, layer check, generated docs.

fn main() {}
