//! The action cache's rows: (namespace, key) → payload, with conditional writes, batched touches and checksums.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Index, checksum, counter, counters, from_sql, to_sql};

const DOMAIN: &str = "larder index result row v1";

/// How old `last_used` may get before it is written again.
const TOUCH_AFTER: u64 = Duration::from_secs(3600).as_secs();

/// The largest payload; a result of that size is a mistake.
const LARGEST_PAYLOAD: usize = 64 << 20;

/// Where a row came from, which its trust is judged by (`docs/design/0003-trust.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Made by this user on this machine.
    Built,
    /// Copied here from another tier. Never more trusted than there.
    Promoted,
}

/// A row to write.
#[derive(Debug, Clone, Copy)]
pub struct NewResult<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The key: an action digest, or a protocol's own.
    pub key: &'a [u8],
    /// The bytes, which come back as they are.
    pub payload: &'a [u8],
    /// Where they come from.
    pub origin: Origin,
}

/// When a write may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// When nothing is there. A damaged row counts as nothing.
    CreateOnly,
    /// When the payload that is there has this [`payload_hash`].
    ReplaceIf([u8; 32]),
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was there, now the row is.
    Created,
    /// Another payload was there and was replaced.
    Replaced,
    /// The same payload of the same origin was there; nothing was written.
    Unchanged,
    /// The condition does not hold; nothing was written.
    Refused,
}

/// A row that was read, whose checksum fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The bytes as they were written.
    pub payload: Vec<u8>,
    /// Where they came from.
    pub origin: Origin,
    /// When the row was written, in seconds since 1970.
    pub created: u64,
    /// When it was last used, an hour more or less.
    pub last_used: u64,
}

/// A row as [`Index::list_results`] tells it, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The namespace.
    pub namespace: String,
    /// The key.
    pub key: Vec<u8>,
    /// When the row was written.
    pub created: u64,
    /// When it was last used.
    pub last_used: u64,
    /// The length of the payload.
    pub size: u64,
    id: i64,
}

impl Listed {
    /// The place after this row.
    pub fn cursor(&self) -> Cursor {
        Cursor { last_used: to_sql(self.last_used), id: self.id }
    }
}

/// A place in the order of [`Index::list_results`]. It stays valid whatever is written or deleted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    last_used: i64,
    id: i64,
}

/// Some rows, and where the next ones begin.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rows, newest use first.
    pub rows: Vec<Listed>,
    /// Where to go on; nothing at the end.
    pub next: Option<Cursor>,
}

/// The hash of a payload for [`Condition::ReplaceIf`].
pub fn payload_hash(payload: &[u8]) -> [u8; 32] {
    *blake3::hash(payload).as_bytes()
}

