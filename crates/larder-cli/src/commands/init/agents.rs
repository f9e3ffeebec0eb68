//! `larder init --agents`: a section of `AGENTS.md` that tells coding agents how this project uses Larder.

use std::io::ErrorKind;
use std::path::Path;

use larder::run::init::agents;
use larder::run::template::Execution;
use serde_json::json;

use super::write_whole;
use crate::cli::InitArgs;
use crate::commands::{Context, project};
use crate::diff;
use crate::exit::Exit;

const FILE: &str = "AGENTS.md";

/// Shows and writes it.
pub(super) fn agents(context: &Context, args: &InitArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let around = context.machine.surroundings(None);
    let open = project::open(context, &around, Execution::Inert)?;
    let listed = open.project.list(&open.listing()).map_err(|error| project::refuse(printer, &error))?;
    project::close(&open);
    let root = open.project.root.clone();
    let before = match std::fs::read_to_string(root.join(FILE)) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            printer.refuse(format_args!("`{FILE}`: {error}"), None);
            return Err(Exit::Usage);
        }
    };
    let section = agents::section(&open.project, &listed);
    let Some(after) = agents::put(before.as_deref(), &section) else {
        let hint =
            format!("there must be one `{}` and, below it, one `{}`, or neither", agents::BEGIN, agents::END);
        printer
            .refuse(format_args!("`{FILE}` does not say where its section about Larder ends"), Some(&hint));
        return Err(Exit::Usage);
    };
    let is_same = before.as_deref() == Some(&after);
    let is_written = !args.dry_run && !is_same;
    if is_written {
        write_whole(printer, &root, Path::new(FILE), before.as_deref(), &after)?;
    }
    if args.json {
        printer.json(&json!({ "version": 1, "path": FILE, "text": after, "written": is_written }));
    } else if is_same {
        printer.data(format_args!("{FILE} is up to date"));
    } else if args.dry_run {
        diff::show(printer, FILE, before.as_deref(), &after);
    } else {
        printer.data(format_args!("wrote {FILE}"));
    }
    Ok(Exit::Success)
}
