//! `larder run --suggest-inputs`: what was observed → edits of cookbooks, shown, and made if wanted.
//!
//! Nothing is written before the edited project was loaded and planned, and found to differ in inputs and tools only. Each file is
//! replaced whole, and only if it is still what was read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use larder::project::{OpenProject, Surroundings};
use larder::run::config::{ConfigError, Project};
use larder::run::diagnostic::Diagnostic;
use larder::run::engine::Report;
use larder::run::event::{Event, Outcome};
use larder::run::plan::Plan;
use larder::run::recipe::{Recipe, RecipeId};
use larder::run::select::Selection;
use larder::run::suggest::{self, Edited, Note, Observed, Place, Proposal};
use larder::run::template::Execution;
use larder::run::trace::{Trace, Undeclared};
use serde_json::json;

use crate::cli::RunArgs;
use crate::commands::{Context, project};
use crate::exit::Exit;
use crate::printer::{Printer, Style};
use crate::signals::Watch;
use crate::whole_file::OnSignal;
use crate::{diff, units, whole_file};

/// So many notes of one kind are shown for a recipe.
const MOST_NOTES: usize = 5;

/// What was observed of each recipe, the last time it ran.
#[derive(Debug, Default)]
pub(super) struct Observations(Mutex<BTreeMap<RecipeId, (Trace, Undeclared)>>);

impl Observations {
    /// Keeps what an event tells of a trace.
    pub(super) fn note(&self, event: &Event<'_>) {
        if let Event::Traced { recipe, trace, undeclared } = *event {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(recipe.clone(), (trace.clone(), undeclared.clone()));
        }
    }
}

/// The run that was observed.
pub(super) struct Ran<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) open: &'a OpenProject,
    pub(super) selection: &'a Selection,
    pub(super) plan: &'a Plan,
    pub(super) report: &'a Report,
    pub(super) signals: &'a Watch,
}

/// Shows what should be declared, and writes it if that is wanted.
pub(super) fn suggest(
    context: &Context,
    args: &RunArgs,
    ran: &Ran<'_>,
    observations: &Observations,
) -> Result<(), Exit> {
    let printer = &context.printer;
    let (proposals, failed) = ran.proposals(context, observations);
    let (edited, refused) = ran.edits(printer, &proposals)?;
    if !args.json {
        text(printer, &proposals, &edited, &failed);
    }
    let ask = || ran.signals.while_asking(|| printer.ask("write it?")).unwrap_or(false);
    let wanted = !edited.files.is_empty() && (args.yes || !args.json && ask());
    if wanted {
        for file in &edited.files {
            let path = ran.open.project.root.join(&file.file);
            whole_file::replace(&path, OnSignal::GoOn, Some(&file.before), &file.after).map_err(
                |reason| {
                    let hint = "what was written before it stays; run it again";
                    printer.refuse(format_args!("`{}`: {reason}", file.file.display()), Some(hint));
                    Exit::Usage
                },
            )?;
        }
    }
    if args.json {
        printer.json(&to_json(&proposals, &edited, &failed, &refused, wanted));
    } else if wanted {
        for file in &edited.files {
            printer.data(format_args!("wrote {}", shown(&file.file)));
        }
        printer.data("next: `larder run`, and again");
    } else if !edited.files.is_empty() {
        printer.talk("nothing was written\nhint: `larder run --suggest-inputs --yes` writes it");
    }
    if refused.is_empty() { Ok(()) } else { Err(Exit::Usage) }
}

