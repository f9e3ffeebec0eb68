//! [`Sight`]: what a plan reads, and how it is looked at.
//!
//! A recipe with `cache` reads its inputs. One without is concerned by all of its cookbook's folder less what is ignored and less what recipes of the plan
//! own. A server is concerned by what it depends on, not by files: it writes some itself. Definitions are the files that the configuration was read from, and the answers that it got about files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use larder_core::Digest;

use super::asked::{Asked, Glob};
use crate::config::discover::{ROOT_FILES, is_cookbook};
use crate::config::{Listing, Project};
use crate::engine::{Report, input_set_of};
use crate::listing::{COOKBOOKS, WorktreeListing};
use crate::outputs::OutputSpec;
use crate::plan::Plan;
use crate::recipe::{Recipe, RecipeId};
use crate::state::State;
use crate::worktree::{Entry, EntryKind, FsTime, PathSpec, Stat, Worktree};

/// Outputs in more folders than this are only watched where they begin: looking finds what changed deeper at the next ring.
const MOST_OUTPUT_FOLDERS: usize = 1_000;

/// Folders that hold definitions whatever is in them.
const OF_DEFINITIONS: [&str; 4] =
    [".larder/templates", ".larder/helpers", ".bake/templates", ".bake/helpers"];

/// See the module's header.
#[derive(Debug)]
pub struct Sight {
    root: PathBuf,
    inputs: Vec<PathSpec>,
    definitions: PathSpec,
    cookbooks: BTreeSet<PathBuf>,
    globs: Vec<Glob>,
    owned: Vec<OutputSpec>,
    globbed: BTreeSet<Vec<u8>>,
    /// Recipes that are concerned by everything in a folder.
    open: Vec<(RecipeId, PathBuf)>,
    outputs: Vec<PathSpec>,
}

/// What was seen at one moment.
#[derive(Clone, Debug, Default)]
pub struct Look {
    definitions: BTreeMap<PathBuf, Seen>,
    cookbooks: BTreeSet<PathBuf>,
    globs: Vec<Option<Vec<PathBuf>>>,
    roots: Vec<Option<Digest>>,
    files: BTreeMap<PathBuf, Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    kind: EntryKind,
    stat: Stat,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is new.
    Added,
    /// It is not what it was.
    Changed,
    /// It is gone.
    Removed,
    /// It was written or replaced, and is what it was.
    Touched,
}

/// A path that is not as before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// From the root.
    pub path: PathBuf,
    /// What happened to it.
    pub how: How,
}

fn seen(entries: Vec<Entry>) -> impl Iterator<Item = (PathBuf, Seen)> {
    entries.into_iter().map(|entry| {
        // The times of a folder tell of what is in it, and that is here too.
        let is_folder = matches!(entry.kind, EntryKind::Directory { .. });
        let stat = if is_folder { Stat::default() } else { entry.stat };
        (entry.path, Seen { kind: entry.kind, stat })
    })
}

fn compare(before: &BTreeMap<PathBuf, Seen>, now: &BTreeMap<PathBuf, Seen>) -> Vec<Change> {
    let gone = before.keys().filter(|path| !now.contains_key(*path)).map(|path| (path, How::Removed));
    let here = now.iter().filter_map(|(path, seen)| {
        let how = match before.get(path) {
            None => How::Added,
            Some(before) if before.kind != seen.kind => How::Changed,
            Some(before) if before.stat != seen.stat => How::Touched,
            Some(_) => return None,
        };
        Some((path, how))
    });
    let mut changes: Vec<Change> =
        gone.chain(here).map(|(path, how)| Change { path: path.clone(), how }).collect();
    changes.sort();
    changes
}

impl Sight {
    /// What `plan` reads, as this worktree knows it now. `asked`: what the configuration asked when the plan was made.
    ///
    /// # Errors
    /// When the state folder cannot be used.
    pub fn new(project: &Project, plan: &Plan, asked: &Asked<'_>) -> io::Result<Self> {
        Self::with(project, plan, asked.take())
    }

    fn with(project: &Project, plan: &Plan, globs: Vec<Glob>) -> io::Result<Self> {
        let state = State::open(&project.root)?;
        let mut sight = Self::of_definitions(&project.root, &files_of(project));
        sight.cookbooks = cookbooks_of(project);
        sight.globs = globs;
        for recipe in &plan.recipes {
            let cache = recipe.cache.as_ref();
            let outputs = cache.map(|cache| OutputSpec::new(&recipe.folder, &cache.outputs));
            sight.owned.extend(outputs.and_then(Result::ok));
            sight.globbed.extend(state.placed(&recipe.id).map(|placed| placed.globbed).into_iter().flatten());
        }
        for recipe in &plan.recipes {
            sight.add(recipe, &state);
        }
        sight.inputs.sort_by(|a, b| a.folder.cmp(&b.folder));
        sight.inputs.dedup();
        Ok(sight)
    }

