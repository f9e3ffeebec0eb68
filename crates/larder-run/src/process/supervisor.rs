//! The forked side: a copy of Larder that never returns, never allocates and makes system calls only.
//!
//! Order: close what was inherited by accident, become subreaper, wait for Larder's word, fork the command, then
//! watch the control socket and the children until none is left; report; exit. Every signal stays blocked (the
//! caller blocked them before the fork), so that only SIGKILL ends a supervisor early.
//!
//! [`supervise`] is `extern "C"`: were there a panic, it would abort and not unwind into Larder's frames.
//!
//! Wire: on the control socket one byte from Larder ("go", the locks are marked), then nothing; shutting down or
//! dying means "end it". The supervisor sends one [`Report`] when nothing lives. On the failure pipe comes one
//! [`Failure`] when the command could not be started; it closes empty by a successful `execve`.

use libc::{c_char, c_int, c_long, c_uint, pid_t};

use super::descendants::{Descendants, errno};
use super::observe::Hello;
use super::{GRACE, LINGER};

/// What the forked side needs, made before the fork. All descriptors are above 2 and close-on-exec.
pub(super) struct Plan<'a> {
    pub(super) control: c_int,
    pub(super) failure: c_int,
    pub(super) null: c_int,
    pub(super) stdin: c_int,
    pub(super) stdout: c_int,
    pub(super) stderr: c_int,
    pub(super) locks: &'a [c_int],
    /// All of the above, ascending.
    pub(super) keep: &'a [c_int],
    /// Paths to try, in order.
    pub(super) programs: &'a [*const c_char],
    /// Ends with a null pointer, as does `envp`.
    pub(super) argv: &'a [*const c_char],
    pub(super) envp: &'a [*const c_char],
    pub(super) cwd: *const c_char,
    /// Somebody wants to see its system calls.
    pub(super) asks: Option<&'a Asks>,
    pub(super) own_session: bool,
    /// The limit on descriptors, for kernels without `close_range`.
    pub(super) most_files: c_uint,
}

/// How the command makes itself seen.
pub(super) struct Asks {
    /// To Larder's thread.
    pub(super) socket: c_int,
    /// What to ask about; without a program there shall be no filter.
    pub(super) filter: libc::sock_fprog,
}

/// What the supervisor says when nothing of the command lives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    /// As `wait` gives it.
    pub(super) status: c_int,
    /// Something that the command left in the background had to be ended.
    pub(super) leftovers: bool,
    pub(super) user_micros: u64,
    pub(super) system_micros: u64,
    pub(super) peak_rss: u64,
}

impl Report {
    pub(super) const LEN: usize = 32;

    fn encode(self) -> [u8; Report::LEN] {
        let mut bytes = [0; Report::LEN];
        let parts = [
            u64::from(self.status.cast_unsigned()) << 1 | u64::from(self.leftovers),
            self.user_micros,
            self.system_micros,
            self.peak_rss,
        ];
        for (slot, part) in bytes.chunks_exact_mut(8).zip(parts) {
            slot.copy_from_slice(&part.to_ne_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; Report::LEN]) -> Report {
        let mut parts = [0_u64; 4];
        for (part, slot) in parts.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(slot);
            *part = u64::from_ne_bytes(word);
        }
        let [first, user_micros, system_micros, peak_rss] = parts;
        let status = u32::try_from(first >> 1).unwrap_or(0).cast_signed();
        Report { status, leftovers: first & 1 == 1, user_micros, system_micros, peak_rss }
    }
}

/// Why the command did not start: where, and the system's error number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) stage: u8,
    pub(super) errno: c_int,
}

/// Stages of [`Failure`].
pub(super) mod stage {
    /// Becoming a supervisor.
    pub(in super::super) const SUPERVISOR: u8 = 1;
    /// Forking the command.
    pub(in super::super) const FORK: u8 = 2;
    /// Connecting stdin, stdout and stderr.
    pub(in super::super) const STREAMS: u8 = 3;
    /// Entering the folder.
    pub(in super::super) const FOLDER: u8 = 4;
    /// `execve`.
    pub(in super::super) const EXEC: u8 = 5;
}

impl Failure {
    pub(super) const LEN: usize = 8;

    fn encode(self) -> [u8; Failure::LEN] {
        let [a, b, c, d] = self.errno.to_ne_bytes();
        [self.stage, 0, 0, 0, a, b, c, d]
    }

    pub(super) fn decode(bytes: &[u8; Failure::LEN]) -> Failure {
        let &[stage, _, _, _, a, b, c, d] = bytes;
        Failure { stage, errno: c_int::from_ne_bytes([a, b, c, d]) }
    }
}

/// Forks without running anybody's `atfork` handlers: the child makes system calls only.
///
/// # Safety
/// In the child (result 0) only async-signal-safe calls may follow, and it must never return to the caller's frames.
pub(super) unsafe fn fork() -> pid_t {
    // SAFETY: without flags but the exit signal, `clone` is `fork`; no stack or pointers are passed.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    pid_t::try_from(pid).unwrap_or(-1)
}

