//! The one place that writes to the terminal.
//!
//! Standard output is the report: recipes' lines, their output, the summary, and the data of commands that print data. Standard
//! error is talk: errors, warnings, hints, logs, the live view. `docs/reference/output.md` says it to users.
//!
//! Writing to a closed pipe is no error: the program goes on silently. Callers hold no lock; lines are never torn, because each
//! is written at once. While a live view is on the terminal, it is taken away for every line and drawn again below.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use larder::run::diagnostic::{Diagnostic, Severity};
use larder::run::recipe::Place;
use serde::Serialize;

use crate::live::Live;
use crate::surroundings::Terminal;
use crate::units;

/// How a word stands out, where there is colour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Good,
    Bad,
    Caution,
    Name,
    Faint,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Caution => "33",
            Self::Name => "1",
            Self::Faint => "2",
        }
    }
}

fn painted(style: Style, text: &str, colour: bool) -> String {
    if colour && !text.is_empty() {
        format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
    } else {
        text.to_owned()
    }
}

/// Writes to the terminal. Its clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printer {
    terminal: Terminal,
    live: Arc<OnceLock<Live>>,
    errors_as_events: bool,
    cache_was_warned_of: Arc<AtomicBool>,
    /// A line of progress is on the terminal.
    progresses: Arc<AtomicBool>,
    /// Why standard output took no more, the first time.
    unwritten: Arc<OnceLock<io::Error>>,
}

/// Version of the events of `larder run --json`.
pub(crate) const EVENTS_VERSION: u32 = 1;

/// An error that ends the program, as an event.
#[derive(Serialize)]
struct ErrorEvent<'e> {
    version: u32,
    event: &'static str,
    message: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
}

