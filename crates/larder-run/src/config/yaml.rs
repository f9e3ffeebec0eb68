//! YAML with places: text → [`Node`] tree, each node with its line and column.
//!
//! The reader builds the tree from parser events with a stack of its own. Bounds (all give an error, never a panic):
//! file size, nesting depth, number of nodes after aliases are expanded. Duplicate keys, several documents, keys that
//! are not scalars and text that holds the root placeholder are refused. Scalars follow the YAML 1.2 core schema.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde::{Deserialize, Serialize};

use crate::recipe::ROOT_PLACEHOLDER;

/// Largest configuration file that is read.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 200_000;

/// Where a node stands: line and column from 1, and how many characters of that line it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters to underline.
    pub width: u32,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its place.
    pub span: Span,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The key, as text.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// Why text is not a configuration's YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// What is wrong.
    pub message: String,
    /// What a person can do.
    pub hint: Option<&'static str>,
    /// Where.
    pub span: Span,
}

impl Node {
    /// A node without a place.
    #[must_use]
    pub fn bare(value: Value) -> Self {
        Self { value, span: Span::default() }
    }

    /// What kind of value this is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The entry of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The entries, if this is a map; else none.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The elements, if this is a list; else none.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text, if this is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect())
            }
        }
    }

    /// Nodes and depth of this tree.
    fn measure(&self) -> (usize, usize) {
        let children: Vec<&Node> = match &self.value {
            Value::List(items) => items.iter().collect(),
            Value::Map(entries) => entries.iter().map(|entry| &entry.value).collect(),
            _ => return (1, 1),
        };
        let (nodes, depth) = children
            .into_iter()
            .map(Node::measure)
            .fold((0, 0), |(nodes, depth), (n, d)| (nodes + n, depth.max(d)));
        (nodes + 1, depth + 1)
    }
}

/// Reads one document. Empty text is `Null`.
///
/// # Errors
/// Text that is not YAML, or breaks one of the bounds in the module's header.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(YamlError {
            message: format!("file is larger than {} MiB", MAX_FILE_BYTES >> 20),
            hint: None,
            span: Span::default(),
        });
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| YamlError {
            message: format!("not valid YAML: {}", error.info()),
            hint: Some(
                "look at the indentation (spaces, no tabs), and quote values that hold `: `, `#`, `{` or `[`",
            ),
            span: Span {
                line: number(error.marker().line()),
                column: number(error.marker().col() + 1),
                width: 1,
            },
        })?;
        let width = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        let place = Span {
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            width: number(width.max(1)),
        };
        builder.event(event, place)?;
    }
    Ok(builder.root.unwrap_or_else(|| Node::bare(Value::Null)))
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

enum Open {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Span)> },
}

struct Frame {
    open: Open,
    span: Span,
    anchor: usize,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if text.contains(ROOT_PLACEHOLDER) {
                    return Err(fail(
                        "text holds a reserved control sequence",
                        "remove the control characters U+0001",
                        span,
                    ));
                }
                let node = Node { value: scalar(text, style, tag.as_deref()), span };
                self.finish(node, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List(Vec::new()), span, anchor),
            Event::MappingStart(anchor, _) => {
                self.open(Open::Map { entries: Vec::new(), seen: HashSet::new(), key: None }, span, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else { return Ok(()) };
                let value = match frame.open {
                    Open::List(items) => Value::List(items),
                    Open::Map { entries, .. } => Value::Map(entries),
                };
                self.finish(Node { value, span: frame.span }, frame.anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(fail(
                        "an alias without its anchor",
                        "`*name` stands for what `&name` marked above",
                        span,
                    ));
                };
                let (nodes, depth) = node.measure();
                self.nodes += nodes;
                if self.nodes > MAX_NODES || self.stack.len() + depth > MAX_DEPTH {
                    return Err(fail("aliases expand to too much", TOO_MUCH, span));
                }
                let copy = Node { value: node.value.clone(), span };
                self.finish(copy, 0)
            }
            Event::DocumentStart(_) if self.root.is_some() => Err(fail(
                "more than one document in the file",
                "remove the `---`, or make files of them",
                span,
            )),
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, span: Span, anchor: usize) -> Result<(), YamlError> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(fail(&format!("nested deeper than {MAX_DEPTH} levels"), TOO_MUCH, span));
        }
        if let Some(Frame { open: Open::Map { key: None, .. }, .. }) = self.stack.last() {
            return Err(fail("a key must be a plain value", QUOTE, span));
        }
        self.stack.push(Frame { open, span, anchor });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(fail(&format!("more than {MAX_NODES} values in the file"), TOO_MUCH, node.span));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            // What an anchor keeps counts too: a file of nested anchors must not grow quadratically.
            self.nodes += node.measure().0;
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame { open: Open::List(items), .. }) => items.push(node),
            Some(Frame { open: Open::Map { entries, seen, key }, .. }) => match key.take() {
                Some((key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                None => {
                    let Some(name) = key_text(&node.value) else {
                        return Err(fail("a key must be a plain value", QUOTE, node.span));
                    };
                    if !seen.insert(name.clone()) {
                        return Err(fail(
                            &format!("key `{name}` stands here twice"),
                            "only one of them would count: join or rename them",
                            node.span,
                        ));
                    }
                    *key = Some((name, node.span));
                }
            },
        }
        Ok(())
    }
}

const TOO_MUCH: &str = "split it into several files; a list of values can come from a helper or a glob";
const QUOTE: &str = "a value that begins with `{{` must be quoted: `\"{{…}}\"`";

fn fail(message: &str, hint: &'static str, span: Span) -> YamlError {
    YamlError { message: message.to_owned(), hint: Some(hint), span }
}

fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if style != ScalarStyle::Plain || is_text {
        return Value::Text(text.into_owned());
    }
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Some(value) = integer(&text) {
        return Value::Int(value);
    }
    let looks_like_number = text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if looks_like_number
        && let Ok(value) = text.parse::<f64>()
        && value.is_finite()
        && !leading_zero(&text)
    {
        return Value::Float(value);
    }
    Value::Text(text.into_owned())
}

/// `007` is text: what is written so is meant so.
fn leading_zero(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit()
}

fn integer(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| i64::from_str_radix(hex, 16).ok())?;
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return octal.bytes().all(|b| b.is_ascii_digit()).then(|| i64::from_str_radix(octal, 8).ok())?;
    }
    if leading_zero(text) { None } else { text.parse().ok() }
}
