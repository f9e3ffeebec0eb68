//! `trace:` of a recipe, and of `config:` for all recipes: a mode, or a map of a mode and patterns that are not in question.

use std::path::Path;

use super::decode::Reader;
use super::keys;
use super::patterns::{escape_brackets, project_segments};
use super::yaml::{Node, Value};
use crate::recipe::{TraceMode, TraceSpec};

/// Decodes it. Patterns are relative to `folder` of the project at `root`, or begin with `~/`.
pub fn decode(reader: &mut Reader<'_>, node: &Node, folder: &Path, root: &Path) -> Option<TraceSpec> {
    if let Some(mode) = mode_of(node) {
        return Some(TraceSpec { mode, ignore: Vec::new() });
    }
    if !matches!(node.value, Value::Map(_)) {
        reader.refuse(
            node.span,
            "unknown way to trace",
            "`off`, `warn` or `strict`, or a map with `mode` and `ignore`",
        );
        return None;
    }
    let mut spec = TraceSpec { mode: TraceMode::Warn, ignore: Vec::new() };
    for entry in reader.map(node, &keys::TRACE) {
        if entry.key == "mode" {
            match mode_of(&entry.value) {
                Some(mode) => spec.mode = mode,
                None => {
                    reader.refuse(entry.value.span, "unknown mode of tracing", "`off`, `warn` or `strict`")
                }
            }
            continue;
        }
        let texts = reader.texts(&entry.value);
        for (at, text) in texts.iter().enumerate() {
            let span = entry.value.items().get(at).map_or(entry.value.span, |item| item.span);
            match pattern(text, folder, root) {
                Ok(pattern) => spec.ignore.push(pattern),
                Err(reason) => reader.refuse(
                    span,
                    format!("`{text}` {reason}"),
                    "for example `docs/**`, from the cookbook's folder, or `~/.cache/go-build`",
                ),
            }
        }
    }
    Some(spec)
}

fn mode_of(node: &Node) -> Option<TraceMode> {
    match &node.value {
        Value::Bool(false) | Value::Null => Some(TraceMode::Off),
        Value::Text(text) => match text.trim() {
            "off" | "false" => Some(TraceMode::Off),
            "warn" => Some(TraceMode::Warn),
            "strict" => Some(TraceMode::Strict),
            _ => None,
        },
        _ => None,
    }
}

/// The pattern from the project's root; below the home folder it stays as it is.
fn pattern(text: &str, folder: &Path, root: &Path) -> Result<String, &'static str> {
    let text = escape_brackets(text.trim());
    let pattern = if text.starts_with("~/") {
        text
    } else {
        project_segments(&text, folder, root).map_err(super::patterns::PatternError::reason)?.join("/")
    };
    match globset::Glob::new(&pattern) {
        Ok(_) if !pattern.is_empty() => Ok(pattern),
        _ => Err("is not a pattern below the project or `~/`"),
    }
}