impl Ran<'_> {
    /// What the recipes that succeeded should declare, and the names of those that did not.
    fn proposals(&self, context: &Context, observations: &Observations) -> (Vec<Proposal>, Vec<String>) {
        let seen = observations.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |id: &RecipeId| self.wanted().any(|recipe| recipe.id == *id);
        let is_bad = |outcome: &Outcome| {
            matches!(outcome, Outcome::Failed { .. } | Outcome::Skipped { .. } | Outcome::Cancelled)
        };
        let finished = || self.report.recipes.iter().filter(|finished| wanted(&finished.recipe));
        let bad = finished().filter(|finished| is_bad(&finished.outcome)).map(|finished| &finished.recipe);
        let bad: Vec<(&str, &str)> = bad.map(|id| (id.cookbook.as_str(), id.recipe.as_str())).collect();
        let observed: Vec<Observed<'_>> = self
            .wanted()
            .filter(|recipe| !bad.contains(&(&recipe.id.cookbook, &recipe.id.recipe)))
            .filter_map(|recipe| {
                let (trace, undeclared) = seen.get(&recipe.id)?;
                Some(Observed { recipe, trace, undeclared, is_named: !self.selection.selectors.is_empty() })
            })
            .collect();
        let home = context.machine.user_folder();
        let path = self.around.environment.get(std::ffi::OsStr::new("PATH"));
        let path: Vec<PathBuf> = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        self.open.worktree.ran();
        let place = Place {
            root: &self.open.project.root,
            worktree: &self.open.worktree,
            home: home.as_deref(),
            path: &path,
            recipes: &self.recipes(),
            axes: &suggest::axes(&self.open.project),
        };
        let mut failed: Vec<String> =
            bad.iter().map(|(cookbook, recipe)| format!("{cookbook}:{recipe}")).collect();
        failed.sort();
        failed.dedup();
        (suggest::propose(&place, &observed), failed)
    }

    /// The recipes that are asked for; without selectors and tags also the cached ones that those depend on.
    fn wanted(&self) -> impl Iterator<Item = &Recipe> {
        let is_open = self.selection.selectors.is_empty() && self.selection.tags.is_empty();
        let recipes = self.plan.recipes.iter().enumerate();
        let wanted = recipes.filter(move |(at, recipe)| {
            self.plan.selected.contains(at) || (is_open && recipe.cache.is_some())
        });
        wanted.map(|(_, recipe)| recipe)
    }

    /// All recipes of the project as far as they are known without running commands.
    fn recipes(&self) -> Vec<Recipe> {
        let mut all = self.plan.recipes.clone();
        if let Ok(others) = self.open.project.resolve_all(&self.open.listing(), Execution::Inert) {
            let others = others.recipes.into_iter();
            let new: Vec<Recipe> =
                others.filter(|other| !self.plan.recipes.iter().any(|known| known.id == other.id)).collect();
            all.extend(new);
        }
        all
    }

    /// The edits that are good, and the recipes whose are not: what is wrong with these is said.
    fn edits(&self, printer: &Printer, proposals: &[Proposal]) -> Result<(Edited, Vec<String>), Exit> {
        let project = &self.open.project;
        let all = suggest::edit(project, proposals);
        if self.check(proposals, &all).is_ok() {
            return Ok((all, Vec::new()));
        }
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for proposal in proposals {
            let one = std::slice::from_ref(proposal);
            match self.check(one, &suggest::edit(project, one)) {
                Ok(()) => good.push(proposal.clone()),
                Err(found) => {
                    project::warn(printer, &found);
                    let name = format!("{}:{}", proposal.cookbook, proposal.recipe);
                    printer.warning(
                        format_args!("what was found for {name} would not do, and is left out"),
                        None,
                    );
                    refused.push(name);
                }
            }
        }
        let edited = suggest::edit(project, &good);
        match self.check(&good, &edited) {
            Ok(()) => Ok((edited, refused)),
            Err(found) => {
                project::warn(printer, &found);
                printer.refuse("what was found would not do, and nothing was written", None);
                Err(Exit::Usage)
            }
        }
    }

    /// Loads the project as it would be.
    fn check(&self, proposals: &[Proposal], edited: &Edited) -> Result<(), Vec<Diagnostic>> {
        if edited.files.is_empty() {
            return Ok(());
        }
        let wrong = |error: ConfigError| error.diagnostics();
        let listing = self.open.listing();
        let texts = edited.files.iter().map(|file| (file.file.clone(), file.after.clone())).collect();
        let changed = self.open.with_texts(self.around, texts).map_err(wrong)?;
        let resolved = changed.resolve(self.selection, &listing).map_err(wrong)?;
        let checked =
            suggest::check(&changed, &self.plan.recipes, &resolved.recipes, proposals, &edited.by_hand);
        checked.map_err(|error| vec![Diagnostic::error(error.to_string())])?;
        Plan::new(&changed, resolved).map_err(wrong)?;
        // With all recipes, where that was good before.
        let whole = |project: &Project| {
            let resolved = project.resolve_all(&listing, Execution::Inert)?;
            Plan::new(project, resolved)
        };
        if whole(&self.open.project).is_ok() {
            whole(&changed).map_err(wrong)?;
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    units::printable(&path.to_string_lossy()).into_owned()
}

fn text(printer: &Printer, proposals: &[Proposal], edited: &Edited, failed: &[String]) {
    for file in &edited.files {
        diff::show(printer, &file.file.to_string_lossy(), Some(&file.before), &file.after);
        printer.data("");
    }
    if proposals.iter().all(Proposal::is_empty) && !proposals.is_empty() {
        let count = units::counted(proposals.len(), "recipe", "recipes");
        let is_idle = |note: &Note| matches!(note, Note::NeverRead { .. } | Note::NeverRun { .. });
        let is_all = proposals.iter().flat_map(|proposal| &proposal.notes).all(is_idle);
        let rest = if is_all { format!(": what {count} touched is declared") } else { String::new() };
        printer.data(format_args!("nothing to add{rest}"));
    }
    for left in &edited.by_hand {
        let items = left.items.iter().map(|item| format!("      - {item}\n")).collect::<String>();
        let (recipe, list, reason) = (&left.recipe, &left.list, &left.reason);
        let line = format!("to be added by hand to `{list}` of {recipe} ({reason}):\n{items}");
        printer.data(units::harmless(line.trim_end()));
    }
    for proposal in proposals {
        notes(printer, proposal);
    }
    for recipe in failed {
        printer.data(format_args!("{} {recipe} did not succeed: nothing is proposed for it", note(printer)));
    }
}

fn note(printer: &Printer) -> String {
    printer.paint(Style::Caution, "note:")
}

fn notes(printer: &Printer, proposal: &Proposal) {
    let name = format!("{}:{}", proposal.cookbook, proposal.recipe);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    if proposal.is_new {
        let said =
            "had no `cache`, and ran every time; with it, it runs only when one of these inputs changed";
        printer.data(format_args!("{} {name} {said}", note(printer)));
    }
    for one in &proposal.notes {
        let count = kinds.entry(kind(one)).or_default();
        *count += 1;
        if *count <= MOST_NOTES {
            let said = words(one);
            printer.data(format_args!("{} {name} {}", note(printer), units::printable(&said)));
        }
    }
    for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > MOST_NOTES) {
        let more = count - MOST_NOTES;
        printer.data(format_args!(
            "{} {name}: {more} more such notes (`{kind}`; `--json` has all)",
            note(printer)
        ));
    }
}