    /// As [`Self::new`] after a run of the same plan, which may own other paths now.
    ///
    /// # Errors
    /// When the state folder cannot be used.
    pub fn again(&self, project: &Project, plan: &Plan) -> io::Result<Self> {
        Self::with(project, plan, self.globs.clone())
    }

    /// The definitions alone, while they are broken; `known`: those of the last time when they were not.
    #[must_use]
    pub fn of_definitions(root: &Path, known: &[PathBuf]) -> Self {
        let mut definitions = PathSpec { follow: true, ..PathSpec::default() };
        let names = ROOT_FILES.iter().map(|(name, _)| *name).chain(OF_DEFINITIONS);
        definitions.paths = names.map(PathBuf::from).chain(known.iter().cloned()).collect();
        definitions.paths.sort();
        definitions.paths.dedup();
        Self {
            root: root.to_owned(),
            inputs: Vec::new(),
            definitions,
            cookbooks: BTreeSet::new(),
            globs: Vec::new(),
            owned: Vec::new(),
            globbed: BTreeSet::new(),
            open: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn add(&mut self, recipe: &Recipe, state: &State) {
        let tools = recipe.tools.iter().filter(|tool| tool.contains('/') && !tool.starts_with('/')).cloned();
        let tools: Vec<String> = tools.collect();
        if !tools.is_empty() {
            let mut spec = PathSpec::inputs(&recipe.folder, tools);
            spec.ignore = false;
            self.inputs.push(spec);
        }
        let globbed = state.placed(&recipe.id).map(|placed| placed.globbed).unwrap_or_default();
        if let Some((spec, all)) = input_set_of(recipe, &globbed) {
            self.inputs.push(spec);
            self.inputs.extend(all);
        } else if !recipe.persistent {
            let mut spec = PathSpec::inputs(&recipe.folder, Vec::<String>::new());
            spec.whole_folder = true;
            let path = |bytes: &Vec<u8>| PathBuf::from(OsStr::from_bytes(bytes));
            let literals = self.owned.iter().flat_map(|owned| owned.literals());
            spec.exclude_paths = literals.chain(&self.globbed).map(path).collect();
            self.inputs.push(spec);
            self.open.push((recipe.id.clone(), recipe.folder.clone()));
        }
    }

    /// Also watches the outputs that a run left.
    pub fn add_outputs(&mut self, report: &Report) {
        self.outputs =
            report.outputs().map(|(_, spec)| spec.clone()).filter(|spec| !spec.paths.is_empty()).collect();
    }

    fn is_owned(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        self.globbed.contains(bytes) || self.owned.iter().any(|owned| owned.owns(bytes))
    }

    /// Looks. The caller begins a new epoch of the worktree.
    #[must_use]
    pub fn look(&self, worktree: &Worktree, full: bool) -> Look {
        let mut look = Look { cookbooks: self.find_cookbooks(worktree), ..Look::default() };
        let definitions = self.all_definitions(&look.cookbooks);
        look.definitions = worktree.entries(&definitions).map(seen).into_iter().flatten().collect();
        let listing = WorktreeListing::new(worktree, &self.root);
        let again = |glob: &Glob| listing.glob(&glob.folder, &glob.patterns).ok();
        look.globs = self.globs.iter().map(again).collect();
        let root = |spec| worktree.digest_of(spec).ok().map(|summary| summary.root);
        look.roots = self.inputs.iter().map(root).collect();
        if full {
            for spec in &self.inputs {
                look.files.extend(worktree.entries(spec).map(seen).into_iter().flatten());
            }
        }
        look
    }

    fn relative<'p>(&self, folder: &'p Path) -> &'p Path {
        folder.strip_prefix(&self.root).unwrap_or(folder)
    }

    fn find_cookbooks(&self, worktree: &Worktree) -> BTreeSet<PathBuf> {
        let listing = WorktreeListing::new(worktree, &self.root);
        listing.files_named(&self.root, &is_cookbook).unwrap_or_default().into_iter().collect()
    }

    fn all_definitions(&self, cookbooks: &BTreeSet<PathBuf>) -> PathSpec {
        let mut definitions = self.definitions.clone();
        definitions.paths.extend(cookbooks.iter().cloned());
        definitions.paths.sort();
        definitions.paths.dedup();
        definitions
    }

