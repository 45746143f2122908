//! The port [`Keys`] on SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Sqlite,
    columns::{from_count, from_moment, gather},
    feed,
    key_rows::{COLUMNS, TABLE, add, read},
};
use crate::{
    domain::{ApiKey, KeyDigest, KeyId, KeyState, Timestamp},
    store::{
        ChangeKind, KEY_PAGE_MAX, KeyRotation, Keys, Lookup, RotateOutcome, StoreError, StoreFuture,
        UseBatch, keys,
    },
};

/// How long the number of a writer's last batch is kept after it: nobody sends one again so late.
const BATCHES_KEPT: std::time::Duration = std::time::Duration::from_hours(24);

impl Keys for Sqlite {
    fn find<'a>(&'a self, digest: &'a KeyDigest) -> StoreFuture<'a, Lookup> {
        let digest = *digest;
        self.reader.ask(move |conn| find(conn, &digest))
    }

    fn show(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        self.reader.ask(move |conn| show(conn, id))
    }

    fn page(&self, after: Option<KeyId>, size: u64) -> StoreFuture<'_, Vec<ApiKey>> {
        let size = size.clamp(1, KEY_PAGE_MAX);
        self.reader.ask(move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE id > ?1 ORDER BY id LIMIT ?2");
            let mut statement = conn.prepare_cached(&sql)?;
            // No id is the empty text, which is before all of them.
            let after = after.map_or_else(String::new, |id| id.to_string());
            gather(statement.query(params![after, from_count(size)])?, read)
        })
    }

    fn insert<'a>(&'a self, digest: &'a KeyDigest, key: &'a ApiKey) -> StoreFuture<'a, ()> {
        let (digest, key) = (*digest, key.clone());
        self.writer.ask(move |conn| add(conn, &digest, &key))
    }

    fn set_state(&self, id: KeyId, state: KeyState) -> StoreFuture<'_, Option<ApiKey>> {
        self.writer.ask(move |conn| {
            let sql = "UPDATE api_keys SET state = ?2 WHERE id = ?1 AND state <> 'revoked'";
            conn.prepare_cached(sql)?.execute(params![id.to_string(), state.as_str()])?;
            let key = show(conn, id)?;
            if key.is_some() {
                feed::append(conn, &ChangeKind::Key(id), Timestamp::now())?;
            }
            Ok(key)
        })
    }

    fn rotate<'a>(&'a self, rotation: &'a KeyRotation) -> StoreFuture<'a, RotateOutcome> {
        let rotation = rotation.clone();
        self.writer.ask(move |conn| rotate(conn, &rotation))
    }

    fn add_uses<'a>(&'a self, batch: &'a UseBatch) -> StoreFuture<'a, ()> {
        let batch = batch.clone();
        self.writer.ask(move |conn| count(conn, &batch))
    }

    fn newly_ended(&self, now: Timestamp, most: u64) -> StoreFuture<'_, Vec<ApiKey>> {
        Box::pin(async move {
            // Nearly always there is none: then nothing is written.
            if self.reader.ask(move |conn| ended(conn, now, 1)).await?.is_empty() {
                return Ok(Vec::new());
            }
            self.writer.ask(move |conn| tell_ended(conn, now, most)).await
        })
    }
}

