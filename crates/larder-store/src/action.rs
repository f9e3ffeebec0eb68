//! The key of a result, and what a result needs.
//!
//! [`ActionDigest`] is the key in the index, in the form of [`digest_bytes`].
//!
//! [`needs`] tells every blob that a result names, through its trees. A result is complete when all of them are there.
//! Results and trees are hostile: sizes are bounded, and what does not decode is one error.

use std::collections::HashSet;
use std::fmt;

use larder_core::{Digest, DigestFunction, Error, ErrorKind, Result};
use larder_reapi::{ActionResult, Directory, Message, Tree};

use crate::envelope::digest_bytes;
use crate::message::{encode, from_message};

/// The largest encoded `Tree` or `Directory` that is read into memory: a bound for hostile results. Whoever records a
/// result keeps to it, for nobody could restore a larger one.
pub const LARGEST_TREE: u64 = 48 << 20;

/// How many `Directory` blobs a result without a `Tree` may reach.
const MOST_DIRECTORIES: usize = 1 << 20;

/// The digest of an encoded `Action`: the key of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionDigest(pub Digest);

impl ActionDigest {
    /// The digest of `action`.
    #[must_use]
    pub fn of(function: DigestFunction, action: &larder_reapi::Action) -> Self {
        Self(encode(function, action).0)
    }

    /// The function of the action, which is also that of every digest in its result.
    #[must_use]
    pub fn function(&self) -> DigestFunction {
        self.0.function
    }

    /// The key of the result in the action cache, and what is signed.
    #[must_use]
    pub fn key(&self) -> [u8; 40] {
        digest_bytes(&self.0)
    }
}

impl fmt::Display for ActionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a function as it is signed.
pub(crate) fn signed_name(function: DigestFunction) -> &'static str {
    match function {
        DigestFunction::Blake3 => "blake3",
        _ => "sha256",
    }
}

/// Everything that `result` names, each once, in no promised order: files, streams, trees, and what those name.
///
/// A directory with a `tree_digest` needs its `Tree` and the files in it; only one without needs its `Directory` blobs.
/// `fetch` reads a small blob whole; it is asked for trees and directories.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when the result or a tree is malformed; and what `fetch` fails with.
pub fn needs(
    function: DigestFunction,
    result: &ActionResult,
    fetch: &mut dyn FnMut(&Digest) -> Result<Vec<u8>>,
) -> Result<Vec<Digest>> {
    let mut needs = Needs { function, seen: HashSet::new(), list: Vec::new() };
    for file in &result.output_files {
        needs.required(file.digest.as_ref())?;
    }
    for stream in [&result.stdout_digest, &result.stderr_digest].into_iter().flatten() {
        needs.required(Some(stream))?;
    }
    for directory in &result.output_directories {
        if let Some(tree) = &directory.tree_digest {
            if let Some(tree) = needs.required(Some(tree))? {
                let tree: Tree = decode(&tree, fetch)?;
                for directory in tree.root.iter().chain(&tree.children) {
                    needs.files(directory)?;
                }
            }
        } else {
            needs.below(directory.root_directory_digest.as_ref(), fetch)?;
        }
    }
    Ok(needs.list)
}

struct Needs {
    function: DigestFunction,
    seen: HashSet<Digest>,
    list: Vec<Digest>,
}

impl Needs {
    /// Adds a digest; answers it if it is new.
    fn required(&mut self, message: Option<&larder_reapi::Digest>) -> Result<Option<Digest>> {
        let digest = message
            .and_then(|message| from_message(self.function, message))
            .ok_or_else(|| malformed("a digest is missing or malformed"))?;
        let new = self.seen.insert(digest);
        if new {
            self.list.push(digest);
        }
        Ok(new.then_some(digest))
    }

    fn files(&mut self, directory: &Directory) -> Result<()> {
        directory.files.iter().try_for_each(|file| self.required(file.digest.as_ref()).map(drop))
    }

    fn below(
        &mut self,
        root: Option<&larder_reapi::Digest>,
        fetch: &mut dyn FnMut(&Digest) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let mut waiting: Vec<Digest> = self.required(root)?.into_iter().collect();
        let mut visited = 0;
        while let Some(next) = waiting.pop() {
            visited += 1;
            if visited > MOST_DIRECTORIES {
                return Err(malformed("too many directories"));
            }
            let directory: Directory = decode(&next, fetch)?;
            self.files(&directory)?;
            for child in &directory.directories {
                waiting.extend(self.required(child.digest.as_ref())?);
            }
        }
        Ok(())
    }
}

fn malformed(why: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, "read an action result").with_message(why)
}

fn decode<M: Message + Default>(
    digest: &Digest,
    fetch: &mut dyn FnMut(&Digest) -> Result<Vec<u8>>,
) -> Result<M> {
    if digest.size > LARGEST_TREE {
        return Err(malformed("a tree is too large").with("digest", digest));
    }
    let bytes = if digest.size == 0 { Vec::new() } else { fetch(digest)? };
    M::decode(&bytes[..])
        .map_err(|error| malformed("a tree does not decode").with("digest", digest).caused_by(error))
}
