//! What keeps content from eviction: roots (by reachability), leases (for a while) and pins (until lifted).

use larder_core::Result;
use rusqlite::params;

use super::{Index, from_sql, to_sql};

/// A name that keeps what it points to, such as a registry's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The namespace.
    pub namespace: String,
    /// The name, unique in its namespace.
    pub name: String,
    /// What it points to.
    pub digest: Vec<u8>,
    /// When it was set, in seconds since 1970.
    pub created: u64,
}

/// Names a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(i64);

/// Content that is kept for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// The namespace.
    pub namespace: String,
    /// What is kept; nothing here means everything of the namespace.
    pub digests: Option<Vec<Vec<u8>>>,
    /// Until when, in seconds since 1970.
    pub expires: u64,
}

/// What a pin keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinKind {
    /// An action result, by its key, and all that it reaches.
    Result,
    /// A blob, by its digest.
    Blob,
}

/// What a person said to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The namespace.
    pub namespace: String,
    /// What kind of thing is kept.
    pub kind: PinKind,
    /// Its key or digest.
    pub key: Vec<u8>,
    /// Who said so.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, in seconds since 1970.
    pub created: u64,
}

impl Index {
    /// Sets a root, or lets an existing one point elsewhere.
    pub fn set_root(&self, namespace: &str, name: &str, digest: &[u8], now: u64) -> Result<()> {
        self.write("set root", |transaction| {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO roots (namespace, name, digest, created) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![namespace, name, digest, to_sql(now)])
        })?;
        Ok(())
    }

    /// Removes a root; says whether it was there.
    pub fn remove_root(&self, namespace: &str, name: &str) -> Result<bool> {
        self.write("remove root", |transaction| {
            let removed = transaction
                .prepare_cached("DELETE FROM roots WHERE namespace = ?1 AND name = ?2")?
                .execute(params![namespace, name])?;
            Ok(removed > 0)
        })
    }

    /// The roots of one namespace, or of all.
    pub fn roots(&self, namespace: Option<&str>) -> Result<Vec<Root>> {
        self.read("list roots", |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT namespace, name, digest, created FROM roots
                 WHERE ?1 IS NULL OR namespace = ?1 ORDER BY namespace, name",
            )?;
            let rows = statement.query_map([namespace], |row| {
                Ok(Root {
                    namespace: row.get(0)?,
                    name: row.get(1)?,
                    digest: row.get(2)?,
                    created: from_sql(row.get(3)?),
                })
            })?;
            rows.collect()
        })
    }

    /// Keeps `digests`, or everything of the namespace when there are none given, until `expires`.
    pub fn lease(&self, namespace: &str, digests: Option<&[&[u8]]>, expires: u64) -> Result<LeaseId> {
        self.write("take lease", |transaction| {
            transaction
                .prepare_cached("INSERT INTO leases (namespace, whole, expires) VALUES (?1, ?2, ?3)")?
                .execute(params![namespace, digests.is_none(), to_sql(expires)])?;
            let id = transaction.last_insert_rowid();
            let mut statement = transaction
                .prepare_cached("INSERT OR IGNORE INTO lease_digests (lease, digest) VALUES (?1, ?2)")?;
            for digest in digests.unwrap_or_default() {
                statement.execute(params![id, digest])?;
            }
            Ok(LeaseId(id))
        })
    }

    /// Moves the end of a lease; false when it is gone, so that what it kept may be gone too.
    pub fn renew_lease(&self, id: LeaseId, expires: u64) -> Result<bool> {
        self.write("renew lease", |transaction| {
            let renewed = transaction
                .prepare_cached("UPDATE leases SET expires = ?2 WHERE id = ?1")?
                .execute(params![id.0, to_sql(expires)])?;
            Ok(renewed > 0)
        })
    }

    /// Ends a lease. Ending one that is gone is no error.
    pub fn release_lease(&self, id: LeaseId) -> Result<()> {
        self.write("release lease", |transaction| {
            transaction.prepare_cached("DELETE FROM lease_digests WHERE lease = ?1")?.execute([id.0])?;
            transaction.prepare_cached("DELETE FROM leases WHERE id = ?1")?.execute([id.0])
        })?;
        Ok(())
    }

    /// The leases that hold at `now`.
    pub fn leases(&self, now: u64) -> Result<Vec<Lease>> {
        self.read("list leases", |transaction| {
            let mut digests =
                transaction.prepare_cached("SELECT digest FROM lease_digests WHERE lease = ?1")?;
            let mut statement = transaction.prepare_cached(
                "SELECT id, namespace, whole, expires FROM leases WHERE expires > ?1 ORDER BY id",
            )?;
            let mut rows = statement.query([to_sql(now)])?;
            let mut leases = Vec::new();
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                let whole: bool = row.get(2)?;
                let kept = if whole {
                    None
                } else {
                    Some(digests.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
                };
                leases.push(Lease {
                    id: LeaseId(id),
                    namespace: row.get(1)?,
                    digests: kept,
                    expires: from_sql(row.get(3)?),
                });
            }
            Ok(leases)
        })
    }

    /// Deletes the leases that ended before `now`; says how many.
    pub fn expire_leases(&self, now: u64) -> Result<usize> {
        self.write("expire leases", |transaction| {
            transaction
                .prepare_cached(
                    "DELETE FROM lease_digests WHERE lease IN (SELECT id FROM leases WHERE expires <= ?1)",
                )?
                .execute([to_sql(now)])?;
            transaction.prepare_cached("DELETE FROM leases WHERE expires <= ?1")?.execute([to_sql(now)])
        })
    }

    /// Pins something, or says anew who pinned it and why.
    pub fn pin(&self, pin: &Pin) -> Result<()> {
        self.write("pin", |transaction| {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO pins (namespace, kind, key, who, why, created)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    pin.namespace,
                    kind_number(pin.kind),
                    pin.key,
                    pin.who,
                    pin.why,
                    to_sql(pin.created)
                ])
        })?;
        Ok(())
    }

    /// Lifts a pin; says whether it was there.
    pub fn unpin(&self, namespace: &str, kind: PinKind, key: &[u8]) -> Result<bool> {
        self.write("unpin", |transaction| {
            let removed = transaction
                .prepare_cached("DELETE FROM pins WHERE namespace = ?1 AND kind = ?2 AND key = ?3")?
                .execute(params![namespace, kind_number(kind), key])?;
            Ok(removed > 0)
        })
    }

    /// The pins of one namespace, or of all.
    pub fn pins(&self, namespace: Option<&str>) -> Result<Vec<Pin>> {
        self.read("list pins", |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT namespace, kind, key, who, why, created FROM pins
                 WHERE ?1 IS NULL OR namespace = ?1 ORDER BY namespace, kind, key",
            )?;
            let rows = statement.query_map([namespace], |row| {
                Ok(Pin {
                    namespace: row.get(0)?,
                    kind: if row.get::<_, i64>(1)? == 0 { PinKind::Result } else { PinKind::Blob },
                    key: row.get(2)?,
                    who: row.get(3)?,
                    why: row.get(4)?,
                    created: from_sql(row.get(5)?),
                })
            })?;
            rows.collect()
        })
    }
}

fn kind_number(kind: PinKind) -> u8 {
    match kind {
        PinKind::Result => 0,
        PinKind::Blob => 1,
    }
}
