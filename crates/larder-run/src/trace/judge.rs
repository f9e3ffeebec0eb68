//! [`judge`]: what of a [`Trace`] the recipe does not declare.
//!
//! In question is what lies in the project or in the user's home; of places within one another the innermost decides, so that a
//! project in a temporary folder is in question and a temporary folder in a project is not. What an access means:
//!
//! | seen | declared if |
//! |---|---|
//! | a file or link, read or executed | it is an input, or an output of a direct dependency, or belongs to a tool |
//! | a folder, looked up | something declared is it or lies in it, or a pattern would find something there |
//! | nothing, looked up | a pattern would see it if it came to be; or it is an output |
//! | a folder, listed | all names in it are declared or ignored, and wildcards of the inputs find new ones (or all are outputs) |
//! | something in the project, written | it is an output |
//!
//! Links on the way are gone through: each is read, and what they lead to is what was touched. The recipe's own outputs that
//! were there before it ran and are read are no inputs of its key, so they are named, unless it is incremental. Looking for a
//! program in the folders of `PATH` in the home and finding nothing there is what `tools:` is for; looking for a repository
//! (`.git` and its like) says where a project begins, and an option that is tried as a file (`-lc`) is none. They are not named;
//! what is in `.git` is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::access::{Access, AccessKind, Trace};
use crate::installation::installation;
use crate::links::follow;
use crate::outputs::{OutputSpec, is_within};
use crate::worktree::Cover;

/// Where a repository begins.
const REPOSITORIES: [&[u8]; 7] = [b".git", b".hg", b".svn", b".bzr", b".jj", b"_FOSSIL_", b".fslckout"];

/// Their names; what is in them counts when they are read.
const IGNORE_FILES: [&[u8]; 4] = [b".gitignore", b".ignore", b".bakeignore", b".larderignore"];

/// One access that nothing declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UndeclaredAccess {
    /// What was seen.
    pub access: Access,
    /// The path as a person says it: relative to the project's root, or `~/…`. A folder that was listed ends in `/`.
    pub name: String,
}

/// What a command touched and its recipe does not declare, in the order of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undeclared {
    /// All of it.
    pub found: Vec<UndeclaredAccess>,
}

impl Undeclared {
    /// Everything that was touched is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was read, looked up, listed or executed.
    pub fn inputs(&self) -> impl Iterator<Item = &UndeclaredAccess> {
        self.found.iter().filter(|found| found.access.kind != AccessKind::Written)
    }

    /// What was written.
    pub fn outputs(&self) -> impl Iterator<Item = &UndeclaredAccess> {
        self.found.iter().filter(|found| found.access.kind == AccessKind::Written)
    }
}

/// What a direct dependency made.
#[derive(Debug)]
pub struct FromDependency {
    /// What it may write.
    pub spec: OutputSpec,
    /// What it wrote: its literals, and what its globs captured, from the root.
    pub paths: Vec<Vec<u8>>,
}

/// What a recipe declares, and where it runs. Paths of files are absolute, without links; those called "from the root" are
/// relative to the project's.
#[derive(Debug)]
pub struct Declared {
    /// The project's root.
    pub root: PathBuf,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// The cookbook's folder, from the root.
    pub folder: Vec<u8>,
    /// Files and links that count as inputs, from the root.
    pub inputs: BTreeSet<Vec<u8>>,
    /// What would be an input if it were there; `None`: nothing.
    pub cover: Option<Cover>,
    /// What the recipe writes.
    pub outputs: OutputSpec,
    /// It may read what it wrote before.
    pub incremental: bool,
    /// What it may read of others.
    pub dependencies: Vec<FromDependency>,
    /// Programs of `tools:`, as found.
    pub tools: Vec<PathBuf>,
    /// Folders that are not in question: temporary ones, Larder's own.
    pub exempt: Vec<PathBuf>,
    /// Folders where programs are looked for.
    pub search: Vec<PathBuf>,
    /// Patterns of what is not in question: from the root, or `~/…`.
    pub ignore: Vec<String>,
}

