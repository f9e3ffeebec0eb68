//! Sums over a run.

use std::collections::BTreeMap;

use super::{Ended, Entry, Phase, Profile};

/// Hits of one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierHits {
    /// How many.
    pub hits: usize,
    /// Of these, whose outputs had to be put in place.
    pub restored: usize,
    /// What they took when they ran.
    pub saved: u64,
}

/// Sums over a run. Servers count for nothing but themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Time on lanes, by phase.
    pub spent: [u64; Phase::COUNT],
    /// Time on lanes.
    pub busy: u64,
    /// Time in which recipes were ready and no slot was free.
    pub queued: u64,
    /// Hits, by tier.
    pub tiers: BTreeMap<String, TierHits>,
    /// What all hits took when they ran.
    pub saved: u64,
    /// The most recipes at once.
    pub most_at_once: usize,
}

impl Totals {
    /// Of a run.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let mut totals = Self::default();
        for entry in profile.recipes.iter().filter(|entry| !entry.server) {
            totals.add(entry);
        }
        totals.most_at_once = most_at_once(profile);
        totals
    }

    fn add(&mut self, entry: &Entry) {
        if let Ended::Cached { tier, restored, saved } = &entry.ended {
            let hits = self.tiers.entry(tier.clone()).or_default();
            hits.hits += 1;
            hits.restored += usize::from(*restored);
            hits.saved = hits.saved.saturating_add(*saved);
            self.saved = self.saved.saturating_add(*saved);
        }
        let Some(timing) = &entry.timing else { return };
        self.busy = self.busy.saturating_add(timing.took);
        self.queued = self.queued.saturating_add(timing.begun.saturating_sub(timing.ready));
        for (sum, spent) in self.spent.iter_mut().zip(timing.spent) {
            *sum = sum.saturating_add(spent);
        }
    }

    /// How many recipes were on lanes at once, on average over the run.
    #[must_use]
    pub fn at_once(&self, profile: &Profile) -> f64 {
        if profile.took == 0 { 0.0 } else { self.busy as f64 / profile.took as f64 }
    }
}

fn most_at_once(profile: &Profile) -> usize {
    let timings =
        profile.recipes.iter().filter(|entry| !entry.server).filter_map(|entry| entry.timing.as_ref());
    let mut steps: Vec<(u64, i64)> =
        timings.flat_map(|timing| [(timing.begun, 1), (timing.end().max(timing.begun + 1), -1)]).collect();
    // What ends makes room before what begins at the same moment.
    steps.sort_unstable();
    let mut now = 0_i64;
    let most = steps.into_iter().map(|(_, step)| {
        now += step;
        now
    });
    usize::try_from(most.max().unwrap_or(0)).unwrap_or(0)
}

/// The recipes that took longest, the longest first; not servers.
#[must_use]
pub fn slowest(profile: &Profile, count: usize) -> Vec<usize> {
    let took = |at: &usize| profile.recipes[*at].timing.as_ref().map_or(0, |timing| timing.took);
    let mut places: Vec<usize> =
        (0..profile.recipes.len()).filter(|at| !profile.recipes[*at].server && took(at) > 0).collect();
    places.sort_by_key(|at| (std::cmp::Reverse(took(at)), *at));
    places.truncate(count);
    places
}
