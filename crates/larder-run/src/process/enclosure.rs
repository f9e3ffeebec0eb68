//! [`Enclosure`]: what a command sees instead of the machine, as a list of system calls that its process makes before it
//! becomes the command.
//!
//! ```text
//! unshare (mounts; users, without privilege) ─ maps ─ private mounts ─ the steps, in order ─ loopback
//! ```
//! The list is complete before the fork: the child neither allocates nor decides, and stops at the first refusal, which
//! names its step. A user namespace is made only where the mount namespace is refused without; in it the user keeps its
//! ids, and `execve` takes the privileges of the setup away again (unless it is root, as outside).
//!
//! Not promised: that a hostile command cannot get out. The kernel's process table, network (unless refused) and the
//! user's other processes are the machine's.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use libc::{c_char, c_int, c_long, c_ulong};

use super::descendants::errno;

/// One step. Paths are taken as they stand when the step is made: relative ones from the last [`Step::Enter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new empty file system in memory at a folder.
    Memory(CString),
    /// The folder becomes the current one.
    Enter(CString),
    /// A folder with exactly these permissions; one that is there already is fine.
    Folder(CString, u32),
    /// An empty file, for something to be mounted on.
    File(CString),
    /// A symbolic link.
    Link {
        /// Its text.
        target: CString,
        /// Where.
        path: CString,
    },
    /// Something is seen at a second place, with all that is mounted below it.
    Bind {
        /// What.
        from: CString,
        /// Where; there must be something of its kind.
        to: CString,
    },
    /// The system's devices (sysfs), read-only, with the network that is seen here: a folder. Needs a network of its own.
    Devices(CString),
    /// The first steps; if one of them is refused, the second ones on top of what was made of them.
    Either(Vec<Step>, Vec<Step>),
    /// A mount, and all mounts below it, can only be read from now on.
    Freeze(CString),
    /// The folder is handed to Larder ([`Enclosure::kept`]), where it stays readable when the namespaces are gone.
    Keep(CString),
    /// The folder, which must be a mount, becomes the root; the old one is out of reach.
    Root(CString),
}

impl Step {
    /// What it does, for a message: fits "cannot …".
    fn describe(&self) -> String {
        let shown = |path: &CString| path.to_string_lossy().into_owned();
        match self {
            Self::Memory(path) => format!("mount a file system in memory at `{}`", shown(path)),
            Self::Enter(path) => format!("enter `{}`", shown(path)),
            Self::Folder(path, _) => format!("make the folder `{}`", shown(path)),
            Self::File(path) => format!("make the file `{}`", shown(path)),
            Self::Link { path, .. } => format!("make the link `{}`", shown(path)),
            Self::Bind { from, to } => format!("mount `{}` at `{}`", shown(from), shown(to)),
            Self::Devices(path) => format!("mount the system's devices at `{}`", shown(path)),
            Self::Either(_, second) => second.first().map_or_else(|| "go on".to_owned(), Self::describe),
            Self::Freeze(path) => format!("make `{}` read-only", shown(path)),
            Self::Keep(path) => format!("keep a hold of `{}`", shown(path)),
            Self::Root(path) => format!("make `{}` the root", shown(path)),
        }
    }
}

/// The world of one command. Used for one start.
#[derive(Debug)]
pub struct Enclosure {
    steps: Vec<Step>,
    network: bool,
    uid_map: Vec<u8>,
    gid_map: Vec<u8>,
    ours: UnixStream,
    theirs: OwnedFd,
}

/// What could not be had of an enclosure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Namespaces.
    Namespaces,
    /// Mapping the user into its namespace.
    Users,
    /// A mount.
    Mounts,
    /// Anything else on the way.
    Other,
}

/// Where [`enter`] stopped: the numbers before the steps'.
mod at {
    pub(super) const UNSHARE: u32 = 0;
    pub(super) const USERS: u32 = 1;
    pub(super) const PRIVATE: u32 = 2;
    pub(super) const LOOPBACK: u32 = 3;
    pub(super) const STEPS: u32 = 4;
}