impl Index {
    /// The rows of `keys`, in their order, from one view of the index. Writes nothing, save that damaged rows are
    /// deleted.
    pub fn get_results(&self, namespace: &str, keys: &[&[u8]]) -> Result<Vec<Option<ResultRow>>> {
        let mut damaged = Vec::new();
        let found = self.read("look up results", |transaction| {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.push(match fetch(transaction, namespace, key)? {
                    Some(Stored { row: Some(row), .. }) => Some(row),
                    Some(Stored { id, checksum, row: None }) => {
                        damaged.push((id, checksum));
                        None
                    }
                    None => None,
                });
            }
            Ok(found)
        })?;
        if !damaged.is_empty() {
            self.drop_damaged(namespace, &damaged);
        }
        Ok(found)
    }

    /// The row of one key.
    pub fn get_result(&self, namespace: &str, key: &[u8]) -> Result<Option<ResultRow>> {
        Ok(self.get_results(namespace, &[key])?.pop().flatten())
    }

    /// Writes a row if `condition` holds, at the time `now`.
    pub fn put_result(&self, new: &NewResult<'_>, condition: Condition, now: u64) -> Result<Outcome> {
        Ok(self.put_results(std::slice::from_ref(new), condition, now)?.pop().unwrap_or(Outcome::Refused))
    }

    /// Writes rows in one transaction; each is judged by `condition` on its own.
    pub fn put_results(&self, new: &[NewResult<'_>], condition: Condition, now: u64) -> Result<Vec<Outcome>> {
        if let Some(large) = new.iter().find(|new| new.payload.len() > LARGEST_PAYLOAD) {
            return Err(Error::new(ErrorKind::Invalid, "record result")
                .with("size", large.payload.len())
                .with_message(format!("a result has at most {LARGEST_PAYLOAD} bytes")));
        }
        self.write("record result", |transaction| {
            new.iter().map(|new| put(transaction, new, condition, now)).collect()
        })
    }

    /// Notes that rows were used at `now`. Writes only those whose last use is more than an hour old, and asks for
    /// the write lock only if there are any; says how many were written.
    pub fn touch_results(&self, used: &[(&str, &[u8])], now: u64) -> Result<usize> {
        let limit = to_sql(now.saturating_sub(TOUCH_AFTER));
        let stale: Vec<i64> = self.read("look up last use", |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id FROM results WHERE namespace = ?1 AND key = ?2 AND last_used < ?3",
            )?;
            let mut stale = Vec::new();
            for (namespace, key) in used {
                let id = statement.query_row(params![namespace, key, limit], |row| row.get(0)).optional()?;
                stale.extend::<Option<i64>>(id);
            }
            Ok(stale)
        })?;
        if stale.is_empty() {
            return Ok(0);
        }
        self.write("record last use", |transaction| {
            let mut statement = transaction
                .prepare_cached("UPDATE results SET last_used = ?2 WHERE id = ?1 AND last_used < ?3")?;
            let mut written = 0;
            for id in stale {
                written += statement.execute(params![id, to_sql(now), limit])?;
            }
            Ok(written)
        })
    }

    /// At most `limit` rows of all namespaces (or of one), the most recently used first.
    pub fn list_results(&self, namespace: Option<&str>, after: Option<Cursor>, limit: usize) -> Result<Page> {
        let Cursor { last_used, id } = after.unwrap_or(Cursor { last_used: i64::MAX, id: i64::MAX });
        let limit = limit.max(1);
        let rows: Vec<Listed> = self.read("list results", |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id, namespace, key, created, last_used, size FROM results
                 WHERE (last_used, id) < (?1, ?2) AND (?3 IS NULL OR namespace = ?3)
                 ORDER BY last_used DESC, id DESC LIMIT ?4",
            )?;
            statement.query_map(params![last_used, id, namespace, to_sql(limit as u64)], listed)?.collect()
        })?;
        let next = if rows.len() < limit { None } else { rows.last().map(Listed::cursor) };
        Ok(Page { rows, next })
    }

    /// Deletes rows in one transaction, for instance what GC found dead: each only if it was not used since it was
    /// listed. Says how many went.
    pub fn delete_listed(&self, rows: &[Listed]) -> Result<usize> {
        if rows.is_empty() {
            return Ok(0);
        }
        self.write("delete results", |transaction| {
            let mut statement = transaction.prepare_cached(
                "DELETE FROM results WHERE id = ?1 AND namespace = ?2 AND key = ?3 AND last_used <= ?4",
            )?;
            let mut deleted = 0;
            for row in rows {
                deleted +=
                    statement.execute(params![row.id, row.namespace, row.key, to_sql(row.last_used)])?;
            }
            Ok(deleted)
        })
    }

    /// Deletes rows by key, whatever they hold; says how many were there.
    pub fn delete_results(&self, namespace: &str, keys: &[&[u8]]) -> Result<usize> {
        if keys.is_empty() {
            return Ok(0);
        }
        self.write("delete results", |transaction| {
            let mut statement =
                transaction.prepare_cached("DELETE FROM results WHERE namespace = ?1 AND key = ?2")?;
            let mut deleted = 0;
            for key in keys {
                deleted += statement.execute(params![namespace, key])?;
            }
            Ok(deleted)
        })
    }

    /// How many rows there are, and the bytes of their payloads.
    pub fn result_totals(&self) -> Result<(u64, u64)> {
        self.read("count results", |transaction| {
            transaction
                .prepare_cached("SELECT count(*), coalesce(sum(size), 0) FROM results")?
                .query_row([], |row| Ok((from_sql(row.get(0)?), from_sql(row.get(1)?))))
        })
    }

    /// Deletes damaged rows, unless another process has just replaced them. Best effort: they are never returned.
    fn drop_damaged(&self, namespace: &str, rows: &[(i64, Vec<u8>)]) {
        tracing::warn!(namespace, count = rows.len(), op = "index", "rows of the action cache are damaged");
        let dropped = self.write("drop damaged results", |transaction| {
            let mut statement =
                transaction.prepare_cached("DELETE FROM results WHERE id = ?1 AND checksum = ?2")?;
            let mut deleted = 0;
            for (id, checksum) in rows {
                deleted += statement.execute(params![id, checksum])?;
            }
            counters::add(transaction, counter::CORRUPT_RESULTS, deleted as u64)
        });
        if let Err(error) = dropped {
            tracing::debug!(%error, op = "index", "damaged rows stay; they are never returned");
        }
    }
}

