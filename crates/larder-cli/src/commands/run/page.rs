//! `--report FILE`: the run as a page, whatever came of it.

use std::io::Write;
use std::path::Path;

use larder::project::OpenProject;
use larder::run::engine::{Report, input_set};
use larder::run::plan::Plan;
use larder::run::profile::Profile;

use crate::cli::RunArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::report::Page;
use crate::{units, whole_file};

/// Refused before anything runs: a page is never written over something else.
pub(super) fn check(context: &Context, args: &RunArgs) -> Result<(), Exit> {
    args.report.as_deref().map_or(Ok(()), |file| Page::check(context, file))
}

/// Writes the page, if one is wanted. One that cannot be written is no success.
pub(super) fn write(
    context: &Context,
    args: &RunArgs,
    open: &OpenProject,
    plan: &Plan,
    report: &Report,
    exit: Exit,
) -> Exit {
    let Some(file) = &args.report else { return exit };
    // The run itself may have made it.
    if check(context, args).is_err() {
        return if exit == Exit::Success { Exit::Usage } else { exit };
    }
    // The folder in which the program was started may be elsewhere by now.
    let path = &context.machine.folder().join(file);
    let profile = Profile::of(plan, report);
    let page = Page::new(&open.project.name, &profile, report.course.run, &open.project.root);
    let text = page.text();
    let written = whole_file::write_in_run(path, |error| error, |mut file| file.write_all(text.as_bytes()));
    let Err(error) = written else {
        warn_of_input(context, path, open, plan);
        return exit;
    };
    let shown = file.to_string_lossy();
    context.printer.refuse(format_args!("cannot write `{}`: {error}", units::printable(&shown)), None);
    if exit == Exit::Success { Exit::Usage } else { exit }
}

/// A page among the inputs of a recipe makes that run again each time.
fn warn_of_input(context: &Context, file: &Path, open: &OpenProject, plan: &Plan) {
    let Ok(path) = std::fs::canonicalize(file) else { return };
    let Ok(path) = path.strip_prefix(&open.project.root) else { return };
    // The folders were looked at before it was there.
    open.worktree.ran();
    let reads = |spec| {
        open.worktree.entries(&spec).is_ok_and(|entries| entries.iter().any(|entry| entry.path == path))
    };
    let reader = plan.recipes.iter().find(|recipe| input_set(recipe).is_some_and(reads));
    if let Some(recipe) = reader {
        let (path, id) = (path.to_string_lossy(), recipe.id.to_string());
        let message = format!("the report `{path}` is an input of `{id}`, which runs again for it");
        let hint = "write it to another folder, or name it in an ignore file (`.gitignore`, `.larderignore`)";
        context.printer.warning(units::printable(&message), Some(hint));
    }
}
