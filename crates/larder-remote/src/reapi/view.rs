//! A result as a server sees it.
//!
//! Where the server names content as the result does, it is the result. Else it is a copy in which every digest is the
//! server's own: so that the server can check that a result is whole, and other programs can read it. Of a result with a
//! `Tree` the copy has the `Tree` alone; an output that is described only by `Directory` blobs is left out of it.
//! Larder itself reads neither: what it believes is carried beside (see [`carried`](super::carried)).

use std::collections::{HashMap, HashSet};

use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bytes::Bytes;
use larder_core::{Digest, DigestFunction, Error, ErrorKind, Result};
use larder_reapi::{ActionResult, Directory, Message, Tree};
use larder_store::message::{encode, from_message, to_message};
use larder_store::{Store, envelope};

use super::errors::NAME;
use super::upload::{Content, Upload};
use crate::tier::Publication;

/// What is sent of a result.
#[derive(Debug)]
pub(crate) struct View {
    /// For the server.
    pub(crate) result: api::ActionResult,
    /// Where each of the result's needs will be, if not under its own name.
    pub(crate) addresses: Option<Vec<Digest>>,
    pub(crate) blobs: Vec<Upload>,
    /// Trees, and the directories in them.
    pub(crate) trees: Vec<Upload>,
}

fn malformed(why: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, "publish a result").with("tier", NAME).with_message(why)
}

impl View {
    /// `observe` is told how much was hashed.
    pub(crate) fn new(
        publication: &Publication<'_>,
        function: DigestFunction,
        observe: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        let payload = envelope::payload_unjudged(publication.envelope)
            .map_err(|error| malformed("its envelope does not decode").caused_by(error))?;
        let result = ActionResult::decode(payload)
            .map_err(|error| malformed("it does not decode").caused_by(error))?;
        if function == publication.action.function() {
            same(publication, &result)
        } else {
            other(publication, result, function, observe)
        }
    }
}

fn served(result: &ActionResult) -> Result<api::ActionResult> {
    api::ActionResult::decode(&result.encode_to_vec()[..])
        .map_err(|error| malformed("it does not decode").caused_by(error))
}

/// The result as it is.
fn same(publication: &Publication<'_>, result: &ActionResult) -> Result<View> {
    let function = publication.action.function();
    let trees: HashMap<Digest, &Bytes> =
        publication.trees.iter().map(|tree| (function.digest(tree), tree)).collect();
    let mut view = View { result: served(result)?, addresses: None, blobs: Vec::new(), trees: Vec::new() };
    let named = result.output_directories.iter().filter_map(|directory| directory.tree_digest.as_ref());
    let named: HashSet<Digest> = named.filter_map(|digest| from_message(function, digest)).collect();
    for address in publication.needs {
        match trees.get(address) {
            Some(tree) => {
                // Of an output without a `Tree` they are directories themselves.
                if named.contains(address) {
                    directories(&decode(tree)?, function, &mut view.trees);
                }
                view.trees.push(Upload { address: *address, content: Content::Bytes((*tree).clone()) });
            }
            None => view.blobs.push(Upload { address: *address, content: Content::Stored(*address) }),
        }
    }
    Ok(view)
}

