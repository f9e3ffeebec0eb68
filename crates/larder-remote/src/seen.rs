//! What a tier is known to have: so that a result is offered to it once, and a run without changes asks nothing.
//!
//! One file for each tier and namespace, of records that are only appended:
//! ```text
//! key [16] | time u32 | check [4]        24 bytes
//! ```
//! `key`: BLAKE3 of the action digest's text, truncated; `time`: seconds since 1970, or 0: the tier has it no more, or 1: what
//! it has is bad, and to be replaced; `check`: BLAKE3 of what stands before it. What does not fit its check is skipped, and a
//! torn end is mended. Several processes append at once; each write is one record or a row of whole ones. The
//! memory expires after [`KEEP`]: a bucket is cleaned by others. Losing the file costs one question for each result.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use larder_store::ActionDigest;

/// How long it is remembered that a tier has a result, in seconds.
pub const KEEP: u32 = 7 * 24 * 3600;

const RECORD: usize = 24;
/// The file is written anew when it is larger.
const LARGEST: u64 = 8 << 20;

/// In place of a time: the tier lacks the result.
const GONE: u32 = 0;
/// In place of a time: the tier's result is bad.
const BAD: u32 = 1;

type Key = [u8; 16];

/// What one tier is known to have.
#[derive(Debug)]
pub struct Seen {
    path: PathBuf,
    known: Mutex<Option<HashMap<Key, u32>>>,
}

fn key(action: &ActionDigest) -> Key {
    let hash = blake3::hash(action.to_string().as_bytes());
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

fn record(key: &Key, time: u32) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(key);
    record[16..20].copy_from_slice(&time.to_le_bytes());
    let check = blake3::hash(&record[..20]);
    record[20..].copy_from_slice(&check.as_bytes()[..4]);
    record
}

fn now() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

impl Seen {
    /// The memory of the tier `identity` as `namespace` sees it, in `folder`. Read when it is first asked.
    #[must_use]
    pub fn new(folder: &Path, identity: &str, namespace: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("larder seen v1");
        hasher.update(namespace.as_bytes()).update(&[0]).update(identity.as_bytes());
        let name = &hasher.finalize().to_hex()[..32];
        Self { path: folder.join(format!("{name}.seen")), known: Mutex::new(None) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Key, u32>) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        work(known.get_or_insert_with(|| self.load()))
    }

    fn load(&self) -> HashMap<Key, u32> {
        let bytes = fs::read(&self.path).unwrap_or_default();
        let oldest = now().saturating_sub(KEEP);
        let mut known = HashMap::new();
        for found in bytes.as_chunks::<RECORD>().0 {
            let key: Key = *found.first_chunk().expect("longer than a key");
            let time = u32::from_le_bytes([found[16], found[17], found[18], found[19]]);
            if *found != record(&key, time) {
                continue;
            }
            if time >= oldest || time == BAD {
                known.insert(key, time);
            } else if time == GONE {
                known.remove(&key);
            }
        }
        // After a torn record nothing that is appended would be read.
        if bytes.len() as u64 > LARGEST || !bytes.len().is_multiple_of(RECORD) {
            self.rewrite(&known);
        }
        known
    }

    fn rewrite(&self, known: &HashMap<Key, u32>) {
        let bytes: Vec<u8> = known.iter().flat_map(|(key, time)| record(key, *time)).collect();
        let fresh = self.path.with_extension(format!("{}.new", std::process::id()));
        let written = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, &self.path));
        if let Err(error) = written {
            tracing::debug!(%error, "the memory of a tier cannot be written");
        }
    }

    /// Whether the tier is known to have the result.
    #[must_use]
    pub fn has(&self, action: &ActionDigest) -> bool {
        self.with(|known| known.get(&key(action)).is_some_and(|time| *time > BAD))
    }

    /// Whether what the tier has is known to be bad.
    #[must_use]
    pub fn is_bad(&self, action: &ActionDigest) -> bool {
        self.with(|known| known.get(&key(action)) == Some(&BAD))
    }

    /// Notes that it has the result.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn note(&self, action: &ActionDigest) -> io::Result<()> {
        self.set(action, now())
    }

    /// Notes that the tier lacks a result that it was thought to have.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn forget(&self, action: &ActionDigest) -> io::Result<()> {
        if self.with(|known| known.remove(&key(action))).is_none() {
            return Ok(());
        }
        self.append(&record(&key(action), GONE))
    }

    /// Notes that what the tier has is bad.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn distrust(&self, action: &ActionDigest) -> io::Result<()> {
        self.set(action, BAD)
    }

    fn set(&self, action: &ActionDigest, time: u32) -> io::Result<()> {
        let key = key(action);
        if self.with(|known| known.insert(key, time)) == Some(time) {
            return Ok(());
        }
        self.append(&record(&key, time))
    }

    fn append(&self, record: &[u8; RECORD]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options().append(true).create(true).open(&self.path)?.write_all(record)
    }
}
