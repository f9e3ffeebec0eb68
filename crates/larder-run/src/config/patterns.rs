//! Input and output patterns: made relative to the cookbook, kept inside the project.

use std::path::Path;

use crate::recipe::ROOT_PLACEHOLDER;

/// Why a pattern cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It leaves the project.
    Outside,
    /// It is absolute.
    Absolute,
    /// It is empty, or not a glob.
    Bad,
}

impl PatternError {
    /// In words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Outside => "is outside the project",
            Self::Absolute => "is an absolute path outside the project",
            Self::Bad => "is not a pattern",
        }
    }
}

/// The pattern relative to the cookbook's folder, `.` and inner `..` resolved; a leading `!` is kept. Absolute patterns
/// under the project's root (its placeholder, or the real one) become relative.
///
/// # Errors
/// See [`PatternError`].
pub fn normalize(pattern: &str, folder: &Path, root: &Path) -> Result<String, PatternError> {
    let (mark, plain) = match pattern.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", pattern.trim()),
    };
    let segments = project_segments(plain, folder, root)?;
    let base = folder_segments(folder);
    let shared = base.iter().zip(&segments).take_while(|(a, b)| a == b).count();
    let mut parts: Vec<&str> = vec![".."; base.len() - shared];
    parts.extend(segments[shared..].iter().map(String::as_str));
    let relative = if parts.is_empty() { ".".to_owned() } else { parts.join("/") };
    if globset::Glob::new(&relative).is_err()
        || relative.contains(ROOT_PLACEHOLDER)
        || relative.contains('\0')
    {
        return Err(PatternError::Bad);
    }
    Ok(format!("{mark}{relative}"))
}

/// The pattern's segments from the project's root.
///
/// # Errors
/// See [`PatternError`].
pub fn project_segments(pattern: &str, folder: &Path, root: &Path) -> Result<Vec<String>, PatternError> {
    if pattern.is_empty() {
        return Err(PatternError::Bad);
    }
    let real_root = root.to_string_lossy();
    let below = |prefix: &str| {
        let rest = pattern.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
    };
    let from_root = below(ROOT_PLACEHOLDER).or_else(|| below(real_root.trim_end_matches('/')));
    let (mut segments, rest) = match &from_root {
        Some(rest) => (Vec::new(), rest.as_str()),
        None if pattern.starts_with('/') => return Err(PatternError::Absolute),
        None => (folder_segments(folder), pattern),
    };
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => match segments.pop() {
                // What `..` after a wildcard means depends on the disk.
                Some(last) if is_wild(&last) => return Err(PatternError::Bad),
                Some(_) => {}
                None => return Err(PatternError::Outside),
            },
            name => segments.push(name.to_owned()),
        }
    }
    Ok(segments)
}

fn folder_segments(folder: &Path) -> Vec<String> {
    folder.iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// The pattern with `[` and `]` as ordinary characters (`pages/[id].tsx`): patterns have no character classes.
#[must_use]
pub fn escape_brackets(pattern: &str) -> String {
    escape(pattern, |c, _| matches!(c, '[' | ']'))
}

/// A value that stands in a pattern as itself, whatever characters it holds.
#[must_use]
pub fn escape_value(value: &str) -> String {
    let escaped: String =
        value.chars().flat_map(|c| (c == '\\').then_some('\\').into_iter().chain([c])).collect();
    escape(&escaped, |c, at| matches!(c, '*' | '?' | '[' | ']' | '{' | '}') || (c == '!' && at == 0))
}

/// Puts a backslash before what is `special`, unless there is one.
fn escape(text: &str, special: impl Fn(char, usize) -> bool) -> String {
    let (mut out, mut after_backslash) = (String::with_capacity(text.len()), false);
    for (at, c) in text.char_indices() {
        if special(c, at) && !after_backslash {
            out.push('\\');
        }
        after_backslash = c == '\\' && !after_backslash;
        out.push(c);
    }
    out
}

/// Whether a segment is more than a literal name.
#[must_use]
pub fn is_wild(segment: &str) -> bool {
    segment.contains(['*', '?', '[', '{', '\\'])
}
