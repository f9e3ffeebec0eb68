//! `larder schema FILE`: the JSON Schema of a configuration file.

use larder::run::config::schema::File;

use super::Context;
use crate::cli::{SchemaArgs, SchemaKind};
use crate::exit::Exit;

/// Prints it.
pub(super) fn schema(context: &Context, args: &SchemaArgs) -> Exit {
    let file = match args.file {
        SchemaKind::Project => File::Project,
        SchemaKind::Cookbook => File::Cookbook,
        SchemaKind::Template => File::Template,
        SchemaKind::Helper => File::Helper,
    };
    context.printer.data(format_args!("{:#}", file.schema()));
    Exit::Success
}
