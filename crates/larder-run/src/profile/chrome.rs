//! A run as Chrome trace events, the JSON that Perfetto and `chrome://tracing` load.
//!
//! One process, a thread for each lane; a complete event for each recipe, and within it one for each phase that took
//! noticeable time. Phases are laid one after the other in the order in which a recipe goes through them: what is known is
//! how long each took, not how often it was come back to.

use serde_json::{Value, json};

use super::{Phase, Profile, Timing};

/// Phases in the order in which a recipe goes through them.
const COURSE: [Phase; Phase::COUNT] = [
    Phase::Key,
    Phase::LookUp,
    Phase::Fetch,
    Phase::Wait,
    Phase::Restore,
    Phase::Prepare,
    Phase::Command,
    Phase::Capture,
    Phase::Check,
    Phase::Record,
    Phase::Other,
];
/// Shorter phases are not drawn.
const NOTICEABLE: u64 = 200;

/// The whole file. Times begin with the program.
#[must_use]
pub fn trace(profile: &Profile, project: &str) -> Value {
    let mut events = vec![json!({
        "name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": format!("larder run: {project}")},
    })];
    for (lane, server) in &profile.lanes() {
        let name = if *server { format!("server {lane}") } else { format!("slot {}", lane + 1) };
        events.push(
            json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": lane + 1, "args": {"name": name}}),
        );
        events.push(json!({
            "name": "thread_sort_index", "ph": "M", "pid": 1, "tid": lane + 1, "args": {"sort_index": lane},
        }));
    }
    let span = |name: &str, from: u64, took: u64| {
        json!({
            "name": name, "cat": "larder", "ph": "X", "pid": 1, "tid": 0, "ts": from, "dur": took,
        })
    };
    events.push(json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "larder"}}));
    events.push(span("configuration, plan, store", 0, profile.before));
    if profile.sending > 0 {
        events.push(span("sending to tiers", profile.before + profile.took, profile.sending));
    }
    for entry in &profile.recipes {
        let Some(timing) = &entry.timing else { continue };
        let ended = serde_json::to_value(&entry.ended).unwrap_or_default();
        events.push(json!({
            "name": entry.recipe, "cat": entry.ended.name(), "ph": "X", "pid": 1, "tid": timing.lane + 1,
            "ts": profile.before + timing.begun, "dur": timing.took,
            "args": {"outcome": ended, "waited_for_a_slot_us": timing.begun.saturating_sub(timing.ready)},
        }));
        events.extend(phases(profile.before, timing));
    }
    json!({"displayTimeUnit": "ms", "traceEvents": events})
}

fn phases(before: u64, timing: &Timing) -> Vec<Value> {
    let mut at = before + timing.begun;
    let end = before + timing.end();
    let mut events = Vec::new();
    for phase in COURSE {
        let took = timing.of(phase).min(end.saturating_sub(at));
        if took >= NOTICEABLE && phase != Phase::Other {
            events.push(json!({
                "name": phase.name(), "cat": "phase", "ph": "X", "pid": 1, "tid": timing.lane + 1, "ts": at, "dur": took,
            }));
        }
        at += took;
    }
    events
}