/// Whose a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Project,
    Home,
    Free,
}

/// Says what is not declared.
#[must_use]
pub fn judge(trace: &Trace, declared: &Declared) -> Undeclared {
    let mut judge = Judge::new(declared);
    for access in &trace.accesses {
        judge.take(access);
    }
    judge.drop_folders();
    Undeclared {
        found: judge.found.into_iter().map(|(access, name)| UndeclaredAccess { access, name }).collect(),
    }
}

struct Judge<'a> {
    declared: &'a Declared,
    zones: Vec<(PathBuf, Zone)>,
    /// Patterns below the project, and below the home.
    ignored: [GlobSet; 2],
    /// What is at a path: a link's text, or no link.
    links: HashMap<PathBuf, Option<PathBuf>>,
    found: BTreeMap<Access, String>,
}

impl<'a> Judge<'a> {
    fn new(declared: &'a Declared) -> Self {
        let mut zones = vec![(declared.root.clone(), Zone::Project)];
        zones.extend(
            declared.home.clone().filter(|home| home.parent().is_some()).map(|home| (home, Zone::Home)),
        );
        zones.extend(declared.exempt.iter().map(|path| (path.clone(), Zone::Free)));
        for tool in &declared.tools {
            let installed = installation(tool, &declared.root, declared.home.as_deref());
            zones.extend(installed.into_iter().map(|path| (path, Zone::Free)));
        }
        // The innermost first; of equals the one that is in question.
        zones.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_os_str().len()));
        let (home, project): (Vec<&String>, Vec<&String>) =
            declared.ignore.iter().partition(|pattern| pattern.starts_with("~/"));
        let home = home.into_iter().filter_map(|pattern| pattern.strip_prefix("~/"));
        let ignored = [globs(project.into_iter().map(String::as_str)), globs(home)];
        Self { declared, zones, ignored, links: HashMap::new(), found: BTreeMap::new() }
    }

    /// That a folder is there says no more than what was found in it.
    fn drop_folders(&mut self) {
        let folders: Vec<Access> = self
            .found
            .keys()
            .filter(|found| found.kind == AccessKind::Read && found.path.is_dir())
            .cloned()
            .collect();
        for folder in folders {
            let has_more = self
                .found
                .range(folder.clone()..)
                .take_while(|(found, _)| found.path.starts_with(&folder.path))
                .any(|(found, _)| found.path != folder.path);
            if has_more {
                self.found.remove(&folder);
            }
        }
    }

    fn zone(&self, path: &Path) -> Zone {
        self.zones.iter().find(|(zone, _)| path.starts_with(zone)).map_or(Zone::Free, |&(_, zone)| zone)
    }

    fn take(&mut self, access: &Access) {
        let (links, path) = self.resolve(&access.path);
        for link in links {
            self.weigh(link, AccessKind::Read);
        }
        self.weigh(path, access.kind);
    }

    fn weigh(&mut self, path: PathBuf, kind: AccessKind) {
        let zone = self.zone(&path);
        if zone == Zone::Free || self.is_ignored(&path) {
            return;
        }
        let below =
            path.strip_prefix(&self.declared.root).ok().map(|below| below.as_os_str().as_bytes().to_vec());
        let fine = match (below, kind) {
            (Some(below), AccessKind::Written) => self.may_write(&below, &path),
            (None, AccessKind::Written) => true,
            _ if self.is_search(&path, kind, zone)
                || is_repository(&path, kind)
                || is_option(&path, kind) =>
            {
                true
            }
            (Some(below), kind) if zone == Zone::Project => self.may_read(&below, &path, kind),
            // In the home nothing can be declared; that a folder is there says little, and whose parents they are less.
            _ => kind == AccessKind::Read && path.is_dir(),
        };
        if !fine {
            let name = self.name(&path, kind);
            self.found.insert(Access { path, kind }, name);
        }
    }

    fn may_read(&self, below: &[u8], path: &Path, kind: AccessKind) -> bool {
        match kind {
            AccessKind::Missing => self.would_be_declared(below),
            AccessKind::Listed => self.may_list(below, path),
            _ if path.is_dir() => self.is_known_folder(below),
            _ => self.is_declared(below),
        }
    }

    /// A file or link that is there.
    fn is_declared(&self, below: &[u8]) -> bool {
        let declared = self.declared;
        declared.inputs.contains(below)
            || declared.dependencies.iter().any(|dependency| dependency.wrote(below))
            || declared.tools.iter().any(|tool| *tool == declared.root.join(OsStr::from_bytes(below)))
            || (declared.incremental && declared.outputs.covers(below))
    }

    fn would_be_declared(&self, below: &[u8]) -> bool {
        let declared = self.declared;
        declared.cover.as_ref().is_some_and(|cover| cover.sees(below))
            || declared.inputs.contains(below)
            || declared.outputs.covers(below)
            || declared.dependencies.iter().any(|dependency| dependency.spec.covers(below))
    }

    /// A folder: that it is there follows from what is declared.
    fn is_known_folder(&self, below: &[u8]) -> bool {
        let declared = self.declared;
        is_within(&declared.folder, below)
            || has_below(&declared.inputs, below)
            || self.leads_to_output(below)
            || self.would_be_declared(below)
    }

    /// The folder is an output, lies in one, or on the way to one.
    fn leads_to_output(&self, below: &[u8]) -> bool {
        let own = &self.declared.outputs;
        let of = |spec: &OutputSpec| {
            spec.covers(below)
                || spec.literals().iter().any(|literal| is_within(literal, below))
                || spec.may_match_below(below)
        };
        of(own) || self.declared.dependencies.iter().any(|dependency| of(&dependency.spec))
    }

    fn may_list(&self, below: &[u8], path: &Path) -> bool {
        let declared = self.declared;
        let Ok(entries) = std::fs::read_dir(path) else { return self.would_be_declared(below) };
        let (mut any, mut only_outputs) = (false, true);
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let full = path.join(&name);
            let child = if below.is_empty() {
                name.as_bytes().to_vec()
            } else {
                [below, b"/", name.as_bytes()].concat()
            };
            if self.is_no_news(&full, name.as_bytes(), is_folder) {
                continue;
            }
            any = true;
            let is_output = declared.outputs.covers(&child)
                || declared.dependencies.iter().any(|dependency| dependency.wrote(&child));
            if is_output || (is_folder && self.leads_to_literal(&child)) {
                continue;
            }
            only_outputs = false;
            let known = if is_folder { self.is_known_folder(&child) } else { self.is_declared(&child) };
            if !known && !self.is_ignored_by_files(below, &child) {
                return false;
            }
        }
        (any && only_outputs)
            || declared.outputs.owns(below)
            || declared.dependencies.iter().any(|dependency| dependency.spec.owns(below))
            || declared.cover.as_ref().is_some_and(|cover| cover.finds_new_in(below))
    }

    fn leads_to_literal(&self, below: &[u8]) -> bool {
        let leads = |spec: &OutputSpec| spec.literals().iter().any(|literal| is_within(literal, below));
        leads(&self.declared.outputs)
            || self.declared.dependencies.iter().any(|dependency| leads(&dependency.spec))
    }

    /// Names that stand in every project, or that a person took out of question.
    fn is_no_news(&self, path: &Path, name: &[u8], is_folder: bool) -> bool {
        let is_configuration = !is_folder
            && (name == b"larder.yml"
                || name == b"bake.yml"
                || name.ends_with(b"cookbook.yml")
                || IGNORE_FILES.contains(&name));
        is_configuration
            || name == b".larder"
            || REPOSITORIES.contains(&name)
            || self.zone(path) == Zone::Free
            || self.is_ignored(path)
    }

    /// Wildcards reach the folder, and an ignore file takes the name out.
    fn is_ignored_by_files(&self, folder: &[u8], child: &[u8]) -> bool {
        let Some(cover) = &self.declared.cover else { return false };
        cover.finds_new_in(folder) && cover.is_ignored(child)
    }

    fn may_write(&self, below: &[u8], path: &Path) -> bool {
        let outputs = &self.declared.outputs;
        if outputs.covers(below) {
            return true;
        }
        // A folder with outputs in it, or on the way to where they go.
        path.is_dir() && self.has_outputs_below(below, path)
    }

    fn has_outputs_below(&self, below: &[u8], path: &Path) -> bool {
        let outputs = &self.declared.outputs;
        if outputs.literals().iter().any(|literal| is_within(literal, below)) {
            return true;
        }
        if !outputs.may_match_below(below) {
            return false;
        }
        // What else is written in it is named itself.
        std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
    }

    fn is_search(&self, path: &Path, kind: AccessKind, zone: Zone) -> bool {
        kind == AccessKind::Missing
            && zone == Zone::Home
            && path.parent().is_some_and(|parent| self.declared.search.iter().any(|folder| folder == parent))
    }

    fn is_ignored(&self, path: &Path) -> bool {
        let roots = [Some(&self.declared.root), self.declared.home.as_ref()];
        roots.into_iter().zip(&self.ignored).any(|(root, globs)| {
            let below = root.and_then(|root| path.strip_prefix(root).ok());
            !globs.is_empty()
                && below.is_some_and(|below| {
                    below.ancestors().any(|part| !part.as_os_str().is_empty() && globs.is_match(part))
                })
        })
    }

    fn name(&self, path: &Path, kind: AccessKind) -> String {
        let below =
            |root: &Path| path.strip_prefix(root).ok().map(|below| below.to_string_lossy().into_owned());
        let name = match (below(&self.declared.root), self.declared.home.as_deref().and_then(below)) {
            (Some(name), _) if name.is_empty() => ".".to_owned(),
            (Some(name), _) => name,
            (None, Some(name)) if name.is_empty() => "~".to_owned(),
            (None, Some(name)) => format!("~/{name}"),
            (None, None) => path.to_string_lossy().into_owned(),
        };
        if kind == AccessKind::Listed { format!("{name}/") } else { name }
    }

    /// The links on the way, and where the path leads in the end. What is not there stays as it is named.
    fn resolve(&mut self, path: &Path) -> (Vec<PathBuf>, PathBuf) {
        let links = &mut self.links;
        follow(path, |path| {
            if let Some(known) = links.get(path) {
                return known.clone();
            }
            let link = std::fs::read_link(path).ok();
            links.insert(path.to_owned(), link.clone());
            link
        })
    }
}

