//! Paths → a few patterns that say the same.
//!
//! A pattern is taken for several paths only if, on this disk, it finds nothing that was not read. In this order, outer folders first:
//!
//! | pattern | if |
//! |---|---|
//! | `src/**` | three files or more of several kinds, and nothing else is there; or some, and others were looked for in vain in its folders |
//! | `src/*` | the folder was listed, and not all names in it are declared otherwise, or are of one kind |
//! | `src/**/*.c` | three files or more of one kind in several folders |
//! | `src/*` | three files or more of several kinds are directly in it, those that were looked for in vain among them, and nothing else |
//! | `src/*.c` | three files or more of one kind, those that were looked for in vain among them; one is enough if the folder was listed |
//! | `deps` | more than thirty files are left there: the whole folder, read or not |
//! | `src` | only whether the folder is there was asked |
//! | `src/main.c` | the rest. What was looked for in vain is named like what is there: a literal input may be absent |
//!
//! The cookbook's own folder and those above it never become `**`: what is made there would be input.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::Place;
use super::seen::{Seen, is_bytecode};
use crate::recipe::{Inputs, Recipe};
use crate::worktree::PathSpec;

/// So many files of one kind are a pattern.
const MANY: usize = 3;

/// More single files than this in one folder are that folder, whatever else is in it.
const TOO_MANY: usize = 30;

/// The patterns for a recipe's inputs, relative to its cookbook, as they stand in its file.
pub(super) fn patterns(place: &Place<'_>, recipe: &Recipe, seen: &Seen) -> Vec<String> {
    let mut folding = Folding::new(place, recipe, seen);
    folding.subtrees();
    folding.lists();
    folding.kinds_below();
    folding.folders_of_many_kinds();
    folding.kinds();
    folding.rest();
    folding.folders_asked_for();
    let mut found: Vec<String> = seen.expressions.iter().cloned().collect();
    // What takes away comes last, as one reads it.
    let new = folding.taken.iter().filter(|pattern| !folding.declared().contains(pattern));
    let (without, with): (Vec<&String>, Vec<&String>) = new.partition(|pattern| pattern.starts_with('!'));
    found.extend(with.into_iter().chain(without).cloned());
    found
}

/// The patterns for a new recipe's outputs: what it wrote, a whole folder where all in it was.
pub(super) fn outputs(place: &Place<'_>, recipe: &Recipe, seen: &Seen) -> Vec<String> {
    let is_above = |folder: &Path| recipe.folder.starts_with(folder);
    let is_all_written = |folder: &Path| {
        let below = place.worktree.glob(folder, &["**".to_owned()]).unwrap_or_default();
        !below.is_empty() && below.iter().all(|path| seen.written.contains(path))
    };
    let mut found = BTreeSet::new();
    for path in &seen.written {
        let mut folders: Vec<&Path> = path.ancestors().skip(1).filter(|folder| !is_above(folder)).collect();
        folders.reverse();
        let whole = folders.into_iter().find(|folder| is_all_written(folder));
        found.insert(written(&relative(whole.unwrap_or(path), &recipe.folder)));
    }
    found.into_iter().collect()
}

/// A path as a pattern that means only it. What no pattern can say (bytes that are no text, control characters, spaces at an end) becomes `?`.
fn written(path: &Path) -> String {
    let text = path.as_os_str().as_bytes();
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' | '*' | '?' | '{' | '}' => out.extend(['\\', c]),
                c if c.is_control() => out.push('?'),
                c => out.push(c),
            }
        }
        out.extend(chunk.invalid().iter().map(|_| '?'));
    }
    if out.starts_with('!') {
        out.insert(0, '\\');
    }
    for end in [out.char_indices().next_back(), out.char_indices().next()] {
        if let Some((at, char)) = end
            && char.is_whitespace()
        {
            out.replace_range(at..at + char.len_utf8(), "?");
        }
    }
    out
}

/// `path` as seen from `folder`, both relative to the root.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let shared = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().count() - shared;
    let ups = std::iter::repeat_n(Component::ParentDir, up);
    let found: PathBuf = ups.chain(path.components().skip(shared)).collect();
    if found.as_os_str().is_empty() { PathBuf::from(".") } else { found }
}

