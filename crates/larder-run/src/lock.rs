//! Locks between processes: one per worktree and recipe ([`RecipeLocks`]), and one per action in a store
//! ([`single_flight`]). Both are `flock`s on small files.
//!
//! ```text
//! DIR/HASH.lock      text, for people and for nested runs; who holds the lock is decided by `flock` alone
//!   runner PID START         the Larder that took the lock
//!   supervisor PID START     who also keeps it open while the recipe runs (absent before)
//!   what NAME                the recipe, or the action's digest
//! ```
//!
//! # Invariants
//! - A lock is held as long as any copy of its descriptor is open: Larder's own, or that of the supervisor to which it
//!   was handed through [`HeldLock`]. A recipe's lock is therefore free only when nothing of the recipe lives, however
//!   Larder ended.
//! - A lock counts only while its file still has its name: files may be removed by whoever holds them, and everybody
//!   looks again after locking.
//! - [`Acquired::Inherited`] is given to a process that runs *inside* the recipe that holds the lock: the supervisor
//!   named in the file is an ancestor, alive since the same moment. A living supervisor holds the lock, so stale text
//!   can never be taken for it. A nested run that wants another recipe of the outer run waits like everybody else.
//!
//! # Concurrency
//! Everything may be called from many threads and processes; two threads of one process exclude each other, too.
//! Waiting polls (at most every 20 ms), is cancellable, and survives the holder's death at any moment.
//!
//! # Not promised
//! Fairness; detection of recipes that wait for each other through nested runs; ancestry across PID namespaces (such a
//! nested run waits). Locks are not for network file systems that a dead host can hold.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::process::{CancelToken, HeldLock};

/// Longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Most bytes of a lock file that are looked at.
const MOST_TEXT: u64 = 4096;

/// Who holds a lock, as its file says: for messages, not for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The Larder that took it; `None` when the file does not (yet) say.
    pub runner: Option<Process>,
    /// The supervisor of the recipe that runs under it.
    pub supervisor: Option<Process>,
    /// The recipe's name or the action's digest.
    pub what: String,
}

/// A process, named so that a reused number is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it began, in clock ticks since the machine did.
    pub start: u64,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The token was cancelled while waiting.
    #[error("cancelled while waiting for the lock of `{0}`")]
    Cancelled(String),
    /// The name of an action's lock is not a digest in hexadecimal digits.
    #[error("`{0}` is not a digest")]
    NotADigest(String),
    /// The file or its folder cannot be used.
    #[error("cannot lock `{}` (hint: is the file system writable, and does it have `flock`?)", path.display())]
    File {
        /// The lock file or its folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The locks of one worktree's recipes.
#[derive(Clone, Debug)]
pub struct RecipeLocks {
    folder: PathBuf,
}

/// What [`RecipeLocks::acquire`] gives.
#[derive(Debug)]
pub enum Acquired {
    /// The lock; dropping it frees it, unless a supervisor still holds it.
    Held(RecipeLock),
    /// This process is part of the very recipe that holds the lock, and goes on under it; to run the recipe from here
    /// would never end.
    Inherited(Holder),
}

/// A recipe's lock. Hand it to the recipe's supervisor with [`crate::process::CommandSpec::locks`].
#[derive(Debug)]
pub struct RecipeLock(FlockFile);

/// The lock of one action of a store: whoever has it computes the action, others wait and find the result.
#[derive(Debug)]
pub struct FlightLock(FlockFile);

impl RecipeLocks {
    /// The locks in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> Result<RecipeLocks, LockError> {
        make(folder)?;
        Ok(RecipeLocks { folder: folder.to_owned() })
    }

    /// Waits for the lock of `recipe` (its full name). `on_wait` hears who holds it: at the first wait, and whenever
    /// the holder changes.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(
        &self,
        recipe: &str,
        cancel: &CancelToken,
        mut on_wait: impl FnMut(&Holder),
    ) -> Result<Acquired, LockError> {
        let hash = blake3::hash(recipe.as_bytes()).to_hex();
        let path = self.folder.join(format!("{}.lock", hash.get(..32).unwrap_or_default()));
        wait_for(&path, recipe, cancel, true, &mut on_wait)
            .map(|found| found.map_or_else(Acquired::Inherited, |file| Acquired::Held(RecipeLock(file))))
    }
}

impl RecipeLock {
    /// The open lock file.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

impl HeldLock for RecipeLock {
    fn fd(&self) -> BorrowedFd<'_> {
        RecipeLock::fd(self)
    }

    fn supervised_by(&self, supervisor: u32) -> io::Result<()> {
        let supervisor = Process::of(supervisor).ok_or(io::ErrorKind::NotFound)?;
        self.0.describe(Some(supervisor));
        Ok(())
    }
}

/// Waits for the right to compute the action `key` (its digest in hexadecimal digits) of the store whose lock folder
/// is `folder` (made if missing). The file is removed when the lock is dropped.
///
/// # Errors
/// [`LockError`].
pub fn single_flight(
    folder: &Path,
    key: &str,
    cancel: &CancelToken,
    mut on_wait: impl FnMut(&Holder),
) -> Result<FlightLock, LockError> {
    if key.is_empty() || key.len() > 128 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(LockError::NotADigest(key.chars().take(128).collect()));
    }
    make(folder)?;
    let path = folder.join(format!("{key}.lock"));
    match wait_for(&path, key, cancel, false, &mut on_wait)? {
        Ok(file) => Ok(FlightLock(file)),
        // Inheritance was not asked for.
        Err(_) => Err(LockError::Cancelled(key.to_owned())),
    }
}

