//! A miss: clean start, command, capture, and the checks before a result is recorded. What is moved away and back: `start.rs`.
//!
//! After the run, inputs, tools and dependencies' outputs are looked at again: if one is not what the key says, or was touched
//! meanwhile, nothing is recorded. What the run made is in place all the same, and dependents go on with it.

use std::time::SystemTime;

use larder_core::Digest;

use super::execute::{Bounds, Failure, execute, is_tried_again};
use super::meanwhile::{self, Seen};
use super::observed;
use super::recipe::{Done, Job, Now, failed, runs_itself};
use super::record::{self, CaptureError};
use super::schedule::Made;
use super::spared::Spared;
use super::timing;
use crate::event::{Event, Outcome};
use crate::lock::RecipeLock;
use crate::profile::Phase;
use crate::worktree::InputError;
use larder_core::error::chain;

impl Job<'_> {
    /// Runs the recipe. `why`: why there is no result. Without a lock, this is a nested run of the very same recipe.
    pub(super) fn run(&self, now: &Now, lock: Option<&RecipeLock>, why: String) -> Done {
        let (session, recipe) = (self.session, self.recipe);
        let Some(lock) = lock else { return runs_itself(&recipe.id) };
        if let Some((_, servers, at)) = self.plan
            && let Err(reason) = servers.ensure(at)
        {
            return failed(reason, None);
        }
        let counting = timing::enter(Phase::Key);
        let miss = self.miss_reason(now, why);
        drop(counting);
        (session.events)(Event::Started { recipe: &recipe.id, miss: Some(&miss) });
        let before_run = session.state.placed(&recipe.id).map(|placed| placed.tree);
        let (mut tries, mut unseen) = (1, None);
        loop {
            match self.attempt(now, lock, &miss, before_run.as_deref(), unseen.as_deref()) {
                Ok(done) => return done,
                // It cannot be told whether it failed by itself: once more, as if nobody had looked.
                Err(failure) if failure.hindered.is_some() && !session.cancel.is_cancelled() => {
                    unseen = failure.hindered;
                }
                Err(failure) if is_tried_again(session, recipe, &failure, tries) => tries += 1,
                Err(failure) => return failure.into(),
            }
        }
    }

    /// One try, from a clean start. `Err`: the command failed. `before_run`: the tree that was there before. `unseen`: why it is not
    /// observed, although it is to be.
    fn attempt(
        &self,
        now: &Now,
        lock: &RecipeLock,
        miss: &str,
        before_run: Option<&str>,
        unseen: Option<&str>,
    ) -> Result<Done, Failure> {
        let (session, recipe) = (self.session, self.recipe);
        let counting = timing::enter(Phase::Prepare);
        let is_input = match self.is_input(&now.inputs) {
            Ok(is_input) => is_input,
            Err(done) => return Ok(*done),
        };
        let sandbox = self.sandbox(now)?;
        let name = recipe.id.to_string();
        let owned = self.owned();
        let scope = session.scope(&self.spec, &owned, &is_input, &name);
        let start = self.start(scope, sandbox.is_some());
        let mut start = start.map_err(|error| Failure::new(chain(&error)))?;
        let seen = meanwhile::look(session, &now.inputs, self.dependencies);
        drop(counting);
        let began = SystemTime::now();
        let observed = if unseen.is_none() { observed::begin(session, recipe) } else { None };
        let (watch, observed) = observed.unzip();
        let bounds = Bounds { enclosure: sandbox.as_ref().map(|sandbox| &sandbox.enclosure), watch };
        let executed =
            execute(session, recipe, self.args, lock, &session.cancel, bounds).and_then(
                |ran| match &sandbox {
                    Some(sandbox) => self.take_in(sandbox, scope, &mut start).map(|()| ran),
                    None => Ok(ran),
                },
            );
        let ended = SystemTime::now();
        let done = match executed {
            Err(failure) => Err(failure.unless_hindered(observed)),
            Ok((_, Some(error))) => {
                Ok(self.uncached(now, miss, format!("its log could not be kept: {error}")))
            }
            Ok((_, None)) => Ok(match record::capture(session, recipe, &self.spec, &owned, &start.before) {
                Ok(captured) => match self.collision(&captured) {
                    Some(reason) => {
                        session.state.set_placed(&recipe.id, None);
                        failed(reason, None)
                    }
                    None => {
                        let undeclared = self.verdict(now, observed, unseen);
                        let against = self.changed_meanwhile(now, &captured, seen).or(undeclared);
                        self.finish(now, captured, against, miss, before_run, (began, ended))
                    }
                },
                Err(CaptureError::Failed(reason)) => failed(reason, None),
                Err(CaptureError::Uncacheable(reason)) => self.uncached(now, miss, reason),
            }),
        };
        let has_failed = done.as_ref().map_or(true, |done| matches!(done.outcome, Outcome::Failed { .. }));
        self.end(start, &owned, has_failed);
        done
    }

    fn uncached(&self, now: &Now, miss: &str, reason: String) -> Done {
        let outcome =
            Outcome::Ran { miss: Some(miss.to_owned()), not_cached: Some(reason), unchanged: false };
        Done { outcome, made: Made::of(Some(unrepeatable(&now.key.digest))) }
    }

    fn finish(
        &self,
        now: &Now,
        mut captured: record::Captured,
        against: Option<String>,
        miss: &str,
        before_run: Option<&str>,
        times: (SystemTime, SystemTime),
    ) -> Done {
        let (session, recipe) = (self.session, self.recipe);
        let unchanged = before_run.is_some_and(|tree| tree == captured.tree_digest.to_string());
        let mut is_recorded = false;
        let not_cached = match against {
            Some(reason) => Some(reason),
            None if !session.options.write_cache || !session.cache.is_there() => None,
            None => {
                let recorded = match captured.unstored.take() {
                    Some(error) => Err(error),
                    None => record::record(session, recipe, &now.key, &now.bound_key, &captured, times),
                };
                is_recorded = recorded.is_ok() && !captured.bound;
                // Why is said once for all recipes.
                recorded.err().map(|error| {
                    session.cache.note(error);
                    "the cache could not take it".to_owned()
                })
            }
        };
        let _counting = timing::enter(Phase::Record);
        let items = self.items(now);
        if is_recorded {
            session.know_key(&recipe.id, &now.key.digest);
            session.tell_key(&recipe.id, &now.key.digest, &items);
        }
        session.remember(&recipe.id, items);
        let made = self.made(now, Some(captured.tree_digest), captured.on_disk);
        Done { outcome: Outcome::Ran { miss: Some(miss.to_owned()), not_cached, unchanged }, made }
    }

    /// What the run made through a glob and another recipe of the plan makes, too.
    fn collision(&self, captured: &record::Captured) -> Option<String> {
        let (plan, _, at) = self.plan?;
        captured.on_disk.spec.paths.iter().find_map(|path| {
            let other = plan.find_collision(at, path)?;
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
        let _counting = timing::enter(Phase::Check);
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
        let same_tools = self.tools().is_ok_and(|tools| tools == now.tools);
        if !same_tools {
            return Some("a tool changed while it ran".into());
        }
        match Spared::look(session, self.recipe, self.cache, &self.spec) {
            Ok(after) => {
                if let Err(path) = now.spared.settle(session, self.recipe, &after) {
                    let path = path.display();
                    return Some(format!("an input changed while it ran: `{path}`, which is no output"));
                }
            }
            Err(error) => return Some(chain(&error)),
        }
        let disturbed = |(_, made): &(_, &Made)| {
            made.outputs.as_ref().is_some_and(|outputs| !outputs.is_exact(session.worktree))
        };
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