/// What is left to say, and what was said.
struct Folding<'a> {
    place: &'a Place<'a>,
    recipe: &'a Recipe,
    seen: &'a Seen,
    /// Files that no pattern names yet.
    files: BTreeSet<PathBuf>,
    /// Absent files that no pattern names yet.
    absent: BTreeSet<PathBuf>,
    taken: BTreeSet<String>,
    found: RefCell<HashMap<String, BTreeSet<PathBuf>>>,
}

/// The ending of a name, with its dot.
fn kind(path: &Path) -> Option<&OsStr> {
    path.extension()
        .filter(|kind| kind.to_str().is_some_and(|kind| kind.bytes().all(|b| b.is_ascii_alphanumeric())))
}

impl<'a> Folding<'a> {
    fn new(place: &'a Place<'a>, recipe: &'a Recipe, seen: &'a Seen) -> Self {
        Self {
            place,
            recipe,
            seen,
            files: seen.files.clone(),
            absent: seen.absent.clone(),
            taken: BTreeSet::new(),
            found: RefCell::default(),
        }
    }

    /// A pattern in a folder, relative to the cookbook.
    fn pattern(&self, folder: &Path, tail: &str) -> String {
        let folder = relative(folder, &self.recipe.folder);
        if folder == Path::new(".") { tail.to_owned() } else { format!("{}/{tail}", written(&folder)) }
    }

    /// What a pattern finds.
    fn finds(&self, pattern: &str) -> BTreeSet<PathBuf> {
        let mut known = self.found.borrow_mut();
        let glob = || {
            let found = self.place.worktree.glob(&self.recipe.folder, &[pattern.to_owned()]);
            found.unwrap_or_default().into_iter().collect()
        };
        known.entry(pattern.to_owned()).or_insert_with(glob).clone()
    }

    /// It finds nothing that was not read, nor anything that a recipe makes.
    fn is_right(&self, pattern: &str) -> bool {
        let is_read = |path: &PathBuf| {
            // What one instance reads is nothing to the others.
            let is_anothers = self.seen.expressed.contains(path) && !self.seen.files.contains(path);
            self.seen.read.contains(path) && !self.seen.made.contains(path) && !is_anothers
        };
        let named = PathSpec::inputs(&self.recipe.folder, [pattern]);
        let is_made = |path: &PathBuf| named.names(path).unwrap_or(false);
        self.finds(pattern).iter().all(is_read) && !self.seen.outputs.iter().any(is_made)
    }

    /// Takes a pattern, and with it all that it names.
    fn take(&mut self, pattern: String) {
        let found = self.finds(&pattern);
        self.files.retain(|path| !found.contains(path));
        let named = PathSpec::inputs(&self.recipe.folder, [pattern.clone()]);
        self.absent.retain(|path| !named.names(path).unwrap_or(false));
        self.taken.insert(pattern);
    }

    /// Folders that hold files that are left, outermost first; without those that hold the cookbook, if `inner`.
    fn folders(&self, inner: bool) -> Vec<PathBuf> {
        let all = self.files.iter().chain(&self.absent).flat_map(|path| path.ancestors().skip(1));
        let all: BTreeSet<&Path> =
            all.filter(|folder| !inner || !self.recipe.folder.starts_with(folder)).collect();
        let mut all: Vec<PathBuf> = all.into_iter().map(Path::to_owned).collect();
        all.sort_by_key(|folder| folder.components().count());
        all
    }

    /// How many files of which kind are left in a folder; directly in it, or below it.
    fn counts(&self, folder: &Path, below: bool) -> BTreeMap<Option<&OsStr>, usize> {
        let is_in = |path: &&PathBuf| {
            if below { path.starts_with(folder) } else { path.parent() == Some(folder) }
        };
        let mut counts = BTreeMap::new();
        for path in self.files.iter().filter(is_in) {
            *counts.entry(kind(path)).or_default() += 1;
        }
        counts
    }

