//! What a key is compared with: its last run here, a kept run of this worktree, or a run of another machine that tiers know.

use std::time::SystemTime;

use larder::project::{OpenProject, Surroundings};
use larder::remote::Tiers;
use larder::run::engine::{Change, Explained, Session, Standing, compare};
use larder::run::history::{History, Wanted};
use larder::run::lines::{Line, diff_texts};
use larder::run::records::exchange::{self, Missing, Run};
use larder::run::state::KeyItem;
use larder::store::Store;

use crate::cli::Which;
use crate::commands::{Context, project};
use crate::exit::Exit;
use crate::printer::Printer;
use crate::units;

/// When the key was as it is compared with.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// In a kept run of this worktree.
    Here { run: u64, at: SystemTime },
    /// When it last ran here.
    Last,
    /// In a run that tiers know.
    There { name: Option<String>, at: SystemTime },
}

/// A recipe's key as it was, compared with what it is.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) then: Then,
    /// What differs, what a person edits first.
    pub(super) changes: Vec<Change>,
    /// How the command differs, if it does.
    pub(super) command: Vec<Line>,
    /// It is another key, as far as both are known.
    pub(super) is_other_key: bool,
}

/// Why there is nothing to compare with, as what follows `it`.
pub(super) struct Nothing {
    pub(super) why: String,
    pub(super) hint: Option<&'static str>,
    /// There is no such run, whatever the recipe.
    pub(super) is_no_run: bool,
}

/// What is compared with.
pub(super) struct Against<'a> {
    session: &'a Session<'a>,
    history: History,
    source: Source<'a>,
}

enum Source<'a> {
    Last,
    Run(u64),
    Elsewhere { which: Which, store: &'a Store, tiers: Box<Tiers>, project: &'a str },
}

impl<'a> Against<'a> {
    /// What was asked for. `Err`: there is no such run, and that was said.
    pub(super) fn new(
        context: &Context,
        which: Option<&Which>,
        around: &Surroundings,
        open: &'a OpenProject,
        store: Option<&'a Store>,
        session: &'a Session<'a>,
    ) -> Result<Self, Exit> {
        let history = History::open(session.state().folder());
        let source = match which {
            None => Source::Last,
            Some(Which::Number(run)) => {
                check_run(&context.printer, &history, *run)?;
                Source::Run(*run)
            }
            Some(which) => match named_here(&history, which) {
                Some(run) => Source::Run(run),
                None => {
                    let Some((store, tiers)) =
                        store.and_then(|store| Some((store, project::tiers(context, around, open, store)?)))
                    else {
                        return Err(no_tiers(&context.printer, which));
                    };
                    let (which, tiers) = (which.clone(), Box::new(tiers));
                    Source::Elsewhere { which, store, tiers, project: &open.project.name }
                }
            },
        };
        Ok(Self { session, history, source })
    }

    /// The key of a recipe then, against what it is now.
    pub(super) fn before(&self, explained: &Explained) -> Result<Before, Nothing> {
        let never = |why: String| Nothing { why, hint: None, is_no_run: false };
        let here = |found: larder::run::history::Found| {
            Before::of(Then::Here { run: found.run, at: found.at }, &found.items, explained)
        };
        match &self.source {
            Source::Last => match self.history.find(&explained.recipe, None) {
                Some(found) => Ok(here(found)),
                None => {
                    let items = self.session.state().last_key(&explained.recipe);
                    let items = items.ok_or_else(|| never("never ran here".to_owned()))?;
                    Ok(Before::of(Then::Last, &items, explained))
                }
            },
            Source::Run(run) => self
                .history
                .find(&explained.recipe, Some(*run))
                .map(here)
                .ok_or_else(|| never(format!("never ran up to run {run}, as far as runs are kept"))),
            Source::Elsewhere { which, store, tiers, project } => {
                elsewhere(which, store, tiers, project, explained)
            }
        }
    }

    /// Tells what went wrong with tiers.
    pub(super) fn close(&self, printer: &Printer) {
        if let Source::Elsewhere { tiers, .. } = &self.source {
            for warning in tiers.take_warnings() {
                printer.warning(&warning.message, warning.hint.as_deref());
            }
        }
    }
}

impl Before {
    fn of(then: Then, items: &[KeyItem], explained: &Explained) -> Self {
        let changes = sorted(compare(items, &explained.items), explained);
        let command = changes.iter().find(|change| (&*change.kind, &*change.name) == ("command", "run"));
        let command = match command {
            Some(Change { before: Some(before), after: Some(after), .. }) => diff_texts(before, after),
            _ => Vec::new(),
        };
        Self { then, is_other_key: !changes.is_empty(), changes, command }
    }
}

