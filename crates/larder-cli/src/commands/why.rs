//! `larder why`: what a recipe's key is computed from now, against what it was.
//!
//! Runs nothing (save commands in templates, as every plan does).

use larder::run::config::ConfigError;
use larder::run::engine::{Change, Explained, Session, Standing, compare};
use larder::run::history::{Found, History};
use larder::run::plan::Plan;
use larder::run::process::CancelToken;
use larder::run::recipe::RecipeId;
use larder::run::select::Selection;
use larder::run::template::Execution;
use serde_json::json;

use super::{Context, project};
use crate::cli::{Selecting, WhyArgs};
use crate::exit::Exit;
use crate::printer::Style;
use crate::units;

/// Differences that are shown of each recipe; all are in `--json`.
const SHOWN: usize = 40;

/// What a recipe was computed from before.
struct Before {
    run: Option<Found>,
    items: Vec<larder::run::state::KeyItem>,
}

/// Runs the command.
pub(super) fn why(context: &Context, args: &WhyArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let selecting = Selecting {
        defines: args.defines.clone(),
        environment: args.environment.clone(),
        ..Selecting::default()
    };
    let around = context.machine.surroundings(Some(&selecting));
    let open = project::open(context, &around, Execution::Run)?;
    let refuse = |error: ConfigError| project::refuse(printer, &error);
    let plan =
        Plan::build(&open.project, &Selection::of(&[&args.selector]), &open.listing()).map_err(refuse)?;
    let store = project::store(context, &around, &open)?;
    let failed = |error: &dyn std::error::Error| project::fail(printer, error, None);
    let options = project::looking(&open, &around, &args.args);
    let cancel = CancelToken::new().map_err(|error| failed(&error))?;
    let (name, root, run) = (&open.project.name, &open.project.root, project::run_name());
    let session =
        Session::new(name, root, &open.worktree, store.as_ref(), None, options, cancel, run, &|_| {});
    let session = session.map_err(|error| failed(&error))?;
    let history = History::open(session.state().folder());
    if let Some(run) = args.against {
        check_run(context, &history, run)?;
    }
    for (at, explained) in session.explain(&plan).iter().enumerate() {
        let run = history.find(&explained.recipe, args.against);
        let before = match (&run, args.against) {
            (Some(found), _) => Some(found.items.clone()),
            (None, None) => session.state().last_key(&explained.recipe),
            (None, Some(_)) => None,
        };
        let before = before.map(|items| Before { run, items });
        if args.json {
            printer.json(&to_json(explained, before.as_ref()));
        } else {
            if at > 0 {
                printer.data("");
            }
            show(context, explained, before.as_ref(), args.against);
        }
    }
    project::close(&open);
    Ok(Exit::Success)
}

/// A run that is not kept is a mistake.
fn check_run(context: &Context, history: &History, run: u64) -> Result<(), Exit> {
    let runs = history.runs();
    let hint = match (runs.first(), runs.last()) {
        (Some(first), Some(last)) if run < *first || run > *last => {
            format!("runs {first} to {last} are; a run in which nothing changed has no number")
        }
        (Some(_), Some(_)) => return Ok(()),
        _ => "a run is kept when something ran or was restored".to_owned(),
    };
    context.printer.refuse(format_args!("run {run} is not kept"), Some(&hint));
    Err(Exit::Usage)
}

/// The differences. Where dependencies would run first, what they will make is not known, and not told as a difference.
fn changes(explained: &Explained, before: &Before) -> Vec<Change> {
    let mut changes = compare(&before.items, &explained.items);
    if matches!(explained.standing, Standing::Unknown { .. }) {
        changes.retain(|change| change.kind != "dependency");
    }
    changes
}

fn to_json(explained: &Explained, before: Option<&Before>) -> serde_json::Value {
    let (standing, reason) = match &explained.standing {
        Standing::Cached { in_place: true } => ("in_place", None),
        Standing::Cached { in_place: false } => ("cached", None),
        Standing::WouldRun { reason } => ("would_run", Some(reason.clone())),
        Standing::AlwaysRuns => ("always_runs", None),
        Standing::Unknown { because } => ("unknown", Some(names(because))),
        Standing::Failed { reason } => ("failed", Some(reason.clone())),
    };
    let change = |change: Change| {
        json!({
            "kind": change.kind, "name": change.name, "before": change.before, "after": change.after,
        })
    };
    let changes = before.map(|before| changes(explained, before).into_iter().map(change).collect::<Vec<_>>());
    json!({
        "version": 1,
        "recipe": explained.recipe.to_string(),
        "standing": standing,
        "reason": reason,
        "key": explained.key.map(|key| key.to_string()),
        "against_run": before.and_then(|before| Some(before.run.as_ref()?.run)),
        "items": explained.items.len(),
        "changes": changes,
    })
}

