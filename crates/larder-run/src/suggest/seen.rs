//! [`Seen`]: what of a trace is in question, by kind, with paths relative to the project's root.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{Note, Observed, Place};
use crate::installation::installation;
use crate::outputs::OutputSpec;
use crate::recipe::{Inputs, Recipe, RecipeId};
use crate::trace::AccessKind;
use crate::worktree::PathSpec;

/// What was seen of one recipe, or of all instances of one.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Files that were read or run, declared or not; where links lead, too.
    pub(super) read: BTreeSet<PathBuf>,
    /// Files that were read or run and are to be declared.
    pub(super) files: BTreeSet<PathBuf>,
    /// Folders of which only was asked that they are there, to be declared.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Looked for in vain, to be declared.
    pub(super) absent: BTreeSet<PathBuf>,
    /// Listed, to be declared.
    pub(super) listed: BTreeSet<PathBuf>,
    /// All that were listed.
    pub(super) all_listed: BTreeSet<PathBuf>,
    /// Written, and there.
    pub(super) written: BTreeSet<PathBuf>,
    /// Written, and perhaps gone again; folders too.
    pub(super) made: BTreeSet<PathBuf>,
    /// Single paths that the recipe, or one that it does not depend on, makes: never to be found by its patterns.
    pub(super) outputs: BTreeSet<PathBuf>,
    /// Names of which a listing said nothing, because the recipe may write them or read them of others.
    pub(super) known: BTreeSet<PathBuf>,
    /// Single paths that recipes make which it does not depend on.
    pub(super) foreign: BTreeSet<PathBuf>,
    /// Files that an expression stands for in their instance.
    pub(super) expressed: BTreeSet<PathBuf>,
    /// Expressions that stand for a file of an instance: `{{matrix.file}}`.
    pub(super) expressions: BTreeSet<String>,
    /// Paths in the user's own folder, relative to it.
    pub(super) at_home: BTreeSet<PathBuf>,
    /// Something is not declared.
    pub(super) is_wanting: bool,
    /// What cannot be proposed.
    pub(super) notes: BTreeSet<Note>,
}

