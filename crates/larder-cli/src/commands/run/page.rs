//! `--report FILE`: the run as a page, whatever came of it.

use larder::project::OpenProject;
use larder::run::engine::Report;
use larder::run::plan::Plan;
use larder::run::profile::Profile;

use crate::cli::RunArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::report::Page;
use crate::units;

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
    let profile = Profile::of(plan, report);
    let page = Page::new(&open.project.name, &profile, report.course.run, &open.project.root);
    let Err(error) = page.write(file) else { return exit };
    let shown = file.to_string_lossy();
    context.printer.refuse(format_args!("cannot write `{}`: {error}", units::printable(&shown)), None);
    if exit == Exit::Success { Exit::Usage } else { exit }
}
