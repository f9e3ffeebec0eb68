//! Which patterns surely cover one another, without looking at the disk.
//!
//! All patterns are taken from the project's root. A literal output owns its path and all below it. Two globs are told
//! apart only when that is sure: equal ones overlap, others are left to the check at run time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use globset::{GlobBuilder, GlobMatcher};

use crate::config::discover::is_ignored;
use crate::config::patterns::{is_wild, project_segments};
use crate::recipe::Recipe;

/// A glob that is compiled when it is first needed: most never are, and compiling costs more than all else here.
#[derive(Clone, Debug, Default)]
pub struct LazyGlob(OnceLock<Option<GlobMatcher>>);

impl LazyGlob {
    fn is_match(&self, pattern: &str, path: &str) -> bool {
        self.0.get_or_init(|| matcher(pattern)).as_ref().is_some_and(|glob| glob.is_match(path))
    }
}

/// How an output pattern covers paths.
#[derive(Clone, Debug)]
pub enum Covers {
    /// The path and all below it.
    Literal(String),
    /// What matches.
    Glob(String, LazyGlob),
}

impl Covers {
    fn text(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Glob(text, _) => text,
        }
    }
}

/// The outputs of one recipe, from the project's root.
#[derive(Clone, Debug, Default)]
pub struct OutputSet {
    included: Vec<Covers>,
    excluded: Vec<GlobMatcher>,
}

impl OutputSet {
    /// The outputs that a recipe declares.
    #[must_use]
    pub fn new(recipe: &Recipe, root: &Path) -> Self {
        let mut set = Self::default();
        for pattern in recipe.cache.iter().flat_map(|cache| &cache.outputs) {
            match pattern.strip_prefix('!') {
                Some(excluded) => {
                    set.excluded.extend(from_root(excluded, recipe, root).and_then(|p| matcher(&p)))
                }
                None => set.included.extend(from_root(pattern, recipe, root).map(covers)),
            }
        }
        set
    }

    /// Whether a path (from the project's root) is surely one of these outputs.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        if self.excluded.iter().any(|glob| glob.is_match(path)) {
            return false;
        }
        self.included.iter().any(|covers| match covers {
            Covers::Literal(literal) => is_within(path, literal),
            Covers::Glob(text, glob) => glob.is_match(text, path),
        })
    }
}

/// The literal output of `recipe` that the input `pattern` names, or names something in. Such an input would never count,
/// because a recipe's own outputs are none of its inputs.
pub(super) fn own_output(pattern: &str, recipe: &Recipe, root: &Path, outputs: &OutputSet) -> Option<String> {
    let pattern = from_root(pattern, recipe, root)?;
    let named = literal_prefix(&pattern);
    outputs.included.iter().find_map(|covers| match covers {
        Covers::Literal(literal) if is_within(named, literal) => Some(literal.clone()),
        _ => None,
    })
}

/// The pattern from the project's root.
fn from_root(pattern: &str, recipe: &Recipe, root: &Path) -> Option<String> {
    project_segments(pattern, &recipe.folder, root).ok().map(|segments| segments.join("/"))
}

fn matcher(pattern: &str) -> Option<GlobMatcher> {
    GlobBuilder::new(pattern).literal_separator(true).build().ok().map(|glob| glob.compile_matcher())
}

fn covers(pattern: String) -> Covers {
    if pattern.split('/').any(is_wild) {
        Covers::Glob(pattern, LazyGlob::default())
    } else {
        Covers::Literal(pattern)
    }
}

/// `path` is `folder` or below it.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || folder.is_empty()
}

/// The part of a glob before its first wildcard segment.
fn literal_prefix(pattern: &str) -> &str {
    let mut end = 0;
    for segment in pattern.split('/') {
        if is_wild(segment) {
            return pattern[..end].trim_end_matches('/');
        }
        end += segment.len() + 1;
    }
    pattern
}

/// A path that a pattern matches, for asking ignore files.
fn sample(pattern: &str) -> String {
    let named = pattern.split('/').filter(|segment| *segment != "**");
    named.map(|segment| segment.replace(['*', '?'], "x")).collect::<Vec<_>>().join("/")
}

/// Finds overlaps without comparing each recipe with each other.
pub(super) struct Index {
    /// Literal outputs and the literal prefixes of globs, with who has them; sorted, so that all below a folder are neighbours.
    paths: BTreeMap<String, Vec<(usize, usize)>>,
    /// Globs that can match anywhere.
    globs: Vec<(usize, usize)>,
}

impl Index {
    pub(super) fn new(outputs: &[OutputSet]) -> Self {
        let mut paths: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
        let mut globs = Vec::new();
        for (owner, set) in outputs.iter().enumerate() {
            for (at, covers) in set.included.iter().enumerate() {
                match covers {
                    Covers::Literal(path) => paths.entry(path.clone()).or_default().push((owner, at)),
                    Covers::Glob(..) => globs.push((owner, at)),
                }
            }
        }
        Self { paths, globs }
    }

