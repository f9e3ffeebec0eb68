//! From a call's arguments to an absolute, clean path: [`Locator`].
//!
//! A relative path starts from the caller's own working directory or descriptor, as `/proc` shows them while the caller
//! waits. `..` after a symbolic link goes to where the link leads. Existence is asked beneath the caller's root, which is
//! another one than Larder's in a namespace of mounts that was there from the beginning.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::calls::At;
use crate::process::SystemCall;

/// Longer paths are refused by the kernel.
pub(super) const LONGEST: usize = 4096;

/// Why there is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPath {
    /// The call will fail, or it names what is no path (a pipe, a memory file).
    Nothing,
    /// The call names an open descriptor and no path.
    Open,
    /// The caller cannot be read.
    Hidden,
}

/// Turns arguments into paths.
pub(super) struct Locator {
    root: Option<OwnedFd>,
    text: Box<[u8; LONGEST]>,
    /// How much of it was read last.
    length: usize,
}

impl Locator {
    pub(super) fn new() -> Self {
        Self { root: None, text: Box::new([0; LONGEST]), length: 0 }
    }

    /// Finds the root of the command's first process. `Err`: why paths would not be what they seem.
    pub(super) fn begin(&mut self, thread: u32) -> Result<(), &'static str> {
        let own = |link: &str| rustix::fs::readlink(format!("/proc/self/{link}"), Vec::new());
        let theirs = |link: &str| rustix::fs::readlink(format!("/proc/{thread}/{link}"), Vec::new());
        let same = |link: &str| matches!((own(link), theirs(link)), (Ok(own), Ok(theirs)) if own == theirs);
        if same("ns/mnt") && same("root") {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(format!("/proc/{thread}/root"), flags, Mode::empty()) {
            Ok(root) => {
                self.root = Some(root);
                Ok(())
            }
            Err(_) => Err("its root folder cannot be seen"),
        }
    }

    /// Reads the text that an argument points to; it is kept for [`Self::path_of_text`].
    pub(super) fn text(&mut self, call: &SystemCall, argument: usize) -> Result<&[u8], NoPath> {
        let address = call.arguments.get(argument).copied().unwrap_or(0);
        self.length = 0;
        if address == 0 {
            return Err(NoPath::Open);
        }
        let text = call.text(address, &mut *self.text).map_err(|error| unread(&error))?;
        self.length = text.len();
        Ok(text)
    }

    /// The path that arguments name.
    pub(super) fn path(&mut self, call: &SystemCall, at: At, path: usize) -> Result<Vec<u8>, NoPath> {
        self.text(call, path)?;
        self.path_of_text(call, at)
    }

    /// The path in the address of a socket; [`NoPath::Nothing`]: it is of another family, abstract, or unnamed.
    pub(super) fn socket(
        &mut self,
        call: &SystemCall,
        address: usize,
        length: usize,
    ) -> Result<Vec<u8>, NoPath> {
        const FAMILY: usize = size_of::<libc::sa_family_t>();
        let argument = |number: usize| call.arguments.get(number).copied().unwrap_or(0);
        // Only the lower half is looked at by the kernel.
        let length = usize::try_from(argument(length) & u64::from(u32::MAX)).unwrap_or(0);
        let length = length.min(size_of::<libc::sockaddr_un>());
        self.length = 0;
        let bytes =
            call.bytes(argument(address), &mut self.text[..length]).map_err(|error| unread(&error))?;
        let is_local = bytes
            .first_chunk()
            .is_some_and(|family| u16::from_ne_bytes(*family) == u16::try_from(libc::AF_UNIX).unwrap_or(0));
        let path = bytes.get(FAMILY..).filter(|_| is_local).unwrap_or_default();
        let end = memchr::memchr(0, path).unwrap_or(path.len());
        self.text.copy_within(FAMILY..FAMILY + end, 0);
        self.length = end;
        self.path_of_text(call, None)
    }

    /// The path that the text means that was read last.
    pub(super) fn path_of_text(&self, call: &SystemCall, at: At) -> Result<Vec<u8>, NoPath> {
        let text = &self.text[..self.length];
        match (text.first(), at) {
            (None, Some(_)) => Err(NoPath::Open),
            (None, None) => Err(NoPath::Nothing),
            (Some(b'/'), _) => match through_proc(call.thread, text) {
                Some(plain) => self.clean(&plain),
                None => self.clean(text),
            },
            (Some(_), at) => {
                let mut full = folder(call.thread, at.and_then(|at| descriptor(call, at)))?;
                full.push(b'/');
                full.extend_from_slice(text);
                match through_proc(call.thread, &full) {
                    Some(plain) => self.clean(&plain),
                    None => self.clean(&full),
                }
            }
        }
    }

    /// The path of an open descriptor.
    pub(super) fn open(&self, call: &SystemCall, argument: usize) -> Result<Vec<u8>, NoPath> {
        folder(call.thread, descriptor(call, argument))
    }

    /// The caller's working directory.
    pub(super) fn working(&self, call: &SystemCall) -> Result<Vec<u8>, NoPath> {
        folder(call.thread, None)
    }

