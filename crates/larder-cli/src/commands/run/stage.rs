//! What is shown between the runs of `--watch`: what changed, the line that says what is watched, what servers say, and how they end.
//!
//! Servers speak from threads of their own at any time, so that line is taken away for them and drawn again. One lock holds the terminal while something is shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder::run::event::{Event, Outcome};
use larder::run::recipe::RecipeId;
use larder::run::state;
use larder::run::watch::{Change, How};

use super::json::Json;
use super::log::{self, Prefixer};
use crate::cli::OutputMode;
use crate::printer::{Printer, Style};
use crate::units;

/// Says what is watched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched {
    pub(super) files: usize,
    pub(super) folders: usize,
    pub(super) servers: usize,
    pub(super) poll: Option<Duration>,
}

/// See the module's header.
#[derive(Debug)]
pub(super) struct Stage {
    as_json: bool,
    mode: OutputMode,
    on: Mutex<On>,
}

#[derive(Debug, Default)]
struct On {
    printer: Printer,
    line: Option<String>,
    prefixer: Prefixer,
    root: PathBuf,
    /// Servers that were asked for.
    streamed: BTreeSet<RecipeId>,
}

impl On {
    /// Shows something in place of the line, and the line again.
    fn beside(&mut self, show: impl FnOnce(&Printer, &mut Prefixer)) {
        self.printer.progress(None);
        show(&self.printer, &mut self.prefixer);
        if self.printer.redraws()
            && let Some(line) = &self.line
        {
            self.printer.progress(Some(line));
        }
    }
}

fn prefix(printer: &Printer, name: &str) -> String {
    format!("{} ", printer.paint(Style::Faint, &format!("{} |", units::printable(name))))
}

impl Stage {
    pub(super) fn new(printer: &Printer, as_json: bool, mode: OutputMode) -> Self {
        let on = On { printer: printer.clone(), ..On::default() };
        Self { as_json, mode, on: Mutex::new(on) }
    }

    fn lock(&self) -> MutexGuard<'_, On> {
        self.on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is run from now on.
    pub(super) fn set(&self, root: PathBuf, streamed: BTreeSet<RecipeId>) {
        let mut on = self.lock();
        (on.root, on.streamed) = (root, streamed);
    }

    /// A run begins and shows itself; servers speak through its printer.
    pub(super) fn run(&self, printer: &Printer) {
        let mut on = self.lock();
        on.line = None;
        on.printer.progress(None);
        on.printer = printer.clone();
    }

    /// Takes the line away for good.
    pub(super) fn end(&self) {
        let mut on = self.lock();
        on.line = None;
        on.printer.progress(None);
    }