impl FlightLock {
    /// The lock file's path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Drop for FlightLock {
    fn drop(&mut self) {
        // Still locked, so nobody else may remove or replace it; those who wait look again. A file that stays
        // (its holder was killed) is removed by the store's GC.
        let _ = std::fs::remove_file(&self.0.path);
    }
}

/// An open, locked file that had its name when it was locked.
#[derive(Debug)]
struct FlockFile {
    file: File,
    path: PathBuf,
    what: String,
}

impl FlockFile {
    /// Says who holds the lock. On a full disk the lock holds all the same; only nested runs cannot inherit it.
    fn describe(&self, supervisor: Option<Process>) {
        if let Err(error) = self.write(supervisor) {
            tracing::debug!(%error, path = %self.path.display(), "cannot note who holds a lock");
        }
    }

    fn write(&self, supervisor: Option<Process>) -> io::Result<()> {
        let mut text = String::new();
        if let Some(runner) = Process::of(std::process::id()) {
            text.push_str(&format!("runner {} {}\n", runner.pid, runner.start));
        }
        if let Some(supervisor) = supervisor {
            text.push_str(&format!("supervisor {} {}\n", supervisor.pid, supervisor.start));
        }
        text.push_str(&format!("what {}\n", self.what.replace('\n', " ")));
        self.file.set_len(0)?;
        self.file.write_all_at(text.as_bytes(), 0)
    }
}

enum Attempt {
    Locked(File),
    Busy(File),
    /// The name was given to another file meanwhile.
    Again,
}

/// Until locked (`Ok`) or, if allowed, found to be inherited (`Err`).
fn wait_for(
    path: &Path,
    what: &str,
    cancel: &CancelToken,
    inherit: bool,
    on_wait: &mut dyn FnMut(&Holder),
) -> Result<Result<FlockFile, Holder>, LockError> {
    let fail = |source| LockError::File { path: path.to_owned(), source };
    let mut told = None;
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt(path).map_err(fail)? {
            Attempt::Locked(file) => {
                let held = FlockFile { file, path: path.to_owned(), what: what.to_owned() };
                held.describe(None);
                return Ok(Ok(held));
            }
            Attempt::Again => continue,
            Attempt::Busy(file) => {
                let holder = Holder::read(&file, what);
                drop(file);
                if inherit && holder.supervisor.is_some_and(is_ancestor) {
                    return Ok(Err(holder));
                }
                if told.as_ref().is_none_or(|known: &Holder| known.runner != holder.runner) {
                    on_wait(&holder);
                    told = Some(holder);
                }
            }
        }
        if cancel.sleep(pause) {
            return Err(LockError::Cancelled(what.to_owned()));
        }
        pause = PAUSE.min(pause * 2);
    }
}

fn attempt(path: &Path) -> io::Result<Attempt> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let opened = file.metadata()?;
    if !opened.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Attempt::Busy(file)),
        Err(Errno::INTR) => return Ok(Attempt::Again),
        Err(error) => return Err(error.into()),
    }
    match std::fs::symlink_metadata(path) {
        Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => Ok(Attempt::Locked(file)),
        Ok(_) => Ok(Attempt::Again),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Attempt::Again),
        Err(error) => Err(error),
    }
}

fn make(folder: &Path) -> Result<(), LockError> {
    std::fs::create_dir_all(folder).map_err(|source| LockError::File { path: folder.to_owned(), source })
}

impl Holder {
    /// Whatever the file says that can be understood; it may be half-written or stale.
    fn read(file: &File, what: &str) -> Holder {
        let mut text = Vec::new();
        // What cannot be read is not known.
        let _ = file.take(MOST_TEXT).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let mut holder = Holder { runner: None, supervisor: None, what: what.to_owned() };
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match line.split_once(' ') {
                Some(("runner", process)) => holder.runner = Process::parse(process),
                Some(("supervisor", process)) => holder.supervisor = Process::parse(process),
                _ => {}
            }
        }
        holder
    }
}

impl Process {
    fn parse(text: &str) -> Option<Process> {
        let (pid, start) = text.split_once(' ')?;
        Some(Process { pid: pid.parse().ok()?, start: start.parse().ok()? })
    }

    fn of(pid: u32) -> Option<Process> {
        stat(pid).map(|(_, start)| Process { pid, start })
    }
}

/// Parent and start of a living process.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // `PID (any name) STATE PARENT …`, the start being the 20th field after the name.
    let mut fields = text.rsplit(')').next()?.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((parent, start))
}

fn is_ancestor(wanted: Process) -> bool {
    let mut pid = std::process::id();
    // A chain of parents is far shorter; the bound is against one that changes while it is walked.
    for _ in 0..4096 {
        let Some((parent, _)) = stat(pid) else { return false };
        if parent == wanted.pid {
            return Process::of(parent) == Some(wanted);
        }
        if parent <= 1 {
            return false;
        }
        pid = parent;
    }
    false
}