    /// Without `.`, `..` and doubled slashes.
    pub(super) fn clean(&self, path: &[u8]) -> Result<Vec<u8>, NoPath> {
        let mut out: Vec<u8> = Vec::with_capacity(path.len());
        for part in path.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    if self.is_link(&out) {
                        let real = std::fs::canonicalize(OsStr::from_bytes(&out));
                        out = real.map_err(|_| NoPath::Nothing)?.into_os_string().into_vec();
                    }
                    out.truncate(memchr::memrchr(b'/', &out).unwrap_or(0));
                }
                name => {
                    out.push(b'/');
                    out.extend_from_slice(name);
                }
            }
        }
        if out.is_empty() {
            out.push(b'/');
        }
        Ok(out)
    }

    /// Whether a symbolic link stands there.
    pub(super) fn is_link(&self, path: &[u8]) -> bool {
        !path.is_empty()
            && self
                .stat(path)
                .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink())
    }

    /// What is at a path, links not followed.
    pub(super) fn stat(&self, path: &[u8]) -> Result<Stat, Errno> {
        match &self.root {
            None => rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW),
            Some(root) => {
                let below = path.strip_prefix(b"/").filter(|below| !below.is_empty()).unwrap_or(b".");
                rustix::fs::statat(root, below, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    /// The text of a symbolic link.
    pub(super) fn target(&self, path: &[u8]) -> Option<Vec<u8>> {
        let found = match &self.root {
            None => rustix::fs::readlink(path, Vec::new()),
            Some(root) => rustix::fs::readlinkat(root, path.strip_prefix(b"/")?, Vec::new()),
        };
        found.ok().map(std::ffi::CString::into_bytes)
    }

    /// Whether the text that was read last names an open descriptor (`/proc/self/fd/3`).
    pub(super) fn is_descriptor(&self) -> bool {
        let text = &self.text[..self.length];
        let number = match text.strip_prefix(b"/dev/fd/") {
            Some(number) => number,
            None if text.starts_with(b"/proc/") => {
                let Some(at) = memchr::memmem::rfind(text, b"/fd/") else { return false };
                &text[at + 4..]
            }
            None => return false,
        };
        !number.is_empty() && number.iter().all(u8::is_ascii_digit)
    }

    /// Whether something is there. What cannot be told counts as there.
    pub(super) fn exists(&self, path: &[u8]) -> bool {
        !matches!(self.stat(path), Err(Errno::NOENT | Errno::NOTDIR))
    }
}

/// What it means that a caller's memory was not read.
pub(super) fn unread(error: &std::io::Error) -> NoPath {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => NoPath::Hidden,
        // A bad address, or no end: the call fails, too.
        _ => NoPath::Nothing,
    }
}

/// A descriptor's number; `None`: the working directory.
fn descriptor(call: &SystemCall, argument: usize) -> Option<u32> {
    // Only the lower half is looked at by the kernel; a negative number is `AT_FDCWD`, or wrong.
    let value = call.arguments.get(argument).copied().unwrap_or(0) & u64::from(u32::MAX);
    u32::try_from(value).ok().filter(|&fd| !fd.cast_signed().is_negative())
}

/// Where a descriptor, or the working directory, is.
fn folder(thread: u32, fd: Option<u32>) -> Result<Vec<u8>, NoPath> {
    let link = match fd {
        Some(fd) => format!("/proc/{thread}/fd/{fd}"),
        None => format!("/proc/{thread}/cwd"),
    };
    match rustix::fs::readlink(link.as_str(), Vec::new()) {
        Ok(path) if path.to_bytes().first() == Some(&b'/') => Ok(path.into_bytes()),
        Err(Errno::ACCESS | Errno::PERM) => Err(NoPath::Hidden),
        _ => Err(NoPath::Nothing),
    }
}

/// `/proc/self/cwd/x` and its like are other names of other paths; `None`: it is none of these.
fn through_proc(thread: u32, text: &[u8]) -> Option<Vec<u8>> {
    let through_dev = text.strip_prefix(b"/dev/fd/").map(|rest| [&b"self/fd/"[..], rest].concat());
    let rest = match &through_dev {
        Some(rest) => rest.as_slice(),
        None => text.strip_prefix(b"/proc/")?,
    };
    let mut parts = rest.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
    let who = parts.next()?;
    let process = match who {
        b"self" | b"thread-self" => thread,
        number => std::str::from_utf8(number).ok()?.parse().ok()?,
    };
    let mut kind = parts.next()?;
    if kind == b"task" {
        parts.next()?;
        kind = parts.next()?;
    }
    let link = match kind {
        b"cwd" => format!("/proc/{process}/cwd"),
        b"root" => format!("/proc/{process}/root"),
        b"fd" => format!("/proc/{process}/fd/{}", std::str::from_utf8(parts.next()?).ok()?),
        _ => return None,
    };
    let mut path = rustix::fs::readlink(link.as_str(), Vec::new()).ok()?.into_bytes();
    if path.first() != Some(&b'/') {
        return None;
    }
    for part in parts {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    Some(path)
}