/// The result in the digests of `function`.
fn other(
    publication: &Publication<'_>,
    mut result: ActionResult,
    function: DigestFunction,
    observe: &mut dyn FnMut(usize),
) -> Result<View> {
    let from = publication.action.function();
    let carried: HashMap<Digest, &Bytes> =
        publication.trees.iter().map(|tree| (from.digest(tree), tree)).collect();
    let mut addresses = Vec::with_capacity(publication.needs.len());
    let mut blobs = Vec::new();
    for need in publication.needs {
        if let Some(tree) = carried.get(need) {
            addresses.push(function.digest(tree));
            continue;
        }
        let address = address(publication.store, need, function, observe)?;
        blobs.push(Upload { address, content: Content::Stored(*need) });
        addresses.push(address);
    }
    let names = publication.needs.iter().copied().zip(addresses.iter().copied()).collect();
    let mut renaming = Renaming { from, function, names, directories: HashMap::new() };
    let mut trees = Vec::new();
    for file in &mut result.output_files {
        renaming.rename(&mut file.digest)?;
    }
    renaming.rename(&mut result.stdout_digest)?;
    renaming.rename(&mut result.stderr_digest)?;
    result.output_directories.retain(|directory| directory.tree_digest.is_some());
    for directory in &mut result.output_directories {
        let digest = directory.tree_digest.as_ref().and_then(|digest| from_message(from, digest));
        let tree =
            digest.and_then(|digest| carried.get(&digest)).ok_or_else(|| malformed("it lacks a tree"))?;
        let tree = renaming.tree(decode(tree)?)?;
        directories(&tree, function, &mut trees);
        let (address, bytes) = encode(function, &tree);
        directory.tree_digest = Some(to_message(&address));
        directory.root_directory_digest = None;
        trees.push(Upload { address, content: Content::Bytes(bytes.into()) });
    }
    Ok(View { result: served(&result)?, addresses: Some(addresses), blobs, trees })
}

fn decode(tree: &Bytes) -> Result<Tree> {
    Tree::decode(&tree[..]).map_err(|error| malformed("a tree does not decode").caused_by(error))
}

/// The directories of a tree as blobs of their own: some servers take no result for whole without them.
fn directories(tree: &Tree, function: DigestFunction, uploads: &mut Vec<Upload>) {
    for directory in tree.root.iter().chain(&tree.children) {
        let (address, bytes) = encode(function, directory);
        uploads.push(Upload { address, content: Content::Bytes(bytes.into()) });
    }
}

/// The name of a blob of the store by another function. All of it is read; it is hashed both ways.
fn address(
    store: &Store,
    digest: &Digest,
    function: DigestFunction,
    observe: &mut dyn FnMut(usize),
) -> Result<Digest> {
    let (mut own, mut other) = (digest.function.hasher(), function.hasher());
    store.read(digest, 0..digest.size, &mut |piece| {
        own.update(piece);
        other.update(piece);
        observe(piece.len());
        Ok(())
    })?;
    if own.finish() != *digest {
        return Err(malformed("its content in the store is another by now").with("digest", digest));
    }
    Ok(other.finish())
}

/// Puts other digests into messages.
struct Renaming {
    from: DigestFunction,
    function: DigestFunction,
    names: HashMap<Digest, Digest>,
    /// Directories that were renamed, by their former digests.
    directories: HashMap<Digest, Digest>,
}

impl Renaming {
    fn rename(&self, message: &mut Option<larder_reapi::Digest>) -> Result<()> {
        let Some(named) = message else { return Ok(()) };
        let address = from_message(self.from, named).and_then(|digest| self.names.get(&digest));
        *named = to_message(address.ok_or_else(|| malformed("it names content that it does not have"))?);
        Ok(())
    }

    /// Children before parents, in whatever order they came; the order stays.
    fn tree(&mut self, tree: Tree) -> Result<Tree> {
        let mut waiting: Vec<Directory> = tree.children;
        let digests: Vec<Digest> = waiting.iter().map(|child| encode(self.from, child).0).collect();
        let at: HashMap<Digest, usize> = digests.iter().copied().zip(0..).collect();
        let mut done = vec![false; waiting.len()];
        for begin in 0..waiting.len() {
            // A directory, and how many of those below it were looked at.
            let mut stack = vec![(begin, 0)];
            while let Some((top, looked_at)) = stack.pop() {
                if done[top] {
                    continue;
                }
                if let Some(node) = waiting[top].directories.get(looked_at) {
                    stack.push((top, looked_at + 1));
                    let below = node.digest.as_ref().and_then(|digest| from_message(self.from, digest));
                    // A directory cannot be below itself: its digest depends on what is below.
                    stack.extend(below.and_then(|digest| at.get(&digest)).map(|child| (*child, 0)));
                    continue;
                }
                self.directory(&mut waiting[top])?;
                self.directories.insert(digests[top], encode(self.function, &waiting[top]).0);
                done[top] = true;
            }
        }
        let mut root = tree.root;
        root.as_mut().map_or(Ok(()), |root| self.directory(root))?;
        Ok(Tree { root, children: waiting })
    }

