//! The way without a filter: the thread stops the command, and all that it starts, at every system call.
//!
//! Slower by far, and the only way inside another observed command (one process can have one listener). Everything here
//! belongs to one thread: the kernel knows the thread, not the process, as the tracer, and `__WNOTHREAD` keeps it from taking
//! children that other threads of Larder wait for. A tracee's death is seen here first and then by its parent, as ever.

use std::io;

use libc::{c_int, pid_t};

use super::filter;
use super::observe::{Asked, SystemCall};

const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC;

/// What `PTRACE_GET_SYSCALL_INFO` says at the beginning of a call: the first 80 bytes of the kernel's structure.
#[repr(C)]
#[derive(Default)]
struct Info {
    op: u8,
    reserved: u8,
    flags: u16,
    architecture: u32,
    instruction: u64,
    stack: u64,
    number: u64,
    arguments: [u64; 6],
}

const ENTRY: u8 = 1;

fn request(request: libc::c_uint, pid: pid_t, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: addresses that are pointers are those of locals that outlive the call; the kernel checks the rest.
    match unsafe { libc::ptrace(request, pid, address, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Follows the waiting command `pid` until nothing of it lives; `go` lets it run, seen or not.
///
/// # Errors
/// When it cannot be traced; it was let go then.
pub(super) fn trace(asked: &mut Asked, pid: pid_t, calls: &[u32], go: impl FnOnce()) -> io::Result<()> {
    let begun = seize(pid);
    go();
    begun?;
    let mut status = 0;
    loop {
        // SAFETY: the pointer is a local's.
        let stopped = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if stopped < 0 {
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => continue,
                // No tracee is left.
                _ => return Ok(()),
            }
        }
        if !libc::WIFSTOPPED(status) {
            continue;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let (how, signal) = if signal == libc::SIGTRAP | 0x80 {
            look(asked, stopped, calls);
            (libc::PTRACE_SYSCALL, 0)
        } else if event == libc::PTRACE_EVENT_STOP {
            match signal {
                libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => (libc::PTRACE_LISTEN, 0),
                _ => (libc::PTRACE_SYSCALL, 0),
            }
        } else if event != 0 {
            (libc::PTRACE_SYSCALL, 0)
        } else {
            (libc::PTRACE_SYSCALL, signal)
        };
        // Killed meanwhile: the next wait says so.
        let _ = request(how, stopped, 0, usize::try_from(signal).unwrap_or(0));
    }
}

/// From here on the command stops at every call.
fn seize(pid: pid_t) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, usize::try_from(OPTIONS).unwrap_or(0))?;
    let begin = || {
        request(libc::PTRACE_INTERRUPT, pid, 0, 0)?;
        let mut status = 0;
        // SAFETY: the pointer is a local's.
        while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        if !libc::WIFSTOPPED(status) {
            return Ok(());
        }
        let mut info = Info::default();
        info_of(pid, &mut info)?;
        request(libc::PTRACE_SYSCALL, pid, 0, 0)
    };
    begin().inspect_err(|_| {
        // As if nobody had looked; one that is gone needs no letting go.
        let _ = request(libc::PTRACE_DETACH, pid, 0, 0);
    })
}

/// Before Linux 5.3 there is no such request.
fn info_of(pid: pid_t, info: &mut Info) -> io::Result<()> {
    request(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of::<Info>(), (&raw mut *info).expose_provenance())
}

fn look(asked: &mut Asked, thread: pid_t, calls: &[u32]) {
    let mut info = Info::default();
    if let Err(error) = info_of(thread, &mut info) {
        if error.raw_os_error() != Some(libc::ESRCH) {
            asked.note(format!("its system calls could not be read: {error}"));
        }
        return;
    }
    if info.op != ENTRY {
        return;
    }
    let number =
        i32::try_from(info.number).ok().and_then(|number| filter::own_number(info.architecture, number));
    // Also -1 is no number, for a call that was skipped.
    if number.is_some_and(|number| !calls.contains(&number)) || info.number == u64::MAX {
        return;
    }
    asked.before(&SystemCall { thread: thread.cast_unsigned(), number, arguments: info.arguments });
    asked.after(true);
}
