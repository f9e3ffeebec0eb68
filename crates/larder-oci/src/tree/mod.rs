//! The tree of an image: its layers put together, as a container sees it.
//!
//! [`Tree::merge`] takes the entries of each layer, the lowest layer first, raw and in archive order, and answers with one tree that never
//! changes again. By [`MergeRule::Overlay`] (the default) every layer is unpacked into a directory of its own, and then the directories are
//! overlaid as the kernel does; by [`MergeRule::Spec`] every layer is unpacked on top of what the layers below made.
//!
//! | file | what |
//! |---|---|
//! | `names` | names cleaned, whiteouts told apart, limits |
//! | `grove` | a tree that still grows: directories, what is in them, names resolved through symbolic links |
//! | `lists` | access control lists: what a directory hands down, and how a mode changes a list |
//! | `unpack` | one layer's entries put into a grove, one after another |
//! | `merge` | layers in their order; one unpacked layer laid over those below |
//! | `finish` | the grown tree made small, sorted and fixed |
//! | `look_up`, `walk` | reading it |
//! | `differences` | where the two rules see different trees |
//! | `few` | lists that most inodes have nothing in |
//! | `error` | what can be wrong with a layer, and what is only odd |
//!
//! Nothing here reads or writes files, and nothing recurses: depth is bounded by memory only through [`MAX_PATH`]. Cost is linear in the bytes
//! of names and link targets (plus sorting); what a hostile layer could multiply (parents that it does not list, chains of symbolic links) is
//! counted and refused. A [`Tree`] is immutable and can be shared by threads.

mod differences;
mod error;
mod few;
mod finish;
mod grove;
mod lists;
mod look_up;
mod merge;
mod names;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;
mod walk;

pub use differences::{Difference, Differences, Seen, differences};
pub use error::{LookUpError, Oddity, Problem, TreeError, Warning};
pub use few::Few;
pub use grove::Limits;
pub use merge::Merger;
pub use names::{MAX_NAME, MAX_PATH, MAX_TARGET, MAX_XATTR_NAMES, printable};
pub use walk::Walk;

use crate::layer::{Content, Device, Entry, Kind, Time};

/// How layers become one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MergeRule {
    /// What a container sees after a normal pull: each layer in a directory of its own, and these overlaid.
    #[default]
    Overlay,
    /// As the specification's words have it: each layer unpacked on top of those below, its whiteouts first.
    Spec,
}

/// A name in a [`Tree`]. Only of use with the tree that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// As a number below [`Tree::nodes`]; the root is 0, parents come before what is in them.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a name stands for in a [`Tree`]; hard links share it. Only of use with the tree that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(u32);

impl InodeId {
    /// As a number below [`Tree::inodes`], in the order in which the nodes have them; the root's is 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of a file, directory, link or device, apart from its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// What it is; never [`Kind::HardLink`].
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky, `07777` at most; of symbolic links `0777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many names it has in this tree; of a directory 2 and the number of its directories.
    pub links: u32,
    /// Size: of a file in bytes with its holes, of a symbolic link that of its text, else 0.
    pub size: u64,
    /// When it was modified.
    pub modified: Time,
    /// Of a symbolic link its text, else empty.
    pub target: Few<u8>,
    /// Of a device its number.
    pub device: Device,
    /// Extended attributes, ascending by name.
    pub xattrs: Few<(Vec<u8>, Vec<u8>)>,
    /// Of a file: in which layer (0 is the lowest) its bytes are, and where.
    pub content: Option<(usize, Content)>,
}

impl Inode {
    /// A directory that nobody described: 0755, of root, 1970.
    fn directory() -> Inode {
        Inode {
            kind: Kind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            links: 0,
            size: 0,
            modified: Time::default(),
            target: Few::default(),
            device: Device::default(),
            xattrs: Few::default(),
            content: None,
        }
    }

    /// Is it a directory?
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// One name, as [`Tree`] keeps it.
#[derive(Clone, Copy, Debug)]
struct Name {
    parent: u32,
    inode: u32,
    first: u32,
    count: u32,
    at: u32,
    length: u8,
}

/// Layers put together. See the module.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Name>,
    inodes: Vec<Inode>,
    names: Vec<u8>,
    warnings: Vec<Warning>,
    unlisted: u64,
}

impl Tree {
    /// Puts `layers` together, the lowest first.
    pub fn merge<L: AsRef<[Entry]>>(
        layers: impl IntoIterator<Item = L>,
        rule: MergeRule,
    ) -> Result<Tree, TreeError> {
        let mut merger = Merger::new(rule);
        for layer in layers {
            merger.layer(layer.as_ref())?;
        }
        Ok(merger.finish())
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// One name.
    ///
    /// # Panics
    /// When `id` is another tree's (also elsewhere, where an id is given).
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { tree: self, id, name: &self.nodes[id.index()] }
    }

    /// What is at a name.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    /// What is at a name, in one step.
    pub fn inode_of(&self, id: NodeId) -> &Inode {
        self.inode(self.node(id).inode())
    }

    /// How many names there are, the root's among them.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// How many inodes there are.
    pub fn inodes(&self) -> usize {
        self.inodes.len()
    }

    /// The path of a name from the root, without a leading slash; of the root empty.
    pub fn path(&self, id: NodeId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = id;
        while at != self.root() {
            let node = self.node(at);
            names.push(node.name());
            at = node.parent();
        }
        names.reverse();
        names.join(&b'/')
    }

    /// What is called `name` in a directory.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        let node = self.nodes[directory.index()];
        let children = &self.nodes[node.first as usize..][..node.count as usize];
        let found = children.binary_search_by(|child| self.name_of(child).cmp(name)).ok()?;
        Some(NodeId(node.first + u32::try_from(found).expect("fewer nodes than 2^32")))
    }

    /// Every name below `from`, and `from` itself first: depth first, names ascending by bytes.
    pub fn walk(&self, from: NodeId) -> Walk<'_> {
        Walk::new(self, from)
    }

    /// What was dropped or is odd, in the order in which it was met; the first thousand.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// How many warnings there are beyond [`Tree::warnings`].
    pub fn unlisted_warnings(&self) -> u64 {
        self.unlisted
    }

    fn name_of(&self, name: &Name) -> &[u8] {
        &self.names[name.at as usize..][..usize::from(name.length)]
    }
}

/// One name in a tree.
#[derive(Clone, Copy, Debug)]
pub struct Node<'tree> {
    tree: &'tree Tree,
    id: NodeId,
    name: &'tree Name,
}

impl<'tree> Node<'tree> {
    /// Its id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The last part of its path; of the root empty.
    pub fn name(&self) -> &'tree [u8] {
        self.tree.name_of(self.name)
    }

    /// What is there.
    pub fn inode(&self) -> InodeId {
        InodeId(self.name.inode)
    }

    /// The directory that it is in; the root is in itself.
    pub fn parent(&self) -> NodeId {
        NodeId(self.name.parent)
    }

    /// What is in it, names ascending by bytes; nothing unless it is a directory.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<> {
        (self.name.first..self.name.first + self.name.count).map(NodeId)
    }
}
