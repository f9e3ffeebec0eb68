//! A run as one HTML file: a timeline, where its time went, its failures, a table of its recipes.
//!
//! | module | what |
//! |---|---|
//! | this one | what a page is made of, and its file |
//! | `page` | the page, section by section |
//! | `html` | text as HTML |
//!
//! # Invariants
//! - The file needs nothing else: style and script are in it, and a policy in it forbids anything more (the script by its digest).
//! - Everything that others wrote (names, reasons, logs) goes through `html`, and nowhere into script or style.
//! - Without script it is whole: that only sorts and filters the table.
//! - It is small: at most [`MOST_LOGS`] of logs, and some 600 bytes for each recipe.

mod html;
mod page;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use larder::run::profile::{Ended, Profile};
use larder::run::recipe::RecipeId;
use larder::run::state;

use crate::commands::{Context, tail_of_log};
use crate::exit::Exit;
use crate::{units, whole_file};

/// Bytes of one log that are shown.
const MOST_OF_A_LOG: usize = 16 << 10;
/// Bytes of all logs.
const MOST_LOGS: usize = 96 << 10;

/// The end of a failed recipe's log.
#[derive(Debug)]
struct Tail {
    text: Vec<u8>,
    is_cut: bool,
}

/// What a page shows.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    project: &'a str,
    profile: &'a Profile,
    run: Option<u64>,
    /// By place in the profile.
    logs: BTreeMap<usize, Tail>,
}

/// The recipe of this name. Names come from what is kept, so they are as they were written.
fn id(name: &str) -> Option<RecipeId> {
    let (cookbook, rest) = name.split_once(':')?;
    let (recipe, instance) = match rest.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((recipe, instance)) => (recipe, Some(instance.to_owned())),
        None => (rest, None),
    };
    Some(RecipeId { cookbook: cookbook.to_owned(), recipe: recipe.to_owned(), instance })
}

impl<'a> Page<'a> {
    /// Of a run in the project at `root`. Logs that a later run wrote anew are not its own, and not shown.
    pub(crate) fn new(project: &'a str, profile: &'a Profile, run: Option<u64>, root: &Path) -> Self {
        let mut left = MOST_LOGS;
        let mut logs = BTreeMap::new();
        for (at, entry) in profile.recipes.iter().enumerate() {
            let Some(timing) = &entry.timing else { continue };
            if !matches!(entry.ended, Ended::Failed { .. }) {
                continue;
            }
            let Some(path) = id(&entry.recipe).map(|id| state::log_path(root, &id)) else { continue };
            let end = profile.begun.saturating_add(timing.end());
            if !is_of(&path, end) {
                continue;
            }
            let Ok((mut text, mut is_cut)) = tail_of_log(&path) else { continue };
            let most = MOST_OF_A_LOG.min(left);
            if text.len() > most {
                let from = text.len() - most;
                let line =
                    text[from..].iter().position(|&byte| byte == b'\n').map_or(from, |end| from + end + 1);
                text.drain(..line);
                is_cut = true;
            }
            left -= text.len();
            logs.insert(at, Tail { text, is_cut });
        }
        Self { project, profile, run, logs }
    }

    /// Refuses to write over a file that is there and no page.
    pub(crate) fn check(context: &Context, path: &Path) -> Result<(), Exit> {
        spare(context, path, "generator content=larder", "page")
    }

    /// What the file says.
    pub(crate) fn text(&self) -> String {
        page::page(self)
    }
}

/// Refuses to write over a file without this mark.
pub(crate) fn spare(context: &Context, path: &Path, mark: &str, what: &str) -> Result<(), Exit> {
    if !whole_file::is_foreign(&context.machine.folder().join(path), mark) {
        return Ok(());
    }
    let shown = path.to_string_lossy();
    let message = format!("`{}` is there and no {what} of Larder's", units::printable(&shown));
    context.printer.refuse(message, Some("name another file, or remove it first"));
    Err(Exit::Usage)
}

/// Whether a log was last written to no later than the recipe ended.
fn is_of(log: &Path, end: u64) -> bool {
    // File systems and clocks are not that exact.
    const CHANCE: u64 = 1_000_000;
    let modified = std::fs::metadata(log).and_then(|metadata| metadata.modified());
    let since = modified.ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.is_some_and(|since| since.as_micros() <= u128::from(end.saturating_add(CHANCE)))
}