impl Seen {
    /// What was seen of one recipe.
    pub(super) fn of(place: &Place<'_>, observed: &Observed<'_>) -> Self {
        let mut seen = Self::default();
        let makers = Makers::new(place, observed.recipe);
        (seen.outputs, seen.foreign) = makers.singles();
        for access in &observed.trace.accesses {
            let Ok(path) = access.path.strip_prefix(place.root) else { continue };
            if is_own(path) || is_bytecode(path) {
                continue;
            }
            match access.kind {
                AccessKind::Read | AccessKind::Executed => {
                    seen.read.insert(path.to_owned());
                    let real = access.path.canonicalize().ok();
                    let real = real.as_deref().and_then(|real| real.strip_prefix(place.root).ok());
                    seen.read.extend(real.map(Path::to_owned));
                }
                AccessKind::Listed => {
                    seen.all_listed.insert(path.to_owned());
                }
                AccessKind::Written => {
                    seen.made.insert(path.to_owned());
                    if access.path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
                        seen.written.insert(path.to_owned());
                    }
                }
                AccessKind::Missing => {}
            }
        }
        for undeclared in &observed.undeclared.found {
            let access = &undeclared.access;
            match access.path.strip_prefix(place.root) {
                Ok(path) if path.starts_with(".git") => {
                    seen.notes.insert(Note::Git);
                }
                Ok(path) if is_bytecode(path) => {
                    seen.notes.insert(Note::Bytecode);
                }
                Ok(path) if access.kind == AccessKind::Written => {
                    if seen.written.contains(path) {
                        seen.notes.insert(Note::Writes { path: path.to_owned() });
                    }
                }
                Ok(path) => {
                    if matches!(access.kind, AccessKind::Read | AccessKind::Executed) {
                        seen.read.insert(path.to_owned());
                        if makers.makes(path) && access.path.is_file() {
                            seen.notes.insert(Note::OwnOutput { path: path.to_owned() });
                        }
                    }
                    seen.is_wanting |= seen.take(place, observed.recipe, &makers, path, access.kind);
                }
                Err(_) => seen.at_home.extend(below_home(place, &access.path)),
            }
        }
        let is_listed =
            matches!(observed.recipe.cache.as_ref().map(|cache| &cache.inputs), Some(Inputs::Patterns(_)));
        if !is_listed {
            seen.take_all(place, observed, &makers);
        }
        seen
    }

    /// Everything in the project, for a recipe that has no list of inputs.
    fn take_all(&mut self, place: &Place<'_>, observed: &Observed<'_>, makers: &Makers) {
        let ignore = observed.recipe.trace.ignore.iter().filter(|pattern| !pattern.starts_with("~/"));
        let ignored = PathSpec::inputs("", ignore.cloned());
        let is_ignored = |path: &Path| !ignored.patterns.is_empty() && ignored.names(path).unwrap_or(false);
        for access in &observed.trace.accesses {
            if let Ok(path) = access.path.strip_prefix(place.root)
                && access.kind != AccessKind::Written
                && !path.starts_with(".git")
                && !is_ignored(path)
            {
                self.take(place, observed.recipe, makers, path, access.kind);
            }
        }
    }

    /// Something to be declared. Whether it is.
    fn take(
        &mut self,
        place: &Place<'_>,
        recipe: &Recipe,
        makers: &Makers,
        path: &Path,
        kind: AccessKind,
    ) -> bool {
        // Compilers try `-lm` as a file.
        let is_option = kind == AccessKind::Missing
            && path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"-"));
        if is_option
            || is_own(path)
            || is_bytecode(path)
            || makers.gives(path)
            || self.is_made_by_itself(path)
        {
            return false;
        }
        if let Some(by) = makers.foreign(path) {
            self.notes.insert(Note::Foreign { path: path.to_owned(), by: by.clone() });
            return false;
        }
        let found = std::fs::symlink_metadata(place.root.join(path)).ok();
        match (kind, found) {
            (AccessKind::Missing, None) => self.absent.insert(path.to_owned()),
            (AccessKind::Listed, Some(_)) => {
                let names = std::fs::read_dir(place.root.join(path)).into_iter().flatten().flatten();
                let names = names.map(|entry| path.join(entry.file_name()));
                for name in names {
                    if makers.gives(&name) {
                        self.known.insert(name);
                    } else if let Some(by) = makers.foreign(&name) {
                        self.notes.insert(Note::Lists { path: name, by: by.clone() });
                    }
                }
                self.listed.insert(path.to_owned())
            }
            (AccessKind::Read | AccessKind::Executed, Some(found)) if found.is_dir() => {
                self.folders.insert(path.to_owned())
            }
            (AccessKind::Read | AccessKind::Executed, Some(_)) => {
                if let Some(expression) = expression(place, recipe, path) {
                    self.expressed.insert(path.to_owned());
                    self.expressions.insert(expression)
                } else {
                    self.files.insert(path.to_owned())
                }
            }
            // It came or went meanwhile.
            _ => false,
        };
        true
    }

    /// The command made it, or a folder that it is in.
    fn is_made_by_itself(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.made.contains(above))
    }

    /// Adds what another instance was seen to do.
    pub(super) fn merge(&mut self, other: Self) {
        self.read.extend(other.read);
        self.files.extend(other.files);
        self.folders.extend(other.folders);
        self.absent.extend(other.absent);
        self.listed.extend(other.listed);
        self.all_listed.extend(other.all_listed);
        self.written.extend(other.written);
        self.made.extend(other.made);
        self.outputs.extend(other.outputs);
        self.foreign.extend(other.foreign);
        self.expressed.extend(other.expressed);
        self.known.extend(other.known);
        self.at_home.extend(other.at_home);
        self.expressions.extend(other.expressions);
        self.is_wanting |= other.is_wanting;
        self.notes.extend(other.notes);
    }

    /// What was touched in the user's own folder and does not belong to these programs: for each name in it, the folder that has it all.
    pub(super) fn homes(&self, place: &Place<'_>, tools: &[PathBuf]) -> BTreeSet<Note> {
        let Some(home) = place.home else { return BTreeSet::new() };
        let installed: Vec<PathBuf> =
            tools.iter().flat_map(|tool| installation(tool, place.root, Some(home))).collect();
        let mut groups: BTreeMap<Component<'_>, (PathBuf, usize)> = BTreeMap::new();
        for path in &self.at_home {
            let Some(first) = path.components().next() else { continue };
            if installed.iter().any(|place| home.join(path).starts_with(place)) {
                continue;
            }
            let (common, count) = groups.entry(first).or_insert_with(|| (path.clone(), 0));
            *count += 1;
            let shared = common.components().zip(path.components()).take_while(|(one, other)| one == other);
            *common = shared.map(|(part, _)| part).collect();
        }
        let note = |(common, paths): (PathBuf, usize)| Note::Home {
            folder: format!("~/{}", common.display()),
            paths,
        };
        groups.into_values().map(note).collect()
    }

    /// Declared patterns of which nothing was read. One that finds nothing, or is there for what may come, is none.
    pub(super) fn never_read(&self, place: &Place<'_>, recipe: &Recipe) -> BTreeSet<String> {
        let Some(Inputs::Patterns(patterns)) = recipe.cache.as_ref().map(|cache| &cache.inputs) else {
            return BTreeSet::new();
        };
        let is_idle = |pattern: &&String| {
            let found =
                place.worktree.glob(&recipe.folder, std::slice::from_ref(*pattern)).unwrap_or_default();
            let is_touched = |path: &PathBuf| {
                self.read.contains(path) || path.parent().is_some_and(|above| self.all_listed.contains(above))
            };
            !found.is_empty() && !found.iter().any(is_touched)
        };
        patterns.iter().filter(|pattern| !pattern.starts_with('!')).filter(is_idle).cloned().collect()
    }
}

