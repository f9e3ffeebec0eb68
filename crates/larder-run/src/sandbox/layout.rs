//! [`Layout`]: what of the project is seen in a sandbox, and in which of its folders outputs can come to be. Pure.
//!
//! A folder is *writable on disk* if it is the parent of a literal output or the start of a glob, or lies below one where a
//! glob may still match. All other folders are in memory. Paths are relative to the project's root.

use std::collections::{BTreeMap, BTreeSet};

use super::{ancestors, outermost};
use crate::outputs::OutputSpec;
use crate::outputs::beneath::{is_within, split};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A folder that holds what else is seen; its permissions.
    Folder(u32),
    /// A file, as it is in the project.
    File,
    /// A folder as it is in the project, with everything in it.
    Whole,
    /// A symbolic link with this text.
    Link(Vec<u8>),
}

/// Folders that only lead somewhere.
const ON_THE_WAY: Seen = Seen::Folder(0o755);

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    nodes: BTreeMap<Vec<u8>, Seen>,
    writable: Vec<Vec<u8>>,
}

impl Layout {
    /// For a recipe in `folder` with these outputs.
    pub(crate) fn new(folder: &[u8], spec: &OutputSpec) -> Self {
        let parents = spec.literals().iter().map(|literal| split(literal).0.to_vec());
        let writable: BTreeSet<Vec<u8>> = parents.chain(spec.glob_bases()).collect();
        let mut layout = Self::default();
        for path in writable.iter().map(Vec::as_slice).chain([folder]) {
            layout.add(path, ON_THE_WAY);
        }
        layout.writable = outermost(writable);
        layout
    }

    /// Shows `path`. Of two things at one path the first stays, unless that is only a folder on the way to something.
    pub(crate) fn add(&mut self, path: &[u8], seen: Seen) {
        if path.is_empty() || self.is_whole(path) {
            return;
        }
        if seen == Seen::Whole {
            if self.writable.iter().any(|writable| is_within(writable, path)) {
                return;
            }
            self.nodes.retain(|other, _| !is_within(other, path));
        }
        for way in ancestors(path) {
            self.nodes.entry(way.to_vec()).or_insert(ON_THE_WAY);
        }
        match self.nodes.get_mut(path) {
            Some(there @ Seen::Folder(_)) if matches!(seen, Seen::Folder(_)) && *there == ON_THE_WAY => {
                *there = seen;
            }
            Some(_) => {}
            None => {
                self.nodes.insert(path.to_vec(), seen);
            }
        }
    }

    /// Lies in (or is) a folder that is seen as a whole.
    fn is_whole(&self, path: &[u8]) -> bool {
        let whole = |path: &[u8]| self.nodes.get(path) == Some(&Seen::Whole);
        whole(path) || ancestors(path).any(whole)
    }

    /// What is at `path`.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Seen> {
        self.nodes.get(path)
    }

    /// All that is seen, parents first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&[u8], &Seen)> {
        self.nodes.iter().map(|(path, seen)| (path.as_slice(), seen))
    }

    /// The outermost folders on disk.
    pub(crate) fn writable(&self) -> &[Vec<u8>] {
        &self.writable
    }

    /// The folder `path` is on disk, in which of the outermost ones.
    pub(crate) fn on_disk(&self, path: &[u8], spec: &OutputSpec) -> Option<usize> {
        let at = self.writable.iter().position(|writable| is_within(path, writable))?;
        let leads = |literal: &Vec<u8>| is_within(split(literal).0, path);
        let holds =
            path == self.writable[at] || spec.may_match_below(path) || spec.literals().iter().any(leads);
        holds.then_some(at)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::path::Path;

    use super::*;

    fn layout(outputs: &[&str], files: &[&str]) -> (Layout, OutputSpec) {
        let outputs: Vec<String> = outputs.iter().map(|text| (*text).to_owned()).collect();
        let spec = OutputSpec::new(Path::new("app"), &outputs).unwrap();
        let mut layout = Layout::new(b"app", &spec);
        for file in files {
            layout.add(file.as_bytes(), Seen::File);
        }
        (layout, spec)
    }

    #[test]
    fn where_outputs_come_to_be_is_on_disk_and_the_rest_in_memory() {
        let (found, spec) = layout(&["build/obj/a.o", "gen/**/*.h"], &["app/src/a.c", "app/gen/x/in"]);
        assert_eq!(found.writable(), [b"app/build/obj".to_vec(), b"app/gen".to_vec()]);
        assert_eq!(found.on_disk(b"app/src", &spec), None);
        assert_eq!(found.on_disk(b"app/build/obj", &spec), Some(0));
        assert_eq!(found.on_disk(b"app/gen/x", &spec), Some(1));
        assert_eq!(found.get(b"app/build"), Some(&Seen::Folder(0o755)));
    }

    #[test]
    fn below_a_folder_on_disk_only_what_leads_to_outputs_is_on_disk() {
        let (found, spec) = layout(&["dist", "out/x/y"], &["app/src/a.ts", "app/out/z"]);
        assert_eq!(found.writable(), [b"app".to_vec()]);
        assert_eq!(found.on_disk(b"app/src", &spec), None);
        assert_eq!(found.on_disk(b"app/out", &spec), Some(0));
        assert_eq!(found.on_disk(b"app/out/x", &spec), Some(0));
    }

    #[test]
    fn a_whole_folder_swallows_what_is_in_it_unless_outputs_go_there() {
        let (mut found, _) = layout(&["out/x"], &["lib/a", "lib/b/c"]);
        found.add(b"lib", Seen::Whole);
        found.add(b"lib/d", Seen::File);
        assert_eq!(found.get(b"lib"), Some(&Seen::Whole));
        assert_eq!(found.nodes().filter(|(path, _)| is_within(path, b"lib")).count(), 1);
        found.add(b"app", Seen::Whole);
        assert_eq!(found.get(b"app"), Some(&Seen::Folder(0o755)));
    }
}
