//! `larder init`: a first configuration. Writes only files that are not there.
//!
//! `from_bake.rs` and `agents.rs` are its other two forms.

mod agents;
mod from_bake;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use larder::run::init::{Proposal, propose};
use serde_json::json;

use super::Context;
use crate::cli::InitArgs;
use crate::exit::Exit;
use crate::printer::{Printer, Style};
use crate::whole_file::OnSignal;
use crate::{units, whole_file};

/// Files that make a folder a project.
const ROOT_FILES: [&str; 4] = ["larder.yml", "larder.yaml", "bake.yml", "bake.yaml"];

/// Puts `text` in place of `before`, what was read of a file.
fn write_whole(
    printer: &Printer,
    folder: &Path,
    path: &Path,
    before: Option<&str>,
    text: &str,
) -> Result<(), Exit> {
    whole_file::replace(&folder.join(path), OnSignal::End, before, text).map_err(|error| {
        printer.refuse(format_args!("`{}`: {error}", units::printable(&path.to_string_lossy())), None);
        Exit::Usage
    })
}

/// Proposes a configuration, and writes it.
pub(super) fn init(context: &Context, args: &InitArgs) -> Result<Exit, Exit> {
    if args.from_bake {
        return from_bake::from_bake(context, args);
    }
    if args.agents {
        return agents::agents(context, args);
    }
    let printer = &context.printer;
    let folder = context.machine.surroundings(None).folder;
    if let Some(name) = ROOT_FILES.iter().find(|name| folder.join(name).symlink_metadata().is_ok()) {
        let hint = "`larder run --list` names its recipes; remove the file to begin anew";
        printer.refuse(format_args!("there is a `{name}` here already"), Some(hint));
        return Err(Exit::Usage);
    }
    let failed = |path: &Path, error: std::io::Error| {
        printer.refuse(format_args!("`{}`: {error}", path.display()), None);
        Exit::Usage
    };
    let proposal = propose(&folder).map_err(|error| failed(&folder, error))?;
    if let Some(file) = proposal.files.iter().find(|file| folder.join(&file.path).symlink_metadata().is_ok())
    {
        let path = file.path.display().to_string();
        let hint = "move it away, or write `larder.yml` by hand: it needs only `name: …`";
        printer.refuse(format_args!("there is a `{}` already", units::printable(&path)), Some(hint));
        return Err(Exit::Usage);
    }
    if !args.dry_run {
        for file in &proposal.files {
            let path = folder.join(&file.path);
            // Never over a file that came meanwhile.
            let written = File::create_new(&path).and_then(|mut new| new.write_all(file.text.as_bytes()));
            written.map_err(|error| failed(&file.path, error))?;
        }
    }
    if args.json {
        printer.json(&to_json(&proposal, args.dry_run));
    } else {
        text(printer, &proposal, args.dry_run);
    }
    Ok(Exit::Success)
}

fn to_json(proposal: &Proposal, dry_run: bool) -> serde_json::Value {
    let found = proposal
        .found
        .iter()
        .map(|(folder, language)| json!({ "folder": folder.to_string_lossy(), "language": language.name() }));
    let files =
        proposal.files.iter().map(|file| json!({ "path": file.path.to_string_lossy(), "text": file.text }));
    json!({
        "version": 1, "found": found.collect::<Vec<_>>(), "files": files.collect::<Vec<_>>(), "written": !dry_run,
    })
}

fn text(printer: &Printer, proposal: &Proposal, dry_run: bool) {
    if proposal.found.is_empty() {
        printer.data("found nothing that is known here; this is a recipe to begin with");
    }
    for (folder, language) in &proposal.found {
        let folder = if folder.as_os_str().is_empty() { ".".into() } else { folder.to_string_lossy() };
        printer.data(format_args!("found {} in {}", language.name(), units::printable(&folder)));
    }
    for file in &proposal.files {
        let path = file.path.to_string_lossy();
        let path = printer.paint(Style::Name, &units::printable(&path));
        if dry_run {
            printer.data(format_args!("\n{path}"));
            printer.data(file.text.trim_end());
        } else {
            printer.data(format_args!("wrote {path}"));
        }
    }
    if !dry_run {
        printer.data("next: `larder run`, and again");
    }
}
