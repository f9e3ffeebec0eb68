//! Variables: `variables:`, `overrides:` for the chosen environment, and `-D` definitions.
//!
//! Later levels win: project, cookbook, template, recipe; at each level `overrides` over `variables`; `-D` over
//! all. A value replaces the whole value of that name, except that `-D a.b=v` sets one nested key. Within a block an expression sees
//! the names above it (and those of outer levels).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::yaml::{Entry, Node};

/// One `-D key=value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Define {
    /// The key, split at `.`.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
}

impl Define {
    /// Parses `key=value`. With `typed`, `true`, `false`, `null` and numbers are values of their type; else all is text.
    #[must_use]
    pub fn parse(text: &str, typed: bool) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) || path.len() > 32 {
            return None;
        }
        let plain = typed.then(|| serde_json::from_str::<Value>(value).ok()).flatten();
        let value = plain.filter(|v| !v.is_object() && !v.is_array()).unwrap_or_else(|| Value::from(value));
        Some(Self { path, value })
    }

    /// Sets the value, making maps on the way.
    pub fn apply(&self, variables: &mut Map<String, Value>) {
        let Some((last, folders)) = self.path.split_last() else { return };
        let mut map = variables;
        for name in folders {
            let slot = map.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            let Value::Object(inner) = slot else { return };
            map = inner;
        }
        map.insert(last.clone(), self.value.clone());
    }
}

/// The entries of a level: `variables` with those of `overrides.ENVIRONMENT` in their place or at the end.
#[must_use]
pub fn merged<'n>(body: &'n Node, environment: Option<&str>) -> Vec<&'n Entry> {
    let mut entries: Vec<&Entry> =
        body.get("variables").map(Node::entries).unwrap_or_default().iter().collect();
    let chosen = environment.and_then(|name| body.get("overrides")?.get(name));
    for entry in chosen.map(Node::entries).unwrap_or_default() {
        match entries.iter_mut().find(|known| known.key == entry.key) {
            Some(slot) => *slot = entry,
            None => entries.push(entry),
        }
    }
    entries
}

/// Flattens to `a.b` → JSON text; a list is one value.
#[must_use]
pub fn flatten(variables: &Map<String, Value>) -> BTreeMap<String, String> {
    fn walk(prefix: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    // A dot in a key is escaped, so that two different trees never flatten to one.
                    let key = key.replace('\\', "\\\\").replace('.', "\\.");
                    let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                    walk(&path, value, out);
                }
            }
            other => {
                out.insert(prefix.to_owned(), other.to_string());
            }
        }
    }
    let mut out = BTreeMap::new();
    if !variables.is_empty() {
        walk("", &Value::Object(variables.clone()), &mut out);
    }
    out
}
