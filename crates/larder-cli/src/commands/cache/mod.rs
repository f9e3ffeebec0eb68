//! `larder cache`: one file per subcommand.

mod archive;
pub(super) mod gc;
mod keys;
mod ls;
mod pin;
mod stats;
mod tier;
mod verify;
mod warm;

use larder::core::ErrorKind;
use larder::project::{StoreError, own_store};
use larder::run::config::discover::find_root;
use larder::run::template::Execution;
use larder::store::Store;

use super::{Context, project};
use crate::cli::CacheCommand;
use crate::exit::Exit;

/// Runs the subcommand.
pub(super) fn cache(context: &Context, command: &CacheCommand) -> Result<Exit, Exit> {
    match command {
        CacheCommand::Stats(args) => stats::stats(context, args),
        CacheCommand::Ls(args) => ls::ls(context, args),
        CacheCommand::Gc(args) => gc::gc(context, args),
        CacheCommand::Verify(args) => verify::verify(context, args),
        CacheCommand::Pin(args) => pin::pin(context, args),
        CacheCommand::Unpin(args) => pin::unpin(context, args),
        CacheCommand::Export(args) => archive::export(context, args),
        CacheCommand::Import(args) => archive::import(context, args),
        CacheCommand::Warm(args) => warm::warm(context, args),
    }
}

/// The store of the project around the current folder, or the user's own where there is none; with the size that is
/// configured for it.
pub(super) fn open(context: &Context) -> Result<(Store, Option<u64>), Exit> {
    match opened(context)? {
        (Some(store), max_size) => Ok((store, max_size)),
        (None, _) => {
            let hint = Some("set LARDER_HOME, or `cache: {local: {enabled: true}}`");
            context.printer.refuse("there is no cache here", hint);
            Err(Exit::Usage)
        }
    }
}

/// The same for what does its work without a store just as well: a store that cannot be used is a warning.
pub(super) fn open_if_any(context: &Context) -> Result<Option<Store>, Exit> {
    match try_open(context)? {
        Ok((store, _)) => Ok(store),
        Err(error) => {
            let error = error.into_inner();
            let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
            context.printer.cache_warning(format_args!("nothing is kept: {error}{cause}"), error.hint());
            Ok(None)
        }
    }
}

fn opened(context: &Context) -> Result<(Option<Store>, Option<u64>), Exit> {
    try_open(context)?.map_err(|error| fail(context, &error.into_inner()))
}

type Opened = (Option<Store>, Option<u64>);

fn try_open(context: &Context) -> Result<Result<Opened, StoreError>, Exit> {
    let printer = &context.printer;
    let around = context.machine.surroundings(None);
    let opened = if find_root(&around.folder).is_some() {
        let open = project::open(context, &around, Execution::Inert)?;
        let max_size = open.project.config.cache.local.max_size;
        let opened = open.store(&around).map(|store| (store, max_size));
        project::close(&open);
        opened
    } else if let Some(home) = &around.home {
        own_store(home, &around).map(|store| (Some(store), None))
    } else {
        Ok((None, None))
    };
    match opened {
        Ok((store, max_size)) => {
            let warnings = store.iter().flat_map(|store| store.warnings());
            warnings.for_each(|warning| project::open_warning(printer, warning));
            Ok(Ok((store, max_size)))
        }
        Err(error) => Ok(Err(error)),
    }
}

/// Shows why the store did not do it. What is wrong with the store itself is a failure, what was asked wrongly is usage.
fn fail(context: &Context, error: &larder::core::Error) -> Exit {
    context.printer.error(error, error.hint());
    if error.kind() == ErrorKind::Invalid { Exit::Usage } else { Exit::Failed }
}
