//! `larder cache gc --tier`: deletion in a remote tier.

use std::time::Duration;

use larder::remote::packed::collect::{CollectOptions, Collected};
use larder::run::template::Execution;
use serde_json::json;

use super::fail;
use crate::cli::GcArgs;
use crate::commands::{Context, project};
use crate::exit::Exit;
use crate::units;

/// How long what no result needs waits, twice: before it is marked, and before it goes.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// What is used is written anew weekly, and asked for weekly by machines that keep it: what is younger may be in use.
const IN_USE: Duration = Duration::from_secs(15 * 24 * 3600);

/// Runs the subcommand.
pub(super) fn collect(context: &Context, args: &GcArgs, name: &str) -> Result<Exit, Exit> {
    if args.older_than.is_some_and(|time| time < IN_USE) && !args.force && !args.dry_run {
        let hint = "results that are used are as old as 15 days; `--force` deletes them, too";
        context.printer.refuse("`--older-than` is so short that what is used would be deleted", Some(hint));
        return Err(Exit::Usage);
    }
    let around = context.machine.surroundings(None);
    let open = project::open(context, &around, Execution::Inert)?;
    let tier = project::tier(context, &around, &open, name)?;
    project::close(&open);
    let options = CollectOptions {
        older_than: args.older_than,
        grace: args.grace.unwrap_or(GRACE),
        dry_run: args.dry_run,
    };
    let namespace = larder::cache::DEFAULT_NAMESPACE;
    let runtime = larder::tiers::runtime();
    let collected = (tier.open)()
        .and_then(|tier| runtime.handle()?.block_on(tier.collect(namespace, &options)))
        .map_err(|error| fail(context, &error))?;
    if args.json {
        context.printer.json(&as_json(&collected, args.dry_run));
    } else {
        told(&collected, &options).iter().for_each(|line| context.printer.data(line));
    }
    Ok(Exit::Success)
}

fn as_json(collected: &Collected, dry_run: bool) -> serde_json::Value {
    json!({
        "version": 1, "dry_run": dry_run,
        "results": {"kept": collected.results_kept, "deleted": collected.results_deleted},
        "packs": {
            "kept": collected.packs_kept, "marked": collected.packs_marked,
            "waiting": collected.packs_waiting, "deleted": collected.packs_deleted,
        },
        "bytes": {
            "kept": collected.bytes_kept, "waiting": collected.bytes_waiting, "deleted": collected.bytes_deleted,
        },
    })
}

fn told(collected: &Collected, options: &CollectOptions) -> Vec<String> {
    let (deleted, marked) =
        if options.dry_run { ("would be deleted", "would be marked") } else { ("deleted", "marked") };
    let mut lines = vec![format!(
        "{:<8} {} kept, {} {deleted}",
        "results",
        units::count(collected.results_kept),
        units::count(collected.results_deleted)
    )];
    lines.push(format!(
        "{:<8} {} kept ({}), {} {deleted} ({}), {} {marked}, {} wait ({})",
        "packs",
        units::count(collected.packs_kept),
        units::bytes(collected.bytes_kept),
        units::count(collected.packs_deleted),
        units::bytes(collected.bytes_deleted),
        units::count(collected.packs_marked),
        units::count(collected.packs_waiting),
        units::bytes(collected.bytes_waiting),
    ));
    if collected.packs_marked + collected.packs_waiting > 0 {
        let hours = options.grace.as_secs().div_ceil(3600);
        lines.push(format!("what is marked goes with a collection that is at least {hours} h later"));
    }
    lines
}
