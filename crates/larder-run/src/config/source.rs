//! A configuration file's text, for messages that show its lines.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::yaml::Span;
use crate::diagnostic::Diagnostic;
use crate::recipe::Place;

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Relative to the project's root.
    pub file: PathBuf,
    /// The text that was parsed (in bake mode: after rendering).
    pub text: String,
    /// The text of the file, where it differs from `text`.
    pub original: Option<String>,
}

impl Source {
    /// A place in this file. In bake mode, the line of the file that looks like the rendered one.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let line = self.original_line(span.line.max(1));
        Place { file: self.file.clone(), line, column: span.column.max(1) }
    }

    /// The diagnostic, at a place in this file.
    #[must_use]
    pub fn locate(&self, diagnostic: Diagnostic, span: Span) -> Diagnostic {
        if span.line == 0 {
            let place = Place { file: self.file.clone(), line: 1, column: 1 };
            return diagnostic.at(place, None, 1);
        }
        let mut place = self.place(span);
        let text = self.original.as_ref().unwrap_or(&self.text);
        let line = text.lines().nth(place.line as usize - 1).or_else(|| {
            // Something is missing at the end of the file: behind its last line.
            let (line, number) = text.lines().zip(1..).last()?;
            let width = u32::try_from(line.chars().count()).unwrap_or(u32::MAX);
            (place.line, place.column) = (number, width.saturating_add(1));
            Some(line)
        });
        diagnostic.at(place, line.map(str::to_owned), span.width)
    }

    /// The diagnostic, at a byte offset of the file's own text.
    #[must_use]
    pub fn locate_offset(&self, diagnostic: Diagnostic, offset: usize, width: usize) -> Diagnostic {
        let text = self.original.as_ref().unwrap_or(&self.text);
        let before = text.get(..offset).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let place = Place {
            file: self.file.clone(),
            line: number(before.matches('\n').count() + 1),
            column: number(before[start..].chars().count() + 1),
        };
        let line = text[start..].lines().next().map(str::to_owned);
        diagnostic.at(place, line, number(width))
    }

    /// The place of `needle`, at or after a node.
    #[must_use]
    pub fn find(&self, needle: &str, from: Span) -> Option<usize> {
        let text = self.original.as_ref().unwrap_or(&self.text);
        let line = self.original_line(from.line.max(1)) as usize;
        let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        text.get(start..)?.find(needle).map(|at| start + at)
    }

    /// The span of a line's text, from 1; without a line, of nothing.
    #[must_use]
    pub fn line_span(text: &str, line: Option<usize>) -> Span {
        let Some((number, content)) =
            line.and_then(|line| Some((line, text.lines().nth(line.checked_sub(1)?)?)))
        else {
            return Span::default();
        };
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let content = content.trim_end();
        let trimmed = content.trim_start();
        Span {
            line: u32::try_from(number).unwrap_or(u32::MAX),
            column: count(content) - count(trimmed) + 1,
            width: count(trimmed),
        }
    }

    fn original_line(&self, line: u32) -> u32 {
        let Some(original) = &self.original else { return line };
        let Some(wanted) = self.text.lines().nth(line as usize - 1).map(str::trim) else { return line };
        let near = original
            .lines()
            .zip(1u32..)
            .filter(|(text, _)| text.trim() == wanted)
            .min_by_key(|(_, number)| number.abs_diff(line));
        let last = u32::try_from(original.lines().count()).unwrap_or(u32::MAX).max(1);
        near.map_or(line.min(last), |(_, number)| number)
    }
}
