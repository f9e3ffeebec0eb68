//! The engine: runs a plan, greedily, with results that can be trusted.
//!
//! ```text
//! mod.rs      Session: what a run works with        schedule.rs  who goes next; failure and cancellation
//! recipe.rs   one recipe: key → look up → hit, or    fresh.rs     run → check → record
//! start.rs    what is moved away for a run, and back
//! hit.rs      a result is put in place               execute.rs   the command itself, its environment, its log
//! record.rs   outputs are captured and recorded      reason.rs    why it was a miss
//! cache.rs    the store as the other modules need it report.rs    what a run comes to
//! explain.rs  keys as they are now, nothing run      remove.rs    outputs go from the worktree
//! meanwhile.rs  whether what a run relied on was touched while it ran
//! servers.rs  persistent recipes beside the others   lasting.rs  what outlives a run that is repeated
//! spared.rs   inputs among outputs (`!` in `outputs`)
//! tell.rs     what other machines are told of keys
//! dry.rs      what would happen              timing.rs    where a recipe's time goes
//! sandboxed.rs  what a sandbox shows, and what came of it
//! observed.rs   what a command touches beside what is declared
//! ```
//! A recipe's key is computed when its dependencies are done, from what they made. Recipes start as soon as their own dependencies are
//! done (there are no levels). Threads: one per job, each handles one recipe at a time from beginning to end.
//!
//! The store may be absent, read-only or broken: then there are no hits, and everything runs.

mod cache;
mod dry;
mod execute;
mod explain;
mod fresh;
mod hit;
mod lasting;
mod meanwhile;
mod observed;
mod reason;
mod recipe;
mod record;
mod remove;
mod report;
mod sandboxed;
mod schedule;
mod servers;
mod spared;
mod start;
mod tell;
mod timing;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_core::error::chain;
use larder_store::Store;
use larder_store::store::Upstream;

pub use cache::Order;
pub use execute::PASSED_THROUGH;
pub use explain::{Explained, Standing};
pub use lasting::Lasting;
pub use reason::{Change, compare};
pub use recipe::input_set;
pub(crate) use recipe::input_set_of;
pub use record::label_of;
pub use remove::{RemoveError, Removed};
pub use report::{Course, Finished, Report};

use crate::event::Event;
use crate::history::History;
use crate::lock::RecipeLocks;
use crate::outputs;
use crate::plan::Plan;
use crate::process::CancelToken;
use crate::profile::Profile;
use crate::recipe::RecipeId;
use crate::state::{KeyItem, State};
use crate::worktree::Worktree;

/// A shorter wait for tiers is not worth writing a run anew.
const NOTICEABLE: Duration = Duration::from_millis(2);

/// How a plan is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Recipes at once; at least 1.
    pub jobs: usize,
    /// Stop the rest when something fails.
    pub fail_fast: bool,
    /// Do not look up results (they are still recorded).
    pub force: bool,
    /// Look up, and run nothing.
    pub dry_run: bool,
    /// ARGS for the selected recipes.
    pub args: Vec<String>,
    /// Results may be read.
    pub read_cache: bool,
    /// Results may be written.
    pub write_cache: bool,
    /// Logs of hits are replayed as output.
    pub replay: bool,
    /// The caller's environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// A literal output that was not made is a warning, and the result is not recorded (`bake.yml`), instead of a failure.
    pub lenient_outputs: bool,
    /// Which of store and tiers is asked first.
    pub order: Order,
    /// Observe every command and tell of it ([`Event::Traced`]), whatever its recipe says.
    pub trace_all: bool,
    /// Folder of the locks that all worktrees share (`locks/` of the store's home); `None`: no single flight.
    pub flights: Option<PathBuf>,
    /// The name that a person or a pipeline gave the run.
    pub name: Option<String>,
}

/// Why a run could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder or the project's root cannot be used.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// As the module for outputs says it.
    #[error(transparent)]
    Outputs(#[from] outputs::Error),
    /// The folder of locks cannot be used.
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
}

/// Looks at the files that a plan without changes needs, as a run does first. For who has something else to do meanwhile,
/// before there is a session: the run then finds them looked at.
pub fn look_ahead(root: &Path, worktree: &Worktree, plan: &Plan) {
    match State::open(root) {
        Ok(state) => recipe::warm(&state, worktree, plan),
        Err(error) => tracing::debug!(%error, "the session will say what is wrong with the state folder"),
    }
}

/// Everything that the recipes of one run share.
pub struct Session<'a> {
    pub(crate) project: &'a str,
    pub(crate) root: PathBuf,
    pub(crate) worktree: &'a Worktree,
    pub(crate) state: State,
    pub(crate) locks: RecipeLocks,
    pub(crate) root_dir: outputs::Root,
    pub(crate) state_dir: outputs::Root,
    pub(crate) git: outputs::Git,
    pub(crate) cache: cache::Cache<'a>,
    pub(crate) options: Options,
    pub(crate) cancel: CancelToken,
    pub(crate) events: &'a (dyn Fn(Event<'_>) + Sync),
    pub(crate) run: String,
    /// What outlives this run, and the worktree for it.
    pub(crate) lasting: Option<(&'a Lasting, Arc<Worktree>)>,
    remembered: Mutex<Vec<(String, Vec<KeyItem>)>>,
    since: Instant,
    telling: tell::Telling,
}

