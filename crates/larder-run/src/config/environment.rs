//! Declared environment: names in `environment:`, and what `env_file:` defines.
//!
//! A name's value is the caller's; if the caller has none, the one of the last `env_file` that defines it. (So that `CI=1
//! larder run` wins over a file, as with docker compose.) What an `env_file` defines is declared by that. Larder's own
//! names (`LARDER_*`, `BAKE_*`) never have a value.

use std::collections::BTreeMap;

/// Values of declared names; an unset one is `None`.
pub type Declared = BTreeMap<String, Option<String>>;

/// Whether a name is Larder's own, and so never given to a recipe.
#[must_use]
pub fn is_own(name: &str) -> bool {
    name.starts_with("LARDER_") || name.starts_with("BAKE_")
}

/// Adds declared names with the caller's values; keeps what an `env_file` gave to unset ones.
pub fn declare(declared: &mut Declared, names: &[String], process: &BTreeMap<String, String>) {
    for name in names {
        let value = if is_own(name) { None } else { process.get(name).cloned() };
        let slot = declared.entry(name.clone()).or_insert(None);
        if value.is_some() {
            *slot = value;
        }
    }
}

/// Adds what an `env_file` defines; the caller's values win.
pub fn declare_file(
    declared: &mut Declared,
    file: Vec<(String, String)>,
    process: &BTreeMap<String, String>,
) {
    for (name, value) in file {
        if !is_own(&name) {
            let value = process.get(&name).cloned().unwrap_or(value);
            declared.insert(name, Some(value));
        }
    }
}

/// Reads a dotenv file: `NAME=value`, `export NAME=value`, comments, single quotes (literal), double quotes (with `\n`,
/// `\"`, …), `$NAME` and `${NAME}` from earlier lines or the caller (not in single quotes).
///
/// # Errors
/// The number (from 1) of the first line that is none of these.
pub fn parse_dotenv(text: &str, process: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, usize> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(number)?;
        let name = name.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(number);
        }
        let look_up = |wanted: &str| {
            let earlier = found.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
            process.get(wanted).cloned().or(earlier).unwrap_or_default()
        };
        let value = dotenv_value(value.trim(), &look_up).ok_or(number)?;
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

fn dotenv_value(text: &str, look_up: &dyn Fn(&str) -> String) -> Option<String> {
    let is_rest_blank = |rest: &str| rest.trim().is_empty() || rest.trim_start().starts_with('#');
    if let Some(quoted) = text.strip_prefix('\'') {
        let (value, rest) = quoted.split_once('\'')?;
        return is_rest_blank(rest).then(|| value.to_owned());
    }
    let quoted = text.strip_prefix('"');
    let mut characters = quoted.unwrap_or(text).chars().peekable();
    let mut value = String::new();
    let mut previous = ' ';
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted.is_some() => {
                return is_rest_blank(&characters.collect::<String>()).then_some(value);
            }
            '\\' => match characters.next() {
                Some('n') if quoted.is_some() => value.push('\n'),
                Some('t') if quoted.is_some() => value.push('\t'),
                Some('r') if quoted.is_some() => value.push('\r'),
                Some(other) => value.push(other),
                None => value.push('\\'),
            },
            '#' if quoted.is_none() && previous.is_whitespace() => break,
            '$' => {
                let braced = characters.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(c) = characters.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if braced {
                    characters.next_if_eq(&'}')?;
                }
                if name.is_empty() { value.push('$') } else { value.push_str(&look_up(&name)) }
            }
            other => value.push(other),
        }
        previous = c;
    }
    // A double quote that is never closed is no value.
    if quoted.is_some() { None } else { Some(value.trim_end().to_owned()) }
}
