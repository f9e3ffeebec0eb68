//! `--watch`: runs the selection, waits until something changes that it reads, and runs it again.
//!
//! ```text
//! load ─► look ─► run ─► look ─┬─ something changed meanwhile ─► run
//!   ▲                          └─ wait ─► look ─┬─ an input, or outputs are not as the run left them ─► run
//!   └──── the configuration changed ◄───────────┴─ nothing that matters ─► wait
//! ```
//! The project's folder may be renamed or removed: then its path is watched until there is a project again, which is opened anew unless it is the same folder. No
//! path is relative to the folder of the process, which went with it.
//!
//! What is watched and how it is looked at is `larder_run::watch`. No edit is missed: every look begins after its bell was silenced, and a run begins after the look that
//! it is compared with.
//!
//! A run that goes on is left to end. A recipe that writes what it reads would be run for ever, so runs that follow each other at once are spaced out,
//! which is said; a file that is only written again as it was, twice in a row, is passed over.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use larder::project::{OpenError, OpenProject, Surroundings};
use larder::run::engine::{Lasting, Report};
use larder::run::plan::Plan;
use larder::run::process::CancelToken;
use larder::run::recipe::RecipeId;
use larder::run::template::Execution;
use larder::run::watch::{
    Asked, Bell, Change, Folders, How, Look, Sight, Woken, files_of, is_remote, look_around, until_there,
};
use larder::run::worktree::{FsTime, Worktree};

use super::stage::{Stage, Watched};
use super::{Round, check_tiers, selection};
use crate::cli::RunArgs;
use crate::commands::{Context, project};
use crate::exit::Exit;
use crate::signals;

/// How often one looks where changes are not announced.
const POLL: Duration = Duration::from_secs(2);
/// How often one looks whether what could not be read can be.
const BLIND: Duration = Duration::from_secs(2);
/// How often one looks whether the project is still where it was: no watch tells when a folder above it is renamed.
const ROOT: Duration = Duration::from_secs(1);
/// After so many runs that followed each other at once there is a pause before each.
const PATIENCE: u32 = 6;
/// What changes so soon after a run may have been changed by it.
const AT_ONCE: Duration = Duration::from_millis(300);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// So often a configuration is read again because it was written while it was read.
const MOST_READINGS: u32 = 10;

/// A configuration that was read, and what it needs.
struct Loaded {
    open: OpenProject,
    plan: Plan,
    sight: Sight,
    /// File-system time before it was read.
    since: FsTime,
}

/// Why the runs of a configuration end.
enum Over {
    Cancelled,
    /// The project's folder is not at its path any more, or is on its way: it cannot be used.
    Gone,
    Redefined(Vec<Change>),
}

struct Watcher<'c> {
    context: &'c Context,
    args: &'c RunArgs,
    around: &'c Surroundings,
    /// Where the project is.
    root: PathBuf,
    cancel: CancelToken,
    signals: signals::Watch,
    stage: Arc<Stage>,
    lasting: Lasting,
    folders: Folders,
    poll: Option<Duration>,
    was_warned: bool,
    is_first: bool,
    streak: u32,
    /// What the last run followed.
    followed: BTreeSet<PathBuf>,
    /// What the last run wrote again as it was.
    rewritten: BTreeSet<PathBuf>,
}

/// Runs until a signal.
pub(super) fn watch(context: &Context, args: &RunArgs, around: &Surroundings) -> Result<Exit, Exit> {
    let failed = |error: &dyn std::error::Error| project::fail(&context.printer, error, None);
    let cancel = CancelToken::new().map_err(|error| failed(&error))?;
    let signals = signals::Watch::new(cancel.clone()).map_err(|error| failed(&error))?;
    let bell = Bell::new().map_err(|error| failed(&error))?;
    let begun = Instant::now();
    let loaded = load(context, args, OpenProject::open(around, Execution::Run), a_while_ago())?;
    let root = loaded.open.project.root.clone();
    signals.be_gentle();
    let stage = Arc::new(Stage::new(&context.printer, args.json, args.output));
    let (ear, rings) = (Arc::clone(&stage), bell.clone());
    let lasting = Lasting::new(move |event| ear.hear(&event), move || rings.ring());
    let asked = args.poll.map(|seconds| Duration::from_secs(u64::from(seconds.get())));
    let poll = asked.or_else(|| is_remote(&root).then_some(POLL));
    let folders = Folders::new(&root, bell, true);
    let mut watcher = Watcher {
        context,
        args,
        around,
        root,
        cancel,
        signals,
        stage,
        lasting,
        folders,
        poll,
        was_warned: false,
        is_first: true,
        streak: 0,
        followed: BTreeSet::new(),
        rewritten: BTreeSet::new(),
    };
    let exit = watcher.go(loaded, begun);
    watcher.lasting.close();
    watcher.stage.end();
    exit
}

