//! What is told while an image is indexed: how far it is, whose tables are used, and what is wrong with others.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder::image::{Progress, Provenance};
use larder::oci::manifest::Descriptor;
use larder::oci::tree::printable;

use crate::printer::Printer;
use crate::units;

/// Time between two words of progress where nothing can be drawn over.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Who signed a table, in words.
pub(super) fn signer(provenance: &Provenance) -> String {
    match &provenance.signed_by {
        Some(key) => format!("signed with the key `{key}`"),
        None => "not signed by anybody you trust".to_owned(),
    }
}

/// Tells how far indexing is.
pub(super) struct Told {
    printer: Printer,
    total: AtomicU64,
    /// Bytes read of each layer.
    read: Mutex<Vec<u64>>,
    pub(super) known: AtomicU64,
    pub(super) made: AtomicU64,
    /// Tables that others made.
    pub(super) foreign: AtomicU64,
    unbelieved: AtomicBool,
    /// Hints that were given, each once.
    given: Mutex<HashSet<String>>,
    verbose: bool,
    last: Mutex<Instant>,
    begun: Instant,
}

impl Told {
    pub(super) fn new(printer: &Printer, verbose: bool) -> Self {
        let now = Instant::now();
        Self {
            printer: printer.clone(),
            total: AtomicU64::new(0),
            read: Mutex::default(),
            known: AtomicU64::new(0),
            made: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
            unbelieved: AtomicBool::new(false),
            given: Mutex::default(),
            verbose,
            last: Mutex::new(now),
            begun: now,
        }
    }

    /// Hears what happens.
    pub(super) fn hear(&self, progress: &Progress<'_>) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Layers(layers) => {
                let total = layers.iter().map(|layer: &Descriptor| layer.size).sum();
                self.total.store(total, Ordering::Relaxed);
                read.resize(layers.len(), 0);
            }
            Progress::Known(_) => drop(self.known.fetch_add(1, Ordering::Relaxed)),
            Progress::Foreign(layer, provenance) => self.foreign(*layer, provenance),
            Progress::NotUsed(_, why) => self.once(&why.to_string(), why.hint()),
            Progress::Differs(layer, provenance) => self.differs(*layer, provenance),
            Progress::Made(layer, toc) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                let info = toc.info();
                let line = format!(
                    "layer {:>2}  {}  {} of {}, {}, {}",
                    layer + 1,
                    &info.blob.hex()[..12],
                    units::bytes(info.blob_size),
                    units::bytes(info.size),
                    units::counted(usize::try_from(info.entries).unwrap_or(usize::MAX), "entry", "entries"),
                    units::counted(usize::try_from(info.spans).unwrap_or(usize::MAX), "span", "spans"),
                );
                self.printer.progress(None);
                self.printer.talk(line);
            }
            Progress::Dropped(layer, dropped) => {
                let one = &dropped[0];
                let more = dropped.len() - 1;
                let and = if more == 0 { String::new() } else { format!(", and {more} more") };
                let (name, entry) = (printable(&one.name), printable(&one.entry));
                let message = format!(
                    "layer {}: `{name}` of `{entry}` is left out{and}: no container gets it",
                    layer + 1
                );
                self.printer.progress(None);
                self.printer.warning(message, None);
            }
            Progress::Read(layer, bytes) => {
                read[*layer] = *bytes;
                let sum: u64 = read.iter().sum();
                drop(read);
                self.tell(sum);
            }
        }
    }

    /// Whether a table is used that nobody believes.
    pub(super) fn is_unbelieved(&self) -> bool {
        self.unbelieved.load(Ordering::Relaxed)
    }

    fn foreign(&self, layer: usize, provenance: &Provenance) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
        self.unbelieved.fetch_or(!provenance.believed, Ordering::Relaxed);
        if self.verbose {
            let from = if provenance.from_store { "kept here" } else { "from the registry" };
            self.printer.progress(None);
            self.printer.talk(format_args!("layer {:>2}  table {from}, {}", layer + 1, signer(provenance)));
        }
    }

    fn differs(&self, layer: usize, provenance: &Provenance) {
        let what = signer(provenance);
        let message = format!("layer {}: its table, {what}, is not what the layer is", layer + 1);
        self.printer.progress(None);
        self.printer.warning(
            message,
            Some("it is not used any more; if you trust the key: who signed with it made a mistake, or lost it"),
        );
    }

    /// The same for several layers is said once.
    fn once(&self, message: &str, hint: &str) {
        let is_new = self.given.lock().unwrap_or_else(PoisonError::into_inner).insert(message.to_owned());
        if is_new {
            self.printer.progress(None);
            self.printer.warning(message, Some(hint));
        }
    }

    fn tell(&self, read: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = if self.printer.redraws() { Duration::from_millis(100) } else { TOLD_EVERY };
        if last.elapsed() < pause {
            return;
        }
        *last = Instant::now();
        let total = self.total.load(Ordering::Relaxed);
        let rate = units::bytes(
            u64::try_from(u128::from(read) * 1000 / self.begun.elapsed().as_millis().max(1)).unwrap_or(0),
        );
        let line = format!("indexing: {} of {}, {rate}/s", units::bytes(read), units::bytes(total));
        self.printer.progress(Some(&line));
    }

    /// Clears the line.
    pub(super) fn end(&self) {
        self.printer.progress(None);
    }
}
