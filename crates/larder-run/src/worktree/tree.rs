//! Entries of a set of paths, and their REAPI `Directory` messages.
//!
//! A `FileNode` says `is_executable` (any execute bit); `unix_mode` is there only when the permission bits are neither
//! 0644 nor 0755, and for folders when they are not 0755, so that clones made under the usual umask agree. Names are
//! escaped by `larder_reapi::name`; nodes are sorted by their escaped names; digests are BLAKE3 of the encoded message.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use larder_core::{Digest, DigestFunction};
use larder_reapi::{
    Directory, DirectoryNode, FileNode, NodeProperties, SymlinkNode, Tree, UInt32Value, name,
};
use larder_store::message;

use super::stat::Stat;

/// One path of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the project's root; bytes as on disk.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// What `lstat` said.
    pub stat: Stat,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Of its content.
        digest: Digest,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link. What it points to inside the project is an entry of its own (if links are followed).
    Symlink {
        /// The target's text.
        target: PathBuf,
    },
    /// A folder that belongs to the set itself (below a literal folder), empty or not.
    Directory {
        /// Permission bits.
        mode: u32,
    },
}

/// What it is and what is in it, for a person and to be compared.
impl std::fmt::Display for EntryKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { digest, mode } => write!(f, "{digest} {mode:o}"),
            Self::Symlink { target } => write!(f, "→ {}", target.display()),
            Self::Directory { mode } => write!(f, "folder {mode:o}"),
        }
    }
}

/// The digest of a set of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeSummary {
    /// Digest of the root `Directory`.
    pub root: Digest,
    /// How many files and links.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

/// A set of paths as REAPI messages.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryTree {
    /// Digest of the root `Directory`.
    pub root: Digest,
    /// All `Directory` messages in one; children without duplicates.
    pub tree: Tree,
    /// Each `Directory` as a blob, the root among them, without duplicates.
    pub blobs: Vec<(Digest, Vec<u8>)>,
}

#[derive(Default)]
struct Folder<'a> {
    mode: Option<u32>,
    files: BTreeMap<&'a [u8], &'a Entry>,
    folders: BTreeMap<&'a [u8], Folder<'a>>,
}

/// The messages for `entries`, whose paths are relative to the root of the tree.
#[must_use]
pub fn directory_of(entries: &[Entry]) -> DirectoryTree {
    use std::os::unix::ffi::OsStrExt;
    let mut root = Folder::default();
    for entry in entries {
        let mut folder = &mut root;
        let mut names =
            entry.path.as_os_str().as_bytes().split(|&b| b == b'/').filter(|n| !n.is_empty()).peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() && !matches!(entry.kind, EntryKind::Directory { .. }) {
                folder.files.insert(name, entry);
            } else {
                folder = folder.folders.entry(name).or_default();
            }
        }
        if let EntryKind::Directory { mode } = entry.kind {
            folder.mode = Some(mode);
        }
    }
    let mut out = Build::default();
    let digest = out.folder(&root, true);
    DirectoryTree { root: digest, tree: out.tree, blobs: out.blobs.into_iter().collect() }
}

/// Summary of `entries`.
pub(super) fn summary(entries: &[Entry]) -> TreeSummary {
    let (mut files, mut bytes) = (0, 0);
    for entry in entries {
        match &entry.kind {
            EntryKind::File { digest, .. } => {
                files += 1;
                bytes += digest.size;
            }
            EntryKind::Symlink { .. } => files += 1,
            EntryKind::Directory { .. } => {}
        }
    }
    TreeSummary { root: directory_of(entries).root, files, bytes }
}