impl FromDependency {
    /// It wrote this, or what is below a folder that it wrote whole.
    fn wrote(&self, below: &[u8]) -> bool {
        self.paths.iter().any(|path| is_within(below, path)) && !self.spec.is_excluded(below)
    }
}

/// Whether the set holds the path, or something below it.
fn has_below(paths: &BTreeSet<Vec<u8>>, folder: &[u8]) -> bool {
    if folder.is_empty() || paths.contains(folder) {
        return true;
    }
    let first = [folder, b"/"].concat();
    paths.range(first.clone()..).next().is_some_and(|path| path.starts_with(&first))
}

fn is_repository(path: &Path, kind: AccessKind) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    REPOSITORIES.contains(&name)
        && (kind == AccessKind::Missing || (kind == AccessKind::Read && path.is_dir()))
}

/// Compilers ask of each argument whether it is a file, of `-lc` too.
fn is_option(path: &Path, kind: AccessKind) -> bool {
    kind == AccessKind::Missing && path.file_name().unwrap_or_default().as_bytes().starts_with(b"-")
}

fn globs<'p>(patterns: impl Iterator<Item = &'p str>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // What is no pattern was refused when the configuration was read.
        if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() {
            set.add(glob);
        }
    }
    set.build().unwrap_or_default()
}
