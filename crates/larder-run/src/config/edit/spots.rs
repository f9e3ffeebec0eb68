//! Where the values of a YAML text stand, in bytes: [`Spot`]. Only for text that [`yaml::parse`](super::super::yaml::parse) took.

use saphyr_parser::{Event, Parser, Span};

/// A value and the bytes that it takes: a scalar without what follows it, a list or map from its first byte (with its
/// anchor and tag) to its end.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// What stands there.
#[derive(Debug)]
pub(super) enum Kind {
    Scalar,
    Alias,
    List { flow: Option<Brackets>, items: Vec<Spot> },
    Map { flow: Option<Brackets>, entries: Vec<Entry> },
}

/// Of a flow list or map: just behind the opening bracket, and the closing one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brackets {
    pub(super) inside: usize,
    pub(super) close: usize,
}

/// An entry of a map.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Spot,
    pub(super) value: Spot,
}

impl Spot {
    /// The entries, if this is a map.
    pub(super) fn entries(&self) -> &[Entry] {
        if let Kind::Map { entries, .. } = &self.kind { entries } else { &[] }
    }

    /// The entry's value.
    pub(super) fn get(&self, key: &str) -> Option<&Spot> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
}

struct Open {
    start: usize,
    inside: usize,
    is_map: bool,
    spots: Vec<(Spot, Option<String>)>,
}

/// The text's value; `None` if there is none, or the text is no YAML.
pub(super) fn read(text: &str) -> Option<Spot> {
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let bytes = |span: Span| {
        let at = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
        (at(span.start.index()), at(span.end.index()))
    };
    let (mut open, mut root): (Vec<Open>, Option<Spot>) = (Vec::new(), None);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.ok()?;
        let (start, end) = bytes(span);
        let (spot, key) = match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let is_map = matches!(event, Event::MappingStart(..));
                let inside = start + text[start..end].trim_end().len();
                open.push(Open { start, inside, is_map, spots: Vec::new() });
                continue;
            }
            Event::Scalar(name, ..) => (
                Spot { start, end: scalar_end(text, start, end), kind: Kind::Scalar },
                Some(name.into_owned()),
            ),
            Event::Alias(_) => (Spot { start, end, kind: Kind::Alias }, None),
            Event::SequenceEnd | Event::MappingEnd => (close(open.pop()?, start, end)?, None),
            _ => continue,
        };
        match open.last_mut() {
            Some(above) => above.spots.push((spot, key)),
            None => root = Some(spot),
        }
    }
    root
}

/// A list or map that ends with what stands at `start..end`: a bracket, or nothing.
fn close(open: Open, start: usize, end: usize) -> Option<Spot> {
    let flow = (end > start).then_some(Brackets { inside: open.inside, close: start });
    let inner = open.spots.last().map_or(open.inside, |(spot, _)| spot.end);
    let kind = if open.is_map {
        let (mut entries, mut spots) = (Vec::new(), open.spots.into_iter());
        while let Some((at, key)) = spots.next() {
            entries.push(Entry { key: key?, at, value: spots.next()?.0 });
        }
        Kind::Map { flow, entries }
    } else {
        Kind::List { flow, items: open.spots.into_iter().map(|(spot, _)| spot).collect() }
    };
    Some(Spot { start: open.start, end: if flow.is_some() { start + 1 } else { inner }, kind })
}

/// Where a scalar ends. The parser's end may stand behind spaces and comments that follow.
fn scalar_end(text: &str, start: usize, end: usize) -> usize {
    let here = &text[start..end];
    let (Some(quote @ ('\'' | '"')), mut escaped) = (here.chars().next(), false) else {
        return start + here.trim_end().len();
    };
    for (at, c) in here.char_indices().skip(1) {
        if c == quote && !escaped {
            // A doubled quote stands for one.
            let is_doubled = quote == '\'' && here[at + 1..].starts_with(quote);
            if !is_doubled {
                return start + at + 1;
            }
        }
        escaped = !escaped && (c == '\\' && quote == '"' || c == quote);
    }
    end
}
