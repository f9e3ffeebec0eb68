//! Opening the index: the fast path, creation, and putting a broken database aside.
//!
//! The fast path takes no lock of ours. Everything that changes which file is `index.db` happens under an exclusive
//! `flock` on `index.db.lock`, and looks again after the lock was got: of two processes that find the same damage,
//! one repairs and the other finds it repaired.
//!
//! A write-ahead log belongs to one database file. So the log is moved *before* the database when that is put aside,
//! and a log without its database is removed *before* a new database takes the name; SQLite would otherwise replay
//! the old log into the new file. A process that still has the moved database open goes on with the moved files:
//! SQLite notices that its database was moved and leaves the new log alone when it closes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use larder_core::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, FlockOperation};

use super::{Index, IndexOptions, Opened, Recovered, failure, schema};

const OPERATION: &str = "open index";

/// What was found where the index should be.
enum Found {
    Ready(Connection),
    Missing,
    Broken(String),
}

pub(super) fn open(options: &IndexOptions) -> Result<Opened> {
    if !suspect_path(&options.path).exists()
        && let Found::Ready(connection) = look(options)?
    {
        return Ok(opened(options, connection, None));
    }
    open_locked(options)
}

/// Leaves word that the database is damaged somewhere, so that the next open checks it whole. Best effort: what
/// cannot be noted is met again.
pub(super) fn mark_suspect(path: &Path) {
    tracing::warn!(path = %path.display(), op = "index", "the index is damaged; the next open will check it");
    let _ = File::create(suspect_path(path));
}

fn opened(options: &IndexOptions, connection: Connection, recovered: Option<Recovered>) -> Opened {
    Opened { index: Index { connection: Mutex::new(connection), path: options.path.clone() }, recovered }
}

fn open_locked(options: &IndexOptions) -> Result<Opened> {
    let _lock = lock(&options.path)?;
    let marker = suspect_path(&options.path);
    let suspect = marker.exists();
    let mut recovered = None;
    match look(options)? {
        Found::Ready(connection) => {
            let damage = if suspect { damage_of(&connection) } else { None };
            let Some(reason) = damage else {
                remove_if_there(&marker)?;
                return Ok(opened(options, connection, None));
            };
            drop(connection);
            recovered = Some(put_aside(options, reason)?);
        }
        Found::Broken(reason) => recovered = Some(put_aside(options, reason)?),
        Found::Missing => {}
    }
    remove_if_there(&marker)?;
    create(&options.path)?;
    match look(options)? {
        Found::Ready(connection) => Ok(opened(options, connection, recovered)),
        Found::Missing | Found::Broken(_) => Err(Error::new(ErrorKind::Io, OPERATION)
            .with("path", options.path.display())
            .with_message("a database that was just made cannot be read back")),
    }
}

/// Opens what is there, without changing it.
fn look(options: &IndexOptions) -> Result<Found> {
    let path = &options.path;
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            return Err(Error::new(ErrorKind::Invalid, OPERATION)
                .with("path", path.display())
                .with_message("not a file")
                .with_hint("move it away, or choose another `LARDER_HOME`"));
        }
        Ok(meta) if meta.len() == 0 => return Ok(Found::Broken("the file is empty".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(Error::from_io(error, OPERATION).with("path", path.display())),
    }
    match connect(options).and_then(|connection| Ok((identity(&connection)?, connection))) {
        Ok(((schema::APPLICATION, schema::FORMAT), connection)) => Ok(Found::Ready(connection)),
        Ok(((schema::APPLICATION, version), _)) if version > schema::FORMAT => Err(newer(path, version)),
        Ok(((schema::APPLICATION, version), _)) => {
            Ok(Found::Broken(format!("impossible format version {version}")))
        }
        Ok((_, connection)) => stranger(path, &connection),
        // The file may have been put aside between the two looks.
        Err(_) if !path.exists() => Ok(Found::Missing),
        Err(error) if failure::is_corruption(&error) => Ok(Found::Broken(error.to_string())),
        Err(error) => Err(unreachable_place(error, path)),
    }
}

