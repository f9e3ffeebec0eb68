//! The course of a run: when each recipe had its turn, on which lane, and where the time went; for `larder profile` and reports.
//!
//! | module | what |
//! |---|---|
//! | this one | what is kept of a run |
//! | [`path`] | the chain of recipes that decided how long it took |
//! | [`totals`] | sums: phases, tiers, parallelism |
//! | [`chrome`] | the same as Chrome trace events |
//!
//! Times are microseconds since the first recipe could begin. A lane is a job slot; `persistent` recipes have lanes of their own
//! behind those. What is kept is read by later versions of Larder: [`FORMAT`] rises when a field of [`Profile`] or of what is
//! in it changes, and a profile of another format is none.

pub mod chrome;
pub mod path;
pub mod totals;

use serde::{Deserialize, Serialize};

use crate::engine::Report;
use crate::event::Outcome;
use crate::plan::Plan;

/// The format of a kept [`Profile`].
pub const FORMAT: u8 = 1;

/// What a recipe's time can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Its command.
    Command,
    /// Another process has the recipe's lock or computes the same action, or a server begins.
    Wait,
    /// The key: looking at inputs, tools and dependencies.
    Key,
    /// The store.
    LookUp,
    /// Asking tiers, and bringing what they have.
    Fetch,
    /// Outputs are put in place.
    Restore,
    /// The clean start before the command.
    Prepare,
    /// Outputs are taken into the store.
    Capture,
    /// What the run relied on is looked at again.
    Check,
    /// The result is recorded.
    Record,
    /// Everything else.
    Other,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = 11;
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Command,
        Self::Wait,
        Self::Key,
        Self::LookUp,
        Self::Fetch,
        Self::Restore,
        Self::Prepare,
        Self::Capture,
        Self::Check,
        Self::Record,
        Self::Other,
    ];

    /// Its place in [`Timing::spent`].
    #[must_use]
    pub const fn at(self) -> usize {
        self as usize
    }

    /// Its name, as `--json` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Wait => "wait",
            Self::Key => "key",
            Self::LookUp => "look_up",
            Self::Fetch => "fetch",
            Self::Restore => "restore",
            Self::Prepare => "prepare",
            Self::Capture => "capture",
            Self::Check => "check",
            Self::Record => "record",
            Self::Other => "other",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Command => "commands",
            Self::Wait => "waiting for locks and servers",
            Self::Key => "computing keys",
            Self::LookUp => "looking up results",
            Self::Fetch => "asking tiers, fetching",
            Self::Restore => "restoring outputs",
            Self::Prepare => "clean start",
            Self::Capture => "capturing outputs",
            Self::Check => "looking again at inputs",
            Self::Record => "recording results",
            Self::Other => "everything else",
        }
    }
}

/// When a recipe had its turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// All that it depends on was done.
    pub ready: u64,
    /// It began.
    pub begun: u64,
    /// How long it took.
    pub took: u64,
    /// On which lane.
    pub lane: u32,
    /// What it took, by phase.
    pub spent: [u64; Phase::COUNT],
}

impl Timing {
    /// When it was done.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.begun.saturating_add(self.took)
    }

    /// What it spent on one phase.
    #[must_use]
    pub fn of(&self, phase: Phase) -> u64 {
        self.spent[phase.at()]
    }
}

/// How a recipe ended, as [`Outcome`] says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `Outcome`")]
pub enum Ended {
    Cached { tier: String, restored: bool, saved: u64 },
    Ran { miss: Option<String>, not_cached: Option<String>, unchanged: bool },
    Failed { reason: String },
    Skipped { because: String },
    Cancelled,
    NotNeeded,
    Serving,
    WouldRun { miss: Option<String> },
}

