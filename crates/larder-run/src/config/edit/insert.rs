//! Where new text goes.

use super::spots::{Brackets, Entry, Kind, Spot};
use super::write::{Quotes, WIDTH, element};
use super::{EditError, Splice};

/// A list that is not there yet goes before the first of these keys that is, else behind all.
fn comes_before(key: &str) -> &'static [&'static str] {
    match key {
        "inputs" => &["outputs"],
        "cache" => &["run"],
        "tools" => &["cache", "run"],
        _ => &[],
    }
}

/// The splices that put `items` at the end of the list at `path`.
pub(super) fn plan(
    text: &str,
    root: &Spot,
    path: &[&str],
    items: &[String],
) -> Result<Vec<Splice>, EditError> {
    let mut at = root;
    let mut above: Vec<&Spot> = Vec::new();
    for (depth, key) in path.iter().enumerate() {
        if !matches!(at.kind, Kind::Map { .. }) {
            return Err(EditError::NoList);
        }
        above.push(at);
        match at.get(key) {
            Some(value) => at = value,
            None => return New { text, above: &above, keys: &path[depth..], items }.plan(at),
        }
    }
    let Kind::List { flow, items: there } = &at.kind else { return Err(EditError::NoList) };
    let list = Existing { text, list: at, there, above: &above, items };
    match flow {
        Some(brackets) => list.flow(*brackets),
        None => list.block(),
    }
}

/// How the line at an offset ends in this text.
fn line_end(text: &str, at: usize) -> &'static str {
    let here = text[at..].find('\n').map(|found| at + found).or_else(|| text.rfind('\n'));
    if here.is_some_and(|end| text[..end].ends_with('\r')) { "\r\n" } else { "\n" }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |found| found + 1)
}

/// Where the line's text ends, before its line end.
fn line_stop(text: &str, at: usize) -> usize {
    let stop = text[at..].find('\n').map_or(text.len(), |found| at + found);
    if text[..stop].ends_with('\r') && stop < text.len() { stop - 1 } else { stop }
}

/// What stands before `at` in its line.
fn lead(text: &str, at: usize) -> &str {
    &text[line_start(text, at)..at]
}

/// Whether there is nothing in the rest of the line but a comment.
fn is_last(text: &str, at: usize) -> bool {
    let rest = text[at..line_stop(text, at)].trim_start();
    rest.is_empty() || rest.starts_with('#')
}

/// The spaces that a line begins with, if there is nothing but them before `at`.
fn indent(text: &str, at: usize) -> Option<&str> {
    let lead = lead(text, at);
    lead.bytes().all(|byte| byte == b' ').then_some(lead)
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Lists below a map, and those one level further down: what new lists look like.
fn lists(map: &Spot) -> Vec<&Spot> {
    let is_list = |spot: &&Spot| matches!(spot.kind, Kind::List { .. });
    let own = map.entries().iter().map(|entry| &entry.value);
    let below = own.clone().flat_map(|value| value.entries().iter().map(|entry| &entry.value));
    own.chain(below).filter(is_list).collect()
}

/// A list that is there.
struct Existing<'t> {
    text: &'t str,
    list: &'t Spot,
    there: &'t [Spot],
    above: &'t [&'t Spot],
    items: &'t [String],
}

