//! What the libraries log, through the printer: warnings always, the rest with `--verbose`.
//!
//! A warning looks like every other, its fields in brackets behind it. One place of the program may find the same trouble a
//! thousand times: of each place only the first is shown. A damaged store may be met in many places: of all of them only the
//! first is shown, and none if the program has said already what is wrong with it. With `--verbose` there is no such limit.

use std::collections::HashSet;
use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Mutex, PoisonError};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::printer::Printer;
use crate::units::printable;

/// Libraries that log every frame.
const WIRE: &[&str] = &["h2", "hyper", "hyper_util", "rustls", "tonic", "tower"];

/// Begins to show logs on standard error.
pub(crate) fn start(verbose: u8, printer: &Printer) {
    let level = match verbose {
        0 => {
            let warnings = Warnings { printer: printer.clone(), shown: Mutex::default() };
            // Set once, at the start of the program.
            let _ = tracing_subscriber::registry().with(warnings.with_filter(LevelFilter::WARN)).try_init();
            return;
        }
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let printer = printer.clone();
    let lines = move || Lines(printer.clone());
    let lines = tracing_subscriber::fmt::layer().with_writer(lines).without_time();
    let _ = tracing_subscriber::registry().with(lines.with_filter(shown(level))).try_init();
}

/// What is shown up to `level`: of single frames on the wire only with the last.
fn shown(level: Level) -> Targets {
    let all = Targets::new().with_default(level);
    match level {
        Level::TRACE => all,
        _ => WIRE.iter().fold(all, |all, name| all.with_target(*name, LevelFilter::WARN)),
    }
}

/// Whole lines of a log.
struct Lines(Printer);

impl io::Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.log(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows the first warning of each place.
struct Warnings {
    printer: Printer,
    shown: Mutex<HashSet<Identifier>>,
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let is_of_the_store = event.metadata().target().starts_with("larder_store");
        if is_of_the_store && self.printer.was_cache_warned_of() {
            return;
        }
        let place = event.metadata().callsite();
        if !self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(place) {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let fields = if text.fields.is_empty() { String::new() } else { format!(" ({})", text.fields) };
        let line = format!("{}{}", printable(&text.message), printable(&fields));
        if is_of_the_store {
            let hint = "`larder cache verify` looks at the whole cache; `--verbose` shows all that is found";
            self.printer.cache_warning(line, Some(hint));
        } else {
            self.printer.warning(line, None);
        }
    }
}

/// An event in words.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let comma = if self.fields.is_empty() { "" } else { ", " };
            // Writing to a string never fails.
            let _ = write!(self.fields, "{comma}{} `{value}`", field.name());
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format!("{value:?}"));
    }
}
