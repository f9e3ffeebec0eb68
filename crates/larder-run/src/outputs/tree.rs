//! An output tree in memory, and to and from REAPI's `Tree`.
//!
//! The tree is rooted at the project's root. Folders that only lead to outputs have no mode of their own; folders that
//! are outputs have one. In messages a file's mode is left out when it is 0644, or 0755 for executables, a folder's
//! when it is 0755, so that common trees are what any REAPI client would make.
//!
//! Decoding takes hostile input: names, targets, modes, sizes, depth and number of entries are checked, and every child
//! is found by its digest, so that neither cycles nor unbounded expansion are possible.

use std::collections::{BTreeMap, HashMap};

use larder_core::{Digest, DigestFunction};
use larder_reapi as reapi;
use larder_reapi::name;
use larder_store::message;

use super::beneath::{components, join, split};
use super::error::{Error, Result, path_buf};

/// Deepest nesting of a recorded tree.
pub const MAX_DEPTH: usize = 255;
/// Most entries of a recorded tree, after expansion of shared folders.
pub const MAX_ENTRIES: usize = 1_000_000;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Its content.
        digest: Digest,
        /// Permission bits, at most 0777.
        mode: u32,
    },
    /// A symbolic link; the target is data and never followed.
    Symlink {
        /// As `readlink` gives it.
        target: Vec<u8>,
    },
    /// A folder.
    Dir(Folder),
}

/// The entries of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Permission bits; `None` if the folder only leads to outputs (or in a message: 0755).
    pub mode: Option<u32>,
    /// Entries by name.
    pub entries: BTreeMap<Vec<u8>, Node>,
}

impl Folder {
    /// Puts `node` at `path`, making the folders that lead there.
    pub fn insert(&mut self, path: &[u8], node: Node) {
        let (parent, last) = split(path);
        let mut folder = self;
        for name in components(parent) {
            let next = folder.entries.entry(name.to_vec()).or_insert_with(|| Node::Dir(Self::default()));
            if !matches!(next, Node::Dir(_)) {
                *next = Node::Dir(Self::default());
            }
            let Node::Dir(inner) = next else { unreachable!("made a folder just above") };
            folder = inner;
        }
        match (folder.entries.get_mut(last), node) {
            // A folder that is already there keeps its entries.
            (Some(Node::Dir(old)), Node::Dir(new)) => {
                old.mode = new.mode.or(old.mode);
                old.entries.extend(new.entries);
            }
            (_, node) => {
                folder.entries.insert(last.to_vec(), node);
            }
        }
    }

    /// The node at `path`.
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        let (parent, last) = split(path);
        let mut folder = self;
        for name in components(parent) {
            match folder.entries.get(name)? {
                Node::Dir(inner) => folder = inner,
                _ => return None,
            }
        }
        folder.entries.get(last)
    }

    /// Calls `visit` for every entry, parents first, in order of names.
    ///
    /// # Errors
    /// The first of `visit`.
    pub fn walk<'t>(&'t self, visit: &mut dyn FnMut(&[u8], &'t Node) -> Result<()>) -> Result<()> {
        self.walk_from(b"", visit)
    }

    fn walk_from<'t>(
        &'t self,
        path: &[u8],
        visit: &mut dyn FnMut(&[u8], &'t Node) -> Result<()>,
    ) -> Result<()> {
        for (name, node) in &self.entries {
            let path = join(path, name);
            visit(&path, node)?;
            if let Node::Dir(folder) = node {
                folder.walk_from(&path, visit)?;
            }
        }
        Ok(())
    }

    /// The message: children sorted by name, parents before children, equal folders once.
    #[must_use]
    pub fn to_message(&self, function: DigestFunction) -> reapi::Tree {
        let mut encoder = Encoder { function, seen: HashMap::new(), finished: Vec::new() };
        let root = encoder.directory(self, true);
        // Children were finished before their parents.
        encoder.finished.reverse();
        reapi::Tree { root: Some(root), children: encoder.finished }
    }

    /// The tree of a message whose digests are of `function`.
    ///
    /// # Errors
    /// [`Error::Forged`] for whatever an honest writer would not have made.
    pub fn from_message(function: DigestFunction, tree: &reapi::Tree) -> Result<Self> {
        let children =
            tree.children.iter().map(|child| (message::encode(function, child).0, child)).collect();
        let root = tree.root.as_ref().ok_or_else(|| forged(b"", "there is no root"))?;
        let mut folder = Decoder { function, children, left: MAX_ENTRIES }.folder(root, b"", 0)?;
        folder.mode = None;
        Ok(folder)
    }
}

fn forged(path: &[u8], reason: &'static str) -> Error {
    Error::Forged { path: path_buf(path), reason }
}

struct Encoder {
    function: DigestFunction,
    seen: HashMap<Digest, ()>,
    finished: Vec<reapi::Directory>,
}

