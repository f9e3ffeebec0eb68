//! Trees while they grow: directories, what is in them, and names resolved through symbolic links.
//!
//! One [`Grove`] holds several trees (what was merged so far, and the layer that is being unpacked) in the same arenas. A *sprout* is an
//! inode that may still change (what is shown of it lies in an arena of its own, which becomes the tree's); a *slot* is a name in a directory, which is found by a hash of (directory, name) and never goes away: only
//! what is in it changes. So a directory, however full, is removed or emptied in one step (what was below it can no longer be reached), and
//! nothing recurses. A directory knows its slot and thereby its parent; it is in one slot only, for good.
//!
//! *Ghosts* are directories that nobody made but a symbolic link leads through (`nothing/../d`). They are not seen.

use std::hash::{BuildHasher, RandomState};

use super::Inode;
use super::error::Problem;
use super::names::{MAX_LINKS, MAX_PATH, check_name, printable};
use crate::layer::{Device, Kind};

/// No slot, no sprout.
pub(super) const NONE: u32 = u32::MAX;

/// How much the layers of an image may ask for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most names that they can bring, parents that it does not list among them.
    pub names: u32,
    /// Most parts of paths that their symbolic links may have us walk.
    pub steps: u64,
    /// Most bytes of access control lists that directories may hand down to what is made in them.
    pub inherited: u64,
}

impl Default for Limits {
    /// 4 million entries and 1 million parents; 64 million steps; 256 MiB.
    fn default() -> Limits {
        Limits { names: 5_000_000, steps: 1 << 26, inherited: 256 << 20 }
    }
}

/// What a directory hides of the layers below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hides {
    /// Nothing: it is merged.
    Nothing,
    /// What is in the lower one: it was marked opaque.
    Content,
    /// The lower one: there was a whiteout of it.
    All,
}

/// Who made a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Nobody: a link leads through it.
    Ghost,
    /// What is in it needed it.
    Implied,
    /// An entry.
    Listed,
}

/// What is known of an inode that may still change, beside [`Grove::inodes`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Sprout {
    /// Of a directory: the newest slot in it; the others follow by [`Slot::next`].
    pub(super) newest: u32,
    /// Of a directory: the slot that it is in; of a root [`NONE`].
    pub(super) slot: u32,
    /// Of a directory: how long its path is.
    length: u16,
    pub(super) made: Made,
    pub(super) hides: Hides,
}

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) directory: u32,
    pub(super) sprout: u32,
    pub(super) next: u32,
    pub(super) at: u32,
    pub(super) length: u8,
    hash: u32,
}

/// What to do where a directory is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Put a ghost there.
    Ghost,
    /// Say so.
    Stop,
}

/// See the file.
#[derive(Debug)]
pub(super) struct Grove {
    pub(super) sprouts: Vec<Sprout>,
    /// Of each sprout its inode.
    pub(super) inodes: Vec<Inode>,
    pub(super) slots: Vec<Slot>,
    pub(super) names: Vec<u8>,
    table: Vec<u32>,
    hasher: RandomState,
    limits: Limits,
    /// What they may still ask for.
    left: Limits,
}

impl Grove {
    pub(super) fn new(limits: Limits) -> Grove {
        Grove {
            sprouts: Vec::new(),
            inodes: Vec::new(),
            slots: Vec::new(),
            names: Vec::new(),
            table: vec![NONE; 64],
            hasher: RandomState::new(),
            limits,
            left: limits,
        }
    }

    /// Takes bytes of a list that is handed down from what is left of them.
    pub(super) fn charge_inherited(&mut self, bytes: usize) -> Result<(), Problem> {
        let left = self.left.inherited.checked_sub(bytes as u64);
        self.left.inherited = left.ok_or(Problem::TooMuchInherited { most: self.limits.inherited })?;
        Ok(())
    }

    /// Makes room for so many more names, as far as it can be had: arenas that grow by and by leave holes in the heap as large as they are.
    pub(super) fn expect(&mut self, names: u64) {
        let names = usize::try_from(names.min(u64::from(self.limits.names))).unwrap_or_default();
        let had = self.inodes.try_reserve(names).is_ok()
            && self.sprouts.try_reserve(names).is_ok()
            && self.slots.try_reserve(names).is_ok();
        if !had {
            tracing::debug!(names, "no room beforehand for a layer's names");
        }
    }

    /// A new tree's root: as if nobody had described it.
    pub(super) fn plant(&mut self) -> u32 {
        self.sprout(Inode::directory(), NONE, 0, Made::Implied)
    }

    fn sprout(&mut self, inode: Inode, slot: u32, length: u16, made: Made) -> u32 {
        let id = u32::try_from(self.sprouts.len()).expect("slots are counted, and sprouts with them");
        self.sprouts.push(Sprout { newest: NONE, slot, length, made, hides: Hides::Nothing });
        self.inodes.push(inode);
        id
    }

