//! The index: what changes in a store, in one SQLite database.
//!
//! # What it holds
//! | table | what | key |
//! |---|---|---|
//! | `results` | the envelope of an action result (or any protocol's value), with its origin, times and a checksum | namespace, key |
//! | `roots` | names that keep content reachable | namespace, name |
//! | `leases`, `lease_digests` | what a running build uses, until it expires | id |
//! | `pins` | what a person keeps, with who and why | namespace, kind, key |
//! | `residency` | whole files that were verified, with the stat tuple they had then | digest |
//! | `counters` | totals that survive a process | name |
//!
//! Chunks, blobs and their bytes are not here: no SQL is on the path of a chunk.
//!
//! # Invariants
//! 1. A row of `results` or `residency` whose checksum does not fit is never returned: it is a miss, it is deleted
//!    and counted. So a flipped bit never gives the right bytes under a wrong name.
//! 2. Looking up writes nothing. `last_used` is written in batches, and only when it is more than an hour old, so a
//!    run that changes nothing leaves the database as it was.
//! 3. Opening an existing index reads one page (`application_id`, `user_version`) and checks no schema.
//! 4. `index.db` is created whole: built beside, then renamed. It is never seen half made.
//!
//! # Concurrency
//! Any number of processes and threads: SQLite in WAL mode, where readers never wait and writers wait for one another
//! up to the busy timeout. An [`Index`] is one connection behind a mutex. A process that is killed loses nothing that
//! was acknowledged; power loss may lose the last transactions (`synchronous=NORMAL`), never the database.
//!
//! # A database that is not what it should be
//! Corrupt, truncated or empty: moved to the quarantine folder, recreated, and reported in [`Opened::recovered`]. The
//! results are then gone, the content is not. Of a newer format: [`ErrorKind::Version`](larder_core::ErrorKind), left
//! alone. Of another program: [`ErrorKind::Invalid`](larder_core::ErrorKind), left alone. Corruption met later, in a
//! page that opening did not read, leaves a marker beside the database; the next open checks it whole.
//!
//! # Not promised
//! The index is a cache's: what it says about content (roots, pins, leases, residency) protects and speeds up, and is
//! never proof that the content is there. Times are seconds since 1970, given by the caller.

mod counters;
mod failure;
mod keep;
mod open;
pub(crate) mod residency;
mod results;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_core::{Error, Result};
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use keep::{Lease, LeaseId, Pin, PinKind, Root};
pub use residency::{Resident, StatTuple};
pub use results::{Condition, Cursor, Listed, NewResult, Origin, Outcome, Page, ResultRow, payload_hash};

/// The names under which the index counts by itself.
pub mod counter {
    /// Rows of `results` that failed their checksum.
    pub const CORRUPT_RESULTS: &str = "corrupt_results";
    /// Rows of `residency` that failed their checksum.
    pub const CORRUPT_RESIDENCY: &str = "corrupt_residency";
}

/// How to open an [`Index`].
#[derive(Debug, Clone)]
pub struct IndexOptions {
    /// Where the database is, usually `LARDER_HOME/index.db`. Its folder must exist.
    pub path: PathBuf,
    /// Where a corrupt database is moved. Made when it is needed; on the same file system as `path`.
    pub quarantine: PathBuf,
    /// How long a writer waits for another one before [`ErrorKind::Busy`](larder_core::ErrorKind).
    pub busy_timeout: Duration,
}

impl IndexOptions {
    /// `index.db` and `quarantine/` in the home of a store, and 5 seconds of patience.
    pub fn in_home(home: &Path) -> Self {
        Self {
            path: home.join("index.db"),
            quarantine: home.join("quarantine"),
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// An open index, and what had to be done to open it.
#[derive(Debug)]
pub struct Opened {
    /// The index.
    pub index: Index,
    /// What was found broken and put aside, if anything was.
    pub recovered: Option<Recovered>,
}

/// A database that was found broken and put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// What was wrong with it.
    pub reason: String,
    /// Where it is now.
    pub quarantined: PathBuf,
}

/// The SQLite index of a store; see the [module](self).
pub struct Index {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index, creates it when it is not there, and puts a corrupt one aside.
    ///
    /// # Errors
    /// `Version` for a newer format, `Invalid` for another program's database, and `ReadOnly`, `Permission`, `Full`,
    /// `Busy` or `Io` when the place does not let us; a caller goes on without a cache then
    /// ([`Error::is_degradable`]).
    pub fn open(options: &IndexOptions) -> Result<Opened> {
        open::open(options)
    }

    /// What SQLite finds wrong with the database when it looks at all of it; nothing if it is sound.
    pub fn check(&self) -> Result<Vec<String>> {
        self.read("check index", |transaction| {
            let mut statement = transaction.prepare("PRAGMA quick_check(20)")?;
            let told: Vec<String> =
                statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(told.into_iter().filter(|line| line != "ok").collect())
        })
    }

    /// Lets the next open check the whole database, and put it aside if it is damaged.
    pub(crate) fn suspect(&self) {
        open::mark_suspect(&self.path);
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere cannot leave a half-done transaction: dropping one rolls it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `body` in a read transaction: one consistent view, and no lock that a writer would wait for.
    fn read<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.transact(operation, TransactionBehavior::Deferred, body)
    }

    /// Runs `body` in a write transaction, which takes the write lock at once: it cannot fail half way because
    /// another process wrote in between.
    fn write<T>(
        &self,
        operation: &'static str,
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.transact(operation, TransactionBehavior::Immediate, body)
    }

    fn transact<T>(
        &self,
        operation: &'static str,
        behaviour: TransactionBehavior,
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut connection = self.lock();
        let outcome = connection.transaction_with_behavior(behaviour).and_then(|transaction| {
            let value = body(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        outcome.map_err(|error| self.failed(operation, error))
    }

    fn failed(&self, operation: &'static str, error: rusqlite::Error) -> Error {
        if failure::is_corruption(&error) {
            open::mark_suspect(&self.path);
        }
        failure::from_sqlite(error, operation, &self.path)
    }
}

/// SQLite has signed integers only; nothing here comes near the limit, and a hostile value saturates.
fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The reverse of [`to_sql`]; a negative value can only come from a damaged row.
fn from_sql(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The first 16 bytes of the BLAKE3 hash of `parts`, each with its length before it.
fn checksum(domain: &'static str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}