impl Ended {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Cached { tier, restored, saved, .. } => {
                Self::Cached { tier: (*tier).to_owned(), restored: *restored, saved: micros(*saved) }
            }
            Outcome::Ran { miss, not_cached, unchanged, .. } => {
                Self::Ran { miss: miss.clone(), not_cached: not_cached.clone(), unchanged: *unchanged }
            }
            Outcome::Failed { reason, .. } => Self::Failed { reason: reason.clone() },
            Outcome::Skipped { because } => Self::Skipped { because: because.to_string() },
            Outcome::Cancelled => Self::Cancelled,
            Outcome::NotNeeded => Self::NotNeeded,
            Outcome::Serving { .. } => Self::Serving,
            Outcome::WouldRun { miss } => Self::WouldRun { miss: miss.clone() },
        }
    }

    /// Its name, as `--json` has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cached { .. } => "cached",
            Self::Ran { .. } => "ran",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled => "cancelled",
            Self::NotNeeded => "not_needed",
            Self::Serving => "serving",
            Self::WouldRun { .. } => "would_run",
        }
    }
}

/// One recipe of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub recipe: String,
    /// The places of its dependencies in [`Profile::recipes`].
    pub dependencies: Vec<u32>,
    /// It is `persistent`.
    pub server: bool,
    /// How it ended.
    pub ended: Ended,
    /// Its turn, if it came.
    pub timing: Option<Timing>,
}

/// The course of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Name of the project.
    pub project: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// When the first recipe could begin, since 1970.
    pub begun: u64,
    /// Job slots.
    pub jobs: u32,
    /// What came before the first recipe could begin: configuration, plan, store.
    pub before: u64,
    /// From there to the end of the last recipe.
    pub took: u64,
    /// Waiting until tiers had what was made, after that.
    pub sending: u64,
    /// It was cancelled.
    pub cancelled: bool,
    /// All recipes of the plan, dependencies before their dependents.
    pub recipes: Vec<Entry>,
}

/// Whole microseconds.
#[must_use]
pub fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Profile {
    /// The lanes that recipes were on, ascending, and whether a server was on it.
    #[must_use]
    pub fn lanes(&self) -> Vec<(u32, bool)> {
        let lane = |entry: &Entry| Some((entry.timing.as_ref()?.lane, entry.server));
        let mut lanes: Vec<(u32, bool)> = self.recipes.iter().filter_map(lane).collect();
        lanes.sort_unstable();
        lanes.dedup_by_key(|(lane, _)| *lane);
        lanes
    }

    /// What is known of a run that ended.
    #[must_use]
    pub fn of(plan: &Plan, report: &Report) -> Self {
        let place = |at: &usize| u32::try_from(*at).unwrap_or(u32::MAX);
        let entry = |(at, finished): (usize, &crate::engine::Finished)| Entry {
            recipe: finished.recipe.to_string(),
            dependencies: plan.dependencies.get(at).into_iter().flatten().map(place).collect(),
            server: plan.recipes.get(at).is_some_and(|recipe| recipe.persistent),
            ended: Ended::of(&finished.outcome),
            timing: report.course.timings.get(at).cloned().flatten(),
        };
        Self {
            project: report.course.project.clone(),
            name: report.course.name.clone(),
            begun: report.course.begun,
            jobs: report.course.jobs,
            before: micros(report.course.before),
            took: micros(report.took),
            sending: micros(report.course.sending),
            cancelled: report.cancelled,
            recipes: report.recipes.iter().enumerate().map(entry).collect(),
        }
    }

    /// Whether something happened that is worth keeping: not if everything was in place.
    #[must_use]
    pub(crate) fn is_worth_keeping(report: &Report) -> bool {
        report.recipes.iter().zip(&report.course.timings).any(|(finished, timing)| match &finished.outcome {
            Outcome::Cached { restored, .. } => *restored,
            Outcome::Ran { .. } | Outcome::Failed { .. } => true,
            Outcome::Cancelled => timing.is_some(),
            _ => false,
        })
    }

    /// From the start of the program to its end, as far as it was measured.
    #[must_use]
    pub fn wall(&self) -> u64 {
        self.before.saturating_add(self.took).saturating_add(self.sending)
    }

    /// Whether the parts fit each other: a kept profile may be damaged in ways that its checksum does not show.
    #[must_use]
    pub(crate) fn is_sound(&self) -> bool {
        let sound = |(at, entry): (usize, &Entry)| entry.dependencies.iter().all(|on| (*on as usize) < at);
        self.recipes.iter().enumerate().all(sound)
    }
}
