//! Seeing a command's system calls: [`Observer`], [`SystemCall`], and the thread of Larder's that hands one to the other.
//!
//! ```text
//! Larder's thread ◀── socket: "here is my listener" or "I have none" ── the forked command, before `execve`
//!     │  a filter asks before each call of the list (seccomp user notification) …
//!     ▼  … or the thread stops the command at every call (`ptrace.rs`), where there can be no such filter
//! Observer::before ─▶ the call goes on ─▶ Observer::after
//! ```
//! A filter is inherited by everything that the command starts, whatever it links to and however it daemonises.
//!
//! # Invariants
//! - The observer only looks: each call goes on as it was. An observer that panics is not asked again, and the calls
//!   go on; so they do for as long as anything of the command lives, because a listener that is closed early would break it.
//! - [`Observer::ended`] is called once, with the reason if not all was seen.
//! - A process that is gone while its call is looked at is told by `after(false)`: what was read may be another's.
//!
//! # Not promised
//! This is no guard: a thread that changes a path in memory while another's call is looked at is seen with either text.

use std::io::{self, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::cancel::CancelToken;
use super::filter;
use super::ptrace;

/// Looks at the system calls of a command and everything that it starts. Lives in a thread of its own.
pub trait Observer: Send {
    /// A thread is about to make a call of the list, and waits until this returns.
    fn before(&mut self, call: &SystemCall);

    /// The call goes on; `false`: its process is gone, and what was seen means nothing.
    fn after(&mut self, went_on: bool);

    /// Nothing of the command lives. `trouble`: why not all was seen.
    fn ended(self: Box<Self>, trouble: Option<String>);
}

/// How calls are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// By a filter, else by tracing.
    #[default]
    Best,
    /// By tracing (`ptrace`): slower, works inside another filter.
    Tracing,
}

/// Who looks at which calls.
pub struct Watch {
    /// Numbers of the calls, for this machine's own architecture. Calls of any other are always seen.
    pub calls: Vec<u32>,
    /// How.
    pub way: Way,
    /// Who.
    pub observer: Box<dyn Observer>,
}

/// A call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct SystemCall {
    /// The thread, as Larder sees it in `/proc`.
    pub thread: u32,
    /// Its number; `None`: it is of another architecture than Larder, and cannot be read.
    pub number: Option<u32>,
    /// Its arguments.
    pub arguments: [u64; 6],
}

