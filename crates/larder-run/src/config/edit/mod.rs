//! Adds elements to a list of a configuration file, and leaves every other byte as it is.
//!
//! ```text
//! mod.rs    which list, and whether the result says what was meant     spots.rs   where values stand, in bytes
//! insert.rs where the new text goes                                    write.rs   how an element is written
//! ```
//! An edit is a few insertions into the text (one exception: an empty `[]` that becomes a block list). Elements are written like
//! those beside them: block or flow, quotes, indentation, line ends. What is missing on the way to the list is made.
//!
//! Invariant: the new text parses to the old tree with the elements added to that one list, and nothing else: shared anchors and
//! shapes that this module does not know give an [`EditError`], never a wrong file.

mod insert;
mod spots;
mod write;

#[cfg(test)]
mod tests;

use super::yaml::{self, Entry, Node, Value};

/// Why a list cannot be edited here. Then a person has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no YAML.
    #[error("the file cannot be read as YAML")]
    NotYaml,
    /// What stands there is no list, or what it stands in is no map: a template, say, or an alias.
    #[error("what stands there is no list written out")]
    NoList,
    /// The place is written in a way that is not known here.
    #[error("the place is written in a way that cannot be edited safely")]
    Shape,
    /// The edit would have changed something else, too: an anchor that is used elsewhere, say.
    #[error("the edit would change something else, too")]
    Elsewhere,
}

/// The text with `items` at the end of the list at `path` (keys from the top).
///
/// # Errors
/// See [`EditError`].
pub fn append(text: &str, path: &[&str], items: &[String]) -> Result<String, EditError> {
    let before = yaml::parse(text).map_err(|_| EditError::NotYaml)?;
    if items.is_empty() {
        return Ok(text.to_owned());
    }
    let root = spots::read(text).ok_or(EditError::NoList)?;
    let edits = insert::plan(text, &root, path, items)?;
    let after = splice(text, edits);
    let mut wanted = before;
    add(&mut wanted, path, items).ok_or(EditError::NoList)?;
    match yaml::parse(&after) {
        Ok(found) if is_same(&found, &wanted) => Ok(after),
        Ok(_) => Err(EditError::Elsewhere),
        Err(_) => Err(EditError::Shape),
    }
}

/// Puts `with` in place of the bytes from `start` to `end`.
#[derive(Debug)]
struct Splice {
    start: usize,
    end: usize,
    with: String,
}

impl Splice {
    fn insert(at: usize, with: impl Into<String>) -> Self {
        Self { start: at, end: at, with: with.into() }
    }
}

fn splice(text: &str, mut edits: Vec<Splice>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut out = String::with_capacity(text.len() + 256);
    let mut from = 0;
    for edit in edits {
        out.push_str(&text[from..edit.start]);
        out.push_str(&edit.with);
        from = edit.end;
    }
    out.push_str(&text[from..]);
    out
}

/// The same on the tree.
fn add(node: &mut Node, path: &[&str], items: &[String]) -> Option<()> {
    let Some((key, rest)) = path.split_first() else {
        let Value::List(list) = &mut node.value else { return None };
        list.extend(items.iter().map(|item| Node::bare(Value::Text(item.clone()))));
        return Some(());
    };
    let Value::Map(entries) = &mut node.value else { return None };
    if !entries.iter().any(|entry| entry.key == *key) {
        let value = if rest.is_empty() { Value::List(Vec::new()) } else { Value::Map(Vec::new()) };
        entries.push(Entry {
            key: (*key).to_owned(),
            key_span: yaml::Span::default(),
            value: Node::bare(value),
        });
    }
    let entry = entries.iter_mut().find(|entry| entry.key == *key)?;
    add(&mut entry.value, rest, items)
}

/// Equal but for places; new keys may stand anywhere.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Map(_), Value::Map(_)) => {
            let (one, other) = (one.entries(), other.entries());
            let found = |key: &str| other.iter().find(|entry| entry.key == key);
            one.len() == other.len()
                && one
                    .iter()
                    .all(|entry| found(&entry.key).is_some_and(|there| is_same(&entry.value, &there.value)))
        }
        (one, other) => one == other,
    }
}
