//! One file per command.

mod run;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

/// Does what was typed.
pub(crate) fn dispatch(cli: Cli) -> Exit {
    match cli.command {
        Command::Run(args) => run::run(&args),
    }
}
