//! What the files say, before anything is rendered: [`RawProject`], [`RawCookbook`], [`RawRecipe`], [`RawTemplate`].
//!
//! In strict mode these are a pure function of one file's bytes and can be serialised, so that a parse cache can be keyed by
//! the file's digest. Keys are checked here (against [`super::keys`]); the types of values when they are used, after rendering.

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::decode::Reader;
use super::keys;
use super::source::Source;
use super::yaml::{Node, Span, Value};
use crate::diagnostic::{Diagnostic, nearest};
use crate::recipe::Mode;
use crate::template::{CustomHelper, Parameter, ParameterType, Returns};

/// The root file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawProject {
    /// The file.
    pub source: Source,
    /// The project's name.
    pub name: String,
    /// All that the file says.
    pub body: Node,
}

/// A cookbook's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawCookbook {
    /// The file.
    pub source: Source,
    /// The cookbook's name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// All that the file says, without `recipes`.
    pub body: Node,
    /// The recipes, in the order of the file.
    pub recipes: Vec<RawRecipe>,
}

/// A recipe, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawRecipe {
    /// Its name in the cookbook.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its fields.
    pub body: Node,
}

/// A recipe template's file.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTemplate {
    /// The file.
    pub source: Source,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The template that it extends, with its place.
    pub extends: Option<(String, Span)>,
    /// Parameters, in the order of the file.
    pub parameters: Vec<Parameter>,
    /// What a recipe gets from it.
    pub content: TemplateContent,
}

/// The `template:` part.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplateContent {
    /// Strict mode: parsed; values are rendered later.
    Parsed(Node),
    /// Bake mode: text that is rendered, then parsed.
    Text(String),
}

/// Decodes the root file.
pub fn project(source: Source, body: Node, mode: Mode, out: &mut Vec<Diagnostic>) -> Option<RawProject> {
    let mut reader = Reader { source: &source, mode, out };
    reader.map(&body, &keys::PROJECT);
    variables(&mut reader, &body);
    let name = name(&mut reader, &body)?.0;
    Some(RawProject { source, name, body })
}

/// Decodes a cookbook.
pub fn cookbook(
    source: Source,
    mut body: Node,
    mode: Mode,
    out: &mut Vec<Diagnostic>,
) -> Option<RawCookbook> {
    let mut reader = Reader { source: &source, mode, out };
    reader.map(&body, &keys::COOKBOOK);
    variables(&mut reader, &body);
    if let Some(node) = body.get("description") {
        reader.text(node);
    }
    let (name, name_span) = name(&mut reader, &body)?;
    let mut recipes = Vec::new();
    let mut found = None;
    if let Value::Map(entries) = &mut body.value
        && let Some(at) = entries.iter().position(|entry| entry.key == "recipes")
    {
        found = Some(entries.remove(at).value);
    }
    match found {
        Some(Node { value: Value::Map(entries), .. }) => {
            for entry in entries {
                check_name(&mut reader, &entry.key, entry.key_span);
                reader.map(&entry.value, &keys::RECIPE);
                variables(&mut reader, &entry.value);
                recipes.push(RawRecipe { name: entry.key, span: entry.key_span, body: entry.value });
            }
        }
        Some(Node { value: Value::Null, .. }) => {}
        Some(node) => {
            reader.free_map(&node);
        }
        None => reader.refuse(
            body.span,
            "missing key `recipes`",
            "recipes stand below it by name: `recipes: {build: {run: make}}`",
        ),
    }
    Some(RawCookbook { source, name, name_span, body, recipes })
}

fn name(reader: &mut Reader<'_>, body: &Node) -> Option<(String, Span)> {
    let Some(node) = body.get("name") else {
        if matches!(body.value, Value::Map(_) | Value::Null) {
            reader.refuse(body.span, "missing key `name`", "a file begins with `name: NAME`");
        }
        return None;
    };
    let name = reader.text(node)?;
    check_name(reader, &name, node.span);
    Some((name, node.span))
}

/// `variables` is a map, `overrides` one of maps.
fn variables(reader: &mut Reader<'_>, body: &Node) {
    if let Some(node) = body.get("variables") {
        reader.free_map(node);
    }
    let overrides = body.get("overrides").map(|node| reader.free_map(node)).unwrap_or_default();
    for entry in overrides {
        reader.free_map(&entry.value);
    }
}

/// Names stand in selectors, so `:`, `[`, `]` and control characters are not for them.
fn check_name(reader: &mut Reader<'_>, name: &str, span: Span) {
    if name.is_empty() || name.starts_with('-') || name.contains("{{") {
        reader.refuse(span, format!("`{name}` cannot be a name"), "a name is not empty, begins with no `-`, and is not rendered: one recipe for each of several values is a `matrix`");
    } else if name.chars().any(|c| matches!(c, ':' | '[' | ']') || c.is_control()) {
        reader.refuse(
            span,
            format!("name `{}` holds `:`, `[`, `]` or a control character", name.escape_debug()),
            "selectors use them: `cookbook:recipe[value]`",
        );
    }
}

