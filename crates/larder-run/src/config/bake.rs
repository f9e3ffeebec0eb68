//! Bake's way of reading: the text of a file is rendered, then parsed.
//!
//! What a file says of its own variables has to be known before it can be rendered, so the top-level blocks `variables:`,
//! `overrides:` and `environment:` are cut out of the text by indentation and rendered first, again and again until nothing
//! changes (so that variables may use each other in any order). A recipe that has such blocks of its own, or uses `{{recipe.…}}`, is a
//! *chunk*: it is rendered with its own scope, and nothing of it reaches the cookbook.
//!
//! While text is rendered, the project's root is [`ROOT_TOKEN`], which YAML can hold; after parsing it becomes
//! [`ROOT_PLACEHOLDER`].

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::variables::Define;
use super::yaml::{self, Node, Value};
use crate::diagnostic::Diagnostic;
use crate::recipe::ROOT_PLACEHOLDER;
use crate::template::{Renderer, Scope, TemplateError, undefined};

/// The root in text that is not yet parsed: private-use characters, which YAML allows.
pub const ROOT_TOKEN: &str = "\u{E0F1}larder-root\u{E0F2}";
const ROUNDS: usize = 8;

/// What the rendering of a file needs besides its text.
pub struct Context<'a> {
    /// Renders.
    pub renderer: &'a Renderer,
    /// `--env`.
    pub environment_name: Option<&'a str>,
    /// `-D`.
    pub defines: &'a [Define],
    /// The caller's environment.
    pub process: &'a BTreeMap<String, String>,
}

/// A file, rendered.
pub struct Rendered {
    /// The text, to be parsed.
    pub text: String,
    /// The file's own scope.
    pub scope: Scope,
    /// Undefined names that render empty: diagnostic, byte offset, width.
    pub undefined: Vec<(Diagnostic, usize, usize)>,
}

/// Part of a text with a scope of its own.
struct Chunk {
    start: usize,
    end: usize,
    data: Json,
}

/// Renders a file's text; `scope` is what surrounds it.
///
/// # Errors
/// A template that cannot be rendered.
pub fn render(context: &Context<'_>, text: &str, mut scope: Scope) -> Result<Rendered, TemplateError> {
    if text.contains(ROOT_TOKEN) {
        let line = text.lines().position(|line| line.contains(ROOT_TOKEN)).map(|at| at + 1);
        return Err(TemplateError::new("text holds a reserved sequence")
            .hinted("remove the private characters U+E0F1 and U+E0F2")
            .at(line));
    }
    enter(context, &mut scope, text, 0)?;
    if !text.contains("{{") {
        return Ok(Rendered { text: text.to_owned(), scope, undefined: Vec::new() });
    }
    let mut chunks = Vec::new();
    for (name, start, end, indent) in recipe_spans(text) {
        let part = &text[start..end];
        let body = part.split_once('\n').map_or("", |(_, body)| body);
        let own =
            ["variables", "overrides", "environment"].iter().any(|key| block(body, key, None).is_some());
        if !part.contains("{{") || !(own || part.contains("recipe.")) || !is_balanced(part) {
            continue;
        }
        let mut inner = scope.clone();
        inner.recipe.insert("name".into(), Json::from(name));
        inner.recipe.insert("cookbook".into(), inner.cookbook.get("name").cloned().unwrap_or_default());
        enter(context, &mut inner, body, indent + 1)?;
        chunks.push(Chunk { start, end, data: inner.data() });
    }
    let mut data = scope.data();
    let warnings = warnings(text, &data, &chunks);
    let mut outer = String::new();
    let mut at = 0;
    let mut parts = Vec::new();
    for (index, chunk) in chunks.into_iter().enumerate() {
        outer.push_str(&text[at..chunk.start]);
        outer.push_str(&format!("{{{{__chunk {index}}}}}"));
        let part = &text[chunk.start..chunk.end];
        let trimmed = part.strip_suffix('\n').unwrap_or(part);
        if trimmed.len() < part.len() {
            outer.push('\n');
        }
        parts.push(json!({ "text": trimmed, "data": chunk.data }));
        at = chunk.end;
    }
    outer.push_str(&text[at..]);
    if let Json::Object(map) = &mut data {
        map.insert("__chunks".into(), Json::Array(parts));
    }
    let text = context.renderer.render_data(&outer, &data)?;
    Ok(Rendered { text, scope, undefined: warnings })
}

