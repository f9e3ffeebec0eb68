//! Recipes that are `persistent`: servers and watchers beside the others.
//!
//! A server that others depend on begins when the first of them is about to run its command, so never for hits, and ends when nothing else is
//! left. One that was selected begins at its turn, and the run lasts until it ends or is cancelled. Each has a thread of its own and is no job.
//! It counts as ready when it has begun: who needs more than that asks it.
//!
//! ```text
//! Idle ── its turn, it was selected ──┐
//!   └──── a dependent wants it ───────┴─► Wanted ─► Running ─► Ended (by itself, failed, or at the end of the run)
//! ```
//! In a run that is one of several ([`Lasting`]) they are not the run's: a selected one does not hold it, none ends with it, and one that lives
//! from an earlier run goes on if it is what it would be now.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::execute::{Bounds, Failure, execute};
use super::lasting::{Lasting, identity};
use super::recipe::{Done, acquire, failed, runs_itself};
use super::schedule::Made;
use super::{Session, timing};
use larder_core::Digest;

use crate::event::{Event, Outcome};
use crate::plan::Plan;
use crate::process::CancelToken;
use crate::profile::Phase;
use crate::worktree::Worktree;

#[derive(Debug)]
enum State {
    Idle,
    Wanted,
    Running,
    /// With why nobody can rely on it, if it failed.
    Ended(Option<String>),
}

struct Server {
    state: State,
    /// Whether its own dependencies are done.
    has_turn: bool,
    /// Ends it; `None` if there can be none.
    end: Option<CancelToken>,
    /// In a run that is one of several: what it is now, and its mark.
    now: Option<(Digest, Digest)>,
}

/// The servers of a plan, by their places in it.
pub(super) struct Servers<'s> {
    session: &'s Session<'s>,
    plan: &'s Plan,
    all: Mutex<BTreeMap<usize, Server>>,
    changed: Condvar,
    /// Nothing else is left.
    closing: CancelToken,
}

