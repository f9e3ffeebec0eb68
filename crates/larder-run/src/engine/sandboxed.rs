//! A recipe with `sandbox`: what it is shown, and what is said of what it wrote.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Session;
use super::execute::Failure;
use super::recipe::{Job, Now, find_tool};
use crate::event::Event;
use crate::process::SpawnError;
use crate::recipe::{Recipe, with_root};
use crate::sandbox::{self, Collected, Layout, Place, Sandbox, Seen};
use crate::worktree::{Entry, EntryKind, InputError};
use larder_core::error::chain;

/// As many paths as a warning names.
const NAMED: usize = 3;

impl Job<'_> {
    /// The sandbox for one try; `None` if the recipe wants none.
    pub(super) fn sandbox(&self, now: &Now) -> Result<Option<Sandbox<'_>>, Failure> {
        let (session, recipe) = (self.session, self.recipe);
        let Some(wanted) = &recipe.sandbox else { return Ok(None) };
        let layout = self
            .layout(now)
            .map_err(|error| Failure { hint: error.hint(), ..Failure::new(chain(&error)) })?;
        let home = home(session, recipe);
        let in_home = |path: &PathBuf| match (path.strip_prefix("~"), &home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.clone(),
        };
        let wanted =
            crate::recipe::Sandbox { folders: wanted.folders.iter().map(in_home).collect(), ..*wanted };
        let tools: Vec<PathBuf> =
            recipe.tools.iter().filter_map(|tool| find_tool(session, recipe, tool)).collect();
        let name = recipe.id.to_string();
        let place = Place { root: &session.root, home: home.as_deref(), run: &session.run, recipe: &name };
        let made = Sandbox::new(&session.state_dir, place, &wanted, layout, &self.spec, &tools);
        made.map(Some).map_err(|error| Failure::new(format!("cannot prepare its sandbox: {}", chain(&error))))
    }

    fn layout(&self, now: &Now) -> Result<Layout, InputError> {
        let worktree = self.session.worktree;
        let mut layout = Layout::new(self.recipe.folder.as_os_str().as_bytes(), &self.spec);
        for outputs in self.dependencies.iter().filter_map(|made| made.outputs.as_ref()) {
            let entries = worktree.entries(&outputs.spec)?;
            let is_folder = |path: &PathBuf| {
                entries
                    .iter()
                    .any(|entry| entry.path == *path && matches!(entry.kind, EntryKind::Directory { .. }))
            };
            // With exclusions (its only patterns) not all that is in a folder was made by the dependency.
            if outputs.spec.patterns.is_empty() {
                for path in outputs.spec.paths.iter().filter(|path| is_folder(path)) {
                    layout.add(path.as_os_str().as_bytes(), Seen::Whole);
                }
            }
            show(&mut layout, &entries);
        }
        show(&mut layout, &worktree.entries(&now.inputs)?);
        show(&mut layout, now.spared.entries());
        Ok(layout)
    }

    /// Says what a command wrote that is no output.
    pub(super) fn warn_of_strays(&self, collected: &Collected) {
        let (session, recipe) = (self.session, self.recipe);
        if collected.strays.is_empty() {
            return;
        }
        let shown = |path: &Vec<u8>| format!("`{}`", String::from_utf8_lossy(path));
        let mut names: Vec<String> = collected.strays.iter().take(NAMED).map(shown).collect();
        if let Some(more) = collected.strays.len().checked_sub(NAMED).filter(|more| *more > 0) {
            names.push(format!("{more} more"));
        }
        let message = format!("wrote what is no output, and it was dropped: {}", names.join(", "));
        let hint = Some("declare it in `outputs`, or write it to a temporary folder");
        (session.events)(Event::Warning { recipe: Some(&recipe.id), message: &message, hint });
    }
}

/// A command that did not start; of a sandbox that cannot be had, why.
pub(super) fn not_started(error: &SpawnError) -> Failure {
    Failure { hint: sandbox::hint(error), ..Failure::new(chain(error)) }
}

/// `HOME` as the command has it.
fn home(session: &Session<'_>, recipe: &Recipe) -> Option<PathBuf> {
    let declared = recipe.environment.get("HOME");
    match declared {
        Some(declared) => declared.as_ref().map(|value| with_root(&session.root, value).into()),
        None => session.options.environment.get(std::ffi::OsStr::new("HOME")).map(PathBuf::from),
    }
}

fn show(layout: &mut Layout, entries: &[Entry]) {
    for entry in entries {
        let seen = match &entry.kind {
            EntryKind::File { .. } => Seen::File,
            EntryKind::Directory { mode } => Seen::Folder(*mode),
            EntryKind::Symlink { target } => Seen::Link(target.as_os_str().as_bytes().to_vec()),
        };
        layout.add(entry.path.as_os_str().as_bytes(), seen);
    }
}