impl Enclosure {
    /// An enclosure of these steps. Without `network` there is a loopback device, and nothing else.
    ///
    /// # Errors
    /// When there is no free descriptor.
    pub fn new(steps: Vec<Step>, network: bool) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs: OwnedFd = theirs.into();
        let theirs =
            if theirs.as_raw_fd() > 2 { theirs } else { rustix::io::fcntl_dupfd_cloexec(&theirs, 3)? };
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let map = |id: u32| format!("{id} {id} 1\n").into_bytes();
        Ok(Self { steps, network, uid_map: map(uid), gid_map: map(gid), ours, theirs })
    }

    /// The descriptor that must survive until the steps are made.
    pub(super) fn descriptor(&self) -> c_int {
        self.theirs.as_raw_fd()
    }

    /// What [`Step::Keep`] handed over: an open folder. `None` before the start, and the second time.
    #[must_use]
    pub fn kept(&self) -> Option<OwnedFd> {
        let mut byte = 0_u8;
        let mut control = Control::new();
        let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: the message points at locals that outlive the call; what comes is a descriptor of our own.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = Control::LEN as _;
            let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
            if libc::recvmsg(self.ours.as_raw_fd(), &raw mut message, flags) != 1 {
                return None;
            }
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return None;
            }
            let fd = libc::CMSG_DATA(header).cast::<c_int>().read_unaligned();
            Some(OwnedFd::from_raw_fd(fd))
        }
    }

    /// Says what a detail of [`enter`]'s refusal means.
    pub(super) fn explain(&self, detail: u32) -> (Refused, String) {
        match detail {
            at::UNSHARE => (Refused::Namespaces, "make namespaces".to_owned()),
            at::USERS => (Refused::Users, "map the user into its namespace".to_owned()),
            at::PRIVATE => (Refused::Mounts, "make the mounts private".to_owned()),
            at::LOOPBACK => (Refused::Other, "start the loopback device".to_owned()),
            step => {
                let at = usize::try_from(step - at::STEPS).unwrap_or(usize::MAX);
                let step = self.steps.get(at);
                let refused = match step {
                    Some(
                        Step::Memory(_)
                        | Step::Bind { .. }
                        | Step::Devices(_)
                        | Step::Either(..)
                        | Step::Freeze(_)
                        | Step::Root(_),
                    ) => Refused::Mounts,
                    _ => Refused::Other,
                };
                (refused, step.map_or_else(|| "go on".to_owned(), Step::describe))
            }
        }
    }
}

/// Room for one descriptor on its way, aligned as a header wants it.
struct Control([u64; 4]);

impl Control {
    const LEN: usize = 32;

    fn new() -> Self {
        Self([0; 4])
    }
}

/// Makes the calling process see what the enclosure says. `Err`: the detail of the step that was refused; `errno` says why.
///
/// # Safety
/// Only in a forked child: system calls alone.
pub(super) unsafe fn enter(enclosure: &Enclosure) -> Result<(), u32> {
    // SAFETY: system calls on strings that the enclosure owns.
    unsafe {
        let network = if enclosure.network { 0 } else { libc::CLONE_NEWNET };
        if libc::geteuid() != 0 || libc::unshare(libc::CLONE_NEWNS | network) != 0 {
            if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | network) != 0 {
                return Err(at::UNSHARE);
            }
            // Older than the rule that it must be there: without it the group cannot be mapped, and that is said.
            write_to(c"/proc/self/setgroups".as_ptr(), b"deny");
            if !write_to(c"/proc/self/uid_map".as_ptr(), &enclosure.uid_map)
                || !write_to(c"/proc/self/gid_map".as_ptr(), &enclosure.gid_map)
            {
                return Err(at::USERS);
            }
        }
        libc::umask(0);
        if !mount(c"none".as_ptr(), c"/".as_ptr(), libc::MS_REC | libc::MS_PRIVATE) {
            return Err(at::PRIVATE);
        }
        for (step, at) in enclosure.steps.iter().zip(at::STEPS..) {
            if !make(step, enclosure.theirs.as_raw_fd()) {
                return Err(at);
            }
        }
        if !enclosure.network && !start_loopback() {
            return Err(at::LOOPBACK);
        }
        Ok(())
    }
}