impl<'s> Servers<'s> {
    /// Those of the plan; none in a dry run.
    pub(super) fn new(session: &'s Session<'s>, plan: &'s Plan) -> Self {
        let is_server = |at: &usize| plan.recipes[*at].persistent && !session.options.dry_run;
        let server = |at: usize| {
            // One that was selected ends with the run's own cancellation.
            let end = if plan.selected.contains(&at) {
                Some(session.cancel.clone())
            } else {
                CancelToken::new().ok()
            };
            (at, Server { state: State::Idle, has_turn: false, end, now: None })
        };
        let all = (0..plan.recipes.len()).filter(is_server).map(server).collect();
        let closing = CancelToken::new().unwrap_or_else(|_| session.cancel.clone());
        Self { session, plan, all: Mutex::new(all), changed: Condvar::new(), closing }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Server>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Their places.
    pub(super) fn places(&self) -> Vec<usize> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn is_selected(&self, at: usize) -> bool {
        self.plan.selected.contains(&at)
    }

    fn lasting(&self) -> Option<(&'s Lasting, &Arc<Worktree>)> {
        self.session.lasting.as_ref().map(|(lasting, worktree)| (*lasting, worktree))
    }

    /// The run lasts until it ends.
    pub(super) fn holds(&self, at: usize) -> bool {
        self.is_selected(at) && self.session.lasting.is_none() && !self.session.options.dry_run
    }

    /// The dependencies of a server are done. `made`: its key; its mark, if there are such.
    pub(super) fn take_turn(&self, at: usize, made: &Made, dependencies: &[Made]) -> Option<Digest> {
        let mut all = self.lock();
        let server = all.get_mut(&at)?;
        server.has_turn = true;
        if self.is_selected(at) {
            server.state = State::Wanted;
        }
        if let Some((lasting, _)) = self.lasting() {
            let identity = identity(made, dependencies);
            let (mark, lives) = lasting.turn(&self.plan.recipes[at].id, &identity);
            server.now = Some((identity, mark));
            if lives {
                server.state = State::Running;
            }
        }
        let mark = server.now.map(|(_, mark)| mark);
        drop(all);
        self.changed.notify_all();
        mark
    }

    /// Begins those that a recipe depends on and waits until they run. `Err`: why one cannot be relied on.
    pub(super) fn ensure(&self, recipe: usize) -> Result<(), String> {
        let _counting = timing::enter(Phase::Wait);
        for &at in self.plan.dependencies[recipe].iter().filter(|&&on| self.plan.recipes[on].persistent) {
            let mut all = self.lock();
            while let Some(server) = all.get_mut(&at) {
                match &server.state {
                    State::Running | State::Ended(None) => break,
                    State::Ended(Some(reason)) => {
                        return Err(format!(
                            "it needs `{}`, which failed: {reason}",
                            self.plan.recipes[at].id
                        ));
                    }
                    State::Idle => {
                        server.state = State::Wanted;
                        self.changed.notify_all();
                    }
                    State::Wanted => {
                        all = self.changed.wait(all).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends all that run, one after the other, each before what it depends on; those that nobody wanted never begin. Selected ones have ended.
    pub(super) fn close(&self) {
        self.await_selected();
        self.closing.cancel();
        self.changed.notify_all();
        if let Some((lasting, _)) = self.lasting() {
            return lasting.nudge();
        }
        for at in self.places().into_iter().rev().filter(|&at| !self.is_selected(at)) {
            let mut all = self.lock();
            if let Some(end) = all.get(&at).and_then(|server| server.end.as_ref()) {
                end.cancel();
            }
            while all.get(&at).is_some_and(|server| matches!(server.state, State::Running)) {
                all = self.changed.wait(all).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// In a run that is one of several: waits until the selected ones whose turn came have begun, with what they need, or failed. They do not
    /// hold such a run, so that it may be over before their threads look.
    fn await_selected(&self) {
        if self.session.lasting.is_none() {
            return;
        }
        let mut all = self.lock();
        while all.values().any(|server| server.has_turn && matches!(server.state, State::Wanted))
            && !self.session.cancel.is_cancelled()
        {
            // A cancellation from outside wakes nobody here.
            let waited = self.changed.wait_timeout(all, Duration::from_millis(50));
            all = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A server's thread: waits until it is wanted, and runs it to its end. `None`: its turn never came.
    pub(super) fn serve(&self, at: usize) -> Option<(Done, Duration)> {
        if let Some((lasting, worktree)) = self.lasting() {
            return self.stand(at, lasting, worktree);
        }
        let (begins, has_turn) = self.wait(at);
        if !begins {
            let none = Made::of(None);
            let done = Done { outcome: Outcome::NotNeeded, made: none };
            return has_turn.then_some((done, Duration::ZERO));
        }
        let begun = Instant::now();
        let done = self.run(at);
        let reason = match &done.outcome {
            Outcome::Failed { reason, .. } => Some(reason.clone()),
            Outcome::Cancelled => Some("cancelled".to_owned()),
            _ => None,
        };
        self.set(at, State::Ended(reason));
        Some((done, begun.elapsed()))
    }

    /// Whether it shall begin, and whether its turn came.
    fn wait(&self, at: usize) -> (bool, bool) {
        let mut all = self.lock();
        loop {
            let Some(server) = all.get(&at) else { return (false, false) };
            if self.closing.is_cancelled() || self.session.cancel.is_cancelled() && !server.has_turn {
                return (false, server.has_turn);
            }
            if matches!(server.state, State::Wanted) && server.has_turn {
                return (true, true);
            }
            all = self.changed.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, at: usize, state: State) {
        if let Some(server) = self.lock().get_mut(&at) {
            server.state = state;
        }
        self.changed.notify_all();
    }

    /// Its thread is no more: nobody can rely on it. Whether its turn had come, so that the run may wait for it.
    pub(super) fn break_down(&self, at: usize) -> bool {
        self.set(at, State::Ended(Some("Larder failed".to_owned())));
        self.lock().get(&at).is_some_and(|server| server.has_turn)
    }

    fn run(&self, at: usize) -> Done {
        let (session, recipe) = (self.session, &self.plan.recipes[at]);
        if let Err(reason) = self.ensure(at) {
            return failed(reason, None);
        }
        let Some(end) = self.lock().get(&at).and_then(|server| server.end.clone()) else {
            return failed("there is no free descriptor for it", None);
        };
        let lock = match acquire(session, recipe) {
            Ok(Some(lock)) => lock,
            Ok(None) => return runs_itself(&recipe.id),
            Err(done) => return *done,
        };
        (session.events)(Event::Started { recipe: &recipe.id, miss: None });
        self.set(at, State::Running);
        let args: &[String] = if self.is_selected(at) { &session.options.args } else { &[] };
        let ran = Done {
            outcome: Outcome::Ran { miss: None, not_cached: None, unchanged: false },
            made: Made::of(None),
        };
        match execute(session, recipe, args, &lock, &end, Bounds::default()) {
            Ok(_) => ran,
            // Ended with the run.
            Err(Failure { cancelled: true, .. }) if !session.cancel.is_cancelled() => ran,
            Err(failure) => failure.into(),
        }
    }

    /// A server's thread in a run that is one of several. It is done when the run is.
    fn stand(&self, at: usize, lasting: &Lasting, worktree: &Arc<Worktree>) -> Option<(Done, Duration)> {
        let id = &self.plan.recipes[at].id;
        let begun = Instant::now();
        let done = |outcome| Done { outcome, made: Made::of(None) };
        let lives = self.wait_for_turn(at)?;
        if !lives {
            lasting.end(id);
            if !self.wait(at).0 {
                return Some((done(Outcome::NotNeeded), Duration::ZERO));
            }
            if let Err(failed) = self.begin(at, lasting, worktree) {
                let reason = match &failed.outcome {
                    Outcome::Failed { reason, .. } => reason.clone(),
                    _ => "cancelled".to_owned(),
                };
                self.set(at, State::Ended(Some(reason)));
                return Some((*failed, begun.elapsed()));
            }
        }
        let is_over = || self.closing.is_cancelled() || self.session.cancel.is_cancelled();
        let Some((outcome, lived)) = lasting.attend(id, is_over) else {
            return Some((done(Outcome::Serving { begun: !lives }), begun.elapsed()));
        };
        let reason = match &outcome {
            Outcome::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.set(at, State::Ended(reason));
        Some((done(outcome), lived))
    }

    /// Whether it lives; `None`: its turn never comes.
    fn wait_for_turn(&self, at: usize) -> Option<bool> {
        let mut all = self.lock();
        loop {
            let server = all.get(&at)?;
            if server.has_turn {
                return Some(matches!(server.state, State::Running));
            }
            if self.closing.is_cancelled() || self.session.cancel.is_cancelled() {
                return None;
            }
            all = self.changed.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn begin(&self, at: usize, lasting: &Lasting, worktree: &Arc<Worktree>) -> Result<(), Box<Done>> {
        let (session, recipe) = (self.session, &self.plan.recipes[at]);
        let refused = |reason: String| Box::new(failed(reason, None));
        self.ensure(at).map_err(refused)?;
        let now = self.lock().get(&at).and_then(|server| server.now);
        let now = now.ok_or_else(|| refused("its turn has not come".to_owned()))?;
        let lock = acquire(session, recipe)?.ok_or_else(|| Box::new(runs_itself(&recipe.id)))?;
        (session.events)(Event::Started { recipe: &recipe.id, miss: None });
        let args: &[String] = if self.is_selected(at) { &session.options.args } else { &[] };
        let begun = lasting.begin((session, worktree), (recipe, args), lock, now);
        begun.map_err(|error| refused(error.to_string()))?;
        self.set(at, State::Running);
        Ok(())
    }
}
