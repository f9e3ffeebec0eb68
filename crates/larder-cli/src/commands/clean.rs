//! `larder clean`: what recipes made goes from this worktree. The cache keeps it; what the cache does not hold can be undone for a
//! day (`larder run --undo`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use larder::run::config::ConfigError;
use larder::run::engine::{Options, Order, RemoveError, Removed, Session};
use larder::run::process::CancelToken;
use larder::run::recipe::Recipe;
use larder::run::select::Selection;
use larder::run::template::Execution;
use serde_json::json;

use super::{Context, project};
use crate::cli::CleanArgs;
use crate::exit::Exit;
use crate::signals::Watch;
use crate::units;

/// Runs the command.
pub(super) fn clean(context: &Context, args: &CleanArgs) -> Result<Exit, Exit> {
    if let Some(size) = args.evict_to_size {
        let exit = super::cache::gc::shrink_to(context, size, args.dry_run, args.json)?;
        if args.selectors.is_empty() && !args.all {
            return Ok(exit);
        }
    }
    let printer = &context.printer;
    let around = context.machine.surroundings(None);
    let open = project::open(context, &around, Execution::Run)?;
    let selection = if args.all {
        Selection { selectors: vec![".*:.*".to_owned()], regex: true, ..Selection::default() }
    } else {
        Selection { selectors: args.selectors.clone(), ..Selection::default() }
    };
    let refuse = |error: ConfigError| project::refuse(printer, &error);
    // What the selected recipes depend on stays.
    let resolved = open.project.resolve(&selection, &open.listing()).map_err(refuse)?;
    project::warn(printer, &resolved.warnings);
    let wanted: Vec<&Recipe> =
        resolved.recipes.iter().filter(|recipe| resolved.selected.contains(&recipe.id)).collect();
    let store = project::store(context, &around, &open)?;
    let failed = |error: &dyn std::error::Error| project::fail(printer, error, None);
    let cancel = CancelToken::new().map_err(|error| failed(&error))?;
    let _watch = Watch::new(cancel.clone()).map_err(|error| failed(&error))?;
    let options = Options {
        lenient_outputs: open.project.mode == larder::run::recipe::Mode::Bake,
        jobs: 1,
        fail_fast: true,
        force: false,
        dry_run: args.dry_run,
        args: Vec::new(),
        read_cache: false,
        write_cache: false,
        replay: false,
        environment: around.environment.clone(),
        order: Order::LocalFirst,
        trace_all: false,
        flights: None,
    };
    let (name, root, run) = (&open.project.name, &open.project.root, project::run_name());
    let session =
        Session::new(name, root, &open.worktree, store.as_ref(), None, options, cancel, run, &|_| {});
    let session = session.map_err(|error| failed(&error))?;
    let mut done: Vec<Removed> = Vec::new();
    for recipe in wanted {
        match session.remove(recipe) {
            Ok(removed) => done.push(removed),
            Err(RemoveError::Cancelled) => return Err(Exit::Cancelled),
            Err(error) => {
                printer.error(&error, None);
                return Err(Exit::Failed);
            }
        }
    }
    project::close(&open);
    show(context, args, done);
    Ok(Exit::Success)
}

fn show(context: &Context, args: &CleanArgs, done: Vec<Removed>) {
    let printer = &context.printer;
    let text = |path: &Vec<u8>| OsString::from_vec(path.clone()).to_string_lossy().into_owned();
    if args.json {
        let recipe = |removed: &Removed| {
            json!({
                "recipe": removed.recipe.to_string(),
                "paths": removed.paths.iter().map(text).collect::<Vec<_>>(),
                "kept_for_undo": removed.is_kept,
            })
        };
        let recipes: Vec<_> = done.iter().map(recipe).collect();
        return printer.json(&json!({ "version": 1, "dry_run": args.dry_run, "recipes": recipes }));
    }
    let (mut paths, mut recipes, mut is_kept) = (0, 0, false);
    for removed in done.iter().filter(|removed| !removed.paths.is_empty()) {
        recipes += 1;
        is_kept |= removed.is_kept;
        paths += removed.paths.len();
        if args.dry_run || context.verbose {
            printer.data(units::printable(&removed.recipe.to_string()));
            for path in &removed.paths {
                printer.data(format_args!("  {}", units::printable(&text(path))));
            }
        }
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let (paths, recipes) =
        (units::counted(paths, "path", "paths"), units::counted(recipes, "recipe", "recipes"));
    let kept =
        if is_kept { "; what the cache does not hold is kept for a day: `larder run --undo`" } else { "" };
    printer.data(format_args!("{verb} {paths} of {recipes}{kept}"));
}