fn warnings(text: &str, data: &Json, chunks: &[Chunk]) -> Vec<(Diagnostic, usize, usize)> {
    let mut found = Vec::new();
    let mut look = |part: &str, base: usize, data: &Json, skip: &dyn Fn(usize) -> bool| {
        for (reference, near) in undefined(part, data) {
            if !reference.is_bare || skip(base + reference.offset) {
                continue;
            }
            let label = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            let message = format!("undefined name `{}` renders empty", reference.path);
            let warning = Diagnostic::warning(message).with_label(label);
            found.push((warning, base + reference.offset, reference.path.chars().count()));
        }
    };
    for chunk in chunks {
        look(&text[chunk.start..chunk.end], chunk.start, &chunk.data, &|_| false);
    }
    look(text, 0, data, &|at| chunks.iter().any(|chunk| (chunk.start..chunk.end).contains(&at)));
    found
}

/// Adds what a text's own blocks say to the scope.
fn enter(context: &Context<'_>, scope: &mut Scope, text: &str, indent: usize) -> Result<(), TemplateError> {
    let at = (indent == 0).then_some(0);
    if let Some(names) = block(text, "environment", at)
        && let Ok(node) = yaml::parse(&names)
    {
        for name in node.items().iter().filter_map(Node::text) {
            let value = context.process.get(name).filter(|_| !super::environment::is_own(name));
            let known = scope.env.entry(name.to_owned()).or_insert_with(|| Json::from(""));
            if let Some(value) = value {
                *known = Json::from(value.as_str());
            }
        }
    }
    let variables = block(text, "variables", at);
    let overrides = block(text, "overrides", at).filter(|_| context.environment_name.is_some());
    let outer = scope.var.clone();
    let begins = |line: &str| line.starts_with("variables:") || line.starts_with("overrides:");
    let line = text.lines().position(begins).filter(|_| indent == 0).map(|at| at + 1);
    for _ in 0..ROUNDS {
        let mut own = Map::new();
        for (block, chosen) in [(&variables, None), (&overrides, context.environment_name)] {
            let Some(block) = block else { continue };
            let rendered = context.renderer.render(block, scope)?;
            let node = yaml::parse(&rendered).map_err(|error| {
                TemplateError::new(format!("variables, after rendering: {}", error.message))
                    .hinted(
                        "the text was rendered before it was parsed: quote values that hold `: `, `#` or quotes",
                    )
                    .at(line)
            })?;
            let node = match chosen {
                None => Some(&node),
                Some(name) => node.get(name),
            };
            own.extend(
                node.map(Node::entries)
                    .unwrap_or_default()
                    .iter()
                    .map(|e| (e.key.clone(), e.value.to_json())),
            );
        }
        let mut next = outer.clone();
        next.extend(own);
        for define in context.defines {
            define.apply(&mut next);
        }
        if next == scope.var {
            break;
        }
        scope.var = next;
    }
    Ok(())
}