#[derive(Default)]
struct Build {
    tree: Tree,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

fn properties(mode: u32) -> Option<NodeProperties> {
    Some(NodeProperties { unix_mode: Some(UInt32Value { value: mode }), ..NodeProperties::default() })
}

impl Build {
    fn folder(&mut self, folder: &Folder<'_>, is_root: bool) -> Digest {
        let mut out = Directory::default();
        for (bytes, entry) in &folder.files {
            let name = name::encode(bytes).into_owned();
            match &entry.kind {
                EntryKind::File { digest, mode } => out.files.push(FileNode {
                    name,
                    digest: Some(message::to_message(digest)),
                    is_executable: mode & 0o111 != 0,
                    node_properties: properties(*mode).filter(|_| !matches!(mode, 0o644 | 0o755)),
                }),
                EntryKind::Symlink { target } => out.symlinks.push(SymlinkNode {
                    name,
                    target: name::encode(target.as_os_str().as_encoded_bytes()).into_owned(),
                    ..SymlinkNode::default()
                }),
                EntryKind::Directory { .. } => {}
            }
        }
        for (bytes, below) in &folder.folders {
            let digest = message::to_message(&self.folder(below, false));
            out.directories
                .push(DirectoryNode { name: name::encode(bytes).into_owned(), digest: Some(digest) });
        }
        // Escaping does not keep the order of bytes that are not UTF-8.
        out.files.sort_by(|a, b| a.name.cmp(&b.name));
        out.symlinks.sort_by(|a, b| a.name.cmp(&b.name));
        out.directories.sort_by(|a, b| a.name.cmp(&b.name));
        out.node_properties = folder.mode.filter(|&mode| mode != 0o755).and_then(properties);
        let (digest, bytes) = message::encode(DigestFunction::Blake3, &out);
        if is_root {
            self.blobs.insert(digest, bytes);
            self.tree.root = Some(out);
        } else if self.blobs.insert(digest, bytes).is_none() {
            self.tree.children.push(out);
        }
        digest
    }
}

/// The entries of a `Tree`, sorted by path; `None` if the message is malformed (missing child, bad digest, a name that
/// is not one path component, deeper than 1,000 folders).
#[must_use]
pub fn entries_of(tree: &Tree) -> Option<Vec<Entry>> {
    let by_digest: BTreeMap<Digest, &Directory> =
        tree.children.iter().map(|child| (message::encode(DigestFunction::Blake3, child).0, child)).collect();
    let mut out = Vec::new();
    let mut open = vec![(PathBuf::new(), tree.root.as_ref()?, 0)];
    while let Some((path, directory, depth)) = open.pop() {
        if depth > 1_000 || out.len() > 4_000_000 {
            return None;
        }
        let mode = mode_of(directory.node_properties.as_ref()).unwrap_or(0o755);
        if depth > 0 {
            out.push(entry(path.clone(), EntryKind::Directory { mode }));
        }
        for node in &directory.files {
            let digest = message::from_message(DigestFunction::Blake3, node.digest.as_ref()?)?;
            let usual = if node.is_executable { 0o755 } else { 0o644 };
            let mode = mode_of(node.node_properties.as_ref()).unwrap_or(usual);
            out.push(entry(join(&path, &node.name)?, EntryKind::File { digest, mode }));
        }
        for node in &directory.symlinks {
            let target = bytes_path(&name::decode(&node.target));
            out.push(entry(join(&path, &node.name)?, EntryKind::Symlink { target }));
        }
        for node in &directory.directories {
            let digest = message::from_message(DigestFunction::Blake3, node.digest.as_ref()?)?;
            open.push((join(&path, &node.name)?, by_digest.get(&digest)?, depth + 1));
        }
    }
    out.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    Some(out)
}

fn entry(path: PathBuf, kind: EntryKind) -> Entry {
    Entry { path, kind, stat: Stat::default() }
}

fn mode_of(properties: Option<&NodeProperties>) -> Option<u32> {
    Some(properties?.unix_mode?.value & 0o7777)
}

fn bytes_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn join(folder: &Path, text: &str) -> Option<PathBuf> {
    let bytes = name::decode(text);
    let one = !bytes.is_empty()
        && !bytes.contains(&b'/')
        && !bytes.contains(&0)
        && *bytes != *b"."
        && *bytes != *b"..";
    one.then(|| folder.join(bytes_path(&bytes)))
}
