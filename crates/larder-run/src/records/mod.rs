//! Records of keys: what other machines are told of what a key was computed from, so that `larder why --against` can name what
//! differs between two machines.
//!
//! | module | what |
//! |---|---|
//! | this one | [`KeyRecord`]: the names of a key's items, and tags in place of their values |
//! | [`runs`] | [`RunRecord`](runs::RunRecord): which key each recipe of a run had |
//! | [`exchange`] | both as results of a store and its tiers |
//!
//! The format is `docs/formats/key-record.md`.
//!
//! # Invariants
//! - **No value leaves the machine.** Of an item goes its kind and its name, and of its value a tag, which is a hash. Only what no secret can
//!   be in (the platform) goes as it is.
//! - Tags of what may hold a secret (environment, variables, arguments, patterns that `trace` looked at, lines of the command) have 16 bits: enough
//!   to tell that a value differs, too few to confirm a guess of it. **A value has one tag in all records**: many records say no more of it than one.
//!   Tags of content have 64.
//! - Items come without secrets ([`crate::key::items`]), so that the same holds where one of them is in several items.
//! - A record is at most [`MOST_BYTES`]; where there are more than [`MOST_INPUTS`] inputs they are told by folder.
//! - What is read is hostile: it decides nothing, and its size is bounded before it is decoded.

pub mod exchange;
pub mod runs;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::Change;
use crate::lines::{Line, diff};
use crate::state::KeyItem;

/// The format of records.
pub const FORMAT: u8 = 1;
/// Bytes of an encoded record.
pub const MOST_BYTES: usize = 1 << 20;
/// Inputs that are told one by one.
pub const MOST_INPUTS: usize = 8_192;

/// Stands in a [`Change`] for a value of another machine.
pub const UNTOLD: &str = "(not told)";

/// The salt of all records that are made here. Earlier ones had a fresh one each, and every record told 16 bits more; each is read with its own.
const SALT: [u8; 16] = [0; 16];

/// What is told of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The value.
    Clear(String),
    /// 64 bits of a hash.
    Tag([u8; 8]),
    /// 16 bits of a hash.
    Short([u8; 2]),
    /// 16 bits of each line's.
    Lines(Vec<[u8; 2]>),
}

/// What is told of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    salt: [u8; 16],
    /// Inputs are told by folders of so many names.
    depth: Option<u8>,
    /// By kind: name → value.
    items: BTreeMap<String, BTreeMap<String, Told>>,
}

/// The differences of a key from a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Items, as [`crate::engine::compare`] has them; a value of the record is [`UNTOLD`] where it was not told.
    pub changes: Vec<Change>,
    /// Lines of the command: what was not told is empty.
    pub command: Vec<Line>,
    /// Items that were compared.
    pub compared: usize,
}

impl KeyRecord {
    /// The record of a key; `None` if it would be too large.
    #[must_use]
    pub fn new(items: &[KeyItem]) -> Option<Self> {
        let inputs = items.iter().filter(|item| item.kind == "input");
        let depth = if inputs.clone().count() <= MOST_INPUTS {
            None
        } else {
            let fits = |depth: &u8| folded(inputs.clone(), *depth).len() <= MOST_INPUTS;
            Some((1..=8).rev().find(fits).unwrap_or(0))
        };
        let record = Self { salt: SALT, depth, items: BTreeMap::new() };
        let items = record.tell(items);
        let record = Self { items, ..record };
        record.encode().map(|_| record)
    }

    fn tell(&self, items: &[KeyItem]) -> BTreeMap<String, BTreeMap<String, Told>> {
        let mut told: BTreeMap<String, BTreeMap<String, Told>> = BTreeMap::new();
        let whole = items.iter().filter(|item| self.depth.is_none() || item.kind != "input");
        for item in whole {
            told.entry(item.kind.clone()).or_default().insert(item.name.clone(), self.told(item));
        }
        if let Some(depth) = self.depth {
            let folders = folded(items.iter().filter(|item| item.kind == "input"), depth);
            let inputs = folders.into_iter().map(|(name, value)| {
                let tag = Told::Tag(cut(&self.tag("input", &name, &value)));
                (name, tag)
            });
            told.insert("input".to_owned(), inputs.collect());
        }
        told
    }

