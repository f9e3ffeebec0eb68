//! A tree as text, one line for each name, and how two trees differ.
//!
//! ```text
//! PATH TYPE MODE UID:GID TIME [what it holds] [@XATTR=HEX]… [#GROUP]
//! .     d 755 0:0 0
//! a/f   f 4755 1000:1000 1.5 "hello" @user.mime_type=746578742f706c61696e #1
//! big   f 644 0:0 1 70000:fa3b…        size and SHA-256 of content that is long or odd
//! link  l 777 0:0 1 ->a/f
//! null  c 666 0:0 1 1,3
//! ```
//!
//! Lines are sorted by the bytes of the path; the root is `.`; odd bytes are `%XX`. `TIME` is seconds since 1970, with a point and
//! nanoseconds where there are any; `now` is the time of the extraction. Names with the same `#GROUP` are one inode.

use std::{collections::BTreeMap, fmt};

/// One name of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `d`, `f`, `l`, `c`, `b`, `p` or `s`.
    pub kind: char,
    /// Permissions, setuid, setgid, sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was modified.
    pub time: Time,
    /// What it holds, as the lines have it.
    pub holds: String,
    /// Extended attributes, values as the lines have them.
    pub xattrs: BTreeMap<String, String>,
    /// Number of the inode if it has several names, else 0.
    pub group: usize,
}

/// When something was modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// While it was extracted.
    Now,
    /// Seconds and nanoseconds since 1970.
    At(i64, u32),
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => out.write_str("now"),
            Self::At(seconds, 0) => write!(out, "{seconds}"),
            Self::At(seconds, nanos) => write!(out, "{seconds}.{nanos:09}"),
        }
    }
}

/// All names of a tree, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names; a path is relative, with odd bytes as `%XX`.
    pub names: BTreeMap<String, Name>,
}

/// One thing in which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name, or nothing if it is about the whole tree.
    pub path: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`: expected {}, found {}", self.path, self.expected, self.found)
    }
}

impl Listing {
    /// Reads lines as [`fmt::Display`] writes them; `None` if one of them is none.
    pub fn parse(lines: &str) -> Option<Self> {
        let names =
            lines.lines().filter(|line| !line.trim().is_empty()).map(parse_line).collect::<Option<_>>()?;
        Some(Self { names })
    }

    /// How `found` differs from this one. Groups are compared by which names are in them, not by number.
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let (ours, theirs) = (self.in_order(), found.in_order());
        let show = |name: Option<&Name>| name.map_or("nothing".into(), |name| format!("`{name}`"));
        let paths: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        paths
            .into_iter()
            .filter(|path| ours.get(*path) != theirs.get(*path))
            .map(|path| Difference {
                path: path.clone(),
                expected: show(ours.get(path)),
                found: show(theirs.get(path)),
            })
            .collect()
    }

    /// Gives each name whose time is that of an extraction the time that it has in `other`.
    pub fn settle_now(&mut self, other: &Self) {
        for (path, name) in &mut self.names {
            if let (Time::Now, Some(theirs)) = (name.time, other.names.get(path)) {
                name.time = theirs.time;
            }
        }
    }

    /// Whether `found` is this tree, times of its extraction being as good as any.
    pub fn is_but_for_now(&self, found: &Self) -> bool {
        let mut found = found.clone();
        found.settle_now(self);
        self.differences(&found).is_empty()
    }

    /// The names with their groups numbered in the order of the paths.
    fn in_order(&self) -> BTreeMap<String, Name> {
        let mut numbers = BTreeMap::new();
        let mut names = self.names.clone();
        for name in names.values_mut().filter(|name| name.group != 0) {
            let next = numbers.len() + 1;
            name.group = *numbers.entry(name.group).or_insert(next);
        }
        names
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:o} {}:{} {}", self.kind, self.mode, self.uid, self.gid, self.time)?;
        if !self.holds.is_empty() {
            write!(out, " {}", self.holds)?;
        }
        for (name, value) in &self.xattrs {
            write!(out, " @{name}={value}")?;
        }
        match self.group {
            0 => Ok(()),
            group => write!(out, " #{group}"),
        }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names.iter().try_for_each(|(path, name)| writeln!(out, "{path} {name}"))
    }
}

fn parse_line(line: &str) -> Option<(String, Name)> {
    let mut words = line.split_whitespace();
    let path = words.next()?.to_owned();
    let kind = words.next()?.chars().next()?;
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let (uid, gid) = words.next()?.split_once(':')?;
    let time = parse_time(words.next()?)?;
    let mut name = Name {
        kind,
        mode,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        time,
        holds: String::new(),
        xattrs: BTreeMap::new(),
        group: 0,
    };
    for word in words {
        if let Some(group) = word.strip_prefix('#') {
            name.group = group.parse().ok()?;
        } else if let Some(xattr) = word.strip_prefix('@') {
            let (key, value) = xattr.split_once('=')?;
            name.xattrs.insert(key.into(), value.into());
        } else {
            name.holds = word.into();
        }
    }
    Some((path, name))
}

fn parse_time(word: &str) -> Option<Time> {
    if word == "now" {
        return Some(Time::Now);
    }
    let (seconds, nanos) = word.split_once('.').unwrap_or((word, ""));
    let nanos = format!("{nanos:0<9}").parse().ok()?;
    Some(Time::At(seconds.parse().ok()?, nanos))
}
