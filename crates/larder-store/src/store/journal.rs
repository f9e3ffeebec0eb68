//! What the store notes besides content: events, and when results were last used. Gathered in memory, written in
//! batches, never in the way of what it is about.
//!
//! Bounded: beyond [`MOST_EVENTS`] the events are written at once, and times of use are a set of keys.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use larder_core::Result;

use crate::event::{Event, EventLog};
use crate::local::index::Index;
use crate::local::{now_seconds, poison};

/// How many events wait at most.
const MOST_EVENTS: usize = 4096;

/// Notes that wait to be written.
#[derive(Debug)]
pub(crate) struct Journal {
    log: EventLog,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    events: Vec<Event>,
    used: HashSet<Vec<u8>>,
    run: Option<String>,
}

impl Journal {
    pub(crate) fn new(log: EventLog) -> Self {
        Self { log, waiting: Mutex::default() }
    }

    pub(crate) fn log(&self) -> &EventLog {
        &self.log
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(poison)
    }

    pub(crate) fn set_run(&self, run: &str) {
        self.waiting().run = Some(run.to_owned());
    }

    /// Notes events; they get the run's name.
    pub(crate) fn note(&self, events: impl IntoIterator<Item = Event>) {
        let full = {
            let mut waiting = self.waiting();
            let run = waiting.run.clone();
            waiting.events.extend(events.into_iter().map(|event| Event { run: run.clone(), ..event }));
            (waiting.events.len() >= MOST_EVENTS).then(|| std::mem::take(&mut waiting.events))
        };
        if let Some(events) = full
            && let Err(error) = self.log.append(&events)
        {
            tracing::debug!(%error, "events are lost");
        }
    }

    /// Notes that a result was used.
    pub(crate) fn used(&self, key: &[u8]) {
        self.waiting().used.insert(key.to_vec());
    }

    /// Writes everything that waits.
    pub(crate) fn flush(&self, namespace: &str, index: Option<&Index>) -> Result<()> {
        let (events, used) = {
            let mut waiting = self.waiting();
            (std::mem::take(&mut waiting.events), std::mem::take(&mut waiting.used))
        };
        let touched = match index {
            Some(index) if !used.is_empty() => {
                let used: Vec<(&str, &[u8])> = used.iter().map(|key| (namespace, &key[..])).collect();
                index.touch_results(&used, u64::from(now_seconds())).map(drop)
            }
            _ => Ok(()),
        };
        let appended = if events.is_empty() { Ok(()) } else { self.log.append(&events) };
        touched.and(appended)
    }
}