    fn told(&self, item: &KeyItem) -> Told {
        let tag = |value: &str| self.tag(&item.kind, &item.name, value.as_bytes());
        match (item.kind.as_str(), item.name.as_str()) {
            // Patterns are rendered text.
            ("platform", "trace") => Told::Short(cut(&tag(&item.value))),
            ("platform", _) | ("output", _) => Told::Clear(item.value.clone()),
            ("input" | "tool" | "dependency", _) => Told::Tag(cut(&tag(&item.value))),
            ("command", "run") => Told::Lines(item.value.lines().map(|line| cut(&tag(line))).collect()),
            _ => Told::Short(cut(&tag(&item.value))),
        }
    }

    fn tag(&self, kind: &str, name: &str, value: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("larder 2026-11 key record tag");
        hasher.update(&self.salt);
        for part in [kind.as_bytes(), name.as_bytes(), value] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// As bytes; `None` if they are too many.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        encode(self)
    }

    /// From bytes of others.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }

    /// What differs in the key with these items.
    #[must_use]
    pub fn differences(&self, items: &[KeyItem]) -> Differences {
        let here = self.tell(items);
        let value = |kind: &str, name: &str| {
            let item = items.iter().find(|item| item.kind == kind && item.name == name);
            item.map_or_else(|| UNTOLD.to_owned(), |item| item.value.clone())
        };
        let mut differences = Differences::default();
        let none = BTreeMap::new();
        let mut kinds: Vec<&String> = self.items.keys().chain(here.keys()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let (before, after) = (self.items.get(kind).unwrap_or(&none), here.get(kind).unwrap_or(&none));
            let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
            names.sort_unstable();
            names.dedup();
            differences.compared += names.len();
            for name in names {
                let (old, new) = (before.get(name), after.get(name));
                if old == new {
                    continue;
                }
                differences.changes.push(Change {
                    kind: kind.clone(),
                    name: name.clone(),
                    before: old.map(|old| match old {
                        Told::Clear(value) => value.clone(),
                        Told::Tag(_) | Told::Short(_) | Told::Lines(_) => UNTOLD.to_owned(),
                    }),
                    after: new.map(|_| value(kind, name)),
                });
                if let (Some(Told::Lines(old)), Some(Told::Lines(new))) = (old, new) {
                    let text = value(kind, name);
                    let here: Vec<&str> = text.lines().collect();
                    differences.command = diff(old, new, |_| String::new(), |at| here[at].to_owned());
                }
            }
        }
        differences
    }
}

/// The inputs by folders of `depth` names, each with what says whether it is the same.
fn folded<'i>(inputs: impl Iterator<Item = &'i KeyItem>, depth: u8) -> BTreeMap<String, Vec<u8>> {
    let mut folders: BTreeMap<String, blake3::Hasher> = BTreeMap::new();
    for item in inputs {
        let end =
            item.name.match_indices('/').nth(usize::from(depth).saturating_sub(1)).map(|(at, _)| at + 1);
        let name = if depth == 0 { "(all)" } else { end.map_or(item.name.as_str(), |end| &item.name[..end]) };
        let hasher = folders.entry(name.to_owned()).or_default();
        for part in [&item.name, &item.value] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
    }
    folders.into_iter().map(|(name, hasher)| (name, hasher.finalize().as_bytes().to_vec())).collect()
}

fn cut<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    *hash.first_chunk().expect("a tag is shorter than a hash")
}

fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    let bytes = postcard::to_extend(value, vec![FORMAT]).ok()?;
    (bytes.len() <= MOST_BYTES).then_some(bytes)
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first() {
        Some((&FORMAT, body)) if bytes.len() <= MOST_BYTES => postcard::from_bytes(body).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn item(kind: &str, name: &str, value: &str) -> KeyItem {
        KeyItem { kind: kind.into(), name: name.into(), value: value.into() }
    }

    fn items() -> Vec<KeyItem> {
        vec![
            item("command", "run", "cc -c a.c\nTOKEN=hunter2-secret make\nstrip a.o"),
            item("env", "TOKEN", "hunter2-secret"),
            item("input", "a.c", "b3:0123/4 644"),
            item("input", "b.c", "b3:4567/4 644"),
            item("platform", "os", "linux"),
            item("platform", "trace", "strict\nreads conf/customer-acme/**"),
            item("variable", "mode", "\"debug\""),
        ]
    }

    #[test]
    fn no_value_is_in_a_record() {
        let record = KeyRecord::new(&items()).unwrap();
        let bytes = record.encode().unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("TOKEN") && has("a.c") && has("linux") && has("mode"));
        for value in ["hunter2-secret", "debug", "0123", "strip", "cc -c", "acme", "conf"] {
            assert!(!has(value), "{value}");
        }
        assert_eq!(KeyRecord::decode(&bytes), Some(record));
    }

    #[test]
    fn many_records_say_no_more_of_a_value_than_one() {
        let tags = |changed: &str| {
            let mut items = items();
            items[2].value = changed.to_owned();
            let told = KeyRecord::new(&items).unwrap().items;
            (told["env"]["TOKEN"].clone(), told["variable"]["mode"].clone(), told["command"]["run"].clone())
        };
        let first = tags("b3:0/4 644");
        assert!((1..20).all(|n| tags(&format!("b3:{n}/4 644")) == first));
    }

    #[test]
    fn records_of_another_salt_are_read_with_it() {
        let record = KeyRecord { salt: [9; 16], depth: None, items: BTreeMap::new() };
        let record = KeyRecord { items: record.tell(&items()), ..record };
        assert_ne!(record, KeyRecord::new(&items()).unwrap());
        let read = KeyRecord::decode(&record.encode().unwrap()).unwrap();
        assert_eq!(read.differences(&items()).changes, []);
        let mut mine = items();
        mine[1].value = "other".into();
        assert_eq!(read.differences(&mine).changes.len(), 1);
    }

    #[test]
    fn differences_are_named_without_values_of_the_other_machine() {
        let record = KeyRecord::new(&items()).unwrap();
        assert_eq!(record.differences(&items()).changes, []);
        let mut mine = items();
        mine[0].value = "cc -c a.c\nTOKEN=other make\nstrip a.o".into();
        mine[1].value = "other".into();
        mine[3] = item("input", "c.c", "b3:89ab/4 644");
        mine[4].value = "macos".into();
        let found = record.differences(&mine);
        let told: Vec<_> = found
            .changes
            .iter()
            .map(|change| (&*change.name, change.before.as_deref(), change.after.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("run", Some(UNTOLD), Some(&*mine[0].value)),
                ("TOKEN", Some(UNTOLD), Some("other")),
                ("b.c", Some(UNTOLD), None),
                ("c.c", None, Some("b3:89ab/4 644")),
                ("os", Some("linux"), Some("macos")),
            ]
        );
        assert_eq!(found.command, [Line::Removed(String::new()), Line::Added("TOKEN=other make".into())]);
    }

    #[test]
    fn many_inputs_are_told_by_folder() {
        let many = |changed: usize| -> Vec<KeyItem> {
            let value = |n| if n == changed { "new" } else { "old" };
            (0..20_000).map(|n| item("input", &format!("src/d{}/e/f{n}.c", n % 50), value(n))).collect()
        };
        let record = KeyRecord::new(&many(0)).unwrap();
        assert!(record.encode().unwrap().len() < 4_096);
        let names = |changed| -> Vec<String> {
            record.differences(&many(changed)).changes.into_iter().map(|change| change.name).collect()
        };
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(names(7), ["src/d0/e/", "src/d7/e/"]);
        let flat: Vec<KeyItem> = (0..20_000).map(|n| item("input", &format!("f{n}"), "x")).collect();
        assert_eq!(KeyRecord::new(&flat).unwrap().depth, Some(0));
    }

    #[test]
    fn what_is_no_record_is_none() {
        let bytes = KeyRecord::new(&items()).unwrap().encode().unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(KeyRecord::decode(&bytes[..cut]), None);
        }
        assert_eq!(KeyRecord::decode(&[2, 0, 0]), None);
        assert_eq!(KeyRecord::decode(&vec![FORMAT; MOST_BYTES + 1]), None);
        let large = vec![item("env", &"x".repeat(MOST_BYTES), "")];
        assert_eq!(KeyRecord::new(&large), None);
    }
}