/// A row as it lies there; `row` is nothing when the checksum does not fit.
struct Stored {
    id: i64,
    checksum: Vec<u8>,
    row: Option<ResultRow>,
}

fn fetch(transaction: &Transaction<'_>, namespace: &str, key: &[u8]) -> rusqlite::Result<Option<Stored>> {
    transaction
        .prepare_cached(
            "SELECT id, origin, created, last_used, checksum, payload FROM results
             WHERE namespace = ?1 AND key = ?2",
        )?
        .query_row(params![namespace, key], |row| {
            let (origin, checksum): (i64, Vec<u8>) = (row.get(1)?, row.get(4)?);
            let payload: Vec<u8> = row.get(5)?;
            let origin =
                origin_of(origin).filter(|origin| checksum == sum(namespace, key, *origin, &payload));
            let (created, last_used) = (from_sql(row.get(2)?), from_sql(row.get(3)?));
            let read = origin.map(|origin| ResultRow { payload, origin, created, last_used });
            Ok(Stored { id: row.get(0)?, checksum, row: read })
        })
        .optional()
}

fn put(
    transaction: &Transaction<'_>,
    new: &NewResult<'_>,
    condition: Condition,
    now: u64,
) -> rusqlite::Result<Outcome> {
    let stored = fetch(transaction, new.namespace, new.key)?;
    if stored.as_ref().is_some_and(|stored| stored.row.is_none()) {
        counters::add(transaction, counter::CORRUPT_RESULTS, 1)?;
    }
    let present = stored.as_ref().and_then(|stored| stored.row.as_ref());
    let allowed = match condition {
        Condition::Always => true,
        Condition::CreateOnly => present.is_none(),
        Condition::ReplaceIf(hash) => present.is_some_and(|row| payload_hash(&row.payload) == hash),
    };
    if !allowed {
        return Ok(Outcome::Refused);
    }
    if let (Some(row), Some(stored)) = (present, &stored)
        && row.payload == new.payload
        && row.origin == new.origin
    {
        if row.last_used < now.saturating_sub(TOUCH_AFTER) {
            transaction
                .prepare_cached("UPDATE results SET last_used = ?2 WHERE id = ?1")?
                .execute(params![stored.id, to_sql(now)])?;
        }
        return Ok(Outcome::Unchanged);
    }
    // A new id with every payload: what GC listed before is not what lies here now.
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO results
             (namespace, key, origin, created, last_used, size, checksum, payload)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            new.namespace,
            new.key,
            origin_number(new.origin),
            to_sql(now),
            to_sql(new.payload.len() as u64),
            sum(new.namespace, new.key, new.origin, new.payload),
            new.payload
        ])?;
    Ok(if present.is_some() { Outcome::Replaced } else { Outcome::Created })
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: row.get(0)?,
        namespace: row.get(1)?,
        key: row.get(2)?,
        created: from_sql(row.get(3)?),
        last_used: from_sql(row.get(4)?),
        size: from_sql(row.get(5)?),
    })
}

fn origin_number(origin: Origin) -> u8 {
    match origin {
        Origin::Built => 0,
        Origin::Promoted => 1,
    }
}

fn origin_of(number: i64) -> Option<Origin> {
    match number {
        0 => Some(Origin::Built),
        1 => Some(Origin::Promoted),
        _ => None,
    }
}

fn sum(namespace: &str, key: &[u8], origin: Origin, payload: &[u8]) -> [u8; 16] {
    checksum(DOMAIN, &[namespace.as_bytes(), key, payload, &[origin_number(origin)]])
}