/// The life of a supervisor.
///
/// # Safety
/// Only in a child made by [`fork`] with all signals blocked; the plan's pointers must be valid.
pub(super) unsafe extern "C" fn supervise(plan: &Plan<'_>) -> ! {
    // SAFETY: system calls on descriptors and memory that the plan vouches for.
    unsafe {
        close_others(plan);
        for stream in 0..3 {
            libc::dup2(plan.null, stream);
        }
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        if plan.own_session {
            libc::setsid();
        }
        libc::prctl(libc::PR_SET_NAME, c"larder-guard".as_ptr());
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 {
            fail(plan, stage::SUPERVISOR);
        }
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigaddset(&raw mut mask, libc::SIGCHLD);
        let children = libc::signalfd(-1, &raw const mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if children < 0 {
            fail(plan, stage::SUPERVISOR);
        }
        let mut go = 0_u8;
        if libc::read(plan.control, (&raw mut go).cast(), 1) != 1 {
            libc::_exit(1); // Larder is gone or thought better of it.
        }
        let own = libc::getpid();
        let command = fork();
        if command == 0 {
            execute(plan, own);
        }
        if command < 0 {
            fail(plan, stage::FORK);
        }
        for fd in [plan.failure, plan.stdin, plan.stdout, plan.stderr, plan.null] {
            libc::close(fd);
        }
        if let Some(asks) = plan.asks {
            libc::close(asks.socket);
        }
        libc::chdir(c"/".as_ptr());
        let mut report = watch(plan.control, children, own, command);
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        report.user_micros = micros(usage.ru_utime);
        report.system_micros = micros(usage.ru_stime);
        report.peak_rss = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
        let bytes = report.encode();
        libc::send(plan.control, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL);
        libc::_exit(0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The command runs.
    Running,
    /// It ended; what it left in the background may end by itself until then (milliseconds).
    Lingering(u64),
    /// All were asked to end until then.
    Terminating(u64),
    /// All are being killed.
    Killing,
}

/// Until no descendant is left.
fn watch(control: c_int, children: c_int, own: pid_t, command: pid_t) -> Report {
    let mut report = Report::default();
    let mut descendants = Descendants::new(own);
    let mut phase = Phase::Running;
    let mut ended = false;
    loop {
        if reap(command, &mut report.status, &mut ended) {
            return report;
        }
        let now = now_millis();
        phase = match phase {
            Phase::Running if ended => Phase::Lingering(now.saturating_add(millis(LINGER))),
            Phase::Lingering(until) if now >= until => {
                report.leftovers = true;
                descendants.signal_all(libc::SIGTERM);
                Phase::Terminating(now.saturating_add(millis(GRACE)))
            }
            Phase::Terminating(until) if now >= until => Phase::Killing,
            other => other,
        };
        let timeout = match phase {
            Phase::Running => -1,
            Phase::Lingering(until) | Phase::Terminating(until) => {
                c_int::try_from(until.saturating_sub(now)).unwrap_or(c_int::MAX)
            }
            Phase::Killing => {
                descendants.signal_all(libc::SIGKILL);
                10
            }
        };
        let listening = matches!(phase, Phase::Running | Phase::Lingering(_));
        if wait(if listening { control } else { -1 }, children, timeout) && listening {
            descendants.signal_all(libc::SIGTERM);
            phase = Phase::Terminating(now_millis().saturating_add(millis(GRACE)));
        }
    }
}

/// Sleeps until a child ended, the time is over, or Larder wants an end (true).
fn wait(control: c_int, children: c_int, timeout: c_int) -> bool {
    let mut fds = [
        libc::pollfd { fd: control, events: libc::POLLIN | libc::POLLRDHUP, revents: 0 },
        libc::pollfd { fd: children, events: libc::POLLIN, revents: 0 },
    ];
    let mut info = [0_u8; 512];
    // SAFETY: pointers and lengths are those of the two arrays.
    unsafe {
        if libc::poll(fds.as_mut_ptr(), 2, timeout) <= 0 {
            return false;
        }
        let [socket, signals] = fds;
        if signals.revents != 0 {
            // Emptied before the children are counted, so that none is missed.
            libc::read(children, info.as_mut_ptr().cast(), info.len());
        }
        socket.revents != 0
    }
}

/// Takes every ended child off the list; true when there is no child at all. An orphan is adopted before its parent
/// can be waited for, so that "no child" means "no descendant".
fn reap(command: pid_t, status: &mut c_int, ended: &mut bool) -> bool {
    loop {
        let mut this: c_int = 0;
        // SAFETY: the pointer is a local's.
        let pid = unsafe { libc::waitpid(-1, &raw mut this, libc::WNOHANG | libc::__WALL) };
        if pid == command {
            *status = this;
            *ended = true;
        }
        if pid == 0 {
            return false;
        }
        if pid < 0 {
            return errno() == libc::ECHILD;
        }
    }
}

/// Turns a fresh fork into the command.
unsafe fn execute(plan: &Plan<'_>, supervisor: pid_t) -> ! {
    // SAFETY: system calls on what the plan vouches for.
    unsafe {
        if plan.own_session {
            libc::setpgid(0, 0);
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != supervisor {
            libc::_exit(127);
        }
        for (from, to) in [(plan.stdin, 0), (plan.stdout, 1), (plan.stderr, 2)] {
            if libc::dup2(from, to) < 0 {
                fail(plan, stage::STREAMS);
            }
        }
        for &lock in plan.locks {
            libc::close(lock);
        }
        libc::umask(0o022);
        if libc::chdir(plan.cwd) != 0 {
            fail(plan, stage::FOLDER);
        }
        for signal in 1..=64 {
            // Past libc, which refuses the two that it keeps for itself and that may be ignored all the same. All
            // zero is the default action in the kernel's structure (handler, flags, restorer, an 8 byte mask).
            let default = [0_u64; 4];
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8_usize,
            );
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        if let Some(asks) = plan.asks {
            show(plan, asks);
        }
        let mut reason = libc::ENOENT;
        for &program in plan.programs {
            libc::execve(program, plan.argv.as_ptr(), plan.envp.as_ptr());
            match errno() {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => reason = libc::EACCES,
                other => {
                    reason = other;
                    break;
                }
            }
        }
        fail_with(plan, Failure { stage: stage::EXEC, errno: reason })
    }
}

/// Makes the command's calls seen by Larder's thread: hands it a listener, or waits until it traces.
///
/// The privilege that a filter needs is that nothing gains any by `execve`; it is given up only where there is no other.
fn show(plan: &Plan<'_>, asks: &Asks) {
    // SAFETY: system calls on what the plan vouches for, and on locals.
    unsafe {
        let mut listener: c_long = -1;
        let mut reason = 0;
        if asks.filter.len > 0 {
            for (killable, gain_nothing) in [(true, false), (false, false), (true, true), (false, true)] {
                if gain_nothing && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                    continue;
                }
                let more = if killable { libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV } else { 0 };
                listener = libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER,
                    libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW | more,
                    &raw const asks.filter,
                );
                reason = errno();
                if listener >= 0 || !matches!(reason, libc::EINVAL | libc::EACCES) {
                    break;
                }
            }
        }
        let listener = c_int::try_from(listener).unwrap_or(-1);
        let errno = if listener >= 0 { 0 } else { reason };
        let hello = Hello { has_listener: listener >= 0, errno, pid: libc::getpid() };
        if !say(asks.socket, &hello.encode(), listener) {
            // With a filter that nobody listens to, nothing would work.
            fail(plan, stage::SUPERVISOR);
        }
        if listener >= 0 {
            libc::close(listener);
        } else {
            let mut go = 0_u8;
            // Nobody there: then it is not seen, which Larder knows.
            libc::read(asks.socket, (&raw mut go).cast(), 1);
        }
        libc::close(asks.socket);
    }
}

/// Sends bytes, and a descriptor if it is one.
fn say(socket: c_int, bytes: &[u8], fd: c_int) -> bool {
    /// Room for one descriptor, aligned as the kernel wants it.
    #[repr(C)]
    struct Room {
        head: libc::cmsghdr,
        fd: c_int,
        rest: c_int,
    }
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: numbers and pointers, for which zero is a value; all that is pointed to is local and outlives the call.
    unsafe {
        let mut room: Room = std::mem::zeroed();
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if fd >= 0 {
            room.head.cmsg_level = libc::SOL_SOCKET;
            room.head.cmsg_type = libc::SCM_RIGHTS;
            room.head.cmsg_len = size_of::<libc::cmsghdr>().wrapping_add(size_of::<c_int>()) as _;
            room.fd = fd;
            message.msg_control = (&raw mut room).cast();
            message.msg_controllen = size_of::<Room>() as _;
        }
        let sent = libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL);
        usize::try_from(sent) == Ok(bytes.len())
    }
}

fn fail(plan: &Plan<'_>, stage: u8) -> ! {
    fail_with(plan, Failure { stage, errno: errno() })
}

fn fail_with(plan: &Plan<'_>, failure: Failure) -> ! {
    let bytes = failure.encode();
    // SAFETY: pointer and length are the array's. `_exit` runs nobody's handlers.
    unsafe {
        libc::write(plan.failure, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(127)
    }
}

/// Closes every descriptor above 2 that is not in the plan.
fn close_others(plan: &Plan<'_>) {
    let mut first: c_uint = 3;
    for &fd in plan.keep {
        let kept = fd.cast_unsigned();
        if kept > first {
            close_range(first, kept.wrapping_sub(1), plan.most_files);
        }
        first = kept.wrapping_add(1).max(first);
    }
    close_range(first, c_uint::MAX, plan.most_files);
}

fn close_range(first: c_uint, last: c_uint, most_files: c_uint) {
    // SAFETY: the forked copy owns its descriptor table; nobody else uses these numbers.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
            for fd in first..=last.min(most_files) {
                libc::close(fd.cast_signed());
            }
        }
    }
}

fn now_millis() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is a local's.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: libc::timeval) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec).unwrap_or(0))
}
