//! A first configuration for a folder: what is in it, and recipes that work for that. Reads, and writes nothing.
//!
//! A language is told by the files that its own tools ask for (`Cargo.toml`, `go.mod`, …), in the folder and in those right below it. Each folder with one gets a
//! cookbook. What a build makes is declared only where the tools' own rules say it; where nothing says it (a Makefile), the recipe has no
//! `cache` and says so, because a guess would be a wrong hit.

pub mod agents;
pub mod from_bake;
mod languages;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use languages::Language;

/// Folders that hold no project of one's own.
const PASSED_OVER: [&str; 6] = ["node_modules", "target", "vendor", "build", "dist", "venv"];
/// Folders below the first that are looked at.
const MOST_FOLDERS: usize = 200;

/// A file that would be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Relative to the folder.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// What was found, and what would be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Languages with the folders (relative) that they were found in.
    pub found: Vec<(PathBuf, Language)>,
    /// The root file first.
    pub files: Vec<NewFile>,
}

/// Proposes a configuration for `folder`.
///
/// # Errors
/// When the folder cannot be read.
pub fn propose(folder: &Path) -> io::Result<Proposal> {
    let name = name_of(folder);
    let mut found: Vec<(PathBuf, Vec<Language>)> = Vec::new();
    let top = Language::find(folder);
    for place in std::iter::once(PathBuf::new()).chain(below(folder)?) {
        let mut languages = Language::find(&folder.join(&place));
        if !place.as_os_str().is_empty() {
            // A member of what is above (a workspace, `src`, `tests`) is built from there.
            languages.retain(|language| !top.contains(language) && (top.is_empty() || !language.is_guess()));
        }
        if !languages.is_empty() {
            found.push((place, languages));
        }
    }
    let mut proposal = Proposal::default();
    proposal.files.push(NewFile { path: "larder.yml".into(), text: format!("name: {name}\n") });
    for (place, languages) in found {
        let here = folder.join(&place);
        let book = if place.as_os_str().is_empty() { name.clone() } else { name_of(&here) };
        let mut text = format!("name: {book}\nrecipes:\n");
        let is_only = languages.len() == 1;
        for language in languages {
            text.push_str(&language.recipes(&here, &book, is_only));
            proposal.found.push((place.clone(), language));
        }
        proposal.files.push(NewFile { path: place.join("cookbook.yml"), text });
    }
    if proposal.found.is_empty() {
        let text = format!("name: {name}\nrecipes:\n{}", languages::NOTHING);
        proposal.files.push(NewFile { path: "cookbook.yml".into(), text });
    }
    Ok(proposal)
}

fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        let is_own = entry.file_type()?.is_dir() && !shown.starts_with('.');
        if is_own && !PASSED_OVER.contains(&&*shown) {
            names.push(PathBuf::from(name));
        }
    }
    names.sort();
    names.truncate(MOST_FOLDERS);
    Ok(names)
}

/// A folder's name as a name of a project or a cookbook.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = name.chars().map(allowed).collect();
    let name = name.trim_matches('-');
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("project{}{name}", if name.is_empty() { "" } else { "-" })
    } else {
        name.to_owned()
    }
}