    /// A new inode that is no directory, in no slot yet.
    pub(super) fn leaf(&mut self, inode: Inode) -> u32 {
        self.sprout(inode, NONE, 0, Made::Listed)
    }

    /// Puts a new directory into a slot.
    pub(super) fn directory(&mut self, slot: u32, inode: Inode, made: Made) -> Result<u32, Problem> {
        let Slot { directory, length, .. } = self.slots[slot as usize];
        let above = usize::from(self.sprouts[directory as usize].length);
        let length = above + usize::from(above > 0) + usize::from(length);
        let length = u16::try_from(length).ok().filter(|length| usize::from(*length) <= MAX_PATH);
        let id = self.sprout(inode, slot, length.ok_or(Problem::PathTooLong)?, made);
        self.slots[slot as usize].sprout = id;
        Ok(id)
    }

    /// An empty directory in the place of `directory`, with its description. What was in it is out of reach.
    pub(super) fn emptied(&mut self, directory: u32) -> u32 {
        let Sprout { slot, length, made, .. } = self.sprouts[directory as usize];
        // Not a copy: a layer could have attributes copied as often as it likes.
        let inode = std::mem::replace(&mut self.inodes[directory as usize], Inode::directory());
        let id = self.sprout(inode, slot, length, made);
        if slot != NONE {
            self.slots[slot as usize].sprout = id;
        }
        id
    }

    /// The directory that a directory is in; a root is in itself.
    pub(super) fn parent(&self, directory: u32) -> u32 {
        match self.sprouts[directory as usize].slot {
            NONE => directory,
            slot => self.slots[slot as usize].directory,
        }
    }

    /// Makes ghosts real: this directory and those above it. Answers with them, the highest first.
    pub(super) fn materialise(&mut self, mut directory: u32) -> Vec<u32> {
        let mut made = Vec::new();
        while self.sprouts[directory as usize].made == Made::Ghost {
            self.sprouts[directory as usize].made = Made::Implied;
            made.push(directory);
            directory = self.parent(directory);
        }
        made.reverse();
        made
    }

    pub(super) fn is_directory(&self, sprout: u32) -> bool {
        self.inodes[sprout as usize].is_directory()
    }

    /// Is it a character device 0:0, with which overlays say that something is gone?
    pub(super) fn is_whiteout(&self, sprout: u32) -> bool {
        let inode = &self.inodes[sprout as usize];
        inode.kind == Kind::CharDevice && inode.device == Device::default()
    }

    pub(super) fn name(&self, slot: &Slot) -> &[u8] {
        &self.names[slot.at as usize..][..usize::from(slot.length)]
    }

    /// What is at a name.
    pub(super) fn get(&self, directory: u32, name: &[u8]) -> Option<u32> {
        let slot = self.find(directory, name, self.hash(directory, name))?;
        Some(self.slots[slot as usize].sprout).filter(|sprout| *sprout != NONE)
    }

    /// The slot of a name, if there is one; perhaps with nothing in it.
    pub(super) fn existing(&self, directory: u32, name: &[u8]) -> Option<u32> {
        self.find(directory, name, self.hash(directory, name))
    }

    /// The slot of a name that another slot has too, if there is one.
    pub(super) fn existing_like(&self, directory: u32, like: &Slot) -> Option<u32> {
        self.existing(directory, self.name(like))
    }

    /// The slot of a name, made when there is none.
    pub(super) fn slot(&mut self, directory: u32, name: &[u8]) -> Result<u32, Problem> {
        let hash = self.hash(directory, name);
        if let Some(slot) = self.find(directory, name, hash) {
            return Ok(slot);
        }
        check_name(name)?;
        let above = usize::from(self.sprouts[directory as usize].length);
        if above + usize::from(above > 0) + name.len() > MAX_PATH {
            return Err(Problem::PathTooLong);
        }
        let at = self.names.len();
        self.names.extend_from_slice(name);
        self.insert(directory, at, u8::try_from(name.len()).expect("checked above"), hash)
    }

    /// The slot of a name that another slot has too, made when there is none.
    pub(super) fn slot_like(&mut self, directory: u32, like: u32) -> Result<u32, Problem> {
        let like = self.slots[like as usize];
        let hash = self.hash(directory, self.name(&like));
        if let Some(slot) = self.find(directory, self.name(&like), hash) {
            return Ok(slot);
        }
        // Never above what the layer itself needed, so not counted again.
        self.left.names = self.left.names.saturating_add(1);
        self.insert(directory, like.at as usize, like.length, hash)
    }

    fn hash(&self, directory: u32, name: &[u8]) -> u32 {
        let hash = self.hasher.hash_one((directory, name));
        u32::try_from(hash >> 32).expect("32 bits are left")
    }

