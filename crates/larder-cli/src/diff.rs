//! What a file says and would say: for people, the lines that differ with those around them ([`show`]); for programs, a patch ([`patch`]).

use similar::{ChangeTag, TextDiff};

use crate::printer::{Printer, Style};
use crate::units;

/// Lines around a change that are shown.
const AROUND: usize = 2;

/// Shows what would change in a file; nothing if nothing would. The report is on standard output.
pub(crate) fn show(printer: &Printer, path: &str, before: Option<&str>, after: &str) {
    let name = printer.paint(Style::Name, &units::printable(path));
    let Some(before) = before else {
        printer.data(format_args!("\n{name} (new)"));
        for line in after.lines() {
            printer.data(printer.paint(Style::Good, &format!("+ {}", units::harmless(line))));
        }
        return;
    };
    if before == after {
        return;
    }
    printer.data(format_args!("\n{name}"));
    let diff = TextDiff::from_lines(before, after);
    for (index, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if index > 0 {
            printer.data(printer.paint(Style::Faint, "  …"));
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let line = units::harmless(change.value().trim_end_matches('\n')).into_owned();
            printer.data(match change.tag() {
                ChangeTag::Equal => format!("  {line}"),
                ChangeTag::Delete => printer.paint(Style::Bad, &format!("- {line}")),
                ChangeTag::Insert => printer.paint(Style::Good, &format!("+ {line}")),
            });
        }
    }
}

/// The change as a patch for `path`, relative to the project's root.
pub(crate) fn patch(path: &str, before: &str, after: &str) -> String {
    let path = units::printable(path);
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string()
}
