//! [`TraceObserver`]: from system calls to a [`Trace`].
//!
//! While a caller waits, its arguments are read and what is there is looked at; what that means is noted once the call went on.
//! What a call will do is told from what is there before it, not from its result: a call that fails may be noted as one
//! that did something (and is judged by what is there in the end), never the other way round.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::Sender;

use rustix::fs::FileType;

use super::access::{AccessKind, Trace};
use super::calls::{At, Flags, Shape, Shapes};
use super::located::{LONGEST, Locator, NoPath, unread};
use super::seen::{Note, Seen};
use crate::process::{Observer, SystemCall};

const PRIVILEGED: &str =
    "it runs a program with privileges of its own (set-uid), which has none while it is observed";
const HIDDEN: &str = "a process does not let itself be looked at (a set-uid program, or the system forbids it: `kernel.yama.ptrace_scope`)";
/// `openat2`: absolute paths and links begin at the descriptor.
const RESOLVE_IN_ROOT: u64 = 0x10;
/// Paths that were looked up and need no second look.
const MOST_KNOWN: usize = 100_000;

/// What an observer has to say at the end.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What was seen.
    pub trace: Trace,
    /// Being observed may have kept the command from what it does else.
    pub hindered: bool,
}

/// What the call at hand does.
struct Pending {
    path: Vec<u8>,
    note: Note,
    /// The path is the command's own. Asked before the call goes on: afterwards what stands there may be gone.
    is_own: bool,
}

/// Makes a trace of what it sees, and sends it at the end.
pub struct TraceObserver {
    shapes: Shapes,
    locator: Locator,
    seen: Seen,
    begun: bool,
    /// Look-ups that are noted: their texts as they were found.
    known: HashSet<Vec<u8>>,
    pending: Vec<Pending>,
    /// Why the call at hand means that not all is seen.
    missed: Option<&'static str>,
    /// Programs lose privileges of their own while Larder has none.
    is_privileged: bool,
    hindered: bool,
    /// Paths are not looked at any more.
    is_blind: bool,
    done: Sender<Observation>,
}

impl TraceObserver {
    /// One that sends what it saw to `done`.
    #[must_use]
    pub fn new(done: Sender<Observation>) -> Self {
        Self {
            shapes: Shapes::new(),
            locator: Locator::new(),
            seen: Seen::default(),
            begun: false,
            known: HashSet::new(),
            pending: Vec::new(),
            missed: None,
            is_privileged: rustix::process::geteuid().is_root(),
            hindered: false,
            is_blind: false,
            done,
        }
    }

    /// The calls that it wants to see.
    #[must_use]
    pub fn calls(&self) -> Vec<u32> {
        self.shapes.numbers()
    }

