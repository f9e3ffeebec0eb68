//! `larder cache verify`: everything is read and proven; `--repair` removes what cannot be served.

use larder::image::PartsReport;
use larder::store::local::verify::{VerifyOptions, VerifyReport};

use serde_json::json;

use super::{fail, open};
use crate::cli::VerifyArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Findings of a kind that are shown.
const SHOWN: usize = 10;

/// Runs the subcommand. Exit 2 if something is wrong and was not repaired.
pub(super) fn verify(context: &Context, args: &VerifyArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let (store, _) = open(context)?;
    let options = VerifyOptions { repair: args.repair && !args.dry_run };
    let report = store
        .local_store()
        .verify(&options, &mut |progress| {
            tracing::debug!(done = progress.done, total = progress.total, "verify");
        })
        .map_err(|error| fail(context, &error))?;
    // Parts of layers are checked by tables, which are proven by now.
    let parts = larder::image::verify_parts(&store, options.repair).map_err(|error| fail(context, &error))?;
    let is_clean = report.is_clean() && parts.damaged.is_empty();
    if args.json {
        let mut told = serde_json::to_value(&report).unwrap_or_default();
        told["repaired"] = json!(options.repair && !is_clean);
        told["parts"] = json!(parts);
        printer.json(&told);
    } else {
        show(context, args, &report, &parts);
    }
    Ok(if is_clean || options.repair { Exit::Success } else { Exit::Failed })
}

fn show(context: &Context, args: &VerifyArgs, report: &VerifyReport, parts: &PartsReport) {
    let printer = &context.printer;
    printer.data(format_args!(
        "read {}: {} packs, {} chunks, {} blobs, {} results",
        units::bytes(report.bytes),
        units::count(report.packs),
        units::count(report.chunks),
        units::count(report.blobs),
        units::count(report.results),
    ));
    if parts.layers > 0 {
        let layers = units::counted(usize::try_from(parts.layers).unwrap_or(usize::MAX), "layer", "layers");
        let mut text = format!("read {} of parts of {layers} of images", units::bytes(parts.bytes));
        if parts.unchecked > 0 {
            text.push_str(&format!(
                "; {} have no table here to check them by",
                units::count(parts.unchecked)
            ));
        }
        printer.data(text);
    }
    if report.is_clean() && parts.damaged.is_empty() {
        return printer.data("all good");
    }
    let broken_blobs: Vec<String> = report.broken_blobs.iter().map(|blob| blob.digest.clone()).collect();
    let broken_results: Vec<String> =
        report.broken_results.iter().map(|result| super::keys::text(&result.key)).collect();
    let kinds = [
        ("chunks whose bytes are wrong", &report.corrupt_chunks),
        ("damaged packs", &report.damaged_packs),
        ("blobs that cannot be read", &broken_blobs),
        ("results that cannot be served", &broken_results),
        ("problems of the index", &report.index_problems),
        ("layers of which parts are wrong", &parts.damaged),
    ];
    for (what, found) in kinds.into_iter().filter(|(_, found)| !found.is_empty()) {
        printer.data(format_args!("{} {what}", units::count(found.len() as u64)));
        for one in found.iter().take(SHOWN) {
            printer.data(format_args!("  {}", units::printable(one)));
        }
        if found.len() > SHOWN {
            printer.data(format_args!("  … and {} more (`--json` has all)", found.len() - SHOWN));
        }
    }
    if report.unsound_rows > 0 {
        printer.data(format_args!("{} unsound rows of blobs", units::count(report.unsound_rows)));
    }
    if args.repair && !args.dry_run {
        printer.data("repaired: what could not be served is gone and will be made again; damaged files are in `quarantine/`");
    } else if args.repair {
        printer.data("would repair it");
    } else {
        printer.warning(
            "the cache is damaged",
            Some("`larder cache verify --repair` removes what cannot be served"),
        );
    }
}
