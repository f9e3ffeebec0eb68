//! Every sentence of the tree rules, in pictures; and anything at all, by chance.

#![expect(clippy::unwrap_used, reason = "tests")]

mod limits;
mod lists;
mod overlay;
pub(crate) mod picture;
pub(crate) mod random;
mod reading;
mod spec;
