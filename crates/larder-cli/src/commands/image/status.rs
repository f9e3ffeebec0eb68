//! `larder image status`: what of an image is here. Indexes nothing.

use larder::oci::toc::diff_ids;
use serde_json::json;

use super::open::{self, fail};
use crate::cli::InspectArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn status(context: &Context, args: &InspectArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let source = open::source(context, &args.image, &args.named)?;
    let (indexer, store) = open::indexer_and_store(context, &args.named)?;
    let failed = |error: larder::oci::image::SourceError| fail(printer, &error, &error.hint());
    let found = source.source.manifest(&source.platform).map_err(failed)?;
    let config = source.source.content(&found.manifest.config).map_err(failed)?;
    if args.named.platform.is_some() {
        found.check_platform(&config, &source.platform).map_err(failed)?;
    }
    let diff_ids = diff_ids(&config).map_err(|error| fail(printer, &error, error.hint()))?;
    for (at, (layer, diff_id)) in found.manifest.layers.iter().zip(diff_ids).enumerate() {
        let (table, foreign) = indexer.known_table(layer, diff_id).unzip();
        let foreign = foreign.flatten();
        let size = table.as_ref().map(|table| table.info().size);
        let here = table
            .as_ref()
            .zip(store.as_ref())
            .map_or(0, |(table, store)| larder::image::present(store, table.info()));
        if args.json {
            printer.json(&json!({
                "layer": at + 1, "digest": layer.digest.to_string(), "diff_id": diff_id.to_string(), "compressed": layer.size,
                "indexed": table.is_some(), "foreign": foreign.is_some(),
                "key": foreign.and_then(|one| one.signed_by), "size": size, "present": here,
            }));
            continue;
        }
        let what = match size {
            None => "not indexed".to_owned(),
            Some(size) => {
                let how = if foreign.is_some() { "table by others" } else { "indexed" };
                format!("{how}, {} of {} here", units::bytes(here), units::bytes(size))
            }
        };
        let packed = units::bytes(layer.size);
        printer.data(format_args!(
            "layer {:>2}  {}  {packed:>10}  {what}",
            at + 1,
            &layer.digest.hex()[..12]
        ));
    }
    Ok(Exit::Success)
}
