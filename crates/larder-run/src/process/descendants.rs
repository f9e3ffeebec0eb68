//! Finds and signals the descendants of a process, for a forked child: no allocation, no lock, no panic.
//!
//! `/proc/PID/task/TID/children` is followed from the root, breadth first. Kernels built without that file get a scan
//! of all of `/proc` instead. The table is bounded: of more than [`MOST`] descendants some are not seen at once, but
//! whoever signals until nothing is left sees them in a later round, as orphans are adopted by the root.
//!
//! A signal is sent only to a process whose parent is still the one found (or, adopted meanwhile, the root), through
//! a descriptor opened before that check: a process number that was given to a stranger meanwhile is not hit.

use libc::{c_char, c_int, pid_t};

/// Most descendants seen in one round.
const MOST: usize = 4096;

/// The descendants of one round.
pub(super) struct Descendants {
    root: pid_t,
    len: usize,
    found: [(pid_t, pid_t); MOST],
}

impl Descendants {
    /// An empty table for the descendants of `root`, the calling process.
    pub(super) const fn new(root: pid_t) -> Descendants {
        Descendants { root, len: 0, found: [(0, 0); MOST] }
    }

    /// Sends `signal` to all that live now.
    pub(super) fn signal_all(&mut self, signal: c_int) {
        self.collect();
        for &(pid, parent) in self.found.iter().take(self.len).skip(1) {
            send(pid, parent, self.root, signal);
        }
    }

    fn collect(&mut self) {
        self.len = 0;
        self.push(self.root, 0);
        let Some(own) = File::open(
            Path::new()
                .text(b"/proc/")
                .number(self.root)
                .text(b"/task/")
                .number(self.root)
                .text(b"/children"),
        ) else {
            return self.scan();
        };
        drop(own);
        let mut next = 0;
        while let Some(&(pid, _)) = self.found.get(next).filter(|_| next < self.len) {
            next = next.wrapping_add(1);
            let mut tasks = Path::new();
            tasks.text(b"/proc/").number(pid).text(b"/task");
            each_number(&mut tasks, |thread| {
                let mut path = Path::new();
                path.text(b"/proc/").number(pid).text(b"/task/").number(thread).text(b"/children");
                if let Some(children) = File::open(&mut path) {
                    children.each_number(|child| self.push(child, pid));
                }
            });
        }
    }

    /// The way without `children`: all processes, again and again, until a pass finds nothing new.
    fn scan(&mut self) {
        loop {
            let before = self.len;
            let mut all = Path::new();
            all.text(b"/proc");
            each_number(&mut all, |pid| {
                let parent = parent_of(pid);
                if parent > 0 && self.holds(parent) && !self.holds(pid) {
                    self.push(pid, parent);
                }
            });
            if self.len == before {
                return;
            }
        }
    }

    fn holds(&self, pid: pid_t) -> bool {
        self.found.iter().take(self.len).any(|&(known, _)| known == pid)
    }

    fn push(&mut self, pid: pid_t, parent: pid_t) {
        if let Some(slot) = self.found.get_mut(self.len) {
            *slot = (pid, parent);
            self.len = self.len.wrapping_add(1);
        }
    }
}

fn send(pid: pid_t, parent: pid_t, root: pid_t, signal: c_int) {
    // SAFETY: plain system calls on numbers; the descriptor is closed on every way out.
    unsafe {
        let handle = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let now = parent_of(pid);
        let same = now == parent || now == root;
        if handle < 0 {
            // Before Linux 5.3; otherwise the process is gone.
            if same && errno() == libc::ENOSYS {
                libc::kill(pid, signal);
            }
            return;
        }
        if same {
            libc::syscall(libc::SYS_pidfd_send_signal, handle, signal, 0, 0);
            if signal != libc::SIGKILL {
                libc::syscall(libc::SYS_pidfd_send_signal, handle, libc::SIGCONT, 0, 0);
            }
        }
        libc::close(c_int::try_from(handle).unwrap_or(-1));
    }
}

/// The parent of `pid`, 0 when it is gone.
fn parent_of(pid: pid_t) -> pid_t {
    let mut path = Path::new();
    path.text(b"/proc/").number(pid).text(b"/stat");
    let Some(file) = File::open(&mut path) else { return 0 };
    let mut buffer = [0_u8; 512];
    let text = file.read(&mut buffer);
    // `PID (any name) STATE PARENT …`; the name may hold anything, also `)`.
    let after = text.iter().rposition(|&byte| byte == b')').map_or(text.len(), |end| end.wrapping_add(1));
    let rest = text.get(after..).unwrap_or_default();
    rest.split(|&byte| byte == b' ').filter(|field| !field.is_empty()).nth(1).map_or(0, number)
}

