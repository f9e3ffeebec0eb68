//! What is said about a configuration: severity, message, place, the line itself, a label under it and a hint.
//!
//! A `Diagnostic` is data; its `Display` is the one way it is shown to people (readable without colour). It holds
//! the text of the source line, so that showing it needs no file.

use std::fmt;

use crate::recipe::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration can be used, but something in it is probably not meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// One finding, with everything needed to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A lower-case fragment, values in backticks.
    pub message: String,
    /// Where it stands, if it stands somewhere.
    pub place: Option<Place>,
    /// The text of that line.
    pub source_line: Option<String>,
    /// How many characters are underlined; at least 1 is drawn.
    pub width: u32,
    /// What is said beside the underline; may be empty.
    pub label: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            source_line: None,
            width: 0,
            label: String::new(),
            hint: None,
        }
    }

    /// A warning without a place.
    #[must_use]
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a label beside the underline.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same at a place, with the text of its line and the number of characters to underline.
    #[must_use]
    pub fn at(mut self, place: Place, source_line: Option<String>, width: u32) -> Self {
        self.place = Some(place);
        self.source_line = source_line;
        self.width = width;
        self
    }

    /// Whether this is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: {}", printable(&self.message))?;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            write!(
                f,
                "\n{margin} ┌ {}:{}:{}",
                printable(&place.file.to_string_lossy()),
                place.line,
                place.column
            )?;
            if let Some(line) = &self.source_line {
                let (shown, skipped, underline) = self.excerpt(line, place.column);
                write!(f, "\n{number} │ {shown}\n{margin} │ {skipped}{underline}")?;
                if !self.label.is_empty() {
                    write!(f, " {}", printable(&self.label))?;
                }
            } else if !self.label.is_empty() {
                write!(f, "\n{margin} │ {}", printable(&self.label))?;
            }
        } else if !self.label.is_empty() {
            write!(f, " ({})", printable(&self.label))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", printable(hint))?;
        }
        Ok(())
    }
}

impl Diagnostic {
    /// The line cut to a readable length, the space before the underline, and the underline.
    fn excerpt(&self, line: &str, column: u32) -> (String, String, String) {
        const LONGEST: usize = 160;
        let characters: Vec<char> = printable(line).chars().collect();
        let start = (column.max(1) as usize - 1).min(characters.len());
        let first = start.saturating_sub(LONGEST / 2);
        let first = if characters.len() <= LONGEST { 0 } else { first };
        let shown: String = characters.iter().skip(first).take(LONGEST).collect();
        let room = characters.len().saturating_sub(start).max(1);
        let width = (self.width.max(1) as usize).min(room).min(LONGEST);
        (shown, " ".repeat(start - first), "^".repeat(width))
    }
}

/// Control characters (save line ends) as spaces, so that a hostile file cannot drive the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// The name nearest to `wanted`, if one is near enough to be a likely misspelling.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).max(1) + 1;
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, name)| *distance <= limit && *distance < name.chars().count().max(2))
        .min_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)))
        .map(|(_, name)| name)
}
