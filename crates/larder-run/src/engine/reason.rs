//! Why a recipe was a miss: the items of its key against those of the last time here.

use std::cmp::Ordering;

use crate::secret::{is_plain, is_secret_name};
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

/// Whether values of an environment variable may go where everybody reads: into logs, reports, and what is kept of a run.
fn may_show(name: &str, values: [&str; 2]) -> bool {
    !is_secret_name(name) && values.into_iter().all(is_plain)
}

/// One line: the first two differences, and how many more there are.
pub(super) fn one_line(changes: &[Change]) -> String {
    let describe = |change: &Change| match (change.kind.as_str(), &change.before, &change.after) {
        ("input", None, _) => format!("{} is new", change.name),
        ("input", _, None) => format!("{} is gone", change.name),
        ("input", ..) => format!("{} changed", change.name),
        ("env", Some(before), Some(after)) if may_show(&change.name, [before, after]) => {
            format!("{} {before}→{after}", change.name)
        }
        ("env", ..) => format!("{} changed", change.name),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_only_where_they_are_no_secrets() {
        let line = |name: &str, before: &str, after: &str| {
            let (before, after) = (Some(before.to_owned()), Some(after.to_owned()));
            one_line(&[Change { kind: "env".into(), name: name.into(), before, after }])
        };
        assert_eq!(line("NODE_ENV", "dev", "prod"), "NODE_ENV dev→prod");
        assert_eq!(line("NODE_ENV", "(unset)", "prod"), "NODE_ENV (unset)→prod");
        assert_eq!(line("NPM_TOKEN", "abc", "def"), "NPM_TOKEN changed");
        assert_eq!(line("db_password", "old", "new"), "db_password changed");
        assert_eq!(line("DEPLOY", "off", "gh0a1b2c3d4e5f"), "DEPLOY changed");
        assert_eq!(line("DEPLOY", "gh0a1b2c3d4e5f", "off"), "DEPLOY changed");
        assert_eq!(line("FLAGS", "-O2", "-O2 -g -Wall -Wextra"), "FLAGS changed");
    }
}