/// Surely before the configuration was read, although file systems have clocks of their own.
fn a_while_ago() -> FsTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    FsTime { seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - 2, nanos: 0 }
}

/// What is wrong was said.
fn load(
    context: &Context,
    args: &RunArgs,
    open: Result<OpenProject, OpenError>,
    since: FsTime,
) -> Result<Loaded, Exit> {
    let printer = &context.printer;
    let open = match open {
        Ok(open) => open,
        Err(OpenError::Config(error)) => return Err(project::refuse(printer, &error)),
        Err(error) => return Err(project::fail(printer, &error, None)),
    };
    check_tiers(context, args, &open)?;
    let (plan, sight) = {
        let listing = open.listing();
        let asked = Asked::new(&listing);
        let plan = Plan::build(&open.project, &selection(&args.selecting), &asked)
            .map_err(|error| project::refuse(printer, &error))?;
        let sight = Sight::new(&open.project, &plan, &asked);
        (plan, sight.map_err(|error| project::fail(printer, &error, None))?)
    };
    Ok(Loaded { open, plan, sight, since })
}

impl Watcher<'_> {
    fn go(&mut self, mut loaded: Loaded, mut begun: Instant) -> Result<Exit, Exit> {
        let mut readings = 0;
        loop {
            self.folders.bell().hush();
            let worktree = Arc::clone(&loaded.open.worktree);
            let look = look_around(&loaded.sight, &worktree, &mut self.folders, true);
            let over = if loaded.sight.is_outdated(&look, loaded.since) && readings < MOST_READINGS {
                readings += 1;
                Over::Redefined(Vec::new())
            } else {
                readings = 0;
                self.runs(&loaded, look, begun)?
            };
            match over {
                Over::Cancelled => break,
                Over::Redefined(changes) if readings == 0 => self.stage.changed(&changes, &[]),
                Over::Redefined(_) | Over::Gone => {}
            }
            // While it is read, and as long as it is wrong, nobody looks at other files.
            self.lasting.disturb_all();
            let known = files_of(&loaded.open.project);
            // What it was is not needed any more; its worktree is.
            drop(loaded);
            match self.reload(worktree, &known) {
                Some(next) => (loaded, begun) = next,
                None => break,
            }
        }
        Ok(Exit::Cancelled)
    }

    /// Reads the configuration again until it is good. With it: when it began to. `None`: cancelled.
    fn reload(&mut self, mut worktree: Arc<Worktree>, known: &[PathBuf]) -> Option<(Loaded, Instant)> {
        let sight = Sight::of_definitions(&self.root, known);
        loop {
            if !worktree.is_at(&self.root) {
                worktree = self.until_back(worktree)?;
            }
            self.folders.bell().hush();
            let mut before = look_around(&sight, &worktree, &mut self.folders, true);
            let (since, begun) = (worktree.now(), Instant::now());
            if self.cancel.is_cancelled() {
                return None;
            }
            let open = self.open(&worktree);
            if let Ok(loaded) = load(self.context, self.args, open, since) {
                return Some((loaded, begun));
            }
            self.say_watching(&before);
            loop {
                match self.wait(&worktree, self.poll) {
                    Waited::Look => {}
                    Waited::Gone => break,
                    Waited::Cancelled => return None,
                }
                let now = look_around(&sight, &worktree, &mut self.folders, true);
                if sight.is_redefined(&before, &now) {
                    self.stage.changed(&sight.changes(&before, &now), &[]);
                    break;
                }
                before = now;
            }
        }
    }

    fn open(&self, worktree: &Arc<Worktree>) -> Result<OpenProject, OpenError> {
        // A link may have taken the folder's place.
        let root = std::fs::canonicalize(&self.root)
            .map_err(|source| OpenError::Io { path: self.root.clone(), source })?;
        OpenProject::open_in(self.around, Execution::Run, Arc::clone(worktree), &root)
    }

    /// Waits until there is a project where `worktree` was; its worktree. `None`: cancelled.
    fn until_back(&mut self, worktree: Arc<Worktree>) -> Option<Arc<Worktree>> {
        self.stage.gone(&self.root);
        loop {
            if !until_there(&self.root, &self.cancel) {
                return None;
            }
            self.folders.doubt();
            if worktree.is_at(&self.root) {
                self.stage.back();
                return Some(worktree);
            }
            match OpenProject::worktree(&self.root) {
                Ok(another) => {
                    // Where they live is not the project any more.
                    self.lasting.close();
                    self.stage.back();
                    return Some(another);
                }
                Err(error) => tracing::debug!(%error, "it went again"),
            }
        }
    }

    /// Runs one configuration again and again. `before`: what was seen just now.
    fn runs(&mut self, loaded: &Loaded, mut before: Look, mut begun: Instant) -> Result<Over, Exit> {
        let Loaded { open, plan, .. } = loaded;
        let worktree = &open.worktree;
        let ids: BTreeSet<RecipeId> = plan.recipes.iter().map(|recipe| recipe.id.clone()).collect();
        self.lasting.keep(&ids);
        project::warn(&self.context.printer, &open.project.warnings);
        project::warn(&self.context.printer, &plan.warnings);
        let servers = plan.selected.iter().map(|&at| &plan.recipes[at]).filter(|recipe| recipe.persistent);
        self.stage.set(open.project.root.clone(), servers.map(|recipe| recipe.id.clone()).collect());
        let root = self.root.clone();
        let is_gone = || !worktree.is_at(&root);
        loop {
            if is_gone() {
                return Ok(Over::Gone);
            }
            let report = self.run(loaded, begun)?;
            if self.cancel.is_cancelled() {
                return Ok(Over::Cancelled);
            }
            if is_gone() {
                return Ok(Over::Gone);
            }
            let mut sight = match loaded.sight.again(&open.project, plan) {
                Ok(sight) => sight,
                Err(error) => {
                    tracing::debug!(%error, "what is wrong is said if it still is when all is read again");
                    return Ok(Over::Gone);
                }
            };
            sight.add_outputs(&report);
            self.folders.bell().hush();
            let after = look_around(&sight, worktree, &mut self.folders, true);
            let mut changes = self.meanwhile(sight.changes(&before, &after));
            if sight.is_redefined(&before, &after) {
                return Ok(Over::Redefined(changes));
            }
            let mut displaced = report.displaced(worktree);
            before = after;
            if changes.is_empty() && displaced.is_empty() {
                self.say_watching(&before);
                match self.until_changed(&sight, worktree, &report, &mut before) {
                    Next::Over(over) => return Ok(over),
                    Next::Run(found, others) => (changes, displaced) = (found, others),
                }
            }
            match self.pause(&changes, &displaced) {
                Woken::Cancelled => return Ok(Over::Cancelled),
                Woken::Rung => {}
                Woken::TimedOut => {
                    let now = look_around(&sight, worktree, &mut self.folders, true);
                    changes.extend(sight.changes(&before, &now));
                    changes.sort();
                    changes.dedup_by(|a, b| a.path == b.path);
                    if sight.is_redefined(&before, &now) {
                        return Ok(Over::Redefined(changes));
                    }
                    before = now;
                }
            }
            begun = Instant::now();
            self.stage.changed(&changes, &displaced);
            self.lasting.disturb(&sight.concerned(&changes));
        }
    }

    /// One run. One that cannot even begin is like one in which nothing succeeded, save the first.
    fn run(&mut self, loaded: &Loaded, begun: Instant) -> Result<Report, Exit> {
        let printer = self.context.printer.for_another_run();
        self.stage.run(&printer);
        let context =
            Context { machine: self.context.machine.clone(), printer, verbose: self.context.verbose };
        let cancel = CancelToken::new().map_err(|error| project::fail(&context.printer, &error, None))?;
        self.signals.follow(&cancel);
        let round = Round {
            context: &context,
            args: self.args,
            around: self.around,
            open: &loaded.open,
            plan: &loaded.plan,
            signals: &self.signals,
            lasting: Some(&self.lasting),
            observing: None,
        };
        let is_first = std::mem::replace(&mut self.is_first, false);
        match round.run(cancel, self.args.force && is_first, begun) {
            Ok((report, _)) => Ok(report),
            Err(exit) if is_first => Err(exit),
            Err(_) => Ok(Report::default()),
        }
    }

    /// What changed during a run, less what runs only write again as it is.
    fn meanwhile(&mut self, mut changes: Vec<Change>) -> Vec<Change> {
        let rewritten = changes.iter().filter(|change| change.how == How::Touched);
        let rewritten: BTreeSet<PathBuf> = rewritten.map(|change| change.path.clone()).collect();
        let before = std::mem::replace(&mut self.rewritten, rewritten);
        changes.retain(|change| change.how != How::Touched || !before.contains(&change.path));
        changes
    }

    /// Waits until there is something to do.
    fn until_changed(
        &mut self,
        sight: &Sight,
        worktree: &Worktree,
        report: &Report,
        before: &mut Look,
    ) -> Next {
        self.tell_ended();
        let since = Instant::now();
        loop {
            let blind = before.is_blind().then_some(BLIND);
            match self.wait(worktree, self.poll.or(blind)) {
                Waited::Look => {}
                Waited::Gone => return Next::Over(Over::Gone),
                Waited::Cancelled => return Next::Over(Over::Cancelled),
            }
            self.tell_ended();
            let now = look_around(sight, worktree, &mut self.folders, false);
            if !sight.may_differ(before, &now) && report.displaced(worktree).is_empty() {
                continue;
            }
            let now = look_around(sight, worktree, &mut self.folders, true);
            let mut changes = sight.changes(before, &now);
            changes.retain(|change| change.how != How::Touched);
            let is_redefined = sight.is_redefined(before, &now);
            let displaced = report.displaced(worktree);
            *before = now;
            if is_redefined {
                return Next::Over(Over::Redefined(changes));
            }
            if !changes.is_empty() || !displaced.is_empty() {
                if since.elapsed() > AT_ONCE {
                    self.streak = 0;
                }
                return Next::Run(changes, displaced);
            }
        }
    }

    /// Tells which servers ended by themselves.
    fn tell_ended(&self) {
        for (recipe, outcome, lived) in self.lasting.take_ended() {
            self.stage.ended(&recipe, &outcome, lived);
        }
    }

    /// Waits for a ring. Where nothing is announced, time rings: after `longest`.
    fn wait(&self, worktree: &Worktree, longest: Option<Duration>) -> Waited {
        let end = longest.map(|longest| Instant::now() + longest);
        loop {
            let left = end.map_or(ROOT, |end| end.saturating_duration_since(Instant::now()));
            let woken = self.folders.bell().wait(&self.cancel, Some(left.min(ROOT)));
            if woken == Woken::Cancelled {
                return Waited::Cancelled;
            }
            if !worktree.is_at(&self.root) {
                return Waited::Gone;
            }
            if woken == Woken::Rung || end.is_some_and(|end| end <= Instant::now()) {
                return Waited::Look;
            }
        }
    }

    /// Between runs that follow each other at once. [`Woken::Rung`]: without a pause.
    fn pause(&mut self, changes: &[Change], displaced: &[RecipeId]) -> Woken {
        let outputs = displaced.iter().map(|id| PathBuf::from(format!("outputs of {id}")));
        let paths: BTreeSet<PathBuf> =
            changes.iter().map(|change| change.path.clone()).chain(outputs).collect();
        let before = std::mem::replace(&mut self.followed, paths);
        // The same again, or (a log for each run) what never was.
        let is_new = changes.iter().all(|change| change.how == How::Added) && displaced.is_empty();
        self.streak = if is_new || !before.is_disjoint(&self.followed) { self.streak + 1 } else { 0 };
        if self.streak < PATIENCE {
            return Woken::Rung;
        }
        if self.streak == PATIENCE {
            let what = changes
                .first()
                .map_or("something".to_owned(), |change| format!("`{}`", change.path.display()));
            let message = format!("{what} changes in every run: runs are spaced out");
            let hint = "if a recipe writes it: name it under its `outputs`, or in an ignore file";
            self.stage.warn(&message, Some(hint));
        }
        let pause = Duration::from_millis(250) * 2_u32.saturating_pow((self.streak - PATIENCE).min(8));
        if self.cancel.sleep(pause.min(LONGEST_PAUSE)) { Woken::Cancelled } else { Woken::TimedOut }
    }

    fn say_watching(&mut self, look: &Look) {
        if let Some(trouble) = self.folders.trouble()
            && !self.was_warned
        {
            self.was_warned = true;
            self.poll = self.poll.or(Some(POLL));
            self.stage.warn(&format!("{trouble}; looking every {} s", POLL.as_secs()), trouble.hint());
        }
        self.stage.watching(Watched {
            files: look.files(),
            folders: self.folders.len(),
            servers: self.lasting.servers(),
            poll: self.poll,
        });
    }
}

/// Why a wait ended.
enum Waited {
    /// Something may have changed.
    Look,
    Gone,
    Cancelled,
}

/// What follows a wait.
enum Next {
    Over(Over),
    Run(Vec<Change>, Vec<RecipeId>),
}
