//! Totals that survive a process.

use larder_core::Result;
use rusqlite::{Transaction, params};

use super::{Index, from_sql, to_sql};

impl Index {
    /// Adds to counters, in one transaction; a counter that is not there begins at nought.
    pub fn count(&self, deltas: &[(&str, u64)]) -> Result<()> {
        if deltas.is_empty() {
            return Ok(());
        }
        self.write("count", |transaction| {
            for (name, delta) in deltas {
                add(transaction, name, *delta)?;
            }
            Ok(())
        })
    }

    /// All counters, by name.
    pub fn counters(&self) -> Result<Vec<(String, u64)>> {
        self.read("read counters", |transaction| {
            let mut statement =
                transaction.prepare_cached("SELECT name, value FROM counters ORDER BY name")?;
            statement.query_map([], |row| Ok((row.get(0)?, from_sql(row.get(1)?))))?.collect()
        })
    }
}

/// Adds to one counter within a transaction.
pub(super) fn add(transaction: &Transaction<'_>, name: &str, delta: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO counters (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = min(value, 9223372036854775807 - ?2) + ?2",
        )?
        .execute(params![name, to_sql(delta)])?;
    Ok(())
}
