//! [`Child`]: Larder's side of a running command.
//!
//! One loop polls output, the supervisor's report, the cancel flag and the clock. Output is handed on as it comes, at
//! most 64 KiB at once; while the receiver works, the pipes fill and the command waits. Chunks of one stream are in
//! order; between the two streams the order is that of arrival, as near as two pipes can tell.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use super::cancel::{CancelToken, timespec};
use super::supervisor::Report;
use super::{GRACE, spawn};

/// How long after asking for the end the supervisor may still be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Size of the read buffer.
const CHUNK: usize = 64 * 1024;

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// How the command itself ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Why Larder ended the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The token was cancelled.
    Cancelled,
    /// It ran for longer than it may.
    TimedOut,
    /// [`Child::kill`] was called.
    Killed,
}

/// What the command and its descendants used; those that were never waited for by their parents are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Resident memory of the largest single process, in bytes; never less than what Larder itself had when it forked.
    pub peak_rss: u64,
}

/// The end of a command, and of everything it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How the command itself ended.
    pub status: Status,
    /// Set when Larder ended it: the command failed then, whatever its status says.
    pub stopped: Option<Stop>,
    /// It had left something running in the background that had to be ended.
    pub leftovers: bool,
    /// Resources.
    pub usage: Usage,
    /// From the start to the end of all processes.
    pub wall: Duration,
}

impl Exit {
    /// Ended by itself with exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == Status::Code(0) && self.stopped.is_none()
    }
}

