//! One recipe, from its turn to its end.
//!
//! ```text
//! key ─ look up ─ hit, outputs in place ──────────────────────────────────────────────► cached      (no lock)
//!         │
//!         └─ lock of the recipe ─ key again ─ look up again ─ hit ─ restore ──────────► cached
//!                                                  └─ miss ─ single flight ─ look up ─► cached
//!                                                                └─ run ─ capture ─ check again ─ record ─► ran
//! ```
//! The look-up is repeated under each lock, because what was waited for may just have made the result. What follows
//! "run" is in `fresh.rs`.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use larder_core::Digest;
use larder_reapi::ActionResult;
use larder_store::store::Note;

use super::execute::{Bounds, Failure, execute, is_tried_again};
use super::hit::{self, OnDisk, Restored};
use super::lasting;
use super::observed;
use super::record;
use super::schedule::Made;
use super::servers::Servers;
use super::spared::Spared;
use super::timing;
use super::{Session, reason};
use crate::event::{Event, Outcome};
use crate::installation;
use crate::key::{self, Key, Parts};
use crate::lock::{Acquired, RecipeLock, single_flight};
use crate::outputs::OutputSpec;
use crate::plan::Plan;
use crate::profile::Phase;
use crate::recipe::{CacheSpec, Inputs, Recipe, RecipeId};
use crate::state::State;
use crate::worktree::{PathSpec, Worktree};
use larder_core::error::chain;

/// A recipe's end, for the schedule.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) made: Made,
}

/// An end that is a failure.
pub(super) fn failed(reason: impl Into<String>, hint: Option<String>) -> Done {
    let outcome = Outcome::Failed { reason: reason.into(), hint };
    Done { outcome, made: Made::of(None) }
}

/// A failure on the way to where there would have been something else.
fn stopped(reason: impl Into<String>, hint: Option<String>) -> Box<Done> {
    Box::new(failed(reason, hint))
}

impl From<Failure> for Done {
    fn from(failure: Failure) -> Self {
        if failure.cancelled {
            return Self { outcome: Outcome::Cancelled, made: Made::of(None) };
        }
        failed(failure.reason, failure.hint)
    }
}

/// A result that is believed, and the tier that it came from.
pub(super) struct Found {
    pub(super) result: ActionResult,
    pub(super) tier: &'static str,
}

/// Everything about the recipe at hand that does not change while it is processed.
pub(super) struct Job<'s> {
    pub(super) session: &'s Session<'s>,
    /// The plan that it is run in with its servers, and where it stands there; `None` if it is not run.
    pub(super) plan: Option<(&'s Plan, &'s Servers<'s>, usize)>,
    pub(super) recipe: &'s Recipe,
    pub(super) cache: &'s CacheSpec,
    pub(super) spec: OutputSpec,
    pub(super) args: &'s [String],
    pub(super) dependencies: &'s [Made],
}

/// The key at one moment, with what it was computed from.
pub(super) struct Now {
    pub(super) inputs: PathSpec,
    pub(super) input_root: Digest,
    pub(super) spared: Spared,
    pub(super) tools: Vec<(String, Digest)>,
    pub(super) key: Key,
    pub(super) bound_key: Key,
}

/// Looks at everything that a plan without changes needs, in one batch.
pub(super) fn warm(state: &State, worktree: &Worktree, plan: &Plan) {
    let specs: Vec<PathSpec> = plan
        .recipes
        .iter()
        .filter_map(|recipe| {
            let cache = recipe.cache.as_ref()?;
            let spec = OutputSpec::new(&recipe.folder, &cache.outputs).ok()?;
            let globbed = state.placed(&recipe.id).map(|placed| placed.globbed).unwrap_or_default();
            Some([input_spec(recipe, cache, &spec, &globbed), hit::on_disk_spec(recipe, &spec, &globbed)])
        })
        .flatten()
        .collect();
    worktree.warm(&specs.iter().collect::<Vec<_>>());
}

