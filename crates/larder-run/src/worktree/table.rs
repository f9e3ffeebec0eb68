//! The stat table in memory: one node for every path that was ever asked about or listed.
//!
//! Nodes form a tree by parent; a parent's number is always below its children's. Node 0 is the project's root, node 1
//! the anchor of single files known by absolute path (whose names hold slashes and whose links are followed).
//! A node's `version` grows whenever what it is changes (kind, permission bits, content, target, list of names), so an
//! answer that noted versions is valid as long as they are the same. `seen` and `fresh` are of this process only: the
//! epoch in which the node's kind, or also its content, was last compared with the disk.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use larder_core::{Digest, DigestFunction, Hash};

use super::stat::Stat;

/// Number of a node.
pub(super) type Id = u32;
/// The project's root.
pub(super) const ROOT: Id = 0;
/// Parent of files known by absolute path.
pub(super) const OUTSIDE: Id = 1;
const NO_FOLDER: u32 = u32::MAX;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Never looked at.
    Unknown = 0,
    /// Not there.
    Absent = 1,
    /// A regular file.
    File = 2,
    /// A symbolic link.
    Link = 3,
    /// A folder.
    Folder = 4,
    /// FIFO, socket, device.
    Special = 5,
}

impl Kind {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Unknown,
            1 => Self::Absent,
            2 => Self::File,
            3 => Self::Link,
            4 => Self::Folder,
            5 => Self::Special,
            _ => return None,
        })
    }

    /// The kind of an inode with this mode.
    pub(super) fn of(stat: &Stat) -> Self {
        use rustix::fs::FileType;
        match stat.file_type() {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Special,
        }
    }
}

/// A slice of the table's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u32,
    pub(super) len: u32,
}

/// One path.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) parent: Id,
    pub(super) name: Span,
    pub(super) kind: Kind,
    /// In the last listing of its parent, with this kind (`Unknown`: the file system did not say).
    pub(super) listed: Option<Kind>,
    /// The stat proves the content; see `stat.rs`.
    pub(super) proven: bool,
    pub(super) version: u32,
    pub(super) seen: u32,
    pub(super) fresh: u32,
    folder: u32,
    pub(super) stat: Stat,
    /// Of a file.
    pub(super) hash: Hash,
    /// Of a link.
    pub(super) target: Span,
}

/// Something that an answer depends upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Dep {
    pub(super) node: Id,
    pub(super) on: On,
}

/// Which aspect of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum On {
    /// It is of this kind (its number).
    Kind(u8),
    /// Kind, permission bits and content, at this version.
    Content(u32),
    /// A folder's names, at this version.
    Listing(u32),
}

/// A remembered answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) deps: Vec<Dep>,
    pub(super) result: Remembered,
    /// Seconds of file-system time when it was last made.
    pub(super) made: i64,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    /// Digest of a set of paths.
    Summary { root: Digest, files: u64, bytes: u64 },
    /// Paths found by patterns.
    Nodes(Vec<Id>),
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) nodes: Vec<Node>,
    pub(super) text: Vec<u8>,
    folders: Vec<Vec<Id>>,
    pub(super) answers: HashMap<[u8; 32], Answer>,
    /// Something is not yet on disk.
    pub(super) dirty: bool,
}

impl Table {
    /// A table that knows nothing.
    pub(super) fn begin() -> Self {
        let mut table = Self::default();
        table.push(ROOT, b"");
        table.push(ROOT, b"/");
        table
    }

    /// Adds a node without looking whether it exists; `parent` must. Does not add it to its parent.
    pub(super) fn push(&mut self, parent: Id, name: &[u8]) -> Id {
        let name = self.add_text(name);
        self.push_loaded(parent, name)
    }

    /// As [`Self::push`], for a name that is already in the text.
    pub(super) fn push_loaded(&mut self, parent: Id, name: Span) -> Id {
        let id = Id::try_from(self.nodes.len()).expect("fewer than 2^32 paths");
        self.nodes.push(Node {
            parent,
            name,
            kind: Kind::Unknown,
            listed: None,
            proven: false,
            version: 1,
            seen: 0,
            fresh: 0,
            folder: NO_FOLDER,
            stat: Stat::default(),
            hash: Hash([0; 32]),
            target: Span::default(),
        });
        id
    }

