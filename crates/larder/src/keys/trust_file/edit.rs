//! Changes of `trust.yml` that keep comments, order and layout: lines are added and removed, nothing is written anew.
//!
//! The proof is at the end: what was written is read again, and must say exactly what was wanted. A file that is laid out
//! in a way that lines cannot be cut from (`keys: [{…}]` in one line) is refused, with what to write by hand.

use std::ops::Range;
use std::path::Path;

use larder_core::Result;
use larder_run::config::yaml::{self, Node, Value};
use larder_store::trust::Namespaces;

use super::{Entry, Key, TrustFile};
use crate::keys::{invalid, time};

/// What begins a file that Larder makes.
const HEADER: &str = "# Whose results Larder believes. `larder key` changes this file, and keeps comments.\n";

/// A change of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a key, at the end.
    Add(Entry),
    /// Puts a key in the place of the one at this position.
    Replace(usize, Entry),
    /// Removes the key at this position.
    Remove(usize),
}

/// The text with the change made. See the [module](self).
pub(super) fn apply(text: &str, path: &Path, change: &Change) -> Result<String> {
    let mut wanted = TrustFile::parse(text, path)?;
    let made = match change {
        Change::Add(entry) => {
            wanted.keys.push(entry.clone());
            add(text, entry)
        }
        Change::Replace(at, entry) => replace(&mut wanted.keys, *at, Some(entry), text),
        Change::Remove(at) => replace(&mut wanted.keys, *at, None, text),
    };
    let is_right = |made: &String| TrustFile::parse(made, path).is_ok_and(|found| found == wanted);
    made.filter(is_right).ok_or_else(|| {
        let by_hand = match change {
            Change::Add(entry) | Change::Replace(_, entry) => {
                format!("write it yourself:\nkeys:\n{}", render(entry, 2).trim_end())
            }
            Change::Remove(_) => "remove the entry yourself".to_owned(),
        };
        invalid("change the trust file", "its layout is not one that can be changed without writing it anew")
            .with("path", path.display())
            .with_hint(by_hand)
    })
}

fn replace(keys: &mut Vec<Entry>, at: usize, entry: Option<&Entry>, text: &str) -> Option<String> {
    if at >= keys.len() {
        return None;
    }
    match entry {
        Some(entry) => keys[at] = entry.clone(),
        None => drop(keys.remove(at)),
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let items = items(text, &lines)?;
    let item = items.get(at)?;
    let new = entry.map(|entry| render(entry, item.indent)).unwrap_or_default();
    Some(format!("{}{new}{}", lines[..item.lines.start].concat(), lines[item.lines.end..].concat()))
}

fn add(text: &str, entry: &Entry) -> Option<String> {
    let mut text = if text.trim().is_empty() { HEADER.to_owned() } else { text.to_owned() };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let root = yaml::parse(&text).ok()?;
    let Some(list) = root.entries().iter().find(|entry| entry.key == "keys") else {
        return Some(format!("{text}keys:\n{}", render(entry, 2)));
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let at = usize::try_from(list.key_span.line).ok()?;
    if let Some(last) = items(&text, &lines)?.last() {
        let (before, after) = lines.split_at(last.lines.end);
        return Some(format!("{}{}{}", before.concat(), render(entry, last.indent), after.concat()));
    }
    // `keys:` with nothing, or `keys: []`.
    let (before, after) = (lines.get(..at - 1)?.concat(), lines.get(at..)?.concat());
    let line = lines.get(at - 1)?.replacen("[]", "", 1);
    Some(format!("{before}{}\n{}{after}", line.trim_end(), render(entry, 2)))
}

/// Where an entry stands.
struct Item {
    /// Its lines, from the one with its dash; counted from 0.
    lines: Range<usize>,
    /// How far the dash is from the margin.
    indent: usize,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A line that says nothing.
fn is_silent(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Where the entries stand, if each begins with a dash on a line of its own.
fn items(text: &str, lines: &[&str]) -> Option<Vec<Item>> {
    let root = yaml::parse(text).ok()?;
    let Some(Node { value: Value::List(list), .. }) = root.get("keys") else { return Some(Vec::new()) };
    let mut items = Vec::new();
    for node in list {
        let line = usize::try_from(node.span.line).ok()?.checked_sub(1)?;
        let is_dash = |at: &usize| lines.get(*at).is_some_and(|line| line.trim_start().starts_with('-'));
        let begin = (0..=line).rev().find(is_dash)?;
        let indent = indent(lines.get(begin)?);
        let goes_on = |line: &&&str| is_silent(line) || self::indent(line) > indent;
        let mut end = begin + 1 + lines[begin + 1..].iter().take_while(goes_on).count();
        // Comments below it, as far out as its dash, are about what follows.
        while end > begin + 1 && is_silent(lines[end - 1]) && self::indent(lines[end - 1]) <= indent {
            end -= 1;
        }
        while end > begin + 1 && lines[end - 1].trim().is_empty() {
            end -= 1;
        }
        items.push(Item { lines: begin..end, indent });
    }
    Some(items)
}

/// Text as YAML: as it is where that is harmless, else in quotes.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn render(entry: &Entry, indent: usize) -> String {
    let mut lines = Vec::new();
    lines.extend(entry.name.as_ref().map(|name| format!("name: {}", scalar(name))));
    lines.push(match &entry.key {
        Key::Public(key) => format!("public: {key}"),
        Key::SecretFile(path) => format!("secret-file: {}", scalar(&path.to_string_lossy())),
    });
    if let Namespaces::Only(names) = &entry.namespaces {
        let names: Vec<String> = names.iter().map(|name| scalar(name)).collect();
        lines.push(format!("namespaces: [{}]", names.join(", ")));
    }
    if entry.not_before > 0 {
        lines.push(format!("not-before: {}", time::format(entry.not_before)));
    }
    lines.extend(entry.not_after.map(|end| format!("not-after: {}", time::format(end))));
    let pad = " ".repeat(indent);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        text.push_str(&format!("{pad}{} {line}\n", if number == 0 { "-" } else { " " }));
    }
    text
}
