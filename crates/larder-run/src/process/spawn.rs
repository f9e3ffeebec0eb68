//! [`spawn`]: prepares all that the forked side needs, forks the supervisor, and waits until the command's program has
//! been executed or could not be.
//!
//! Everything that allocates happens before the fork. The fork happens with all signals blocked, so that no handler
//! of Larder's runs in the copy.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use libc::{c_char, c_uint};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::child::Child;
use super::observe::{Watch, Watching};
use super::spec::{CommandSpec, SpawnError, Stdin};
use super::supervisor::{self, Asks, Failure, Plan, stage};

/// Where programs are looked for when the command's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts a command under a supervisor of its own.
///
/// # Errors
/// [`SpawnError`]; nothing runs then.
pub fn spawn(spec: &CommandSpec<'_>) -> Result<Child, SpawnError> {
    spawn_watched(spec, None)
}

/// Starts a command as [`spawn`] does, with somebody who sees its system calls.
///
/// # Errors
/// [`SpawnError`]; nothing runs then. That nothing can be seen is no error: the observer is told.
pub fn spawn_watched(spec: &CommandSpec<'_>, watch: Option<Watch>) -> Result<Child, SpawnError> {
    let texts = Texts::of(spec)?;
    let ends = Ends::open(spec).map_err(system("open pipes for a command"))?;
    let (control, theirs) = UnixStream::pair().map_err(system("open a socket for a supervisor"))?;
    let theirs = above_stdio(theirs.into()).map_err(system("open a socket for a supervisor"))?;
    let mut kept = Vec::new();
    let mut locks = Vec::new();
    for lock in &spec.locks {
        let fd = lock.fd();
        if fd.as_raw_fd() > 2 {
            locks.push(fd.as_raw_fd());
        } else {
            let copy = duplicate(fd).map_err(system("duplicate a lock's descriptor"))?;
            locks.push(copy.as_raw_fd());
            kept.push(copy);
        }
    }
    let watching = watch.and_then(Watching::start);
    let asks = watching.as_ref().map(|watching| Asks {
        socket: watching.theirs.as_raw_fd(),
        filter: libc::sock_fprog {
            len: u16::try_from(watching.program.len()).unwrap_or(0),
            filter: watching.program.as_ptr().cast_mut(),
        },
    });
    let raw =
        [&theirs, &ends.failure, &ends.null, &ends.stdin, &ends.stdout, &ends.stderr].map(AsRawFd::as_raw_fd);
    let socket = asks.iter().map(|asks| asks.socket);
    let mut keep: Vec<RawFd> = raw.into_iter().chain(locks.iter().copied()).chain(socket).collect();
    keep.sort_unstable();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 16);
    let (programs, argv, envp) = (pointers(&texts.programs), pointers(&texts.argv), pointers(&texts.envp));
    let plan = Plan {
        control: theirs.as_raw_fd(),
        failure: ends.failure.as_raw_fd(),
        null: ends.null.as_raw_fd(),
        stdin: ends.stdin.as_raw_fd(),
        stdout: ends.stdout.as_raw_fd(),
        stderr: ends.stderr.as_raw_fd(),
        locks: &locks,
        keep: &keep,
        programs: programs.strip_suffix(&[std::ptr::null()]).unwrap_or_default(),
        argv: &argv,
        envp: &envp,
        cwd: texts.cwd.as_ptr(),
        asks: asks.as_ref(),
        own_session: spec.stdin == Stdin::Null,
        most_files: c_uint::try_from(most.min(1 << 20)).unwrap_or(1 << 20),
    };
    let started = Instant::now();
    let supervisor = fork_supervisor(&plan).map_err(system("start a process"))?;
    let Ends { null, stdin, stdout, stderr, failure, read_stdout, read_stderr, read_failure } = ends;
    // Larder's copies of the forked side's ends: while they are open, no pipe comes to its end.
    drop((theirs, kept, null, stdin, stdout, stderr, failure));
    let mut child =
        Child::new(supervisor, control, read_stdout, read_stderr, started, spec.stdin == Stdin::Null);
    if let Some(watching) = watching {
        child.is_watched(watching.over);
    }
    for lock in &spec.locks {
        let pid = supervisor.as_raw_nonzero().get().cast_unsigned();
        lock.supervised_by(pid).map_err(system("mark a lock"))?;
    }
    child.go();
    match read_failure_of(read_failure).map_err(system("read from a supervisor"))? {
        None => Ok(child),
        Some(failure) => Err(explain(spec, failure)),
    }
}

fn system(step: &'static str) -> impl FnOnce(io::Error) -> SpawnError {
    move |source| SpawnError::System { step, source }
}

fn explain(spec: &CommandSpec<'_>, failure: Failure) -> SpawnError {
    let source = io::Error::from_raw_os_error(failure.errno);
    let program = spec.program.to_string_lossy().into_owned();
    match (failure.stage, failure.errno) {
        (stage::FOLDER, _) => SpawnError::WorkingDirectory { path: spec.cwd.clone(), source },
        (stage::EXEC, libc::ENOENT | libc::ENOTDIR) => SpawnError::ProgramNotFound { program },
        (stage::EXEC, libc::E2BIG) => SpawnError::TooLarge { program },
        (stage::EXEC, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) | (stage::FORK, _) => {
            SpawnError::System { step: "start a process", source }
        }
        (stage::EXEC, _) => SpawnError::NotExecutable { program, source },
        (stage::STREAMS, _) => SpawnError::System { step: "connect a command's streams", source },
        _ => SpawnError::System { step: "become a supervisor", source },
    }
}

