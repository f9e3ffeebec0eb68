//! The event log: what the store did, with bytes and time, for statistics, explanations and dashboards.
//!
//! # Layout
//! A folder with two halves, `0.log` (being written) and `1.log` (the older half). Each line is one [`Event`] in JSON
//! (`docs/formats/events.md`). When the newer half is full it takes the place of the older one, so that the log
//! always holds between half and all of its size.
//!
//! # Concurrency
//! Any number of processes append: a batch is one `write` to a file opened with `O_APPEND`. Nobody waits for anybody:
//! the halves are changed by whoever gets the `flock` on `events.lock` at once, and the others go on writing. A batch
//! begins with a newline, so that a line which a full disk or a kill tore never spoils the next one.
//!
//! # Bounds
//! The two halves together take at most the limit, save for the batches that other processes write in the moment of
//! a change. Texts of an event are cut at 1 KiB, a reader takes lines of at most 64 KiB.
//!
//! # Not promised
//! That an event is there: the log is bounded, and nothing is synchronised to disk. Reading while others write sees
//! what was there when it began, more or less.

mod log;
mod reader;

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use log::{DEFAULT_LIMIT, EventLog};
pub use reader::Reader;

/// Something that the store did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    #[serde(rename = "t")]
    pub time_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
    /// What kind of content it happened to.
    pub content: Content,
    /// The namespace.
    #[serde(rename = "ns")]
    pub namespace: String,
    /// A recipe's label, or a digest.
    pub what: String,
    /// The bytes that were moved, measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long it took, measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u64>,
    /// How long the original took that need not be done again, as it was measured when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_millis: Option<u64>,
    /// The run that it was part of, so that the events of one run can be told together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Event {
    /// An event at `time_ms`, about which nothing was measured yet.
    pub fn new(time_ms: u64, kind: Kind, content: Content, namespace: &str, what: impl Into<String>) -> Self {
        Self {
            time_ms,
            kind,
            content,
            namespace: namespace.to_owned(),
            what: what.into(),
            bytes: None,
            millis: None,
            original_millis: None,
            run: None,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Something was asked for. Each is followed by a hit or a miss.
    LookUp,
    /// It was found.
    Hit {
        /// The tier that had it.
        tier: String,
    },
    /// It was not found, or not usable.
    Miss {
        /// Why.
        reason: MissReason,
    },
    /// Something was written.
    Write {
        /// The tier that took it.
        tier: String,
    },
    /// Something was deleted to make room.
    Evict {
        /// Where from.
        tier: String,
    },
    /// Something was found damaged and was put aside.
    Corrupt {
        /// Where.
        tier: String,
    },
    /// A tier failed or was too slow, and was passed over.
    Skipped {
        /// Which.
        tier: String,
    },
}

/// Why a look-up found nothing to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissReason {
    /// Nothing is recorded.
    Absent,
    /// A result is recorded, and one of its blobs is gone.
    Incomplete,
    /// It is damaged.
    Corrupt,
    /// Its signature is missing, wrong or not trusted.
    Untrusted,
    /// No tier that may have it could be reached.
    Unavailable,
    /// The caller asked not to look.
    Disabled,
    /// A reason of a newer Larder.
    #[serde(other)]
    Other,
}

/// The kinds of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// An action result.
    Result,
    /// A blob.
    Blob,
    /// A chunk.
    Chunk,
    /// Content of a newer Larder.
    #[serde(other)]
    Other,
}

/// The time by the system's clock as an event tells it.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
