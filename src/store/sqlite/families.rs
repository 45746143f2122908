//! The port [`Families`] on SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Sqlite,
    columns::{from_moment, gather, moment},
    revocations,
};
use crate::{
    domain::{Subject, Timestamp},
    store::{
        Families, Family, FamilyAccess, FamilyOf, MOST_FAMILIES, MadeRoom, Revocation, RevocationTarget,
        Rotated, Rotation, StoreError, StoreFuture,
        families::{self, revocation},
    },
};

/// Where a column that does not read was found.
const TABLE: &str = "a refresh family";
/// Families of its subject that may stand beside a new one, as SQLite counts.
const BESIDE: i64 = MOST_FAMILIES as i64 - 1;
/// Ended families that one transaction drops.
const FORGOTTEN_AT_ONCE: u32 = 500;

impl Families for Sqlite {
    fn found<'a>(
        &'a self,
        family: &'a Family,
        access: &'a FamilyAccess,
        at: Timestamp,
    ) -> StoreFuture<'a, MadeRoom> {
        let (family, access) = (family.clone(), access.clone());
        self.writer.ask(move |conn| {
            add(conn, &family, at)?;
            add_access(conn, &family.id, &access)?;
            make_room(conn, &family, at)
        })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<Family>> {
        let id = id.to_owned();
        self.reader.ask(move |conn| find(conn, &id))
    }

    fn rotate<'a>(&'a self, rotation: &'a Rotation) -> StoreFuture<'a, Rotated> {
        let rotation = rotation.clone();
        self.writer.ask(move |conn| rotate(conn, &rotation))
    }

    fn end<'a>(&'a self, which: &'a FamilyOf, at: Timestamp) -> StoreFuture<'a, Vec<Revocation>> {
        let which = which.clone();
        self.writer.ask(move |conn| match which {
            FamilyOf::Id(id) => end(conn, &id, at),
            FamilyOf::Access(jti) => {
                let sql = "SELECT family FROM family_access WHERE jti = ?1";
                let id: Option<String> =
                    conn.prepare_cached(sql)?.query_row([&jti], |row| row.get(0)).optional()?;
                id.map_or(Ok(Vec::new()), |id| end(conn, &id, at))
            }
        })
    }

    fn forget_ended_families(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        self.writer.in_steps(FORGOTTEN_AT_ONCE, move |conn| forget(conn, now))
    }
}

/// Adds a family that nobody has, used last at `at`.
///
/// # Errors
/// [`StoreError::Taken`].
pub(super) fn add(conn: &Connection, family: &Family, at: Timestamp) -> Result<(), StoreError> {
    let names = |list: &[String]| {
        serde_json::to_string(list).map_err(|_unwritable| StoreError::Corrupt("a refresh family"))
    };
    let added = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO families
               (id, subject, client, roles, permissions, has_account, refresh, expires_at, used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            family.id,
            family.subject.as_str(),
            family.client,
            names(&family.roles)?,
            names(&family.permissions)?,
            family.has_account,
            family.refresh,
            from_moment(family.expires_at),
            from_moment(at),
        ])?;
    if added == 1 { Ok(()) } else { Err(StoreError::Taken("the family's id")) }
}

/// Adds an access token of a family.
///
/// # Errors
/// [`StoreError`].
pub(super) fn add_access(conn: &Connection, family: &str, access: &FamilyAccess) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO family_access (jti, family, until) VALUES (?1, ?2, ?3)")?
        .execute(params![access.jti, family, from_moment(access.until)])?;
    Ok(())
}

/// The family of that id.
///
/// # Errors
/// [`StoreError`].
pub(super) fn find(conn: &Connection, id: &str) -> Result<Option<Family>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, subject, client, roles, permissions, has_account, refresh, expires_at
         FROM families WHERE id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read).transpose()
}

fn rotate(conn: &Connection, rotation: &Rotation) -> Result<Rotated, StoreError> {
    let Some(family) = find(conn, &rotation.family)? else { return Ok(Rotated::Gone) };
    if family.expires_at <= rotation.at {
        return Ok(Rotated::Gone);
    }
    if family.refresh == rotation.shown {
        exchange(conn, rotation)?;
        return Ok(Rotated::Done);
    }
    let sealed: Option<Vec<u8>> = conn
        .prepare_cached("SELECT sealed FROM family_used WHERE jti = ?1 AND family = ?2 AND used_at >= ?3")?
        .query_row(params![rotation.shown, rotation.family, from_moment(rotation.graced_from())], |row| {
            row.get(0)
        })
        .optional()?;
    match sealed {
        Some(sealed) => Ok(Rotated::Again(sealed)),
        None => end(conn, &rotation.family, rotation.at).map(Rotated::Reused),
    }
}

