//! The grown tree made small, sorted and fixed: only what can be reached, children next to one another, inodes counted.

use super::grove::{Grove, Made, NONE};
use super::unpack::Warnings;
use super::{Inode, Name, Tree};
use crate::layer::Kind;

/// Makes the tree whose root is `root`.
pub(super) fn finish(mut grove: Grove, root: u32, warnings: Warnings) -> Tree {
    let mut tree = Tree {
        nodes: Vec::new(),
        inodes: Vec::new(),
        names: Vec::new(),
        warnings: warnings.listed,
        unlisted: warnings.unlisted,
    };
    // Where each sprout's inode went.
    let mut places = vec![NONE; grove.sprouts.len()];
    tree.inodes.push(taken(&mut grove, root));
    tree.inodes[0].links = 2;
    places[root as usize] = 0;
    tree.nodes.push(Name { parent: 0, inode: 0, first: 0, count: 0, at: 0, length: 0 });
    // Directories whose children are still to be added, in the order of their nodes.
    let mut directories = std::collections::VecDeque::from([(0u32, root)]);
    let mut slots = Vec::new();
    while let Some((node, directory)) = directories.pop_front() {
        slots.clear();
        let mut next = grove.sprouts[directory as usize].newest;
        while next != NONE {
            let slot = grove.slots[next as usize];
            if slot.sprout != NONE && grove.sprouts[slot.sprout as usize].made != Made::Ghost {
                slots.push(slot);
            }
            next = slot.next;
        }
        slots.sort_unstable_by(|one, other| grove.name(one).cmp(grove.name(other)));
        tree.nodes[node as usize].first = number(tree.nodes.len());
        tree.nodes[node as usize].count = number(slots.len());
        for slot in &slots {
            let id = number(tree.nodes.len());
            let place = &mut places[slot.sprout as usize];
            if *place == NONE {
                *place = number(tree.inodes.len());
                tree.inodes.push(taken(&mut grove, slot.sprout));
            }
            let inode = &mut tree.inodes[*place as usize];
            if inode.kind == Kind::Directory {
                inode.links = 2;
                let above = tree.nodes[node as usize].inode;
                let above = &mut tree.inodes[above as usize];
                above.links = above.links.saturating_add(1);
                directories.push_back((id, slot.sprout));
            } else {
                inode.links = inode.links.saturating_add(1);
            }
            let at = number(tree.names.len());
            tree.names.extend_from_slice(grove.name(slot));
            let (inode, length) = (*place, slot.length);
            tree.nodes.push(Name { parent: node, inode, first: 0, count: 0, at, length });
        }
    }
    tree.nodes.shrink_to_fit();
    tree.inodes.shrink_to_fit();
    tree.names.shrink_to_fit();
    tree
}

/// A sprout's inode; what is left in its place is never looked at again.
fn taken(grove: &mut Grove, sprout: u32) -> Inode {
    std::mem::replace(&mut grove.sprouts[sprout as usize].inode, Inode::directory())
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("slots are numbered by 32 bits")
}
