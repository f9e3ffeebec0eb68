//! [`Cover`]: which paths a set would hold if they were there; for what a command looked for and did not find.
//!
//! The same question as the walk answers for what is there, with the same ignore files, read once. Links on the way are not
//! followed: whoever asks has resolved the path.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Worktree;
use super::error::InputError;
use super::ignored::{self, Rules};
use super::pattern::{Patterns, Place, Via};
use super::spec::PathSpec;
use super::walk::All;

/// A set of paths, for questions about single ones.
#[derive(Debug)]
pub struct Cover {
    root: PathBuf,
    include: Patterns,
    exclude: Patterns,
    ignore: bool,
    rules: RefCell<HashMap<Vec<u8>, Rules>>,
}

/// How far the patterns are alive in a folder.
struct Alive {
    include: Vec<Place>,
    exclude: Vec<Place>,
    all: Option<All>,
    rules: Rules,
}

impl Worktree {
    /// The set as a whole, for single questions.
    ///
    /// # Errors
    /// Patterns that cannot be read.
    pub fn cover(&self, spec: &PathSpec) -> Result<Cover, InputError> {
        let (include, exclude) = spec.compile()?;
        let (root, ignore) = (self.disk.path.clone(), spec.ignore);
        Ok(Cover { root, include, exclude, ignore, rules: RefCell::default() })
    }
}

impl Cover {
    /// Whether the set would hold a file at `path` (from the root), or as a folder something in it.
    #[must_use]
    pub fn sees(&self, path: &[u8]) -> bool {
        self.go(path).is_some_and(|(_, end)| end)
    }

    /// Whether wildcards find new names in the folder `path`.
    #[must_use]
    pub fn finds_new_in(&self, path: &[u8]) -> bool {
        let Some((alive, _)) = self.go(path) else { return false };
        alive.all.is_some() || self.include.must_list(&alive.include)
    }

    /// Whether ignore files take the name out that is there.
    #[must_use]
    pub fn is_ignored(&self, path: &[u8]) -> bool {
        let folder = memchr::memrchr(b'/', path).map_or(&b""[..], |at| &path[..at]);
        let Some((alive, _)) = self.go(folder) else { return false };
        let is_folder = self.root.join(OsStr::from_bytes(path)).is_dir();
        self.ignore && ignored::is_ignored(&alive.rules, path, is_folder)
    }

    /// Goes down to `path`: what is alive below it, and whether it belongs to the set itself. `None`: excluded.
    fn go(&self, path: &[u8]) -> Option<(Alive, bool)> {
        let (include, root_counts) = self.include.start();
        let (exclude, root_excluded) = self.exclude.start();
        if root_excluded {
            return None;
        }
        let all = root_counts.then_some(All::Raw);
        let mut alive = Alive { include, exclude, all, rules: self.rules_in(None, b"") };
        let mut counts = root_counts;
        let mut at = 0;
        while at < path.len() {
            let end = memchr::memchr(b'/', &path[at..]).map_or(path.len(), |length| at + length);
            let is_last = end == path.len();
            let (below, here) = self.step(&alive, &path[..end], &path[at..end], is_last)?;
            (alive, counts) = (below, here);
            at = end + 1;
        }
        Some((alive, counts))
    }

    fn step(&self, alive: &Alive, path: &[u8], name: &[u8], is_last: bool) -> Option<(Alive, bool)> {
        let mut exclude = Vec::new();
        if self.exclude.step(&alive.exclude, name, &mut exclude, None, || true).is_some() {
            return None;
        }
        let is_git = name == b".git";
        let is_folder = !is_last || self.root.join(OsStr::from_bytes(path)).is_dir();
        let ignored = || self.ignore && ignored::is_ignored(&alive.rules, path, is_folder);
        let mut include = Vec::new();
        let end = self.include.step(&alive.include, name, &mut include, None, || !is_git && !ignored());
        let all = alive.all.filter(|all| match all {
            All::Raw => !is_git || !self.ignore,
            All::Filtered => !is_git && !ignored(),
        });
        let all = all.or((end == Some(Via::Name)).then_some(All::Raw));
        let rules = if is_folder { self.rules_in(alive.rules.clone(), path) } else { None };
        Some((Alive { include, exclude, all, rules }, all.is_some() || end.is_some()))
    }

    fn rules_in(&self, above: Rules, folder: &[u8]) -> Rules {
        if !self.ignore {
            return None;
        }
        if let Some(known) = self.rules.borrow().get(folder) {
            return known.clone();
        }
        let place = self.root.join(OsStr::from_bytes(folder));
        let read = |name: &&[u8]| {
            let file = place.join(OsStr::from_bytes(name));
            file.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
            std::fs::read(file).ok()
        };
        let texts: Vec<Vec<u8>> = ignored::NAMES.iter().filter_map(read).collect();
        let rules =
            if texts.is_empty() { above } else { ignored::deeper(above, ignored::compile(&texts), folder) };
        self.rules.borrow_mut().insert(folder.to_vec(), rules.clone());
        rules
    }
}
