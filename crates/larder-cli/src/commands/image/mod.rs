//! `larder image`: one file per subcommand; `open` is what they share.

mod cache;
mod cat;
mod diff;
mod du;
mod export;
mod find;
mod index;
mod inspect;
mod ls;
mod open;
mod push_toc;
mod show;
mod signing;
mod status;
mod told;
mod verify;

use super::Context;
use crate::cli::ImageCommand;
use crate::exit::Exit;

/// Runs the subcommand.
pub(super) fn image(context: &Context, command: &ImageCommand) -> Result<Exit, Exit> {
    match command {
        ImageCommand::Index(args) => index::index(context, args),
        ImageCommand::Ls(args) => ls::ls(context, args),
        ImageCommand::Cat(args) => cat::cat(context, args),
        ImageCommand::Find(args) => find::find(context, args),
        ImageCommand::Diff(args) => diff::diff(context, args),
        ImageCommand::Du(args) => du::du(context, args),
        ImageCommand::Export(args) => export::export(context, args),
        ImageCommand::Inspect(args) => inspect::inspect(context, args),
        ImageCommand::Status(args) => status::status(context, args),
        ImageCommand::PushToc(args) => push_toc::push_toc(context, args),
        ImageCommand::Verify(args) => verify::verify(context, args),
        ImageCommand::Cache(command) => cache::cache(context, command),
    }
}