    /// Keeps bytes.
    pub(super) fn add_text(&mut self, bytes: &[u8]) -> Span {
        let at = u32::try_from(self.text.len()).expect("names and targets of one worktree are below 4 GiB");
        self.text.extend_from_slice(bytes);
        Span { at, len: u32::try_from(bytes.len()).expect("a name is short") }
    }

    /// The bytes of a span.
    pub(super) fn text(&self, span: Span) -> &[u8] {
        &self.text[span.at as usize..][..span.len as usize]
    }

    /// A node.
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// A node, to change it.
    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// A node's name.
    pub(super) fn name(&self, id: Id) -> &[u8] {
        self.text(self.node(id).name)
    }

    /// Known children, sorted by name; listed or not.
    pub(super) fn children(&self, id: Id) -> &[Id] {
        match self.node(id).folder {
            NO_FOLDER => &[],
            folder => &self.folders[folder as usize],
        }
    }

    /// Whether all lists of children are sorted by name, without one name twice.
    pub(super) fn is_sorted(&self) -> bool {
        self.folders.iter().all(|children| children.is_sorted_by(|&a, &b| self.name(a) < self.name(b)))
    }

    fn place_of(&self, parent: Id, name: &[u8]) -> Result<usize, usize> {
        self.children(parent).binary_search_by(|&child| self.name(child).cmp(name))
    }

    /// The child with this name, if known.
    pub(super) fn child(&self, parent: Id, name: &[u8]) -> Option<Id> {
        self.place_of(parent, name).ok().map(|at| self.children(parent)[at])
    }

    /// The child with this name, made known if it is not.
    pub(super) fn child_or_new(&mut self, parent: Id, name: &[u8]) -> Id {
        match self.place_of(parent, name) {
            Ok(at) => self.children(parent)[at],
            Err(at) => {
                let id = self.push(parent, name);
                self.children_mut(parent).insert(at, id);
                id
            }
        }
    }

    /// The list of children, to change it; must stay sorted by name.
    pub(super) fn children_mut(&mut self, id: Id) -> &mut Vec<Id> {
        let folder = &mut self.nodes[id as usize].folder;
        if *folder == NO_FOLDER {
            *folder = u32::try_from(self.folders.len()).expect("not more folders than nodes");
            self.folders.push(Vec::new());
        }
        &mut self.folders[*folder as usize]
    }

    /// The node of a path relative to the root (`..` and `.` are not names), made known.
    pub(super) fn node_at(&mut self, path: &[u8]) -> Id {
        let mut id = ROOT;
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty() && *name != b".") {
            id = self.child_or_new(id, name);
        }
        id
    }

    /// Writes the path of a node (relative to the root, or absolute below [`OUTSIDE`]) to `out`.
    pub(super) fn path_into(&self, id: Id, out: &mut Vec<u8>) {
        out.clear();
        let mut chain = [ROOT; 64];
        let (mut depth, mut at) = (0, id);
        while at > OUTSIDE && depth < chain.len() {
            chain[depth] = at;
            depth += 1;
            at = self.node(at).parent;
        }
        if at > OUTSIDE {
            self.path_into(at, out);
        }
        for &part in chain[..depth].iter().rev() {
            if !out.is_empty() {
                out.push(b'/');
            }
            out.extend_from_slice(self.name(part));
        }
    }

    /// The path of a node.
    pub(super) fn path(&self, id: Id) -> PathBuf {
        let mut out = Vec::new();
        self.path_into(id, &mut out);
        PathBuf::from(std::ffi::OsStr::from_bytes(&out))
    }

    /// Digest of a file node's content.
    pub(super) fn digest(&self, id: Id) -> Digest {
        let node = self.node(id);
        Digest { function: DigestFunction::Blake3, hash: node.hash, size: node.stat.size }
    }

    /// Whether what an answer noted is still so, given that the nodes are up to date.
    pub(super) fn holds(&self, dep: Dep) -> bool {
        let node = self.node(dep.node);
        match dep.on {
            On::Kind(kind) => node.kind as u8 == kind,
            On::Content(version) => node.version == version,
            On::Listing(version) => node.kind == Kind::Folder && node.version == version,
        }
    }
}
