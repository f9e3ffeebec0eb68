//! The one place that writes to the terminal.
//!
//! Standard output is the report: recipes' lines, their output, the summary, and the data of commands that print data. Standard
//! error is talk: errors, warnings, hints, logs, the live view. `docs/reference/output.md` says it to users.
//!
//! Writing to a closed pipe is no error: the program goes on silently. Callers hold no lock; lines are never torn, because each
//! is written at once. While a live view is on the terminal, it is taken away for every line and drawn again below.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use larder::run::diagnostic::{Diagnostic, Severity};

use crate::live::Live;
use crate::surroundings::Terminal;

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
}

impl Printer {
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, live: Arc::default() }
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

    fn write(&self, bytes: &[u8], out: &mut dyn Write) {
        let mut write = || {
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        };
        match self.live.get() {
            Some(live) => live.aside(write),
            None => write(),
        }
    }

    /// A line of the report, or of data.
    pub(crate) fn data(&self, line: impl Display) {
        self.bytes(format!("{line}\n").as_bytes());
    }

    /// A value as JSON, in one line.
    pub(crate) fn json(&self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.data(text),
            Err(error) => self.error(&error, None),
        }
    }

    /// Bytes as they are, on standard output.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.write(bytes, &mut io::stdout().lock());
    }

    /// A line of talk.
    pub(crate) fn talk(&self, line: impl Display) {
        self.write(format!("{line}\n").as_bytes(), &mut io::stderr().lock());
    }

    /// Lines of a log.
    pub(crate) fn log(&self, lines: &[u8]) {
        self.write(lines, &mut io::stderr().lock());
    }

    fn word(&self, style: Style, word: &str) -> String {
        painted(style, word, self.terminal.colour_err)
    }

    fn hint(&self, hint: Option<&str>) -> String {
        hint.map(|hint| format!("\n{} {hint}", self.word(Style::Name, "hint:"))).unwrap_or_default()
    }

    /// An error in words.
    pub(crate) fn refuse(&self, message: impl Display, hint: Option<&str>) {
        self.talk(format_args!("{} {message}{}", self.word(Style::Bad, "error:"), self.hint(hint)));
    }

    /// An error with its causes and a hint.
    pub(crate) fn error(&self, error: &dyn std::error::Error, hint: Option<&str>) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n{} {error}", self.word(Style::Bad, "caused by:")));
            cause = error.source();
        }
        self.refuse(text, hint);
    }

    /// A warning and a hint.
    pub(crate) fn warning(&self, message: impl Display, hint: Option<&str>) {
        self.talk(format_args!("{} {message}{}", self.word(Style::Caution, "warning:"), self.hint(hint)));
    }

    /// A finding about the configuration.
    pub(crate) fn diagnostic(&self, diagnostic: &Diagnostic) {
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
