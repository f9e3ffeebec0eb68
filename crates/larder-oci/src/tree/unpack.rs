//! One layer's entries, put into a tree of a [`Grove`] one after another.

use std::borrow::Borrow;

use super::Inode;
use super::MergeRule;
use super::error::{Oddity, Problem, TreeError, Warning};
use super::few::Few;
use super::grove::{Grove, Hides, Made, Missing, NONE};
use super::lists::{handed_down, inherit, inherited, settle};
use super::names::{MAX_PATH, MAX_TARGET, MAX_XATTR_NAMES, Meaning, clean, meaning, printable, split};
use crate::layer::{Device, Entry, Kind};

/// Most warnings that are kept; the rest is counted.
const MAX_WARNINGS: usize = 1000;

/// Warnings, bounded.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    pub(super) listed: Vec<Warning>,
    pub(super) unlisted: u64,
}

impl Warnings {
    fn add(&mut self, layer: usize, entry: &Entry, oddity: Oddity) {
        if self.listed.len() < MAX_WARNINGS {
            self.listed.push(Warning { layer, entry: printable(&entry.path), oddity });
        } else {
            self.unlisted += 1;
        }
    }
}

/// Unpacks one layer.
pub(super) struct Unpacking<'all> {
    pub(super) grove: &'all mut Grove,
    pub(super) warnings: &'all mut Warnings,
    pub(super) rule: MergeRule,
    pub(super) layer: usize,
    /// The root of the tree that the layer is put into.
    pub(super) root: u32,
    /// The directory that was resolved last, and its clean path: entries of one directory mostly come one after another.
    pub(super) last: Option<(Vec<u8>, u32)>,
}

