//! Who goes next. A recipe is ready when all its dependencies are done; ready recipes start in the plan's order. What
//! depends on something that failed is skipped; after a failure with fail-fast, and after a cancellation, nothing begins.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use larder_core::Digest;

use super::recipe::{Done, process, uncached_made};
use super::servers::Servers;
use super::{Finished, Report, Session};
use crate::event::{Event, Outcome};
use crate::plan::Plan;

/// What dependents need to know of a recipe that is done.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Digest of its outputs, or its own key if it is not cached; `None` in a dry run that would have run it.
    pub(super) digest: Option<Digest>,
    /// Where its outputs are and which digest they have on disk, to be checked after a dependent ran.
    pub(super) outputs: Option<Box<super::hit::OnDisk>>,
    /// What those that live on or need not run again compare, where the digest does not tell (see `lasting.rs`).
    pub(super) mark: Option<Digest>,
}

impl Made {
    /// Nothing is on disk.
    pub(super) fn of(digest: Option<Digest>) -> Self {
        Self { digest, outputs: None, mark: None }
    }
}

struct Board {
    waiting: Vec<usize>,
    ready: BTreeSet<usize>,
    running: usize,
    left: usize,
    made: Vec<Option<Made>>,
    finished: Vec<Option<Finished>>,
    stopped: bool,
}

struct Schedule<'r> {
    session: &'r Session<'r>,
    plan: &'r Plan,
    servers: Servers<'r>,
    board: Mutex<Board>,
    changed: Condvar,
}

/// Runs the plan.
pub(super) fn run(session: &Session<'_>, plan: &Plan) -> Report {
    let begun = Instant::now();
    let count = plan.recipes.len();
    let waiting: Vec<usize> = plan.dependencies.iter().map(Vec::len).collect();
    let ready = (0..count).filter(|&at| waiting[at] == 0).collect();
    let board = Board {
        waiting,
        ready,
        running: 0,
        left: count,
        made: vec![None; count],
        finished: vec![None; count],
        stopped: false,
    };
    super::recipe::warm(&session.state, session.worktree, plan);
    let schedule = Schedule {
        session,
        plan,
        servers: Servers::new(session, plan),
        board: Mutex::new(board),
        changed: Condvar::new(),
    };
    let workers = session.options.jobs.clamp(1, count.max(1));
    std::thread::scope(|scope| {
        let schedule = &schedule;
        for at in schedule.servers.places() {
            scope.spawn(move || schedule.serve(at));
        }
        for _ in 1..workers {
            scope.spawn(|| schedule.work());
        }
        schedule.work();
        schedule.servers.close();
    });
    let board = schedule.board.into_inner().unwrap_or_else(PoisonError::into_inner);
    let finished = |(at, done): (usize, Option<Finished>)| {
        let recipe = plan.recipes[at].id.clone();
        done.unwrap_or(Finished { recipe, outcome: Outcome::Cancelled, took: Duration::ZERO })
    };
    let outputs = board.made.into_iter().enumerate().filter_map(|(at, made)| Some((at, made?.outputs?)));
    let placed = outputs.map(|(at, outputs)| (plan.recipes[at].id.clone(), *outputs)).collect();
    let recipes = board.finished.into_iter().enumerate().map(finished).collect();
    Report {
        recipes,
        took: begun.elapsed(),
        cancelled: session.cancel.is_cancelled() && !board.stopped,
        placed,
    }
}

impl Schedule<'_> {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life: takes what is ready until nothing is left.
    fn work(&self) {
        let servers = self.servers.places();
        let mut board = self.lock();
        loop {
            if self.session.cancel.is_cancelled() {
                board.ready.clear();
                if board.running == 0 {
                    board.left = 0;
                }
            }
            if board.left == 0 {
                self.changed.notify_all();
                return;
            }
            let Some(at) = board.ready.pop_first() else {
                if board.running == 0 {
                    board.left = 0;
                    continue;
                }
                board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            board.running += 1;
            let dependencies: Vec<Made> = self.plan.dependencies[at]
                .iter()
                .map(|&on| board.made[on].clone().expect("ready only when its dependencies are made"))
                .collect();
            if servers.contains(&at) {
                self.release_server(&mut board, at, &dependencies);
                continue;
            }
            drop(board);
            let begun = Instant::now();
            let done = process(self.session, self.plan, &self.servers, at, &dependencies);
            board = self.lock();
            board.running -= 1;
            self.finish(&mut board, at, done, begun.elapsed());
            self.changed.notify_all();
        }
    }

    fn finish(&self, board: &mut Board, at: usize, done: Done, took: Duration) {
        let recipe = &self.plan.recipes[at].id;
        (self.session.events)(Event::Finished { recipe, outcome: &done.outcome, took });
        let good = done.outcome.is_good();
        let failed = matches!(done.outcome, Outcome::Failed { .. });
        board.finished[at] = Some(Finished { recipe: recipe.clone(), outcome: done.outcome, took });
        board.left -= 1;
        if good {
            self.release_dependents(board, at, done.made);
        } else if failed {
            self.skip_dependents(board, at);
            if self.session.options.fail_fast {
                board.stopped = true;
                self.session.cancel.cancel();
            }
        }
    }

    fn release_dependents(&self, board: &mut Board, at: usize, made: Made) {
        board.made[at] = Some(made);
        for &dependent in &self.plan.dependents[at] {
            board.waiting[dependent] -= 1;
            if board.waiting[dependent] == 0 {
                board.ready.insert(dependent);
            }
        }
    }

    /// A server's turn: its dependents go on, with its own key. If it was selected the run lasts until it ends.
    fn release_server(&self, board: &mut Board, at: usize, dependencies: &[Made]) {
        let is_selected = self.servers.is_selected(at);
        let args: &[String] = if is_selected { &self.session.options.args } else { &[] };
        let made = uncached_made(self.session, &self.plan.recipes[at], args, dependencies);
        let mark = self.servers.take_turn(at, &made, dependencies);
        self.release_dependents(board, at, Made { mark, ..made });
        if !self.servers.holds(at) {
            board.running -= 1;
            board.left -= 1;
        }
        self.changed.notify_all();
    }

    /// A server's thread.
    fn serve(&self, at: usize) {
        let Some((done, took)) = self.servers.serve(at) else { return };
        let recipe = &self.plan.recipes[at].id;
        (self.session.events)(Event::Finished { recipe, outcome: &done.outcome, took });
        let mut board = self.lock();
        if matches!(done.outcome, Outcome::Failed { .. }) && self.session.options.fail_fast {
            board.stopped = true;
            self.session.cancel.cancel();
        }
        board.finished[at] = Some(Finished { recipe: recipe.clone(), outcome: done.outcome, took });
        if self.servers.holds(at) {
            board.running -= 1;
            board.left -= 1;
        }
        self.changed.notify_all();
    }

    fn skip_dependents(&self, board: &mut Board, at: usize) {
        let because = self.plan.recipes[at].id.clone();
        let mut next = self.plan.dependents[at].clone();
        while let Some(dependent) = next.pop() {
            if board.finished[dependent].is_some() {
                continue;
            }
            let recipe = self.plan.recipes[dependent].id.clone();
            let outcome = Outcome::Skipped { because: because.clone() };
            (self.session.events)(Event::Finished {
                recipe: &recipe,
                outcome: &outcome,
                took: Duration::ZERO,
            });
            board.finished[dependent] = Some(Finished { recipe, outcome, took: Duration::ZERO });
            board.left -= 1;
            next.extend(&self.plan.dependents[dependent]);
        }
    }
}