    fn look_at(&mut self, call: &SystemCall) -> Result<(), NoPath> {
        let Some(number) = call.number else {
            self.missed = Some("it runs a program of another architecture (32-bit)");
            return Ok(());
        };
        match self.shapes.get(number) {
            None => Ok(()),
            Some(Shape::Escapes(reason)) => {
                self.missed = Some(reason);
                Ok(())
            }
            Some(Shape::Mounts) => {
                self.missed = Some("it changes what is mounted where");
                // Nothing is believed any more; and who looks into a file system waits for whoever serves it, perhaps this very caller.
                self.is_blind = true;
                Ok(())
            }
            Some(Shape::Filters { operation, flags }) => {
                let installs =
                    u64::from(argument(call, operation)) == u64::from(libc::SECCOMP_SET_MODE_FILTER);
                let listens = u64::from(argument(call, flags)) & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0;
                // A nested Larder traces instead.
                let copes = || {
                    std::fs::read(format!("/proc/{}/comm", call.thread))
                        .is_ok_and(|name| name == b"larder-guard\n")
                };
                if installs && listens && !copes() {
                    self.missed = Some(
                        "it wants to see system calls itself, which only one can (run it without `trace`)",
                    );
                }
                Ok(())
            }
            Some(Shape::Look { at, path, follows }) => self.look_up(call, at, path, follows),
            Some(Shape::LookFlags { at, path, flags }) => {
                let follows = argument(call, flags) & libc::AT_SYMLINK_NOFOLLOW.cast_unsigned() == 0;
                self.look_up(call, at, path, follows)
            }
            Some(Shape::Open { at, path, flags }) => self.open(call, at, path, flags),
            Some(Shape::List { fd }) => {
                let path = self.locator.open(call, fd)?;
                self.touch(path, AccessKind::Listed);
                Ok(())
            }
            Some(Shape::Execute { at, path }) => self.execute(call, at, path),
            Some(Shape::Make { at, path }) => {
                let path = self.path(call, at, path, false)?;
                self.make(path, |_| Note::Made(None));
                Ok(())
            }
            Some(Shape::Link { target, at, path }) => self.link(call, target, at, path),
            Some(Shape::Address { address, length, binds }) => {
                let path = self.locator.socket(call, address, length)?;
                let path = self.seen.through_links(path, !binds, &self.locator);
                if binds {
                    self.make(path, |_| Note::Made(None));
                } else {
                    self.look_for(path);
                }
                Ok(())
            }
            Some(Shape::Remove { at, path }) => {
                let path = self.path(call, at, path, false)?;
                match self.locator.stat(&path) {
                    Ok(stat) => self.push(path, Note::Removed(Box::new(stat))),
                    Err(_) => self.touch(path, AccessKind::Missing),
                }
                Ok(())
            }
            Some(Shape::Rename { from_at, from, to_at, to, keeps }) => {
                // `RENAME_NOREPLACE`: what is there stays, and the call fails.
                let spares = i64::from(number) == libc::SYS_renameat2
                    && argument(call, 4) & libc::RENAME_NOREPLACE != 0
                    && self.path(call, to_at, to, false).is_ok_and(|to| self.locator.exists(&to));
                if spares {
                    self.look_up(call, from_at, from, false)?;
                    return self.look_up(call, to_at, to, false);
                }
                if i64::from(number) == libc::SYS_renameat2
                    && argument(call, 4) & libc::RENAME_EXCHANGE != 0
                    && let Ok(to) = self.path(call, to_at, to, false)
                {
                    // What it is goes on, under the other name.
                    self.look_for(to);
                }
                self.rename(call, (from_at, from), (to_at, to), keeps)
            }
            Some(Shape::Change { at, path }) => {
                let found = match self.path(call, at, path, true) {
                    // The descriptor's own times, or mode.
                    Err(NoPath::Open) => self.locator.open(call, at.unwrap_or(0))?,
                    found => found?,
                };
                match self.locator.stat(&found) {
                    Ok(stat) => self.push(found, Note::Changed(Box::new(stat))),
                    Err(_) => self.touch(found, AccessKind::Missing),
                }
                Ok(())
            }
        }
    }

    /// The path, gone through links that the command made.
    fn path(&mut self, call: &SystemCall, at: At, path: usize, follows: bool) -> Result<Vec<u8>, NoPath> {
        let path = self.locator.path(call, at, path)?;
        Ok(self.seen.through_links(path, follows, &self.locator))
    }

    /// Notes what changes something.
    fn push(&mut self, path: Vec<u8>, note: Note) {
        let is_own = self.seen.is_made(&path, &self.locator);
        self.pending.push(Pending { path, note, is_own });
    }

    /// Notes something that changes nothing, unless it is the command's own or noted already.
    fn touch(&mut self, path: Vec<u8>, kind: AccessKind) {
        if !self.seen.has(&path, kind) && !self.seen.is_made(&path, &self.locator) {
            self.pending.push(Pending { path, note: Note::Touched(kind), is_own: false });
        }
    }

    fn look_for(&mut self, path: Vec<u8>) {
        let kind = if self.locator.exists(&path) { AccessKind::Read } else { AccessKind::Missing };
        self.touch(path, kind);
    }

    fn look_up(&mut self, call: &SystemCall, at: At, path: usize, follows: bool) -> Result<(), NoPath> {
        // Programs look the same absolute paths up again and again.
        let text = self.locator.text(call, path)?;
        let is_absolute =
            text.first() == Some(&b'/') && !text.starts_with(b"/proc/") && !text.starts_with(b"/dev/fd/");
        if is_absolute && !self.seen.has_links() && self.known.contains(text) {
            return Ok(());
        }
        let known = is_absolute.then(|| text.to_vec());
        let path = self.locator.path_of_text(call, at)?;
        let path = self.seen.through_links(path, follows, &self.locator);
        self.look_for(path);
        if let Some(known) = known.filter(|_| self.known.len() < MOST_KNOWN) {
            self.known.insert(known);
        }
        Ok(())
    }

