//! Writing the event log: batches, and the change of the halves.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use larder_core::{Error, ErrorKind, Result};
use rustix::fs::FlockOperation;

use super::{Event, Reader};

/// The size of the log unless told otherwise.
pub const DEFAULT_LIMIT: u64 = 16 << 20;

/// The smallest limit, below which a half could not hold one event.
const SMALLEST_LIMIT: u64 = 64 << 10;

/// The longest text of an event, in bytes.
const LONGEST_TEXT: usize = 1024;

/// The event log of a store; see [`super`]. Cheap to make, and holds no file open.
#[derive(Debug, Clone)]
pub struct EventLog {
    folder: PathBuf,
    limit: u64,
}

impl EventLog {
    /// The log in `folder`, of at most `limit` bytes. Nothing is touched until something is appended.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        Self { folder: folder.into(), limit: limit.max(SMALLEST_LIMIT) }
    }

    /// Where the log is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends events. They are in the log, for every process, when this returns.
    ///
    /// # Errors
    /// When the log cannot be written. That never matters to what the events are about: a caller notes it and goes on.
    pub fn append(&self, events: &[Event]) -> Result<()> {
        let half = self.limit / 2;
        let mut batch = Batch::default();
        for event in events {
            let line = line_of(event)?;
            if !batch.bytes.is_empty() && (batch.bytes.len() + line.len() + 1) as u64 > half {
                self.write(&batch)?;
                batch = Batch::default();
            }
            batch.push(&line);
        }
        if batch.bytes.is_empty() { Ok(()) } else { self.write(&batch) }
    }

    /// The events at `since_ms` and later, the oldest first.
    ///
    /// # Errors
    /// When a half is there and cannot be opened. A log that is not there has no events.
    pub fn read(&self, since_ms: u64) -> Result<Reader> {
        Reader::open(&self.newer(), &self.older(), since_ms)
            .map_err(|error| self.failed(error, "read event log"))
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let failed = |error| self.failed(error, "append to event log");
        let mut file = self.open_newer().map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length > 0 && length + batch.bytes.len() as u64 > self.limit / 2 {
            self.change_halves(batch.bytes.len() as u64).map_err(failed)?;
            file = self.open_newer().map_err(failed)?;
        }
        file.write_all(&batch.bytes).map_err(failed)
    }

    fn open_newer(&self) -> io::Result<File> {
        let open = || OpenOptions::new().create(true).append(true).open(self.newer());
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)?;
                open()
            }
            opened => opened,
        }
    }

    /// Lets the newer half take the place of the older one, unless another process does so or has just done so.
    fn change_halves(&self, coming: u64) -> io::Result<()> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("events.lock"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        match fs::metadata(self.newer()) {
            Ok(meta) if meta.len() + coming > self.limit / 2 => fs::rename(self.newer(), self.older()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn newer(&self) -> PathBuf {
        self.folder.join("0.log")
    }

    fn older(&self) -> PathBuf {
        self.folder.join("1.log")
    }

    fn failed(&self, error: io::Error, operation: &'static str) -> Error {
        Error::from_io(error, operation).with("path", self.folder.display())
    }
}

/// Lines to be written at once: a newline before the first, and one after each.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    fn push(&mut self, line: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
    }
}

fn line_of(event: &Event) -> Result<Vec<u8>> {
    let texts = [Some(&event.namespace), Some(&event.what), event.run.as_ref()];
    let event = if texts.iter().flatten().all(|text| text.len() <= LONGEST_TEXT) {
        Cow::Borrowed(event)
    } else {
        let mut short = event.clone();
        cut(&mut short.namespace);
        cut(&mut short.what);
        short.run.iter_mut().for_each(cut);
        Cow::Owned(short)
    };
    serde_json::to_vec(&event)
        .map_err(|error| Error::new(ErrorKind::Internal, "write event").caused_by(error))
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
}