fn exchange(conn: &Connection, rotation: &Rotation) -> Result<(), StoreError> {
    let (family, at) = (&rotation.family, from_moment(rotation.at));
    conn.prepare_cached("UPDATE families SET refresh = ?2, expires_at = ?3, used_at = ?4 WHERE id = ?1")?
        .execute(params![family, rotation.successor, from_moment(rotation.expires_at), at])?;
    conn.prepare_cached("DELETE FROM family_used WHERE family = ?1 AND used_at < ?2")?
        .execute(params![family, from_moment(rotation.graced_from())])?;
    conn.prepare_cached("INSERT INTO family_used (jti, family, used_at, sealed) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![rotation.shown, family, at, rotation.sealed])?;
    conn.prepare_cached("DELETE FROM family_access WHERE family = ?1 AND until <= ?2")?
        .execute(params![family, at])?;
    for revoked in families::too_many_beside_a_new(live_access(conn, family, rotation.at)?, rotation.at) {
        if let RevocationTarget::Jti(jti) = &revoked.target {
            conn.prepare_cached("DELETE FROM family_access WHERE jti = ?1")?.execute([jti])?;
        }
        revocations::revoke(conn, &revoked)?;
    }
    add_access(conn, family, &rotation.access)
}

/// The access tokens of a family that are good at `at`.
fn live_access(conn: &Connection, id: &str, at: Timestamp) -> Result<Vec<FamilyAccess>, StoreError> {
    let sql = "SELECT jti, until FROM family_access WHERE family = ?1 AND until > ?2 ORDER BY jti";
    gather(conn.prepare_cached(sql)?.query(params![id, from_moment(at)])?, |row| {
        Ok(FamilyAccess { jti: row.get(0)?, until: moment(row, 1, TABLE)? })
    })
}

/// Ends one family with everything that hangs on it; its live access tokens are revoked.
fn end(conn: &Connection, id: &str, at: Timestamp) -> Result<Vec<Revocation>, StoreError> {
    let live = live_access(conn, id, at)?.into_iter();
    let ended: Vec<_> = live.map(|access| revocation(access, at)).collect();
    drop_family(conn, id)?;
    for revocation in &ended {
        revocations::revoke(conn, revocation)?;
    }
    Ok(ended)
}

/// Takes a family away, with all that hangs on it.
///
/// # Errors
/// [`StoreError`].
pub(super) fn drop_family(conn: &Connection, id: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM family_used WHERE family = ?1")?.execute([id])?;
    conn.prepare_cached("DELETE FROM family_access WHERE family = ?1")?.execute([id])?;
    conn.prepare_cached("DELETE FROM families WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Ends the families of the same subject that are one too many beside the new one: those that were not used for
/// longest, however long they would still hold.
fn make_room(conn: &Connection, new: &Family, at: Timestamp) -> Result<MadeRoom, StoreError> {
    let sql = "SELECT id FROM families WHERE subject = ?1 AND id <> ?2 AND expires_at > ?3
               ORDER BY used_at DESC, expires_at DESC, id DESC LIMIT -1 OFFSET ?4";
    let given = params![new.subject.as_str(), new.id, from_moment(at), BESIDE];
    let mut room = MadeRoom { ended: ids(conn, sql, given)?, revocations: Vec::new() };
    for id in &room.ended {
        room.revocations.extend(end(conn, id, at)?);
    }
    Ok(room)
}

/// Ends the families of a subject or a client that is revoked; or the one that is named by its own id or by
/// that of its refresh token, which outlives every revocation.
///
/// # Errors
/// [`StoreError`]; the revocation must then not stand either.
pub(super) fn end_of(conn: &Connection, target: &RevocationTarget, at: Timestamp) -> Result<(), StoreError> {
    let (sql, name) = match target {
        RevocationTarget::Jti(id) => ("SELECT id FROM families WHERE id = ?1 OR refresh = ?1", id),
        RevocationTarget::Subject(name) => ("SELECT id FROM families WHERE subject = ?1 ORDER BY id", name),
        RevocationTarget::Client(name) => ("SELECT id FROM families WHERE client = ?1 ORDER BY id", name),
    };
    for id in ids(conn, sql, params![name])? {
        end(conn, &id, at)?;
    }
    Ok(())
}

fn forget(conn: &Connection, now: Timestamp) -> Result<u32, StoreError> {
    let sql = "SELECT id FROM families WHERE expires_at <= ?1 LIMIT ?2";
    let ended = ids(conn, sql, params![from_moment(now), FORGOTTEN_AT_ONCE])?;
    for id in &ended {
        drop_family(conn, id)?;
    }
    Ok(u32::try_from(ended.len()).unwrap_or(u32::MAX))
}

fn ids(conn: &Connection, sql: &str, given: impl rusqlite::Params) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let ids = statement.query_map(given, |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> Result<Family, StoreError> {
    let corrupt = || StoreError::Corrupt(TABLE);
    let names = |text: String| serde_json::from_str(&text).map_err(|_| corrupt());
    Ok(Family {
        id: row.get(0)?,
        subject: Subject::try_from(row.get::<_, String>(1)?).map_err(|_| corrupt())?,
        client: row.get(2)?,
        roles: names(row.get(3)?)?,
        permissions: names(row.get(4)?)?,
        has_account: row.get(5)?,
        refresh: row.get(6)?,
        expires_at: moment(row, 7, TABLE)?,
    })
}