impl Printer {
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, ..Self::default() }
    }

    /// Errors are told on standard output, too, as `--json` promises.
    pub(crate) fn with_error_events(self, errors_as_events: bool) -> Self {
        Self { errors_as_events, ..self }
    }

    /// The same terminal for another run, whose live view is its own.
    pub(crate) fn for_another_run(&self) -> Self {
        Self { live: Arc::default(), ..self.clone() }
    }

    /// Puts the live view on the terminal, if there is one; the first call decides what it shows.
    pub(crate) fn live(&self, make: impl FnOnce() -> Live) -> Option<&Live> {
        self.terminal.redraws.then(|| self.live.get_or_init(make))
    }

    /// The live view, if it was put up.
    pub(crate) fn shown(&self) -> Option<&Live> {
        self.live.get()
    }

    /// `text` in a style, for standard output.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        painted(style, text, self.terminal.colour_out)
    }

    fn write(&self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let mut written = Ok(());
        let mut write = || written = out.write_all(bytes).and_then(|()| out.flush());
        match self.live.get() {
            Some(live) => live.aside(write),
            None => write(),
        }
        written
    }

    /// Says that the report could not be written, if it could not. A reader that went away is no error.
    pub(crate) fn was_unwritten(&self) -> bool {
        let Some(error) = self.unwritten.get() else { return false };
        self.talk(format_args!("{} the output cannot be written: {error}", self.word(Style::Bad, "error:")));
        true
    }

    /// A line of the report, or of data.
    pub(crate) fn data(&self, line: impl Display) {
        self.bytes(format!("{line}\n").as_bytes());
    }

    /// A value as JSON, in one line.
    pub(crate) fn json(&self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.data(text),
            Err(error) => self.say_error(error, None),
        }
    }

    /// Bytes as they are, on standard output.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        if let Err(error) = self.write(bytes, &mut io::stdout().lock())
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            // The first is told at the end.
            let _ = self.unwritten.set(error);
        }
    }

    /// A line of talk.
    pub(crate) fn talk(&self, line: impl Display) {
        // There is nowhere else to say it.
        let _ = self.write(format!("{line}\n").as_bytes(), &mut io::stderr().lock());
    }

    /// How wide the terminal is, where lines are to fit it.
    pub(crate) fn width(&self) -> Option<usize> {
        let size = || console::Term::stdout().size_checked();
        self.terminal.redraws.then(size).flatten().map(|(_, columns)| usize::from(columns))
    }

    /// Whether a line can be drawn over.
    pub(crate) fn redraws(&self) -> bool {
        self.terminal.redraws
    }

    /// Asks whether to go on; without an answer: no. `None`: nobody is there.
    pub(crate) fn ask(&self, question: &str) -> Option<bool> {
        if !self.terminal.asks {
            return None;
        }
        self.log(format!("{question} [y/N] ").as_bytes());
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        let answer = answer.trim();
        Some(read.is_ok() && (answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")))
    }

    /// A line of progress in place of the last one, where that can be drawn over; `None` takes it away. Elsewhere a line of talk.
    pub(crate) fn progress(&self, line: Option<&str>) {
        match line {
            Some(line) if self.terminal.redraws => {
                self.progresses.store(true, Ordering::Relaxed);
                self.log(format!("\r\u{1b}[2K{line}").as_bytes());
            }
            Some(line) => self.talk(line),
            None if self.progresses.swap(false, Ordering::Relaxed) => self.log(b"\r\x1b[2K"),
            None => {}
        }
    }

    /// Lines of a log.
    pub(crate) fn log(&self, lines: &[u8]) {
        let _ = self.write(lines, &mut io::stderr().lock());
    }

    fn word(&self, style: Style, word: &str) -> String {
        painted(style, word, self.terminal.colour_err)
    }

    fn hint(&self, hint: Option<&str>) -> String {
        let hint = hint.map(units::harmless);
        hint.map(|hint| format!("\n{} {hint}", self.word(Style::Name, "hint:"))).unwrap_or_default()
    }

    fn error_event(&self, message: &str, hint: Option<&str>, place: Option<&Place>) {
        if self.errors_as_events {
            self.json(&ErrorEvent {
                version: EVENTS_VERSION,
                event: "error",
                message,
                hint,
                file: place.map(|place| place.file.to_string_lossy()),
                line: place.map(|place| place.line),
                column: place.map(|place| place.column),
            });
        }
    }

    /// An error in words.
    pub(crate) fn refuse(&self, message: impl Display, hint: Option<&str>) {
        self.error_event(&message.to_string(), hint, None);
        self.say_error(message, hint);
    }

    fn say_error(&self, message: impl Display, hint: Option<&str>) {
        let message = message.to_string();
        let message = units::harmless(&message);
        self.talk(format_args!("{} {message}{}", self.word(Style::Bad, "error:"), self.hint(hint)));
    }

    /// An error with its causes and a hint.
    pub(crate) fn error(&self, error: &dyn std::error::Error, hint: Option<&str>) {
        let line = error.to_string();
        let mut text = units::harmless(&line).into_owned();
        let mut line = line.clone();
        let mut cause = error.source();
        while let Some(error) = cause {
            let said = error.to_string();
            text.push_str(&format!("\n{} {}", self.word(Style::Bad, "caused by:"), units::harmless(&said)));
            line.push_str(&format!(": {said}"));
            cause = error.source();
        }
        self.error_event(&line, hint, None);
        self.talk(format_args!("{} {text}{}", self.word(Style::Bad, "error:"), self.hint(hint)));
    }

    /// A warning and a hint.
    pub(crate) fn warning(&self, message: impl Display, hint: Option<&str>) {
        let message = message.to_string();
        let message = units::harmless(&message);
        self.talk(format_args!("{} {message}{}", self.word(Style::Caution, "warning:"), self.hint(hint)));
    }

    /// A warning about the cache.
    pub(crate) fn cache_warning(&self, message: impl Display, hint: Option<&str>) {
        self.cache_was_warned_of.store(true, Ordering::Relaxed);
        self.warning(message, hint);
    }

    /// Whether there was a [`Self::cache_warning`].
    pub(crate) fn was_cache_warned_of(&self) -> bool {
        self.cache_was_warned_of.load(Ordering::Relaxed)
    }

    /// A finding about the configuration.
    pub(crate) fn diagnostic(&self, diagnostic: &Diagnostic) {
        if diagnostic.is_error() {
            self.error_event(&diagnostic.message, diagnostic.hint.as_deref(), diagnostic.place.as_ref());
        }
        let text = diagnostic.to_string();
        let (word, style) = match diagnostic.severity {
            Severity::Error => ("error:", Style::Bad),
            Severity::Warning => ("warning:", Style::Caution),
        };
        match text.strip_prefix(word) {
            Some(rest) => self.talk(format_args!("{}{rest}", self.word(style, word))),
            None => self.talk(text),
        }
    }
}