/// What a person edited comes before what follows from it. Where dependencies would run first, what they will make is not known,
/// and not told as a difference.
fn sorted(mut changes: Vec<Change>, explained: &Explained) -> Vec<Change> {
    if matches!(explained.standing, Standing::Unknown { .. }) {
        changes.retain(|change| change.kind != "dependency");
    }
    let rank = |change: &Change| match change.kind.as_str() {
        "command" => 0,
        "input" => 1,
        "args" | "env" | "variable" => 2,
        "output" => 3,
        "tool" => 4,
        "platform" => 5,
        _ => 6,
    };
    changes.sort_by_key(rank);
    changes
}

fn elsewhere(
    which: &Which,
    store: &Store,
    tiers: &Tiers,
    project: &str,
    explained: &Explained,
) -> Result<Before, Nothing> {
    let run = match which {
        Which::Name(name) => Run::Named(name),
        Which::Latest | Which::Number(_) => Run::Latest,
    };
    let found = exchange::find(store, tiers, project, run, &explained.recipe);
    let found = found.map_err(|missing| nothing(missing, run))?;
    let differences = found.record.differences(&explained.items);
    let other = |key: larder::core::Digest| explained.key.is_some_and(|now| now != key);
    let (name, at) = (found.in_run.run.clone(), found.in_run.when());
    let name = name.or_else(|| match which {
        Which::Name(name) => Some(name.clone()),
        Which::Latest | Which::Number(_) => None,
    });
    Ok(Before {
        then: Then::There { name, at },
        changes: sorted(differences.changes, explained),
        command: differences.command,
        is_other_key: found.in_run.digest().is_some_and(other),
    })
}

fn nothing(missing: Missing, run: Run<'_>) -> Nothing {
    let told =
        |said: Option<String>| said.map(|said| format!(": {}", units::printable(&said))).unwrap_or_default();
    let is_no_run = matches!(missing, Missing::Run(_));
    let (why, hint) = match (missing, run) {
        (Missing::Run(said), Run::Named(name)) => (
            format!("tiers know of no run `{name}`{}", told(said)),
            "a run is told of under `larder run --name NAME` (or LARDER_RUN_NAME) where tiers take results",
        ),
        (Missing::Run(said), Run::Latest) => (
            format!("tiers know of no run{}", told(said)),
            "runs are told of where tiers take results, since this version of Larder",
        ),
        (Missing::Recipe, Run::Named(name)) => (
            format!("was not in run `{name}`, or its result stayed there"),
            "a run has the recipes that were selected, and what they depend on",
        ),
        (Missing::Recipe, Run::Latest) => (
            "was in no run that tiers know of, or its result stayed there".to_owned(),
            "recipes without `cache`, and results that are bound to their place, are not told of",
        ),
        (Missing::Record(said), _) => (
            format!("was there, and no tier tells what its key was computed from{}", told(said)),
            "an older Larder made the result, or its record was deleted for its age or is too large",
        ),
    };
    Nothing { why, hint: Some(hint), is_no_run }
}

/// The kept run of that name.
fn named_here(history: &History, which: &Which) -> Option<u64> {
    let Which::Name(name) = which else { return None };
    history.profile(Wanted::Name(name)).map(|course| course.run)
}

/// A run that is not kept is a mistake.
fn check_run(printer: &Printer, history: &History, run: u64) -> Result<(), Exit> {
    let runs = history.runs();
    let hint = match (runs.first(), runs.last()) {
        (Some(first), Some(last)) if run < *first || run > *last => {
            format!("runs {first} to {last} are; a run in which nothing changed has no number")
        }
        (Some(_), Some(_)) => return Ok(()),
        _ => "a run is kept when something ran or was restored".to_owned(),
    };
    printer.refuse(format_args!("run {run} is not kept"), Some(&hint));
    Err(Exit::Usage)
}

fn no_tiers(printer: &Printer, which: &Which) -> Exit {
    let message = match which {
        Which::Name(name) => format!("no run `{name}` is kept here, and there are no remote tiers to ask"),
        Which::Latest | Which::Number(_) => "there are no remote tiers to ask for the latest run".to_owned(),
    };
    let hint = "runs of other machines are found through tiers (`config: {cache: {remotes: …}}`); without \
                `--against`, the last run here counts";
    printer.refuse(message, Some(hint));
    Exit::Usage
}
