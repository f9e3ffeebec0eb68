//! A hit: the recorded outputs are in place already, or are put there.
//!
//! "In place" is a comparison of digests: the tree that this worktree last put there is the tree of the result, and the
//! stat table's digest of these paths is that tree's root. Otherwise the tree is fetched, compared entry by entry and
//! restored.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use larder_core::{Digest, DigestFunction};
use larder_reapi::ActionResult;
use larder_store::message::{encode, from_message};

use super::{Session, timing};
use crate::event::Event;
use crate::outputs::{self, FileStat, Folder, Known, Node, OutputSpec, Owned, restore};
use crate::profile::Phase;
use crate::recipe::Recipe;
use crate::state::Placed;
use crate::worktree::{EntryKind, FsTime, PathSpec, Stat, Worktree};
use larder_core::error::chain;

/// Outputs on disk, and the digest they should have.
#[derive(Clone, Debug)]
pub(super) struct OnDisk {
    pub(super) spec: PathSpec,
    pub(super) root: Digest,
}

impl OnDisk {
    /// Whether the disk shows them as recorded.
    pub(super) fn is_exact(&self, worktree: &Worktree) -> bool {
        match worktree.digest_of(&self.spec) {
            Ok(found) => found.root == self.root,
            Err(error) => {
                tracing::debug!(%error, "outputs cannot be looked at");
                false
            }
        }
    }
}

/// The digest of a result's tree.
pub(super) fn tree_digest(result: &ActionResult) -> Option<Digest> {
    let directory = result.output_directories.first()?;
    from_message(DigestFunction::Blake3, directory.tree_digest.as_ref()?)
}

/// Where the outputs of `recipe` are: its literals, and what its globs captured.
pub(super) fn on_disk_spec(recipe: &Recipe, spec: &OutputSpec, globbed: &[Vec<u8>]) -> PathSpec {
    let path = |bytes: &Vec<u8>| PathBuf::from(std::ffi::OsString::from_vec(bytes.clone()));
    let outputs = recipe.cache.as_ref().map(|cache| cache.outputs.as_slice()).unwrap_or_default();
    let exclusions = outputs.iter().filter(|pattern| pattern.starts_with('!')).cloned();
    let mut on_disk = PathSpec::outputs(&recipe.folder, exclusions);
    on_disk.paths = spec.literals().iter().chain(globbed).map(path).collect();
    on_disk
}

/// What of a tree lies outside the literal outputs: the recorded matches of globs.
pub(super) fn globbed(spec: &OutputSpec, tree: &Folder) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let walked = tree.walk(&mut |path, node| {
        let leaf = !matches!(node, Node::Dir(folder) if !folder.entries.is_empty());
        if leaf && !spec.owns(path) {
            found.push(path.to_vec());
        }
        Ok(())
    });
    debug_assert!(walked.is_ok(), "the visitor never fails");
    found
}

/// The record of a tree that is in place now.
pub(super) fn placed(tree_digest: &Digest, tree: &larder_reapi::Tree, globbed: Vec<Vec<u8>>) -> Placed {
    let root = tree.root.as_ref().map(|root| encode(DigestFunction::Blake3, root).0.to_string());
    Placed { tree: tree_digest.to_string(), root, globbed }
}

/// If this worktree last put exactly this tree in place and it is still there, where.
pub(super) fn in_place(
    session: &Session<'_>,
    recipe: &Recipe,
    spec: &OutputSpec,
    tree: &Digest,
) -> Option<OnDisk> {
    let _counting = timing::enter(Phase::Restore);
    let placed = session.state.placed(&recipe.id).filter(|placed| placed.tree == tree.to_string())?;
    let root = placed.root.as_ref()?.parse().ok()?;
    let on_disk = OnDisk { spec: on_disk_spec(recipe, spec, &placed.globbed), root };
    on_disk.is_exact(session.worktree).then_some(on_disk)
}

/// What the stat table knows of the outputs that are there.
struct Table(BTreeMap<Vec<u8>, (Stat, Digest)>);

impl Known for Table {
    fn digest_if_clean(&self, path: &[u8], stat: &FileStat) -> Option<Digest> {
        self.0.get(path).filter(|(known, _)| *known == table_stat(stat)).map(|(_, digest)| *digest)
    }
}

/// The same stat as the stat table has it.
pub(super) fn table_stat(stat: &FileStat) -> Stat {
    let time = |(seconds, nanos): (i64, u32)| FsTime { seconds, nanos };
    Stat {
        dev: stat.dev,
        ino: stat.ino,
        size: stat.size,
        mode: stat.mode,
        mtime: time(stat.mtime),
        ctime: time(stat.ctime),
    }
}