    /// Changes are waited for.
    pub(super) fn watching(&self, watched: Watched) {
        let Watched { files, folders, servers, poll } = watched;
        let mut on = self.lock();
        if self.as_json {
            return Json::beside(&on.printer).watching(files, folders, servers, poll);
        }
        let count = |number: usize, word: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{} {word}{plural}", units::count(number as u64))
        };
        let mut line = format!("watching {} in {}", count(files, "file"), count(folders, "folder"));
        if servers > 0 {
            line.push_str(&format!(" · {}", count(servers, "server")));
        }
        if let Some(poll) = poll {
            line.push_str(&format!(" · looking every {}", units::duration(poll)));
        }
        line.push_str(" · ctrl-c to stop");
        let line = on.printer.paint(Style::Faint, &line);
        on.printer.progress(Some(&line));
        on.line = Some(line);
    }

    /// Changes were seen, and another run begins. Without any: the configuration got other answers.
    pub(super) fn changed(&self, changes: &[Change], displaced: &[RecipeId]) {
        let mut on = self.lock();
        on.line = None;
        on.printer.progress(None);
        if self.as_json {
            return Json::beside(&on.printer).changed(changes, displaced);
        }
        let (what, count) = match (changes.first(), displaced.first()) {
            (Some(change), _) => {
                let path = change.path.to_string_lossy();
                let how = match change.how {
                    How::Added => "added",
                    How::Changed => "changed",
                    How::Removed => "removed",
                    How::Touched => "written",
                };
                (format!("{} {how}", units::printable(&path)), changes.len() + displaced.len())
            }
            (None, Some(id)) => {
                let id = id.to_string();
                (format!("outputs of {} changed", units::printable(&id)), displaced.len())
            }
            (None, None) => ("the configuration changed".to_owned(), 1),
        };
        let more = if count > 1 { format!(" (+{})", count - 1) } else { String::new() };
        on.printer.data(on.printer.paint(Style::Name, &format!("{what}{more}")));
    }

    /// The project's folder is not at its path any more; nothing is done until it is.
    pub(super) fn gone(&self, root: &Path) {
        let root = root.to_string_lossy();
        let message = format!("`{}` is gone: waiting for it to be back", units::printable(&root));
        let mut on = self.lock();
        on.line = None;
        on.printer.progress(None);
        if self.as_json {
            let event = Event::Warning { recipe: None, message: &message, hint: None };
            return Json::beside(&on.printer).show(&event);
        }
        on.printer.warning(message, None);
    }

    /// It is there again, and everything is looked at.
    pub(super) fn back(&self) {
        let on = self.lock();
        if self.as_json {
            return Json::beside(&on.printer).changed(&[], &[]);
        }
        on.printer.data(on.printer.paint(Style::Name, "the project is back"));
    }

    /// A warning beside everything.
    pub(super) fn warn(&self, message: &str, hint: Option<&str>) {
        self.lock().beside(|printer, _| printer.warning(message, hint));
    }

    /// What a server says.
    pub(super) fn hear(&self, event: &Event<'_>) {
        let mut on = self.lock();
        if self.as_json {
            return Json::beside(&on.printer).show(event);
        }
        match event {
            Event::Output { recipe, bytes, .. }
                if self.mode == OutputMode::Stream || on.streamed.contains(recipe) =>
            {
                let name = recipe.to_string();
                let lines = {
                    let prefix = prefix(&on.printer, &name);
                    on.prefixer.feed(&name, &prefix, bytes)
                };
                if !lines.is_empty() {
                    on.beside(|printer, _| printer.bytes(&lines));
                }
            }
            Event::Warning { recipe, message, hint } => {
                let who = recipe.map(|recipe| format!("{recipe}: ")).unwrap_or_default();
                on.beside(|printer, _| {
                    printer.warning(format_args!("{who}{}", units::printable(message)), *hint);
                });
            }
            _ => {}
        }
    }

    /// A server ended by itself between two runs.
    pub(super) fn ended(&self, recipe: &RecipeId, outcome: &Outcome, took: Duration) {
        let mut on = self.lock();
        if self.as_json {
            return Json::beside(&on.printer).show(&Event::Finished { recipe, outcome, took });
        }
        let name = recipe.to_string();
        let is_shown = self.mode == OutputMode::Stream || on.streamed.contains(recipe);
        let path = state::log_path(&on.root, recipe);
        on.beside(|printer, prefixer| {
            let rest = prefixer.end(&name, &prefix(printer, &name));
            if !rest.is_empty() {
                printer.bytes(&rest);
            }
            let (mark, why) = match outcome {
                Outcome::Failed { reason, .. } => (printer.paint(Style::Bad, "✗"), reason.as_str()),
                _ => (printer.paint(Style::Faint, "-"), "ended"),
            };
            let (name, why) = (units::printable(&name), units::printable(why));
            printer.data(format_args!("  {mark} {name}  {:>7}   {why}", units::duration(took)));
            if !is_shown
                && matches!(outcome, Outcome::Failed { .. })
                && let Ok((bytes, _)) = log::tail(&path)
            {
                printer.bytes(&bytes);
            }
        });
    }
}
