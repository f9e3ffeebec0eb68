//! `larder run`.
//!
//! ```text
//! mod.rs     what was asked for; the run itself      text.rs   the run as people see it
//! list.rs    --list                                  json.rs   the run as events
//! plan.rs    --show-plan, --render, --check          log.rs    recipes' output: prefixed, whole, its end
//! undo.rs    --undo                                  summary.rs  the last line
//! affected.rs  --affected                            graph.rs  --tree, --graph
//! page.rs    --report                                suggest.rs --suggest-inputs
//! watch.rs   --watch: run after run                  stage.rs  what is shown between them
//! ```

mod affected;
mod graph;
mod json;
mod list;
mod log;
mod page;
mod plan;
mod stage;
mod suggest;
mod summary;
mod text;
mod undo;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::project::{OpenProject, Surroundings};
use larder::remote::Tiers;
use larder::run::engine::{Lasting, Options, Order, Report, Session, look_ahead};
use larder::run::event::Event;
use larder::run::plan::Plan;
use larder::run::process::CancelToken;
use larder::run::recipe::Mode;
use larder::run::select::Selection;
use larder::run::template::Execution;
use larder::store::Store;
use larder::store::store::{LOCAL_TIER, Upstream};
use larder::tiers::Opened;

use super::{Context, project};
use crate::cli::{CacheStrategy, GraphFormat, OutputMode, RunArgs, Selecting, parse_name};
use crate::exit::Exit;
use crate::printer::Printer;
use crate::signals::Watch;
use crate::units;

pub(crate) use log::tail as tail_of_log;
pub(super) use summary::tiers as tiers_of;

/// Looking at so many paths takes longer than starting a thread.
const WORTH_A_THREAD: usize = 1_000;

/// What was asked for.
pub(super) fn selection(selecting: &Selecting) -> Selection {
    Selection {
        selectors: selecting.selectors.clone(),
        regex: selecting.regex,
        tags: selecting.tags.clone(),
        only: None,
    }
}

/// Runs the command.
pub(super) fn run(context: &Context, args: &RunArgs) -> Result<Exit, Exit> {
    let begun = Instant::now();
    page::check(context, args)?;
    let around = context.machine.surroundings(Some(&args.selecting));
    if args.undo {
        return undo::undo(context, &around, args.json);
    }
    if args.watch {
        return watch::watch(context, args, &around);
    }
    let execution = if args.list { Execution::Inert } else { Execution::Run };
    let open = project::open(context, &around, execution)?;
    if let Err(exit) = check_tiers(context, args, &open) {
        project::close(&open);
        return Err(exit);
    }
    let done = selected(context, args, &open).and_then(|selection| {
        instead(context, args, &open, &selection)
            .unwrap_or_else(|| execute(context, args, &around, &open, &selection, begun))
    });
    project::close(&open);
    // The program ends now: taking a large project apart would be for nothing.
    std::mem::forget(open);
    done
}

/// `--cache remote-only` needs a remote tier.
fn check_tiers(context: &Context, args: &RunArgs, open: &OpenProject) -> Result<(), Exit> {
    let remotes = &open.project.config.cache.remotes;
    if args.cache != CacheStrategy::RemoteOnly || remotes.enabled && !remotes.tiers.is_empty() {
        return Ok(());
    }
    let hint = Some(
        "name one under `config: {cache: {remotes: …}}`; `--cache local-only` uses this machine's store",
    );
    context.printer.refuse("this project has no remote tiers", hint);
    Err(Exit::Usage)
}

/// What was asked for, with what `--affected` leaves of it.
fn selected(context: &Context, args: &RunArgs, open: &OpenProject) -> Result<Selection, Exit> {
    let mut selection = selection(&args.selecting);
    if let Some(base) = &args.affected {
        selection.only = Some(affected::only(&context.printer, open, base)?);
    }
    Ok(selection)
}

/// What is done instead of running, if anything is.
fn instead(
    context: &Context,
    args: &RunArgs,
    open: &OpenProject,
    selection: &Selection,
) -> Option<Result<Exit, Exit>> {
    let (printer, json) = (&context.printer, args.json);
    let done = if args.list {
        list::list(printer, open, selection, json)
    } else if args.check {
        plan::check(printer, open, selection, json)
    } else if args.render {
        plan::render(printer, open, selection, json)
    } else if let Some(format) = args.graph {
        graph::graph(printer, open, selection, format)
    } else if args.tree && !json {
        graph::tree(printer, open, selection)
    } else if args.tree {
        graph::graph(printer, open, selection, GraphFormat::Json)
    } else if args.show_plan {
        plan::show(printer, open, selection, json)
    } else {
        return None;
    };
    Some(done.map_err(|error| project::refuse(printer, &error)))
}

