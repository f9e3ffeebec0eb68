//! One recipe, from its turn to its end.
//!
//! ```text
//! key ─ look up ─ hit, outputs in place ──────────────────────────────────────────────► cached      (no lock)
//!         │
//!         └─ lock of the recipe ─ key again ─ look up again ─ hit ─ restore ──────────► cached
//!                                                  └─ miss ─ single flight ─ look up ─► cached
//!                                                                └─ run ─ capture ─ check again ─ record ─► ran
//! ```
//! The look-up is repeated under each lock, because what was waited for may just have made the result. After the
//! run, inputs and dependencies' outputs are looked at again: if one is not what the key says, nothing is recorded.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use larder_core::Digest;
use larder_reapi::ActionResult;

use super::execute::{Failure, chain, execute};
use super::hit::{self, OnDisk, Restored};
use super::meanwhile::{self, Seen};
use super::record::{self, CaptureError};
use super::schedule::Made;
use super::{Session, reason};
use crate::event::{Event, Outcome};
use crate::key::{self, Key, Parts};
use crate::lock::{Acquired, RecipeLock, single_flight};
use crate::outputs::{OutputSpec, Owned, Scope, Snapshot, capture, clean, record as owning};
use crate::plan::Plan;
use crate::recipe::{CacheSpec, Inputs, Recipe};
use crate::worktree::{EntryKind, InputError, PathSpec};

/// A recipe's end, for the schedule.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) made: Made,
}

fn failed(reason: impl Into<String>, hint: Option<String>) -> Done {
    let outcome = Outcome::Failed { reason: reason.into(), hint };
    Done { outcome, made: Made { digest: None, outputs: None } }
}

/// A failure on the way to where there would have been something else.
fn stopped(reason: impl Into<String>, hint: Option<String>) -> Box<Done> {
    Box::new(failed(reason, hint))
}

impl From<Failure> for Done {
    fn from(failure: Failure) -> Self {
        if failure.cancelled {
            return Self { outcome: Outcome::Cancelled, made: Made { digest: None, outputs: None } };
        }
        failed(failure.reason, failure.hint)
    }
}

/// Everything about the recipe at hand that does not change while it is processed.
struct Job<'s> {
    session: &'s Session<'s>,
    plan: &'s Plan,
    at: usize,
    recipe: &'s Recipe,
    cache: &'s CacheSpec,
    spec: OutputSpec,
    args: &'s [String],
    dependencies: &'s [Made],
}

/// The key at one moment, with what it was computed from.
struct Now {
    inputs: PathSpec,
    input_root: Digest,
    tools: Vec<(String, Digest)>,
    key: Key,
    bound_key: Key,
}

/// Looks at everything that a plan without changes needs, in one batch.
pub(super) fn warm(session: &Session<'_>, plan: &Plan) {
    let specs: Vec<PathSpec> = plan
        .recipes
        .iter()
        .filter_map(|recipe| {
            let cache = recipe.cache.as_ref()?;
            let spec = OutputSpec::new(&recipe.folder, &cache.outputs).ok()?;
            let globbed = session.state.placed(&recipe.id).map(|placed| placed.globbed).unwrap_or_default();
            Some([input_spec(recipe, cache, &spec, &globbed), hit::on_disk_spec(recipe, &spec, &globbed)])
        })
        .flatten()
        .collect();
    session.worktree.warm(&specs.iter().collect::<Vec<_>>());
}

