//! How an element of a list is written: like its neighbours, quoted where it must be.

use super::super::yaml::{self, Value};
use super::spots::{Kind, Spot};

/// Lines of a list in brackets are not longer than this, if that can be helped.
pub(super) const WIDTH: usize = 100;

/// Which quotes are put where none are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    None,
    Single,
    Double,
}

impl Quotes {
    /// Those of the elements of the first list that has any: none if one of them has none.
    pub(super) fn like<'s>(text: &str, lists: impl IntoIterator<Item = &'s Spot>) -> Self {
        for list in lists {
            let Kind::List { items, .. } = &list.kind else { continue };
            let mut firsts = items.iter().map(|item| text.as_bytes().get(item.start)).peekable();
            if firsts.peek().is_none() {
                continue;
            }
            return match firsts.find(|first| !matches!(first, Some(b'"' | b'\''))) {
                Some(_) => Self::None,
                None if text.as_bytes().get(items[0].start) == Some(&b'"') => Self::Double,
                None => Self::Single,
            };
        }
        Self::None
    }
}

/// The element as it stands in a list, flow or block.
pub(super) fn element(item: &str, quotes: Quotes) -> String {
    let needs_escapes = item.chars().any(char::is_control);
    match quotes {
        _ if needs_escapes => double(item),
        Quotes::None if is_plain(item) => item.to_owned(),
        Quotes::None | Quotes::Single => format!("'{}'", item.replace('\'', "''")),
        Quotes::Double => double(item),
    }
}

fn double(item: &str) -> String {
    let mut out = String::from("\"");
    for c in item.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text that is itself without quotes, in a flow list too.
fn is_plain(item: &str) -> bool {
    let safe =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '+' | '*' | '@' | '~' | '=');
    let begins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/');
    item.starts_with(begins)
        && item.chars().all(safe)
        && yaml::parse(item).is_ok_and(|node| node.value == Value::Text(item.to_owned()))
}
