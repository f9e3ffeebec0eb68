//! The named cases, by what they are about.

mod kinds;
mod links;
mod metadata;
mod names;
mod parents;
mod streams;
mod whiteouts;

use super::{Case, Expect, Item, Layer, Listing, Tar};

/// The trees of the cases that have one.
const TREES: &str = include_str!("trees.txt");

/// All cases.
pub fn cases() -> Vec<Case> {
    [
        whiteouts::cases(),
        parents::cases(),
        names::cases(),
        links::cases(),
        metadata::cases(),
        kinds::cases(),
        streams::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A case with a tree, which is in `trees.txt`; before it is there, the tree is empty.
fn tree<const N: usize>(name: &'static str, what: &'static str, layers: [Vec<u8>; N]) -> Case {
    let expect = Expect::Tree(expected(name).unwrap_or_default());
    Case { name, layers: layers.map(Layer::Tar).into(), what, expect }
}

/// A case that is refused.
fn refused<const N: usize>(name: &'static str, what: &'static str, layers: [Vec<u8>; N]) -> Case {
    Case { name, layers: layers.map(Layer::Tar).into(), what, expect: Expect::Refused }
}

/// A layer of these entries.
fn tar<const N: usize>(items: [Item; N]) -> Vec<u8> {
    Tar::of(items)
}

fn expected(name: &str) -> Option<Listing> {
    let heading = format!("\n== {name}\n");
    let (_, rest) = TREES.split_once(&heading)?;
    let lines = rest.split("\n== ").next().unwrap_or_default();
    Some(Listing::parse(lines).expect("the lines of `trees.txt` are right"))
}
