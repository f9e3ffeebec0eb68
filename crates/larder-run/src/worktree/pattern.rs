//! Patterns, compiled to path components, and the walk's view of them: which states are alive in a folder.
//!
//! Syntax: `*` and `?` (one character, or one byte that is not UTF-8) within a name, `[a-z]` and `[!a-z]`, `**` as a
//! whole component for any number of folders, `{a,b}` (expanded first, nested too), `\` before a character that is
//! meant literally. Wildcards match names that begin with a dot. `../` in front is resolved against the folder.
//! A trailing `/` names a folder with everything below it.
//!
//! Matching is by bytes, component by component, so that folders which cannot match are never read.

use std::path::Path;

use super::error::{InputError, PatternProblem};

const MOST_ALTERNATIVES: usize = 1_024;
const LONGEST: usize = 16 * 1_024;

/// One component of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Exactly this name.
    Name(Vec<u8>),
    /// A name with wildcards.
    Wild(Vec<Token>),
    /// `**`.
    Any,
}

/// A piece of a name with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This byte.
    Byte(u8),
    /// `?`.
    One,
    /// `*`.
    Many,
    /// `[…]`.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// One pattern without braces, from the project's root.
pub(super) type Pattern = Vec<Part>;

/// A place in a pattern: the folder at hand is reached by the parts before `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pattern: u32,
    at: u32,
}

/// How a name was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Via {
    /// By a wildcard: ignore files have a say.
    Wildcard,
    /// By a literal component: it counts.
    Name,
}

/// A list of patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns {
    list: Vec<Pattern>,
}

impl Patterns {
    /// Adds `text`, relative to `folder` (itself relative to the root).
    pub(super) fn add(&mut self, folder: &Path, text: &str) -> Result<(), InputError> {
        let fail = |reason| InputError::Pattern { pattern: text.chars().take(200).collect(), reason };
        if text.is_empty() {
            return Err(fail(PatternProblem::Empty));
        }
        if text.len() > LONGEST {
            return Err(fail(PatternProblem::TooLarge));
        }
        let mut expanded = Vec::new();
        expand(text, &mut expanded).map_err(fail)?;
        for one in expanded {
            self.list.push(parse(folder, &one).map_err(fail)?);
        }
        Ok(())
    }

    /// Adds a literal path from the root.
    pub(super) fn add_path(&mut self, path: &Path) {
        use std::os::unix::ffi::OsStrExt;
        let parts = path.components().filter_map(|c| match c {
            std::path::Component::Normal(name) => Some(Part::Name(name.as_bytes().to_vec())),
            _ => None,
        });
        self.list.push(parts.collect());
    }

    /// Whether any pattern has a wildcard.
    pub(super) fn any_wild(&self) -> bool {
        self.list.iter().flatten().any(|part| !matches!(part, Part::Name(_)))
    }

    /// The places alive in the root folder; `true` if a pattern names the root itself.
    pub(super) fn start(&self) -> (Vec<Place>, bool) {
        let mut places = Vec::new();
        let mut root = false;
        for (pattern, parts) in (0..).zip(&self.list) {
            root |= parts.is_empty();
            self.push(&mut places, Place { pattern, at: 0 });
        }
        (places, root)
    }

    fn part(&self, place: Place) -> Option<&Part> {
        self.list[place.pattern as usize].get(place.at as usize)
    }

    fn push(&self, places: &mut Vec<Place>, place: Place) {
        if self.part(place).is_none() || places.contains(&place) {
            return;
        }
        places.push(place);
        if self.part(place) == Some(&Part::Any) {
            self.push(places, Place { at: place.at + 1, ..place });
        }
    }

    /// Whether the folder must be listed to go on from `places`.
    pub(super) fn must_list(&self, places: &[Place]) -> bool {
        places.iter().any(|&p| !matches!(self.part(p), Some(Part::Name(_)) | None))
    }

    /// The literal names that `places` look for in the folder.
    pub(super) fn names<'a>(&'a self, places: &'a [Place]) -> impl Iterator<Item = &'a [u8]> {
        places.iter().filter_map(|&p| match self.part(p) {
            Some(Part::Name(name)) => Some(name.as_slice()),
            _ => None,
        })
    }

