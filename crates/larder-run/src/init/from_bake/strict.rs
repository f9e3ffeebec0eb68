//! What parses, but would mean something else in a `larder.yml` project: edited so that it means what it meant.
//!
//! Everything is an edit of lines, by the places that the parser gives, so that comments and order stay.

use crate::config::keys;
use crate::config::yaml::{Node, Span, Value};
use crate::recipe::Mode;

/// An edit of the text.
#[derive(Debug)]
enum Edit {
    /// A new line after this one (from 1).
    After(u32, String),
    /// The line becomes a comment, with those below it that are indented deeper.
    Comment(u32),
    /// Text is put in at a place.
    At(Span, String),
}

/// The edits of one file.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    /// A root file: bake's defaults, where Larder's are others.
    pub(super) fn project(body: &Node, cookbooks: &[String]) -> Self {
        let mut edits = Self::default();
        edits.nothings(body, &keys::PROJECT);
        let last = u32::MAX;
        if body.get("default").is_none() {
            let all: Vec<String> =
                cookbooks.iter().map(|name| super::values::quote(&format!("{name}:"))).collect();
            edits.0.push(Edit::After(
                last,
                "# Without selectors bake runs all recipes; without this line, only those with `cache` run."
                    .into(),
            ));
            edits.0.push(Edit::After(last, format!("default: [{}]", all.join(", "))));
        }
        match body.get("config").map(|config| (config, &config.value)) {
            Some((config, Value::Map(entries))) => {
                for entry in entries {
                    if matches!(entry.key.as_str(), "update" | "minVersion") {
                        // Of bake's own versions.
                        edits.0.push(Edit::Comment(entry.key_span.line));
                    }
                }
                let indent = entries.first().map_or(2, |entry| entry.key_span.column as usize - 1);
                let is_flow =
                    entries.first().is_some_and(|entry| entry.key_span.line == line_of(body, "config"));
                let said = [("fastFail", "false"), ("cleanEnvironment", "false"), ("reservedThreads", "1")];
                for (key, value) in said.into_iter().filter(|(key, _)| config.get(key).is_none()) {
                    edits.0.push(if is_flow {
                        Edit::At(
                            Span { column: config.span.column + 1, ..config.span },
                            format!("{key}: {value}, "),
                        )
                    } else {
                        Edit::After(line_of(body, "config"), format!("{}{key}: {value}", " ".repeat(indent)))
                    });
                }
            }
            _ => {
                edits.0.push(Edit::After(last, "# As bake has it. Better: remove these, and declare what recipes need with `environment`.".into()));
                edits
                    .0
                    .push(Edit::After(last, "config: {cleanEnvironment: false, reservedThreads: 1}".into()));
            }
        }
        edits
    }

    /// A cookbook.
    pub(super) fn cookbook(body: &Node) -> Self {
        let mut edits = Self::default();
        edits.nothings(body, &keys::COOKBOOK);
        for recipe in body.get("recipes").map(Node::entries).unwrap_or_default() {
            edits.recipe(&recipe.value);
        }
        edits
    }

    /// A template.
    pub(super) fn template(body: &Node) -> Self {
        let mut edits = Self::default();
        edits.nothings(body, &keys::TEMPLATE);
        if let Some(recipe) = body.get("template") {
            edits.recipe(recipe);
        }
        edits
    }

    /// A helper.
    pub(super) fn helper(body: &Node) -> Self {
        let mut edits = Self::default();
        edits.nothings(body, &keys::HELPER);
        edits
    }

    fn recipe(&mut self, body: &Node) {
        self.nothings(body, &keys::RECIPE);
        let Some(cache) = body.get("cache") else { return };
        self.nothings(cache, &keys::CACHE);
        let (Value::Map(entries), Some(at)) =
            (&cache.value, body.entries().iter().find(|e| e.key == "cache"))
        else {
            return;
        };
        let has_inputs = cache.get("inputs").is_some_and(|node| node.value != Value::Null);
        if has_inputs {
            return;
        }
        // Without `inputs` bake looks at no file; here that would be the cookbook's folder.
        let is_flow = cache.span.line == at.key_span.line;
        match entries.first() {
            Some(first) if !is_flow => {
                let indent = " ".repeat(first.key_span.column as usize - 1);
                self.0.push(Edit::After(at.key_span.line, format!("{indent}inputs: []")));
            }
            first => {
                let comma = if first.is_some() { ", " } else { "" };
                let place = Span { column: cache.span.column + 1, ..cache.span };
                self.0.push(Edit::At(place, format!("inputs: []{comma}")));
            }
        }
    }

    /// Keys without a value, which bake passes over.
    fn nothings(&mut self, body: &Node, table: &keys::Table) {
        for entry in body.entries() {
            if entry.value.value == Value::Null
                && table.knows(&entry.key, Mode::Strict)
                && entry.key != "recipes"
            {
                self.0.push(Edit::Comment(entry.key_span.line));
            }
        }
    }

    /// The text with the edits made.
    pub(super) fn apply(self, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut after: Vec<Vec<String>> = vec![Vec::new(); lines.len() + 1];
        for edit in self.0 {
            match edit {
                Edit::After(line, new) => after[(line as usize).min(lines.len())].push(new),
                Edit::Comment(line) => {
                    let first = (line as usize).saturating_sub(1);
                    let Some(depth) = lines.get(first).map(|line| indent(line)) else { continue };
                    let below = lines[first + 1..]
                        .iter()
                        .take_while(|line| !line.trim().is_empty() && indent(line) > depth);
                    let count = 1 + below.count();
                    for line in &mut lines[first..first + count] {
                        let at = indent(line).min(depth);
                        line.insert_str(at, "# ");
                    }
                }
                Edit::At(span, new) => {
                    let Some(line) = lines.get_mut((span.line as usize).saturating_sub(1)) else { continue };
                    let at = line.char_indices().nth((span.column as usize).saturating_sub(1));
                    line.insert_str(at.map_or(line.len(), |(at, _)| at), &new);
                }
            }
        }
        let mut out = String::new();
        for (at, new) in after.into_iter().enumerate() {
            if let Some(line) = at.checked_sub(1).and_then(|at| lines.get(at)) {
                out.push_str(line);
                out.push('\n');
            }
            new.iter().for_each(|line| {
                out.push_str(line);
                out.push('\n');
            });
        }
        out
    }
}

fn line_of(body: &Node, key: &str) -> u32 {
    body.entries().iter().find(|entry| entry.key == key).map_or(0, |entry| entry.key_span.line)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
