//! Development only: `cargo xtask bench` measures Larder beside its peers, `cargo xtask generate` writes the reference.
//!
//! Not part of the product, never published. Prints to the terminal, which the libraries never do.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a development program talks to its terminal")]

use std::process::ExitCode;

mod bench;
mod generate;

/// Errors here are for the person at the terminal, who reads them and nothing else does.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str =
    "usage: cargo xtask bench store|run|remote|image [--quick] [--only PARTS] [--json FILE] [--work DIR]
       cargo xtask generate [--check]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((task, rest)) if task == "bench" => bench::main(rest),
        Some((task, rest)) if task == "generate" => generate::main(rest),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