    /// Goes from a folder's `places` to its entry `name`: adds to `next` what is alive below it, and returns how a
    /// pattern ends there, if one does. To `direct` goes what is alive by other parts than `**`. `wildcards`: asked at most once, whether wildcards may find this entry.
    pub(super) fn step(
        &self,
        places: &[Place],
        name: &[u8],
        next: &mut Vec<Place>,
        mut direct: Option<&mut Vec<Place>>,
        wildcards: impl FnOnce() -> bool,
    ) -> Option<Via> {
        let mut ask = Some(wildcards);
        let mut allowed = false;
        let mut found = || {
            if let Some(ask) = ask.take() {
                allowed = ask();
            }
            allowed
        };
        let mut end = None;
        for &place in places {
            let parts = &self.list[place.pattern as usize];
            let at = place.at as usize;
            let last = at + 1 == parts.len();
            let (to, via) = match &parts[at] {
                Part::Name(literal) if literal == name => (place.at + 1, Via::Name),
                Part::Wild(tokens) if matches(tokens, name) && found() => (place.at + 1, Via::Wildcard),
                Part::Any if found() => (place.at, Via::Wildcard),
                _ => continue,
            };
            if last {
                end = end.max(Some(via));
            }
            let to = Place { at: to, ..place };
            if let Some(direct) = direct.as_deref_mut().filter(|_| parts[at] != Part::Any) {
                self.push(direct, to);
            }
            self.push(next, to);
        }
        end
    }
}

/// Expands braces into `out`.
fn expand(text: &str, out: &mut Vec<String>) -> Result<(), PatternProblem> {
    let mut queue = vec![text.to_owned()];
    while let Some(one) = queue.pop() {
        match first_brace(&one)? {
            None => out.push(one),
            Some((open, commas, close)) => {
                let (head, tail) = (&one[..open], &one[close + 1..]);
                let mut from = open + 1;
                let mut alternatives = Vec::new();
                for &to in commas.iter().chain([&close]) {
                    alternatives.push(format!("{head}{}{tail}", &one[from..to]));
                    from = to + 1;
                }
                queue.extend(alternatives.into_iter().rev());
            }
        }
        if out.len() + queue.len() > MOST_ALTERNATIVES {
            return Err(PatternProblem::TooLarge);
        }
    }
    Ok(())
}

type Brace = (usize, Vec<usize>, usize);

/// The first brace group: where it opens, its own commas, where it closes.
fn first_brace(text: &str) -> Result<Option<Brace>, PatternProblem> {
    let bytes = text.as_bytes();
    let (mut depth, mut open, mut commas, mut i) = (0_u32, 0, Vec::new(), 0);
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'[' if depth == 0 => i = class_end(bytes, i).ok_or(PatternProblem::Unclosed)?,
            b'{' => {
                if depth == 0 {
                    open = i;
                }
                depth += 1;
            }
            b',' if depth == 1 => commas.push(i),
            b'}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some((open, commas, i)));
                }
            }
            _ => {}
        }
        i += 1;
    }
    if depth > 0 { Err(PatternProblem::Unclosed) } else { Ok(None) }
}

/// Where the class that opens at `open` closes.
fn class_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut i = open + 1;
    if matches!(bytes.get(i), Some(b'!' | b'^')) {
        i += 1;
    }
    let first = i;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b']' if i > first => return Some(i),
            _ => {}
        }
        i += 1;
    }
    None
}

fn parse(folder: &Path, text: &str) -> Result<Pattern, PatternProblem> {
    use std::os::unix::ffi::OsStrExt;
    if text.starts_with('/') {
        return Err(PatternProblem::Absolute);
    }
    let mut parts: Pattern = Vec::new();
    for component in folder.components() {
        match component {
            std::path::Component::Normal(name) => parts.push(Part::Name(name.as_bytes().to_vec())),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                parts.pop().ok_or(PatternProblem::Escapes)?;
            }
            _ => return Err(PatternProblem::Absolute),
        }
    }
    for component in split(text)? {
        match component {
            "" | "." => {}
            ".." => match parts.pop() {
                Some(Part::Name(_)) => {}
                Some(_) => return Err(PatternProblem::ParentAfterWildcard),
                None => return Err(PatternProblem::Escapes),
            },
            "**" => {
                if parts.last() != Some(&Part::Any) {
                    parts.push(Part::Any);
                }
            }
            name => parts.push(parse_name(name)?),
        }
    }
    if text.ends_with('/') && matches!(parts.last(), Some(Part::Wild(_))) {
        parts.push(Part::Any);
    }
    Ok(parts)
}

