//! `larder cache warm`: a run in which everything is looked up, also in remote tiers, and nothing is done.

use std::collections::BTreeMap;

use larder::run::engine::{Options, Session};
use larder::run::event::Event;
use larder::run::plan::Plan;
use larder::run::process::CancelToken;
use larder::run::template::Execution;
use larder::store::store::{LOCAL_TIER, Upstream};
use larder::tiers::Opened;
use serde_json::json;

use crate::cli::WarmArgs;
use crate::commands::{Context, project, run};
use crate::exit::Exit;
use crate::signals::Watch;
use crate::units;

/// Runs the subcommand.
pub(super) fn warm(context: &Context, args: &WarmArgs) -> Result<Exit, Exit> {
    let around = context.machine.surroundings(Some(&args.selecting));
    let open = project::open(context, &around, Execution::Run)?;
    let done = look_up_all(context, args, &around, &open);
    project::close(&open);
    done
}

fn look_up_all(
    context: &Context,
    args: &WarmArgs,
    around: &larder::project::Surroundings,
    open: &larder::project::OpenProject,
) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let plan = Plan::build(&open.project, &run::selection(&args.selecting), &open.listing())
        .map_err(|error| project::refuse(printer, &error))?;
    project::warn(printer, &plan.warnings);
    let Some(store) = project::store(context, around, open)? else {
        printer.refuse("there is no cache here that could be filled", None);
        return Err(Exit::Failed);
    };
    let cache = &open.project.config.cache;
    let tiers = match larder::tiers::open(cache, &open.project.root, &store, around, false) {
        Opened::Ready(tiers) => tiers,
        Opened::None => {
            let hint = Some("name one under `config: {cache: {remotes: …}}`");
            printer.refuse("this project has no remote tiers", hint);
            return Err(Exit::Usage);
        }
        Opened::Unusable(warning) => {
            printer.refuse(&warning.message, warning.hint.as_deref());
            return Err(Exit::Usage);
        }
    };
    let failed = |error: &dyn std::error::Error| project::fail(printer, error, None);
    let cancel = CancelToken::new().map_err(|error| failed(&error))?;
    let _watch = Watch::new(cancel.clone()).map_err(|error| failed(&error))?;
    // Look-ups wait for the network, not for a core.
    let options = Options { jobs: 8, ..project::looking(open, around, &args.args) };
    let events = |_: Event<'_>| {};
    let (name, root, run) = (&open.project.name, &open.project.root, project::run_name());
    let upstream: Option<&dyn Upstream> = Some(&tiers);
    let session =
        Session::new(name, root, &open.worktree, Some(&store), upstream, options, cancel, run, &events);
    let report = session.map_err(|error| failed(&error))?.run(&plan);
    tiers.finish();
    let warnings = tiers.take_warnings();
    for warning in &warnings {
        printer.warning(&warning.message, warning.hint.as_deref());
    }
    if let Err(error) =
        store.flush().and_then(|()| store.local_store().maintain(cache.local.max_size).map(drop))
    {
        tracing::debug!(%error, "the store's upkeep is left to the next run");
    }
    let by_tier: BTreeMap<&str, usize> = run::tiers_of(&report);
    let here: usize = by_tier.values().sum();
    let brought = here - by_tier.get(LOCAL_TIER).copied().unwrap_or(0);
    let recipes = report.recipes.len();
    if args.json {
        printer.json(&json!({
            "version": 1, "recipes": recipes, "in_cache": here, "brought": brought, "by_tier": by_tier,
        }));
    } else {
        let of = units::counted(recipes, "recipe", "recipes");
        printer.data(format_args!("{of}: {here} in the cache, {brought} of them brought now"));
    }
    Ok(match report.cancelled {
        true => Exit::Cancelled,
        // A tier that could not be asked may have had what is missing.
        false if !warnings.is_empty() && here < recipes => Exit::Usage,
        false => Exit::Success,
    })
}
