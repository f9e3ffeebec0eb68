//! The chain of recipes that decided how long a run took.
//!
//! It is walked from the recipe that was done last back to the first: before each comes what it waited for. That is the
//! dependency that was done last, or, where it was ready and no job slot was free, the recipe that had its slot before. What
//! the chain takes is the run's time, save the gaps. Servers are not in it: they end because the others did.

use super::{Entry, Profile};

/// So late after it was ready is no longer chance: no slot was free.
const WAITED: u64 = 1_000;

/// Why a recipe of the chain began when it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It was among the first.
    Start,
    /// The recipe before it in the chain is a dependency of its.
    Dependency,
    /// It was ready, and waited until the recipe before it in the chain left the slot.
    Slot,
}

/// A recipe of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its place in [`Profile::recipes`].
    pub at: usize,
    /// Why it began when it did.
    pub after: After,
    /// How long it had been ready.
    pub waited: u64,
}

fn last_of(profile: &Profile, places: impl Iterator<Item = usize>) -> Option<usize> {
    let end = |at: &usize| profile.recipes[*at].timing.as_ref().map_or(0, super::Timing::end);
    let timed =
        |at: &usize| profile.recipes.get(*at).is_some_and(|entry| entry.timing.is_some() && !entry.server);
    // Of several that end at once, the first of the plan.
    places.filter(timed).fold(None, |last, at| match last {
        Some(last) if end(&last) >= end(&at) => Some(last),
        _ => Some(at),
    })
}

/// The chain, from its beginning.
#[must_use]
pub fn critical(profile: &Profile) -> Vec<Link> {
    let mut chain = Vec::new();
    let mut next = last_of(profile, 0..profile.recipes.len());
    while let Some(at) = next {
        // A chain is not longer than the plan, whatever a damaged profile says.
        if chain.len() >= profile.recipes.len() {
            break;
        }
        let entry = &profile.recipes[at];
        let (before, after, waited) = before(profile, entry);
        chain.push(Link { at, after, waited });
        next = before;
    }
    chain.reverse();
    chain
}

fn before(profile: &Profile, entry: &Entry) -> (Option<usize>, After, u64) {
    let Some(timing) = &entry.timing else { return (None, After::Start, 0) };
    let waited = timing.begun.saturating_sub(timing.ready);
    if waited >= WAITED {
        let in_slot = |at: &usize| {
            let other = &profile.recipes[*at];
            other.timing.as_ref().is_some_and(|other| {
                other.lane == timing.lane && other.end() <= timing.begun && other.begun < timing.begun
            })
        };
        if let Some(at) = last_of(profile, (0..profile.recipes.len()).filter(in_slot)) {
            return (Some(at), After::Slot, waited);
        }
    }
    match last_of(profile, entry.dependencies.iter().map(|at| *at as usize)) {
        Some(at) => (Some(at), After::Dependency, waited),
        None => (None, After::Start, waited),
    }
}

/// How long the run would have taken with a slot for each recipe: the longest way through the graph.
#[must_use]
pub fn shortest(profile: &Profile) -> u64 {
    let mut ends: Vec<u64> = Vec::with_capacity(profile.recipes.len());
    for entry in &profile.recipes {
        let took = entry.timing.as_ref().filter(|_| !entry.server).map_or(0, |timing| timing.took);
        let ready =
            entry.dependencies.iter().filter_map(|at| ends.get(*at as usize)).max().copied().unwrap_or(0);
        ends.push(ready.saturating_add(took));
    }
    ends.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Ended, Timing};
    use super::*;

    fn entry(dependencies: &[u32], ready: u64, begun: u64, took: u64, lane: u32) -> Entry {
        let timing = Timing { ready, begun, took, lane, ..Timing::default() };
        Entry {
            recipe: format!("app:{begun}"),
            dependencies: dependencies.to_vec(),
            server: false,
            ended: Ended::Ran { miss: None, not_cached: None, unchanged: false },
            timing: Some(timing),
        }
    }

    fn chain(recipes: Vec<Entry>) -> Vec<(usize, After)> {
        let profile = Profile { recipes, ..Profile::default() };
        critical(&profile).iter().map(|link| (link.at, link.after)).collect()
    }

    #[test]
    fn the_dependency_that_was_done_last_decides() {
        let recipes = vec![
            entry(&[], 0, 0, 9_000, 0),
            entry(&[], 0, 0, 20_000, 1),
            entry(&[0, 1], 20_000, 20_010, 5_000, 0),
            entry(&[0], 9_000, 9_010, 1_000, 0),
        ];
        assert_eq!(chain(recipes), [(1, After::Start), (2, After::Dependency)]);
    }

    #[test]
    fn a_slot_that_was_taken_decides_too() {
        let recipes = vec![
            entry(&[], 0, 0, 9_000, 0),
            entry(&[], 0, 9_010, 8_000, 0),
            entry(&[0], 9_000, 17_020, 5_000, 0),
        ];
        assert_eq!(chain(recipes), [(0, After::Start), (1, After::Slot), (2, After::Slot)]);
    }

    #[test]
    fn servers_and_recipes_without_a_turn_are_not_in_it() {
        let mut server = entry(&[], 0, 0, 90_000, 4);
        server.server = true;
        let skipped = Entry { timing: None, ..entry(&[], 0, 0, 0, 0) };
        assert_eq!(chain(vec![server, entry(&[0], 0, 10, 20_000, 0), skipped]), [(1, After::Start)]);
        assert_eq!(chain(Vec::new()), []);
    }

    #[test]
    fn with_slots_for_all_only_dependencies_count() {
        let recipes = vec![
            entry(&[], 0, 0, 9_000, 0),
            entry(&[], 0, 9_000, 8_000, 0),
            entry(&[1], 17_000, 17_000, 5_000, 0),
        ];
        assert_eq!(shortest(&Profile { recipes, ..Profile::default() }), 13_000);
    }
}