pub(super) fn input_spec(
    recipe: &Recipe,
    cache: &CacheSpec,
    outputs: &OutputSpec,
    globbed: &[Vec<u8>],
) -> PathSpec {
    let path = |bytes: &Vec<u8>| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    let mut spec = match &cache.inputs {
        Inputs::Folder { except } => {
            let mut spec = PathSpec::inputs(&recipe.folder, Vec::<String>::new());
            spec.whole_folder = true;
            spec.exclude = except.clone();
            spec
        }
        Inputs::Patterns(patterns) => PathSpec::inputs(&recipe.folder, patterns.iter().cloned()),
    };
    spec.exclude_paths = outputs.literals().iter().chain(globbed).map(path).collect();
    spec
}

/// What a recipe reads, before anything is known of what it makes; `None`: it has no `cache`, and nobody knows.
#[must_use]
pub fn input_set(recipe: &Recipe) -> Option<PathSpec> {
    let cache = recipe.cache.as_ref()?;
    let spec = OutputSpec::new(&recipe.folder, &cache.outputs).ok()?;
    Some(input_spec(recipe, cache, &spec, &[]))
}

/// What a recipe reads, given which paths its output globs own; and a set that also holds what `!` takes out of its outputs, if anything does.
pub(crate) fn input_set_of(recipe: &Recipe, globbed: &[Vec<u8>]) -> Option<(PathSpec, Option<PathSpec>)> {
    let cache = recipe.cache.as_ref().filter(|_| !recipe.persistent)?;
    let spec = OutputSpec::new(&recipe.folder, &cache.outputs).ok()?;
    let inputs = input_spec(recipe, cache, &spec, globbed);
    let spares = cache.outputs.iter().any(|pattern| pattern.starts_with('!'));
    let all = || PathSpec { exclude: Vec::new(), exclude_paths: Vec::new(), ..inputs.clone() };
    let all = spares.then(all);
    Some((inputs, all))
}

/// Processes the recipe at `at` of the plan.
pub(super) fn process(
    session: &Session<'_>,
    plan: &Plan,
    servers: &Servers<'_>,
    at: usize,
    dependencies: &[Made],
) -> Done {
    let recipe = &plan.recipes[at];
    let args: &[String] = if plan.selected.contains(&at) { &session.options.args } else { &[] };
    let Some(cache) = recipe.cache.as_ref().filter(|_| !recipe.persistent) else {
        return run_uncached(session, servers, at, recipe, args, dependencies);
    };
    let spec = match OutputSpec::new(&recipe.folder, &cache.outputs) {
        Ok(spec) => spec,
        Err(error) => return failed(chain(&error), None),
    };
    let job = Job { session, plan: Some((plan, servers, at)), recipe, cache, spec, args, dependencies };
    job.process()
}

fn dependency_digests(recipe: &Recipe, plan: &[Made]) -> Option<Vec<(crate::recipe::RecipeId, Digest)>> {
    recipe.dependencies.iter().zip(plan).map(|(id, made)| Some((id.clone(), made.digest?))).collect()
}

/// What dependents see of a recipe that always runs: its own key.
pub(super) fn uncached_made(
    session: &Session<'_>,
    recipe: &Recipe,
    args: &[String],
    dependencies: &[Made],
) -> Made {
    let digests = dependency_digests(recipe, dependencies).unwrap_or_default();
    let parts = Parts {
        project: session.project,
        recipe,
        args,
        inputs: None,
        spared: None,
        tools: &[],
        dependencies: &digests,
    };
    let digest = key::compute(&parts, key::VERSION.as_bytes()).digest;
    Made::of(Some(digest))
}

