//! The `larder` command.
//!
//! ```text
//! cli.rs           what can be typed                 commands/   one file or folder per command
//! surroundings.rs  the only reader of environment    printer.rs  the only writer to the terminal
//! signals.rs       Ctrl-C                            live.rs     the running recipes, redrawn
//! units.rs         times, sizes, counts for people   exit.rs     exit codes      yaml.rs  values as YAML
//! logs.rs          what the libraries log             diff.rs     what a file says and would say
//! report/          a run as an HTML page
//! ```

mod cli;
mod commands;
mod diff;
mod exit;
mod live;
mod logs;
mod printer;
mod report;
mod signals;
mod surroundings;
mod units;
mod whole_file;
mod yaml;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::Exit::of_usage(&error).into(),
    };
    commands::dispatch(&cli).into()
}
