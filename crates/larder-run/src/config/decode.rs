//! Typed values out of [`Node`]s: each wrong type and each unknown key becomes a diagnostic with its place.
//!
//! The reader never stops at the first finding. An unknown key is an error in strict mode and a warning in bake mode; a
//! wrong type is an error in both.

use std::time::Duration;

use super::keys::Table;
use super::source::Source;
use super::yaml::{Entry, Node, Span, Value};
use crate::diagnostic::{Diagnostic, Severity, nearest};
use crate::recipe::Mode;

/// Decodes one file's nodes and collects what is wrong.
pub struct Reader<'a> {
    /// The file.
    pub source: &'a Source,
    /// How strict.
    pub mode: Mode,
    /// What was found.
    pub out: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Reports an error at a place.
    pub fn error(&mut self, span: Span, message: impl Into<String>) {
        self.out.push(self.source.locate(Diagnostic::error(message), span));
    }

    /// Reports an error at a place, with what a person can do.
    pub fn refuse(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.out.push(self.source.locate(Diagnostic::error(message).with_hint(hint), span));
    }

    /// Reports what strict mode refuses and bake mode only mentions.
    pub fn doubt(&mut self, span: Span, diagnostic: Diagnostic) {
        let severity = if self.mode == Mode::Strict { Severity::Error } else { Severity::Warning };
        self.out.push(self.source.locate(Diagnostic { severity, ..diagnostic }, span));
    }

    fn wrong(&mut self, node: &Node, wanted: &str) {
        let found = Diagnostic::error(format!("expected {wanted}, got {}", node.kind()));
        let hint = match (&node.value, wanted) {
            (Value::Int(_) | Value::Float(_) | Value::Bool(_), "text") => Some("quote it: `\"…\"`"),
            (Value::Map(_), "text") => Some("text that begins with `{{` must be quoted: `\"{{…}}\"`"),
            (Value::Null, _) => Some("give it a value, or remove the key"),
            (Value::Text(_), "a list of text") => Some("a list, also of one: `[…]`"),
            (Value::Map(_), "a list of text") => Some("each element stands behind `- `, or in `[…]`"),
            (_, "a map") => Some("below it stand keys with values: `key: value`"),
            _ => None,
        };
        let found = if let Some(hint) = hint { found.with_hint(hint) } else { found };
        self.out.push(self.source.locate(found, node.span));
    }

    /// The entries of a map; anything else is reported and read as empty. Keys that the table does not know are reported.
    pub fn map<'n>(&mut self, node: &'n Node, table: &Table) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => {
                let mode = self.mode;
                for entry in entries.iter().filter(|entry| !table.knows(&entry.key, mode)) {
                    let found = self.unknown(&entry.key, table);
                    self.doubt(entry.key_span, found);
                }
                entries
            }
            Value::Null if self.mode == Mode::Bake => &[],
            _ => {
                self.wrong(node, "a map");
                &[]
            }
        }
    }

    fn unknown(&self, key: &str, table: &Table) -> Diagnostic {
        let found = Diagnostic::error(format!("unknown key `{key}`"));
        if let Some(hint) = table.elsewhere(key) {
            return found.with_hint(hint);
        }
        match nearest(key, table.names(self.mode)) {
            Some(near) => found.with_label(format!("did you mean `{near}`?")),
            None => {
                let known: Vec<String> = table.names(self.mode).map(|name| format!("`{name}`")).collect();
                found.with_hint(format!("known here: {}", known.join(", ")))
            }
        }
    }

    /// The entries of a map with any keys.
    pub fn free_map<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.wrong(node, "a map");
                &[]
            }
        }
    }

    /// Text.
    pub fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Null if self.mode == Mode::Bake => None,
            _ => {
                self.wrong(node, "text");
                None
            }
        }
    }

    /// A list of text.
    pub fn texts(&mut self, node: &Node) -> Vec<String> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            Value::Null if self.mode == Mode::Bake => Vec::new(),
            _ => {
                self.wrong(node, "a list of text");
                Vec::new()
            }
        }
    }

    /// A boolean; text that says `true` or `false` counts, because a rendered value is text.
    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) if text.trim() == "true" => Some(true),
            Value::Text(text) if text.trim() == "false" => Some(false),
            Value::Null if self.mode == Mode::Bake => None,
            _ => {
                self.wrong(node, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number from 0.
    pub fn count(&mut self, node: &Node) -> Option<u64> {
        let value = match &node.value {
            Value::Int(value) => u64::try_from(*value).ok(),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null if self.mode == Mode::Bake => return None,
            _ => None,
        };
        if value.is_none() {
            self.wrong(node, "a whole number from 0");
        }
        value
    }

    /// A number.
    pub fn number(&mut self, node: &Node) -> Option<f64> {
        match &node.value {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => {
                self.wrong(node, "a number");
                None
            }
        }
    }

    /// A size in bytes: a number, or text such as `10G`, `512 MiB`.
    pub fn size(&mut self, node: &Node) -> Option<u64> {
        let value = match &node.value {
            Value::Int(value) => u64::try_from(*value).ok(),
            Value::Text(text) => parse_size(text),
            _ => None,
        };
        if value.is_none() {
            self.wrong(node, "a size such as `10G` or `512MiB`");
        }
        value
    }

    /// A duration: seconds, or text such as `500ms`, `90s`, `1h30m`.
    pub fn duration(&mut self, node: &Node) -> Option<Duration> {
        let value = match &node.value {
            Value::Int(value) => u64::try_from(*value).ok().map(Duration::from_secs),
            Value::Float(value) => Duration::try_from_secs_f64(*value).ok(),
            Value::Text(text) => parse_duration(text),
            _ => None,
        };
        if value.is_none() {
            self.wrong(node, "a duration such as `90s`, `500ms` or `1h30m`");
        }
        value.filter(|value| !value.is_zero())
    }
}

/// `10G`, `512 MiB`, `100`: powers of 1024 with `i`, else of 1000.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let value: f64 = digits.parse().ok()?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = value * factor as f64;
    (0.0..1e18).contains(&bytes).then_some(bytes as u64)
}

/// `500ms`, `90s`, `10m`, `1h30m`, `45` (seconds).
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit())?;
        let value: u64 = rest[..split].parse().ok()?;
        rest = &rest[split..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let part = match rest[..unit_end].trim() {
            "ms" => Duration::from_millis(value),
            "s" => Duration::from_secs(value),
            "m" => Duration::from_secs(value.checked_mul(60)?),
            "h" => Duration::from_secs(value.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}
