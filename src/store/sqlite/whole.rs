//! Records as rows of SQLite: found, put and taken away by their ids.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    columns::{from_count, from_moment, gather, moment},
    families,
    key_rows::{self, COLUMNS},
    quota, reports, revocations, tasks, users,
};
use crate::{
    domain::KeyDigest,
    store::{
        FamilyAccess, Level, Report, Revocation, StoreError, User,
        hex::unhex,
        moving::{Record, RecordKind, UsedRefresh, WholeFamily, level_of, target_of, target_parts},
    },
};

/// The record of that kind and id.
///
/// # Errors
/// [`StoreError`].
pub(super) fn find(conn: &Connection, kind: RecordKind, id: &str) -> Result<Option<Record>, StoreError> {
    match kind {
        RecordKind::Ring => {
            let sql = "SELECT secret FROM rings WHERE name = ?1";
            let secret =
                conn.prepare_cached(sql)?.query_row([id], |row| row.get::<_, [u8; 32]>(0)).optional()?;
            Ok(secret.map(|secret| Record::Ring { name: id.to_owned(), secret }))
        }
        RecordKind::Revocation => {
            let target = target_of(id)?;
            let (kind, name) = target_parts(&target);
            let sql = "SELECT kind, target, at, until FROM revocations WHERE kind = ?1 AND target = ?2";
            one(conn, sql, params![kind, name], |row| revocations::read(row).map(Record::Revocation))
        }
        RecordKind::User => {
            let sql = "SELECT id, username, roles, active, created_at, last_login, password_hash
                       FROM users WHERE username = ?1";
            one(conn, sql, params![id], |row| Ok(Record::User { user: users::read(row)?, hash: row.get(6)? }))
        }
        RecordKind::Key => {
            let sql = format!("SELECT {COLUMNS}, digest, end_told FROM api_keys WHERE id = ?1");
            one(conn, &sql, params![id], |row| {
                let digest = KeyDigest::from_bytes(row.get("digest")?);
                let key = Box::new(key_rows::read(row)?);
                Ok(Record::Key { digest, key, told_ended: row.get("end_told")? })
            })
        }
        RecordKind::Family => Ok(family(conn, id)?.map(|family| Record::Family(Box::new(family.sorted())))),
        RecordKind::Level => {
            let (scope, id) = level_of(id)?;
            let sql = "SELECT scope, id, spent, at, until FROM quotas WHERE scope = ?1 AND id = ?2";
            one(conn, sql, params![scope, id], |row| quota::read(row).map(Record::Level))
        }
        RecordKind::Report => Ok(reports::kept(conn, id)?.map(Record::Report)),
        RecordKind::Task => {
            let digest: [u8; 32] = unhex(id).ok_or(StoreError::Corrupt("a task"))?;
            let sql =
                "SELECT digest, owner, tool, runner, created_at, due, until, ended, ended_at, message, body
                       FROM tasks WHERE digest = ?1";
            one(conn, sql, params![digest], |row| Ok(Record::Task(Box::new(tasks::read(row)?))))
        }
    }
}

fn one(
    conn: &Connection,
    sql: &str,
    given: &[&dyn rusqlite::ToSql],
    read: impl Fn(&Row<'_>) -> Result<Record, StoreError>,
) -> Result<Option<Record>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(given)?;
    rows.next()?.map(read).transpose()
}

fn family(conn: &Connection, id: &str) -> Result<Option<WholeFamily>, StoreError> {
    const TABLE: &str = "a refresh family";
    let Some(family) = families::find(conn, id)? else { return Ok(None) };
    let used_at = conn
        .prepare_cached("SELECT used_at FROM families WHERE id = ?1")?
        .query_row([id], |row| Ok(moment(row, 0, TABLE)))??;
    let sql = "SELECT jti, until FROM family_access WHERE family = ?1";
    let access = gather(conn.prepare_cached(sql)?.query([id])?, |row| {
        Ok(FamilyAccess { jti: row.get(0)?, until: moment(row, 1, TABLE)? })
    })?;
    let sql = "SELECT jti, used_at, sealed FROM family_used WHERE family = ?1";
    let used = gather(conn.prepare_cached(sql)?.query([id])?, |row| {
        Ok(UsedRefresh { jti: row.get(0)?, at: moment(row, 1, TABLE)?, sealed: row.get(2)? })
    })?;
    Ok(Some(WholeFamily { family, used_at, access, used }))
}

/// Puts a record in the place of the one of its id.
///
/// # Errors
/// [`StoreError`].
pub(super) fn put(conn: &Connection, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Ring { name, secret } => {
            conn.prepare_cached("INSERT OR REPLACE INTO rings (name, secret) VALUES (?1, ?2)")?
                .execute(params![name, secret])?;
            Ok(())
        }
        Record::Revocation(revocation) => put_revocation(conn, revocation),
        Record::User { user, hash } => put_user(conn, user, hash.as_deref()),
        Record::Key { .. } => put_key(conn, record),
        Record::Family(whole) => put_family(conn, whole),
        Record::Level(level) => put_level(conn, level),
        Record::Report(report) => put_report(conn, report),
        Record::Task(row) => {
            conn.prepare_cached("DELETE FROM tasks WHERE digest = ?1")?.execute([row.digest])?;
            tasks::insert(conn, row)
        }
    }
}