impl SystemCall {
    /// Reads the caller's memory from `address` up to the first zero byte, which is not part of it; at most as much as fits.
    ///
    /// # Errors
    /// When the memory is not there, or may not be read.
    pub fn text<'b>(&self, address: u64, into: &'b mut [u8]) -> io::Result<&'b [u8]> {
        const PAGE: u64 = 4096;
        let mut filled = 0;
        while filled < into.len() {
            let from = address.wrapping_add(filled as u64);
            let in_page = usize::try_from(PAGE - from % PAGE).unwrap_or(4096);
            let end = into.len().min(filled.saturating_add(in_page));
            let part = into.get_mut(filled..end).unwrap_or_default();
            let count = read_memory(self.thread, from, part)?;
            let part = part.get(..count).unwrap_or_default();
            if let Some(at) = memchr::memchr(0, part) {
                return Ok(into.get(..filled.saturating_add(at)).unwrap_or_default());
            }
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
        }
        Err(io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Reads as many bytes of the caller's memory as fit.
    ///
    /// # Errors
    /// As for [`SystemCall::text`].
    pub fn bytes<'b>(&self, address: u64, into: &'b mut [u8]) -> io::Result<&'b [u8]> {
        match read_memory(self.thread, address, into)? {
            count if count == into.len() => Ok(into),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    /// Reads 8 bytes of the caller's memory as a number.
    ///
    /// # Errors
    /// As for [`SystemCall::text`].
    pub fn word(&self, address: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.bytes(address, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

fn read_memory(thread: u32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let address = usize::try_from(address).map_err(|_| io::ErrorKind::InvalidData)?;
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: into.len() };
    // SAFETY: the local part is the slice; the remote one is only a number here, which the kernel checks.
    let count =
        unsafe { libc::process_vm_readv(thread.cast_signed(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Guards an observer: once it panicked it is not asked again.
pub(super) struct Asked {
    observer: Box<dyn Observer>,
    trouble: Option<String>,
    panicked: bool,
}

impl Asked {
    fn guard(&mut self, with: impl FnOnce(&mut dyn Observer)) {
        if self.panicked {
            return;
        }
        let observer = &mut self.observer;
        if catch_unwind(AssertUnwindSafe(|| with(&mut **observer))).is_err() {
            self.panicked = true;
            self.note("the observer failed".to_owned());
        }
    }

    pub(super) fn before(&mut self, call: &SystemCall) {
        self.guard(|observer| observer.before(call));
    }

    pub(super) fn after(&mut self, went_on: bool) {
        self.guard(|observer| observer.after(went_on));
    }

    /// Not all will be seen. The first reason counts.
    pub(super) fn note(&mut self, trouble: String) {
        self.trouble.get_or_insert(trouble);
    }

    fn end(self) {
        // Nobody waits for what a panic here would leave out: the other side sees the channel close.
        let _ = catch_unwind(AssertUnwindSafe(|| self.observer.ended(self.trouble)));
    }
}

/// What the command says about itself before `execve`: what it has, the system's error number, its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) has_listener: bool,
    pub(super) errno: i32,
    pub(super) pid: i32,
}

impl Hello {
    pub(super) const LEN: usize = 12;

    pub(super) fn encode(self) -> [u8; Hello::LEN] {
        let [a, b, c, d] = self.errno.to_ne_bytes();
        let [e, f, g, h] = self.pid.to_ne_bytes();
        [u8::from(self.has_listener), 0, 0, 0, a, b, c, d, e, f, g, h]
    }

    fn decode(bytes: &[u8; Hello::LEN]) -> Hello {
        let &[has_listener, _, _, _, a, b, c, d, e, f, g, h] = bytes;
        Hello {
            has_listener: has_listener == 1,
            errno: i32::from_ne_bytes([a, b, c, d]),
            pid: i32::from_ne_bytes([e, f, g, h]),
        }
    }
}

/// Larder's side of one watched command, before the fork.
pub(super) struct Watching {
    /// The forked side's end; above 2.
    pub(super) theirs: OwnedFd,
    /// Empty: the command shall not install a filter.
    pub(super) program: Vec<libc::sock_filter>,
    /// Set when nothing of the command lives.
    pub(super) over: CancelToken,
}

impl Watching {
    /// Starts the thread, so that what is missing shows before there is a command. Without descriptors or threads the
    /// command goes on unseen, and the observer is told.
    pub(super) fn start(watch: Watch) -> Option<Watching> {
        let Watch { calls, way, observer } = watch;
        let asked = Asked { observer, trouble: None, panicked: false };
        let mut program = filter::program(&calls);
        if way == Way::Tracing {
            program.clear();
        }
        // The thread gets its part through a channel, so that the observer is still here if there is no thread.
        let (give, take) = std::sync::mpsc::channel::<(Asked, UnixStream, CancelToken)>();
        let parts = UnixStream::pair().and_then(|(ours, theirs)| {
            let theirs = super::spawn::above_stdio(theirs.into())?;
            let over = CancelToken::new()?;
            let thread = std::thread::Builder::new().name("larder-observer".into());
            thread.spawn(move || {
                if let Ok((asked, socket, over)) = take.recv() {
                    watch_one(asked, &socket, &calls, &over);
                }
            })?;
            Ok((ours, theirs, over))
        });
        match parts {
            Ok((ours, theirs, over)) => {
                // The thread waits for this; it cannot be gone.
                let _ = give.send((asked, ours, over.clone()));
                Some(Watching { theirs, program, over })
            }
            Err(error) => {
                let mut asked = asked;
                asked.note(format!("it could not be observed: {error}"));
                asked.end();
                None
            }
        }
    }
}

fn watch_one(mut asked: Asked, socket: &UnixStream, calls: &[u32], over: &CancelToken) {
    match hello(socket) {
        Ok((Hello { has_listener: true, .. }, Some(listener))) => listen(&mut asked, &listener, over),
        Ok((Hello { has_listener: true, .. }, None)) => {
            asked.note("the command's listener was lost".to_owned());
        }
        Ok((Hello { errno, pid, .. }, _)) => {
            let go = || {
                // A command that is gone needs no word.
                let _ = (&*socket).write(b"g");
            };
            if let Err(error) = ptrace::trace(&mut asked, pid, calls, go) {
                let filter = match errno {
                    0 => String::new(),
                    errno => format!("no filter: {}; ", io::Error::from_raw_os_error(errno)),
                };
                asked.note(format!("this system does not let it be observed ({filter}no tracing: {error})"));
            }
        }
        Err(error) => asked.note(format!("it could not be observed: {error}")),
    }
    asked.end();
}

/// The command's first words, with the listener's descriptor.
fn hello(socket: &UnixStream) -> io::Result<(Hello, Option<OwnedFd>)> {
    let mut bytes = [0_u8; Hello::LEN];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?.bytes,
        }
    };
    let fds = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    // Twelve bytes of a socket that nobody else writes to may still come in pieces.
    if let Some(rest) = bytes.get_mut(received..).filter(|rest| !rest.is_empty()) {
        (&*socket).read_exact(rest)?;
    }
    Ok((Hello::decode(&bytes), fds))
}

/// Answers the listener until nothing is left that could ask.
fn listen(asked: &mut Asked, listener: &OwnedFd, over: &CancelToken) {
    // SAFETY: the flag is a number. Kernels without it wake the other way.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
    loop {
        let mut fds =
            [PollFd::new(listener, PollFlags::IN), PollFd::from_borrowed_fd(over.as_fd(), PollFlags::IN)];
        // Interrupted or failed: the same question again.
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let [asking, ending] = fds.map(|fd| fd.revents());
        if asking.contains(PollFlags::IN) {
            if let Err(error) = answer(asked, listener)
                && !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR))
            {
                asked.note(format!("its system calls could not be read: {error}"));
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        } else if !asking.is_empty() || !ending.is_empty() {
            return;
        }
    }
}

const SYNC_WAKE_UP: libc::c_ulong = 1;

/// One call: looked at, then let go.
fn answer(asked: &mut Asked, listener: &OwnedFd) -> io::Result<()> {
    // SAFETY: numbers only, for which zero is a value; the kernel wants it zeroed.
    let mut question: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is a local's, of the size that the request names.
    if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut question) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let call = SystemCall {
        thread: question.pid,
        number: filter::own_number(question.data.arch, question.data.nr),
        arguments: question.data.args,
    };
    asked.before(&call);
    let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
    let mut answer = libc::seccomp_notif_resp { id: question.id, val: 0, error: 0, flags };
    // SAFETY: as above.
    let sent = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    let error = io::Error::last_os_error();
    asked.after(sent == 0);
    if sent == 0 { Ok(()) } else { Err(error) }
}
