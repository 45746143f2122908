//! How our nouns stand in columns, and what a column that does not read is: corrupt, never a panic.

use rusqlite::{Row, Rows};

use crate::{domain::Timestamp, store::StoreError};

/// A moment as SQLite's signed integer; what is beyond it (the year 294246) is as good as its end.
pub(super) fn from_moment(at: Timestamp) -> i64 {
    from_count(at.micros())
}

/// The moment in column `index` of a row of `table`.
pub(super) fn moment(row: &Row<'_>, index: usize, table: &'static str) -> Result<Timestamp, StoreError> {
    count(row, index, table).map(Timestamp::from_micros)
}

/// A count or an id as SQLite's signed integer.
pub(super) fn from_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The count or id in column `index` of a row of `table`.
pub(super) fn count(row: &Row<'_>, index: usize, table: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.get::<_, i64>(index)?).map_err(|_negative| StoreError::Corrupt(table))
}

/// What `read` makes of each of `rows`.
///
/// # Errors
/// [`StoreError`], also if a single row does not read: a list with a hole would be taken for the whole.
pub(super) fn gather<T>(
    mut rows: Rows<'_>,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        list.push(read(row)?);
    }
    Ok(list)
}
