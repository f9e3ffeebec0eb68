//! Values of one line that hold templates, quoted where YAML would read them otherwise.
//!
//! Bake renders before it parses, so `inputs: {{files}}` is text there and a broken map here. What a value means is found by parsing it with each tag
//! replaced by a word; if it means the same as it stands, it stays as it is.

use crate::config::yaml::{self, Node, Value};

/// `line` with its value quoted, if that is needed.
pub(super) fn quoted(line: &str) -> Option<String> {
    if !line.contains("{{") || line.trim_start().starts_with('#') {
        return None;
    }
    let at = value_start(line)?;
    let (head, value) = line.split_at(at);
    let mended = mend(value)?;
    Some(format!("{head}{mended}"))
}

/// Where the value begins: behind `key: `, `- `, or both.
fn value_start(line: &str) -> Option<usize> {
    let mut at = line.len() - line.trim_start().len();
    let mut is_value = false;
    while let Some(rest) = line[at..].strip_prefix("- ") {
        at = line.len() - rest.trim_start().len();
        is_value = true;
    }
    // A key is plain or quoted, and holds no tag.
    let rest = &line[at..];
    let key = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].find(quote).map(|end| end + 2),
        _ => rest.find(": ").filter(|end| !rest[..*end].contains(['{', '[', '#'])),
    };
    if let Some(end) = key
        && let Some(value) = rest[end..].strip_prefix(": ")
    {
        return Some(line.len() - value.trim_start().len());
    }
    is_value.then_some(at)
}

/// The value, quoted; `None`: it is good as it is, or cannot be told.
fn mend(value: &str) -> Option<String> {
    if value.starts_with(['|', '>', '&', '*', '!', '#']) {
        return None;
    }
    let tags = tags(value)?;
    let word = |index: usize| format!("larder{index}tag");
    let mut masked = String::new();
    let mut at = 0;
    for (index, (start, end)) in tags.iter().enumerate() {
        masked.push_str(&value[at..*start]);
        masked.push_str(&word(index));
        at = *end;
    }
    masked.push_str(&value[at..]);
    let back = |text: &str| {
        tags.iter().enumerate().fold(text.to_owned(), |text, (index, (start, end))| {
            text.replace(&word(index), &value[*start..*end])
        })
    };
    let meant = parse(&masked)?;
    let wanted = replaced(&meant, &back);
    if parse(value).is_some_and(|now| now.to_json() == wanted.to_json()) {
        return None;
    }
    // A comment behind the value stays.
    let comment = masked.match_indices(" #").find_map(|(at, _)| {
        let before = parse(&masked[..at])?;
        (before.to_json() == meant.to_json()).then(|| back(&masked[masked[..at].trim_end().len()..]))
    });
    Some(format!("{}{}", flow(&wanted), comment.unwrap_or_default()))
}

/// Begin and end of each `{{…}}`; `None` if one is not closed in the line.
fn tags(text: &str) -> Option<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("{{").map(|start| at + start) {
        let close = if text[start..].starts_with("{{{") { "}}}" } else { "}}" };
        let end = start + text[start..].find(close)? + close.len();
        found.push((start, end));
        at = end;
    }
    Some(found)
}

fn parse(value: &str) -> Option<Node> {
    yaml::parse(&format!("v: {value}\n")).ok()?.get("v").cloned()
}

fn replaced(node: &Node, back: &dyn Fn(&str) -> String) -> Node {
    let value = match &node.value {
        Value::Text(text) => Value::Text(back(text)),
        Value::List(items) => Value::List(items.iter().map(|item| replaced(item, back)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|entry| yaml::Entry {
                    key: back(&entry.key),
                    key_span: entry.key_span,
                    value: replaced(&entry.value, back),
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Node { value, span: node.span }
}

/// A value in one line.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => quote(text),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |entry: &yaml::Entry| format!("{}: {}", quote(&entry.key), flow(&entry.value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Text in the quotes that leave it readable.
pub(super) fn quote(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-'))
        && parse(text).is_some_and(|node| node.text() == Some(text))
        && !text.starts_with('-');
    if is_plain {
        text.to_owned()
    } else if text.contains(['"', '\\']) || text.chars().any(char::is_control) {
        if text.chars().any(char::is_control) {
            return serde_json::Value::from(text).to_string();
        }
        format!("'{}'", text.replace('\'', "''"))
    } else {
        format!("\"{text}\"")
    }
}