/// Why the end of a command is not known. It is never to be taken for a success.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Somebody killed the supervisor. What could be found of the command was killed.
    #[error(
        "the command's supervisor was killed, and the command with it (hint: was the machine out of memory?)"
    )]
    SupervisorLost,
    /// The command was to end and did not, SIGKILL notwithstanding. The supervisor goes on and holds the locks.
    #[error("a process of the command cannot be killed (hint: `ps` shows it below process {supervisor})")]
    StillAlive {
        /// Process number of the supervisor.
        supervisor: u32,
    },
    /// A system call failed; the command was ended.
    #[error("cannot {step}")]
    System {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A running command. Dropping it ends the command and waits for that.
#[derive(Debug)]
pub struct Child {
    supervisor: Pid,
    control: UnixStream,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    started: Instant,
    own_session: bool,
    stopped: Option<(Stop, Instant)>,
    reaped: bool,
    /// Tells the observer that nothing lives.
    watched: Option<CancelToken>,
}

impl Child {
    pub(super) fn new(
        supervisor: Pid,
        control: UnixStream,
        stdout: OwnedFd,
        stderr: OwnedFd,
        started: Instant,
        own_session: bool,
    ) -> Child {
        let (stdout, stderr) = (Some(stdout), Some(stderr));
        Child {
            supervisor,
            control,
            stdout,
            stderr,
            started,
            own_session,
            stopped: None,
            reaped: false,
            watched: None,
        }
    }

    pub(super) fn is_watched(&mut self, over: CancelToken) {
        self.watched = Some(over);
    }

    pub(super) fn go(&self) {
        spawn::send_go(&self.control);
    }

    /// Process number of the supervisor.
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        self.supervisor.as_raw_nonzero().get().cast_unsigned()
    }

    /// Begins the end: SIGTERM to everything, [`GRACE`], SIGKILL. Does not wait.
    pub fn kill(&mut self) {
        self.stop(Stop::Killed);
    }

    /// Waits until the command and all its descendants are gone, handing on output as it comes. `timeout` counts from
    /// the start of the command.
    ///
    /// # Errors
    /// [`WaitError`]; to be reported, never to be taken for a success.
    pub fn wait_with(
        &mut self,
        mut on_output: impl FnMut(Stream, &[u8]),
        cancel: &CancelToken,
        timeout: Option<Duration>,
    ) -> Result<Exit, WaitError> {
        let result = self.watch(&mut on_output, Some(cancel), timeout);
        let wall = self.started.elapsed();
        let lost = matches!(result, Err(WaitError::SupervisorLost));
        if lost {
            self.kill_session();
        }
        if result.is_ok() || lost {
            self.drain(&mut on_output);
            self.reap();
        }
        let report = result?;
        let status = match (libc::WIFSIGNALED(report.status), libc::WTERMSIG(report.status)) {
            (true, signal) => Status::Signal(signal),
            (false, _) => Status::Code(libc::WEXITSTATUS(report.status)),
        };
        let usage = Usage {
            user: Duration::from_micros(report.user_micros),
            system: Duration::from_micros(report.system_micros),
            peak_rss: report.peak_rss,
        };
        let stopped = self.stopped.map(|(stop, _)| stop);
        Ok(Exit { status, stopped, leftovers: report.leftovers, usage, wall })
    }

    fn stop(&mut self, why: Stop) {
        if self.stopped.is_none() {
            self.stopped = Some((why, Instant::now()));
            // Fails only when the supervisor is gone, which the next read tells.
            let _ = self.control.shutdown(Shutdown::Write);
        }
    }

    fn watch(
        &mut self,
        on_output: &mut dyn FnMut(Stream, &[u8]),
        cancel: Option<&CancelToken>,
        timeout: Option<Duration>,
    ) -> Result<Report, WaitError> {
        let mut buffer = vec![0; CHUNK];
        let deadline = timeout.and_then(|limit| self.started.checked_add(limit));
        loop {
            if cancel.is_some_and(CancelToken::is_cancelled) {
                self.stop(Stop::Cancelled);
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                self.stop(Stop::TimedOut);
            }
            let until = match self.stopped {
                None => deadline,
                Some((_, since)) if now.duration_since(since) >= PATIENCE + GRACE => {
                    return Err(WaitError::StillAlive { supervisor: self.supervisor() });
                }
                Some((_, since)) => Some(since + PATIENCE + GRACE),
            };
            let cancel = cancel.filter(|_| self.stopped.is_none());
            if self.sleep(cancel, until.map(|until| until.saturating_duration_since(now)))? {
                return self.report();
            }
            read_once(&mut self.stdout, Stream::Stdout, &mut buffer, on_output);
            read_once(&mut self.stderr, Stream::Stderr, &mut buffer, on_output);
        }
    }

    /// Sleeps until something happens; true when the supervisor spoke or died.
    fn sleep(&self, cancel: Option<&CancelToken>, timeout: Option<Duration>) -> Result<bool, WaitError> {
        let mut fds = vec![PollFd::new(&self.control, PollFlags::IN)];
        fds.extend(cancel.map(|token| PollFd::new(token, PollFlags::IN)));
        fds.extend(
            [&self.stdout, &self.stderr].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)),
        );
        match poll(&mut fds, timeout.map(timespec).as_ref()) {
            Ok(_) => Ok(fds.first().is_some_and(|control| !control.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(source) => Err(WaitError::System { step: "wait for a command", source: source.into() }),
        }
    }

    fn report(&mut self) -> Result<Report, WaitError> {
        let mut bytes = [0; Report::LEN];
        match self.control.read_exact(&mut bytes) {
            Ok(()) => Ok(Report::decode(&bytes)),
            Err(_) => Err(WaitError::SupervisorLost),
        }
    }

    /// Hands on what the pipes still hold, and no more: a stranger that keeps on writing must not keep us.
    fn drain(&mut self, on_output: &mut dyn FnMut(Stream, &[u8])) {
        let mut buffer = vec![0; CHUNK];
        for (pipe, stream) in [(&mut self.stdout, Stream::Stdout), (&mut self.stderr, Stream::Stderr)] {
            let mut left = pipe.as_ref().and_then(|fd| rustix::io::ioctl_fionread(fd).ok()).unwrap_or(0);
            while left > 0 {
                let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                let count = read_once(pipe, stream, buffer.get_mut(..size).unwrap_or_default(), on_output);
                if count == 0 {
                    break;
                }
                left = left.saturating_sub(count as u64);
            }
            *pipe = None;
        }
    }

    fn reap(&mut self) {
        if !self.reaped {
            self.reaped = true;
            // No child: the process ignores SIGCHLD, and the system has taken it.
            while let Err(Errno::INTR) = rustix::process::waitpid(Some(self.supervisor), WaitOptions::empty())
            {
            }
            if let Some(over) = &self.watched {
                over.cancel();
            }
        }
    }

    /// The supervisor is dead and not yet waited for, so its number is still the session's and nobody else's.
    fn kill_session(&self) {
        let session = self.supervisor.as_raw_nonzero().get();
        for _ in 0..100 {
            if !self.own_session || kill_members(session) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.stop(Stop::Killed);
        match self.watch(&mut |_, _| {}, None, None) {
            Err(WaitError::StillAlive { supervisor }) => {
                tracing::warn!(supervisor, "a process of a command cannot be killed");
                return;
            }
            Err(WaitError::SupervisorLost) => self.kill_session(),
            Ok(_) | Err(WaitError::System { .. }) => {}
        }
        self.reap();
    }
}

/// Reads once if something is there; forgets the pipe at its end. The number of bytes handed on.
fn read_once(
    pipe: &mut Option<OwnedFd>,
    stream: Stream,
    buffer: &mut [u8],
    on_output: &mut dyn FnMut(Stream, &[u8]),
) -> usize {
    let Some(fd) = pipe else { return 0 };
    match rustix::io::read(&*fd, &mut *buffer) {
        Ok(count) if count > 0 => {
            on_output(stream, buffer.get(..count).unwrap_or_default());
            count
        }
        Err(Errno::AGAIN | Errno::INTR) => 0,
        Ok(_) | Err(_) => {
            *pipe = None;
            0
        }
    }
}

/// Kills the living members of a session; how many there were.
fn kill_members(session: i32) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        let stat = String::from_utf8_lossy(&stat);
        // After the name: state, parent, group, session.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let dead = matches!(fields.next(), Some("Z" | "X"));
        if !dead && fields.nth(2).and_then(|field| field.parse().ok()) == Some(session) {
            count += 1;
            // Gone meanwhile, or not ours to kill: the count says so.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    count
}
