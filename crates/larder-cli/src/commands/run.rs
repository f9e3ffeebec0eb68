//! `larder run`.

use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use larder::project::{OpenError, OpenProject, Surroundings};
use larder::run::config::ConfigError;
use larder::run::diagnostic::Diagnostic;
use larder::run::engine::{Options, Report, Session};
use larder::run::event::{Event, Outcome};
use larder::run::plan::Plan;
use larder::run::process::CancelToken;
use larder::run::select::Selection;
use larder::run::template::Execution;
use larder::store::Store;

use crate::cli::{CacheStrategy, OutputMode, RunArgs};
use crate::exit::Exit;
use crate::{printer, surroundings};

/// Shows what is wrong with a configuration, and how that ends the program.
fn refuse(error: &ConfigError) -> Exit {
    for diagnostic in error.diagnostics() {
        printer::talk(diagnostic);
    }
    match error {
        ConfigError::UnknownRecipe { .. } => Exit::UnknownRecipe,
        _ => Exit::Usage,
    }
}

fn warn(diagnostics: &[Diagnostic]) {
    diagnostics.iter().for_each(printer::talk);
}

/// Runs the command.
pub(crate) fn run(args: &RunArgs) -> Exit {
    let begun = Instant::now();
    let around = match surroundings::read(args.selecting.defines.clone(), args.selecting.environment.clone())
    {
        Ok(around) => around,
        Err(error) => {
            printer::error(&error, Some("the current folder is gone?"));
            return Exit::Usage;
        }
    };
    let execution = if args.list { Execution::Inert } else { Execution::Run };
    let open = match OpenProject::open(&around, execution) {
        Ok(open) => open,
        Err(OpenError::Config(error)) => return refuse(&error),
        Err(error) => {
            printer::error(&error, None);
            return Exit::Usage;
        }
    };
    warn(&open.project.warnings);
    let selection = Selection {
        selectors: args.selecting.selectors.clone(),
        regex: args.selecting.regex,
        tags: args.selecting.tags.clone(),
    };
    let result = if args.list { list(&open) } else { run_plan(args, &around, &open, &selection, begun) };
    if let Err(error) = open.worktree.save() {
        tracing::debug!(%error, "the stat table could not be saved");
    }
    result.unwrap_or_else(|error| refuse(&error))
}

fn list(open: &OpenProject) -> Result<Exit, ConfigError> {
    for listed in open.project.list(&open.listing())? {
        let description = listed.description.map(|text| format!("  {text}")).unwrap_or_default();
        printer::data(format_args!("{}{description}", listed.id));
    }
    Ok(Exit::Success)
}

fn run_plan(
    args: &RunArgs,
    around: &Surroundings,
    open: &OpenProject,
    selection: &Selection,
    begun: Instant,
) -> Result<Exit, ConfigError> {
    let plan = Plan::build(&open.project, selection, &open.listing())?;
    warn(&plan.warnings);
    let store = match store(args, around, open) {
        Ok(store) => store,
        Err(exit) => return Ok(exit),
    };
    let cancel = match CancelToken::new() {
        Ok(cancel) => cancel,
        Err(error) => {
            printer::error(&error, None);
            return Ok(Exit::Usage);
        }
    };
    watch_signals(&cancel);
    let show = Mutex::new(());
    let events = |event: Event<'_>| {
        let _guard = show.lock();
        show_event(args, &event);
    };
    let config = &open.project.config;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let reserved = usize::try_from(config.reserved_threads).unwrap_or(0);
    let configured = config.max_parallel.map_or(cores.saturating_sub(reserved).max(1), |jobs| jobs as usize);
    let strategy = args.cache;
    let options = Options {
        jobs: args.jobs.unwrap_or(configured).max(1),
        fail_fast: args.fail_fast || (config.fast_fail && !args.no_fail_fast),
        force: args.force,
        dry_run: args.dry_run,
        args: args.args.clone(),
        read_cache: strategy != CacheStrategy::Disabled,
        write_cache: strategy != CacheStrategy::Disabled,
        replay: args.output == OutputMode::Stream,
        environment: around.environment.clone(),
        flights: store.as_ref().map(|store| store.local_store().home().join("locks")),
    };
    let id =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis().to_string();
    let (project, root) = (&open.project.name, &open.project.root);
    let session = Session::new(project, root, &open.worktree, store.as_ref(), options, cancel, id, &events);
    let session = match session {
        Ok(session) => session,
        Err(error) => {
            printer::error(&error, None);
            return Ok(Exit::Usage);
        }
    };
    let report = session.run(&plan);
    if let Some(store) = &store
        && let Err(error) = store.flush()
    {
        tracing::debug!(%error, "the store's notes could not be written");
    }
    printer::data(summary(&report, begun));
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.failed() > 0 {
        Exit::Failed
    } else if report.cancelled {
        Exit::Cancelled
    } else {
        Exit::Success
    }
}