fn options(args: &RunArgs, around: &Surroundings, open: &OpenProject, store: Option<&Store>) -> Options {
    let config = &open.project.config;
    let cores = open.worktree.cores();
    let reserved = usize::try_from(config.reserved_threads).unwrap_or(0);
    let configured = config
        .max_parallel
        .map_or(cores.saturating_sub(reserved), |jobs| usize::try_from(jobs).unwrap_or(usize::MAX));
    let uses_cache = args.cache != CacheStrategy::Disabled;
    Options {
        jobs: args.jobs.map_or(configured.max(1), usize::from),
        fail_fast: args.fail_fast || (config.fast_fail && !args.no_fail_fast),
        force: args.force || args.suggest_inputs,
        dry_run: args.dry_run,
        args: args.args.clone(),
        read_cache: uses_cache,
        write_cache: uses_cache,
        replay: args.output == OutputMode::Stream,
        environment: around.environment.clone(),
        lenient_outputs: open.project.mode == Mode::Bake,
        order: match args.cache {
            CacheStrategy::RemoteOnly => Order::RemoteOnly,
            CacheStrategy::RemoteFirst => Order::RemoteFirst,
            CacheStrategy::LocalOnly | CacheStrategy::LocalFirst | CacheStrategy::Disabled => {
                Order::LocalFirst
            }
        },
        trace_all: args.suggest_inputs,
        flights: store.map(|store| store.local_store().home().join("locks")),
        name: None,
    }
}

/// The name that the run is given.
fn name(context: &Context, args: &RunArgs) -> Result<Option<String>, Exit> {
    let from_environment = || {
        context.machine.run_name().map(|name| {
            parse_name(&name).map_err(|why| {
                let name = units::printable(&name);
                context
                    .printer
                    .refuse(format_args!("LARDER_RUN_NAME is `{name}`, which is no name"), Some(&why));
                Exit::Usage
            })
        })
    };
    args.name.clone().map(Ok).or_else(from_environment).transpose()
}

/// Opens the store, unless none is wanted. In a large project files are looked at meanwhile.
fn store(
    context: &Context,
    args: &RunArgs,
    around: &Surroundings,
    open: &OpenProject,
    plan: &Plan,
) -> Result<Option<Store>, Exit> {
    if args.cache == CacheStrategy::Disabled {
        return Ok(None);
    }
    if open.worktree.known() < WORTH_A_THREAD || open.worktree.cores() < 2 {
        return project::store(context, around, open);
    }
    std::thread::scope(|threads| {
        let store = threads.spawn(|| project::store(context, around, open));
        look_ahead(&open.project.root, &open.worktree, plan);
        store.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Plans and runs.
fn execute(
    context: &Context,
    args: &RunArgs,
    around: &Surroundings,
    open: &OpenProject,
    selection: &Selection,
    begun: Instant,
) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let plan = Plan::build(&open.project, selection, &open.listing())
        .map_err(|error| project::refuse(printer, &error))?;
    project::warn(printer, &plan.warnings);
    let failed = |error: &dyn std::error::Error| project::fail(printer, error, None);
    let cancel = CancelToken::new().map_err(|error| failed(&error))?;
    let signals = Watch::new(cancel.clone()).map_err(|error| failed(&error))?;
    let observed = suggest::Observations::default();
    let observing = args.suggest_inputs.then_some(&observed);
    let round =
        Round { context, args, around, open, plan: &plan, signals: &signals, lasting: None, observing };
    let exit = round.run(cancel, args.force || args.suggest_inputs, begun).and_then(|(report, exit)| {
        if args.suggest_inputs && !report.cancelled {
            let ran =
                suggest::Ran { around, open, selection, plan: &plan, report: &report, signals: &signals };
            suggest::suggest(context, args, &ran, &observed)?;
        }
        Ok(exit)
    });
    // The program ends now, as in `run`.
    std::mem::forget(plan);
    exit
}

/// One run of a plan: the only one, or one of several.
struct Round<'r> {
    context: &'r Context,
    args: &'r RunArgs,
    around: &'r Surroundings,
    open: &'r OpenProject,
    plan: &'r Plan,
    signals: &'r Watch,
    lasting: Option<&'r Lasting>,
    observing: Option<&'r suggest::Observations>,
}

impl Round<'_> {
    fn run(&self, cancel: CancelToken, force: bool, begun: Instant) -> Result<(Report, Exit), Exit> {
        let Round { context, args, around, open, plan, signals, lasting, observing } = *self;
        let printer = &context.printer;
        let store = store(context, args, around, open, plan)?;
        let name = name(context, args)?;
        let options = Options { force, name, ..options(args, around, open, store.as_ref()) };
        let view = View::new(context, args, plan, open, options.jobs);
        let events = |event: Event<'_>| {
            if let Some(observing) = observing {
                observing.note(&event);
            }
            if matches!(event, Event::Started { .. } | Event::Waiting { .. }) {
                signals.be_gentle();
            }
            view.show(&event);
        };
        let (name, root) = (&open.project.name, &open.project.root);
        let run = project::run_name();
        let tiers = store.as_ref().and_then(|store| tiers(context, args, around, open, store));
        let upstream = tiers.as_ref().map(|tiers| tiers as &dyn Upstream);
        let session =
            Session::new(name, root, &open.worktree, store.as_ref(), upstream, options, cancel, run, &events);
        let mut session = session.map_err(|error| project::fail(printer, &error, None))?.since(begun);
        if let Some(lasting) = lasting {
            session = session.with_lasting(lasting, Arc::clone(&open.worktree));
        }
        let mut report = session.run(plan);
        if let Some(store) = &store {
            settle(store, &report, open.project.config.cache.local.max_size);
        }
        if let Some(tiers) = &tiers {
            let sending = Instant::now();
            finish(printer, tiers, report.cancelled);
            session.note_sending(&mut report, sending.elapsed());
        }
        let exit = exit(&report);
        view.end(plan, &report, begun.elapsed(), exit);
        if args.report.is_some() {
            // A signal leaves no half of a page.
            signals.be_gentle();
        }
        let exit = page::write(context, args, open, plan, &report, exit);
        Ok((report, exit))
    }
}

