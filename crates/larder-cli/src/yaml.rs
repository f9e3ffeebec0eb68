//! A JSON value as YAML, for people: block style, text of several lines as it is.
//!
//! What is written is YAML 1.2 and reads back as the same value. Any text that could be read as something else is quoted as
//! JSON quotes it.

use serde_json::Value;

/// The value as a YAML document.
pub(crate) fn to_text(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    if out.starts_with('\n') {
        out.remove(0);
    }
    out
}

/// Text that needs no quotes in any place.
fn is_plain(text: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_' || c == '.';
    let goes_on = |c: char| c.is_ascii_alphanumeric() || " /_.-+=(),$@".contains(c);
    let word = text.to_ascii_lowercase();
    text.starts_with(starts)
        && text.chars().all(goes_on)
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&word.as_str())
        && !text.starts_with('.')
}

fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { Value::from(text).to_string() }
}

/// Text that can stand as a block: several lines, none of which could be taken for something else.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && text.starts_with(|c: char| !c.is_whitespace())
        && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
        && !text.chars().any(|c| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

fn block(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
    }
    out.push_str(&"\n".repeat((text.len() - body.len()).max(1)));
}

/// Writes a value after `key:` or `-`, with a newline at its end.
fn write(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            for (key, value) in map {
                out.push_str(&format!("{pad}{}:", scalar(key)));
                child(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.push_str(&format!("{pad}-"));
                child(item, indent, out);
            }
        }
        Value::String(text) if is_block(text) => block(text, indent.max(2), out),
        Value::String(text) => out.push_str(&format!("{}\n", scalar(text))),
        other => out.push_str(&format!("{other}\n")),
    }
}

fn child(value: &Value, indent: usize, out: &mut String) {
    let is_nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if !is_nested {
        out.push(' ');
    }
    write(value, indent + 2, out);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_text;

    #[test]
    fn values_are_written_as_people_write_them() {
        let value = json!({
            "name": "app", "empty": {}, "none": [], "yes": "yes", "number": "1", "count": 1, "on": true,
            "recipes": { "build[a.c]": { "run": "mkdir -p x\n\n  cc: # a\n", "tags": ["a", "b: c", "!x"] } },
            "odd": " x\ny", "tail": "a\nb", "more": "a\n\n", "nested": [["a"], {"b": "c"}],
        });
        let expected = "name: app\nempty: {}\nnone: []\n\"yes\": \"yes\"\nnumber: \"1\"\ncount: 1\n\"on\": true\n\
            recipes:\n  \"build[a.c]\":\n    run: |\n      mkdir -p x\n\n        cc: # a\n    tags:\n      - a\n      \
            - \"b: c\"\n      - \"!x\"\nodd: \" x\\ny\"\ntail: |-\n  a\n  b\nmore: |+\n  a\n\nnested:\n  -\n    - a\n  \
            -\n    b: c\n";
        assert_eq!(to_text(&value), expected);
    }
}
