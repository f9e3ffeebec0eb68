//! How an [`Undeclared`] is told to a person: in one line, and in a few words.
//!
//! What stands in the project comes first, and what was read before what was only looked for. Many names become the folders
//! that they are in.

use super::access::AccessKind;
use super::judge::{Undeclared, UndeclaredAccess};

/// Names of one kind that are told one by one.
const MOST_NAMED: usize = 8;

const VERBS: [(AccessKind, &str); 5] = [
    (AccessKind::Read, "reads"),
    (AccessKind::Executed, "executes"),
    (AccessKind::Listed, "lists"),
    (AccessKind::Missing, "looks for"),
    (AccessKind::Written, "writes"),
];

impl Undeclared {
    /// Why a result is not cached: the first input, else the first output; `None`: nothing is undeclared.
    #[must_use]
    pub fn short(&self) -> Option<String> {
        let order = |found: &&UndeclaredAccess| {
            let kind = VERBS.iter().position(|(kind, _)| *kind == found.access.kind);
            (is_elsewhere(&found.name), kind, found.name.clone())
        };
        let (what, first) = match self.inputs().min_by_key(order) {
            Some(input) => ("input", input),
            None => ("output", self.outputs().min_by_key(order)?),
        };
        let more = self.found.len() - 1;
        let more = if more > 0 { format!(" (+{more})") } else { String::new() };
        Some(format!("undeclared {what} `{}`{more}", first.name))
    }

    /// All of it, as a fragment.
    #[must_use]
    pub fn told(&self) -> String {
        let part = |(kind, verb): (AccessKind, &str)| {
            let mut names: Vec<&str> = self
                .found
                .iter()
                .filter(|found| found.access.kind == kind)
                .map(|found| found.name.as_str())
                .collect();
            names.sort_by_key(|name| (is_elsewhere(name), *name));
            (!names.is_empty()).then(|| format!("{verb} {}", listed(&names)))
        };
        VERBS.into_iter().filter_map(part).collect::<Vec<_>>().join("; ")
    }
}

/// Not in the project.
fn is_elsewhere(name: &str) -> bool {
    name.starts_with('~') || name.starts_with('/')
}

/// The names, or the folders that hold them, as deep as there are few enough.
fn listed(names: &[&str]) -> String {
    let deepest = names.iter().map(|name| name.matches('/').count()).max().unwrap_or(0);
    let mut shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    for depth in (1..=deepest).rev() {
        if shown.len() <= MOST_NAMED {
            break;
        }
        shown = names.iter().map(|name| format!("`{}`", cut(name, depth))).collect();
        shown.dedup();
    }
    let more = shown.len().saturating_sub(MOST_NAMED);
    shown.truncate(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// The first `depth` components, with `/…` if there are more.
fn cut(name: &str, depth: usize) -> String {
    match name.match_indices('/').nth(depth - 1) {
        Some((at, _)) if at + 1 < name.len() => format!("{}/…", &name[..at]),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::access::{Access, AccessKind};
    use super::super::judge::{Undeclared, UndeclaredAccess};

    fn undeclared(names: &[(AccessKind, &str)]) -> Undeclared {
        let access = |&(kind, name): &(AccessKind, &str)| UndeclaredAccess {
            access: Access { path: PathBuf::from(name), kind },
            name: name.to_owned(),
        };
        Undeclared { found: names.iter().map(access).collect() }
    }

    #[test]
    fn what_is_read_in_the_project_is_told_first() {
        use AccessKind::{Missing, Read, Written};
        let found = undeclared(&[(Missing, "a"), (Written, "out"), (Read, "~/.profile"), (Read, "z.h")]);
        assert_eq!(found.short().as_deref(), Some("undeclared input `z.h` (+3)"));
        assert_eq!(found.told(), "reads `z.h`, `~/.profile`; looks for `a`; writes `out`");
        assert_eq!(undeclared(&[(Written, "x")]).short().as_deref(), Some("undeclared output `x`"));
        assert_eq!(undeclared(&[]).short(), None);
    }

    #[test]
    fn many_names_become_their_folders() {
        let names: Vec<String> =
            (0..30).map(|n| format!("include/{}/x{n}.h", n % 3)).chain(["a.h".to_owned()]).collect();
        let names: Vec<_> = names.iter().map(|name| (AccessKind::Missing, name.as_str())).collect();
        assert_eq!(undeclared(&names).told(), "looks for `a.h`, `include/0/…`, `include/1/…`, `include/2/…`");
    }
}