impl Existing<'_> {
    fn elements(&self) -> Vec<String> {
        let near = self.above.iter().rev().flat_map(|map| lists(map));
        let quotes = Quotes::like(self.text, std::iter::once(self.list).chain(near));
        self.items.iter().map(|item| element(item, quotes)).collect()
    }

    /// New lines behind the last element's.
    fn block(&self) -> Result<Vec<Splice>, EditError> {
        let last = self.there.last().ok_or(EditError::Shape)?;
        let before = lead(self.text, last.start);
        let indent = &before[..before.len() - before.trim_start_matches(' ').len()];
        if !before[indent.len()..].starts_with('-') || !is_last(self.text, last.end) {
            return Err(EditError::Shape);
        }
        let end = line_end(self.text, last.end);
        let lines = self.elements().iter().map(|item| format!("{end}{indent}- {item}")).collect::<String>();
        Ok(vec![Splice::insert(line_stop(self.text, last.end), lines)])
    }

    fn flow(&self, brackets: Brackets) -> Result<Vec<Splice>, EditError> {
        let Some(last) = self.there.last() else { return self.empty(brackets) };
        let behind = self.text[last.end..brackets.close].trim_start();
        // A comma, or the closing bracket, perhaps behind comments.
        let has_comma = behind.starts_with(',');
        if !has_comma && !behind.is_empty() && !behind.starts_with('#') {
            return Err(EditError::Shape);
        }
        let own_line = indent(self.text, last.start).filter(|_| {
            line_stop(self.text, last.end) < brackets.close && is_last_of_flow(self.text, last.end)
        });
        let Some(indent) = own_line else {
            return if behind.contains('#') {
                Err(EditError::Shape)
            } else {
                Ok(self.wrapped(last, brackets))
            };
        };
        // One element a line.
        let end = line_end(self.text, last.end);
        let comma = if has_comma { "," } else { "" };
        let mut lines = String::new();
        for (at, item) in self.elements().iter().enumerate() {
            let comma = if at + 1 < self.items.len() { "," } else { comma };
            lines.push_str(&format!("{end}{indent}{item}{comma}"));
        }
        let mut edits = vec![Splice::insert(line_stop(self.text, last.end), lines)];
        if !has_comma {
            edits.insert(0, Splice::insert(last.end, ","));
        }
        Ok(edits)
    }

    /// In the last element's line, and in new ones when it is full.
    fn wrapped(&self, last: &Spot, brackets: Brackets) -> Vec<Splice> {
        let column = columns(lead(self.text, last.end));
        vec![Splice::insert(last.end, self.lines_from(column, brackets, false))]
    }

    /// The elements from a column on, as many in a line as there is room for.
    fn lines_from(&self, mut column: usize, brackets: Brackets, mut is_first: bool) -> String {
        let end = line_end(self.text, brackets.inside);
        let hang = columns(lead(self.text, brackets.inside));
        let mut out = String::new();
        for item in self.elements() {
            let width = columns(&item) + 2;
            if is_first {
                out.push_str(&item);
            } else if column + width >= WIDTH && column > hang {
                out.push_str(&format!(",{end}{}{item}", " ".repeat(hang)));
                column = hang;
            } else {
                out.push_str(&format!(", {item}"));
            }
            column += width;
            is_first = false;
        }
        out
    }

    /// `[]`: filled, or, where that is too long for a line, made a block list.
    fn empty(&self, brackets: Brackets) -> Result<Vec<Splice>, EditError> {
        if !self.text[brackets.inside..brackets.close].trim().is_empty() {
            return Err(EditError::Shape);
        }
        let elements = self.elements();
        let line = elements.join(", ");
        let start = self.list.start;
        let stands_alone = self.text[start..].starts_with('[') && is_last(self.text, self.list.end);
        let key =
            self.above.last().and_then(|map| map.entries().iter().find(|entry| entry.value.start == start));
        let key_indent = key.and_then(|entry| indent(self.text, entry.at.start));
        let is_long = columns(lead(self.text, brackets.inside)) + columns(&line) + 1 > WIDTH;
        let (true, true, Some(indent)) = (is_long, stands_alone, key_indent) else {
            let column = columns(lead(self.text, brackets.inside));
            let with = self.lines_from(column, brackets, true);
            let inside = Splice { start: brackets.inside, end: brackets.close, with };
            return Ok(vec![inside]);
        };
        let end = line_end(self.text, start);
        let lines = elements.iter().map(|item| format!("{end}{indent}  - {item}")).collect::<String>();
        let stop = line_stop(self.text, self.list.end);
        let bare = if stop == self.list.end { self.text[..start].trim_end_matches(' ').len() } else { start };
        let gone = self.list.end + usize::from(self.text[self.list.end..stop].starts_with(' '));
        let gone = if stop == self.list.end { self.list.end } else { gone };
        Ok(vec![Splice { start: bare, end: gone, with: String::new() }, Splice::insert(stop, lines)])
    }
}

/// Whether there is nothing in the rest of the line but a comma and a comment.
fn is_last_of_flow(text: &str, at: usize) -> bool {
    let rest = text[at..line_stop(text, at)].trim_start();
    let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    rest.is_empty() || rest.starts_with('#')
}

/// A list that has to be made, with the maps that lead to it.
struct New<'t> {
    text: &'t str,
    /// The maps from the top to the one that it goes into.
    above: &'t [&'t Spot],
    /// From the first key that is missing.
    keys: &'t [&'t str],
    items: &'t [String],
}