fn below_home(place: &Place<'_>, path: &Path) -> Option<PathBuf> {
    path.strip_prefix(place.home?).ok().map(Path::to_owned)
}

/// Larder's own files.
fn is_own(path: &Path) -> bool {
    path.starts_with(".larder/state")
}

/// What Python keeps of modules that it has read, beside them.
pub(super) fn is_bytecode(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "__pycache__")
}

/// `{{matrix.AXIS}}`, if the path is the value of that axis in this instance.
fn expression(place: &Place<'_>, recipe: &Recipe, path: &Path) -> Option<String> {
    let label = recipe.id.instance.as_deref()?;
    let axes = place.axes.get(&(recipe.id.cookbook.clone(), recipe.id.recipe.clone()))?;
    let values: Vec<&str> = if axes.len() == 1 { vec![label] } else { label.split(',').collect() };
    if values.len() != axes.len() {
        return None;
    }
    let at = values.iter().position(|value| recipe.folder.join(value) == path)?;
    Some(format!("{{{{matrix.{}}}}}", axes[at]))
}

/// Who makes what.
struct Makers {
    own: Option<OutputSpec>,
    /// Its own outputs, and those of its direct dependencies.
    given: Vec<OutputSpec>,
    /// Those of recipes that it does not depend on, directly or not.
    others: Vec<(RecipeId, OutputSpec)>,
}

impl Makers {
    fn new(place: &Place<'_>, recipe: &Recipe) -> Self {
        let find = |id: &RecipeId| place.recipes.iter().find(|other| other.id == *id);
        let mut known: BTreeSet<&RecipeId> = BTreeSet::from([&recipe.id]);
        let mut open: Vec<&RecipeId> = recipe.dependencies.iter().collect();
        while let Some(id) = open.pop() {
            if known.insert(id) {
                open.extend(find(id).into_iter().flat_map(|recipe| &recipe.dependencies));
            }
        }
        let spec = |other: &Recipe| OutputSpec::new(&other.folder, &other.cache.as_ref()?.outputs).ok();
        let near = std::iter::once(recipe).chain(recipe.dependencies.iter().filter_map(find));
        let far = place.recipes.iter().filter(|other| !known.contains(&other.id));
        Self {
            own: spec(recipe),
            given: near.filter_map(spec).collect(),
            others: far.filter_map(|other| Some((other.id.clone(), spec(other)?))).collect(),
        }
    }

    fn gives(&self, path: &Path) -> bool {
        self.given.iter().any(|spec| spec.covers(path.as_os_str().as_bytes()))
    }

    /// It is an output of the recipe itself.
    fn makes(&self, path: &Path) -> bool {
        self.own.as_ref().is_some_and(|spec| spec.covers(path.as_os_str().as_bytes()))
    }

    /// Outputs without wildcards: of itself and of others that it does not depend on, and of the latter.
    fn singles(&self) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
        let path = |bytes: &Vec<u8>| PathBuf::from(OsStr::from_bytes(bytes));
        let foreign: BTreeSet<PathBuf> =
            self.others.iter().flat_map(|(_, spec)| spec.literals().iter().map(path)).collect();
        let own = self.own.iter().flat_map(|spec| spec.literals().iter().map(path));
        (own.chain(foreign.iter().cloned()).collect(), foreign)
    }

    fn foreign(&self, path: &Path) -> Option<&RecipeId> {
        let by = self.others.iter().find(|(_, spec)| spec.covers(path.as_os_str().as_bytes()));
        by.map(|(id, _)| id)
    }
}
