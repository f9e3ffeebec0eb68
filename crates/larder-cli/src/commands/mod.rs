//! One file, or one folder, per command.
//!
//! `project.rs` opens what most of them need: the project, its store, a session.

mod cache;
mod clean;
mod completions;
mod doctor;
mod image;
mod init;
mod key;
mod man;
mod profile;
mod project;
mod run;
mod schema;
mod why;

use crate::cli::{Cli, Command, ImageCommand};
use crate::exit::Exit;
use crate::logs;
use crate::printer::Printer;
use crate::surroundings::Machine;

pub(crate) use run::tail_of_log;

/// What every command has.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) machine: Machine,
    pub(crate) printer: Printer,
    pub(crate) verbose: bool,
}

/// Does what was typed.
pub(crate) fn dispatch(cli: &Cli) -> Exit {
    // There it is where the files go.
    let is_destination =
        matches!(&cli.command, Command::Image(command) if matches!(**command, ImageCommand::Export(_)));
    let folder = cli.directory.as_deref().filter(|_| !is_destination);
    let machine = match Machine::read(folder) {
        Ok(machine) => machine,
        Err(message) => {
            Printer::default().refuse(message, None);
            return Exit::Usage;
        }
    };
    let tells_events = matches!(&cli.command, Command::Run(args) if args.json);
    let printer = Printer::new(machine.terminal()).with_error_events(tells_events);
    logs::start(cli.verbose, &printer);
    let context = Context { machine, printer, verbose: cli.verbose > 0 };
    let done = match &cli.command {
        Command::Run(args) => run::run(&context, args),
        Command::Init(args) => init::init(&context, args),
        Command::Why(args) => why::why(&context, args),
        Command::Profile(args) => profile::profile(&context, args),
        Command::Clean(args) => clean::clean(&context, args),
        Command::Cache(command) => cache::cache(&context, command),
        Command::Doctor(args) => doctor::doctor(&context, args),
        Command::Image(command) => image::image(&context, command),
        Command::Key(command) => key::key(&context, command),
        Command::Completions(args) => Ok(completions::script(&context, args)),
        Command::Man(args) => man::man(&context, args),
        Command::Schema(args) => Ok(schema::schema(&context, args)),
        Command::Recipes => Ok(completions::recipes(&context)),
    };
    let exit = done.unwrap_or_else(|exit| exit);
    // A report that nobody got is no success.
    if context.printer.was_unwritten() && exit == Exit::Success { Exit::Usage } else { exit }
}
