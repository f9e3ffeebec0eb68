//! The schema of the index, and the numbers by which a database is known to be ours.
//!
//! Changing a table means a new [`FORMAT`]; a migration is a transaction from one number to the next, and
//! `docs/formats/index.md` says what each number holds.

/// SQLite's `application_id` of an index: `LRDR`.
pub(super) const APPLICATION: i32 = 0x4c52_4452;

/// SQLite's `user_version` of the format described here.
pub(super) const FORMAT: i32 = 1;

/// The tables of [`FORMAT`]. The payload is the last column, so that listing rows does not read it.
pub(super) const TABLES: &str = "
CREATE TABLE results (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT    NOT NULL,
    key       BLOB    NOT NULL,
    origin    INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    checksum  BLOB    NOT NULL,
    payload   BLOB    NOT NULL,
    UNIQUE (namespace, key)
) STRICT;
CREATE INDEX results_by_use ON results (last_used, id);

CREATE TABLE roots (
    namespace TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    digest    BLOB    NOT NULL,
    created   INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT    NOT NULL,
    whole     INTEGER NOT NULL,
    expires   INTEGER NOT NULL
) STRICT;
CREATE TABLE lease_digests (
    lease  INTEGER NOT NULL,
    digest BLOB    NOT NULL,
    PRIMARY KEY (lease, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
    namespace TEXT    NOT NULL,
    kind      INTEGER NOT NULL,
    key       BLOB    NOT NULL,
    who       TEXT    NOT NULL,
    why       TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    PRIMARY KEY (namespace, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE residency (
    digest      BLOB    PRIMARY KEY,
    size        INTEGER NOT NULL,
    dev         INTEGER NOT NULL,
    ino         INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    ctime_ns    INTEGER NOT NULL,
    verified_at INTEGER NOT NULL,
    checksum    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