fn store(args: &RunArgs, around: &Surroundings, open: &OpenProject) -> Result<Option<Store>, Exit> {
    if args.cache == CacheStrategy::Disabled {
        return Ok(None);
    }
    match open.store(around) {
        Ok(store) => {
            for warning in store.iter().flat_map(Store::warnings) {
                printer::warning(format_args!("{warning:?}"), None);
            }
            Ok(store)
        }
        // A wrong secret or configuration is the user's to mend; a store that cannot be used is none.
        Err(error) if error.kind() == larder::core::ErrorKind::Invalid => {
            printer::error(&error, error.hint());
            Err(Exit::Usage)
        }
        Err(error) => {
            printer::warning(format_args!("{error}; going on without a cache"), error.hint());
            Ok(None)
        }
    }
}

fn watch_signals(cancel: &CancelToken) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let cancel = cancel.clone();
    match signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        Ok(mut signals) => {
            std::thread::spawn(move || {
                for _ in signals.forever() {
                    cancel.cancel();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "signals are not handled"),
    }
}

fn show_event(args: &RunArgs, event: &Event<'_>) {
    match event {
        Event::Output { bytes, .. } if args.output == OutputMode::Stream => printer::raw(bytes),
        Event::Warning { recipe, message, hint } => {
            let who = recipe.map(|recipe| format!("{recipe}: ")).unwrap_or_default();
            printer::warning(format_args!("{who}{message}"), *hint);
        }
        Event::Finished { recipe, outcome, took } => {
            let took = printer::duration(*took);
            match outcome {
                Outcome::Ran { miss, not_cached, .. } => {
                    let miss = miss.as_ref().map(|miss| format!("   miss: {miss}")).unwrap_or_default();
                    let not =
                        not_cached.as_ref().map(|why| format!("   not cached: {why}")).unwrap_or_default();
                    printer::data(format_args!("  ✓ {recipe}  {took}{miss}{not}"));
                }
                Outcome::Failed { reason, hint } => {
                    printer::data(format_args!("  ✗ {recipe}  {took}   {reason}"));
                    if let Some(hint) = hint {
                        printer::talk(format_args!("hint: {hint}"));
                    }
                }
                Outcome::Skipped { because } => {
                    printer::data(format_args!("  - {recipe}  skipped: {because} failed"))
                }
                Outcome::WouldRun { miss } => {
                    printer::data(format_args!(
                        "  would run {recipe}  {}",
                        miss.as_deref().unwrap_or_default()
                    ));
                }
                Outcome::Cached { .. } | Outcome::Cancelled => {}
            }
        }
        _ => {}
    }
}

fn summary(report: &Report, begun: Instant) -> String {
    let count = report.recipes.len();
    let noun = if count == 1 { "recipe" } else { "recipes" };
    let took = printer::duration(begun.elapsed());
    let (cached, ran, failed) = (report.cached(), report.ran(), report.failed());
    let saved =
        if cached > 0 { format!(" · saved {}", printer::duration(report.saved())) } else { String::new() };
    let local = if cached > 0 { format!(" ({cached} local)") } else { String::new() };
    format!("{count} {noun}: {cached} cached{local}, {ran} run, {failed} failed · {took}{saved}")
}
