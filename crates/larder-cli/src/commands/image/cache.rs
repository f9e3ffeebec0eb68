//! `larder image cache`: parts of layers that are kept.

use std::time::{Duration, SystemTime};

use larder::store::local::partial::PartialEntry;
use serde_json::json;

use super::open::fail;
use crate::cli::{ImageCacheCommand, ImageCacheGcArgs, ImageCacheLsArgs};
use crate::commands::{Context, cache as store};
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn cache(context: &Context, command: &ImageCacheCommand) -> Result<Exit, Exit> {
    match command {
        ImageCacheCommand::Ls(args) => ls(context, args),
        ImageCacheCommand::Gc(args) => gc(context, args),
    }
}

fn age(entry: &PartialEntry) -> Duration {
    SystemTime::now().duration_since(entry.used).unwrap_or_default()
}

fn ls(context: &Context, args: &ImageCacheLsArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = store::open(context)?;
    let entries = store.local_store().partial_blobs(store.namespace());
    for entry in entries.map_err(|error| fail(printer, &error, ""))? {
        if args.json {
            printer.json(&json!({"layer": entry.name, "bytes": entry.allocated, "unused_seconds": age(&entry).as_secs()}));
        } else {
            let (size, used) = (units::bytes(entry.allocated), units::ago(age(&entry)));
            printer.data(format_args!("{size:>10}  {used:>12}  {}", entry.name));
        }
    }
    Ok(Exit::Success)
}

fn gc(context: &Context, args: &ImageCacheGcArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = store::open(context)?;
    let local = store.local_store();
    let failed = |error: larder::core::Error| fail(printer, &error, error.hint().unwrap_or_default());
    let entries = local.partial_blobs(store.namespace()).map_err(failed)?;
    let mut left: u64 = entries.iter().map(|entry| entry.allocated).sum();
    let (mut removed, mut bytes) = (0usize, 0u64);
    for entry in entries {
        let is_old = args.older_than.is_some_and(|limit| age(&entry) >= limit);
        let is_over = args.to_size.is_some_and(|limit| left > limit);
        if !is_old && !is_over {
            continue;
        }
        if !args.dry_run {
            local.remove_partial_blob(&entry).map_err(failed)?;
        }
        left -= entry.allocated;
        bytes += entry.allocated;
        removed += 1;
    }
    if args.json {
        printer.json(
            &json!({"version": 1, "dry_run": args.dry_run, "removed": removed, "bytes": bytes, "left": left}),
        );
    } else {
        let verb = if args.dry_run { "would remove" } else { "removed" };
        let (what, bytes, left) =
            (units::counted(removed, "layer", "layers"), units::bytes(bytes), units::bytes(left));
        printer.data(format_args!("{verb} parts of {what}, {bytes}; {left} are left"));
    }
    Ok(Exit::Success)
}