impl Encoder {
    fn directory(&mut self, folder: &Folder, is_root: bool) -> reapi::Directory {
        let mut directory = reapi::Directory {
            files: Vec::new(),
            directories: Vec::new(),
            symlinks: Vec::new(),
            node_properties: match folder.mode {
                Some(mode) if mode != 0o755 && !is_root => mode_property(mode),
                _ => None,
            },
        };
        for (bytes, node) in &folder.entries {
            let name = name::encode(bytes).into_owned();
            match node {
                Node::File { digest, mode } => directory.files.push(reapi::FileNode {
                    name,
                    digest: Some(message::to_message(digest)),
                    is_executable: mode & 0o111 != 0,
                    node_properties: (*mode != 0o644 && *mode != 0o755)
                        .then(|| mode_property(*mode))
                        .flatten(),
                }),
                Node::Symlink { target } => directory.symlinks.push(reapi::SymlinkNode {
                    name,
                    target: name::encode(target).into_owned(),
                    node_properties: None,
                }),
                Node::Dir(inner) => {
                    let inner = self.directory(inner, false);
                    let (digest, _) = message::encode(self.function, &inner);
                    if self.seen.insert(digest, ()).is_none() {
                        self.finished.push(inner);
                    }
                    directory
                        .directories
                        .push(reapi::DirectoryNode { name, digest: Some(message::to_message(&digest)) });
                }
            }
        }
        // Names were sorted as bytes on disk; messages are sorted as they are written.
        directory.files.sort_by(|a, b| a.name.cmp(&b.name));
        directory.directories.sort_by(|a, b| a.name.cmp(&b.name));
        directory.symlinks.sort_by(|a, b| a.name.cmp(&b.name));
        directory
    }
}

fn mode_property(mode: u32) -> Option<reapi::NodeProperties> {
    Some(reapi::NodeProperties {
        properties: Vec::new(),
        mtime: None,
        unix_mode: Some(reapi::UInt32Value { value: mode }),
    })
}

struct Decoder<'t> {
    function: DigestFunction,
    children: HashMap<Digest, &'t reapi::Directory>,
    left: usize,
}

impl Decoder<'_> {
    fn folder(&mut self, directory: &reapi::Directory, path: &[u8], depth: usize) -> Result<Folder> {
        if depth > MAX_DEPTH {
            return Err(forged(path, "folders are nested too deeply"));
        }
        let count = directory.files.len() + directory.directories.len() + directory.symlinks.len();
        self.left = self.left.checked_sub(count).ok_or_else(|| forged(path, "there are too many entries"))?;
        let mut entries = BTreeMap::new();
        let mut add = |name: Vec<u8>, node: Node| match entries.insert(name, node) {
            None => Ok(()),
            Some(_) => Err(forged(path, "a name occurs twice in one folder")),
        };
        for file in &directory.files {
            let name = checked_name(path, &file.name)?;
            let place = join(path, &name);
            let digest = file.digest.as_ref().and_then(|digest| message::from_message(self.function, digest));
            let digest = digest.ok_or_else(|| forged(&place, "a file has no valid digest"))?;
            let usual = if file.is_executable { 0o755 } else { 0o644 };
            let mode = mode_of(&place, file.node_properties.as_ref())?.unwrap_or(usual);
            add(name, Node::File { digest, mode })?;
        }
        for link in &directory.symlinks {
            let name = checked_name(path, &link.name)?;
            let target = name::decode(&link.target).into_owned();
            if target.is_empty() || target.len() > 4095 || target.contains(&0) {
                return Err(forged(&join(path, &name), "a symbolic link has no valid target"));
            }
            add(name, Node::Symlink { target })?;
        }
        for child in &directory.directories {
            let name = checked_name(path, &child.name)?;
            let place = join(path, &name);
            let digest =
                child.digest.as_ref().and_then(|digest| message::from_message(self.function, digest));
            let digest = digest.ok_or_else(|| forged(&place, "a folder has no valid digest"))?;
            let inner = match self.children.get(&digest) {
                Some(inner) => *inner,
                None if digest == Digest::empty(self.function) => &EMPTY,
                None => return Err(forged(&place, "a folder is missing")),
            };
            let mut folder = self.folder(inner, &place, depth + 1)?;
            folder.mode = mode_of(&place, inner.node_properties.as_ref())?;
            add(name, Node::Dir(folder))?;
        }
        Ok(Folder { mode: None, entries })
    }
}

static EMPTY: reapi::Directory = reapi::Directory {
    files: Vec::new(),
    directories: Vec::new(),
    symlinks: Vec::new(),
    node_properties: None,
};

fn checked_name(parent: &[u8], text: &str) -> Result<Vec<u8>> {
    let name = name::decode(text).into_owned();
    let bad = name.is_empty()
        || name.len() > 255
        || name == b"."
        || name == b".."
        || name.iter().any(|b| matches!(b, 0 | b'/'));
    // Two spellings of one name would give two digests to one tree.
    if bad || name::encode(&name) != text {
        return Err(forged(parent, "an entry's name is not valid"));
    }
    if parent.len() + 1 + name.len() > 4095 {
        return Err(forged(parent, "a path is too long"));
    }
    Ok(name)
}

fn mode_of(path: &[u8], properties: Option<&reapi::NodeProperties>) -> Result<Option<u32>> {
    match properties.and_then(|properties| properties.unix_mode.as_ref()) {
        Some(mode) if mode.value > 0o777 => {
            Err(forged(path, "an entry has set-ID, sticky or unknown mode bits"))
        }
        mode => Ok(mode.map(|mode| mode.value)),
    }
}
