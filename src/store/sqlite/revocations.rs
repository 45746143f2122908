//! The port [`Revocations`] on SQLite.

use rusqlite::{Connection, Row, params};

use super::{
    Sqlite,
    columns::{from_moment, gather, moment},
    families, feed,
};
use crate::{
    domain::Timestamp,
    store::{ChangeKind, Revocation, RevocationTarget, Revocations, StoreError, StoreFuture, moving},
};

/// Where a column that does not read was found.
const TABLE: &str = "a revocation";
/// Ended entries that one transaction drops.
const FORGOTTEN_AT_ONCE: u32 = 1_000;

impl Revocations for Sqlite {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> StoreFuture<'a, ()> {
        let revocation = revocation.clone();
        self.writer.ask(move |conn| {
            revoke(conn, &revocation)?;
            families::end_of(conn, &revocation.target, revocation.at)
        })
    }

    fn live(&self, now: Timestamp) -> StoreFuture<'_, Vec<Revocation>> {
        self.reader.ask(move |conn| {
            let sql = "SELECT kind, target, at, until FROM revocations WHERE until > ?1";
            let mut statement = conn.prepare_cached(sql)?;
            gather(statement.query([from_moment(now)])?, read)
        })
    }

    fn forget_ended(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        self.writer.in_steps(FORGOTTEN_AT_ONCE, move |conn| forget(conn, now))
    }
}

/// Adds or widens, and tells the feed.
///
/// # Errors
/// [`StoreError`]; whatever belongs to it must then not stand either.
pub(super) fn revoke(conn: &Connection, revocation: &Revocation) -> Result<(), StoreError> {
    let kept = add(conn, revocation)?;
    feed::append(conn, &ChangeKind::Revoked(kept), Timestamp::now())
}

/// Adds or widens; the entry as it now stands.
fn add(conn: &Connection, new: &Revocation) -> Result<Revocation, StoreError> {
    let (kind, target) = moving::target_parts(&new.target);
    let mut statement = conn.prepare_cached(
        "INSERT INTO revocations (kind, target, at, until) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET at = max(at, excluded.at), until = max(until, excluded.until)
         RETURNING kind, target, at, until",
    )?;
    let mut rows = statement.query(params![kind, target, from_moment(new.at), from_moment(new.until)])?;
    let kept = read(rows.next()?.ok_or(StoreError::Corrupt(TABLE))?)?;
    // The statement is only finished, and its row only there for good, once it was stepped to its end.
    while rows.next()?.is_some() {}
    Ok(kept)
}

fn forget(conn: &Connection, now: Timestamp) -> Result<u32, StoreError> {
    let mut statement = conn.prepare_cached(
        "DELETE FROM revocations WHERE (kind, target) IN
           (SELECT kind, target FROM revocations WHERE until <= ?1 LIMIT ?2)",
    )?;
    let dropped = statement.execute(params![from_moment(now), FORGOTTEN_AT_ONCE])?;
    Ok(u32::try_from(dropped).unwrap_or(u32::MAX))
}

/// The revocation in a row of kind, target, at, until.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(super) fn read(row: &Row<'_>) -> Result<Revocation, StoreError> {
    let target: String = row.get(1)?;
    let target = match row.get_ref(0)?.as_str() {
        Ok("jti") => RevocationTarget::Jti(target),
        Ok("subject") => RevocationTarget::Subject(target),
        Ok("client") => RevocationTarget::Client(target),
        _ => return Err(StoreError::Corrupt(TABLE)),
    };
    Ok(Revocation { target, at: moment(row, 2, TABLE)?, until: moment(row, 3, TABLE)? })
}
