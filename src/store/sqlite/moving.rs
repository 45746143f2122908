//! The port [`Moving`] on SQLite.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::{Sqlite, columns::from_moment, feed, whole};
use crate::{
    domain::Timestamp,
    store::{
        StoreError, StoreFuture,
        hex::{hex, unhex},
        moving::{
            Found, Listing, MOST_BYTES, MOST_LISTED, Mark, Moving, Record, RecordKind, Traits, level_id,
            level_of, target_id, target_of, target_parts,
        },
    },
};

/// [`MOST_LISTED`] as SQLite counts.
const PAGE: i64 = MOST_LISTED as i64;

impl Moving for Sqlite {
    fn list(&self, kind: RecordKind, after: Option<String>, now: Timestamp) -> StoreFuture<'_, Listing> {
        self.reader.ask(move |conn| {
            let ids = list(conn, kind, after.as_deref(), from_moment(now))?;
            let next = ids.get(MOST_LISTED - 1).cloned();
            Ok(Listing { ids, next })
        })
    }

    fn look_up(&self, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'_, Found> {
        self.reader.ask(move |conn| {
            let (mut records, mut bytes, mut looked_for) = (Vec::new(), 0, 0);
            for id in &ids {
                if bytes >= MOST_BYTES {
                    break;
                }
                looked_for += 1;
                let found = whole::find(conn, kind, id)?;
                bytes += found.as_ref().map_or(0, Record::weight);
                records.extend(found);
            }
            Ok(Found { records, looked_for })
        })
    }

    fn put_all<'a>(&'a self, mark: &'a Mark, records: Vec<Record>) -> StoreFuture<'a, ()> {
        let mark = mark.clone();
        self.writer.ask(move |conn| {
            mark.demand(marked(conn)?.as_deref())?;
            records.iter().try_for_each(|record| whole::put(conn, record))
        })
    }

    fn drop_all<'a>(&'a self, mark: &'a Mark, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'a, ()> {
        let mark = mark.clone();
        self.writer.ask(move |conn| {
            mark.demand(marked(conn)?.as_deref())?;
            ids.iter().try_for_each(|id| whole::remove(conn, kind, id))
        })
    }

    fn mark(&self) -> StoreFuture<'_, Option<Mark>> {
        self.reader.ask(|conn| marked(conn)?.as_deref().map(Mark::parse).transpose())
    }

    fn mark_as<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, Option<Mark>> {
        let mark = mark.clone();
        self.writer.ask(move |conn| {
            let before = marked(conn)?.as_deref().map(Mark::parse).transpose()?;
            if mark.follows(before.as_ref()) {
                conn.prepare_cached("INSERT OR REPLACE INTO marks (name, text) VALUES ('copy', ?1)")?
                    .execute([mark.after(before.as_ref()).text()])?;
            }
            Ok(before)
        })
    }

    fn unmark<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, ()> {
        let mark = mark.clone();
        self.writer.ask(move |conn| {
            mark.demand(marked(conn)?.as_deref())?;
            conn.prepare_cached("DELETE FROM marks WHERE name = 'copy'")?.execute([])?;
            Ok(())
        })
    }

    fn traits(&self) -> StoreFuture<'_, Traits> {
        let place = self.place.identity();
        self.reader.ask(move |conn| {
            // Every commit of another connection shows in the first, those of an earlier time in the second.
            let version: i64 = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            let version = format!("{version} {}", feed::latest(conn)?);
            Ok(Traits { place, version, servers: 0 })
        })
    }
}

/// The text of the mark.
fn marked(conn: &Connection) -> Result<Option<String>, StoreError> {
    let sql = "SELECT text FROM marks WHERE name = 'copy'";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?)
}

/// The next ids of a kind.
fn list(
    conn: &Connection,
    kind: RecordKind,
    after: Option<&str>,
    now: i64,
) -> Result<Vec<String>, StoreError> {
    // The empty text is before all of them.
    let last = after.unwrap_or_default();
    match kind {
        RecordKind::Ring => {
            ids(conn, "SELECT name FROM rings WHERE name > ?1 ORDER BY name LIMIT ?2", params![last, PAGE])
        }
        RecordKind::Revocation => revocations(conn, after, now),
        RecordKind::User => {
            let sql = "SELECT username FROM users WHERE username > ?1 ORDER BY username LIMIT ?2";
            ids(conn, sql, params![last, PAGE])
        }
        RecordKind::Key => {
            ids(conn, "SELECT id FROM api_keys WHERE id > ?1 ORDER BY id LIMIT ?2", params![last, PAGE])
        }
        RecordKind::Family => {
            let sql = "SELECT id FROM families WHERE id > ?1 AND expires_at > ?3 ORDER BY id LIMIT ?2";
            ids(conn, sql, params![last, PAGE, now])
        }
        RecordKind::Level => levels(conn, after, now),
        RecordKind::Report => {
            let sql = "SELECT key FROM weather_reports WHERE key > ?1 ORDER BY key LIMIT ?2";
            ids(conn, sql, params![last, PAGE])
        }
        RecordKind::Task => tasks(conn, after, now),
    }
}

fn ids(conn: &Connection, sql: &str, given: &[&dyn ToSql]) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let ids = statement.query_map(given, |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

fn revocations(conn: &Connection, after: Option<&str>, now: i64) -> Result<Vec<String>, StoreError> {
    let last = after.map(target_of).transpose()?;
    let (kind, target) = last.as_ref().map(target_parts).unwrap_or_default();
    let mut statement = conn.prepare_cached(
        "SELECT kind, target, at, until FROM revocations WHERE (kind, target) > (?1, ?2) AND until > ?4
         ORDER BY kind, target LIMIT ?3",
    )?;
    let mut rows = statement.query(params![kind, target, PAGE, now])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(target_id(&super::revocations::read(row)?.target));
    }
    Ok(ids)
}

fn levels(conn: &Connection, after: Option<&str>, now: i64) -> Result<Vec<String>, StoreError> {
    let last = after.map(level_of).transpose()?;
    // The empty list is before every id.
    let (scope, id) = last.as_ref().map_or(("", &[][..]), |(scope, id)| (*scope, &id[..]));
    let mut statement = conn.prepare_cached(
        "SELECT scope, id, spent, at, until FROM quotas WHERE (scope, id) > (?1, ?2) AND until > ?4
         ORDER BY scope, id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![scope, id, PAGE, now])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let level = super::quota::read(row)?;
        ids.push(level_id(&level.scope, &level.id));
    }
    Ok(ids)
}

fn tasks(conn: &Connection, after: Option<&str>, now: i64) -> Result<Vec<String>, StoreError> {
    let last: Option<[u8; 32]> = after.and_then(unhex);
    let last = last.as_ref().map_or(&[][..], |last| &last[..]);
    let sql = "SELECT digest FROM tasks WHERE digest > ?1 AND until > ?3 ORDER BY digest LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let digests = statement.query_map(params![last, PAGE, now], |row| row.get::<_, [u8; 32]>(0))?;
    digests.map(|digest| Ok(hex(&digest?))).collect()
}