fn number(digits: &[u8]) -> pid_t {
    let mut value: pid_t = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return 0;
        }
        value = value.wrapping_mul(10).wrapping_add(pid_t::from(digit.wrapping_sub(b'0')));
    }
    value
}

/// The `errno` of the last failed call.
pub(super) fn errno() -> c_int {
    // SAFETY: the pointer is valid for the life of the thread.
    unsafe { *libc::__errno_location() }
}

/// A path on the stack. What does not fit is cut; the paths made here are far shorter.
struct Path {
    bytes: [u8; 64],
    len: usize,
}

impl Path {
    const fn new() -> Path {
        Path { bytes: [0; 64], len: 0 }
    }

    fn text(&mut self, text: &[u8]) -> &mut Path {
        for &byte in text {
            // The last byte stays zero.
            if self.len < 63
                && let Some(slot) = self.bytes.get_mut(self.len)
            {
                *slot = byte;
                self.len = self.len.wrapping_add(1);
            }
        }
        self
    }

    fn number(&mut self, value: pid_t) -> &mut Path {
        let mut digits = [b'0'; 10];
        let mut first = digits.len();
        let mut rest = value;
        loop {
            first = first.wrapping_sub(1);
            if let Some(slot) = digits.get_mut(first) {
                *slot = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
            }
            rest /= 10;
            if rest <= 0 || first == 0 {
                break;
            }
        }
        self.text(digits.get(first..).unwrap_or_default())
    }
}

/// A descriptor opened for reading, closed on drop.
struct File(c_int);

impl File {
    fn open(path: &mut Path) -> Option<File> {
        // SAFETY: the path is terminated by a zero byte that `text` never overwrites.
        let fd =
            unsafe { libc::open(path.bytes.as_ptr().cast::<c_char>(), libc::O_RDONLY | libc::O_CLOEXEC) };
        (fd >= 0).then_some(File(fd))
    }

    /// One read; empty at the end and on errors.
    fn read<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        // SAFETY: the pointer and the length are the buffer's.
        let count = unsafe { libc::read(self.0, buffer.as_mut_ptr().cast(), buffer.len()) };
        buffer.get(..usize::try_from(count).unwrap_or(0)).unwrap_or_default()
    }

    /// Numbers parted by spaces.
    fn each_number(&self, mut with: impl FnMut(pid_t)) {
        let mut buffer = [0_u8; 1024];
        let mut value: pid_t = 0;
        loop {
            let chunk = self.read(&mut buffer);
            for &byte in chunk {
                if byte.is_ascii_digit() {
                    value = value.wrapping_mul(10).wrapping_add(pid_t::from(byte.wrapping_sub(b'0')));
                } else if value > 0 {
                    with(value);
                    value = 0;
                }
            }
            if chunk.is_empty() {
                break;
            }
        }
        if value > 0 {
            with(value);
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: this struct owns the descriptor.
        unsafe { libc::close(self.0) };
    }
}

/// The entries of a folder whose names are numbers.
fn each_number(folder: &mut Path, mut with: impl FnMut(pid_t)) {
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    let Some(folder) = File::open(folder) else { return };
    let mut buffer = [0_u8; 2048];
    loop {
        // SAFETY: the pointer and the length are the buffer's.
        let count =
            unsafe { libc::syscall(libc::SYS_getdents64, folder.0, buffer.as_mut_ptr(), buffer.len()) };
        let mut entries = buffer.get(..usize::try_from(count).unwrap_or(0)).unwrap_or_default();
        if entries.is_empty() {
            return;
        }
        while let (Some(&low), Some(&high)) = (entries.get(LENGTH_AT), entries.get(LENGTH_AT + 1)) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let name = entries.get(NAME_AT..length).unwrap_or_default();
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            let value = number(name);
            if value > 0 {
                with(value);
            }
            entries = entries.get(length.max(1)..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::Descendants;

    #[test]
    fn both_ways_find_children_and_grandchildren() {
        let own = std::process::id().cast_signed();
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; read line; kill $!"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let wanted =
            [(child.id().cast_signed(), own), (line.trim().parse().unwrap(), child.id().cast_signed())];
        let mut table = Descendants::new(own);
        table.collect();
        assert!(wanted.iter().all(|pair| table.found.contains(pair)), "by children");
        let mut table = Descendants::new(own);
        table.push(own, 0);
        table.scan();
        assert!(wanted.iter().all(|pair| table.found.contains(pair)), "by a scan");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