    /// The files that are left below a folder (of a kind) do not all lie in one folder of it.
    fn branches(&self, folder: &Path, kind: Option<&OsStr>) -> bool {
        let is_of = |path: &&PathBuf| kind.is_none() || path.extension() == kind;
        let below = self.files.iter().filter(is_of).filter_map(|path| path.strip_prefix(folder).ok());
        let first: BTreeSet<Option<Component<'_>>> =
            below.map(|path| path.components().next().filter(|_| path.components().count() > 1)).collect();
        first.len() > 1 || (kind.is_none() && first.contains(&None))
    }

    /// `src/**`.
    fn subtrees(&mut self) {
        for folder in self.folders(true) {
            let counts = self.counts(&folder, true);
            let count: usize = counts.values().sum();
            let is_mixed = counts.len() > 1 || counts.contains_key(&None);
            let pattern = self.pattern(&folder, "**");
            // A search path: much is looked for in it and its folders, and what is there was found.
            let is_in = |path: &&PathBuf| path.starts_with(&folder);
            let absent: Vec<&PathBuf> = self.absent.iter().filter(is_in).collect();
            let is_searched = count > 0
                && count + absent.len() >= MANY
                && absent.iter().any(|path| path.parent() != Some(&folder));
            let is_whole = count >= MANY && is_mixed && self.branches(&folder, None);
            if (is_whole || is_searched) && self.is_right(&pattern) {
                self.take(pattern);
            }
        }
    }

    /// `src/**/*.c`.
    fn kinds_below(&mut self) {
        let is_above =
            |folder: &PathBuf| self.recipe.folder.starts_with(folder) && self.recipe.folder != *folder;
        for folder in self.folders(false).into_iter().filter(|folder| !is_above(folder)).collect::<Vec<_>>() {
            for (kind, count) in owned(self.counts(&folder, true)) {
                let pattern = self.pattern(&folder, &format!("**/*.{}", kind.to_string_lossy()));
                if count >= MANY && self.branches(&folder, Some(&kind)) && self.is_right(&pattern) {
                    self.take(pattern);
                }
            }
        }
    }

    /// `src/*`.
    fn folders_of_many_kinds(&mut self) {
        for folder in self.folders(true) {
            let is_in = |path: &&PathBuf| path.parent() == Some(&folder);
            let all: Vec<&PathBuf> = self.files.iter().chain(&self.absent).filter(is_in).collect();
            let kinds: BTreeSet<Option<&OsStr>> = all.iter().map(|path| kind(path)).collect();
            let (count, pattern) = (all.len(), self.pattern(&folder, "*"));
            if count >= MANY && kinds.len() > 1 && self.is_right(&pattern) {
                self.take(pattern);
            }
        }
    }

    /// `src/*.c`.
    fn kinds(&mut self) {
        for folder in self.folders(false) {
            let is_listed = self.seen.all_listed.contains(&folder);
            let mut counts = owned(self.counts(&folder, false));
            for path in self.absent.iter().filter(|path| path.parent() == Some(&folder)) {
                if let Some(kind) = kind(path) {
                    *counts.entry(kind.to_owned()).or_default() += 1;
                }
            }
            for (kind, count) in counts {
                let pattern = self.pattern(&folder, &format!("*.{}", kind.to_string_lossy()));
                if (count >= MANY || is_listed) && self.is_right(&pattern) {
                    self.take(pattern);
                }
            }
        }
    }

