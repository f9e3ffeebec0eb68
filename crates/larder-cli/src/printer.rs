//! The one place that writes to the terminal. Data goes to standard output, talk to standard error.
//!
//! Writing to a closed pipe is no error: the program goes on silently.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// A line of data.
pub(crate) fn data(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A line of talk.
pub(crate) fn talk(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Bytes of a recipe, as they are.
pub(crate) fn raw(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// An error with its causes and a hint.
pub(crate) fn error(error: &dyn std::error::Error, hint: Option<&str>) {
    talk(format_args!("error: {error}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        talk(format_args!("caused by: {error}"));
        cause = error.source();
    }
    if let Some(hint) = hint {
        talk(format_args!("hint: {hint}"));
    }
}

/// A warning and a hint.
pub(crate) fn warning(message: impl Display, hint: Option<&str>) {
    talk(format_args!("warning: {message}"));
    if let Some(hint) = hint {
        talk(format_args!("hint: {hint}"));
    }
}

/// A time that a person reads: `8 ms`, `3.1 s`, `6 min 12 s`, `2 h 5 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() < 1000 => format!("{} ms", time.as_millis()),
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