impl New<'_> {
    fn plan(&self, map: &Spot) -> Result<Vec<Splice>, EditError> {
        let Kind::Map { flow, entries } = &map.kind else { return Err(EditError::NoList) };
        let before = comes_before(self.keys[0]);
        let anchor = before.iter().find_map(|key| entries.iter().find(|entry| entry.key == *key));
        match flow {
            Some(brackets) => Ok(vec![self.in_flow(*brackets, entries, anchor)]),
            None => Ok(vec![self.in_block(map, entries, anchor)?]),
        }
    }

    fn model(&self) -> Vec<&Spot> {
        self.above.iter().rev().flat_map(|map| lists(map)).collect()
    }

    /// `key: {key: [a, b]}`.
    fn one_line(&self) -> String {
        let quotes = Quotes::like(self.text, self.model());
        let items: Vec<String> = self.items.iter().map(|item| element(item, quotes)).collect();
        let mut out = format!("[{}]", items.join(", "));
        for (at, key) in self.keys.iter().enumerate().rev() {
            out = if at == 0 { format!("{key}: {out}") } else { format!("{{{key}: {out}}}") };
        }
        out
    }

    fn in_flow(&self, brackets: Brackets, entries: &[Entry], anchor: Option<&Entry>) -> Splice {
        let new = self.one_line();
        match (anchor, entries.last()) {
            (Some(anchor), _) => Splice::insert(anchor.at.start, format!("{new}, ")),
            (None, Some(last)) => Splice::insert(last.value.end.max(last.at.end), format!(", {new}")),
            (None, None) => Splice::insert(brackets.inside, new),
        }
    }

    fn in_block(&self, map: &Spot, entries: &[Entry], anchor: Option<&Entry>) -> Result<Splice, EditError> {
        let first = entries.first().ok_or(EditError::Shape)?;
        let indent = indent(self.text, first.at.start).ok_or(EditError::Shape)?;
        let end = line_end(self.text, map.start);
        let lines = self.lines(indent);
        if let Some(anchor) = anchor {
            let at = above_comments(self.text, anchor.at.start, indent);
            let text = lines.iter().map(|line| format!("{indent}{line}{end}")).collect::<String>();
            return Ok(Splice::insert(at, text));
        }
        let last = entries.last().map_or(map.end, |entry| entry.value.end.max(entry.at.end));
        let mut last = last;
        if !is_last(self.text, last) {
            // Of an empty value only the key's end is known.
            last += self.text[last..]
                .find(':')
                .filter(|_| entries.last().is_some_and(is_void))
                .map_or(0, |at| at + 1);
        }
        if !is_last(self.text, last) {
            return Err(EditError::Shape);
        }
        let text = lines.iter().map(|line| format!("{end}{indent}{line}")).collect::<String>();
        Ok(Splice::insert(line_stop(self.text, last), text))
    }

    /// As lines, without the indentation that all have: `[a, b]` if lists here look so, and there is room.
    fn lines(&self, indent: &str) -> Vec<String> {
        let model = self.model();
        let is_flow = |spot: &&&Spot| matches!(spot.kind, Kind::List { flow: Some(_), .. });
        let (last, maps) = self.keys.split_last().unwrap_or((&"", &[]));
        let mut lines: Vec<String> =
            maps.iter().enumerate().map(|(depth, key)| format!("{}{key}:", "  ".repeat(depth))).collect();
        let deeper = "  ".repeat(maps.len());
        let flow = New { keys: &self.keys[maps.len()..], ..*self }.one_line();
        let prefers_flow = model.first().is_none_or(|spot| is_flow(&spot));
        if prefers_flow && indent.len() + deeper.len() + columns(&flow) <= WIDTH {
            lines.push(format!("{deeper}{flow}"));
            return lines;
        }
        let quotes = Quotes::like(self.text, model);
        lines.push(format!("{deeper}{last}:"));
        lines.extend(self.items.iter().map(|item| format!("{deeper}  - {}", element(item, quotes))));
        lines
    }
}

fn is_void(entry: &Entry) -> bool {
    matches!(entry.value.kind, Kind::Scalar) && entry.value.start == entry.value.end
}

/// The start of the key's line, or of the first of the comments directly above it.
fn above_comments(text: &str, key: usize, indent: &str) -> usize {
    let mut at = line_start(text, key);
    while at > 0 {
        let above = line_start(text, at - 1);
        let line = &text[above..at];
        if !line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('#')) {
            break;
        }
        at = above;
    }
    at
}