/// The remote tiers behind the store, if they are wanted and can be used.
fn tiers(
    context: &Context,
    args: &RunArgs,
    around: &Surroundings,
    open: &OpenProject,
    store: &Store,
) -> Option<Tiers> {
    if args.cache == CacheStrategy::LocalOnly || args.dry_run {
        return None;
    }
    match larder::tiers::open(&open.project.config.cache, &open.project.root, store, around, true) {
        Opened::None => None,
        Opened::Unusable(warning) => {
            context.printer.warning(&warning.message, warning.hint.as_deref());
            None
        }
        Opened::Ready(tiers) => Some(tiers),
    }
}

/// How long sending may take before a word is said of it, and between two words.
const SILENCE: Duration = Duration::from_secs(3);

/// Waits until what was made is sent, and tells what went wrong with tiers. Who cancelled waits for nothing.
fn finish(printer: &Printer, tiers: &Tiers, cancelled: bool) {
    if !cancelled {
        let mut said = Instant::now();
        let sent = tiers.finish_telling(&mut |left| {
            if said.elapsed() >= SILENCE {
                said = Instant::now();
                printer.talk(format_args!(
                    "sending {} to remote tiers",
                    units::counted(left, "result", "results")
                ));
            }
        });
        let moved = sent.moved;
        tracing::debug!(results = sent.results, bytes = moved.bytes, requests = moved.requests, "sent");
    }
    for warning in tiers.take_warnings() {
        printer.warning(&warning.message, warning.hint.as_deref());
    }
}

/// Writes what the store noted, and keeps it below its limit if something was added to it.
fn settle(store: &Store, report: &Report, max_size: Option<u64>) {
    let flushed = store.flush();
    let fetched = summary::tiers(report).keys().any(|tier| *tier != LOCAL_TIER);
    let added = report.ran() > 0 || fetched;
    let settled =
        flushed.and_then(|()| if added { store.local_store().maintain(max_size).map(drop) } else { Ok(()) });
    if let Err(error) = settled {
        tracing::debug!(%error, "the store's upkeep is left to the next run");
    }
}

fn exit(report: &Report) -> Exit {
    if report.cancelled {
        Exit::Cancelled
    } else if report.failed() > 0 {
        Exit::Failed
    } else {
        Exit::Success
    }
}

/// The run, shown one way or the other.
enum View<'a> {
    Text(text::Text<'a>),
    Json(json::Json<'a>),
    /// One value is told at the end.
    Silent,
}

impl<'a> View<'a> {
    fn new(context: &'a Context, args: &RunArgs, plan: &Plan, open: &'a OpenProject, jobs: usize) -> Self {
        if args.json && args.suggest_inputs {
            Self::Silent
        } else if args.json {
            Self::Json(json::Json::new(&context.printer, plan, open, jobs))
        } else {
            Self::Text(text::Text::new(context, args.output, plan, open))
        }
    }

    fn show(&self, event: &Event<'_>) {
        match self {
            Self::Text(text) => text.show(event),
            Self::Json(json) => json.show(event),
            Self::Silent => {}
        }
    }

    fn end(&self, plan: &Plan, report: &Report, took: std::time::Duration, exit: Exit) {
        match self {
            Self::Text(text) => text.end(plan, report, took),
            Self::Json(json) => json.end(report, took, exit),
            Self::Silent => {}
        }
    }
}
