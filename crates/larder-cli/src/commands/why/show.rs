//! The differences as people see them.

use larder::run::engine::{Change, Explained, Standing};
use larder::run::lines::Line;
use larder::run::recipe::{ROOT_PLACEHOLDER, RecipeId};
use larder::run::records::UNTOLD;

use super::before::{Before, Nothing, Then};
use crate::commands::Context;
use crate::printer::{Printer, Style};
use crate::units;

/// Differences that are shown of each recipe; all are in `--json`.
const SHOWN: usize = 40;
/// Lines of a command's difference.
const LINES: usize = 30;
/// Columns of a line of it.
const WIDEST_LINE: usize = 120;

/// The first three, and how many more there are.
fn few(ids: &[RecipeId]) -> String {
    match ids.len().saturating_sub(3) {
        0 => names(ids),
        more => format!("{} (+{more})", names(&ids[..3])),
    }
}

/// Names, with commas.
pub(super) fn names(ids: &[RecipeId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A value in a few characters: digests are cut, text that is long too.
fn short(value: &str) -> String {
    let value = value.replace(ROOT_PLACEHOLDER, "{{project.root}}");
    let value = units::printable(&value);
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

fn standing(explained: &Explained) -> String {
    match &explained.standing {
        Standing::Cached { in_place: true } => "is a hit, and its outputs are in place".to_owned(),
        Standing::Cached { in_place: false } => "is a hit, to be restored".to_owned(),
        Standing::WouldRun { reason } => format!("would run: {}", units::printable(reason)),
        Standing::AlwaysRuns => "always runs: it has no `cache`, or is `persistent`".to_owned(),
        Standing::Unknown { because } => format!("waits for what would run first: {}", few(because)),
        Standing::Failed { reason } => format!("cannot be looked up: {}", units::printable(reason)),
    }
}

fn then(then: &Then) -> String {
    let ago = |at: &std::time::SystemTime| at.elapsed().map_or_else(|_| "just now".to_owned(), units::ago);
    match then {
        Then::Here { run, at } => format!("run {run} ({})", ago(at)),
        Then::Last => "its last run here".to_owned(),
        Then::There { name: Some(name), at } => {
            format!("run `{}` ({}, through tiers)", units::printable(name), ago(at))
        }
        Then::There { name: None, at } => format!("its latest run ({}, through tiers)", ago(at)),
    }
}

/// Shows a recipe.
pub(super) fn show(context: &Context, explained: &Explained, before: &Result<Before, Nothing>) {
    let printer = &context.printer;
    let recipe = explained.recipe.to_string();
    let name = printer.paint(Style::Name, &units::printable(&recipe));
    printer.data(format_args!("{name} {}", standing(explained)));
    if explained.items.is_empty() {
        return;
    }
    let before = match before {
        Ok(before) => before,
        Err(Nothing { why, hint, .. }) => {
            printer.data(format_args!("  it {why}: there is nothing to compare with"));
            if let Some(hint) = hint {
                printer.data(format_args!("  hint: {hint}"));
            }
            return;
        }
    };
    let then_text = then(&before.then);
    let all = units::counted(explained.items.len(), "item", "items");
    if before.changes.is_empty() && before.is_other_key {
        return printer.data(format_args!(
            "  its key differs from {then_text}, and nothing that is told of it does: what another machine tells are tags, not values"
        ));
    }
    if before.changes.is_empty() {
        printer.data(format_args!("  nothing differs from {then_text}: {all}"));
        let is_there = matches!(before.then, Then::There { .. });
        if is_there && matches!(explained.standing, Standing::WouldRun { .. }) {
            printer.data("  its key is the same: `larder run` takes the result from a tier that has it");
        }
        return;
    }
    let count = units::count(before.changes.len() as u64);
    printer.data(format_args!("{name} differs from {then_text} in {count} of {all}"));
    let widest = before.changes.iter().take(SHOWN).map(|change| console::measure_text_width(&change.name));
    let widest = widest.filter(|width| *width <= 40).max().unwrap_or(0);
    for change in before.changes.iter().take(SHOWN) {
        if (&*change.kind, &*change.name) == ("command", "run") && is_worth_lines(change, before) {
            printer.data(format_args!("  {:<10}  {}", "command", "run"));
            lines(printer, &before.command);
            continue;
        }
        let name = units::printable(&change.name);
        let gap = " ".repeat(widest.saturating_sub(console::measure_text_width(&name)));
        let line = format!("  {:<10}  {name}{gap}   {}", change.kind, what(change, &before.then));
        printer.data(line.trim_end());
    }
    if before.changes.len() > SHOWN {
        printer.data(format_args!("  … and {} more (`--json` has all)", before.changes.len() - SHOWN));
    }
}

/// A command of one short line is shown as every value.
fn is_worth_lines(change: &Change, before: &Before) -> bool {
    let is_long =
        |value: &Option<String>| value.as_deref().is_some_and(|text| text.contains('\n') || text.len() > 40);
    !before.command.is_empty()
        && (is_long(&change.before) || is_long(&change.after) || change.before.as_deref() == Some(UNTOLD))
}

fn what(change: &Change, then: &Then) -> String {
    let is_there = matches!(then, Then::There { .. });
    match (&change.before, &change.after) {
        (Some(before), Some(_)) if before == UNTOLD => match change.kind.as_str() {
            "input" | "tool" => "other content there".to_owned(),
            "dependency" => "other outputs there".to_owned(),
            _ => "another value there".to_owned(),
        },
        (Some(before), Some(after)) => differ(before, after),
        (None, Some(_)) if is_there => "only here".to_owned(),
        (_, None) if is_there => "only there".to_owned(),
        (None, Some(after)) if after.is_empty() => "new".to_owned(),
        (None, Some(after)) => format!("new: {}", short(after)),
        (_, None) => "gone".to_owned(),
    }
}

/// The lines of the command that differ.
fn lines(printer: &Printer, command: &[Line]) {
    for line in command.iter().take(LINES) {
        let (sign, style, text) = match line {
            Line::Removed(text) => ("-", Style::Bad, text),
            Line::Added(text) => ("+", Style::Good, text),
        };
        let text = text.replace(ROOT_PLACEHOLDER, "{{project.root}}");
        let text = match line {
            Line::Removed(told) if told.is_empty() => "(a line that is not told)".to_owned(),
            _ => console::truncate_str(&units::printable(&text), WIDEST_LINE, "…").into_owned(),
        };
        printer.data(format_args!("              {}", printer.paint(style, &format!("{sign} {text}"))));
    }
    if command.len() > LINES {
        printer.data(format_args!("              … and {} more (`--json` has all)", command.len() - LINES));
    }
}