unsafe fn make(step: &Step, keeper: c_int) -> bool {
    // SAFETY: as for `enter`.
    unsafe {
        match step {
            Step::Memory(path) => {
                let kind = c"tmpfs".as_ptr();
                let flags = libc::MS_NOSUID | libc::MS_NODEV;
                libc::mount(kind, path.as_ptr(), kind, flags, c"mode=0755".as_ptr().cast()) == 0
            }
            Step::Enter(path) => libc::chdir(path.as_ptr()) == 0,
            Step::Folder(path, mode) => libc::mkdir(path.as_ptr(), *mode) == 0 || errno() == libc::EEXIST,
            Step::File(path) => {
                libc::mknod(path.as_ptr(), libc::S_IFREG | 0o644, 0) == 0 || errno() == libc::EEXIST
            }
            Step::Link { target, path } => {
                libc::symlink(target.as_ptr(), path.as_ptr()) == 0 || errno() == libc::EEXIST
            }
            Step::Bind { from, to } => mount(from.as_ptr(), to.as_ptr(), libc::MS_BIND | libc::MS_REC),
            Step::Devices(path) => {
                let kind = c"sysfs".as_ptr();
                // Where the machine's is read-only, the kernel allows no other one.
                let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
                libc::mount(kind, path.as_ptr(), kind, flags, std::ptr::null()) == 0
            }
            Step::Either(first, second) => {
                first.iter().all(|step| make(step, keeper)) || second.iter().all(|step| make(step, keeper))
            }
            Step::Freeze(path) => freeze(path.as_ptr()),
            Step::Keep(path) => keep(path.as_ptr(), keeper),
            Step::Root(path) => become_root(path.as_ptr()),
        }
    }
}

unsafe fn mount(from: *const c_char, to: *const c_char, flags: c_ulong) -> bool {
    // SAFETY: as for `enter`.
    unsafe { libc::mount(from, to, std::ptr::null(), flags, std::ptr::null()) == 0 }
}

unsafe fn write_to(path: *const c_char, bytes: &[u8]) -> bool {
    // SAFETY: as for `enter`.
    unsafe {
        let fd = libc::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let reason = errno();
        libc::close(fd);
        set_errno(reason);
        usize::try_from(written) == Ok(bytes.len())
    }
}

unsafe fn freeze(path: *const c_char) -> bool {
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: as for `enter`; the structure is a local.
    unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            c_long::from(libc::AT_FDCWD),
            path,
            c_long::from(libc::AT_RECURSIVE),
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        ) == 0
    }
}

/// Opens the folder, and sends it.
unsafe fn keep(path: *const c_char, keeper: c_int) -> bool {
    // SAFETY: as for `enter`; the message points at locals.
    unsafe {
        let fd = libc::open(path, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let mut byte = b'k';
        let mut control = Control::new();
        let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<c_int>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<c_int>() as u32) as _;
        libc::CMSG_DATA(header).cast::<c_int>().write_unaligned(fd);
        let sent = libc::sendmsg(keeper, &raw const message, libc::MSG_NOSIGNAL);
        let reason = errno();
        libc::close(fd);
        set_errno(reason);
        sent == 1
    }
}

/// The new root is moved over the old one. Taking that away would cost a wait for all processors, and to be seen it would
/// have to be uncovered first; a process is not `chroot`ed then either, as far as the kernel asks.
unsafe fn become_root(path: *const c_char) -> bool {
    // SAFETY: as for `enter`.
    unsafe {
        let (here, root) = (c".".as_ptr(), c"/".as_ptr());
        libc::chdir(path) == 0
            && mount(here, root, libc::MS_MOVE)
            && libc::chroot(here) == 0
            && libc::chdir(root) == 0
    }
}

unsafe fn start_loopback() -> bool {
    // SAFETY: as for `enter`; the request is a local, its name is shorter than its field.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return false;
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let done = libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request) == 0;
        let reason = errno();
        libc::close(socket);
        set_errno(reason);
        done
    }
}

fn set_errno(value: c_int) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = value };
}
