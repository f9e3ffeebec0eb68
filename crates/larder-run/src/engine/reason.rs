//! Why a recipe was a miss: the items of its key against those of the last time here.

use std::cmp::Ordering;

use crate::state::KeyItem;

/// One difference between two keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// As [`KeyItem::kind`].
    pub kind: String,
    /// As [`KeyItem::name`].
    pub name: String,
    /// The value then; `None`: it was not there.
    pub before: Option<String>,
    /// The value now; `None`: it is gone.
    pub after: Option<String>,
}

/// All differences between two sorted lists of items.
#[must_use]
pub fn compare(before: &[KeyItem], after: &[KeyItem]) -> Vec<Change> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => (&old.kind, &old.name).cmp(&(&new.kind, &new.name)),
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        if old.map(|item| &item.value) == new.map(|item| &item.value) {
            continue;
        }
        if let Some(item) = old.or(new) {
            changes.push(Change {
                kind: item.kind.clone(),
                name: item.name.clone(),
                before: old.map(|item| item.value.clone()),
                after: new.map(|item| item.value.clone()),
            });
        }
    }
}

fn short(value: &str) -> String {
    if value.len() <= 24 {
        value.to_owned()
    } else {
        format!("{}…", value.chars().take(23).collect::<String>())
    }
}

/// One line: the first two differences, and how many more there are.
pub(super) fn one_line(changes: &[Change]) -> String {
    let describe = |change: &Change| match (change.kind.as_str(), &change.before, &change.after) {
        ("input", None, _) => format!("{} is new", change.name),
        ("input", _, None) => format!("{} is gone", change.name),
        ("input", ..) => format!("{} changed", change.name),
        ("env", Some(before), Some(after)) => format!("{} {}→{}", change.name, short(before), short(after)),
        ("command", ..) => "the command changed".to_owned(),
        ("output", ..) => "`outputs` changed".to_owned(),
        ("dependency", ..) => format!("outputs of {} changed", change.name),
        ("args", ..) => "arguments changed".to_owned(),
        ("sandbox", ..) => "`sandbox` changed".to_owned(),
        (kind, ..) => format!("{kind} {} changed", change.name),
    };
    // What a person edited comes before what follows from it.
    let rank = |change: &Change| match change.kind.as_str() {
        "input" => 0,
        "command" | "env" | "args" | "output" | "sandbox" => 1,
        "variable" | "tool" => 2,
        _ => 3,
    };
    let mut sorted: Vec<&Change> = changes.iter().collect();
    sorted.sort_by_key(|change| rank(change));
    let mut text: Vec<String> = sorted.iter().take(2).map(|change| describe(change)).collect();
    text.dedup();
    let mut line = text.join(", ");
    if changes.len() > 2 {
        line.push_str(&format!(" (+{})", changes.len() - 2));
    }
    line
}
