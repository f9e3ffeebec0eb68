//! `larder image push-toc`: an image's tables beside it in its registry.

use larder::image::{Push, PushedTables, push_tables, registry_options};
use larder::oci::image::ImageReference;
use larder::oci::registry::Repository;
use larder::store::trust::Signer;
use serde_json::json;

use super::open::{self, fail};
use super::signing;
use crate::cli::PushTocArgs;
use crate::commands::{Context, cache};
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn push_toc(context: &Context, args: &PushTocArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let refuse = |message: &str, hint: &str| {
        printer.refuse(message, Some(hint));
        Exit::Usage
    };
    let ImageReference::Registry(reference) = &args.image else {
        return Err(refuse(
            "tables are pushed to registries only",
            "push the image to a registry first; an image in a file needs no tables from others: it is here",
        ));
    };
    let embed = match (args.embed, reference.digest()) {
        (false, _) => None,
        (true, None) => Some(reference.tag().cloned().unwrap_or_else(larder::oci::reference::Tag::latest)),
        (true, Some(_)) => {
            return Err(refuse(
                "`--embed` changes what a tag points to, and a digest is named",
                "name the tag alone",
            ));
        }
    };
    let mut signing = signing::signing(context, cache::open_if_any(context)?.as_ref())?;
    if args.unsigned {
        signing.signer = Signer::Unsigned;
    } else if !signing.signer.signs() {
        return Err(refuse(
            "there is no key to sign the tables with",
            "set LARDER_SIGNING_KEY or LARDER_CACHE_SECRET (docs/guides/signing.md), or push with `--unsigned` what nobody will use unless told to",
        ));
    }
    let source = open::source(context, &args.image, &args.named)?;
    let indexer = open::indexer(context, &args.named)?.only_built();
    let (toc, _) = open::toc(context, &source, &indexer)?;
    let runtime = larder::tiers::runtime();
    let environment = context.machine.surroundings(None).environment.into_iter().collect();
    let failed = |error: larder::image::ImageError| fail(printer, &error, &error.hint());
    let repository = Repository::open(reference, registry_options(reference.host(), &environment))
        .map_err(|error| failed(error.into()))?;
    let how = Push {
        signer: &signing.signer,
        trust: &signing.trust,
        namespace: &signing.namespace,
        embed: embed.as_ref(),
        dry_run: args.dry_run,
    };
    let handle = runtime.handle().map_err(|error| failed(error.into()))?;
    let pushed = handle.block_on(push_tables(&repository, &toc, &how)).map_err(failed)?;
    show(context, args, &pushed, signing.signer.key_id());
    Ok(Exit::Success)
}

fn show(context: &Context, args: &PushTocArgs, pushed: &PushedTables, key: Option<&str>) {
    let printer = &context.printer;
    let sent: u64 = pushed.tables.iter().filter(|table| table.sent).map(|table| table.bytes).sum();
    let bytes: u64 = pushed.tables.iter().map(|table| table.bytes).sum();
    if args.json {
        let tables = pushed
            .tables
            .iter()
            .map(|table| json!({"table": table.statement, "bytes": table.bytes, "sent": table.sent}));
        printer.json(&json!({
            "version": 1, "image": args.image.to_string(), "subject": pushed.subject.to_string(),
            "artifact": pushed.artifact.map(|digest| digest.to_string()), "new": pushed.is_new, "dry_run": args.dry_run,
            "key": key, "tables": tables.collect::<Vec<_>>(), "bytes": bytes, "sent": sent,
            "index": pushed.index.map(|digest| digest.to_string()), "moves_tag": pushed.moves_tag,
        }));
        return;
    }
    let tables = units::counted(pushed.tables.len(), "table", "tables");
    let signed = key.map_or_else(|| "not signed".to_owned(), |key| format!("signed with the key `{key}`"));
    let did = match (args.dry_run, pushed.is_new) {
        (_, false) => "already there: ",
        (true, true) => "would push ",
        (false, true) => "pushed ",
    };
    printer.data(format_args!(
        "{did}{tables}, {} ({} sent), {signed}",
        units::bytes(bytes),
        units::bytes(sent)
    ));
    if let Some(artifact) = pushed.artifact {
        printer.data(format_args!("artifact  {artifact}"));
    }
    if pushed.moves_tag {
        let now = pushed.index.map_or_else(|| "would change".to_owned(), |digest| digest.to_string());
        printer.data(format_args!("index     {now}"));
    }
}
