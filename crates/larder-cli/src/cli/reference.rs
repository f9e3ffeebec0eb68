//! Options of `larder completions`, `larder man` and `larder schema`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("form").required(true))]
pub(crate) struct ManArgs {
    /// Write a page for each command into DIR, which is made if it is not there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, group = "form")]
    pub(crate) dir: Option<PathBuf>,
    /// Print all commands with their options as Markdown
    #[arg(long, group = "form")]
    pub(crate) markdown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which file
    #[arg(value_enum, value_name = "FILE")]
    pub(crate) file: SchemaKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// `larder.yml`
    Project,
    /// `cookbook.yml`
    Cookbook,
    /// `.larder/templates/*.yml`
    Template,
    /// `.larder/helpers/*.yml`
    Helper,
}
