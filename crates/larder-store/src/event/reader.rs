//! Reading the event log: tolerant of anything, with bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Event;

/// The longest line that is read as an event.
const LONGEST_LINE: usize = 64 << 10;

/// The events of a log, the oldest half first. A line that is no event (torn, damaged, of a newer Larder) is skipped
/// and counted; a half that cannot be read any further ends there and is counted as one.
#[derive(Debug)]
pub struct Reader {
    halves: Vec<BufReader<File>>,
    since_ms: u64,
    skipped: u64,
    line: Vec<u8>,
}

impl Reader {
    pub(super) fn open(newer: &Path, older: &Path, since_ms: u64) -> io::Result<Self> {
        // The newer one first: if the halves change in between, one file is met twice and dropped, none is missed.
        let newer = open_if_there(newer)?;
        let older = open_if_there(older)?;
        let older = match (&newer, older) {
            (Some(newer), Some(older)) if same_file(newer, &older)? => None,
            (_, older) => older,
        };
        // Read from the back of this list.
        let halves = newer.into_iter().chain(older).map(BufReader::new).collect();
        Ok(Self { halves, since_ms, skipped: 0, line: Vec::new() })
    }

    /// How many lines were skipped so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads the next line into `self.line`: nothing at the end of the log, false if it is too long.
    fn next_line(&mut self) -> Option<bool> {
        while let Some(half) = self.halves.last_mut() {
            match read_line(half, &mut self.line) {
                Ok(Some(whole)) => return Some(whole),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, op = "events", "a half of the event log cannot be read to its end");
                    self.skipped += 1;
                }
            }
            self.halves.pop();
        }
        None
    }
}

impl Iterator for Reader {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let whole = self.next_line()?;
            if self.line.is_empty() && whole {
                continue;
            }
            match serde_json::from_slice::<Event>(&self.line) {
                Ok(event) if whole => {
                    if event.time_ms >= self.since_ms {
                        return Some(event);
                    }
                }
                _ => self.skipped += 1,
            }
        }
    }
}

/// Reads one line without its newline, keeping no more of it than may be an event. False when it was longer.
fn read_line(half: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let mut whole = true;
    let mut any = false;
    loop {
        let available = match half.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        if available.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        if line.len() + part.len() <= LONGEST_LINE {
            line.extend_from_slice(part);
        } else {
            whole = false;
        }
        let used = part.len() + usize::from(end.is_some());
        half.consume(used);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn same_file(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok(one.dev() == other.dev() && one.ino() == other.ino())
}
