//! What the event log adds up to: hit rates, bytes, time.
//!
//! Only what was measured is added. A rate of nothing is nothing, not nought; time saved is the time that the
//! original took when it was done, less the time that getting its result took, and only hits that tell both count.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::{Content, Event, Kind, MissReason};

/// The sums over some events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// When the first event was, in milliseconds since 1970.
    pub first_ms: Option<u64>,
    /// When the last event was.
    pub last_ms: Option<u64>,
    /// By the kind of content.
    pub by_content: BTreeMap<Content, LookUps>,
    /// Hits by the tier that had them.
    pub hits_by_tier: BTreeMap<String, Hits>,
    /// Misses by reason.
    pub misses_by_reason: BTreeMap<MissReason, u64>,
    /// Time saved by hits, in milliseconds. Below nought when restoring took longer than doing it again would have.
    pub saved_millis: i64,
    /// How many hits `saved_millis` is measured over.
    pub saved_measured: u64,
    /// What was written.
    pub writes: Moved,
    /// What was deleted to make room.
    pub evictions: Moved,
    /// How often something was found damaged.
    pub corrupt: u64,
    /// How often a tier was passed over.
    pub skipped: u64,
}

/// Look-ups of one kind of content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LookUps {
    /// How often something was asked for.
    pub asked: u64,
    /// How often it was found.
    pub hits: u64,
    /// How often not.
    pub misses: u64,
}

/// The hits of one tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hits {
    /// How many.
    pub count: u64,
    /// The bytes that they gave.
    pub bytes: u64,
}

/// Things and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl LookUps {
    /// The part of the answered look-ups that were hits; nothing if there were none.
    pub fn hit_rate(&self) -> Option<f64> {
        let answered = self.hits.saturating_add(self.misses);
        (answered > 0).then(|| self.hits as f64 / answered as f64)
    }
}

impl Statistics {
    /// Adds one event.
    pub fn add(&mut self, event: &Event) {
        self.first_ms = Some(self.first_ms.map_or(event.time_ms, |first| first.min(event.time_ms)));
        self.last_ms = Some(self.last_ms.map_or(event.time_ms, |last| last.max(event.time_ms)));
        let bytes = event.bytes.unwrap_or(0);

        match &event.kind {
            Kind::LookUp => bump(&mut self.by_content.entry(event.content).or_default().asked, 1),
            Kind::Hit { tier } => {
                bump(&mut self.by_content.entry(event.content).or_default().hits, 1);
                let hits = self.hits_by_tier.entry(tier.clone()).or_default();
                bump(&mut hits.count, 1);
                bump(&mut hits.bytes, bytes);
                self.add_saved(event);
            }
            Kind::Miss { reason } => {
                bump(&mut self.by_content.entry(event.content).or_default().misses, 1);
                bump(self.misses_by_reason.entry(*reason).or_default(), 1);
            }
            Kind::Write { .. } => self.writes.add(bytes),
            Kind::Evict { .. } => self.evictions.add(bytes),
            Kind::Corrupt { .. } => bump(&mut self.corrupt, 1),
            Kind::Skipped { .. } => bump(&mut self.skipped, 1),
        }
    }

    /// The look-ups of all kinds of content together.
    pub fn look_ups(&self) -> LookUps {
        self.by_content.values().fold(LookUps::default(), |mut sum, one| {
            bump(&mut sum.asked, one.asked);
            bump(&mut sum.hits, one.hits);
            bump(&mut sum.misses, one.misses);
            sum
        })
    }

    /// The bytes that hits gave, from all tiers.
    pub fn bytes_from_hits(&self) -> u64 {
        self.hits_by_tier.values().fold(0, |sum, hits| sum.saturating_add(hits.bytes))
    }

    fn add_saved(&mut self, event: &Event) {
        if let (Some(original), Some(taken)) = (event.original_millis, event.millis) {
            let signed = |millis| i64::try_from(millis).unwrap_or(i64::MAX);
            self.saved_millis =
                self.saved_millis.saturating_add(signed(original).saturating_sub(signed(taken)));
            bump(&mut self.saved_measured, 1);
        }
    }
}

impl<'a> FromIterator<&'a Event> for Statistics {
    fn from_iter<T: IntoIterator<Item = &'a Event>>(events: T) -> Self {
        let mut statistics = Self::default();
        events.into_iter().for_each(|event| statistics.add(event));
        statistics
    }
}

impl FromIterator<Event> for Statistics {
    fn from_iter<T: IntoIterator<Item = Event>>(events: T) -> Self {
        let mut statistics = Self::default();
        events.into_iter().for_each(|event| statistics.add(&event));
        statistics
    }
}

impl Moved {
    fn add(&mut self, bytes: u64) {
        bump(&mut self.count, 1);
        bump(&mut self.bytes, bytes);
    }
}

/// Adds without overflow: a hostile log may hold any numbers.
fn bump(sum: &mut u64, by: u64) {
    *sum = sum.saturating_add(by);
}