    fn find(&self, directory: u32, name: &[u8], hash: u32) -> Option<u32> {
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let id = self.table[place];
            if id == NONE {
                return None;
            }
            let slot = &self.slots[id as usize];
            if slot.hash == hash && slot.directory == directory && self.name(slot) == name {
                return Some(id);
            }
            place = (place + 1) & mask;
        }
    }

    fn insert(&mut self, directory: u32, at: usize, length: u8, hash: u32) -> Result<u32, Problem> {
        let many = Problem::TooManyNames { most: self.limits.names };
        self.left.names = self.left.names.checked_sub(1).ok_or_else(|| many.clone())?;
        let at = u32::try_from(at).map_err(|_| many.clone())?;
        let id = u32::try_from(self.slots.len()).ok().filter(|id| *id < NONE / 4).ok_or(many)?;
        let next = std::mem::replace(&mut self.sprouts[directory as usize].newest, id);
        self.slots.push(Slot { directory, sprout: NONE, next, at, length, hash });
        if self.slots.len() * 2 > self.table.len() {
            self.table = vec![NONE; self.table.len() * 2];
            for slot in 0..=id {
                self.enter(slot);
            }
        } else {
            self.enter(id);
        }
        Ok(id)
    }

    /// The tree of the lowest layer, which is all that is here, as what it is when nothing is below: without what only hides, and without what
    /// nobody made.
    pub(super) fn bare(&mut self) {
        for at in 0..self.slots.len() {
            let sprout = self.slots[at].sprout;
            if sprout != NONE
                && (self.sprouts[sprout as usize].made == Made::Ghost || self.is_whiteout(sprout))
            {
                self.slots[at].sprout = NONE;
            }
        }
        for sprout in &mut self.sprouts {
            sprout.made = Made::Listed;
            sprout.hides = Hides::Nothing;
        }
    }

    /// Nothing is looked up any more.
    pub(super) fn forget_places(&mut self) {
        self.table = Vec::new();
    }

    fn enter(&mut self, id: u32) {
        let mask = self.table.len() - 1;
        let mut place = self.slots[id as usize].hash as usize & mask;
        while self.table[place] != NONE {
            place = (place + 1) & mask;
        }
        self.table[place] = id;
    }

    /// The directory at a clean path below `root`, symbolic links followed and never left through `..`. `None` when it is missing (only with
    /// [`Missing::Stop`]).
    pub(super) fn resolve(
        &mut self,
        root: u32,
        path: &[u8],
        missing: Missing,
    ) -> Result<Option<u32>, Problem> {
        let mut directory = root;
        let mut links = 0;
        // Links whose texts are still to be walked, and how far they are, the innermost last; then the path itself.
        let mut rest: Vec<(u32, usize)> = Vec::new();
        let mut own = path;
        loop {
            let part = if let Some((link, at)) = rest.last_mut() {
                let text = &self.inodes[*link as usize].target[*at..];
                let length = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
                *at += length + 1;
                if length + 1 >= text.len() {
                    rest.pop();
                }
                self.left.steps = self.left.steps.checked_sub(1).ok_or(Problem::TooManyLinks)?;
                &text[..length]
            } else if own.is_empty() {
                return Ok(Some(directory));
            } else {
                let length = own.iter().position(|byte| *byte == b'/').unwrap_or(own.len());
                let part = &own[..length];
                own = own.get(length + 1..).unwrap_or_default();
                part
            };
            match part {
                b"" | b"." => continue,
                b".." => {
                    directory = self.parent(directory);
                    continue;
                }
                _ => {}
            }
            let Some(found) = self.get(directory, part) else {
                if missing == Missing::Stop {
                    return Ok(None);
                }
                let part = part.to_vec();
                let slot = self.slot(directory, &part)?;
                directory = self.directory(slot, Inode::directory(), Made::Ghost)?;
                continue;
            };
            let inode = &self.inodes[found as usize];
            match inode.kind {
                Kind::Directory => directory = found,
                Kind::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Problem::TooManyLinks);
                    }
                    if inode.target.first() == Some(&b'/') {
                        directory = root;
                    }
                    rest.push((found, 0));
                }
                _ => return Err(Problem::NotADirectory { at: printable(&self.path(directory, part)) }),
            }
        }
    }

    /// The path of a name in a directory, for a message.
    fn path(&self, mut directory: u32, name: &[u8]) -> Vec<u8> {
        let mut parts = vec![name];
        while self.sprouts[directory as usize].slot != NONE {
            let slot = &self.slots[self.sprouts[directory as usize].slot as usize];
            parts.push(self.name(slot));
            directory = slot.directory;
        }
        parts.reverse();
        parts.join(&b'/')
    }
}