/// Decodes a template's file. `text` is the `template:` block in bake mode.
pub fn template(
    source: Source,
    body: &Node,
    text: Option<String>,
    mode: Mode,
    out: &mut Vec<Diagnostic>,
) -> Option<RawTemplate> {
    let mut reader = Reader { source: &source, mode, out };
    reader.map(body, &keys::TEMPLATE);
    let (name, _) = name(&mut reader, body)?;
    let description = body.get("description").and_then(|node| reader.text(node));
    let extends = body.get("extends").and_then(|node| Some((reader.text(node)?, node.span)));
    let parameters = body.get("parameters").map(|node| parameters(&mut reader, node)).unwrap_or_default();
    let content = match (text, body.get("template")) {
        (Some(text), _) => TemplateContent::Text(text),
        (None, Some(node)) => {
            reader.map(node, &keys::TEMPLATE_RECIPE);
            variables(&mut reader, node);
            TemplateContent::Parsed(node.clone())
        }
        (None, None) => {
            reader.refuse(
                body.span,
                "missing key `template`",
                "the fields of a recipe stand below it: `template: {run: …}`",
            );
            return None;
        }
    };
    Some(RawTemplate { source, name, description, extends, parameters, content })
}

/// Decodes a helper's file.
pub fn helper(
    source: &Source,
    body: &Node,
    environment: &dyn Fn(&str) -> Option<String>,
    mode: Mode,
    out: &mut Vec<Diagnostic>,
) -> Option<CustomHelper> {
    let mut reader = Reader { source, mode, out };
    reader.map(body, &keys::HELPER);
    let (name, span) = name(&mut reader, body)?;
    if source.file.file_stem().is_some_and(|stem| stem != name.as_str()) {
        reader.refuse(
            span,
            format!("helper `{name}` must stand in a file `{name}.yml`"),
            "rename the file, or the helper",
        );
    }
    let returns = match body.get("returns").map(|node| (node.text().map(str::to_lowercase), node.span)) {
        None => Returns::String,
        Some((Some(kind), _)) if kind == "string" => Returns::String,
        Some((Some(kind), _)) if kind == "array" => Returns::Array,
        Some((_, span)) => {
            reader.refuse(
                span,
                "`returns` is `string` or `array`",
                "`string` is what the command prints, `array` the lines of it",
            );
            Returns::String
        }
    };
    let names = body.get("environment").map(|node| reader.texts(node)).unwrap_or_default();
    let variables: Map<_, _> = body
        .get("variables")
        .map(|node| reader.free_map(node))
        .unwrap_or_default()
        .iter()
        .map(|entry| (entry.key.clone(), entry.value.to_json()))
        .collect();
    let Some(run) = body.get("run").and_then(|node| reader.text(node)) else {
        reader.refuse(body.span, "missing key `run`", "what this command prints is the helper's value");
        return None;
    };
    Some(CustomHelper {
        name,
        description: body.get("description").and_then(|node| reader.text(node)),
        returns,
        parameters: body.get("parameters").map(|node| parameters(&mut reader, node)).unwrap_or_default(),
        variables,
        environment: names
            .into_iter()
            .map(|name| (environment(&name).unwrap_or_default(), name))
            .map(|(v, n)| (n, v))
            .collect(),
        run,
    })
}

const TYPES: [&str; 5] = ["string", "number", "boolean", "array", "object"];

fn parameters(reader: &mut Reader<'_>, node: &Node) -> Vec<Parameter> {
    let entries = reader.free_map(node).to_vec();
    entries.iter().filter_map(|entry| parameter(reader, &entry.key, &entry.value)).collect()
}

fn parameter(reader: &mut Reader<'_>, name: &str, node: &Node) -> Option<Parameter> {
    reader.map(node, &keys::PARAMETER);
    let kind_node = node.get("type");
    let kind = match kind_node.and_then(Node::text).map(str::to_lowercase).as_deref() {
        Some("string") => ParameterType::String,
        Some("number") => ParameterType::Number,
        Some("boolean") => ParameterType::Boolean,
        Some("array") => ParameterType::Array,
        Some("object") => ParameterType::Object,
        _ => {
            let span = kind_node.map_or(node.span, |node| node.span);
            let given = kind_node.and_then(Node::text).unwrap_or_default();
            let hint = match nearest(given, TYPES) {
                Some(near) => format!("did you mean `type: {near}`?"),
                None => "for example `type: string`".to_owned(),
            };
            reader.refuse(
                span,
                format!("`type` of parameter `{name}` is string, number, boolean, array or object"),
                hint,
            );
            return None;
        }
    };
    let pattern = node.get("pattern").and_then(|node| reader.text(node));
    if let (Some(pattern), Some(node)) = (&pattern, node.get("pattern"))
        && let Err(error) = regex::Regex::new(pattern)
    {
        let reason = error.to_string();
        reader.refuse(
            node.span,
            format!(
                "bad pattern: {}",
                reason.lines().last().unwrap_or_default().trim_start_matches("error: ")
            ),
            "it is a regular expression: a backslash takes `.*+?()[]{}|^$` as they are",
        );
    }
    let parameter = Parameter {
        name: name.to_owned(),
        kind,
        required: node.get("required").and_then(|node| reader.boolean(node)).unwrap_or(false),
        default: node.get("default").filter(|node| node.value != Value::Null).map(Node::to_json),
        description: node.get("description").and_then(|node| reader.text(node)),
        pattern,
        min: node.get("min").and_then(|node| reader.number(node)),
        max: node.get("max").and_then(|node| reader.number(node)),
        items: node.get("items").and_then(|node| parameter(reader, name, node)).map(Box::new),
    };
    if let (Some(default), Some(node)) = (&parameter.default, node.get("default"))
        && let Err(message) = parameter.check(default)
    {
        reader.refuse(
            node.span,
            format!("default of {message}"),
            "mend `default`, or what the parameter allows",
        );
    }
    Some(parameter)
}
