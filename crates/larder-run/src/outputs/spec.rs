//! What a recipe may write: its output patterns, resolved against the project's root.
//!
//! - A pattern without wildcard is *literal*: a file, a link, or a folder that is owned whole.
//! - A pattern with `*`, `?`, `[…]` or `{…}` is a *glob* (`**` crosses folders, `*` does not). A folder that it matches
//!   counts with everything below it, so that `packages/*/dist` never captures an empty shell.
//! - `!pattern` excludes what it matches, and all below, from both.
//!
//! Patterns are relative to the cookbook's folder and may begin with `../`, but never leave the project. The project's
//! root, a cookbook's own folder (or one above it), `.git` and `.larder` are never outputs.

use globset::{Candidate, GlobBuilder, GlobMatcher};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::beneath::{ends, is_within, join};
use super::error::{Error, Result};

/// The output patterns of one recipe.
#[derive(Clone, Debug, Default)]
pub struct OutputSpec {
    literals: Vec<Vec<u8>>,
    globs: Vec<Glob>,
    exclusions: Vec<Glob>,
}

/// A pattern split into the folder that it starts from, and the wildcards (none: the path itself).
#[derive(Clone, Debug)]
struct Glob {
    text: String,
    base: Vec<u8>,
    /// How many components the wildcards span; `None` with `**`.
    depth: Option<usize>,
    matcher: Option<GlobMatcher>,
}

impl OutputSpec {
    /// Resolves `patterns` of a cookbook in `folder` (relative to the project's root).
    ///
    /// # Errors
    /// [`Error::Pattern`] for an absolute path, a path outside the project, bad glob syntax, or what is never an output.
    pub fn new(folder: &Path, patterns: &[String]) -> Result<Self> {
        let folder: Vec<u8> = folder.components().fold(Vec::new(), |path, part| match part {
            std::path::Component::Normal(name) => join(&path, name.as_bytes()),
            _ => path,
        });
        let mut spec = Self::default();
        for text in patterns {
            let fail = |reason: &str| Error::Pattern { pattern: text.clone(), reason: reason.into() };
            if let Some(excluded) = text.strip_prefix('!') {
                spec.exclusions.push(Glob::parse(&folder, text, excluded)?);
                continue;
            }
            let glob = Glob::parse(&folder, text, text)?;
            let reserved = |name: &[u8]| name == b".git" || name == b".larder";
            if glob.base.split(|&b| b == b'/').any(reserved) {
                return Err(fail("lies in a folder that no recipe may write"));
            }
            if glob.matcher.is_some() {
                spec.globs.push(glob);
            } else if is_within(&folder, &glob.base) {
                return Err(fail("is the cookbook's own folder or one above it; name what is made in it"));
            } else if !spec.literals.contains(&glob.base) {
                spec.literals.push(glob.base);
            }
        }
        spec.literals.sort();
        // A literal within another adds nothing to what is owned, but must exist all the same: both stay.
        Ok(spec)
    }

    /// Literal outputs, sorted.
    #[must_use]
    pub fn literals(&self) -> &[Vec<u8>] {
        &self.literals
    }

    /// Literal outputs that do not lie in another one.
    pub(crate) fn outermost_literals(&self) -> impl Iterator<Item = &Vec<u8>> {
        let lies_in_another = |literal: &Vec<u8>| {
            self.literals.iter().any(|other| other != literal && is_within(literal, other))
        };
        self.literals.iter().filter(move |literal| !lies_in_another(literal))
    }

