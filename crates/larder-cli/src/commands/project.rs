//! Opens what commands work with, and says what is wrong with it.
//!
//! Every function that returns `Err(Exit)` has shown why.

use std::time::SystemTime;

use larder::core::Error;
use larder::project::{OpenError, OpenProject, StoreError, Surroundings};
use larder::remote::Tiers;
use larder::remote::tiers::Configured;
use larder::run::config::ConfigError;
use larder::run::diagnostic::Diagnostic;
use larder::run::engine::{Options, Order};
use larder::run::recipe::Mode;
use larder::run::template::Execution;
use larder::store::Store;
use larder::store::store::OpenWarning;
use larder::tiers::{self, Opened};

use super::Context;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::units;

/// Shows what is wrong with a configuration, and how that ends the program.
pub(super) fn refuse(printer: &Printer, error: &ConfigError) -> Exit {
    for diagnostic in error.diagnostics() {
        printer.diagnostic(&diagnostic);
    }
    match error {
        ConfigError::UnknownRecipe { .. } => Exit::UnknownRecipe,
        _ => Exit::Usage,
    }
}

/// Shows an error that ends the program.
pub(super) fn fail(printer: &Printer, error: &dyn std::error::Error, hint: Option<&str>) -> Exit {
    printer.error(error, hint);
    Exit::Usage
}

/// Shows findings.
pub(super) fn warn(printer: &Printer, diagnostics: &[Diagnostic]) {
    diagnostics.iter().for_each(|diagnostic| printer.diagnostic(diagnostic));
}

/// Opens the project around the current folder.
pub(super) fn open(
    context: &Context,
    around: &Surroundings,
    execution: Execution,
) -> Result<OpenProject, Exit> {
    match OpenProject::open(around, execution) {
        Ok(open) => {
            warn(&context.printer, &open.project.warnings);
            Ok(open)
        }
        Err(OpenError::Config(error)) => Err(refuse(&context.printer, &error)),
        Err(error) => Err(fail(&context.printer, &error, None)),
    }
}

/// Keeps what was learned about the disk.
pub(super) fn close(open: &OpenProject) {
    if let Err(error) = open.worktree.save() {
        tracing::debug!(%error, "the stat table could not be saved");
    }
}

/// Shows what `warning` says.
pub(super) fn open_warning(printer: &Printer, warning: &OpenWarning) {
    match warning {
        OpenWarning::Signing(warning) => printer.warning(warning, warning.hint()),
        OpenWarning::IndexRecovered(recovered) => printer.cache_warning(
            format_args!("the cache's index was damaged ({}) and begins anew", recovered.reason),
            Some("recipes run once more; `larder cache verify` looks at the rest"),
        ),
        OpenWarning::IndexUnavailable(error) => {
            printer.cache_warning(format_args!("{error}; going on without a cache"), error.hint());
        }
        other => printer.warning(format_args!("{other:?}"), None),
    }
}

/// Opens the project's store. One that cannot be used is a warning and none; a wrong secret or wrong sizes are the user's to mend.
pub(super) fn store(
    context: &Context,
    around: &Surroundings,
    open: &OpenProject,
) -> Result<Option<Store>, Exit> {
    match open.store(around) {
        Ok(store) => {
            for warning in store.iter().flat_map(Store::warnings) {
                open_warning(&context.printer, warning);
            }
            // Without its index nothing can be found, and what is written would never be.
            let lost = |warning: &OpenWarning| matches!(warning, OpenWarning::IndexUnavailable(_));
            Ok(store.filter(|store| !store.warnings().iter().any(lost)))
        }
        Err(StoreError::Settings(error)) => Err(fail(&context.printer, &error, error.hint())),
        Err(StoreError::Unusable(error)) => {
            trouble(&context.printer, &error);
            Ok(None)
        }
    }
}

fn trouble(printer: &Printer, error: &Error) {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    printer.cache_warning(format_args!("{text}; going on without a cache"), error.hint());
}

/// The remote tiers behind the store, only to be asked; nothing if the project has none or they cannot be used, which is said.
pub(super) fn tiers(
    context: &Context,
    around: &Surroundings,
    open: &OpenProject,
    store: &Store,
) -> Option<Tiers> {
    match tiers::open(&open.project.config.cache, &open.project.root, store, around, false) {
        Opened::None => None,
        Opened::Unusable(warning) => {
            context.printer.warning(&warning.message, warning.hint.as_deref());
            None
        }
        Opened::Ready(tiers) => Some(tiers),
    }
}

/// The tier of this name, as the project configures it.
pub(super) fn tier(
    context: &Context,
    around: &Surroundings,
    open: &OpenProject,
    name: &str,
) -> Result<Configured, Exit> {
    let mut tiers = tiers::configured(&open.project.config.cache, &open.project.root, around, true);
    if let Some(at) = tiers.iter().position(|tier| tier.name == name) {
        return Ok(tiers.swap_remove(at));
    }
    let names: Vec<&str> = tiers.iter().map(|tier| tier.name).collect();
    let hint = if names.is_empty() {
        "the project has none: name one under `config: {cache: {remotes: …}}`".to_owned()
    } else {
        format!("it has: {}", names.join(", "))
    };
    context
        .printer
        .refuse(format_args!("this project has no tier `{}`", units::printable(name)), Some(&hint));
    Err(Exit::Usage)
}

/// How a session looks everything up and does nothing.
pub(super) fn looking(open: &OpenProject, around: &Surroundings, args: &[String]) -> Options {
    Options {
        jobs: 1,
        fail_fast: false,
        force: false,
        dry_run: true,
        args: args.to_vec(),
        read_cache: true,
        write_cache: false,
        replay: false,
        environment: around.environment.clone(),
        lenient_outputs: open.project.mode == Mode::Bake,
        order: Order::LocalFirst,
        trace_all: false,
        flights: None,
        name: None,
    }
}

/// A name for this run, for what can be undone.
pub(super) fn run_name() -> String {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis().to_string()
}