    fn open(&mut self, call: &SystemCall, at: At, path: usize, flags: Flags) -> Result<(), NoPath> {
        let flags = match flags {
            Flags::Argument(number) => argument(call, number).cast_signed(),
            Flags::Create => libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC,
            Flags::Memory(number) => {
                let address = call.arguments.get(number).copied().unwrap_or(0);
                let word = call.word(address).map_err(|error| unread(&error))?;
                // The third word of `struct open_how`: what is beneath which root the path begins at.
                let resolve = call.word(address.saturating_add(16)).unwrap_or(RESOLVE_IN_ROOT);
                if resolve & RESOLVE_IN_ROOT != 0 {
                    self.missed = Some("it opens files below a root of its own (`RESOLVE_IN_ROOT`)");
                    return Ok(());
                }
                u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0).cast_signed()
            }
        };
        let has = |flag: libc::c_int| flags & flag == flag;
        if has(libc::O_TMPFILE) {
            return Ok(());
        }
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || has(libc::O_TRUNC);
        if has(libc::O_PATH) || (!writes && !has(libc::O_CREAT)) {
            return self.look_up(call, at, path, !has(libc::O_NOFOLLOW));
        }
        let exclusive = has(libc::O_CREAT | libc::O_EXCL);
        let path = self.path(call, at, path, !exclusive)?;
        match self.locator.stat(&path) {
            Ok(_) if exclusive || !writes => self.touch(path, AccessKind::Read),
            // A device, a pipe: nothing of it lasts.
            Ok(stat) if is_special(&stat) => {}
            Ok(stat) if has(libc::O_TRUNC) => self.push(path, Note::Made(Some(Box::new(stat)))),
            Ok(stat) => {
                // What is there stays, beside what is written.
                self.touch(path.clone(), AccessKind::Read);
                self.push(path, Note::Changed(Box::new(stat)));
            }
            Err(_) if has(libc::O_CREAT) => self.make(path, |_| Note::Made(None)),
            Err(_) => self.touch(path, AccessKind::Missing),
        }
        Ok(())
    }

    /// Something is made where nothing is; else it was only looked for.
    fn make(&mut self, path: Vec<u8>, note: impl FnOnce(&mut Self) -> Note) {
        if self.locator.exists(&path) {
            return self.touch(path, AccessKind::Read);
        }
        if !self.locator.exists(parent(&path)) {
            return self.touch(path, AccessKind::Missing);
        }
        let note = note(self);
        self.push(path, note);
    }

    fn link(&mut self, call: &SystemCall, target: usize, at: At, path: usize) -> Result<(), NoPath> {
        let path = self.path(call, at, path, false)?;
        let target = self.locator.text(call, target)?.to_vec();
        let target = self.leads(&target, &path);
        self.known.clear();
        self.make(path, |_| Note::Linked(target));
        Ok(())
    }

    /// Where a link of this text leads when it stands at `path`.
    fn leads(&self, text: &[u8], path: &[u8]) -> Vec<u8> {
        let mut full = Vec::new();
        if text.first() != Some(&b'/') {
            full.extend_from_slice(parent(path));
            full.push(b'/');
        }
        full.extend_from_slice(text);
        self.locator.clean(&full).unwrap_or(full)
    }

    fn rename(
        &mut self,
        call: &SystemCall,
        (from_at, from): (At, usize),
        (to_at, to): (At, usize),
        keeps: bool,
    ) -> Result<(), NoPath> {
        let from = match self.path(call, from_at, from, false) {
            // A file without a name gets one.
            Err(NoPath::Open) => None,
            Ok(_) if keeps && self.locator.is_descriptor() => None,
            found => Some(found?),
        };
        let to = self.path(call, to_at, to, false)?;
        let (mut source, mut link) = (None, None);
        if let Some(from) = from {
            let Ok(stat) = self.locator.stat(&from) else {
                self.touch(from, AccessKind::Missing);
                return Ok(());
            };
            source = self.seen.is_made(&from, &self.locator).then(|| from.clone());
            if FileType::from_raw_mode(stat.st_mode).is_symlink() {
                link = self.locator.target(&from).map(|text| self.leads(&text, &to));
            }
            self.touch(from.clone(), AccessKind::Read);
            if !keeps {
                self.push(from, Note::Removed(Box::new(stat)));
            }
        }
        self.known.clear();
        match self.locator.stat(&to) {
            Ok(_) if keeps => self.touch(to.clone(), AccessKind::Read),
            Ok(stat) => self.push(to.clone(), Note::Moved { over: Some(Box::new(stat)), link }),
            Err(_) if self.locator.exists(parent(&to)) => {
                self.push(to.clone(), Note::Moved { over: None, link });
            }
            Err(_) => {
                self.pending.clear();
                self.touch(to, AccessKind::Missing);
                return Ok(());
            }
        }
        // Links of the command's own lead from their new names.
        if let Some(source) = source {
            self.seen.move_links(&source, &to);
        }
        Ok(())
    }

    fn execute(&mut self, call: &SystemCall, at: At, path: usize) -> Result<(), NoPath> {
        let found = match self.path(call, at, path, true) {
            Err(NoPath::Open) => self.locator.open(call, at.unwrap_or(0))?,
            found => found?,
        };
        let mut program = found;
        // A script's interpreter may be a script, as the kernel has it.
        for _ in 0..4 {
            if !self.locator.exists(&program) {
                self.touch(program, AccessKind::Missing);
                return Ok(());
            }
            if self.seen.has(&program, AccessKind::Executed) {
                return Ok(());
            }
            if !self.is_privileged && self.gives_privileges(&program) {
                self.missed = Some(PRIVILEGED);
                self.hindered = true;
            }
            let next = interpreter(&program).map(|next| match next.first() {
                Some(b'/') => self.locator.clean(&next),
                // Relative to the working directory: rare, and looked up there.
                _ => self
                    .locator
                    .working(call)
                    .and_then(|cwd| self.locator.clean(&[&cwd, &b"/"[..], &next].concat())),
            });
            self.touch(program, AccessKind::Executed);
            match next {
                Some(next) => program = self.seen.through_links(next?, true, &self.locator),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

impl TraceObserver {
    /// The program runs as somebody else, or with capabilities.
    fn gives_privileges(&self, program: &[u8]) -> bool {
        let special = libc::S_ISUID | libc::S_ISGID;
        rustix::fs::stat(program).is_ok_and(|stat| stat.st_mode & special != 0)
            || rustix::fs::getxattr(program, c"security.capability", &mut [0_u8; 64])
                .is_ok_and(|size| size > 0)
    }
}

impl Observer for TraceObserver {
    fn before(&mut self, call: &SystemCall) {
        self.pending.clear();
        self.missed = None;
        if self.is_blind {
            return;
        }
        if !self.begun {
            self.begun = true;
            self.missed = self.locator.begin(call.thread).err();
        }
        match self.look_at(call) {
            Err(NoPath::Hidden) => self.missed = Some(HIDDEN),
            Ok(()) | Err(NoPath::Nothing | NoPath::Open) => {}
        }
    }

    fn after(&mut self, went_on: bool) {
        if !went_on {
            self.pending.clear();
            // Looked up by a process that is gone: perhaps not by it.
            self.known.clear();
            return;
        }
        if let Some(reason) = self.missed.take() {
            self.seen.miss(reason);
        }
        for Pending { path, note, is_own } in self.pending.drain(..) {
            self.seen.note(path, note, is_own);
        }
    }

    fn ended(self: Box<Self>, trouble: Option<String>) {
        let trace = self.seen.trace(&self.locator, trouble);
        // Nobody waits for it any more: then it is not wanted.
        let _ = self.done.send(Observation { trace, hindered: self.hindered });
    }
}

fn argument(call: &SystemCall, number: usize) -> u32 {
    let value = call.arguments.get(number).copied().unwrap_or(0);
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

fn parent(path: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', path) {
        None | Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

fn is_special(stat: &rustix::fs::Stat) -> bool {
    !matches!(
        FileType::from_raw_mode(stat.st_mode),
        FileType::RegularFile | FileType::Directory | FileType::Symlink
    )
}

/// What the first line of a script names; or the loader that a program names.
fn interpreter(program: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let path = std::ffi::OsStr::from_bytes(program);
    // Opening a pipe or a device would wait.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(LONGEST as u64).read_to_end(&mut bytes).ok()?;
    if let Some(line) = bytes.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next()?;
        let word = line.trim_ascii_start().split(|byte| byte.is_ascii_whitespace()).next()?;
        return (!word.is_empty()).then(|| word.to_vec());
    }
    loader(&bytes)
}

/// `PT_INTERP` of a 64-bit program for this machine, if it lies in the part that was read.
fn loader(bytes: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize, size: usize| -> Option<usize> {
        let part = bytes.get(at..at.checked_add(size)?)?;
        let mut word = [0; 8];
        word.get_mut(..size)?.copy_from_slice(part);
        usize::try_from(u64::from_le_bytes(word)).ok()
    };
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for at in (0..count).map_while(|index| table.checked_add(index.checked_mul(size)?)) {
        if number(at, 4)? == 3 {
            let (from, length) = (number(at.checked_add(8)?, 8)?, number(at.checked_add(32)?, 8)?);
            let text = bytes.get(from..from.checked_add(length)?)?;
            return text.split(|&byte| byte == 0).next().map(<[u8]>::to_vec).filter(|text| !text.is_empty());
        }
    }
    None
}