    /// There are no patterns: success and log are what is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.globs.is_empty()
    }

    /// `path` is a literal output or lies in one, and is not excluded.
    #[must_use]
    pub fn owns(&self, path: &[u8]) -> bool {
        self.literals.iter().any(|literal| is_within(path, literal)) && !self.is_excluded(path)
    }

    /// `path` is matched by a glob, and is not excluded.
    #[must_use]
    pub fn globs_match(&self, path: &[u8]) -> bool {
        !is_reserved(path) && self.globs.iter().any(|glob| glob.covers(path)) && !self.is_excluded(path)
    }

    /// `path` may be an output.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        self.owns(path) || self.globs_match(path)
    }

    /// `path` is excluded by a `!` pattern.
    #[must_use]
    pub fn is_excluded(&self, path: &[u8]) -> bool {
        self.exclusions.iter().any(|glob| glob.covers(path))
    }

    /// There are `!` patterns.
    pub(crate) fn has_exclusions(&self) -> bool {
        !self.exclusions.is_empty()
    }

    /// The globs that match `path`, by number.
    pub(crate) fn globs_of<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.globs.iter().enumerate().filter(move |(_, glob)| glob.covers(path)).map(|(index, _)| index)
    }

    /// A glob's text.
    pub(crate) fn glob_text(&self, index: usize) -> &str {
        &self.globs[index].text
    }

    /// Number of globs.
    pub(crate) fn glob_count(&self) -> usize {
        self.globs.len()
    }

    /// Folders from which globs must be walked, none within another.
    #[must_use]
    pub(crate) fn glob_bases(&self) -> Vec<Vec<u8>> {
        let mut bases: Vec<Vec<u8>> = self.globs.iter().map(|glob| glob.base.clone()).collect();
        bases.sort();
        let all = bases.clone();
        bases.retain(|base| !all.iter().any(|other| other != base && is_within(base, other)));
        bases.dedup();
        bases
    }

    /// Whether something below the folder `path` can match a glob.
    #[must_use]
    pub(crate) fn may_match_below(&self, path: &[u8]) -> bool {
        !is_reserved(path) && self.globs.iter().any(|glob| glob.may_match_below(path))
    }
}

/// In `.git`, or in Larder's own folder at the root.
pub(crate) fn is_reserved(path: &[u8]) -> bool {
    is_within(path, b".larder") || path.split(|&b| b == b'/').any(|name| name == b".git")
}

impl Glob {
    fn parse(folder: &[u8], text: &str, pattern: &str) -> Result<Self> {
        let fail = |reason: String| Error::Pattern { pattern: text.to_owned(), reason };
        if pattern.is_empty() {
            return Err(fail("is empty".into()));
        }
        if pattern.starts_with('/') {
            return Err(fail("is an absolute path; outputs are relative to the cookbook's folder".into()));
        }
        if pattern.contains('\0') {
            return Err(fail("holds a NUL character".into()));
        }
        let mut base = folder.to_vec();
        let mut rest = pattern.trim_end_matches('/');
        while !rest.is_empty() {
            let (part, tail) = rest.split_once('/').unwrap_or((rest, ""));
            match part {
                "" | "." => {}
                ".." if base.is_empty() => return Err(fail("lies outside the project".into())),
                ".." => base.truncate(super::beneath::split(&base).0.len()),
                part => match literal(part) {
                    Some(name) => base = join(&base, &name),
                    None => break,
                },
            }
            rest = tail;
        }
        let wild = rest;
        if wild.split('/').any(|part| part == "..") {
            return Err(fail("has `..` after a wildcard".into()));
        }
        let wild: Vec<&str> = wild.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let matcher = if wild.is_empty() {
            None
        } else {
            let glob = GlobBuilder::new(&wild.join("/")).literal_separator(true).build();
            Some(glob.map_err(|error| fail(format!("is no glob: {}", error.kind())))?.compile_matcher())
        };
        // Braces may hold separators, so that only plain components can be counted.
        let deep = wild.iter().any(|part| part.contains("**") || part.contains('{'));
        Ok(Self { text: text.to_owned(), base, depth: (!deep).then_some(wild.len()), matcher })
    }

    fn below<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        if self.base.is_empty() {
            return (!path.is_empty()).then_some(path);
        }
        path.strip_prefix(self.base.as_slice())?.strip_prefix(b"/")
    }

    /// The path itself, or a folder on the way to it, matches.
    fn covers(&self, path: &[u8]) -> bool {
        let Some(matcher) = &self.matcher else { return is_within(path, &self.base) };
        let Some(below) = self.below(path) else { return false };
        let hit = |end: usize| {
            let path = Path::new(OsStr::from_bytes(&below[..end]));
            matcher.is_match_candidate(&Candidate::new(path))
        };
        hit(below.len()) || ends(below).any(|end| end < below.len() && hit(end))
    }

    fn may_match_below(&self, folder: &[u8]) -> bool {
        if is_within(&self.base, folder) {
            return true;
        }
        let Some(below) = self.below(folder) else { return false };
        match self.depth {
            Some(depth) => ends(below).count() < depth || self.covers(folder),
            None => true,
        }
    }
}

/// The name that a component without wildcards stands for; `None` if it has wildcards.
fn literal(part: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' | b'{' => return None,
            b'\\' => name.push(bytes.next().unwrap_or(b'\\')),
            byte => name.push(byte),
        }
    }
    Some(name)
}
