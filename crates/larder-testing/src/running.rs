//! [`Running`]: a program that a test started and that goes on, and waiting for what it does.
//!
//! What it says is read as it comes, so that no full pipe holds it up. It is killed when the value is dropped. No wait is for ever: after [`LIMIT`] it is a panic
//! with what was waited for, and what the program said.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::project::Output;

/// The longest wait; machines are slow at times.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const BEAT: Duration = Duration::from_millis(10);
/// So many lines are shown when a wait was in vain.
const LAST_WORDS: usize = 20;

/// See the module's header.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: Reader,
    err: Reader,
}

/// Reads one stream to its end.
#[derive(Debug)]
struct Reader {
    text: Arc<Mutex<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn new(stream: impl Read + Send + 'static, mut heard: impl FnMut(&str) + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line);
                heard(text.trim_end_matches('\n'));
                lock(&told).push_str(&text);
                line.clear();
            }
        });
        Self { text, thread: Some(thread) }
    }

    fn said(&self) -> String {
        lock(&self.text).clone()
    }

    /// What was said in all. Who listened and panicked does so here.
    fn end(&mut self) -> String {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        self.said()
    }
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// Starts it.
    #[must_use]
    pub fn start(command: Command) -> Self {
        Self::start_and_hear(command, |_| ())
    }

    /// Starts it; `heard` is given each line of its standard output, on another thread.
    #[must_use]
    pub fn start_and_hear(mut command: Command, heard: impl FnMut(&str) + Send + 'static) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        Self { child, out: Reader::new(out, heard), err: Reader::new(err, |_| ()) }
    }

    /// Number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard output so far, in whole lines.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.out.said()
    }

    /// What it said on standard error so far, in whole lines.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.err.said()
    }

    /// Sends signals (`INT`, `TERM`), one right after the other: all from one shell.
    #[track_caller]
    pub fn signal(&self, signals: &[&str]) {
        let send: Vec<String> =
            signals.iter().map(|signal| format!("kill -{signal} {}", self.id())).collect();
        let sent = Command::new("sh").args(["-e", "-c", &send.join("; ")]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signals are sent");
    }

    /// Whether it goes on.
    #[must_use]
    pub fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("it is a child of ours").is_none()
    }

    fn last_words(&self) -> String {
        let end = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
        };
        format!("the last that it said:\n{}\nand as talk:\n{}", end(self.stdout()), end(self.stderr()))
    }

    /// Waits until `holds`.
    #[track_caller]
    pub fn wait(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < LIMIT, "{what}; {}", self.last_words());
            std::thread::sleep(BEAT);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> Output {
        let begun = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("it is a child of ours") {
                break status;
            }
            assert!(begun.elapsed() < LIMIT, "it ends; {}", self.last_words());
            std::thread::sleep(BEAT);
        };
        Output { status, stdout: self.out.end(), stderr: self.err.end() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `holds`.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(BEAT);
    }
}

/// Whether there is a process of this number.
#[must_use]
pub fn is_alive(process: &str) -> bool {
    let process = process.trim();
    !process.is_empty() && Path::new("/proc").join(process).exists()
}

/// The number of the living process that wrote it to a file, in a line; waits for it.
#[must_use]
#[track_caller]
pub fn process_of(file: &Path) -> String {
    let mut text = String::new();
    wait_until(&format!("a process writes its number to `{}`", file.display()), || {
        text = std::fs::read_to_string(file).unwrap_or_default();
        text.ends_with('\n') && is_alive(&text)
    });
    text.trim().to_owned()
}