    /// Pairs of a pattern of `recipe` and one of an earlier recipe that surely overlap: pattern, other recipe, its pattern.
    pub(super) fn overlapping(&self, recipe: usize, outputs: &[OutputSet]) -> Vec<(String, usize, String)> {
        let mut found: BTreeMap<usize, (String, String)> = BTreeMap::new();
        let set = &outputs[recipe];
        for covers in &set.included {
            for other in self.meeting(covers, outputs) {
                let theirs = &outputs[other.0].included[other.1];
                // Only what both really hold: an exclusion of either may keep them apart.
                if other.0 < recipe && !kept_apart(covers, theirs, set, &outputs[other.0]) {
                    found
                        .entry(other.0)
                        .or_insert_with(|| (covers.text().to_owned(), theirs.text().to_owned()));
                }
            }
        }
        found.into_iter().map(|(other, (pattern, theirs))| (pattern, other, theirs)).collect()
    }

    /// Recipes that surely write what an input pattern names.
    pub(super) fn writers(
        &self,
        pattern: &str,
        recipe: &Recipe,
        root: &Path,
        outputs: &[OutputSet],
    ) -> Vec<usize> {
        let Some(covers) = from_root(pattern, recipe, root).map(covers) else { return Vec::new() };
        let excluded: Vec<GlobMatcher> = recipe
            .cache
            .iter()
            .filter_map(|cache| match &cache.inputs {
                crate::recipe::Inputs::Patterns(patterns) => Some(patterns),
                crate::recipe::Inputs::Folder { .. } => None,
            })
            .flatten()
            .filter_map(|pattern| matcher(&from_root(pattern.strip_prefix('!')?, recipe, root)?))
            .collect();
        let mine = OutputSet { included: Vec::new(), excluded };
        let is_hidden = |theirs: &Covers| match &covers {
            // What wildcards find is less what is ignored; what is named counts.
            Covers::Glob(text, _) => is_ignored(root, &sample(theirs.text()), literal_prefix(text)),
            Covers::Literal(_) => false,
        };
        let mut writers: Vec<usize> = self
            .meeting(&covers, outputs)
            .into_iter()
            .filter(|&(owner, at)| {
                let theirs = &outputs[owner].included[at];
                !kept_apart(&covers, theirs, &mine, &outputs[owner]) && !is_hidden(theirs)
            })
            .map(|(owner, _)| owner)
            .collect();
        writers.sort_unstable();
        writers.dedup();
        writers
    }

    /// Literal outputs that are `path` or a folder above it.
    fn at_or_above(&self, path: &str, found: &mut Vec<(usize, usize)>) {
        found.extend(self.paths.get("").into_iter().flatten());
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.filter(|&end| end > 0) {
            found.extend(self.paths.get(&path[..end]).into_iter().flatten());
        }
    }

    /// Literal outputs below the folder `path`, without itself.
    fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a String, &'a Vec<(usize, usize)>)> {
        let all = self.paths.range(path.to_owned()..).take_while(move |(other, _)| other.starts_with(path));
        all.filter(move |(other, _)| other.len() > path.len() && is_within(other, path))
    }

    /// Output patterns that surely share a path with `covers`.
    fn meeting(&self, covers: &Covers, outputs: &[OutputSet]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let glob_at = |&(owner, at): &(usize, usize)| match &outputs[owner].included[at] {
            Covers::Glob(text, glob) => Some((text, glob)),
            Covers::Literal(_) => None,
        };
        match covers {
            Covers::Literal(path) => {
                self.at_or_above(path, &mut found);
                found.extend(self.below(path).flat_map(|(_, who)| who));
                let meets = |who: &&(usize, usize)| {
                    glob_at(who).is_some_and(|(text, glob)| {
                        is_within(literal_prefix(text), path)
                            || (is_within(path, literal_prefix(text)) && glob.is_match(text, path))
                    })
                };
                found.extend(self.globs.iter().filter(meets));
            }
            Covers::Glob(text, glob) => {
                // What it matches is below its literal part; what is above that holds all that it matches.
                let prefix = literal_prefix(text);
                self.at_or_above(prefix, &mut found);
                found.extend(
                    self.below(prefix).filter(|(path, _)| glob.is_match(text, path)).flat_map(|(_, who)| who),
                );
                found.extend(
                    self.globs.iter().filter(|who| glob_at(who).is_some_and(|(other, _)| other == text)),
                );
            }
        }
        found
    }
}

/// Whether an exclusion of either side takes out what the other names.
fn kept_apart(one: &Covers, two: &Covers, ones: &OutputSet, twos: &OutputSet) -> bool {
    let out = |covers: &Covers, excluded: &[GlobMatcher]| {
        let inside = match covers {
            Covers::Literal(path) => path.clone(),
            // Any path that the glob matches will do for a rule such as `!dist/**`.
            Covers::Glob(text, _) => {
                let prefix = literal_prefix(text);
                if prefix.is_empty() { "x".to_owned() } else { format!("{prefix}/x") }
            }
        };
        excluded.iter().any(|glob| glob.is_match(&inside) || glob.glob().glob() == covers.text())
            || excluded.iter().any(|glob| {
                glob.glob().glob().strip_suffix("/**").is_some_and(|folder| is_within(&inside, folder))
            })
    };
    out(one, &twos.excluded) || out(two, &ones.excluded)
}