/// The first three, and how many more there are.
fn few(ids: &[RecipeId]) -> String {
    match ids.len().saturating_sub(3) {
        0 => names(ids),
        more => format!("{} (+{more})", names(&ids[..3])),
    }
}

fn names(ids: &[RecipeId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A value in a few characters: digests are cut, text that is long too.
fn short(value: &str) -> String {
    let value = units::printable(value);
    if let Some((function, rest)) = value.split_once(':')
        && let Some((hash, _)) = rest.split_once('/')
        && hash.len() >= 32
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return format!("{function}:{}…", &hash[..8]);
    }
    console::truncate_str(&value, 48, "…").into_owned()
}

/// Two values, shortened, so that they can be told apart.
fn differ(before: &str, after: &str) -> String {
    let (old, new) = (short(before), short(after));
    if old != new {
        return format!("{old} → {new}");
    }
    let mode = |value: &str| value.rsplit_once(' ').map(|(_, mode)| mode.to_owned());
    match (mode(before), mode(after)) {
        (Some(old), Some(new)) if old != new && old.len() < 24 && new.len() < 24 => {
            format!("mode {old} → {new}")
        }
        _ => "a long value changed at its end".to_owned(),
    }
}

fn show(context: &Context, explained: &Explained, before: Option<&Before>, against: Option<u64>) {
    let printer = &context.printer;
    let recipe = explained.recipe.to_string();
    let name = printer.paint(Style::Name, &units::printable(&recipe));
    let standing = match &explained.standing {
        Standing::Cached { in_place: true } => "is a hit, and its outputs are in place".to_owned(),
        Standing::Cached { in_place: false } => "is a hit, to be restored".to_owned(),
        Standing::WouldRun { reason } => format!("would run: {}", units::printable(reason)),
        Standing::AlwaysRuns => "always runs: it has no `cache`, or is `persistent`".to_owned(),
        Standing::Unknown { because } => format!("waits for what would run first: {}", few(because)),
        Standing::Failed { reason } => format!("cannot be looked up: {}", units::printable(reason)),
    };
    printer.data(format_args!("{name} {standing}"));
    if explained.items.is_empty() {
        return;
    }
    let Some(before) = before else {
        let when = against
            .map_or_else(|| "here".to_owned(), |run| format!("up to run {run}, as far as runs are kept"));
        return printer.data(format_args!("  it never ran {when}: there is nothing to compare with"));
    };
    let then = match &before.run {
        Some(found) => {
            let ago = found.at.elapsed().map_or_else(|_| "just now".to_owned(), units::ago);
            format!("run {} ({ago})", found.run)
        }
        None => "its last run here".to_owned(),
    };
    let changes = changes(explained, before);
    let all = units::counted(explained.items.len(), "item", "items");
    if changes.is_empty() {
        return printer.data(format_args!("  nothing differs from {then}: {all}"));
    }
    let count = units::count(changes.len() as u64);
    printer.data(format_args!("{name} differs from {then} in {count} of {all}"));
    let widest = changes.iter().take(SHOWN).map(|change| console::measure_text_width(&change.name));
    let widest = widest.filter(|width| *width <= 40).max().unwrap_or(0);
    for change in changes.iter().take(SHOWN) {
        let name = units::printable(&change.name);
        let gap = " ".repeat(widest.saturating_sub(console::measure_text_width(&name)));
        let what = match (&change.before, &change.after) {
            (Some(before), Some(after)) => differ(before, after),
            (None, Some(after)) if after.is_empty() => "new".to_owned(),
            (None, Some(after)) => format!("new: {}", short(after)),
            (_, None) => "gone".to_owned(),
        };
        printer.data(format_args!("  {:<10}  {name}{gap}   {what}", change.kind));
    }
    if changes.len() > SHOWN {
        printer.data(format_args!("  … and {} more (`--json` has all)", changes.len() - SHOWN));
    }
}
