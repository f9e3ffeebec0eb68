//! The differences for programs: one object for each recipe.

use larder::run::engine::{Change, Explained, Standing};
use larder::run::lines::Line;
use larder::run::records::UNTOLD;
use serde_json::{Value, json};

use super::before::{Before, Then};
use super::show::names;

/// The object.
pub(super) fn json(explained: &Explained, before: Option<&Before>) -> Value {
    let (standing, reason) = match &explained.standing {
        Standing::Cached { in_place: true } => ("in_place", None),
        Standing::Cached { in_place: false } => ("cached", None),
        Standing::WouldRun { reason } => ("would_run", Some(reason.clone())),
        Standing::AlwaysRuns => ("always_runs", None),
        Standing::Unknown { because } => ("unknown", Some(names(because))),
        Standing::Failed { reason } => ("failed", Some(reason.clone())),
    };
    let (run, name, elsewhere) = match before.map(|before| &before.then) {
        Some(Then::Here { run, .. }) => (Some(*run), None, false),
        Some(Then::There { name, .. }) => (None, name.clone(), true),
        Some(Then::Last) | None => (None, None, false),
    };
    let mut told = json!({
        "version": 1,
        "recipe": explained.recipe.to_string(),
        "standing": standing,
        "reason": reason,
        "key": explained.key.map(|key| key.to_string()),
        "against_run": run,
        "items": explained.items.len(),
        "changes": before.map(|before| before.changes.iter().map(change).collect::<Vec<_>>()),
    });
    if elsewhere {
        told["against_name"] = json!(name);
        told["elsewhere"] = json!(true);
    }
    if let Some(before) = before.filter(|before| !before.command.is_empty()) {
        told["command"] = before.command.iter().map(line).collect();
    }
    told
}

fn change(change: &Change) -> Value {
    let untold = change.before.as_deref() == Some(UNTOLD);
    let before = change.before.as_ref().filter(|_| !untold);
    let mut told = json!({"kind": change.kind, "name": change.name, "before": before, "after": change.after});
    if untold {
        told["before_untold"] = json!(true);
    }
    told
}

/// A line of the command; one of another machine has no text.
fn line(line: &Line) -> Value {
    match line {
        Line::Removed(text) => json!({"removed": text}),
        Line::Added(text) => json!({"added": text}),
    }
}
