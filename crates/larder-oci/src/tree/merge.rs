//! Layers in their order: each one unpacked, and by [`MergeRule::Overlay`] laid over those below.

use std::borrow::Borrow;

use super::error::{Problem, TreeError};
use super::finish::finish;
use super::grove::{Grove, Hides, Limits, Made, NONE, Sprout};
use super::names::printable;
use super::unpack::{Unpacking, Warnings};
use super::{Inode, MergeRule, Tree};
use crate::layer::Entry;

/// Puts layers together, one at a time; an entry is held no longer than it takes to put it there.
#[derive(Debug)]
pub struct Merger {
    rule: MergeRule,
    grove: Grove,
    root: u32,
    layers: usize,
    warnings: Warnings,
}

impl Merger {
    /// No layers yet: an empty root.
    pub fn new(rule: MergeRule) -> Merger {
        Merger::with_limits(rule, Limits::default())
    }

    /// The same, with other limits.
    pub fn with_limits(rule: MergeRule, limits: Limits) -> Merger {
        let mut grove = Grove::new(limits);
        let root = grove.plant();
        Merger { rule, grove, root, layers: 0, warnings: Warnings::default() }
    }

    /// Says how many entries come next, roughly: then less memory is needed for them.
    pub fn expect(&mut self, entries: u64) {
        self.grove.expect(entries);
    }

    /// The next layer, on top of those before. After an error the merger is of no more use.
    pub fn layer(&mut self, entries: &[Entry]) -> Result<(), TreeError> {
        self.read_layer(|| entries.iter().map(Ok))
    }

    /// The next layer, its entries read as they are needed: once, by [`MergeRule::Spec`] twice, so that they must be the same each time. After an
    /// error the merger is of no more use.
    pub fn read_layer<E, I, T>(&mut self, entries: impl Fn() -> I) -> Result<(), E>
    where
        E: From<TreeError>,
        I: Iterator<Item = Result<T, E>>,
        T: Borrow<Entry>,
    {
        let layer = self.layers;
        self.layers += 1;
        let root = match self.rule {
            MergeRule::Overlay => self.grove.plant(),
            MergeRule::Spec => self.root,
        };
        let mut unpacking = Unpacking {
            grove: &mut self.grove,
            warnings: &mut self.warnings,
            rule: self.rule,
            layer,
            root,
            last: None,
        };
        unpacking.layer::<E, I, T>(entries)?;
        let root = unpacking.root;
        match self.rule {
            MergeRule::Spec => self.root = root,
            MergeRule::Overlay if layer == 0 => {
                self.grove.bare();
                self.root = root;
            }
            MergeRule::Overlay => self.overlay(root).map_err(|(path, problem)| TreeError {
                layer,
                entry: printable(&path),
                problem,
            })?,
        }
        Ok(())
    }

    /// The tree.
    pub fn finish(self) -> Tree {
        finish(self.grove, self.root, self.warnings)
    }

    /// Lays the tree of one layer over what is merged so far.
    fn overlay(&mut self, upper: u32) -> Result<(), (Vec<u8>, Problem)> {
        if self.grove.sprouts[upper as usize].made == Made::Listed {
            self.describe(upper, self.root);
        }
        // Directories of the layer, with what they are laid over.
        let mut todo = vec![(upper, self.root)];
        while let Some((upper, lower)) = todo.pop() {
            let mut next = self.grove.sprouts[upper as usize].newest;
            while next != NONE {
                let slot = self.grove.slots[next as usize];
                if slot.sprout != NONE {
                    let pair = self
                        .cover(next, lower)
                        .map_err(|problem| (self.grove.name(&slot).to_vec(), problem))?;
                    todo.extend(pair);
                }
                next = slot.next;
            }
        }
        Ok(())
    }

    /// Lays one name of a layer over the merged directory `lower`. Answers with the two directories when the layer's is to be laid over
    /// another one.
    fn cover(&mut self, slot: u32, lower: u32) -> Result<Option<(u32, u32)>, Problem> {
        let upper = self.grove.slots[slot as usize].sprout;
        let name = self.grove.slots[slot as usize];
        let below = self.grove.existing_like(lower, &name);
        if self.grove.is_whiteout(upper) {
            if let Some(below) = below {
                self.grove.slots[below as usize].sprout = NONE;
            }
            return Ok(None);
        }
        if !self.grove.is_directory(upper) {
            let below = self.grove.slot_like(lower, slot)?;
            self.grove.slots[below as usize].sprout = upper;
            return Ok(None);
        }
        let Sprout { made, hides, .. } = self.grove.sprouts[upper as usize];
        let there = below
            .map(|below| self.grove.slots[below as usize].sprout)
            .filter(|there| *there != NONE && self.grove.is_directory(*there) && hides != Hides::All);
        let directory = match there {
            _ if made == Made::Ghost => return Ok(None),
            Some(there) if hides == Hides::Content => self.grove.emptied(there),
            Some(there) => there,
            None => {
                let below = self.grove.slot_like(lower, slot)?;
                self.grove.directory(below, Inode::directory(), Made::Listed)?
            }
        };
        if made == Made::Listed || there.is_none() {
            self.describe(upper, directory);
        }
        Ok(Some((upper, directory)))
    }

    /// Gives a merged directory all that the layer's says of itself.
    fn describe(&mut self, upper: u32, directory: u32) {
        let inode = self.grove.inodes[upper as usize].clone();
        self.grove.inodes[directory as usize] = inode;
    }
}
