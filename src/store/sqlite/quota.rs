//! The port [`Quota`] on SQLite.

use rusqlite::{Connection, Row, params};

use super::{
    Sqlite,
    columns::{count, from_count, from_moment, gather, moment},
};
use crate::{
    domain::Timestamp,
    store::{Level, Quota, StoreError, StoreFuture},
};

/// Where a column that does not read was found.
const TABLE: &str = "a level";
/// Full buckets that one transaction drops; the next one drops more.
const FORGOTTEN_AT_ONCE: u32 = 16_384;

impl Quota for Sqlite {
    fn save(&self, levels: Vec<Level>, now: Timestamp) -> StoreFuture<'_, ()> {
        self.writer.ask(move |conn| {
            forget(conn, now)?;
            let mut keep = conn.prepare_cached(
                "INSERT INTO quotas (scope, id, spent, at, until) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET spent = excluded.spent, at = excluded.at, until = excluded.until",
            )?;
            for level in &levels {
                let (at, until) = (from_moment(level.at), from_moment(level.until));
                keep.execute(params![level.scope, level.id, from_count(level.spent), at, until])?;
            }
            Ok(())
        })
    }

    fn levels(&self) -> StoreFuture<'_, Vec<Level>> {
        self.reader.ask(|conn| {
            let mut statement = conn.prepare_cached("SELECT scope, id, spent, at, until FROM quotas")?;
            gather(statement.query([])?, read)
        })
    }
}

fn forget(conn: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(
        "DELETE FROM quotas WHERE (scope, id) IN
           (SELECT scope, id FROM quotas WHERE until <= ?1 LIMIT ?2)",
    )?;
    statement.execute(params![from_moment(now), FORGOTTEN_AT_ONCE])?;
    Ok(())
}

/// The level in a row of scope, id, spent, at, until.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(super) fn read(row: &Row<'_>) -> Result<Level, StoreError> {
    let id: Vec<u8> = row.get(1)?;
    Ok(Level {
        scope: row.get(0)?,
        id: id.try_into().map_err(|_length| StoreError::Corrupt(TABLE))?,
        spent: count(row, 2, TABLE)?,
        at: moment(row, 3, TABLE)?,
        until: moment(row, 4, TABLE)?,
    })
}
