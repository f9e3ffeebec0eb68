//! `larder init --from-bake`: a bake project becomes a `larder.yml` project.
//!
//! What would change is shown first. Files that are there are changed only with `--force`, and nothing is removed: `bake.yml` stays, and is not read any more
//! while `larder.yml` lies beside it.

use larder::run::init::from_bake::{Conversion, convert};
use serde_json::json;

use super::write_whole;
use crate::cli::InitArgs;
use crate::commands::{Context, project};
use crate::diff;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::units;

/// Shows and writes it.
pub(super) fn from_bake(context: &Context, args: &InitArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let around = context.machine.surroundings(None);
    let folder = &around.folder;
    let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment = around.environment.clone().into_iter().filter_map(utf8).collect();
    let conversion = convert(folder, &environment).map_err(|error| {
        printer.refuse(error, None);
        Exit::Usage
    })?;
    let Some(mut conversion) = conversion else {
        printer.refuse(
            "there is no `bake.yml` here",
            Some("go to the folder that holds it, or begin anew with `larder init`"),
        );
        return Err(Exit::Usage);
    };
    for file in conversion.files.iter_mut().filter(|file| file.before.is_none()) {
        // A `larder.yml` of before is a file like any other.
        file.before = std::fs::read_to_string(folder.join(&file.path)).ok();
    }
    let over: Vec<String> = conversion
        .changed()
        .filter(|file| folder.join(&file.path).symlink_metadata().is_ok())
        .map(|file| file.path.to_string_lossy().into_owned())
        .collect();
    let is_written = !args.dry_run && (args.force || (over.is_empty() && conversion.by_hand.is_empty()));
    if is_written {
        for file in conversion.changed() {
            write_whole(printer, folder, &file.path, file.before.as_deref(), &file.text)?;
        }
    }
    if args.json {
        printer.json(&to_json(&conversion, is_written));
    } else {
        text(printer, &conversion, is_written);
    }
    project::warn(printer, &conversion.by_hand);
    if !args.json {
        end(printer, &conversion, &over, args, is_written);
    }
    let is_whole = conversion.by_hand.is_empty() && (is_written || args.dry_run);
    if is_whole { Ok(Exit::Success) } else { Err(Exit::Usage) }
}

fn to_json(conversion: &Conversion, is_written: bool) -> serde_json::Value {
    let files = conversion.changed().map(|file| {
        json!({ "path": file.path.to_string_lossy(), "is_new": file.before.is_none(), "text": file.text })
    });
    let by_hand = conversion.by_hand.iter().map(|task| {
        json!({
            "message": task.message,
            "hint": task.hint,
            "file": task.place.as_ref().map(|place| place.file.to_string_lossy()),
            "line": task.place.as_ref().map(|place| place.line),
        })
    });
    json!({
        "version": 1, "files": files.collect::<Vec<_>>(), "by_hand": by_hand.collect::<Vec<_>>(), "written": is_written,
    })
}

fn text(printer: &Printer, conversion: &Conversion, is_written: bool) {
    for file in conversion.changed() {
        let path = file.path.to_string_lossy();
        if is_written {
            printer.data(format_args!("wrote {}", units::printable(&path)));
        } else {
            diff::show(printer, &path, file.before.as_deref(), &file.text);
        }
    }
}

/// What is left to do.
fn end(printer: &Printer, conversion: &Conversion, over: &[String], args: &InitArgs, is_written: bool) {
    let tasks = conversion.by_hand.len();
    if tasks > 0 {
        let done = if is_written { "written, but not whole" } else { "nothing is written" };
        printer.refuse(
            format_args!("{} to be done by hand: {done}", units::counted(tasks, "thing is", "things are")),
            Some("mend `bake.yml` and its cookbooks first, or write what can be told with `--force` and mend that"),
        );
    } else if !over.is_empty() && !is_written && !args.dry_run {
        printer.refuse(
            format_args!("nothing is written: {} would change", over.join(", ")),
            Some("`--force` writes them; git has what they say now, if it tracks them"),
        );
    } else {
        printer.data("the recipes, their commands, dependencies, inputs and outputs are the same");
        if is_written {
            printer.data(
                "next: `larder run --check`; `bake.yml` is not read any more: remove it when nobody uses it",
            );
        }
    }
}