    fn declared(&self) -> &'a [String] {
        match self.recipe.cache.as_ref().map(|cache| &cache.inputs) {
            Some(Inputs::Patterns(patterns)) => patterns,
            _ => &[],
        }
    }

    /// `src/*`, for listed folders whose names are not declared by what was read of them, and by patterns of one kind.
    fn lists(&mut self) {
        for folder in &self.seen.listed {
            let looks = |pattern: &String| lists(pattern, &relative(folder, &self.recipe.folder));
            let all = self.pattern(folder, "*");
            let is_known = self.names_in(folder, &all).iter().all(|name| self.will_be_known(name));
            let kinds = self.counts(folder, false);
            let is_one_kind = kinds.len() == 1 && !kinds.contains_key(&None);
            let has_wildcard = self.declared().iter().chain(&self.taken).any(looks) || is_one_kind;
            if is_known && has_wildcard {
                continue;
            }
            let relative = |path: &PathBuf| format!("!{}", written(&relative(path, &self.recipe.folder)));
            let foreign = self.seen.foreign.iter().filter(|path| path.parent() == Some(folder));
            let foreign: Vec<String> = foreign.map(relative).collect();
            self.take(all);
            self.taken.extend(foreign);
        }
    }

    /// What a listing tells: files that are not ignored, and folders; without what every project has, and what is made.
    fn names_in(&self, folder: &Path, all: &str) -> Vec<PathBuf> {
        let files = self.finds(all);
        let entries = std::fs::read_dir(self.place.root.join(folder)).into_iter().flatten().flatten();
        let names = entries.map(|entry| folder.join(entry.file_name()));
        let counts = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().as_bytes();
            let is_usual = name.starts_with(b".git") || name == b".larder" || name.ends_with(b"cookbook.yml");
            let is_usual = is_usual || matches!(name, b"larder.yml" | b"bake.yml");
            let is_there = files.contains(path) || self.place.root.join(path).is_dir();
            is_there && !is_usual && !is_bytecode(path) && !self.seen.known.contains(path)
        };
        names.filter(counts).collect()
    }

    /// A file that is to be declared, or is; a folder with such files.
    fn will_be_known(&self, path: &Path) -> bool {
        let spec = PathSpec::inputs(&self.recipe.folder, self.declared().iter().chain(&self.taken).cloned());
        let mut below = self.seen.read.range(path.to_owned()..);
        self.seen.read.contains(path)
            || spec.names(path).unwrap_or(false)
            || below.next().is_some_and(|found| found.starts_with(path))
    }

    /// `src`, for folders of which only was asked that they are there.
    fn folders_asked_for(&mut self) {
        let is_above = |folder: &&PathBuf| !self.recipe.folder.starts_with(folder);
        for folder in self.seen.folders.iter().filter(is_above) {
            let patterns: Vec<String> = self.declared().iter().chain(&self.taken).cloned().collect();
            let spec = PathSpec::inputs(&self.recipe.folder, patterns.iter().cloned());
            let mut files = patterns.iter().flat_map(|pattern| self.finds(pattern));
            let is_known = spec.names(folder).unwrap_or(false)
                || files.any(|file| file.starts_with(folder))
                || self.seen.expressed.iter().any(|file| file.starts_with(folder));
            if !is_known {
                self.taken.insert(written(&relative(folder, &self.recipe.folder)));
            }
        }
    }

    fn rest(&mut self) {
        for folder in self.folders(true) {
            if self.files.iter().filter(|path| path.starts_with(&folder)).count() > TOO_MANY {
                self.files.retain(|path| !path.starts_with(&folder));
                self.absent.retain(|path| !path.starts_with(&folder));
                self.taken.insert(written(&relative(&folder, &self.recipe.folder)));
            }
        }
        for path in std::mem::take(&mut self.files) {
            self.taken.insert(written(&relative(&path, &self.recipe.folder)));
        }
        let absent = std::mem::take(&mut self.absent);
        for path in &absent {
            // What is below a folder that is not there needs no name of its own.
            if !path.ancestors().skip(1).any(|above| absent.contains(above)) {
                self.taken.insert(written(&relative(path, &self.recipe.folder)));
            }
        }
    }
}

fn owned(counts: BTreeMap<Option<&OsStr>, usize>) -> BTreeMap<std::ffi::OsString, usize> {
    counts.into_iter().filter_map(|(kind, count)| Some((kind?.to_owned(), count))).collect()
}

/// Whether a pattern tries a wildcard on the names in a folder; both relative to the cookbook.
pub(super) fn lists(pattern: &str, folder: &Path) -> bool {
    let folder: Vec<String> = folder
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| written(Path::new(part.as_os_str())))
        .collect();
    let parts: Vec<&str> = pattern.split('/').collect();
    for (at, part) in parts.iter().enumerate() {
        let is_wild = part.contains(['*', '?']) && !part.contains('\\');
        if *part == "**" {
            return true;
        }
        match folder.get(at) {
            None => return is_wild,
            Some(name) if name == part => {}
            Some(_) if is_wild => {}
            Some(_) => return false,
        }
    }
    // A folder that is named is there with all below it.
    true
}