/// Blocks until the command's `execve` closed the pipe, or something went wrong.
fn read_failure_of(pipe: OwnedFd) -> io::Result<Option<Failure>> {
    let mut bytes = Vec::new();
    std::fs::File::from(pipe).take(Failure::LEN as u64).read_to_end(&mut bytes)?;
    Ok(<&[u8; Failure::LEN]>::try_from(bytes.as_slice()).ok().map(Failure::decode))
}

/// The strings that `execve` takes. They live here while the plan points at them.
struct Texts {
    programs: Vec<CString>,
    argv: Vec<CString>,
    envp: Vec<CString>,
    cwd: CString,
}

impl Texts {
    fn of(spec: &CommandSpec<'_>) -> Result<Texts, SpawnError> {
        if spec.program.is_empty() {
            return Err(SpawnError::Invalid { what: "program", value: String::new() });
        }
        let program = text("program", &spec.program)?;
        let mut argv = vec![program];
        for arg in &spec.args {
            argv.push(text("argument", arg)?);
        }
        let mut envp = Vec::with_capacity(spec.env.len());
        for (name, value) in &spec.env {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(SpawnError::Invalid {
                    what: "variable",
                    value: name.to_string_lossy().into_owned(),
                });
            }
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            // A value may be a secret: the message names the variable only.
            envp.push(CString::new(entry.into_vec()).map_err(|_| SpawnError::Invalid {
                what: "variable",
                value: name.to_string_lossy().into_owned(),
            })?);
        }
        let cwd = text("folder", spec.cwd.as_os_str())?;
        Ok(Texts { programs: candidates(spec)?, argv, envp, cwd })
    }
}

fn text(what: &'static str, value: &OsStr) -> Result<CString, SpawnError> {
    CString::new(value.as_bytes())
        .map_err(|_| SpawnError::Invalid { what, value: value.to_string_lossy().into_owned() })
}

/// The paths that the program may have, in the order of the command's own `PATH`.
fn candidates(spec: &CommandSpec<'_>) -> Result<Vec<CString>, SpawnError> {
    if spec.program.as_bytes().contains(&b'/') {
        return Ok(vec![text("program", &spec.program)?]);
    }
    let path = spec.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut found = Vec::new();
    for folder in path.as_bytes().split(|&byte| byte == b':') {
        let mut candidate = OsString::from(OsStr::from_bytes(if folder.is_empty() { b"." } else { folder }));
        candidate.push("/");
        candidate.push(&spec.program);
        found.push(text("program", &candidate)?);
    }
    Ok(found)
}

/// Pointers to the strings, with a null pointer at the end.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The pipes of one command: the forked side's ends (all above 2), and Larder's.
struct Ends {
    null: OwnedFd,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    failure: OwnedFd,
    read_stdout: OwnedFd,
    read_stderr: OwnedFd,
    read_failure: OwnedFd,
}

impl Ends {
    fn open(spec: &CommandSpec<'_>) -> io::Result<Ends> {
        let null = above_stdio(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())?;
        let stdin = match spec.stdin {
            Stdin::Null => duplicate(null.as_fd())?,
            Stdin::Inherit => duplicate(io::stdin().as_fd())?,
        };
        let (read_stdout, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (read_stderr, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let (read_failure, failure) = pipe_with(PipeFlags::CLOEXEC)?;
        // Only Larder's ends: the command's own must block, as programs expect.
        rustix::io::ioctl_fionbio(&read_stdout, true)?;
        rustix::io::ioctl_fionbio(&read_stderr, true)?;
        let (stdout, stderr, failure) = (above_stdio(stdout)?, above_stdio(stderr)?, above_stdio(failure)?);
        Ok(Ends { null, stdin, stdout, stderr, failure, read_stdout, read_stderr, read_failure })
    }
}

/// A copy that no shuffling of 0, 1 and 2 can hit.
fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

pub(super) fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { duplicate(fd.as_fd()) }
}

fn fork_supervisor(plan: &Plan<'_>) -> io::Result<Pid> {
    // SAFETY: the masks are locals; the child goes straight to `supervise`, which never returns and only makes
    // system calls, with all signals blocked as it asks.
    let pid = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let pid = supervisor::fork();
        if pid == 0 {
            supervisor::supervise(plan);
        }
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        pid
    };
    Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::Other))
}

/// Tells the supervisor to start the command; never raises SIGPIPE. That the supervisor is dead shows in the wait.
pub(super) fn send_go(control: &UnixStream) {
    // SAFETY: one byte from a static, to an open descriptor.
    unsafe { libc::send(control.as_raw_fd(), b"g".as_ptr().cast(), 1, libc::MSG_NOSIGNAL) };
}