/// A note's name under `--json`.
fn kind(note: &Note) -> &'static str {
    match note {
        Note::Incomplete { .. } => "incomplete",
        Note::NeverRead { .. } => "never_read",
        Note::NeverRun { .. } => "never_run",
        Note::Home { .. } => "home",
        Note::Git => "git",
        Note::Bytecode => "bytecode",
        Note::OwnOutput { .. } => "own_output",
        Note::Foreign { .. } => "foreign",
        Note::Lists { .. } => "lists",
        Note::Writes { .. } => "writes",
        Note::NotCached => "not_cached",
    }
}

fn words(note: &Note) -> String {
    match note {
        Note::Incomplete { reason } => format!("could not be observed whole, so nothing is proposed: {reason}"),
        Note::NeverRead { pattern } => format!("declares the input `{pattern}`, of which nothing was read"),
        Note::NeverRun { tool } => format!("declares the tool `{tool}`, which was not run"),
        Note::Home { folder, paths } => {
            let paths = units::counted(*paths, "path", "paths");
            format!(
                "looks at {paths} in `{folder}`, which cannot be inputs; if they change no result: `trace: {{mode: …, ignore: ['{folder}']}}`"
            )
        }
        Note::Git => {
            "reads `.git`, which every commit changes; what it asks there is better a variable, rendered with `{{shell \"git …\"}}`"
                .to_owned()
        }
        Note::Bytecode => {
            "reads and writes `__pycache__`, which is no input: run Python with `-B`, or say `trace: {mode: …, ignore: ['**/__pycache__']}`"
                .to_owned()
        }
        Note::OwnOutput { path } => format!(
            "reads `{}`, its own output of an earlier run: say `incremental: true` if it is meant to, or remove it first",
            path.display()
        ),
        Note::Foreign { path, by } => {
            format!("reads `{}`, which `{by}` makes: add that to its `dependencies`", path.display())
        }
        Note::Lists { path, by } => format!(
            "lists the folder of `{}`, which `{by}` makes, so that it sees whether that ran: add that to its `dependencies`, or keep the two apart",
            path.display()
        ),
        Note::Writes { path } => {
            format!("writes `{}`, which is no output: add it to `cache.outputs`, or let it be written elsewhere", path.display())
        }
        Note::NotCached => "has no `cache`, and needs no inputs; name it to get one proposed".to_owned(),
    }
}

fn to_json(
    proposals: &[Proposal],
    edited: &Edited,
    failed: &[String],
    refused: &[String],
    written: bool,
) -> serde_json::Value {
    let notes = |proposal: &Proposal| {
        let notes = proposal.notes.iter().map(|note| json!({ "kind": kind(note), "message": words(note) }));
        notes.collect::<Vec<_>>()
    };
    let proposed = proposals.iter().map(|proposal| {
        json!({
            "recipe": format!("{}:{}", proposal.cookbook, proposal.recipe),
            "new_cache": proposal.is_new,
            "inputs": proposal.inputs,
            "outputs": proposal.outputs,
            "tools": proposal.tools,
            "notes": notes(proposal),
        })
    });
    let by_hand = edited.by_hand.iter().map(|left| {
        json!({ "recipe": left.recipe, "list": left.list, "items": left.items, "reason": left.reason })
    });
    let files = edited.files.iter().map(|file| {
        let path = file.file.to_string_lossy();
        json!({ "path": path, "diff": diff::patch(&path, &file.before, &file.after) })
    });
    json!({
        "version": 1,
        "proposals": proposed.collect::<Vec<_>>(),
        "by_hand": by_hand.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
        "failed": failed,
        "refused": refused,
        "written": written,
    })
}
