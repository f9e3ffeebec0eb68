//! The command itself: arguments, environment, log.
//!
//! The log (both streams, in the order in which they came) goes to a file of the state folder as it comes, so that
//! memory does not grow with it; it becomes a blob when the result is recorded.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use larder_core::error::chain;

use super::observed::Observed;
use super::sandboxed::not_started;
use super::{Session, timing};
use crate::event::Event;
use crate::key;
use crate::lock::RecipeLock;
use crate::process::{self, CancelToken, CommandSpec, Enclosure, Exit, HeldLock, Stdin, Stop, Watch};
use crate::profile::Phase;
use crate::recipe::{Recipe, with_root};

/// Variables of the caller that every recipe sees, although they are in no key. `LANG` is always `C.UTF-8` unless it is
/// declared, so that results do not depend on the caller's locale.
pub const PASSED_THROUGH: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "TMPDIR"];

/// Why a command did not end well, and what can be done.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) hint: Option<String>,
    pub(super) cancelled: bool,
    /// The command ran and failed: it may do better another time.
    pub(super) may_pass: bool,
    /// Being observed may be why; what kept it.
    pub(super) hindered: Option<String>,
}

impl Failure {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None, cancelled: false, may_pass: false, hindered: None }
    }

    /// With what the observer says about it.
    pub(super) fn unless_hindered(self, observed: Option<Observed>) -> Self {
        let hindered = observed.filter(|_| self.may_pass).and_then(Observed::hindered);
        Self { hindered, ..self }
    }

    fn of_command(reason: String) -> Self {
        Self { may_pass: true, ..Self::new(reason) }
    }
}

/// Tells that a recipe is tried again after `failure`, if it may be. `tries`: how often it was tried.
pub(super) fn is_tried_again(session: &Session<'_>, recipe: &Recipe, failure: &Failure, tries: u32) -> bool {
    let again = failure.may_pass && tries <= recipe.retries && !session.cancel.is_cancelled();
    if again {
        let (id, reason) = (&recipe.id, failure.reason.as_str());
        (session.events)(Event::Retrying { recipe: id, reason, retry: tries, of: recipe.retries });
    }
    again
}

fn is_own(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"LARDER_") || name.starts_with(b"BAKE_")
}

/// The complete environment of a recipe.
pub(super) fn environment(session: &Session<'_>, recipe: &Recipe) -> Vec<(OsString, OsString)> {
    let all = &session.options.environment;
    let inherits = recipe.inherit_environment && recipe.cache.is_none();
    let passed = |name: &OsStr| inherits || PASSED_THROUGH.iter().any(|passed| name == *passed);
    let mut out: std::collections::BTreeMap<OsString, OsString> = all
        .iter()
        .filter(|(name, _)| passed(name) && !is_own(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !inherits {
        out.insert("LANG".into(), "C.UTF-8".into());
    }
    if recipe.sandbox.is_some() {
        // The caller's is not seen there.
        out.remove(OsStr::new("TMPDIR"));
    }
    for (name, value) in &recipe.environment {
        match value {
            Some(value) => out.insert(name.into(), with_root(&session.root, value)),
            None => out.remove(OsStr::new(name)),
        };
    }
    out.into_iter().collect()
}

/// What a command is held in, and who looks on.
#[derive(Default)]
pub(super) struct Bounds<'a> {
    /// The sandbox that it runs in.
    pub(super) enclosure: Option<&'a Enclosure>,
    /// Sees its system calls.
    pub(super) watch: Option<Watch>,
}

/// Runs the recipe's command to its end. With it: why its log is not whole, if it is not.
pub(super) fn execute(
    session: &Session<'_>,
    recipe: &Recipe,
    args: &[String],
    lock: &RecipeLock,
    cancel: &CancelToken,
    bounds: Bounds<'_>,
) -> Result<(Exit, Option<std::io::Error>), Failure> {
    let mut arguments: Vec<OsString> =
        key::arguments(recipe, args).iter().map(|argument| with_root(&session.root, argument)).collect();
    let spec = CommandSpec {
        program: arguments.remove(0),
        args: arguments,
        cwd: session.root.join(&recipe.folder),
        env: environment(session, recipe),
        stdin: Stdin::Null,
        locks: vec![lock as &dyn HeldLock],
        enclosure: bounds.enclosure,
    };
    let path = session.state.log_path(&recipe.id);
    let mut log =
        File::create(&path).map_err(|error| Failure::new(format!("cannot write the log: {error}")))?;
    let _counting = timing::enter(Phase::Command);
    let mut child = process::spawn_watched(&spec, bounds.watch).map_err(|error| not_started(&error))?;
    let mut log_error = None;
    let result = child.wait_with(
        |stream, bytes| {
            if let Err(error) = log.write_all(bytes) {
                log_error.get_or_insert(error);
            }
            (session.events)(Event::Output { recipe: &recipe.id, stream, bytes });
        },
        cancel,
        recipe.timeout,
    );
    session.worktree.ran();
    let exit = result.map_err(|error| Failure::new(chain(&error)))?;
    let exit = judge(recipe, exit)?;
    Ok((exit, log_error))
}

fn judge(recipe: &Recipe, exit: Exit) -> Result<Exit, Failure> {
    match exit.stopped {
        Some(Stop::Cancelled | Stop::Killed) => Err(Failure { cancelled: true, ..Failure::new("cancelled") }),
        Some(Stop::TimedOut) => {
            let limit = recipe.timeout.unwrap_or_default();
            Err(Failure::of_command(format!("timed out after {} s", limit.as_secs_f64())))
        }
        None => match exit.status {
            process::Status::Code(0) => Ok(exit),
            process::Status::Code(code) => Err(Failure::of_command(format!("exit code {code}"))),
            process::Status::Signal(signal) => Err(Failure::of_command(format!("killed by signal {signal}"))),
        },
    }
}
