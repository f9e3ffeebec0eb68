//! Which files make up a project: the root file (found upward), cookbooks (below it), and globs for `matrix`.
//!
//! Listing files is behind [`Listing`], so that the worktree's stat table can answer. [`WalkListing`] walks the disk. Paths
//! that it gives are relative to the folder asked about and sorted, so that the order never depends on the disk.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use larder_core::Digest;

use crate::recipe::Mode;

/// Names of root files, the first wins.
pub const ROOT_FILES: [(&str, Mode); 4] = [
    ("larder.yml", Mode::Strict),
    ("larder.yaml", Mode::Strict),
    ("bake.yml", Mode::Bake),
    ("bake.yaml", Mode::Bake),
];

/// Answers which files there are.
pub trait Listing {
    /// Files below `root` whose name is wanted; ignored and hidden ones are left out. Relative to `root`, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn files_named(&self, root: &Path, wanted: &dyn Fn(&OsStr) -> bool) -> io::Result<Vec<PathBuf>>;

    /// Files below `folder` that match one of the patterns and none of those that begin with `!`. Relative to `folder`,
    /// sorted.
    ///
    /// # Errors
    /// When the folder cannot be read or a pattern is bad (`InvalidInput`).
    fn glob(&self, folder: &Path, patterns: &[String]) -> io::Result<Vec<PathBuf>>;

    /// What is surely known of each of these files (relative to `root`) without reading them; `None`: nothing.
    fn marks(&self, _root: &Path, files: &[PathBuf]) -> Vec<Option<Mark>> {
        vec![None; files.len()]
    }
}

/// The state of a regular file, as the disk has it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What `lstat` says: device, inode, size, mode; seconds and nanoseconds of mtime and of ctime.
    pub stat: [u64; 8],
    /// The digest of its content.
    pub digest: Digest,
}

/// Walks the disk; honours `.gitignore`, `.ignore`, `.bakeignore`, `.larderignore`; never enters `.git`, `.larder`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WalkListing;

impl WalkListing {
    fn walk(folder: &Path, skip_hidden: bool, wanted: &dyn Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
        let walk = WalkBuilder::new(folder)
            .hidden(skip_hidden)
            .add_custom_ignore_filename(".bakeignore")
            .add_custom_ignore_filename(".larderignore")
            .git_global(false)
            .require_git(false)
            .filter_entry(|entry| {
                entry.depth() == 0 || !matches!(entry.file_name().to_str(), Some(".git" | ".larder"))
            })
            .build();
        let mut found = Vec::new();
        for entry in walk {
            let entry = match entry {
                Ok(entry) => entry,
                // A file that vanished while the walk went on is no error.
                Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => {
                    continue;
                }
                Err(error) => return Err(io::Error::other(error)),
            };
            if entry.file_type().is_some_and(|kind| !kind.is_dir())
                && let Ok(path) = entry.path().strip_prefix(folder)
                && wanted(path)
            {
                found.push(path.to_owned());
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Listing for WalkListing {
    fn files_named(&self, root: &Path, wanted: &dyn Fn(&OsStr) -> bool) -> io::Result<Vec<PathBuf>> {
        Self::walk(root, true, &|path| path.file_name().is_some_and(wanted))
    }

    fn glob(&self, folder: &Path, patterns: &[String]) -> io::Result<Vec<PathBuf>> {
        let (excluded, included): (Vec<&String>, Vec<&String>) =
            patterns.iter().partition(|p| p.starts_with('!'));
        let included = glob_set(included.into_iter().map(String::as_str))?;
        let excluded = glob_set(excluded.into_iter().filter_map(|pattern| pattern.strip_prefix('!')))?;
        Self::walk(folder, false, &|path| included.is_match(path) && !excluded.is_match(path))
    }
}

fn glob_set<'a>(patterns: impl Iterator<Item = &'a str>) -> io::Result<GlobSet> {
    let bad = |error: globset::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(
            GlobBuilder::new(pattern.trim_start_matches("./"))
                .literal_separator(true)
                .build()
                .map_err(bad)?,
        );
    }
    set.build().map_err(bad)
}

/// Names of files that say what is ignored.
pub const IGNORE_FILES: [&str; 4] = [".gitignore", ".ignore", ".bakeignore", ".larderignore"];

/// Whether the project's ignore files leave out `path` (from the root) for a walk that begins in the folder `from`: what leads to `from`
/// was named, and is not in question.
#[must_use]
pub fn is_ignored(root: &Path, path: &str, from: &str) -> bool {
    let mut rules = Vec::new();
    let mut folder = PathBuf::new();
    for part in path.split('/') {
        let mut builder = ignore::gitignore::GitignoreBuilder::new(root.join(&folder));
        for name in IGNORE_FILES {
            // A broken line in an ignore file leaves its other lines in force.
            drop(builder.add(root.join(&folder).join(name)));
        }
        rules.extend(builder.build());
        folder.push(part);
        if Path::new(from).starts_with(&folder) {
            continue;
        }
        // The nearest file that says something decides; whether the path is a folder is not known yet.
        let whole = root.join(&folder);
        let said = rules.iter().rev().find_map(|rules| {
            let (file, dir) = (rules.matched(&whole, false), rules.matched(&whole, true));
            if file.is_ignore() || dir.is_ignore() {
                Some(true)
            } else {
                file.is_whitelist().then_some(false)
            }
        });
        if said == Some(true) {
            return true;
        }
    }
    false
}

/// Whether a file name is that of a cookbook: `cookbook.yml` or `NAME.cookbook.yml` (or `.yaml`).
#[must_use]
pub fn is_cookbook(name: &OsStr) -> bool {
    let Some(stem) = name.to_str().and_then(|n| n.strip_suffix(".yml").or_else(|| n.strip_suffix(".yaml")))
    else {
        return false;
    };
    stem == "cookbook" || stem.strip_suffix(".cookbook").is_some_and(|name| !name.is_empty())
}

/// What was found when looking for the root file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFile {
    /// The file.
    pub path: PathBuf,
    /// How it is read.
    pub mode: Mode,
    /// Another root file beside it, which is not read.
    pub ignored: Option<PathBuf>,
}

/// The root file in `start` or the nearest folder above it.
#[must_use]
pub fn find_root(start: &Path) -> Option<RootFile> {
    start.ancestors().find_map(|folder| {
        let mut files =
            ROOT_FILES.iter().map(|(name, mode)| (folder.join(name), *mode)).filter(|(p, _)| p.is_file());
        let (path, mode) = files.next()?;
        Some(RootFile { path, mode, ignored: files.next().map(|(path, _)| path) })
    })
}

/// The mode of a root file that was named, by its name; strict for other names.
#[must_use]
pub fn mode_of(path: &Path) -> Mode {
    let is_bake = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("bake."));
    if is_bake { Mode::Bake } else { Mode::Strict }
}
