//! A `bake.yml` project → a `larder.yml` project: which files would be written, what remains for a person, and whether the recipes are the same.
//!
//! ```text
//! blocks   {{#if}} around recipes → when      values   values that hold templates → quoted
//! strict   what would mean something else     verify   both projects resolved and compared
//! ```
//! Reads, and writes nothing (but a temporary folder). No command of the project runs. `bake.yml` is not touched: `larder.yml` beside it wins from then on. Cookbooks,
//! templates and helpers are read by both, so they are changed in place, and only where they must be.

mod blocks;
mod strict;
mod values;
mod verify;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use blocks::Lines;
use strict::Edits;

use crate::config::yaml::{self, Node};
use crate::config::{Listing, WalkListing, discover};
use crate::diagnostic::Diagnostic;
use crate::recipe::{Mode, Place};

/// A file as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewText {
    /// Relative to the project's root.
    pub path: PathBuf,
    /// What it says now; `None`: it is new.
    pub before: Option<String>,
    /// What it would say.
    pub text: String,
}

/// What turning a project would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// All files of the new project's configuration, `larder.yml` first; also those that stay as they are.
    pub files: Vec<NewText>,
    /// What a person has to do, with its place in the files as they are now (or, where they are parsed, as they would be).
    pub by_hand: Vec<Diagnostic>,
}

impl Conversion {
    /// Files that would be written.
    pub fn changed(&self) -> impl Iterator<Item = &NewText> {
        self.files.iter().filter(|file| file.before.as_deref() != Some(&file.text))
    }
}

/// Something for a person, by the line (from 0) of the file as it is.
#[derive(Debug)]
struct Task {
    line: usize,
    message: String,
    hint: String,
}

impl Task {
    fn new(line: usize, message: &str, hint: &str) -> Self {
        Self { line, message: message.to_owned(), hint: hint.to_owned() }
    }

    fn told(self, file: &Path, text: &str) -> Diagnostic {
        let line = text.lines().nth(self.line).map(str::to_owned);
        let start = line.as_deref().map_or(0, |line| line.len() - line.trim_start().len());
        let width = line.as_deref().map_or(1, |line| line.trim().chars().count());
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let place = Place { file: file.to_owned(), line: number(self.line + 1), column: number(start + 1) };
        let found = Diagnostic::error(self.message).at(place, line, number(width));
        if self.hint.is_empty() { found } else { found.with_hint(self.hint) }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Project,
    Cookbook,
    Template,
    Helper,
}

/// Says how the bake project in `folder` would be turned; `None`: there is none.
///
/// # Errors
/// When a file cannot be read.
pub fn convert(folder: &Path, env: &BTreeMap<String, String>) -> io::Result<Option<Conversion>> {
    let is_bake = |(name, mode): &(&str, Mode)| *mode == Mode::Bake && folder.join(name).is_file();
    let Some((root_file, _)) = discover::ROOT_FILES.into_iter().find(is_bake) else { return Ok(None) };
    let mut parts = vec![(PathBuf::from(root_file), Part::Project)];
    let cookbooks = WalkListing.files_named(folder, &discover::is_cookbook)?;
    parts.extend(cookbooks.into_iter().map(|file| (file, Part::Cookbook)));
    parts.extend(verify::beside(folder, "templates").into_iter().map(|file| (file, Part::Template)));
    parts.extend(verify::beside(folder, "helpers").into_iter().map(|file| (file, Part::Helper)));
    let mut conversion = Conversion::default();
    let mut names = Vec::new();
    // The root file last: it names the cookbooks.
    parts.rotate_left(1);
    for (path, part) in parts {
        let before = read(&folder.join(&path))?;
        let text = turned(&path, &before, part, &mut names, &mut conversion.by_hand);
        conversion.files.push(match part {
            Part::Project => NewText { path: "larder.yml".into(), before: None, text },
            _ => NewText { path, before: Some(before), text },
        });
    }
    conversion.files.rotate_right(1);
    if conversion.by_hand.is_empty() {
        conversion.by_hand = verify::verify(folder, Path::new(root_file), &conversion.files, env)?;
    }
    Ok(Some(conversion))
}

fn read(path: &Path) -> io::Result<String> {
    let named = |error: String| io::Error::other(format!("cannot read `{}`: {error}", path.display()));
    crate::config::read_bounded(path).map_err(named)
}

/// One file's text, turned.
fn turned(
    path: &Path,
    before: &str,
    part: Part,
    names: &mut Vec<String>,
    by_hand: &mut Vec<Diagnostic>,
) -> String {
    let mut lines = Lines::of(before);
    let mut tasks = Vec::new();
    lines.lift(&mut tasks);
    lines.quote();
    by_hand.extend(tasks.into_iter().map(|task| task.told(path, before)));
    let text = lines.text();
    // What does not parse is told when the new project is read.
    let Ok(body) = yaml::parse(&text) else { return as_it_was(before, text) };
    let edits = match part {
        Part::Project => Edits::project(&body, names),
        Part::Cookbook => {
            names.extend(body.get("name").and_then(Node::text).map(str::to_owned));
            Edits::cookbook(&body)
        }
        Part::Template => Edits::template(&body),
        Part::Helper => Edits::helper(&body),
    };
    as_it_was(before, edits.apply(&text))
}

/// A file in which nothing changed keeps its last line as it was.
fn as_it_was(before: &str, text: String) -> String {
    if text.lines().eq(before.lines()) { before.to_owned() } else { text }
}