/// Tells the stat table what was just captured or placed.
pub(super) fn teach(
    session: &Session<'_>,
    tree: &Folder,
    stats: &BTreeMap<Vec<u8>, FileStat>,
    since: FsTime,
) {
    for (path, stat) in stats {
        if let Some(Node::File { digest, .. }) = tree.get(path) {
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
            session.worktree.record(path, table_stat(stat), digest, since);
        }
    }
}

/// What came of a restore.
pub(super) enum Restored {
    /// The outputs are as recorded; whether something had to be put in place.
    Done(OnDisk, bool),
    /// The result cannot be used here.
    Miss(String),
    /// The worktree stands in the way.
    Failed(String),
}

/// Makes the outputs what `tree_digest` records. The caller holds the recipe's lock.
pub(super) fn restore(
    session: &Session<'_>,
    recipe: &Recipe,
    spec: &OutputSpec,
    tree_digest: &Digest,
    is_input: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Restored {
    let message = match session.cache.tree(tree_digest) {
        Ok(message) => message,
        Err(error) => return Restored::Miss(format!("its outputs are not in the cache: {}", chain(&error))),
    };
    let tree = match Folder::from_message(DigestFunction::Blake3, &message) {
        Ok(tree) => tree,
        Err(error) => return Restored::Miss(chain(&error)),
    };
    let owned = Owned::load(session.state.folder(), &recipe.id);
    let globbed = globbed(spec, &tree);
    let on_disk = on_disk_spec(recipe, spec, &globbed);
    let known = Table(known_files(session, &on_disk));
    let name = recipe.id.to_string();
    let scope = session.scope(spec, &owned, is_input, &name);
    session.state.set_placed(&recipe.id, None);
    let since = session.worktree.now();
    let restored = restore::restore(&scope, &tree, &session.cache, &known, &session.cache);
    let restored = match restored {
        Ok(restored) => restored,
        Err(error) if error.is_miss() => return Restored::Miss(chain(&error)),
        Err(error) => return Restored::Failed(chain(&error)),
    };
    if !restored.was_exact() {
        session.worktree.ran();
    }
    teach(session, &tree, &restored.stats, since);
    if let Some(kept) = &restored.kept {
        let message =
            format!("replaced files that the cache does not hold; they are kept for a day as `{kept}`");
        let hint = Some("`larder run --undo` brings them back");
        (session.events)(Event::Warning { recipe: Some(&recipe.id), message: &message, hint });
    }
    let own = outputs::own(spec, &tree, &restored.stats);
    if let Err(error) = own.save(session.state.folder(), &recipe.id) {
        return Restored::Failed(chain(&error));
    }
    let placed = placed(tree_digest, &message, globbed);
    let Some(root) = placed.root.as_ref().and_then(|root| root.parse().ok()) else {
        return Restored::Miss("its tree has no root".into());
    };
    session.state.set_placed(&recipe.id, Some(placed));
    Restored::Done(OnDisk { spec: on_disk, root }, !restored.was_exact())
}

/// The files that a restore of `tree_digest` would replace or remove although the cache does not hold them; nothing if the
/// result could not be restored.
pub(super) fn would_replace(
    session: &Session<'_>,
    recipe: &Recipe,
    spec: &OutputSpec,
    tree_digest: &Digest,
    is_input: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Vec<Vec<u8>> {
    let Ok(message) = session.cache.tree(tree_digest) else { return Vec::new() };
    let Ok(tree) = Folder::from_message(DigestFunction::Blake3, &message) else { return Vec::new() };
    let owned = Owned::load(session.state.folder(), &recipe.id);
    let on_disk = on_disk_spec(recipe, spec, &globbed(spec, &tree));
    let known = Table(known_files(session, &on_disk));
    let name = recipe.id.to_string();
    let scope = session.scope(spec, &owned, is_input, &name);
    restore::would_keep(&scope, &tree, &known, &session.cache).unwrap_or_default()
}

fn known_files(session: &Session<'_>, on_disk: &PathSpec) -> BTreeMap<Vec<u8>, (Stat, Digest)> {
    let entries = session.worktree.entries(on_disk).unwrap_or_default();
    entries
        .into_iter()
        .filter_map(|entry| match entry.kind {
            EntryKind::File { digest, .. } => {
                Some((entry.path.as_os_str().as_bytes().to_vec(), (entry.stat, digest)))
            }
            _ => None,
        })
        .collect()
}