/// A recipe without `cache` always runs; its own key is what dependents see.
fn run_uncached(
    session: &Session<'_>,
    servers: &Servers<'_>,
    at: usize,
    recipe: &Recipe,
    args: &[String],
    dependencies: &[Made],
) -> Done {
    let made = uncached_made(session, recipe, args, dependencies);
    if session.options.dry_run {
        return Done { outcome: Outcome::WouldRun { miss: None }, made };
    }
    let identity = lasting::identity(&made, dependencies);
    if let Some((lasting, _)) = &session.lasting
        && let Some(mark) = lasting.settled(&recipe.id, &identity)
        && !session.options.force
    {
        return Done { outcome: Outcome::NotNeeded, made: Made { mark: Some(mark), ..made } };
    }
    let lock = match acquire(session, recipe) {
        Ok(Some(lock)) => lock,
        Ok(None) => return runs_itself(&recipe.id),
        Err(done) => return *done,
    };
    if let Err(reason) = servers.ensure(at) {
        return failed(reason, None);
    }
    (session.events)(Event::Started { recipe: &recipe.id, miss: None });
    for tries in 1.. {
        let (watch, observed) = observed::begin(session, recipe).unzip();
        match execute(session, recipe, args, &lock, &session.cancel, Bounds { enclosure: None, watch }) {
            Ok(_) => {
                if let Some(observed) = observed {
                    observed::tell_uncached(session, recipe, observed);
                }
                break;
            }
            Err(failure) if is_tried_again(session, recipe, &failure, tries) => {}
            Err(failure) => return failure.into(),
        }
    }
    let mark = session.lasting.as_ref().map(|(lasting, _)| lasting.settle(&recipe.id, identity));
    let made = Made { mark, ..made };
    Done { outcome: Outcome::Ran { miss: None, not_cached: None, unchanged: false }, made }
}

/// A nested run is part of the recipe that it would run: that would never end.
pub(super) fn runs_itself(recipe: &RecipeId) -> Done {
    let hint = "its command starts `larder run`, which comes back to it: name there only what it needs, or make \
                that a dependency";
    failed(format!("recipe `{recipe}` runs itself"), Some(hint.to_owned()))
}

/// The recipe's lock; none if this is a run within that very recipe, which may restore it and not run it.
pub(super) fn acquire(session: &Session<'_>, recipe: &Recipe) -> Result<Option<RecipeLock>, Box<Done>> {
    let waiting = |holder: &crate::lock::Holder| {
        let by = holder.runner.map(|process| format!("process {}", process.pid)).unwrap_or_default();
        (session.events)(Event::Waiting { recipe: &recipe.id, holder: &by });
    };
    let _counting = timing::enter(Phase::Wait);
    match session.locks.acquire(&recipe.id.to_string(), &session.cancel, waiting) {
        Ok(Acquired::Held(lock)) => Ok(Some(lock)),
        Ok(Acquired::Inherited(_)) => Ok(None),
        Err(crate::lock::LockError::Cancelled(_)) => {
            Err(Box::new(Done { outcome: Outcome::Cancelled, made: Made::of(None) }))
        }
        Err(error) => Err(stopped(chain(&error), None)),
    }
}