    fn directory(&self, directory: &mut Directory) -> Result<()> {
        for file in &mut directory.files {
            self.rename(&mut file.digest)?;
        }
        for node in &mut directory.directories {
            let former = node.digest.as_ref().and_then(|digest| from_message(self.from, digest));
            let address = former.and_then(|digest| self.directories.get(&digest));
            node.digest = Some(to_message(address.ok_or_else(|| malformed("a tree lacks a directory"))?));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use larder_reapi::{DirectoryNode, FileNode};

    use super::*;

    const FROM: DigestFunction = DigestFunction::Blake3;
    const TO: DigestFunction = DigestFunction::Sha256;

    fn directory(content: Option<&[u8]>, below: &[&Directory]) -> Directory {
        let file = |content: &[u8]| FileNode {
            name: "file".into(),
            digest: Some(to_message(&FROM.digest(content))),
            ..FileNode::default()
        };
        let node = |child: &&Directory| DirectoryNode {
            name: "below".into(),
            digest: Some(to_message(&encode(FROM, *child).0)),
        };
        let directories = below.iter().map(node).collect();
        Directory { files: content.map(file).into_iter().collect(), directories, ..Directory::default() }
    }

    fn renaming() -> Renaming {
        let names = [b"one", b"two"].map(|content| (FROM.digest(content), TO.digest(content)));
        Renaming { from: FROM, function: TO, names: names.into_iter().collect(), directories: HashMap::new() }
    }

    /// Follows the names from the root on; answers how many directories were met.
    fn walk(tree: &Tree, directory: &Directory) -> usize {
        for file in &directory.files {
            let digest = from_message(TO, file.digest.as_ref().unwrap()).unwrap();
            assert!([TO.digest(b"one"), TO.digest(b"two")].contains(&digest));
        }
        let child = |node: &DirectoryNode| {
            let digest = from_message(TO, node.digest.as_ref().unwrap()).unwrap();
            tree.children.iter().find(|child| encode(TO, *child).0 == digest).unwrap()
        };
        1 + directory.directories.iter().map(|node| walk(tree, child(node))).sum::<usize>()
    }

    #[test]
    fn directories_are_renamed_in_whatever_order_they_come() {
        let lowest = directory(Some(b"one"), &[]);
        let middle = directory(Some(b"two"), &[&lowest]);
        let empty = directory(None, &[]);
        let upper = directory(None, &[&middle, &empty, &lowest]);
        let root = directory(Some(b"one"), &[&upper]);
        let mut children = vec![lowest, middle, empty, upper];
        for _ in 0..children.len() {
            children.rotate_left(1);
            for reversed in [false, true] {
                let mut children = children.clone();
                if reversed {
                    children.reverse();
                }
                let tree = renaming().tree(Tree { root: Some(root.clone()), children }).unwrap();
                assert_eq!(walk(&tree, tree.root.as_ref().unwrap()), 6);
                assert_eq!(tree.children.len(), 4);
            }
        }
    }

    #[test]
    fn a_tree_that_names_what_is_not_there_is_refused() {
        let absent = directory(Some(b"three"), &[]);
        let tree = |root: Directory, children| Tree { root: Some(root), children };
        assert!(renaming().tree(tree(absent.clone(), Vec::new())).is_err());
        assert!(renaming().tree(tree(directory(None, &[&absent]), Vec::new())).is_err());
    }

    #[test]
    fn deep_trees_take_no_stack() {
        let mut children = vec![directory(Some(b"one"), &[])];
        for _ in 0..20_000 {
            children.push(directory(None, &[children.last().unwrap()]));
        }
        let root = children.pop().unwrap();
        children.reverse();
        let tree = renaming().tree(Tree { root: Some(root), children }).unwrap();
        assert_eq!(tree.children.len(), 20_000);
    }
}