impl<'a> Session<'a> {
    /// Prepares a run in the project at `root` (absolute).
    ///
    /// # Errors
    /// When the state folder cannot be used.
    #[expect(clippy::too_many_arguments, reason = "the parts of a session, each named once")]
    pub fn new(
        project: &'a str,
        root: &Path,
        worktree: &'a Worktree,
        store: Option<&'a Store>,
        upstream: Option<&'a dyn Upstream>,
        options: Options,
        cancel: CancelToken,
        run: String,
        events: &'a (dyn Fn(Event<'_>) + Sync),
    ) -> Result<Self, StartError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Io { path, source }
        };
        let root = std::fs::canonicalize(root).map_err(at(root))?;
        let state = State::open(&root).map_err(at(&root.join(".larder/state")))?;
        let state_dir = outputs::Root::open(state.folder())?;
        let locks = RecipeLocks::open(&state.folder().join("locks"))?;
        let root_dir = outputs::Root::open(&root)?;
        let git = outputs::Git::new(&root);
        let cache = cache::Cache::new(store, upstream, options.order);
        Ok(Self {
            project,
            root,
            worktree,
            state,
            locks,
            root_dir,
            state_dir,
            git,
            cache,
            options,
            cancel,
            events,
            run,
            lasting: None,
            remembered: Mutex::default(),
            since: Instant::now(),
            telling: tell::Telling::default(),
        })
    }

    /// When the program began, for the run's profile; else the session's own beginning.
    #[must_use]
    pub fn since(self, since: Instant) -> Self {
        Self { since, ..self }
    }

    /// This run is one of several: servers live on after it, and recipes without `cache` only run if something changed for them.
    #[must_use]
    pub fn with_lasting(mut self, lasting: &'a Lasting, worktree: Arc<Worktree>) -> Self {
        self.lasting = Some((lasting, worktree));
        self
    }

    /// Runs the plan and tells what came of it. Never fails as a whole: each recipe has its outcome.
    #[must_use]
    pub fn run(&self, plan: &Plan) -> Report {
        if !self.options.dry_run {
            self.tidy();
        }
        let mut report = schedule::run(self, plan);
        if let Some(error) = self.cache.take_trouble() {
            let message = chain(&error);
            (self.events)(Event::Warning { recipe: None, message: &message, hint: error.hint() });
        }
        if let Err(error) = self.worktree.save().and_then(|()| self.state.save()) {
            let message = format!("cannot write `.larder/state`: {error}");
            (self.events)(Event::Warning { recipe: None, message: &message, hint: None });
        }
        if !report.cancelled && self.cache.telling().is_some() {
            let telling = Instant::now();
            self.tell_run();
            report.course.sending = telling.elapsed();
        }
        self.write_history(plan, &mut report);
        report
    }

    /// What this worktree remembers.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What a clean start or a restore of a recipe called `name` works on.
    pub(crate) fn scope<'s>(
        &'s self,
        spec: &'s outputs::OutputSpec,
        owned: &'s outputs::Owned,
        is_input: &'s (dyn Fn(&[u8]) -> bool + Sync),
        name: &'s str,
    ) -> outputs::Scope<'s> {
        let (root, state, run) = (&self.root_dir, &self.state_dir, &self.run);
        outputs::Scope { root, state, spec, owned, tracked: &self.git, is_input, run, recipe: name }
    }

    /// Notes what the key of a recipe was computed from, now that it ran or was restored.
    pub(crate) fn remember(&self, recipe: &RecipeId, items: Vec<KeyItem>) {
        if let Err(error) = self.state.set_last_key(recipe, &items) {
            tracing::debug!(%error, "the key's items could not be kept");
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.push((recipe.to_string(), items));
    }

    /// A run in which everything was in place changes nothing and is not kept.
    fn write_history(&self, plan: &Plan, report: &mut Report) {
        let remembered = std::mem::take(&mut *self.remembered.lock().unwrap_or_else(PoisonError::into_inner));
        if remembered.is_empty() && !Profile::is_worth_keeping(report) {
            return;
        }
        let profile = Profile::of(plan, report);
        match History::open(self.state.folder()).append(remembered, Some(&profile)) {
            Ok(run) => report.course.run = Some(run),
            Err(error) => tracing::debug!(%error, "the run could not be kept"),
        }
    }

    /// Notes how long it took, after a run, until tiers had what it made.
    pub fn note_sending(&self, report: &mut Report, sending: Duration) {
        report.course.sending += sending;
        let Some(run) = report.course.run.filter(|_| sending >= NOTICEABLE) else { return };
        if let Err(error) = History::open(self.state.folder()).set_sending(run, report.course.sending) {
            tracing::debug!(%error, "the run's profile could not be completed");
        }
    }

    /// Puts in order what killed runs left, and forgets what was kept for undo for long enough.
    fn tidy(&self) {
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let expired = outputs::undo::expire(&self.state_dir, std::time::SystemTime::now(), day);
        let tidied = expired.and_then(|_| outputs::staging::recover(&self.state_dir));
        if let Err(error) = tidied {
            let message = format!("what an earlier run left could not be tidied: {}", chain(&error));
            (self.events)(Event::Warning { recipe: None, message: &message, hint: None });
        }
    }
}
