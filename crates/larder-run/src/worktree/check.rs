//! Are outputs as recorded? Names each path that is not.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Inner;
use super::error::InputError;
use super::refresh::{Disk, Refused, Want};
use super::spec::PathSpec;
use super::table::Id;
use super::tree::{Entry, EntryKind};

/// One path that is not as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Relative to the project's root.
    pub path: PathBuf,
    /// In what way.
    pub kind: DifferenceKind,
}

/// How a path differs from what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// Recorded, not there.
    Missing,
    /// There, with another type, content, target or mode.
    Changed,
    /// In an owned folder, not recorded.
    Stray,
}

/// See [`super::Worktree::check_paths`].
pub(super) fn check(
    inner: &mut Inner,
    disk: &Disk,
    epoch: u32,
    recorded: &[Entry],
    owned: &[PathBuf],
) -> Result<Vec<Difference>, InputError> {
    let spec = PathSpec { paths: owned.to_vec(), ..PathSpec::default() };
    let present = if owned.is_empty() { Vec::new() } else { inner.walk(disk, epoch, &spec, false)?.found };
    let ids: Vec<Id> =
        recorded.iter().map(|entry| inner.table.node_at(entry.path.as_os_str().as_bytes())).collect();
    let mut wanted = Vec::with_capacity(ids.len());
    for (entry, &id) in recorded.iter().zip(&ids) {
        let folder = matches!(entry.kind, EntryKind::Directory { .. });
        wanted.push((id, if folder { Want::Listing } else { Want::Content }));
        // A folder on the way that became a link would show what it leads to.
        let mut above = inner.table.node(id).parent;
        while above > super::OUTSIDE && wanted.last() != Some(&(above, Want::Kind)) {
            wanted.push((above, Want::Kind));
            above = inner.table.node(above).parent;
        }
    }
    wanted.sort_unstable_by_key(|&(id, want)| (id, want as u8));
    wanted.dedup();
    if let Some(Refused { node, error }) = disk.refresh(&mut inner.table, epoch, &wanted).into_iter().next() {
        return Err(InputError::Unreadable { path: inner.table.path(node), source: error });
    }
    let mut differences = Vec::new();
    for (entry, &id) in recorded.iter().zip(&ids) {
        let there = inner.entry(id).filter(|_| inner.reached_by_folders(id));
        let kind = match there {
            None if inner.table.node(id).kind == super::Kind::Special => DifferenceKind::Changed,
            None => DifferenceKind::Missing,
            Some(there) if there.kind == entry.kind => continue,
            Some(_) => DifferenceKind::Changed,
        };
        differences.push(Difference { path: entry.path.clone(), kind });
    }
    let known: BTreeSet<&Path> = recorded.iter().map(|entry| entry.path.as_path()).collect();
    for id in present {
        let path = inner.table.path(id);
        let owner = owned.contains(&path);
        if !owner && !known.contains(path.as_path()) {
            differences.push(Difference { path, kind: DifferenceKind::Stray });
        }
    }
    differences.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    Ok(differences)
}

impl Inner {
    fn reached_by_folders(&self, id: Id) -> bool {
        let mut above = self.table.node(id).parent;
        while above > super::OUTSIDE {
            if self.table.node(above).kind != super::Kind::Folder {
                return false;
            }
            above = self.table.node(above).parent;
        }
        true
    }
}
