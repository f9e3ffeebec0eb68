//! Who goes next. A recipe is ready when all its dependencies are done; ready recipes start in the plan's order. What
//! depends on something that failed is skipped; after a failure with fail-fast, and after a cancellation, nothing begins.
//!
//! A panic in one thread (a mistake of Larder's) cancels the run as a failure does, so that all others come to their end, and then goes on: [`Turn`].

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use larder_core::Digest;

use super::recipe::{Done, process, uncached_made};
use super::servers::Servers;
use super::timing::{self, Spent};
use super::{Course, Finished, Report, Session};
use crate::event::{Event, Outcome};
use crate::plan::Plan;
use crate::profile::{Phase, Timing, micros};

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
    /// When each was ready, since the schedule began.
    ready_at: Vec<Duration>,
    timings: Vec<Option<Timing>>,
    stopped: bool,
}

struct Schedule<'r> {
    session: &'r Session<'r>,
    plan: &'r Plan,
    servers: Servers<'r>,
    begun: Instant,
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
        ready_at: vec![Duration::ZERO; count],
        timings: vec![None; count],
        stopped: false,
    };
    super::recipe::warm(&session.state, session.worktree, plan);
    let schedule = Schedule {
        session,
        plan,
        servers: Servers::new(session, plan),
        begun,
        board: Mutex::new(board),
        changed: Condvar::new(),
    };
    let workers = session.options.jobs.clamp(1, count.max(1));
    std::thread::scope(|scope| {
        let schedule = &schedule;
        for (lane, at) in schedule.servers.places().into_iter().enumerate() {
            scope.spawn(move || schedule.serve(at, workers + lane));
        }
        for lane in 1..workers {
            scope.spawn(move || schedule.work(lane));
        }
        let _closing = Closing(&schedule.servers);
        schedule.work(0);
    });
    let board = schedule.board.into_inner().unwrap_or_else(PoisonError::into_inner);
    let finished = |(at, done): (usize, Option<Finished>)| {
        let recipe = plan.recipes[at].id.clone();
        done.unwrap_or(Finished { recipe, outcome: Outcome::Cancelled, took: Duration::ZERO })
    };
    let outputs = board.made.into_iter().enumerate().filter_map(|(at, made)| Some((at, made?.outputs?)));
    let placed = outputs.map(|(at, outputs)| (plan.recipes[at].id.clone(), *outputs)).collect();
    let recipes = board.finished.into_iter().enumerate().map(finished).collect();
    let took = begun.elapsed();
    let course = Course {
        project: session.project.to_owned(),
        name: session.options.name.clone(),
        begun: began_at(took),
        before: begun.saturating_duration_since(session.since),
        jobs: u32::try_from(workers).unwrap_or(u32::MAX),
        timings: board.timings,
        ..Course::default()
    };
    Report { recipes, took, cancelled: session.cancel.is_cancelled() && !board.stopped, course, placed }
}

/// The moment `took` ago, in microseconds since 1970.
fn began_at(took: Duration) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    micros(now.saturating_sub(took))
}

/// Ends the servers when nothing else is left, however that came to be.
struct Closing<'s>(&'s Servers<'s>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A thread's part in the run. If it panics nobody waits for it: what it had begun counts no longer, and the run is stopped.
/// To be declared before the board is locked, so that the board is free again when this is dropped.
struct Turn<'s> {
    schedule: &'s Schedule<'s>,
    /// Its own server.
    server: Option<usize>,
    /// It counts in `running`.
    counts: Cell<bool>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let schedule = self.schedule;
        let had_turn =
            self.server.is_some_and(|at| schedule.servers.break_down(at) && schedule.servers.holds(at));
        let mut board = schedule.lock();
        if self.counts.get() || had_turn {
            board.running = board.running.saturating_sub(1);
        }
        board.stopped = true;
        schedule.session.cancel.cancel();
        drop(board);
        schedule.changed.notify_all();
    }
}

impl Schedule<'_> {
    fn turn(&self, server: Option<usize>) -> Turn<'_> {
        Turn { schedule: self, server, counts: Cell::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life: takes what is ready until nothing is left.
    fn work(&self, lane: usize) {
        let servers = self.servers.places();
        let turn = self.turn(None);
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
            turn.counts.set(true);
            let dependencies: Vec<Made> = self.plan.dependencies[at]
                .iter()
                .map(|&on| board.made[on].clone().expect("ready only when its dependencies are made"))
                .collect();
            if servers.contains(&at) {
                self.release_server(&mut board, at, &dependencies);
                turn.counts.set(false);
                continue;
            }
            drop(board);
            let begun = Instant::now();
            timing::begin(begun);
            let done = process(self.session, self.plan, &self.servers, at, &dependencies);
            let ended = Instant::now();
            let (took, spent) = (ended.saturating_duration_since(begun), timing::end(ended));
            board = self.lock();
            board.running -= 1;
            turn.counts.set(false);
            board.timings[at] = Some(self.timing(board.ready_at[at], lane, (begun, took), spent));
            self.finish(&mut board, at, done, took);
            self.changed.notify_all();
        }
    }

    fn timing(
        &self,
        ready: Duration,
        lane: usize,
        (begun, took): (Instant, Duration),
        spent: Spent,
    ) -> Timing {
        let begun = begun.saturating_duration_since(self.begun);
        let lane = u32::try_from(lane).unwrap_or(u32::MAX);
        Timing {
            ready: micros(ready),
            begun: micros(begun),
            took: micros(took),
            lane,
            spent: spent.map(micros),
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
                board.ready_at[dependent] = self.begun.elapsed();
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
    fn serve(&self, at: usize, lane: usize) {
        let _turn = self.turn(Some(at));
        let Some((done, took)) = self.servers.serve(at) else { return };
        let ended = Instant::now();
        let recipe = &self.plan.recipes[at].id;
        (self.session.events)(Event::Finished { recipe, outcome: &done.outcome, took });
        let mut board = self.lock();
        if !took.is_zero() {
            let begun = ended.checked_sub(took).unwrap_or(self.begun);
            let mut spent = Spent::default();
            spent[Phase::Command.at()] = took;
            board.timings[at] = Some(self.timing(board.ready_at[at], lane, (begun, took), spent));
        }
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
