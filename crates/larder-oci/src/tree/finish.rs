//! The grown tree made small, sorted and fixed: only what can be reached, children next to one another, inodes counted.
//!
//! Inodes are not copied: those of the grove are brought into the tree's order where they lie; and names stay where they are, unless most are
//! those of layers that others cover.

use super::grove::{Grove, Made, NONE, Slot};
use super::unpack::Warnings;
use super::{Inode, Name, Tree};
use crate::layer::Kind;

/// Makes the tree whose root is `root`.
pub(super) fn finish(mut grove: Grove, root: u32, warnings: Warnings) -> Tree {
    grove.forget_places();
    let mut nodes = vec![Name { parent: 0, inode: 0, first: 0, count: 0, at: 0, length: 0 }];
    // Where each sprout's inode goes.
    let mut places = vec![NONE; grove.sprouts.len()];
    let mut inodes = 1;
    grove.inodes[root as usize].links = 2;
    places[root as usize] = 0;
    // Directories whose children are still to be added, in the order of their nodes.
    let mut directories = std::collections::VecDeque::from([(0u32, root)]);
    while let Some((node, directory)) = directories.pop_front() {
        let slots = children(&grove, directory);
        nodes[node as usize].first = number(nodes.len());
        nodes[node as usize].count = number(slots.len());
        for slot in &slots {
            let id = number(nodes.len());
            let place = &mut places[slot.sprout as usize];
            if *place == NONE {
                *place = inodes;
                inodes += 1;
            }
            let inode = &mut grove.inodes[slot.sprout as usize];
            if inode.kind == Kind::Directory {
                inode.links = 2;
                let above = &mut grove.inodes[directory as usize];
                above.links = above.links.saturating_add(1);
                directories.push_back((id, slot.sprout));
            } else {
                inode.links = inode.links.saturating_add(1);
            }
            let (at, length) = (slot.at, slot.length);
            nodes.push(Name { parent: node, inode: *place, first: 0, count: 0, at, length });
        }
    }
    nodes.shrink_to_fit();
    let names = kept(grove.names, &mut nodes);
    let inodes = arranged(grove.inodes, places, inodes as usize);
    Tree { nodes, inodes, names, warnings: warnings.listed, unlisted: warnings.unlisted }
}

/// What is in a directory, names ascending.
fn children(grove: &Grove, directory: u32) -> Vec<Slot> {
    let mut slots = Vec::new();
    let mut next = grove.sprouts[directory as usize].newest;
    while next != NONE {
        let slot = grove.slots[next as usize];
        if slot.sprout != NONE && grove.sprouts[slot.sprout as usize].made != Made::Ghost {
            slots.push(slot);
        }
        next = slot.next;
    }
    slots.sort_unstable_by(|one, other| grove.name(one).cmp(grove.name(other)));
    slots
}

/// The names: all of the grove's, as long as half of them are used; else those that are used.
fn kept(mut names: Vec<u8>, nodes: &mut [Name]) -> Vec<u8> {
    let used: usize = nodes.iter().map(|node| usize::from(node.length)).sum();
    if names.len() / 2 > used {
        let all = std::mem::replace(&mut names, Vec::with_capacity(used));
        for node in nodes {
            let at = node.at as usize;
            node.at = number(names.len());
            names.extend_from_slice(&all[at..at + usize::from(node.length)]);
        }
    }
    names.shrink_to_fit();
    names
}

/// The inodes that have a place, each at its own: every swap brings one there for good.
fn arranged(mut inodes: Vec<Inode>, mut places: Vec<u32>, count: usize) -> Vec<Inode> {
    for at in 0..inodes.len() {
        loop {
            let place = places[at];
            if place == NONE || place as usize == at {
                break;
            }
            inodes.swap(at, place as usize);
            places.swap(at, place as usize);
        }
    }
    inodes.truncate(count);
    inodes.shrink_to_fit();
    inodes
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("slots are numbered by 32 bits")
}
