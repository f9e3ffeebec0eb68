//! Where the two rules see different trees: for people who wonder what their image means.

use super::error::TreeError;
use super::{Inode, MergeRule, NodeId, Tree};
use crate::layer::{Entry, Kind};

/// One name where the trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// From the root, without a leading slash; of the root empty.
    pub path: Vec<u8>,
    /// What is different.
    pub seen: Seen,
}

/// What is different at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Only by [`MergeRule::Overlay`] there is something.
    OnlyOverlay,
    /// Only by [`MergeRule::Spec`] there is something.
    OnlySpec,
    /// There is something else (a file and a directory, say).
    Kind,
    /// It has other bytes, another target or another number.
    Content,
    /// It has another mode or owner, other times or attributes.
    Metadata,
    /// It has another number of names.
    Links,
}

/// Both trees, and where they differ.
#[derive(Debug)]
pub struct Differences {
    /// By [`MergeRule::Overlay`].
    pub overlay: Result<Tree, TreeError>,
    /// By [`MergeRule::Spec`].
    pub spec: Result<Tree, TreeError>,
}

/// Puts layers together by both rules.
pub fn differences<L: AsRef<[Entry]>>(layers: &[L]) -> Differences {
    Differences {
        overlay: Tree::merge(layers.iter().map(AsRef::as_ref), MergeRule::Overlay),
        spec: Tree::merge(layers.iter().map(AsRef::as_ref), MergeRule::Spec),
    }
}

impl Differences {
    /// Every name where the trees differ, in the order of a walk; nothing when one of the two is an error.
    pub fn iter(&self) -> impl Iterator<Item = Difference> + '_ {
        let both = self.overlay.as_ref().ok().zip(self.spec.as_ref().ok());
        both.into_iter().flat_map(|(overlay, spec)| Pairs {
            overlay,
            spec,
            todo: vec![(Some(overlay.root()), Some(spec.root()))],
        })
    }
}

struct Pairs<'both> {
    overlay: &'both Tree,
    spec: &'both Tree,
    todo: Vec<(Option<NodeId>, Option<NodeId>)>,
}

impl Pairs<'_> {
    /// Puts the children of two names onto the list, equal names together, so that the first comes off first.
    fn enter(&mut self, one: Option<NodeId>, other: Option<NodeId>) {
        let children = |tree: &Tree, id: Option<NodeId>| -> Vec<NodeId> {
            id.map(|id| tree.node(id).children().collect()).unwrap_or_default()
        };
        let (mut ones, mut others) = (children(self.overlay, one), children(self.spec, other));
        loop {
            let order = match (ones.last(), others.last()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Greater,
                (None, Some(_)) => std::cmp::Ordering::Less,
                (Some(one), Some(other)) => self.overlay.node(*one).name().cmp(self.spec.node(*other).name()),
            };
            let one = if order.is_ge() { ones.pop() } else { None };
            let other = if order.is_le() { others.pop() } else { None };
            self.todo.push((one, other));
        }
    }
}

impl Iterator for Pairs<'_> {
    type Item = Difference;

    fn next(&mut self) -> Option<Difference> {
        while let Some((one, other)) = self.todo.pop() {
            self.enter(one, other);
            let (path, seen) = match (one, other) {
                (Some(one), None) => (self.overlay.path(one), Some(Seen::OnlyOverlay)),
                (None, Some(other)) => (self.spec.path(other), Some(Seen::OnlySpec)),
                (None, None) => continue,
                (Some(one), Some(other)) => {
                    let seen = compared(self.overlay.inode_of(one), self.spec.inode_of(other));
                    if seen.is_none() {
                        continue;
                    }
                    (self.overlay.path(one), seen)
                }
            };
            if let Some(seen) = seen {
                return Some(Difference { path, seen });
            }
        }
        None
    }
}

/// The gravest difference of two inodes.
fn compared(one: &Inode, other: &Inode) -> Option<Seen> {
    let content = |inode: &Inode| (inode.size, inode.device);
    let metadata = |inode: &Inode| (inode.mode, inode.uid, inode.gid, inode.modified);
    if one.kind != other.kind {
        Some(Seen::Kind)
    } else if content(one) != content(other) || one.target != other.target || one.content != other.content {
        Some(Seen::Content)
    } else if metadata(one) != metadata(other) || one.xattrs != other.xattrs {
        Some(Seen::Metadata)
    } else if one.links != other.links && one.kind != Kind::Directory {
        Some(Seen::Links)
    } else {
        None
    }
}
