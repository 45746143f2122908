//! The port [`Feed`] on SQLite: rows that are written with the change they tell of.

use rusqlite::{Connection, params};

use super::{
    Sqlite,
    columns::{count, from_count, from_moment, gather, moment},
    watch::SqliteWatch,
};
use crate::{
    domain::Timestamp,
    store::{Change, ChangeKind, FEED_PAGE, Feed, FeedWatch, StoreError, StoreFuture, feed},
};

/// Where a column that does not read was found.
const TABLE: &str = "a change";
/// [`FEED_PAGE`] as SQLite counts.
const PAGE: i64 = FEED_PAGE as i64;

impl Feed for Sqlite {
    fn changes_after(&self, last: u64) -> StoreFuture<'_, Vec<Change>> {
        self.reader.ask(move |conn| after(conn, last))
    }

    fn latest(&self) -> StoreFuture<'_, u64> {
        self.reader.ask(latest)
    }

    fn watch(&self, from: u64) -> Box<dyn FeedWatch> {
        Box::new(SqliteWatch::new(self.place.clone(), from))
    }
}

/// Tells of `what`, inside the transaction that does it, and prunes a little.
///
/// # Errors
/// [`StoreError`]; the caller's own write must then not stand either.
pub(super) fn append(conn: &Connection, what: &ChangeKind, at: Timestamp) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO feed (at, what) VALUES (?1, ?2)")?
        .execute(params![from_moment(at), what.to_row()?])?;
    // Looks at the oldest few only, whatever the length of the feed.
    conn.prepare_cached(
        "DELETE FROM feed WHERE id IN
           (SELECT id FROM (SELECT id, at FROM feed ORDER BY id LIMIT ?1) WHERE at < ?2)",
    )?
    .execute(params![feed::PRUNED_PER_WRITE, from_moment(at.minus(feed::KEPT))])?;
    Ok(())
}

/// The page of rows after `last`.
///
/// # Errors
/// As [`Feed::changes_after`].
pub(super) fn after(conn: &Connection, last: u64) -> Result<Vec<Change>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT id, at, what FROM feed WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let changes = gather(statement.query([from_count(last), PAGE])?, |row| {
        let what = row.get_ref(2)?.as_str().map_or(ChangeKind::Unknown, ChangeKind::from_row);
        Ok(Change { id: count(row, 0, TABLE)?, at: moment(row, 1, TABLE)?, what })
    })?;
    if changes.is_empty() && latest(conn)? < last {
        return Err(feed::went_backwards());
    }
    Ok(feed::bridge(last, changes))
}

/// The newest row's id.
///
/// # Errors
/// [`StoreError`].
pub(super) fn latest(conn: &Connection) -> Result<u64, StoreError> {
    conn.prepare_cached("SELECT coalesce(max(id), 0) FROM feed")?
        .query_row([], |row| Ok(count(row, 0, TABLE)))?
}