fn input_spec(recipe: &Recipe, cache: &CacheSpec, outputs: &OutputSpec, globbed: &[Vec<u8>]) -> PathSpec {
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

/// Processes the recipe at `at` of the plan.
pub(super) fn process(session: &Session<'_>, plan: &Plan, at: usize, dependencies: &[Made]) -> Done {
    let recipe = &plan.recipes[at];
    let args: &[String] = if plan.selected.contains(&at) { &session.options.args } else { &[] };
    let Some(cache) = recipe.cache.as_ref().filter(|_| !recipe.persistent) else {
        return run_uncached(session, recipe, args, dependencies);
    };
    let spec = match OutputSpec::new(&recipe.folder, &cache.outputs) {
        Ok(spec) => spec,
        Err(error) => return failed(chain(&error), None),
    };
    let job = Job { session, plan, at, recipe, cache, spec, args, dependencies };
    job.process()
}

fn dependency_digests(recipe: &Recipe, plan: &[Made]) -> Option<Vec<(crate::recipe::RecipeId, Digest)>> {
    recipe.dependencies.iter().zip(plan).map(|(id, made)| Some((id.clone(), made.digest?))).collect()
}

/// A recipe without `cache` always runs; its own key is what dependents see.
fn run_uncached(session: &Session<'_>, recipe: &Recipe, args: &[String], dependencies: &[Made]) -> Done {
    let digests = dependency_digests(recipe, dependencies).unwrap_or_default();
    let parts =
        Parts { project: session.project, recipe, args, inputs: None, tools: &[], dependencies: &digests };
    let digest = key::compute(&parts, key::VERSION.as_bytes()).digest;
    let made = Made { digest: Some(digest), outputs: None };
    if session.options.dry_run {
        return Done { outcome: Outcome::WouldRun { miss: None }, made };
    }
    let lock = match acquire(session, recipe) {
        Ok(lock) => lock,
        Err(done) => return *done,
    };
    (session.events)(Event::Started { recipe: &recipe.id, miss: None });
    match execute(session, recipe, args, lock.as_ref()) {
        Ok(_) => Done { outcome: Outcome::Ran { miss: None, not_cached: None, unchanged: false }, made },
        Err(failure) => failure.into(),
    }
}

fn acquire(session: &Session<'_>, recipe: &Recipe) -> Result<Option<RecipeLock>, Box<Done>> {
    let waiting = |holder: &crate::lock::Holder| {
        let by = holder.runner.map(|process| format!("process {}", process.pid)).unwrap_or_default();
        (session.events)(Event::Waiting { recipe: &recipe.id, holder: &by });
    };
    match session.locks.acquire(&recipe.id.to_string(), &session.cancel, waiting) {
        Ok(Acquired::Held(lock)) => Ok(Some(lock)),
        Ok(Acquired::Inherited(_)) => Ok(None),
        Err(crate::lock::LockError::Cancelled(_)) => {
            Err(Box::new(Done { outcome: Outcome::Cancelled, made: Made { digest: None, outputs: None } }))
        }
        Err(error) => Err(stopped(chain(&error), None)),
    }
}

impl Job<'_> {
    fn process(&self) -> Done {
        let Some(_) = dependency_digests(self.recipe, self.dependencies) else {
            let miss = Some("a dependency would run".to_owned());
            return Done { outcome: Outcome::WouldRun { miss }, made: Made { digest: None, outputs: None } };
        };
        let now = match self.now() {
            Ok(now) => now,
            Err(done) => return *done,
        };
        if self.session.options.dry_run {
            return self.dry(&now);
        }
        if let Ok((result, tree)) = self.look_up(&now, true)
            && let Some(on_disk) = hit::in_place(self.session, self.recipe, &self.spec, &tree)
        {
            return self.cached(&now, &result, on_disk, false);
        }
        let lock = match acquire(self.session, self.recipe) {
            Ok(lock) => lock,
            Err(done) => return *done,
        };
        self.locked(lock.as_ref())
    }

    /// The key, from what is on disk now.
    fn now(&self) -> Result<Now, Box<Done>> {
        let (session, recipe) = (self.session, self.recipe);
        let globbed = session.state.placed(&recipe.id).map(|placed| placed.globbed).unwrap_or_default();
        let inputs = input_spec(recipe, self.cache, &self.spec, &globbed);
        let summary =
            session.worktree.digest_of(&inputs).map_err(|error| stopped(chain(&error), error.hint()))?;
        let tools = self.tools()?;
        let dependencies = dependency_digests(recipe, self.dependencies).unwrap_or_default();
        let parts = Parts {
            project: session.project,
            recipe,
            args: self.args,
            inputs: Some(summary.root),
            tools: &tools,
            dependencies: &dependencies,
        };
        let key = key::compute(&parts, key::VERSION.as_bytes());
        let bound_key = key::compute(&parts, &key::place_salt(&session.root));
        Ok(Now { inputs, input_root: summary.root, tools, key, bound_key })
    }

    fn tools(&self) -> Result<Vec<(String, Digest)>, Box<Done>> {
        let path = self.session.options.environment.get(std::ffi::OsStr::new("PATH"));
        let found = |tool: &String| {
            let missing = || {
                stopped(format!("tool `{tool}` was not found"), Some("`tools:` are looked up in PATH".into()))
            };
            let file = if tool.contains('/') {
                Some(self.session.root.join(&self.recipe.folder).join(tool))
            } else {
                std::env::split_paths(path?).map(|folder| folder.join(tool)).find(|file| file.is_file())
            };
            Some(file.filter(|file| file.is_file()).ok_or_else(missing).and_then(|file| {
                let digest = self
                    .session
                    .worktree
                    .file(&file)
                    .map_err(|error| stopped(chain(&error), error.hint()))?;
                Ok((tool.clone(), digest))
            }))
        };
        self.recipe.tools.iter().filter_map(found).collect()
    }

    /// The trusted result for the key, and its tree. `Err`: why there is none.
    fn look_up(&self, now: &Now, in_place: bool) -> Result<(ActionResult, Digest), String> {
        let session = self.session;
        if session.options.force || !session.options.read_cache {
            return Err(if session.options.force { "forced" } else { "the cache is not read" }.to_owned());
        }
        let label = self.recipe.id.to_string();
        let mut hit = session.cache.look_up(&now.key.digest, &label, in_place)?;
        if record::is_bound_marker(&hit.result) {
            let elsewhere = |_| "its outputs hold the path of another place (see `relocatable`)".to_owned();
            hit = session.cache.look_up(&now.bound_key.digest, &label, in_place).map_err(elsewhere)?;
        }
        let tree = hit::tree_digest(&hit.result).ok_or("the recorded result is malformed")?;
        Ok((hit.result, tree))
    }

    fn dry(&self, now: &Now) -> Done {
        match self.look_up(now, true) {
            Ok((result, tree)) => Done {
                outcome: Outcome::Cached { tier: "local", restored: false, saved: saved(&result) },
                made: Made { digest: Some(tree), outputs: None },
            },
            Err(why) => {
                let miss = Some(self.miss_reason(now, why));
                Done { outcome: Outcome::WouldRun { miss }, made: Made { digest: None, outputs: None } }
            }
        }
    }

    fn cached(&self, now: &Now, result: &ActionResult, on_disk: OnDisk, restored: bool) -> Done {
        let session = self.session;
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
        if restored {
            self.remember_key(now);
        }
        let made = Made { digest: hit::tree_digest(result), outputs: Some(Box::new(on_disk)) };
        Done { outcome: Outcome::Cached { tier: "local", restored, saved: saved(result) }, made }
    }

    /// Restores a hit; `Err`: why it has to run after all, or that it failed.
    fn restore(
        &self,
        now: &Now,
        result: &ActionResult,
        tree: &Digest,
    ) -> Result<Done, Result<String, Box<Done>>> {
        let is_input = self.is_input(now);
        match hit::restore(self.session, self.recipe, &self.spec, tree, &is_input) {
            Restored::Done(on_disk, restored) => Ok(self.cached(now, result, on_disk, restored)),
            Restored::Miss(reason) => Err(Ok(reason)),
            Restored::Failed(reason) => Err(Err(stopped(reason, None))),
        }
    }

    /// Tells which paths are inputs, and so never moved, replaced or removed.
    fn is_input(&self, now: &Now) -> impl Fn(&[u8]) -> bool + Sync + use<> {
        let entries = self.session.worktree.entries(&now.inputs).unwrap_or_default();
        let paths: BTreeSet<Vec<u8>> =
            entries.into_iter().map(|entry| entry.path.as_os_str().as_bytes().to_vec()).collect();
        move |path| paths.contains(path)
    }

    fn locked(&self, lock: Option<&RecipeLock>) -> Done {
        self.session.worktree.ran();
        let now = match self.now() {
            Ok(now) => now,
            Err(done) => return *done,
        };
        let why = match self.hit(&now) {
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
                single_flight(folder, &now.key.digest.hash.to_hex(), &self.session.cancel, waiting).ok()
            }
            None => None,
        };
        if self.session.cancel.is_cancelled() {
            return Done { outcome: Outcome::Cancelled, made: Made { digest: None, outputs: None } };
        }
        let why = match if flight.is_some() { self.hit(&now) } else { Err(Ok(why.clone())) } {
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

    fn hit(&self, now: &Now) -> Result<Done, Result<String, Box<Done>>> {
        let (result, tree) = self.look_up(now, false).map_err(Ok)?;
        if let Some(on_disk) = hit::in_place(self.session, self.recipe, &self.spec, &tree) {
            return Ok(self.cached(now, &result, on_disk, false));
        }
        self.restore(now, &result, &tree)
    }

    fn items(&self, now: &Now) -> Vec<crate::state::KeyItem> {
        let inputs = self.session.worktree.entries(&now.inputs).unwrap_or_default();
        let value = |kind: &EntryKind| match kind {
            EntryKind::File { digest, mode } => format!("{digest} {mode:o}"),
            EntryKind::Symlink { target } => format!("→ {}", target.display()),
            EntryKind::Directory { mode } => format!("folder {mode:o}"),
        };
        let inputs = inputs.iter().map(|entry| (entry.path.display().to_string(), value(&entry.kind)));
        let dependencies = dependency_digests(self.recipe, self.dependencies).unwrap_or_default();
        let parts = Parts {
            project: self.session.project,
            recipe: self.recipe,
            args: self.args,
            inputs: Some(now.input_root),
            tools: &now.tools,
            dependencies: &dependencies,
        };
        key::items(&parts, inputs)
    }

    fn miss_reason(&self, now: &Now, why: String) -> String {
        let Some(before) = self.session.state.last_key(&self.recipe.id) else { return why };
        let changes = reason::compare(&before, &self.items(now));
        if changes.is_empty() { why } else { reason::one_line(&changes) }
    }

    fn remember_key(&self, now: &Now) {
        if let Err(error) = self.session.state.set_last_key(&self.recipe.id, &self.items(now)) {
            tracing::debug!(%error, "the key's items could not be kept");
        }
    }

    fn run(&self, now: &Now, lock: Option<&RecipeLock>, why: String) -> Done {
        let (session, recipe) = (self.session, self.recipe);
        let miss = self.miss_reason(now, why);
        (session.events)(Event::Started { recipe: &recipe.id, miss: Some(&miss) });
        let before_run = session.state.placed(&recipe.id).map(|placed| placed.tree);
        session.state.set_placed(&recipe.id, None);
        let is_input = self.is_input(now);
        let name = recipe.id.to_string();
        let owned = self.owned();
        let scope = Scope {
            root: &session.root_dir,
            state: &session.state_dir,
            spec: &self.spec,
            owned: &owned,
            tracked: &session.git,
            is_input: &is_input,
            run: &session.run,
            recipe: &name,
        };
        let prepared = if recipe.incremental {
            clean::make_parents(&scope).map(|()| None)
        } else {
            clean::clean(&scope).map(Some)
        };
        let cleaned = match prepared {
            Ok(cleaned) => cleaned,
            Err(error) => return failed(chain(&error), None),
        };
        let snapshot = capture::snapshot(&session.root_dir, &self.spec, &owned).and_then(|snapshot| {
            owning::begin(session.state.folder(), &recipe.id, &snapshot).map(|()| snapshot)
        });
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => return failed(chain(&error), None),
        };
        let seen = meanwhile::look(session, &now.inputs, self.dependencies);
        let began = SystemTime::now();
        let executed = execute(session, recipe, self.args, lock);
        let ended = SystemTime::now();
        let done = match executed {
            Err(failure) => failure.into(),
            Ok(_) => match record::capture(session, recipe, &self.spec, &owned, &snapshot) {
                Ok(captured) => match self.collision(&captured) {
                    Some(reason) => {
                        session.state.set_placed(&recipe.id, None);
                        failed(reason, None)
                    }
                    None => {
                        let changed = self.changed_meanwhile(now, &captured, seen);
                        self.finish(now, captured, changed, miss, before_run, (began, ended))
                    }
                },
                Err(CaptureError::Failed(reason)) => failed(reason, None),
                Err(CaptureError::Uncacheable(reason)) => self.uncached(now, miss, reason),
            },
        };
        if session.state.placed(&recipe.id).is_none() {
            self.keep_ownership(&owned, &snapshot);
        }
        if let Some(cleaned) = cleaned
            && let Err(error) = cleaned.finish(&session.cache)
        {
            tracing::warn!(error = chain(&error), "what was moved away could not be tidied");
        }
        done
    }

    /// What the recipe owns here, with what a killed or failed run left.
    fn owned(&self) -> Owned {
        let (session, recipe) = (self.session, self.recipe);
        let mut owned = Owned::load(session.state.folder(), &recipe.id);
        if let Some(before) = owning::interrupted(session.state.folder(), &recipe.id)
            && let Ok(found) = capture::glob_matches(&session.root_dir, &self.spec)
        {
            owning::take_over(&mut owned, &before, &found);
        }
        owned
    }

    /// After a run without a result: what it made through globs is the recipe's, so that the next clean start takes it.
    fn keep_ownership(&self, owned: &Owned, before: &Snapshot) {
        let (session, recipe) = (self.session, self.recipe);
        let mut owned = owned.clone();
        let kept = capture::glob_matches(&session.root_dir, &self.spec).and_then(|found| {
            owning::take_over(&mut owned, before, &found);
            owned.save(session.state.folder(), &recipe.id)
        });
        if let Err(error) = kept {
            tracing::warn!(error = chain(&error), "what a failed run made could not be noted");
        }
    }

    fn uncached(&self, now: &Now, miss: String, reason: String) -> Done {
        let outcome = Outcome::Ran { miss: Some(miss), not_cached: Some(reason), unchanged: false };
        Done { outcome, made: Made { digest: Some(unrepeatable(&now.key.digest)), outputs: None } }
    }

    fn finish(
        &self,
        now: &Now,
        mut captured: record::Captured,
        changed: Option<String>,
        miss: String,
        before_run: Option<String>,
        times: (SystemTime, SystemTime),
    ) -> Done {
        let (session, recipe) = (self.session, self.recipe);
        let unchanged = before_run.is_some_and(|tree| tree == captured.tree_digest.to_string());
        let not_cached = match changed {
            Some(reason) => Some(reason),
            None if !session.options.write_cache || !session.cache.is_there() => None,
            None => {
                let recorded = match captured.unstored.take() {
                    Some(error) => Err(error),
                    None => record::record(session, recipe, &now.key, &now.bound_key, &captured, times),
                };
                // Why is said once for all recipes.
                recorded.err().map(|error| {
                    session.cache.note(error);
                    "the cache could not take it".to_owned()
                })
            }
        };
        self.remember_key(now);
        let made = Made { digest: Some(captured.tree_digest), outputs: Some(Box::new(captured.on_disk)) };
        Done { outcome: Outcome::Ran { miss: Some(miss), not_cached, unchanged }, made }
    }

    /// What the run made through a glob and another recipe of the plan makes, too.
    fn collision(&self, captured: &record::Captured) -> Option<String> {
        captured.on_disk.spec.paths.iter().find_map(|path| {
            let other = self.plan.find_collision(self.at, path)?;
            Some(format!("its output `{}` is an output of `{other}`, too", path.display()))
        })
    }

    /// Whether something that the key relies on is not what it was: then the result must not be recorded.
    fn changed_meanwhile(
        &self,
        now: &Now,
        captured: &record::Captured,
        seen: Result<Seen, InputError>,
    ) -> Option<String> {
        let session = self.session;
        let mut inputs = now.inputs.clone();
        inputs.exclude_paths.extend(captured.on_disk.spec.paths.iter().cloned());
        inputs.exclude_paths.sort();
        inputs.exclude_paths.dedup();
        match session.worktree.digest_of(&inputs) {
            Ok(summary) if summary.root == now.input_root => {}
            Ok(_) => return Some("an input changed while it ran".into()),
            Err(error) => return Some(chain(&error)),
        }
        if self.tools().is_ok_and(|tools| tools != now.tools) {
            return Some("a tool changed while it ran".into());
        }
        let disturbed =
            |(_, made): &(_, &Made)| made.outputs.as_ref().is_some_and(|outputs| !outputs.is_exact(session));
        let found = self.recipe.dependencies.iter().zip(self.dependencies).find(disturbed);
        if let Some((id, _)) = found {
            return Some(format!("outputs of `{id}` changed while it ran"));
        }
        match (seen, meanwhile::look(session, &inputs, self.dependencies)) {
            (Ok(before), Ok(after)) if before == after => None,
            (Ok(_), Ok(_)) => Some("an input was touched while it ran".into()),
            (Err(error), _) | (_, Err(error)) => Some(chain(&error)),
        }
    }
}

/// Stands for outputs that cannot be named: never equal to anything recorded.
fn unrepeatable(key: &Digest) -> Digest {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    Digest::blake3(format!("uncacheable {key} {now}").as_bytes())
}

/// How long the recorded run took.
fn saved(result: &ActionResult) -> Duration {
    let metadata = result.execution_metadata.as_ref();
    let span = metadata.and_then(|m| Some((m.execution_start_timestamp?, m.execution_completed_timestamp?)));
    let Some((start, end)) = span else { return Duration::ZERO };
    let nanos = i128::from(end.seconds - start.seconds) * 1_000_000_000 + i128::from(end.nanos - start.nanos);
    u64::try_from(nanos).map_or(Duration::ZERO, Duration::from_nanos)
}