fn put_revocation(conn: &Connection, revocation: &Revocation) -> Result<(), StoreError> {
    let (kind, name) = target_parts(&revocation.target);
    conn.prepare_cached(
        "INSERT OR REPLACE INTO revocations (kind, target, at, until) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![kind, name, from_moment(revocation.at), from_moment(revocation.until)])?;
    Ok(())
}

fn put_user(conn: &Connection, user: &User, hash: Option<&str>) -> Result<(), StoreError> {
    let roles =
        serde_json::to_string(&user.roles).map_err(|_unwritable| StoreError::Corrupt("an account"))?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO users (username, id, roles, active, created_at, last_login, password_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        user.username.as_str(),
        user.id.to_string(),
        roles,
        user.active,
        from_moment(user.created_at),
        user.last_login.map(from_moment),
        hash,
    ])?;
    Ok(())
}

fn put_key(conn: &Connection, record: &Record) -> Result<(), StoreError> {
    let Record::Key { digest, key, told_ended } = record else { return Ok(()) };
    let id = key.id.to_string();
    conn.prepare_cached("DELETE FROM api_keys WHERE id = ?1 OR digest = ?2")?
        .execute(params![id, digest.as_bytes().as_slice()])?;
    key_rows::add(conn, digest, key)?;
    let rotation = key.rotation;
    conn.prepare_cached(
        "UPDATE api_keys SET successor = ?2, rotated_at = ?3, grace_until = ?4, end_told = ?5 WHERE id = ?1",
    )?
    .execute(params![
        id,
        rotation.map(|rotated| rotated.successor.to_string()),
        rotation.map(|rotated| from_moment(rotated.at)),
        rotation.map(|rotated| from_moment(rotated.grace_until)),
        told_ended,
    ])?;
    Ok(())
}

fn put_family(conn: &Connection, whole: &WholeFamily) -> Result<(), StoreError> {
    let WholeFamily { family, used_at, access, used } = whole;
    families::drop_family(conn, &family.id)?;
    families::add(conn, family, *used_at)?;
    access.iter().try_for_each(|access| families::add_access(conn, &family.id, access))?;
    let mut add = conn
        .prepare_cached("INSERT INTO family_used (jti, family, used_at, sealed) VALUES (?1, ?2, ?3, ?4)")?;
    for UsedRefresh { jti, at, sealed } in used {
        add.execute(params![jti, family.id, from_moment(*at), sealed])?;
    }
    Ok(())
}

fn put_level(conn: &Connection, level: &Level) -> Result<(), StoreError> {
    let Level { scope, id, spent, at, until } = level;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO quotas (scope, id, spent, at, until) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![scope, id, from_count(*spent), from_moment(*at), from_moment(*until)])?;
    Ok(())
}

fn put_report(conn: &Connection, report: &Report) -> Result<(), StoreError> {
    let Report { city, hundredths, condition, at } = report;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO weather_reports (key, city, hundredths, condition, at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![report.key(), city, hundredths, condition, from_moment(*at)])?;
    Ok(())
}

/// Takes the record of that kind and id away.
///
/// # Errors
/// [`StoreError`].
pub(super) fn remove(conn: &Connection, kind: RecordKind, id: &str) -> Result<(), StoreError> {
    let by_text = |sql: &str| -> Result<(), StoreError> {
        conn.prepare_cached(sql)?.execute([id])?;
        Ok(())
    };
    match kind {
        RecordKind::Ring => by_text("DELETE FROM rings WHERE name = ?1"),
        RecordKind::User => by_text("DELETE FROM users WHERE username = ?1"),
        RecordKind::Key => by_text("DELETE FROM api_keys WHERE id = ?1"),
        RecordKind::Report => by_text("DELETE FROM weather_reports WHERE key = ?1"),
        RecordKind::Family => families::drop_family(conn, id),
        RecordKind::Revocation => {
            let target = target_of(id)?;
            let (kind, name) = target_parts(&target);
            conn.prepare_cached("DELETE FROM revocations WHERE kind = ?1 AND target = ?2")?
                .execute(params![kind, name])?;
            Ok(())
        }
        RecordKind::Level => {
            let (scope, id) = level_of(id)?;
            conn.prepare_cached("DELETE FROM quotas WHERE scope = ?1 AND id = ?2")?
                .execute(params![scope, id])?;
            Ok(())
        }
        RecordKind::Task => {
            let digest: Option<[u8; 32]> = unhex(id);
            conn.prepare_cached("DELETE FROM tasks WHERE digest = ?1")?.execute(params![digest])?;
            Ok(())
        }
    }
}