/// The text of the block under `key:`, at an indentation, or (`None`) at the smallest one of the text.
#[must_use]
pub fn block(text: &str, key: &str, indent: Option<usize>) -> Option<String> {
    let indent = indent.or_else(|| {
        text.lines()
            .filter(|line| is_content(line) && !line.trim_start().starts_with("{{"))
            .map(indent_of)
            .min()
    })?;
    let mut lines = text.lines();
    let rest = lines.by_ref().find_map(|line| {
        let rest = line.trim_start().strip_prefix(key)?.strip_prefix(':')?;
        (indent_of(line) == indent && (rest.is_empty() || rest.starts_with(char::is_whitespace)))
            .then_some(rest)
    })?;
    let rest = rest.trim();
    if !rest.is_empty() && !rest.starts_with('#') && !matches!(rest, "|" | ">" | "|-") {
        return Some(rest.to_owned());
    }
    let is_item = |line: &str| indent_of(line) == indent && line.trim_start().starts_with("- ");
    let body: Vec<&str> =
        lines.take_while(|line| !is_content(line) || indent_of(line) > indent || is_item(line)).collect();
    Some(body.join("\n"))
}

/// Names of the recipes, found in the text without rendering it: nothing runs.
#[must_use]
pub fn recipe_names(text: &str) -> Vec<String> {
    recipe_spans(text).into_iter().map(|(name, ..)| name).filter(|name| !name.contains("{{")).collect()
}

/// A top-level `key: value` of the text, if it is plain.
#[must_use]
pub fn plain_value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let node = yaml::parse(line.trim()).ok()?;
    node.text().filter(|text| !text.contains("{{")).map(str::to_owned)
}

/// Name, start, end and indentation of each recipe's text.
fn recipe_spans(text: &str) -> Vec<(String, usize, usize, usize)> {
    let mut found: Vec<(String, usize, usize, usize)> = Vec::new();
    let mut inside = false;
    let mut indent = None;
    let mut is_open = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let depth = indent_of(line);
        if !is_content(line) {
            continue;
        }
        let trimmed = line.trim();
        if depth == 0 && !trimmed.starts_with("{{") {
            inside = trimmed.starts_with("recipes:");
            is_open = false;
            continue;
        }
        if !inside {
            continue;
        }
        let is_tag = trimmed.starts_with("{{");
        if !is_tag {
            indent.get_or_insert(depth);
        }
        let recipe_indent = indent.unwrap_or(usize::MAX);
        if depth > recipe_indent && is_open {
            if let Some(last) = found.last_mut() {
                last.2 = at;
            }
            continue;
        }
        is_open = false;
        if depth == recipe_indent
            && let Some((key, _)) = trimmed.split_once(':')
            && !trimmed.starts_with("{{#")
            && !trimmed.starts_with("{{/")
        {
            let key = key.trim().trim_matches(['"', '\'']);
            found.push((key.to_owned(), start, at, depth));
            is_open = true;
        }
    }
    found
}

fn is_content(line: &str) -> bool {
    let trimmed = line.trim_start();
    !trimmed.is_empty() && !trimmed.starts_with('#')
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Whether each block tag opened in the text is closed in it.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0i64;
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        rest = rest[at + 2..].trim_start_matches(['{', '~']);
        if rest.starts_with('#') {
            depth += 1;
        } else if rest.starts_with('/') {
            depth -= 1;
        } else if depth == 0 && (rest.starts_with("else") || rest.starts_with('^')) {
            return false;
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// Replaces `from` in all text of a tree.
pub fn replace_in(node: &mut Node, from: &str, to: &str) {
    match &mut node.value {
        Value::Text(text) if text.contains(from) => *text = text.replace(from, to),
        Value::List(items) => items.iter_mut().for_each(|item| replace_in(item, from, to)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| replace_in(&mut entry.value, from, to)),
        _ => {}
    }
}

/// [`ROOT_TOKEN`] → [`ROOT_PLACEHOLDER`] in a JSON tree.
pub fn settle_root(value: &mut Json) {
    match value {
        Json::String(text) if text.contains(ROOT_TOKEN) => *text = text.replace(ROOT_TOKEN, ROOT_PLACEHOLDER),
        Json::Array(items) => items.iter_mut().for_each(settle_root),
        Json::Object(map) => map.values_mut().for_each(settle_root),
        _ => {}
    }
}
