//! Outputs of recipes, through the public interface: what is captured comes back exactly, and nothing else is touched.
#![expect(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod capturing;
mod killed;
mod owning;
mod round_trip;
mod undoing;
mod world;
