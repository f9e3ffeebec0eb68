//! The run as people see it: a line for each recipe that ran, its output as asked for, the summary.
//!
//! Hits are counted and shown only with `--verbose`. One lock is held while something is shown, so that what belongs together
//! stays together.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder::project::OpenProject;
use larder::run::engine::Report;
use larder::run::event::{Event, Outcome};
use larder::run::plan::Plan;
use larder::run::recipe::RecipeId;
use larder::run::state;

use super::log::{self, Prefixer, TAIL_LINES};
use super::summary;
use crate::cli::OutputMode;
use crate::commands::Context;
use crate::live::Live;
use crate::printer::{Printer, Style};
use crate::units;

/// Names are aligned up to this width.
const WIDEST_NAME: usize = 48;

/// Shows events as text.
pub(super) struct Text<'a> {
    printer: &'a Printer,
    verbose: bool,
    mode: OutputMode,
    project: &'a str,
    root: PathBuf,
    total: usize,
    width: usize,
    /// Servers that were asked for: what they say is what one waits for.
    streamed: BTreeSet<RecipeId>,
    servers: BTreeSet<RecipeId>,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    prefixer: Prefixer,
    done: usize,
    has_header: bool,
}

impl<'a> Text<'a> {
    pub(super) fn new(context: &'a Context, mode: OutputMode, plan: &Plan, open: &'a OpenProject) -> Self {
        // Instances of a long name are not worth pushing everything else to the right.
        let width = |id: &RecipeId| console::measure_text_width(&id.to_string());
        let widths = plan.recipes.iter().map(|recipe| width(&recipe.id));
        let servers = plan.recipes.iter().filter(|recipe| recipe.persistent);
        let streamed = plan.selected.iter().map(|&at| &plan.recipes[at]).filter(|recipe| recipe.persistent);
        Self {
            printer: &context.printer,
            verbose: context.verbose,
            mode,
            project: &open.project.name,
            root: open.project.root.clone(),
            total: plan.recipes.len(),
            width: widths.filter(|width| *width <= WIDEST_NAME).max().unwrap_or(0),
            streamed: streamed.map(|recipe| recipe.id.clone()).collect(),
            servers: servers.map(|recipe| recipe.id.clone()).collect(),
            progress: Mutex::new(Progress::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what happened.
    pub(super) fn show(&self, event: &Event<'_>) {
        let mut progress = self.lock();
        match event {
            Event::Started { recipe, .. } => self.started(&mut progress, recipe),
            Event::Waiting { recipe, holder } => {
                let holder = units::printable(holder);
                self.printer.talk(format_args!("  … {recipe} waits for {holder}"));
            }
            Event::Output { recipe, bytes, .. } => self.output(&mut progress, recipe, bytes),
            Event::Retrying { recipe, reason, retry, of } => {
                let (mark, reason) = (self.printer.paint(Style::Caution, "↻"), units::printable(reason));
                let id = recipe.to_string();
                let id = units::printable(&id);
                self.printer.data(format_args!("  {mark} {id}  {reason}: retry {retry} of {of}"));
            }
            Event::Warning { recipe, message, hint } => {
                let who = recipe.map(|recipe| format!("{recipe}: ")).unwrap_or_default();
                self.printer.warning(format_args!("{who}{}", units::printable(message)), *hint);
            }
            // What is not declared comes as a warning.
            Event::Traced { .. } => {}
            Event::Finished { recipe, outcome, took } => {
                self.finished(&mut progress, recipe, outcome, *took);
            }
        }
    }

    fn started(&self, progress: &mut Progress, recipe: &RecipeId) {
        if !progress.has_header {
            progress.has_header = true;
            let recipes = units::counted(self.total, "recipe", "recipes");
            let name = self.printer.paint(Style::Name, &units::printable(self.project));
            self.printer.data(format_args!("  {name} {recipes}"));
        }
        if let Some(live) = self.printer.live(|| Live::new(progress.done, self.total)) {
            live.started(&recipe.to_string());
        }
    }

    fn prefix(&self, name: &str) -> String {
        if self.total > 1 {
            format!("{} ", self.printer.paint(Style::Faint, &format!("{} |", units::printable(name))))
        } else {
            String::new()
        }
    }

    fn is_streamed(&self, recipe: &RecipeId) -> bool {
        self.mode == OutputMode::Stream || self.streamed.contains(recipe)
    }

    fn output(&self, progress: &mut Progress, recipe: &RecipeId, bytes: &[u8]) {
        if !self.is_streamed(recipe) {
            return;
        }
        let name = recipe.to_string();
        let prefix = self.prefix(&name);
        if self.total == 1 && self.printer.shown().is_none() {
            return self.printer.bytes(bytes);
        }
        let lines = progress.prefixer.feed(&name, &prefix, bytes);
        if !lines.is_empty() {
            self.printer.bytes(&lines);
        }
    }

    fn finished(&self, progress: &mut Progress, recipe: &RecipeId, outcome: &Outcome, took: Duration) {
        progress.done += 1;
        let name = recipe.to_string();
        let rest = progress.prefixer.end(&name, &self.prefix(&name));
        if !rest.is_empty() {
            self.printer.bytes(&rest);
        }
        if let Some(live) = self.printer.shown() {
            live.finished(&name);
        }
        if let Some(line) = self.line(recipe, outcome, took) {
            self.printer.data(line);
        }
        let shown = match outcome {
            _ if self.is_streamed(recipe) && !matches!(outcome, Outcome::Failed { .. }) => Ok(()),
            Outcome::Ran { .. } if self.mode == OutputMode::Group => {
                log::whole(self.printer, &state::log_path(&self.root, recipe))
            }
            Outcome::Failed { hint, .. } => {
                let shown = self.failed_output(recipe);
                if let Some(hint) = hint {
                    self.printer.data(format_args!("hint: {hint}"));
                }
                shown
            }
            _ => Ok(()),
        };
        if let Err(error) = shown {
            tracing::debug!(%error, "there is no log to show");
        }
    }

    /// The output of a failed recipe, where it was not shown as it came.
    fn failed_output(&self, recipe: &RecipeId) -> std::io::Result<()> {
        let path = state::log_path(&self.root, recipe);
        match self.mode {
            _ if self.is_streamed(recipe) => Ok(()),
            OutputMode::Stream => Ok(()),
            OutputMode::Group => log::whole(self.printer, &path),
            OutputMode::Errors => {
                let (bytes, is_cut) = log::tail(&path)?;
                if is_cut {
                    let path = path.strip_prefix(&self.root).unwrap_or(&path);
                    let (lines, path) = (TAIL_LINES, path.display());
                    self.printer.data(format_args!("    … the last {lines} lines; all of them: {path}"));
                }
                self.printer.bytes(&bytes);
                Ok(())
            }
        }
    }

    /// The line of a recipe that is done, if it has one.
    fn line(&self, recipe: &RecipeId, outcome: &Outcome, took: Duration) -> Option<String> {
        let paint = |style, text: &str| self.printer.paint(style, text);
        let (mark, remarks) = match outcome {
            Outcome::Cached { .. } if !self.verbose => return None,
            Outcome::Cached { tier, restored, .. } => {
                let how = if *restored { "restored" } else { "in place" };
                (paint(Style::Faint, "="), vec![format!("cached ({tier}, {how})")])
            }
            Outcome::Ran { miss, not_cached, .. } => {
                let mut remarks: Vec<String> = miss.iter().map(|miss| format!("miss: {miss}")).collect();
                remarks.extend(not_cached.iter().map(|why| format!("not cached: {why}")));
                (paint(Style::Good, "✓"), remarks)
            }
            Outcome::Failed { reason, .. } => (paint(Style::Bad, "✗"), vec![reason.clone()]),
            Outcome::Skipped { because } => {
                (paint(Style::Faint, "-"), vec![format!("skipped: {because} failed")])
            }
            Outcome::WouldRun { miss } => {
                let why = miss.as_ref().map(|miss| format!(": {miss}")).unwrap_or_default();
                (paint(Style::Caution, "→"), vec![format!("would run{why}")])
            }
            Outcome::Cancelled if self.printer.shown().is_some() || self.verbose => {
                (paint(Style::Faint, "-"), vec!["cancelled".to_owned()])
            }
            Outcome::Cancelled => return None,
            Outcome::NotNeeded if self.verbose => {
                let why = if self.servers.contains(recipe) {
                    "nothing that runs depends on it"
                } else {
                    "nothing changed for it"
                };
                (paint(Style::Faint, "-"), vec![format!("not needed: {why}")])
            }
            Outcome::Serving { begun: true } => (paint(Style::Good, "▸"), vec!["serving".to_owned()]),
            Outcome::Serving { begun: false } if self.verbose => {
                (paint(Style::Faint, "▸"), vec!["serving on".to_owned()])
            }
            Outcome::Serving { begun: false } => return None,
            Outcome::NotNeeded => return None,
        };
        let time = match outcome {
            Outcome::Ran { .. } | Outcome::Failed { .. } => Some(took),
            _ => None,
        };
        let failed = matches!(outcome, Outcome::Failed { .. });
        // Why something failed is told whole, however narrow the terminal.
        let width = self.printer.width().filter(|_| !self.verbose);
        let (name, remarks) = fit(&recipe.to_string(), &remarks.join("   "), time, self.width, width, failed);
        let remarks = paint(if failed { Style::Bad } else { Style::Faint }, &remarks);
        let line = format!("  {mark} {name}   {remarks}");
        Some(line.trim_end().to_owned())
    }

    /// Shows what the run came to.
    pub(super) fn end(&self, plan: &Plan, report: &Report, took: Duration) {
        if let Some(live) = self.printer.shown() {
            live.end();
        }
        self.printer.data(summary::line(plan, report, took));
    }
}

/// Name and time in columns, and the remarks, so that both fit a terminal of `width` columns behind a mark: a name that takes more
/// than half of it loses its middle, remarks their end.
fn fit(
    name: &str,
    remarks: &str,
    time: Option<Duration>,
    aligned: usize,
    width: Option<usize>,
    whole_remarks: bool,
) -> (String, String) {
    let (name, remarks) = (units::printable(name), units::printable(remarks));
    let time = time.map(|took| format!("  {:>7}", units::duration(took))).unwrap_or_default();
    let Some(width) = width else {
        let gap = " ".repeat(aligned.saturating_sub(console::measure_text_width(&name)));
        return (format!("{name}{gap}{time}"), remarks.into_owned());
    };
    let widest = (width / 2).max(16);
    let name = units::shortened(&name, widest);
    let gap = " ".repeat(aligned.min(widest).saturating_sub(console::measure_text_width(&name)));
    let name = format!("{name}{gap}{time}");
    // The mark with its blanks, and those before the remarks.
    let left = width.saturating_sub(console::measure_text_width(&name) + 7);
    let remarks = match left {
        _ if whole_remarks => remarks.into_owned(),
        // A few letters would tell nothing.
        0..8 => String::new(),
        _ => console::truncate_str(&remarks, left, "…").into_owned(),
    };
    (name, remarks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_the_terminal() {
        let name = "app:gen[src/very/long/path/of/a/module-15/component.c]";
        let miss = "miss: src/very/long/path/of/a/module-15/component.c changed, NODE_ENV dev→prod (+3)";
        let second = Some(Duration::from_millis(1_200));
        for width in [40, 60, 80, 120, 200] {
            let (shown, remarks) = fit(name, miss, second, 48, Some(width), false);
            assert!(
                console::measure_text_width(&format!("  ✓ {shown}   {remarks}")) <= width,
                "{width}: {shown} {remarks}"
            );
        }
        let (shown, remarks) = fit(name, "forced", second, 48, Some(80), false);
        assert_eq!(format!("{shown} {remarks}"), "app:gen[src/v…f/a/module-15/component.c]    1.2 s forced");
        let (shown, remarks) = fit(name, miss, None, 48, None, false);
        assert_eq!((&*shown, &*remarks), (name, miss));
        assert_eq!(fit("a", miss, None, 1, Some(40), true).1, miss);
    }
}
