//! [`CommandSpec`]: what to run, complete; and why it could not be started.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::enclosure::{Enclosure, Refused};

/// A lock file that a command's supervisor keeps open until nothing of the command lives.
pub trait HeldLock {
    /// The open lock file. A duplicate of this very descriptor shares the lock (`flock`).
    fn fd(&self) -> BorrowedFd<'_>;

    /// Called once the supervisor exists and before the command does, so that the lock can say who holds it.
    ///
    /// # Errors
    /// An error keeps the command from starting.
    fn supervised_by(&self, supervisor: u32) -> io::Result<()>;
}

/// Where the command's standard input comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// Larder's own, for a lone interactive recipe. The command then stays in Larder's session and process group, so
    /// that it may read from the terminal; the terminal's Ctrl-C reaches it directly, as well as Larder.
    Inherit,
}

/// What to run. There are no defaults taken from Larder's own process.
#[derive(Default)]
pub struct CommandSpec<'a> {
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// Folder to start in.
    pub cwd: PathBuf,
    /// The complete environment.
    pub env: Vec<(OsString, OsString)>,
    /// Standard input.
    pub stdin: Stdin,
    /// Held open by the supervisor, not by the command.
    pub locks: Vec<&'a dyn HeldLock>,
    /// What it sees instead of the machine; `None`: the machine.
    pub enclosure: Option<&'a Enclosure>,
}

/// Why a command did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No such program, or the interpreter that its first line names does not exist.
    #[error(
        "program `{program}` was not found (hint: is it installed, and its folder in the recipe's `PATH`?)"
    )]
    ProgramNotFound {
        /// As given.
        program: String,
    },
    /// The program exists and cannot be executed.
    #[error("program `{program}` cannot be executed (hint: is it executable, and made for this machine?)")]
    NotExecutable {
        /// As given.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The folder to start in cannot be entered.
    #[error("cannot enter the folder `{}`", path.display())]
    WorkingDirectory {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Arguments and environment are larger than the system takes.
    #[error("arguments and environment of `{program}` are too large (hint: pass long lists in a file)")]
    TooLarge {
        /// As given.
        program: String,
    },
    /// A program name, argument, variable or folder that no command line can hold.
    #[error("{what} `{value}` is empty, or holds a NUL byte or a `=` where none can be")]
    Invalid {
        /// `program`, `argument`, `variable`, `folder`.
        what: &'static str,
        /// The text, lossily.
        value: String,
    },
    /// The enclosure could not be made.
    #[error("cannot make the sandbox: cannot {step}")]
    Enclosure {
        /// What kind of step.
        refused: Refused,
        /// The step, as a verb with its object.
        step: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something else: descriptors, processes, memory.
    #[error("cannot {step}")]
    System {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
