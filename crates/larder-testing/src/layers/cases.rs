//! The named cases, by what they are about.

mod kinds;
mod links;
mod metadata;
mod names;
mod parents;
mod streams;
mod whiteouts;

use super::{Case, Expect, Item, Layer, Listing, Tar, Three};

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
    let lines = section(name).map_or("", |(_, lines)| lines);
    tree_of(name, what, layers, lines)
}

/// A case with a tree whose lines are made with the layers.
fn tree_of<const N: usize>(
    name: &'static str,
    what: &'static str,
    layers: [Vec<u8>; N],
    lines: &str,
) -> Case {
    let listing = Listing::parse(lines).unwrap_or_else(|| panic!("the lines of `{name}` are wrong"));
    case(name, what, layers.map(Layer::Tar).into(), Expect::Tree(listing))
}

/// A case that is refused.
fn refused<const N: usize>(name: &'static str, what: &'static str, layers: [Vec<u8>; N]) -> Case {
    case(name, what, layers.map(Layer::Tar).into(), Expect::Refused)
}

fn case(name: &'static str, what: &'static str, layers: Vec<Layer>, expect: Expect) -> Case {
    let three = match section(name) {
        Some(("agree", _)) => Three::Agree,
        Some(("refuse", _)) => Three::Refuse,
        Some(("differ", _)) => Three::Differ,
        _ => Three::Unknown,
    };
    Case { name, layers, what, expect, three }
}

/// A layer of these entries.
fn tar<const N: usize>(items: [Item; N]) -> Vec<u8> {
    Tar::of(items)
}

/// What `trees.txt` has of a case: what the three do, and the lines of the tree.
fn section(name: &str) -> Option<(&'static str, &'static str)> {
    let heading = format!("\n== {name} ");
    let (_, rest) = TREES.split_once(&heading)?;
    rest.split("\n== ").next()?.split_once('\n')
}
