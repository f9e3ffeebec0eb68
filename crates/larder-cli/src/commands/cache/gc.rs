//! `larder cache gc`: what goes is planned, shown with `--dry-run`, else done.

use larder::store::Store;
use larder::store::local::gc::{GcOptions, GcPlan, GcReport, Policy};

use super::{fail, open};
use crate::cli::{GcArgs, Order};
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn gc(context: &Context, args: &GcArgs) -> Result<Exit, Exit> {
    if let Some(tier) = &args.tier {
        return super::tier::collect(context, args, tier);
    }
    let (store, configured) = open(context)?;
    let local = store.local_store();
    let to_size = match (args.to_size.or(configured), args.older_than) {
        (Some(size), _) => Some(size),
        (None, Some(_)) => None,
        (None, None) => {
            let measured = local.default_limit();
            Some(measured.map_err(|error| {
                context.printer.error(&error, None);
                Exit::Failed
            })?)
        }
    };
    let policy = match args.order {
        Order::Lru => Policy::Lru,
        Order::Largest => Policy::LargestFirst,
    };
    let grace = args.grace.unwrap_or(GcOptions::default().grace);
    let options = GcOptions { to_size, older_than: args.older_than, policy, grace, ..GcOptions::default() };
    collect(context, &store, &options, args.dry_run, args.json)
}

/// `larder clean --evict-to-size`.
pub(in crate::commands) fn shrink_to(
    context: &Context,
    size: u64,
    dry_run: bool,
    as_json: bool,
) -> Result<Exit, Exit> {
    let (store, _) = open(context)?;
    let options = GcOptions { to_size: Some(size), ..GcOptions::default() };
    collect(context, &store, &options, dry_run, as_json)
}

fn collect(
    context: &Context,
    store: &Store,
    options: &GcOptions,
    dry_run: bool,
    as_json: bool,
) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let local = store.local_store();
    let plan = local.plan_gc(options).map_err(|error| fail(context, &error))?;
    if dry_run {
        if as_json {
            printer.json(&plan);
        } else {
            printer.data(planned(&plan));
            warn_of_rest(context, options, plan.bytes_after);
        }
        return Ok(Exit::Success);
    }
    let report = local.run_gc(plan).map_err(|error| fail(context, &error))?;
    if as_json {
        printer.json(&report);
        return Ok(Exit::Success);
    }
    printer.data(done(&report));
    warn_of_rest(context, options, report.bytes_after);
    Ok(Exit::Success)
}

/// Says that the goal is not reached, and why.
fn warn_of_rest(context: &Context, options: &GcOptions, bytes: u64) {
    if let Some(size) = options.to_size.filter(|size| bytes > *size) {
        let message = format!("that is more than {} still", units::bytes(size));
        let hint = "what is pinned, leased or was just written stays (`larder cache gc --grace 0s`)";
        context.printer.warning(message, Some(hint));
    }
}

fn planned(plan: &GcPlan) -> String {
    let freed = plan.bytes_before.saturating_sub(plan.bytes_after);
    if plan.results.is_empty() && plan.blobs == 0 && plan.packs.is_empty() && plan.partial_blobs.is_empty() {
        return format!("nothing to free: {}", units::bytes(plan.bytes_before));
    }
    let results = units::counted(plan.results.len(), "result", "results");
    let blobs = units::count(plan.blobs);
    let chunks = units::count(plan.chunks);
    let parts = parts(plan.partial_blobs.len());
    format!(
        "would free {}, to {}: {parts}{results}, {blobs} blobs and {chunks} chunks that nothing else needs. \
         Nothing pinned or leased is touched.",
        units::bytes(freed),
        units::bytes(plan.bytes_after),
    )
}

/// Layers of images of which parts go, in words.
fn parts(layers: usize) -> String {
    match layers {
        0 => String::new(),
        layers => format!("parts of {}, ", units::counted(layers, "layer", "layers")),
    }
}

fn done(report: &GcReport) -> String {
    let freed = report.bytes_before.saturating_sub(report.bytes_after);
    format!(
        "freed {}, to {}: {}{} results, {} blobs, {} packs",
        units::bytes(freed),
        units::bytes(report.bytes_after),
        parts(usize::try_from(report.partial_blobs).unwrap_or(usize::MAX)),
        units::count(report.results),
        units::count(report.blobs),
        units::count(report.packs_removed),
    )
}