/// Splits at `/` outside of classes.
fn split(text: &str) -> Result<Vec<&str>, PatternProblem> {
    let bytes = text.as_bytes();
    let (mut out, mut from, mut i) = (Vec::new(), 0, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'\\' if bytes.get(i + 1) != Some(&b'/') => i += 1,
            b'[' => i = class_end(bytes, i).ok_or(PatternProblem::Unclosed)?,
            b'/' => {
                out.push(&text[from..i]);
                from = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    out.push(&text[from..]);
    Ok(out)
}

fn parse_name(text: &str) -> Result<Part, PatternProblem> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '*' => {
                if tokens.last() != Some(&Token::Many) {
                    tokens.push(Token::Many);
                }
            }
            '?' => tokens.push(Token::One),
            '[' => {
                let end = class_end(rest.as_bytes(), 0).ok_or(PatternProblem::Unclosed)?;
                tokens.push(parse_class(&rest[1..end]));
                taken = end + 1;
            }
            '\\' => {
                let escaped = rest[1..].chars().next().unwrap_or('\\');
                tokens.extend(escaped.encode_utf8(&mut [0; 4]).bytes().map(Token::Byte));
                taken = (1 + escaped.len_utf8()).min(rest.len());
            }
            _ => tokens.extend(rest.as_bytes()[..taken].iter().copied().map(Token::Byte)),
        }
        rest = &rest[taken..];
    }
    let literal = tokens.iter().map(|t| if let Token::Byte(b) = t { Some(*b) } else { None });
    Ok(match literal.collect::<Option<Vec<u8>>>() {
        Some(name) => Part::Name(name),
        None => Part::Wild(tokens),
    })
}

fn parse_class(text: &str) -> Token {
    let (negated, text) = match text.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut chars = Vec::new();
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            chars.push((c, escaped));
            escaped = false;
        }
    }
    let mut ranges = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        if i + 2 < chars.len() && chars[i + 1] == ('-', false) {
            ranges.push((chars[i].0, chars[i + 2].0));
            i += 3;
        } else {
            ranges.push((chars[i].0, chars[i].0));
            i += 1;
        }
    }
    Token::Class { negated, ranges }
}

/// The first character of `name` (`None`: not UTF-8) and its length.
fn first_char(name: &[u8]) -> (Option<char>, usize) {
    let longest = name.len().min(4);
    for end in 1..=longest {
        if let Ok(text) = std::str::from_utf8(&name[..end]) {
            return (text.chars().next(), end);
        }
    }
    (None, 1)
}

/// Whether a name matches; backtracks to the last `*` only, so time is bounded by the product of the lengths.
fn matches(tokens: &[Token], name: &[u8]) -> bool {
    let (mut t, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match tokens.get(t) {
            None if n == name.len() => return true,
            Some(Token::Many) => {
                retry = Some((t + 1, n));
                t += 1;
                continue;
            }
            Some(Token::Byte(b)) if name.get(n) == Some(b) => Some(1),
            Some(Token::One) if n < name.len() => Some(first_char(&name[n..]).1),
            Some(Token::Class { negated, ranges }) if n < name.len() => {
                let (c, length) = first_char(&name[n..]);
                let inside = c.is_some_and(|c| ranges.iter().any(|&(low, high)| (low..=high).contains(&c)));
                (inside != *negated).then_some(length)
            }
            _ => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                t += 1;
                n += length;
            }
            (None, Some((token, from))) if from < name.len() => {
                retry = Some((token, from + 1));
                t = token;
                n = from + 1;
            }
            (None, _) => return false,
        }
    }
}
