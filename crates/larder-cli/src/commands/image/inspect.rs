//! `larder image inspect`: manifest, configuration, layers, tables; where the two ways to put layers together differ.

use larder::oci::image::differences;
use larder::oci::toc::TocError;
use larder::oci::tree::{Differences, Tree, TreeError, Warning, printable};
use serde_json::{Value, json};

use super::open::{self, fail};
use super::show;
use crate::cli::{InspectArgs, Merge};
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Names of differences that are listed.
const MOST_DIFFERENCES: usize = 1000;

/// Runs the subcommand.
pub(super) fn inspect(context: &Context, args: &InspectArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let source = open::source(context, &args.image, &args.named)?;
    let (toc, _) = open::toc(context, &source, &open::indexer(context, &args.named)?)?;
    let failed = |error: TocError| fail(printer, &error, error.hint());
    let digest = larder::oci::OciDigest::sha256(toc.manifest_bytes());
    let config: Value = serde_json::from_slice(toc.config()).unwrap_or_default();
    let found = differences(&toc, open::limits(&args.named)).map_err(failed)?;
    let differing: Vec<String> =
        found.iter().take(MOST_DIFFERENCES).map(|one| printable(&show::absolute(&one.path))).collect();
    if args.json {
        let tables = toc.layers().iter().map(|layer| {
            json!({"table": layer.info(), "identity": layer.identity().to_string(), "bytes": layer.packed_size()})
        });
        printer.json(&json!({
            "version": 1, "image": args.image.to_string(), "manifest_digest": digest.to_string(),
            "manifest": serde_json::from_slice::<Value>(toc.manifest_bytes()).unwrap_or_default(),
            "config": config, "layers": tables.collect::<Vec<_>>(), "differs_by_specification": differing,
            "errors": {"overlay": said(&found.overlay), "spec": said(&found.spec)},
            "warnings": warnings(args, &found).map(ToString::to_string).collect::<Vec<_>>(),
        }));
        return Ok(told(context, args, &found));
    }
    printer.data(format_args!("manifest  {digest}"));
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    printer.data(format_args!(
        "platform  {}/{}",
        units::printable(&text("os")),
        units::printable(&text("architecture"))
    ));
    if let Some(created) = config.get("created").and_then(Value::as_str) {
        printer.data(format_args!("created   {}", units::printable(created)));
    }
    for key in ["Entrypoint", "Cmd", "WorkingDir", "User"] {
        if let Some(value) =
            config.get("config").and_then(|config| config.get(key)).filter(|value| !value.is_null())
        {
            printer.data(format_args!("{:<9} {}", key.to_lowercase(), units::printable(&value.to_string())));
        }
    }
    for (at, layer) in toc.layers().iter().enumerate() {
        let info = layer.info();
        printer.data(format_args!(
            "layer {:>2}  {}  {:<4} {:>10} of {:>10}  {}  {}  table {} ({:.2} %)",
            at + 1,
            &info.blob.hex()[..12],
            info.compression.name(),
            units::bytes(info.blob_size),
            units::bytes(info.size),
            units::counted(usize::try_from(info.entries).unwrap_or(usize::MAX), "entry", "entries"),
            units::counted(usize::try_from(info.spans).unwrap_or(usize::MAX), "span", "spans"),
            units::bytes(layer.packed_size()),
            100.0 * layer.packed_size() as f64 / info.blob_size.max(1) as f64,
        ));
    }
    if !differing.is_empty() {
        let names = units::counted(differing.len(), "name", "names");
        printer.data(format_args!(
            "{names} would be something else by the specification's words (`--merge=spec`):"
        ));
        differing.iter().for_each(|name| printer.data(format_args!("  {name}")));
    }
    let listed: Vec<String> = warnings(args, &found).map(ToString::to_string).collect();
    if !listed.is_empty() {
        printer.data(format_args!("{} odd:", units::counted(listed.len(), "entry is", "entries are")));
        listed.iter().for_each(|warning| printer.data(format_args!("  {warning}")));
    }
    Ok(told(context, args, &found))
}

/// The tree by the rule that is asked for, and by the other one.
fn trees<'a>(args: &InspectArgs, found: &'a Differences) -> [(&'a Result<Tree, TreeError>, &'static str); 2] {
    let (overlay, spec) = ((&found.overlay, "--merge=overlay"), (&found.spec, "--merge=spec"));
    match args.named.merge {
        Merge::Overlay => [overlay, spec],
        Merge::Spec => [spec, overlay],
    }
}

/// What is odd in the tree by the rule that is asked for.
fn warnings<'a>(args: &InspectArgs, found: &'a Differences) -> impl Iterator<Item = &'a Warning> {
    trees(args, found)[0].0.iter().flat_map(|tree| tree.warnings())
}

fn said(tree: &Result<Tree, TreeError>) -> Option<String> {
    tree.as_ref().err().map(ToString::to_string)
}

/// Says by which rules there is no tree. It fails if that is so by the rule that is asked for.
fn told(context: &Context, args: &InspectArgs, found: &Differences) -> Exit {
    let [(asked, _), (other, rule)] = trees(args, found);
    if let Err(error) = other {
        context.printer.warning(format_args!("no tree can be made with `{rule}`: {error}"), None);
    }
    match asked {
        Ok(_) => Exit::Success,
        Err(error) => fail(&context.printer, error, ""),
    }
}
