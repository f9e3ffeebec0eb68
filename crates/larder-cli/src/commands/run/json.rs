//! The run as events, one JSON object a line. The format is `docs/reference/events.md`; [`EVENTS_VERSION`] rises when a field changes its
//! meaning or goes. New fields and new events may come at any time.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use larder::project::OpenProject;
use larder::run::engine::Report;
use larder::run::event::{Event, Outcome};
use larder::run::plan::Plan;
use larder::run::process::Stream;
use larder::run::recipe::RecipeId;
use larder::run::trace::{AccessKind, UndeclaredAccess};
use larder::run::watch::Change;
use serde::Serialize;

use super::summary;
use crate::exit::Exit;
use crate::printer::{EVENTS_VERSION, Printer};

/// More changed paths than this are only counted.
const MOST_PATHS: usize = 100;

#[derive(Serialize)]
struct Line<'e> {
    version: u32,
    #[serde(flatten)]
    event: Told<'e>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Told<'e> {
    Planned {
        project: &'e str,
        root: String,
        jobs: usize,
        recipes: Vec<Planned>,
    },
    Started {
        recipe: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        miss: Option<&'e str>,
    },
    Changed {
        paths: Vec<String>,
        count: usize,
        outputs_of: Vec<String>,
    },
    Watching {
        files: usize,
        folders: usize,
        servers: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        poll_ms: Option<f64>,
    },
    Retrying {
        recipe: String,
        reason: &'e str,
        retry: u32,
        of: u32,
    },
    Waiting {
        recipe: String,
        holder: &'e str,
    },
    Output {
        recipe: String,
        stream: &'static str,
        #[serde(flatten)]
        content: Content<'e>,
    },
    Warning {
        #[serde(skip_serializing_if = "Option::is_none")]
        recipe: Option<String>,
        message: &'e str,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'e str>,
    },
    Traced {
        recipe: String,
        undeclared: Vec<Touched<'e>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        incomplete: Option<&'e str>,
    },
    Finished {
        recipe: String,
        #[serde(flatten)]
        outcome: Ended<'e>,
        took_ms: f64,
    },
    Summary {
        recipes: usize,
        cached: usize,
        tiers: BTreeMap<&'static str, usize>,
        ran: usize,
        failed: usize,
        skipped: usize,
        cancelled: usize,
        would_run: usize,
        took_ms: f64,
        saved_ms: f64,
        exit_code: u8,
    },
}

#[derive(Serialize)]
struct Planned {
    recipe: String,
    selected: bool,
    has_cache: bool,
    dependencies: Vec<String>,
}

/// One access that is not declared.
#[derive(Serialize)]
struct Touched<'e> {
    path: &'e str,
    how: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Content<'e> {
    Text(&'e str),
    Base64(String),
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Ended<'e> {
    Cached {
        tier: &'e str,
        restored: bool,
        saved_ms: f64,
    },
    Ran {
        #[serde(skip_serializing_if = "Option::is_none")]
        miss: Option<&'e str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        not_cached: Option<&'e str>,
        unchanged: bool,
    },
    Failed {
        reason: &'e str,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'e str>,
    },
    Skipped {
        because: String,
    },
    Cancelled,
    NotNeeded,
    Serving {
        begun: bool,
    },
    WouldRun {
        #[serde(skip_serializing_if = "Option::is_none")]
        miss: Option<&'e str>,
    },
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn ended(outcome: &Outcome) -> Ended<'_> {
    match outcome {
        Outcome::Cached { tier, restored, saved } => {
            Ended::Cached { tier, restored: *restored, saved_ms: millis(*saved) }
        }
        Outcome::Ran { miss, not_cached, unchanged } => {
            Ended::Ran { miss: miss.as_deref(), not_cached: not_cached.as_deref(), unchanged: *unchanged }
        }
        Outcome::Failed { reason, hint } => Ended::Failed { reason, hint: hint.as_deref() },
        Outcome::Skipped { because } => Ended::Skipped { because: because.to_string() },
        Outcome::Cancelled => Ended::Cancelled,
        Outcome::NotNeeded => Ended::NotNeeded,
        Outcome::Serving { begun } => Ended::Serving { begun: *begun },
        Outcome::WouldRun { miss } => Ended::WouldRun { miss: miss.as_deref() },
    }
}

