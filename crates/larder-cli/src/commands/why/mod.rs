//! `larder why`: what a recipe's key is computed from now, against what it was, here or on another machine.
//!
//! ```text
//! mod.rs     the command              show.rs   for people
//! before.rs  what is compared with    json.rs   for programs
//! ```
//! Runs nothing (save commands in templates, as every plan does). Tiers are asked only for a run of another machine.

mod before;
mod json;
mod show;

use larder::run::config::ConfigError;
use larder::run::engine::Session;
use larder::run::plan::Plan;
use larder::run::process::CancelToken;
use larder::run::select::Selection;
use larder::run::template::Execution;

use self::before::Against;
use super::{Context, project};
use crate::cli::{Selecting, WhyArgs};
use crate::exit::Exit;

/// Runs the command.
pub(super) fn why(context: &Context, args: &WhyArgs) -> Result<Exit, Exit> {
    let printer = &context.printer;
    let selecting = Selecting {
        defines: args.defines.clone(),
        environment: args.environment.clone(),
        ..Selecting::default()
    };
    let around = context.machine.surroundings(Some(&selecting));
    let open = project::open(context, &around, Execution::Run)?;
    let refuse = |error: ConfigError| project::refuse(printer, &error);
    let plan =
        Plan::build(&open.project, &Selection::of(&[&args.selector]), &open.listing()).map_err(refuse)?;
    let store = project::store(context, &around, &open)?;
    let failed = |error: &dyn std::error::Error| project::fail(printer, error, None);
    let options = project::looking(&open, &around, &args.args);
    let cancel = CancelToken::new().map_err(|error| failed(&error))?;
    let (name, root, run) = (&open.project.name, &open.project.root, project::run_name());
    let session =
        Session::new(name, root, &open.worktree, store.as_ref(), None, options, cancel, run, &|_| {});
    let session = session.map_err(|error| failed(&error))?;
    let against = Against::new(context, args.against.as_ref(), &around, &open, store.as_ref(), &session)?;
    for (at, explained) in session.explain(&plan).iter().enumerate() {
        let before = against.before(explained);
        if let Err(nothing) = &before
            && nothing.is_no_run
        {
            against.close(printer);
            printer.refuse(&nothing.why, nothing.hint);
            return Err(Exit::Usage);
        }
        if args.json {
            printer.json(&json::json(explained, before.as_ref().ok()));
        } else {
            if at > 0 {
                printer.data("");
            }
            show::show(context, explained, &before);
        }
    }
    against.close(printer);
    project::close(&open);
    Ok(Exit::Success)
}