impl Job<'_> {
    fn process(&self) -> Done {
        let Some(_) = dependency_digests(self.recipe, self.dependencies) else {
            return self.dry_after_another();
        };
        let now = match self.now() {
            Ok(now) => now,
            Err(done) => return *done,
        };
        if self.session.options.dry_run {
            return self.dry(&now);
        }
        let first = self.look_up(&now, true, Note::All);
        let note = if first.is_ok() { Note::Nothing } else { Note::Hits };
        if let Ok((result, tree)) = first
            && let Some(on_disk) = hit::in_place(self.session, self.recipe, &self.spec, &tree)
        {
            return self.cached(&now, &result, on_disk, false);
        }
        let lock = match acquire(self.session, self.recipe) {
            Ok(lock) => lock,
            Err(done) => return *done,
        };
        self.locked(lock.as_ref(), note)
    }

    /// The key, from what is on disk now.
    pub(super) fn now(&self) -> Result<Now, Box<Done>> {
        let _counting = timing::enter(Phase::Key);
        let (session, recipe) = (self.session, self.recipe);
        let globbed = session.state.placed(&recipe.id).map(|placed| placed.globbed).unwrap_or_default();
        let inputs = input_spec(recipe, self.cache, &self.spec, &globbed);
        let summary =
            session.worktree.digest_of(&inputs).map_err(|error| stopped(chain(&error), error.hint()))?;
        let spared = Spared::look(session, recipe, self.cache, &self.spec)
            .map_err(|error| stopped(chain(&error), error.hint()))?;
        let tools = self.tools()?;
        let dependencies = dependency_digests(recipe, self.dependencies).unwrap_or_default();
        let parts = Parts {
            project: session.project,
            recipe,
            args: self.args,
            inputs: Some(summary.root),
            spared: spared.digest(),
            tools: &tools,
            dependencies: &dependencies,
        };
        let key = key::compute(&parts, key::VERSION.as_bytes());
        let bound_key = key::compute(&parts, &key::place_salt(&session.root));
        Ok(Now { inputs, input_root: summary.root, spared, tools, key, bound_key })
    }

    pub(super) fn tools(&self) -> Result<Vec<(String, Digest)>, Box<Done>> {
        let found = |tool: &String| -> Result<(String, Digest), Box<Done>> {
            let missing = || {
                stopped(format!("tool `{tool}` was not found"), Some("`tools:` are looked up in PATH".into()))
            };
            let file = find_tool(self.session, self.recipe, tool).ok_or_else(missing)?;
            let digest = self.session.worktree.file(&file);
            Ok((tool.clone(), digest.map_err(|error| stopped(chain(&error), error.hint()))?))
        };
        self.recipe.tools.iter().map(found).collect()
    }

    /// The trusted result for the key, and its tree. `Err`: why there is none.
    pub(super) fn look_up(&self, now: &Now, in_place: bool, note: Note) -> Result<(Found, Digest), String> {
        let _counting = timing::enter(Phase::LookUp);
        let session = self.session;
        if session.options.force || !session.options.read_cache {
            return Err(if session.options.force { "forced" } else { "the cache is not read" }.to_owned());
        }
        let label = self.recipe.id.to_string();
        let mut hit = session.cache.look_up(&now.key.digest, &label, in_place, note)?;
        if !record::is_bound_marker(&hit.result) {
            session.cache.offer(&now.key.digest, &label);
        } else {
            let elsewhere = |_| "its outputs hold the path of another place (see `relocatable`)".to_owned();
            hit = session.cache.look_up(&now.bound_key.digest, &label, in_place, note).map_err(elsewhere)?;
        }
        let tree = hit::tree_digest(&hit.result).ok_or("the recorded result is malformed")?;
        Ok((Found { result: hit.result, tier: hit.tier }, tree))
    }

    /// What dependents see of outputs that are in place.
    pub(super) fn made(&self, now: &Now, digest: Option<Digest>, on_disk: OnDisk) -> Made {
        let mark = self.spec.is_empty().then_some(now.key.digest);
        Made { digest, outputs: Some(Box::new(on_disk)), mark }
    }

    fn cached(&self, now: &Now, found: &Found, on_disk: OnDisk, restored: bool) -> Done {
        let (session, result) = (self.session, &found.result);
        if session.options.replay
            && let Some(log) = result.stdout_digest.as_ref()
            && let Some(log) = larder_store::message::from_message(larder_core::DigestFunction::Blake3, log)
        {
            let stream = crate::process::Stream::Stdout;
            let mut show =
                |bytes: &[u8]| (session.events)(Event::Output { recipe: &self.recipe.id, stream, bytes });
            if let Err(error) = session.cache.read(&log, &mut show) {
                tracing::debug!(%error, "the log cannot be replayed");
            }
        }
        session.know_key(&self.recipe.id, &now.key.digest);
        if restored {
            session.remember(&self.recipe.id, self.items(now));
        }
        let made = self.made(now, hit::tree_digest(result), on_disk);
        Done { outcome: Outcome::Cached { tier: found.tier, restored, saved: saved(result) }, made }
    }

    /// Restores a hit; `Err`: why it has to run after all, or that it failed.
    fn restore(&self, now: &Now, result: &Found, tree: &Digest) -> Result<Done, Result<String, Box<Done>>> {
        let _counting = timing::enter(Phase::Restore);
        let is_input = self.is_input(&now.inputs).map_err(Err)?;
        match hit::restore(self.session, self.recipe, &self.spec, tree, &is_input) {
            Restored::Done(on_disk, restored) => Ok(self.cached(now, result, on_disk, restored)),
            Restored::Miss(reason) => Err(Ok(reason)),
            Restored::Failed(reason) => Err(Err(stopped(reason, None))),
        }
    }

    /// Tells which paths are inputs, and so never moved, replaced or removed.
    pub(super) fn is_input(
        &self,
        inputs: &PathSpec,
    ) -> Result<impl Fn(&[u8]) -> bool + Sync + use<>, Box<Done>> {
        let entries = self.session.worktree.entries(inputs);
        let entries = entries.map_err(|error| stopped(chain(&error), error.hint()))?;
        let paths: BTreeSet<Vec<u8>> =
            entries.into_iter().map(|entry| entry.path.as_os_str().as_bytes().to_vec()).collect();
        Ok(move |path: &[u8]| paths.contains(path))
    }

    fn locked(&self, lock: Option<&RecipeLock>, note: Note) -> Done {
        self.session.worktree.ran();
        let now = match self.now() {
            Ok(now) => now,
            Err(done) => return *done,
        };
        let why = match self.hit(&now, note) {
            Ok(done) => return done,
            Err(Err(done)) => return *done,
            Err(Ok(why)) => why,
        };
        let flight = match &self.session.options.flights {
            Some(folder) => {
                let waiting = |_: &crate::lock::Holder| {
                    let holder = "another worktree";
                    (self.session.events)(Event::Waiting { recipe: &self.recipe.id, holder });
                };
                let _counting = timing::enter(Phase::Wait);
                single_flight(folder, &now.key.digest.hash.to_hex(), &self.session.cancel, waiting).ok()
            }
            None => None,
        };
        if self.session.cancel.is_cancelled() {
            return Done { outcome: Outcome::Cancelled, made: Made::of(None) };
        }
        let why = match if flight.is_some() { self.hit(&now, note) } else { Err(Ok(why.clone())) } {
            Ok(done) => return done,
            Err(Err(done)) => return *done,
            Err(Ok(again)) => {
                if again.is_empty() {
                    why
                } else {
                    again
                }
            }
        };
        self.run(&now, lock, why)
    }

    fn hit(&self, now: &Now, note: Note) -> Result<Done, Result<String, Box<Done>>> {
        let (result, tree) = self.look_up(now, false, note).map_err(Ok)?;
        if let Some(on_disk) = hit::in_place(self.session, self.recipe, &self.spec, &tree) {
            return Ok(self.cached(now, &result, on_disk, false));
        }
        self.restore(now, &result, &tree)
    }

    pub(super) fn items(&self, now: &Now) -> Vec<crate::state::KeyItem> {
        let mut inputs = self.session.worktree.entries(&now.inputs).unwrap_or_default();
        inputs.extend(now.spared.entries().iter().cloned());
        let inputs = inputs.iter().map(|entry| (entry.path.display().to_string(), entry.kind.to_string()));
        let dependencies = dependency_digests(self.recipe, self.dependencies).unwrap_or_default();
        let parts = Parts {
            project: self.session.project,
            recipe: self.recipe,
            args: self.args,
            inputs: Some(now.input_root),
            spared: now.spared.digest(),
            tools: &now.tools,
            dependencies: &dependencies,
        };
        key::items(&parts, inputs)
    }

    pub(super) fn miss_reason(&self, now: &Now, why: String) -> String {
        let Some(before) = self.session.state.last_key(&self.recipe.id) else { return why };
        let changes = reason::compare(&before, &self.items(now));
        if changes.is_empty() { why } else { reason::one_line(&changes) }
    }
}

/// Where a tool of the recipe is.
pub(super) fn find_tool(session: &Session<'_>, recipe: &Recipe, tool: &str) -> Option<PathBuf> {
    let path = session.options.environment.get(std::ffi::OsStr::new("PATH"));
    let search: Vec<PathBuf> = path.into_iter().flat_map(std::env::split_paths).collect();
    installation::find_tool(&session.root, recipe, &search, tool)
}

/// How long the recorded run took.
pub(super) fn saved(result: &ActionResult) -> Duration {
    let metadata = result.execution_metadata.as_ref();
    let span = metadata.and_then(|m| Some((m.execution_start_timestamp?, m.execution_completed_timestamp?)));
    let Some((start, end)) = span else { return Duration::ZERO };
    let nanos =
        |time: larder_reapi::Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    u64::try_from(nanos(end) - nanos(start)).map_or(Duration::ZERO, Duration::from_nanos)
}
