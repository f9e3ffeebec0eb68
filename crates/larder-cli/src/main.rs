//! The `larder` command.
//!
//! `cli.rs` says what can be typed, `commands/` has one file per command, `surroundings.rs` reads the environment (nothing else
//! does), `printer.rs` is the one place that writes to the terminal, `exit.rs` the exit codes.

mod cli;
mod commands;
mod exit;
mod printer;
mod surroundings;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let cli = cli::Cli::parse();
    cli::start_logging(cli.verbose);
    commands::dispatch(cli).into()
}
