//! Which names a template uses: found in its text, without rendering, so that an undefined one is found in
//! branches that are not taken too, and has a place.

use serde_json::Value;

const ROOTS: [&str; 7] = ["var", "env", "project", "cookbook", "recipe", "params", "matrix"];

/// A name used in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The dotted name, as written.
    pub path: String,
    /// Byte offset in the text.
    pub offset: usize,
    /// It is the whole expression (`{{var.x}}`): if undefined it renders empty.
    pub is_bare: bool,
}

/// The names below `var`, `env`, `project`, `cookbook`, `params` and `matrix` in `text`.
#[must_use]
pub fn references(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((start, end)) = next_tag(text, from) {
        from = end;
        let body = &text[start..end];
        let trimmed = body.trim_matches(['{', '~', '&', ' ', '\n', '\t', '\r']);
        let mut quote = None;
        let mut word: Option<usize> = None;
        for (at, c) in body.char_indices().chain([(body.len(), ' ')]) {
            match quote {
                Some(q) if c == q => quote = None,
                Some(_) => {}
                None if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '/' | '[' | ']' | '$') => {
                    word.get_or_insert(at);
                }
                None => {
                    if let Some(begin) = word.take() {
                        let path = &body[begin..at];
                        // `name=` is a named argument, not a use.
                        if c != '=' && is_rooted(path) {
                            found.push(Reference {
                                path: path.to_owned(),
                                offset: start + begin,
                                is_bare: trimmed == path,
                            });
                        }
                    }
                    if c == '"' || c == '\'' {
                        quote = Some(c);
                    }
                }
            }
        }
    }
    found
}

fn is_rooted(path: &str) -> bool {
    path.split_once('.').is_some_and(|(root, rest)| ROOTS.contains(&root) && !rest.is_empty())
}

/// The uses that `data` does not define, with the nearest defined name.
#[must_use]
pub fn undefined(text: &str, data: &Value) -> Vec<(Reference, Option<String>)> {
    let mut found = Vec::new();
    if !text.contains("{{") {
        return found;
    }
    for reference in references(text) {
        if reference.path.contains(['[', '/', '@', '$']) {
            continue;
        }
        let mut value = data;
        let mut walked = String::new();
        for segment in reference.path.split('.') {
            if segment == "length" && value.is_array() {
                break;
            }
            let next = match value {
                Value::Array(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
                other => other.get(segment),
            };
            if let Some(next) = next {
                value = next;
                walked = if walked.is_empty() { segment.to_owned() } else { format!("{walked}.{segment}") };
                continue;
            }
            let near = value
                .as_object()
                .and_then(|map| crate::diagnostic::nearest(segment, map.keys().map(String::as_str)));
            let near =
                near.map(|name| if walked.is_empty() { name.to_owned() } else { format!("{walked}.{name}") });
            found.push((reference.clone(), near));
            break;
        }
    }
    found
}

/// The next `{{…}}` after `from`: start and end of what is inside. Comments and escaped tags are passed over.
fn next_tag(text: &str, mut from: usize) -> Option<(usize, usize)> {
    loop {
        let open = from + text.get(from..)?.find("{{")?;
        let start = open + 2;
        if text[start..].starts_with("!--") {
            from = start + text[start..].find("--}}")? + 4;
            continue;
        }
        let end = start + text[start..].find("}}")?;
        if text[..open].ends_with('\\') || text[start..].starts_with('!') {
            from = end + 2;
            continue;
        }
        return Some((start, end));
    }
}

/// The expression, if the text is exactly one `{{expression}}`.
pub(super) fn sole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = match inner.strip_prefix('{') {
        Some(triple) => triple.strip_suffix('}')?,
        None => inner,
    };
    if inner.contains("{{")
        || inner.contains("}}")
        || inner.starts_with(['#', '/', '!', '>', '^', '&', '~', '{', '('])
    {
        return None;
    }
    let inner = inner.trim_end_matches('~').trim();
    (!inner.is_empty() && inner != "else").then_some(inner)
}