/// By the unique index on `digest`; that the digest fits is then asked once more, in constant time.
fn find(conn: &Connection, digest: &KeyDigest) -> Result<Lookup, StoreError> {
    let sql = format!("SELECT {COLUMNS}, digest FROM api_keys WHERE digest = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([digest.as_bytes().as_slice()])?;
    let Some(row) = rows.next()? else { return Ok(Lookup::Nothing) };
    let kept = row.get::<_, [u8; 32]>("digest").map(KeyDigest::from_bytes);
    Ok(match (kept, read(row)) {
        (Ok(kept), Ok(key)) if kept == *digest => Lookup::Key(Box::new(key)),
        (Ok(kept), Ok(_)) if kept != *digest => Lookup::Nothing,
        _ => Lookup::Unreadable,
    })
}

fn show(conn: &Connection, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([id.to_string()])?;
    rows.next()?.map(read).transpose()
}

fn rotate(conn: &Connection, rotation: &KeyRotation) -> Result<RotateOutcome, StoreError> {
    let Some(mut old) = show(conn, rotation.of)? else { return Ok(RotateOutcome::Unknown) };
    while let Some(on) = old.rotation.filter(|_| rotation.newest) {
        old = show(conn, on.successor)?.ok_or(StoreError::Corrupt(TABLE))?;
    }
    let (successor, rotated) = match keys::plan(&old, rotation) {
        Ok(plan) => plan,
        Err(refused) => return Ok(refused),
    };
    add(conn, &rotation.digest, &successor)?;
    conn.prepare_cached(
        "UPDATE api_keys SET successor = ?2, rotated_at = ?3, grace_until = ?4,
           ends_at = min(expires_at, ?4) WHERE id = ?1",
    )?
    .execute(params![
        old.id.to_string(),
        rotated.successor.to_string(),
        from_moment(rotated.at),
        from_moment(rotated.grace_until)
    ])?;
    tell(conn, old.id)?;
    if let Some(before) = old.predecessor {
        end(conn, before, rotation.at)?;
    }
    let old = ApiKey { rotation: Some(rotated), ..old };
    Ok(RotateOutcome::Done { successor: Box::new(successor), old: Box::new(old) })
}

/// Ends the grace of the key before the one that is rotated: only the last two of a lineage live.
fn end(conn: &Connection, before: KeyId, at: Timestamp) -> Result<(), StoreError> {
    let sql =
        "UPDATE api_keys SET grace_until = ?2, ends_at = min(ends_at, ?2) WHERE id = ?1 AND grace_until > ?2";
    conn.prepare_cached(sql)?.execute(params![before.to_string(), from_moment(at)])?;
    tell(conn, before)
}

fn tell(conn: &Connection, id: KeyId) -> Result<(), StoreError> {
    feed::append(conn, &ChangeKind::Key(id), Timestamp::now())
}

fn count(conn: &Connection, batch: &UseBatch) -> Result<(), StoreError> {
    let (writer, now) = (batch.writer.to_string(), Timestamp::now());
    let last: Option<i64> = conn
        .prepare_cached("SELECT number FROM key_batches WHERE writer = ?1")?
        .query_row([&writer], |row| row.get(0))
        .optional()?;
    if last.is_some_and(|last| last >= from_count(batch.number)) {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO key_batches (writer, number, at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET number = excluded.number, at = excluded.at",
    )?
    .execute(params![writer, from_count(batch.number), from_moment(now)])?;
    let mut add = conn.prepare_cached(
        "UPDATE api_keys SET usage_count = usage_count + ?2, last_used = max(coalesce(last_used, 0), ?3)
         WHERE id = ?1",
    )?;
    for used in &batch.uses {
        add.execute(params![used.id.to_string(), from_count(used.count), from_moment(used.last_used)])?;
    }
    conn.prepare_cached("DELETE FROM key_batches WHERE at < ?1")?
        .execute([from_moment(now.minus(BATCHES_KEPT))])?;
    Ok(())
}

fn ended(conn: &Connection, now: Timestamp, most: u64) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT id FROM api_keys WHERE end_told = 0 AND state <> 'revoked' AND ends_at <= ?1
               ORDER BY ends_at, id LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let ids = statement.query_map(params![from_moment(now), from_count(most)], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

fn tell_ended(conn: &Connection, now: Timestamp, most: u64) -> Result<Vec<ApiKey>, StoreError> {
    let mut told = Vec::new();
    for id in ended(conn, now, most)? {
        conn.prepare_cached("UPDATE api_keys SET end_told = 1 WHERE id = ?1")?.execute([&id])?;
        // One that does not read is passed over: it opens nothing, and there is nobody to name.
        if let Some(key) = id.parse().ok().and_then(|id| show(conn, id).ok().flatten()) {
            told.push(key);
        }
    }
    Ok(told)
}