fn content(bytes: &[u8]) -> Content<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Content::Text(text),
        Err(_) => Content::Base64(base64::engine::general_purpose::STANDARD.encode(bytes)),
    }
}

fn touched(found: &UndeclaredAccess) -> Touched<'_> {
    let how = match found.access.kind {
        AccessKind::Read => "read",
        AccessKind::Missing => "missing",
        AccessKind::Listed => "listed",
        AccessKind::Executed => "executed",
        AccessKind::Written => "written",
    };
    Touched { path: &found.name, how }
}

/// Writes events.
pub(super) struct Json<'a> {
    printer: &'a Printer,
}

impl<'a> Json<'a> {
    pub(super) fn new(printer: &'a Printer, plan: &Plan, open: &'a OpenProject, jobs: usize) -> Self {
        let json = Self { printer };
        let recipe = |(at, recipe): (usize, &larder::run::recipe::Recipe)| Planned {
            recipe: recipe.id.to_string(),
            selected: plan.selected.contains(&at),
            has_cache: recipe.cache.is_some(),
            dependencies: recipe.dependencies.iter().map(ToString::to_string).collect(),
        };
        json.tell(Told::Planned {
            project: &open.project.name,
            root: open.project.root.to_string_lossy().into_owned(),
            jobs,
            recipes: plan.recipes.iter().enumerate().map(recipe).collect(),
        });
        json
    }

    /// Writes what happens beside runs.
    pub(super) fn beside(printer: &'a Printer) -> Self {
        Self { printer }
    }

    /// Writes what changed, so that another run begins.
    pub(super) fn changed(&self, changes: &[Change], displaced: &[RecipeId]) {
        let path = |change: &Change| change.path.to_string_lossy().into_owned();
        self.tell(Told::Changed {
            paths: changes.iter().take(MOST_PATHS).map(path).collect(),
            count: changes.len(),
            outputs_of: displaced.iter().map(ToString::to_string).collect(),
        });
    }

    /// Writes that changes are waited for.
    pub(super) fn watching(&self, files: usize, folders: usize, servers: usize, poll: Option<Duration>) {
        self.tell(Told::Watching { files, folders, servers, poll_ms: poll.map(millis) });
    }

    fn tell(&self, event: Told<'_>) {
        self.printer.json(&Line { version: EVENTS_VERSION, event });
    }

    /// Writes an event.
    pub(super) fn show(&self, event: &Event<'_>) {
        self.tell(match *event {
            Event::Started { recipe, miss } => Told::Started { recipe: recipe.to_string(), miss },
            Event::Waiting { recipe, holder } => Told::Waiting { recipe: recipe.to_string(), holder },
            Event::Output { recipe, stream, bytes } => Told::Output {
                recipe: recipe.to_string(),
                stream: if stream == Stream::Stdout { "stdout" } else { "stderr" },
                content: content(bytes),
            },
            Event::Retrying { recipe, reason, retry, of } => {
                Told::Retrying { recipe: recipe.to_string(), reason, retry, of }
            }
            Event::Warning { recipe, message, hint } => {
                Told::Warning { recipe: recipe.map(ToString::to_string), message, hint }
            }
            Event::Traced { recipe, trace, undeclared } => Told::Traced {
                recipe: recipe.to_string(),
                undeclared: undeclared.found.iter().map(touched).collect(),
                incomplete: trace.incomplete.as_deref(),
            },
            Event::Finished { recipe, outcome, took } => {
                Told::Finished { recipe: recipe.to_string(), outcome: ended(outcome), took_ms: millis(took) }
            }
        });
    }

    /// Writes what the run came to.
    pub(super) fn end(&self, report: &Report, took: Duration, exit: Exit) {
        self.tell(Told::Summary {
            recipes: report.recipes.len(),
            cached: report.cached(),
            tiers: summary::tiers(report),
            ran: report.ran(),
            failed: report.failed(),
            skipped: report.count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
            cancelled: report.count(|outcome| matches!(outcome, Outcome::Cancelled)),
            would_run: report.count(|outcome| matches!(outcome, Outcome::WouldRun { .. })),
            took_ms: millis(took),
            saved_ms: millis(report.saved()),
            exit_code: exit as u8,
        });
    }
}
