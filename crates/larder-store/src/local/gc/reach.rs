//! Which blobs something reaches: an action result (files, logs, trees and all that is in them), or a manifest.
//!
//! Nothing read here is trusted: messages are decoded within bounds, and what is not understood reaches nothing. REAPI's
//! messages do not say which function made a digest, so both are looked for.

use std::collections::HashSet;

use larder_core::{Digest, DigestFunction, Hash};
use larder_reapi::{ActionResult, Directory, Message, Tree};

use crate::action::LARGEST_TREE;
use crate::envelope;
use crate::local::LocalStore;
use crate::message;

/// Directories of one tree that are followed at most.
const MOST_DIRECTORIES: usize = 1 << 20;
const FUNCTIONS: [DigestFunction; 2] = [DigestFunction::Blake3, DigestFunction::Sha256];

/// What was reached.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// The blobs that are here, in no order.
    pub(crate) blobs: HashSet<Digest>,
    /// A blob that is needed is not here, or cannot be read: the result cannot be served.
    pub(crate) incomplete: bool,
}

/// The digests that bytes in the index may mean: `hash | size`, or the text form.
pub(crate) fn candidates(bytes: &[u8]) -> Vec<Digest> {
    if let Some((hash, size)) = bytes.split_first_chunk::<32>()
        && let Ok(size) = <[u8; 8]>::try_from(size)
    {
        let size = u64::from_le_bytes(size);
        return FUNCTIONS.map(|function| Digest { function, hash: Hash(*hash), size }).to_vec();
    }
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).into_iter().collect()
}

impl Reach {
    /// What the payload of a row of the action cache reaches. A payload that is no action result reaches nothing.
    pub(crate) fn of_result(store: &LocalStore, namespace: &str, payload: &[u8]) -> Self {
        let mut reach = Self::default();
        let Ok(bytes) = envelope::payload_unjudged(payload) else { return reach };
        let Ok(result) = ActionResult::decode(bytes) else { return reach };
        for file in &result.output_files {
            if file.contents.is_empty() {
                reach.need(store, namespace, file.digest.as_ref());
            }
        }
        for digest in [&result.stdout_digest, &result.stderr_digest] {
            reach.need(store, namespace, digest.as_ref());
        }
        for output in &result.output_directories {
            if output.tree_digest.is_some() {
                for digest in reach.need(store, namespace, output.tree_digest.as_ref()) {
                    reach.tree(store, namespace, &digest);
                }
            }
            let required = output.tree_digest.is_none();
            reach.directories(store, namespace, output.root_directory_digest.as_ref(), required);
        }
        reach
    }

    /// What a blob that a root or a pin names reaches: itself, and what it names if it is an OCI manifest or index.
    pub(crate) fn of_named(&mut self, store: &LocalStore, namespace: &str, digest: &Digest) {
        const LARGEST_MANIFEST: u64 = 4 << 20;
        let mut open = vec![*digest];
        while let Some(digest) = open.pop() {
            if store.rows(namespace).find(&digest).is_none() || !self.blobs.insert(digest) {
                continue;
            }
            if digest.size <= LARGEST_MANIFEST
                && let Ok(bytes) = store.get(namespace, &digest, LARGEST_MANIFEST)
                && bytes.first() == Some(&b'{')
                && let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(&bytes)
                && manifest.get("schemaVersion").is_some()
            {
                descriptors(&manifest, &mut open);
            }
        }
    }

    /// Notes a blob that is needed; answers the digests under which it is here.
    fn need(
        &mut self,
        store: &LocalStore,
        namespace: &str,
        digest: Option<&larder_reapi::Digest>,
    ) -> Vec<Digest> {
        let Some(digest) = digest else { return Vec::new() };
        let here = present(store, namespace, digest);
        let is_empty = |function| message::from_message(function, digest) == Some(Digest::empty(function));
        if here.is_empty() && !FUNCTIONS.into_iter().any(is_empty) {
            self.incomplete = true;
        }
        self.blobs.extend(&here);
        here
    }

    fn tree(&mut self, store: &LocalStore, namespace: &str, digest: &Digest) {
        let tree =
            store.get(namespace, digest, LARGEST_TREE).ok().and_then(|bytes| Tree::decode(&*bytes).ok());
        let Some(tree) = tree else {
            self.incomplete = true;
            return;
        };
        for directory in tree.root.iter().chain(&tree.children) {
            for file in &directory.files {
                self.need(store, namespace, file.digest.as_ref());
            }
        }
    }

    /// Follows directories that are blobs of their own.
    fn directories(
        &mut self,
        store: &LocalStore,
        namespace: &str,
        root: Option<&larder_reapi::Digest>,
        required: bool,
    ) {
        let mut open: Vec<larder_reapi::Digest> = root.into_iter().cloned().collect();
        let mut seen = HashSet::new();
        while let Some(digest) = open.pop() {
            if seen.len() >= MOST_DIRECTORIES || !seen.insert(digest.clone()) {
                continue;
            }
            let here = if required {
                self.need(store, namespace, Some(&digest))
            } else {
                present(store, namespace, &digest)
            };
            self.blobs.extend(&here);
            for digest in here {
                let bytes = store.get(namespace, &digest, LARGEST_TREE).ok();
                let Some(directory) = bytes.and_then(|bytes| Directory::decode(&*bytes).ok()) else {
                    self.incomplete |= required;
                    continue;
                };
                for file in directory.files.iter().filter(|_| required) {
                    self.need(store, namespace, file.digest.as_ref());
                }
                open.extend(directory.directories.into_iter().filter_map(|node| node.digest));
            }
        }
    }
}

fn present(store: &LocalStore, namespace: &str, digest: &larder_reapi::Digest) -> Vec<Digest> {
    let rows = store.rows(namespace);
    let named = FUNCTIONS.into_iter().filter_map(|function| message::from_message(function, digest));
    named.filter(|digest| rows.find(digest).is_some()).collect()
}

/// Every `{"digest": "sha256:…", "size": …}` below `value`.
fn descriptors(value: &serde_json::Value, out: &mut Vec<Digest>) {
    match value {
        serde_json::Value::Object(fields) => {
            let text = fields.get("digest").and_then(|digest| digest.as_str());
            let size = fields.get("size").and_then(serde_json::Value::as_u64);
            if let (Some(hash), Some(size)) = (text.and_then(|text| text.strip_prefix("sha256:")), size)
                && let Some(hash) = Hash::from_hex(hash)
            {
                out.push(Digest { function: DigestFunction::Sha256, hash, size });
            }
            fields.values().for_each(|field| descriptors(field, out));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| descriptors(item, out)),
        _ => {}
    }
}
