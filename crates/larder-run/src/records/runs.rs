//! Which key each recipe of a run had.
//!
//! One record for each name that runs are given, of the newest run of that name, and one for all runs together ("latest"), in which each
//! recipe stands with its newest run: who sends it adds to what it found.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use larder_core::Digest;
use serde::{Deserialize, Serialize};

use super::{decode, encode};

/// Recipes in one record; the oldest go first.
pub const MOST_RECIPES: usize = 4_096;

/// A recipe in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InRun {
    /// The digest of its key, as text.
    pub key: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// The name of the run.
    pub run: Option<String>,
}

impl InRun {
    /// The key, if it is one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.key.parse().ok()
    }

    /// When; never later than now.
    #[must_use]
    pub fn when(&self) -> SystemTime {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.at));
        at.map_or_else(SystemTime::now, |at| at.min(SystemTime::now()))
    }
}

/// Recipes with their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// By name.
    pub recipes: BTreeMap<String, InRun>,
}

impl RunRecord {
    /// As bytes; the oldest recipes are left out where there are too many. `None` if they are too large all the same.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        if self.recipes.len() <= MOST_RECIPES {
            return encode(self);
        }
        let mut newest: Vec<(&String, &InRun)> = self.recipes.iter().collect();
        newest.sort_by_key(|(_, in_run)| std::cmp::Reverse(in_run.at));
        newest.truncate(MOST_RECIPES);
        let recipes = newest.into_iter().map(|(name, in_run)| (name.clone(), in_run.clone())).collect();
        encode(&Self { recipes })
    }

    /// From bytes of others.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let in_run = |at| InRun { key: Digest::blake3(b"x").to_string(), at, run: None };
        let recipes = (0..5_000_u64).map(|n| (format!("app:r{n}"), in_run(n))).collect();
        let kept = RunRecord::decode(&RunRecord { recipes }.encode().unwrap()).unwrap();
        assert_eq!(kept.recipes.len(), MOST_RECIPES);
        assert!(kept.recipes.contains_key("app:r4999") && !kept.recipes.contains_key("app:r0"));
        assert_eq!(kept.recipes["app:r4999"].digest(), Some(Digest::blake3(b"x")));
    }

    #[test]
    fn rubbish_is_no_record() {
        for bytes in [&b""[..], b"\x01", b"\x01\xff\xff\xff\xff\x0f", b"\x02\x00"] {
            assert_eq!(RunRecord::decode(bytes), None);
        }
    }
}
