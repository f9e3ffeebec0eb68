//! `larder image index`: the table of an image.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use larder::oci::toc::TocError;
use serde_json::json;

use super::open::{self, fail};
use crate::cli::IndexArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::{units, whole_file};

/// Layers of no more entries together are put together, to see that they can be: some 10 MB, which is little beside indexing.
const MOST_CHECKED: u64 = 50_000;

/// Runs the subcommand.
pub(super) fn index(context: &Context, args: &IndexArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    if let Some(folder) = args.output.as_deref().and_then(Path::parent)
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        // Before a large image is read for nothing.
        printer.refuse(format_args!("there is no folder `{}`", folder.display()), Some("make it first"));
        return Err(Exit::Usage);
    }
    let source = open::source(context, &args.image, &args.named)?;
    let (indexer, store) = open::indexer_and_store(context, &args.named)?;
    if args.file_digests && store.is_none() {
        printer.refuse(
            "digests of files are kept in the cache, and there is none here",
            Some("set LARDER_HOME"),
        );
        return Err(Exit::Usage);
    }
    let indexer = indexer.fresh(args.force).file_digests(args.file_digests);
    let (toc, told) = open::toc(context, &source, &indexer)?;
    let failed = |error: TocError| fail(printer, &error, error.hint());
    let entries: u64 = toc.layers().iter().map(|layer| layer.info().entries).sum();
    let checked = args.check || entries <= MOST_CHECKED;
    if checked {
        larder::oci::image::tree(&toc, open::limits(&args.named), open::rule(&args.named))
            .map_err(|error| fail(printer, &error, error.hint()))?;
    }
    if let Some(path) = &args.output {
        let written = whole_file::write(path, TocError::Io, |file| {
            let mut to = BufWriter::new(file);
            toc.write_to(&mut to)?;
            Ok(to.flush()?)
        });
        written.map_err(failed)?;
    }
    let (known, made) = (told.known.load(Ordering::Relaxed), told.made.load(Ordering::Relaxed));
    let foreign = told.foreign.load(Ordering::Relaxed);
    let packed: u64 = toc.layers().iter().map(|layer| layer.info().blob_size).sum();
    let size: u64 = toc.layers().iter().map(|layer| layer.info().size).sum();
    let table: u64 = toc.layers().iter().map(larder::oci::toc::LayerToc::packed_size).sum();
    let manifest = larder::oci::OciDigest::sha256(toc.manifest_bytes()).to_string();
    if args.json {
        // Reads all of the table.
        let identity = toc.identity().map_err(failed)?.to_string();
        let layers = toc.layers().iter().map(|layer| serde_json::to_value(layer.info()).unwrap_or_default());
        printer.json(&json!({
            "version": 1, "image": args.image.to_string(), "manifest": manifest, "identity": identity,
            "layers": layers.collect::<Vec<_>>(), "known": known, "made": made, "foreign": foreign, "moved": source.source.moved(),
            "table_bytes": table, "output": args.output, "checked": checked,
        }));
        return Ok(Exit::Success);
    }
    let layers = units::counted(toc.layers().len(), "layer", "layers");
    let how = match (known, foreign, made) {
        (_, 0, 0) => "all known".to_owned(),
        (0, 0, _) => "all indexed".to_owned(),
        (0, _, 0) => "all by others' tables".to_owned(),
        (_, 0, _) => format!("{known} known, {made} indexed"),
        _ => format!("{known} known, {foreign} by others' tables, {made} indexed"),
    };
    let (packed, size) = (units::bytes(packed), units::bytes(size));
    let table = units::bytes(table);
    let unchecked = if checked { "" } else { "; tree not checked (`--check`)" };
    printer.data(format_args!("{layers} ({how}): {packed}, {size} unpacked; table {table}{unchecked}"));
    Ok(Exit::Success)
}