    /// The folders that what was seen depends upon, from the root.
    #[must_use]
    pub fn folders(&self, worktree: &Worktree) -> BTreeSet<PathBuf> {
        // Asked only so that the worktree notes what the answer depends upon.
        let definitions = self.all_definitions(&self.find_cookbooks(worktree));
        let known = worktree.digest_of(&definitions).is_ok();
        let cookbooks = COOKBOOKS.map(str::to_owned);
        let globs = self.globs.iter().map(|glob| (self.relative(&glob.folder), &*glob.patterns));
        let globs = globs.chain(std::iter::once((Path::new(""), &cookbooks[..])));
        let sets = self.inputs.iter().chain(known.then_some(&definitions));
        let mut folders = worktree.folders(sets, globs);
        let near = |path: &PathBuf| path.parent().map(Path::to_owned);
        folders.extend(definitions.paths.iter().filter_map(near));
        // Where a set could not be looked at, its folder is the best that is known.
        folders.extend(self.inputs.iter().map(|spec| spec.folder.clone()));
        let outputs = worktree.folders(self.outputs.iter(), std::iter::empty());
        if outputs.len() <= MOST_OUTPUT_FOLDERS {
            folders.extend(outputs);
        } else {
            folders.extend(self.outputs.iter().flat_map(|spec| &spec.paths).filter_map(near));
        }
        folders
    }

    /// Whether `now` may tell of something that `before` did not; neither needs to be full.
    #[must_use]
    pub fn may_differ(&self, before: &Look, now: &Look) -> bool {
        before.roots != now.roots || self.is_redefined(before, now)
    }

    /// Whether the configuration may be another.
    #[must_use]
    pub fn is_redefined(&self, before: &Look, now: &Look) -> bool {
        let kinds = |look: &Look| {
            look.definitions.iter().map(|(p, s)| (p.clone(), s.kind.clone())).collect::<Vec<_>>()
        };
        before.cookbooks != now.cookbooks || before.globs != now.globs || kinds(before) != kinds(now)
    }

    /// Whether the configuration, which was read after `since`, may be another than the one that was seen.
    #[must_use]
    pub fn is_outdated(&self, look: &Look, since: FsTime) -> bool {
        let found = self.globs.iter().map(|glob| &glob.found);
        self.cookbooks != look.cookbooks
            || !found.eq(look.globs.iter())
            || look.definitions.values().any(|seen| seen.stat.ctime >= since)
    }

    /// What is different between two full looks, less what recipes own.
    #[must_use]
    pub fn changes(&self, before: &Look, now: &Look) -> Vec<Change> {
        let mut changes = compare(&before.files, &now.files);
        changes.retain(|change| !self.is_owned(&change.path));
        let definitions = compare(&before.definitions, &now.definitions);
        changes.extend(definitions.into_iter().filter(|change| change.how != How::Touched));
        changes.sort();
        changes.dedup_by(|a, b| a.path == b.path);
        changes
    }

    /// The recipes without inputs of their own that these changes concern.
    #[must_use]
    pub fn concerned(&self, changes: &[Change]) -> BTreeSet<RecipeId> {
        let is_concerned = |folder: &PathBuf| changes.iter().any(|change| change.path.starts_with(folder));
        self.open.iter().filter(|(_, folder)| is_concerned(folder)).map(|(id, _)| id.clone()).collect()
    }
}

impl Look {
    /// How many files were seen; of a full look.
    #[must_use]
    pub fn files(&self) -> usize {
        let is_file = |seen: &&Seen| !matches!(seen.kind, EntryKind::Directory { .. });
        let others = self.definitions.iter().filter(|(path, _)| !self.files.contains_key(*path));
        self.files.values().filter(is_file).count() + others.map(|(_, seen)| seen).filter(is_file).count()
    }

    /// Something could not be looked at: it may mend without a ring.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.roots.iter().any(Option::is_none) || self.globs.iter().any(Option::is_none)
    }
}

fn cookbooks_of(project: &Project) -> BTreeSet<PathBuf> {
    let files = project.definitions().into_iter().filter(|(_, cookbook)| cookbook.is_some());
    files.map(|(file, _)| file).filter(|file| file.file_name().is_some_and(is_cookbook)).collect()
}

/// The files that a project was read from, as far as it names them.
#[must_use]
pub fn files_of(project: &Project) -> Vec<PathBuf> {
    project.definitions().into_iter().map(|(file, _)| file).collect()
}
