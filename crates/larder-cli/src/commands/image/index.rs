//! `larder image index`: the table of an image.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use larder::oci::toc::{ImageToc, TocError};
use serde_json::json;

use super::open::{self, fail};
use crate::cli::IndexArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

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
    let indexer = open::indexer(context, &args.named)?.fresh(args.force);
    let (toc, told) = open::toc(context, &source, &indexer)?;
    let failed = |error: TocError| fail(printer, &error, error.hint());
    if let Some(path) = &args.output {
        write(&toc, path).map_err(failed)?;
    }
    let (known, made) = (told.known.load(Ordering::Relaxed), told.made.load(Ordering::Relaxed));
    let foreign = told.foreign.load(Ordering::Relaxed);
    let packed: u64 = toc.layers().iter().map(|layer| layer.info().blob_size).sum();
    let size: u64 = toc.layers().iter().map(|layer| layer.info().size).sum();
    let table: u64 = toc.layers().iter().map(larder::oci::toc::LayerToc::packed_size).sum();
    let identity = toc.identity().map_err(failed)?.to_string();
    let manifest = larder::oci::OciDigest::sha256(toc.manifest_bytes()).to_string();
    if args.json {
        let layers = toc.layers().iter().map(|layer| serde_json::to_value(layer.info()).unwrap_or_default());
        printer.json(&json!({
            "version": 1, "image": args.image.to_string(), "manifest": manifest, "identity": identity,
            "layers": layers.collect::<Vec<_>>(), "known": known, "made": made, "foreign": foreign, "moved": source.source.moved(),
            "table_bytes": table, "output": args.output,
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
    printer.data(format_args!("{layers} ({how}): {packed}, {size} unpacked; table {}", units::bytes(table)));
    Ok(Exit::Success)
}

/// Writes a table, whole or not at all.
fn write(toc: &ImageToc, path: &Path) -> Result<(), TocError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_plain = fs::symlink_metadata(path).map_or(true, |found| found.is_file());
    if !is_plain {
        // A pipe, a device, a link: written to, never replaced.
        let mut to = BufWriter::new(fs::File::create(path)?);
        toc.write_to(&mut to)?;
        return Ok(to.flush()?);
    }
    // Readable as any new file of this user would be.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let file = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
    let mut to = BufWriter::new(file);
    toc.write_to(&mut to)?;
    let file = to.into_inner().map_err(|error| TocError::Io(error.into_error()))?;
    file.persist(path).map_err(|error| TocError::Io(error.error))?;
    Ok(())
}
