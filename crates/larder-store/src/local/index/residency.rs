//! Whole files: which digest has one, and the stat tuple it had when its bytes were last verified.
//!
//! A file whose tuple is unchanged is as it was verified, and may be handed out without reading it. The row is no
//! proof that the file exists: the caller stats it, and compares.

use larder_core::Result;
use rusqlite::{Row, Transaction, params};

use super::{Index, checksum, counter, counters, from_sql, to_sql};

const DOMAIN: &str = "larder index residency row v1";

/// What of a file's metadata changes whenever somebody changes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatTuple {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
    /// The length in bytes.
    pub size: u64,
    /// When the content last changed, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When content or metadata last changed, in nanoseconds since 1970; a program cannot set it.
    pub ctime_ns: i64,
}

/// A whole file that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// The metadata it had then.
    pub stat: StatTuple,
    /// When that was, in seconds since 1970.
    pub verified_at: u64,
}

impl Index {
    /// What is known of the whole files of `digests`, in their order, from one view of the index.
    pub fn residents(&self, digests: &[&[u8]]) -> Result<Vec<Option<Resident>>> {
        let mut damaged = Vec::new();
        let found = self.read("read residency", |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT size, dev, ino, mtime_ns, ctime_ns, verified_at, checksum FROM residency WHERE digest = ?1",
            )?;
            let mut found = Vec::with_capacity(digests.len());
            for digest in digests {
                let mut rows = statement.query([digest])?;
                let resident = match rows.next()? {
                    None => None,
                    Some(row) => {
                        let resident = checked(digest, row)?;
                        if resident.is_none() {
                            damaged.push(digest.to_vec());
                        }
                        resident
                    }
                };
                found.push(resident);
            }
            Ok(found)
        })?;
        if !damaged.is_empty() {
            self.forget_damaged(&damaged);
        }
        Ok(found)
    }

    /// Records files that were verified.
    pub fn set_residents(&self, files: &[(&[u8], Resident)]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        self.write("record residency", |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT OR REPLACE INTO residency
                 (digest, size, dev, ino, mtime_ns, ctime_ns, verified_at, checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for (digest, resident) in files {
                let Resident { stat, verified_at } = resident;
                statement.execute(params![
                    digest,
                    stat.size.cast_signed(),
                    stat.dev.cast_signed(),
                    stat.ino.cast_signed(),
                    stat.mtime_ns,
                    stat.ctime_ns,
                    to_sql(*verified_at),
                    sum(digest, resident)
                ])?;
            }
            Ok(())
        })
    }

    /// Forgets files, for instance because they were evicted; says how many were known.
    pub fn remove_residents(&self, digests: &[&[u8]]) -> Result<usize> {
        if digests.is_empty() {
            return Ok(0);
        }
        self.write("forget residency", |transaction| remove(transaction, digests.iter().copied()))
    }

    fn forget_damaged(&self, digests: &[Vec<u8>]) {
        tracing::warn!(count = digests.len(), op = "index", "rows of the residency table are damaged");
        let forgotten = self.write("forget damaged residency", |transaction| {
            let removed = remove(transaction, digests.iter().map(Vec::as_slice))?;
            counters::add(transaction, counter::CORRUPT_RESIDENCY, removed as u64)
        });
        if let Err(error) = forgotten {
            tracing::debug!(%error, op = "index", "damaged rows stay; they are never returned");
        }
    }
}

fn remove<'a>(
    transaction: &Transaction<'_>,
    digests: impl Iterator<Item = &'a [u8]>,
) -> rusqlite::Result<usize> {
    let mut statement = transaction.prepare_cached("DELETE FROM residency WHERE digest = ?1")?;
    let mut removed = 0;
    for digest in digests {
        removed += statement.execute([digest])?;
    }
    Ok(removed)
}

fn checked(digest: &[u8], row: &Row<'_>) -> rusqlite::Result<Option<Resident>> {
    let resident = Resident {
        stat: StatTuple {
            size: row.get::<_, i64>(0)?.cast_unsigned(),
            dev: row.get::<_, i64>(1)?.cast_unsigned(),
            ino: row.get::<_, i64>(2)?.cast_unsigned(),
            mtime_ns: row.get(3)?,
            ctime_ns: row.get(4)?,
        },
        verified_at: from_sql(row.get(5)?),
    };
    Ok((row.get_ref(6)?.as_blob()? == sum(digest, &resident)).then_some(resident))
}

fn sum(digest: &[u8], Resident { stat, verified_at }: &Resident) -> [u8; 16] {
    checksum(
        DOMAIN,
        &[
            digest,
            &stat.size.to_le_bytes(),
            &stat.dev.to_le_bytes(),
            &stat.ino.to_le_bytes(),
            &stat.mtime_ns.to_le_bytes(),
            &stat.ctime_ns.to_le_bytes(),
            &verified_at.to_le_bytes(),
        ],
    )
}
