//! Where the time of a recipe goes: a stopwatch of the thread that handles it.
//!
//! One thread handles one recipe from its turn to its end, so the stopwatch is the thread's own, and what is timed need not hand
//! it on. [`begin`] starts it, [`enter`] counts what follows for a [`Phase`] until its guard is dropped (a phase within another
//! is not counted for the outer one), [`end`] stops it. Without a stopwatch (nothing is run) a guard does nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::profile::Phase;

/// Time by phase, as [`Phase::at`] numbers them.
pub(super) type Spent = [Duration; Phase::COUNT];

#[derive(Clone, Copy)]
struct Stopwatch {
    phase: Phase,
    since: Instant,
    spent: Spent,
}

thread_local! {
    static STOPWATCH: Cell<Option<Stopwatch>> = const { Cell::new(None) };
}

/// Counts for a phase while it lives.
#[must_use]
pub(super) struct Counting {
    outer: Option<Phase>,
}

/// Starts the thread's stopwatch.
pub(super) fn begin(now: Instant) {
    let spent = [Duration::ZERO; Phase::COUNT];
    STOPWATCH.set(Some(Stopwatch { phase: Phase::Other, since: now, spent }));
}

/// Stops it.
pub(super) fn end(now: Instant) -> Spent {
    switch(Phase::Other, now);
    STOPWATCH.take().map(|stopwatch| stopwatch.spent).unwrap_or_default()
}

/// What follows counts for `phase`.
pub(super) fn enter(phase: Phase) -> Counting {
    Counting { outer: if STOPWATCH.get().is_some() { switch(phase, Instant::now()) } else { None } }
}

fn switch(phase: Phase, now: Instant) -> Option<Phase> {
    let mut stopwatch = STOPWATCH.get()?;
    let outer = stopwatch.phase;
    stopwatch.spent[outer.at()] += now.saturating_duration_since(stopwatch.since);
    (stopwatch.phase, stopwatch.since) = (phase, now);
    STOPWATCH.set(Some(stopwatch));
    Some(outer)
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Some(outer) = self.outer {
            switch(outer, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_within_another_counts_for_itself() {
        let start = Instant::now();
        begin(start);
        {
            let _key = enter(Phase::Key);
            let _look_up = enter(Phase::LookUp);
            std::thread::sleep(Duration::from_millis(5));
        }
        let end_at = Instant::now();
        let spent = end(end_at);
        assert!(spent[Phase::LookUp.at()] >= Duration::from_millis(5));
        assert!(spent[Phase::Key.at()] < Duration::from_millis(5));
        assert_eq!(spent.iter().sum::<Duration>(), end_at - start);
    }

    #[test]
    fn without_a_stopwatch_nothing_is_counted() {
        drop(enter(Phase::Command));
        assert_eq!(end(Instant::now()).iter().sum::<Duration>(), Duration::ZERO);
    }
}
