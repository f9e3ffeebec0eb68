//! `larder image verify`: every layer read, both digests checked, every table made anew and compared.

use larder::image::{Checked, Verdict};
use serde_json::json;

use super::open::{self, fail};
use super::told::{Told, signer};
use crate::cli::InspectArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::units;

/// Runs the subcommand.
pub(super) fn verify(context: &Context, args: &InspectArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let source = open::source(context, &args.image, &args.named)?;
    let indexer = open::indexer(context, &args.named)?;
    let told = Told::new(printer, context.verbose);
    let checked = indexer.verify(&*source.source, &source.platform, &|progress| told.hear(&progress));
    told.end();
    let checked = checked.map_err(|error| {
        let exit = fail(printer, &error, &error.hint());
        // What is there is not what it should be; everything else is that it could not be asked, is over a limit, or a disk is full.
        if error.is_wrong_content() { Exit::Failed } else { exit }
    })?;
    for (at, one) in checked.iter().enumerate() {
        show(context, args, at, one);
    }
    let differs = checked.iter().any(|one| one.verdict == Verdict::Differs);
    Ok(if differs { Exit::Failed } else { Exit::Success })
}

fn show(context: &Context, args: &InspectArgs, at: usize, one: &Checked) {
    let verdict = match one.verdict {
        Verdict::Same => "same",
        Verdict::Differs => "differs",
        Verdict::Made => "made",
    };
    if args.json {
        let foreign = one.provenance.as_ref();
        context.printer.json(&json!({
            "layer": at + 1, "digest": one.layer.digest.to_string(), "table": verdict, "foreign": foreign.is_some(),
            "key": foreign.and_then(|one| one.signed_by.as_ref()),
        }));
        return;
    }
    let whose = one.provenance.as_ref().map_or_else(|| "made here".to_owned(), signer);
    let what = match one.verdict {
        Verdict::Same => format!("as its digests say; its table is right ({whose})"),
        Verdict::Differs => format!("as its digests say; its table was wrong ({whose}), and is made anew"),
        Verdict::Made => "as its digests say; it had no table, and has one now".to_owned(),
    };
    let packed = units::bytes(one.layer.size);
    context.printer.data(format_args!(
        "layer {:>2}  {}  {packed:>10}  {what}",
        at + 1,
        &one.layer.digest.hex()[..12]
    ));
}