fn connect(options: &IndexOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    // A schema in a damaged file must not make SQLite run anything, nor write what reads back differently.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // None of these touches the file; WAL mode is a property of the file and was set when it was made.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The application id and the format version: the only thing that opening reads.
fn identity(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((application, version))
}

fn newer(path: &Path, version: i32) -> Error {
    Error::new(ErrorKind::Version, OPERATION)
        .with("path", path.display())
        .with_message(format!("its format is version {version}, and this Larder knows {}", schema::FORMAT))
        .with_hint("update Larder, or choose another `LARDER_HOME`")
}

/// A database that does not carry our number: ours with a damaged header, or somebody else's.
fn stranger(path: &Path, connection: &Connection) -> Result<Found> {
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name IN ('results', 'residency', 'lease_digests')";
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    match (count(ours), count("SELECT count(*) FROM sqlite_schema")) {
        (Ok(3), _) => Ok(Found::Broken("the header lost its application id".to_owned())),
        (Ok(_), Ok(0)) => Ok(Found::Broken("the database has no tables".to_owned())),
        (Ok(_), Ok(_)) => Err(Error::new(ErrorKind::Invalid, OPERATION)
            .with("path", path.display())
            .with_message("a database of another program")
            .with_hint("move it away, or choose another `LARDER_HOME`")),
        (Err(error), _) | (_, Err(error)) if failure::is_corruption(&error) => {
            Ok(Found::Broken(error.to_string()))
        }
        (Err(error), _) | (_, Err(error)) => Err(failure::from_sqlite(error, OPERATION, path)),
    }
}

/// SQLite only says "unable to open"; the folder says why.
fn unreachable_place(error: rusqlite::Error, path: &Path) -> Error {
    let folder = folder_of(path);
    for place in [folder, path] {
        if let Err(errno) = rustix::fs::access(place, Access::READ_OK | Access::WRITE_OK) {
            return Error::from_io(errno.into(), OPERATION).with("path", place.display());
        }
    }
    failure::from_sqlite(error, OPERATION, path)
}

/// Names and statements of all tables and indexes.
fn schema_of(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    // SQLite's own tables come when they are needed.
    let sql = "SELECT name, sql FROM sqlite_schema WHERE name NOT IN ('sqlite_sequence', 'sqlite_stat1') ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Whether `found` is what a new database has; yes, if that cannot be told.
fn is_schema(fresh: &Connection, found: &[(String, Option<String>)]) -> bool {
    fresh
        .execute_batch(schema::TABLES)
        .and_then(|()| schema_of(fresh))
        .map_or(true, |expected| expected == found)
}

/// What a check of the whole database finds.
fn damage_of(connection: &Connection) -> Option<String> {
    match schema_of(connection) {
        // A flipped letter in the name of a table is sound for SQLite.
        Ok(found) if Connection::open_in_memory().is_ok_and(|fresh| !is_schema(&fresh, &found)) => {
            return Some("its tables are not those that were made".to_owned());
        }
        Err(error) if failure::is_corruption(&error) => return Some(error.to_string()),
        _ => {}
    }
    match connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
        Ok(verdict) if verdict == "ok" => None,
        Ok(verdict) => Some(verdict),
        Err(error) if failure::is_corruption(&error) => Some(error.to_string()),
        // Busy or out of memory is no damage.
        Err(_) => None,
    }
}

fn put_aside(options: &IndexOptions, reason: String) -> Result<Recovered> {
    let quarantine = &options.quarantine;
    let failed = |error: io::Error| {
        Error::from_io(error, "quarantine a damaged index").with("path", options.path.display())
    };
    fs::create_dir_all(quarantine).map_err(failed)?;
    let quarantined = free_name(quarantine);
    for suffix in ["-wal", "-shm"] {
        match fs::rename(beside(&options.path, suffix), beside(&quarantined, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::rename(&options.path, &quarantined).map_err(failed)?;
    tracing::debug!(
        path = %options.path.display(), quarantined = %quarantined.display(), reason, op = "index",
        "the index was damaged and is made anew"
    );
    Ok(Recovered { reason, quarantined })
}

fn free_name(quarantine: &Path) -> PathBuf {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let mut candidate = quarantine.join(format!("index-{time}.db"));
    let mut attempt = 1;
    while candidate.exists() {
        candidate = quarantine.join(format!("index-{time}-{attempt}.db"));
        attempt += 1;
    }
    candidate
}

/// Builds a whole database beside `path` and gives it that name. The caller holds the lock.
fn create(path: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::from_io(error, "create index").with("path", path.display());
    let draft = tempfile::Builder::new()
        .prefix("index-")
        .suffix(".new")
        .tempdir_in(folder_of(path))
        .map_err(failed)?;
    let file = draft.path().join("index.db");
    build(&file).map_err(|error| failure::from_sqlite(error, "create index", path))?;
    for suffix in ["-wal", "-shm"] {
        remove_if_there(&beside(path, suffix))?;
    }
    fs::rename(&file, path).map_err(failed)
}

fn build(file: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "page_size", 4096)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {} PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT;",
        schema::TABLES,
        schema::APPLICATION,
        schema::FORMAT
    ))?;
    // Closing the last connection moves the log into the file, which is what is renamed.
    connection.close().map_err(|(_, error)| error)
}

fn lock(path: &Path) -> Result<File> {
    let lock = beside(path, ".lock");
    let failed = |error: io::Error| Error::from_io(error, "lock index").with("path", lock.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock).map_err(failed)?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
        .map_err(|errno| failed(errno.into()))?;
    Ok(file)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::from_io(error, "remove a left-over of the index").with("path", path.display()))
        }
        _ => Ok(()),
    }
}

fn suspect_path(path: &Path) -> PathBuf {
    beside(path, ".suspect")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