impl Unpacking<'_> {
    /// Puts all entries there. By [`MergeRule::Overlay`] whiteouts become objects of the layer's own tree; by [`MergeRule::Spec`] they remove
    /// what is there, before anything else is done: the entries are read twice.
    pub(super) fn layer<E, I, T>(&mut self, entries: impl Fn() -> I) -> Result<(), E>
    where
        E: From<TreeError>,
        I: Iterator<Item = Result<T, E>>,
        T: Borrow<Entry>,
    {
        if self.rule == MergeRule::Spec {
            for entry in entries() {
                let entry = entry?;
                self.remove(entry.borrow()).map_err(|problem| self.error(entry.borrow(), problem))?;
            }
            self.last = None;
        }
        for entry in entries() {
            let entry = entry?;
            self.put(entry.borrow()).map_err(|problem| self.error(entry.borrow(), problem))?;
        }
        Ok(())
    }

    fn error(&self, entry: &Entry, problem: Problem) -> TreeError {
        TreeError { layer: self.layer, entry: printable(&entry.path), problem }
    }

    fn warn(&mut self, entry: &Entry, oddity: Oddity) {
        self.warnings.add(self.layer, entry, oddity);
    }

    /// What an entry hides, by the specification's words.
    fn remove(&mut self, entry: &Entry) -> Result<(), Problem> {
        let path = clean(&entry.path);
        let (directory, name) = split(&path);
        let what = meaning(name)?;
        if let Meaning::Name(_) = what {
            return Ok(());
        }
        let directory = match self.resolve(directory, Missing::Stop) {
            Ok(Some(directory)) => directory,
            Ok(None) => return Ok(()),
            Err(Problem::NotADirectory { .. }) => {
                self.warn(entry, Oddity::WhiteoutBelowFile);
                return Ok(());
            }
            Err(problem) => return Err(problem),
        };
        self.last = None;
        match what {
            Meaning::Name(_) => {}
            Meaning::Whiteout(name) => {
                if let Some(slot) = self.grove.existing(directory, name) {
                    self.grove.slots[slot as usize].sprout = NONE;
                }
            }
            Meaning::Opaque => {
                let emptied = self.grove.emptied(directory);
                if directory == self.root {
                    self.root = emptied;
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: &Entry) -> Result<(), Problem> {
        let path = clean(&entry.path);
        if path.len() > MAX_PATH + ".wh.".len() {
            return Err(Problem::PathTooLong);
        }
        if path.is_empty() {
            if entry.kind != Kind::Directory {
                return Err(Problem::Root);
            }
            return self.describe(self.root, entry);
        }
        let (directory, name) = split(&path);
        let name = match meaning(name)? {
            Meaning::Name(name) => name,
            _ if self.rule == MergeRule::Spec => return Ok(()),
            what => return self.mark(entry, directory, what),
        };
        let directory = self.resolve(directory, Missing::Ghost)?.expect("ghosts are put where nothing is");
        self.materialise(directory)?;
        let slot = self.grove.slot(directory, name)?;
        let there = self.grove.slots[slot as usize].sprout;
        if there != NONE {
            if entry.kind == Kind::Directory && self.grove.is_directory(there) {
                return self.describe(there, entry);
            }
            // A ghost has nothing that a path could have been resolved to and be right afterwards.
            self.last = None;
            self.grove.slots[slot as usize].sprout = NONE;
        }
        match entry.kind {
            Kind::Directory => {
                let made = self.grove.directory(slot, Inode::directory(), Made::Implied)?;
                self.hand_down(directory, made)?;
                self.describe(made, entry)?;
            }
            Kind::HardLink => self.link(entry, slot)?,
            _ => {
                let inode = self.inode(entry)?;
                let leaf = self.grove.leaf(inode);
                self.hand_down(directory, leaf)?;
                if self.settle(leaf) {
                    self.warn(entry, Oddity::List);
                }
                if self.rule == MergeRule::Overlay && self.grove.is_whiteout(leaf) {
                    self.warn(entry, Oddity::DeviceHides);
                }
                self.grove.slots[slot as usize].sprout = leaf;
            }
        }
        Ok(())
    }

    /// A whiteout or an opaque mark, as an object in the layer's own tree.
    fn mark(&mut self, entry: &Entry, directory: &[u8], what: Meaning<'_>) -> Result<(), Problem> {
        let directory = match self.resolve(directory, Missing::Ghost) {
            Ok(directory) => directory.expect("ghosts are put where nothing is"),
            Err(Problem::NotADirectory { .. }) => {
                self.warn(entry, Oddity::WhiteoutBelowFile);
                return Ok(());
            }
            Err(problem) => return Err(problem),
        };
        self.materialise(directory)?;
        match what {
            Meaning::Name(_) => {}
            Meaning::Opaque if directory == self.root => self.warn(entry, Oddity::OpaqueRoot),
            Meaning::Opaque => self.hide(directory, Hides::Content),
            Meaning::Whiteout(name) => {
                let slot = self.grove.slot(directory, name)?;
                let there = self.grove.slots[slot as usize].sprout;
                if there != NONE && self.grove.sprouts[there as usize].made != Made::Ghost {
                    self.hide(there, Hides::All);
                    self.warn(entry, Oddity::WhiteoutOfOwn);
                    return Ok(());
                }
                // A ghost may have been resolved to.
                self.last = None;
                let mut gone = Inode::directory();
                gone.kind = Kind::CharDevice;
                let gone = self.grove.leaf(gone);
                self.grove.slots[slot as usize].sprout = gone;
            }
        }
        Ok(())
    }

    /// Lets a directory hide what is below it in other layers; everything else does so anyway.
    fn hide(&mut self, sprout: u32, hides: Hides) {
        let known = &mut self.grove.sprouts[sprout as usize].hides;
        *known = hides.max(*known);
    }

    /// Another name for what is there.
    fn link(&mut self, entry: &Entry, slot: u32) -> Result<(), Problem> {
        if entry.target.len() > MAX_TARGET {
            return Err(Problem::TargetTooLong);
        }
        let missing = || Problem::LinkTarget { target: printable(&entry.target) };
        let target = clean(&entry.target);
        if target.is_empty() {
            return Err(Problem::LinkToDirectory { target: printable(&entry.target) });
        }
        let (directory, name) = split(&target);
        let directory = match self.resolve(directory, Missing::Stop) {
            Ok(directory) => directory.ok_or_else(missing)?,
            Err(Problem::NotADirectory { .. }) => return Err(missing()),
            Err(problem) => return Err(problem),
        };
        let found = self.grove.get(directory, name).ok_or_else(missing)?;
        if self.grove.is_directory(found) {
            return match self.grove.sprouts[found as usize].made {
                Made::Ghost => Err(missing()),
                _ => Err(Problem::LinkToDirectory { target: printable(&entry.target) }),
            };
        }
        self.grove.slots[slot as usize].sprout = found;
        if self.rule == MergeRule::Overlay {
            let inode = &mut self.grove.inodes[found as usize];
            if (inode.uid, inode.gid) != (entry.uid, entry.gid) {
                // What changes the owner takes capabilities away.
                let mut xattrs = std::mem::take(&mut inode.xattrs).into_vec();
                xattrs.retain(|(name, _)| name != b"security.capability");
                inode.xattrs = xattrs.into();
            }
            add_xattrs(inode, entry)?;
            self.describe(found, entry)?;
        }
        Ok(())
    }

    /// Gives an inode an entry's mode, owner and times; a directory its attributes too.
    fn describe(&mut self, id: u32, entry: &Entry) -> Result<(), Problem> {
        self.grove.sprouts[id as usize].made = Made::Listed;
        let inode = &mut self.grove.inodes[id as usize];
        if inode.kind != Kind::Symlink {
            inode.mode = entry.mode & 0o7777;
        }
        inode.uid = entry.uid;
        inode.gid = entry.gid;
        inode.modified = entry.modified;
        if inode.kind == Kind::Directory {
            // In a layer's own tree it keeps what it had: of the entry before, or from above.
            if self.rule == MergeRule::Spec {
                inode.xattrs = Few::default();
            }
            add_xattrs(inode, entry)?;
        }
        if drop_user_xattrs(inode) {
            self.warn(entry, Oddity::UserAttributes);
        }
        if self.settle(id) {
            self.warn(entry, Oddity::List);
        }
        Ok(())
    }

    /// Makes a directory, and those above it, because something is put into it.
    fn materialise(&mut self, directory: u32) -> Result<(), Problem> {
        for made in self.grove.materialise(directory) {
            self.hand_down(self.grove.parent(made), made)?;
            self.settle(made);
        }
        Ok(())
    }

    fn settle(&mut self, sprout: u32) -> bool {
        settle(&mut self.grove.inodes[sprout as usize])
    }

    /// What a directory of the layer's own tree gives to what is made in it.
    fn hand_down(&mut self, directory: u32, made: u32) -> Result<(), Problem> {
        if self.rule == MergeRule::Spec {
            return Ok(());
        }
        let Some(list) = handed_down(&self.grove.inodes[directory as usize]) else { return Ok(()) };
        let bytes = inherited(&self.grove.inodes[made as usize], list.len());
        if bytes > 0 {
            let list = list.to_vec();
            self.grove.charge_inherited(bytes)?;
            inherit(&mut self.grove.inodes[made as usize], &list);
        }
        Ok(())
    }

    /// What an entry that is neither directory nor hard link makes.
    fn inode(&mut self, entry: &Entry) -> Result<Inode, Problem> {
        let is_link = entry.kind == Kind::Symlink;
        let is_file = entry.kind == Kind::File;
        let is_device = matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice);
        if is_link {
            if entry.target.len() > MAX_TARGET {
                return Err(Problem::TargetTooLong);
            }
            if entry.target.is_empty() || entry.target.contains(&0) {
                return Err(Problem::BadTarget);
            }
        }
        check_xattrs(&entry.xattrs)?;
        let mut inode = Inode {
            kind: entry.kind,
            mode: if is_link { 0o777 } else { entry.mode & 0o7777 },
            uid: entry.uid,
            gid: entry.gid,
            links: 0,
            size: match entry.kind {
                Kind::File => entry.size,
                Kind::Symlink => entry.target.len() as u64,
                _ => 0,
            },
            modified: entry.modified,
            target: if is_link { entry.target.clone().into() } else { Few::default() },
            device: if is_device { entry.device } else { Device::default() },
            xattrs: entry.xattrs.clone().into(),
            content: is_file.then(|| (self.layer, entry.content.clone())),
        };
        if drop_user_xattrs(&mut inode) {
            self.warn(entry, Oddity::UserAttributes);
        }
        Ok(inode)
    }

    fn resolve(&mut self, directory: &[u8], missing: Missing) -> Result<Option<u32>, Problem> {
        if let Some((path, found)) = &self.last
            && path == directory
        {
            return Ok(Some(*found));
        }
        let found = self.grove.resolve(self.root, directory, missing)?;
        if let Some(found) = found {
            self.last = Some((directory.to_vec(), found));
        }
        Ok(found)
    }
}

/// Adds an entry's attributes to those that are there; of equal names the new one stays.
fn add_xattrs(inode: &mut Inode, entry: &Entry) -> Result<(), Problem> {
    if entry.xattrs.is_empty() {
        return Ok(());
    }
    let mut xattrs = std::mem::take(&mut inode.xattrs).into_vec();
    for (name, value) in &entry.xattrs {
        match xattrs.binary_search_by(|(other, _)| other.cmp(name)) {
            Ok(at) => xattrs[at].1.clone_from(value),
            Err(at) => xattrs.insert(at, (name.clone(), value.clone())),
        }
    }
    inode.xattrs = xattrs.into();
    // Else a directory that is listed again and again could gather them, and each time all would be moved.
    check_xattrs(&inode.xattrs)
}

/// Refuses more attributes than can be listed.
fn check_xattrs(xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Problem> {
    let names: usize = xattrs.iter().map(|(name, _)| name.len() + 1).sum();
    if names > MAX_XATTR_NAMES { Err(Problem::TooManyXattrs) } else { Ok(()) }
}

/// Whether there was something to drop.
fn drop_user_xattrs(inode: &mut Inode) -> bool {
    let can_have = matches!(inode.kind, Kind::File | Kind::Directory);
    let first = inode.xattrs.partition_point(|(name, _)| name.as_slice() < b"user.".as_slice());
    if can_have || inode.xattrs.get(first).is_none_or(|(name, _)| !name.starts_with(b"user.")) {
        return false;
    }
    let mut xattrs = std::mem::take(&mut inode.xattrs).into_vec();
    xattrs.retain(|(name, _)| !name.starts_with(b"user."));
    inode.xattrs = xattrs.into();
    true
}
