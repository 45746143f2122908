//! An API key as a row, and back.

use ipnet::IpNet;
use rusqlite::{Connection, ErrorCode, Row, params};

use super::columns::{count, from_count, from_moment, moment};
use crate::{
    domain::{ApiKey, KeyDigest, KeyId, KeyState, Rotated, Subject, Timestamp},
    store::StoreError,
};

/// Where a column that does not read was found.
pub(super) const TABLE: &str = "an API key";

/// The columns that [`read`] reads, in its order.
pub(super) const COLUMNS: &str = "id, owner, name, permissions, created_at, expires_at, last_used, \
    usage_count, state, created_by, cidrs, predecessor, successor, rotated_at, grace_until";

/// Adds a key that has no successor yet.
///
/// # Errors
/// [`StoreError::Taken`].
pub(super) fn add(conn: &Connection, digest: &KeyDigest, key: &ApiKey) -> Result<(), StoreError> {
    let json =
        |list: &Vec<String>| serde_json::to_string(list).map_err(|_unwritable| StoreError::Corrupt(TABLE));
    let cidrs: Vec<String> = key.cidrs.iter().map(ToString::to_string).collect();
    let added = conn
        .prepare_cached(
            "INSERT INTO api_keys (id, digest, owner, name, permissions, created_at, expires_at, ends_at,
               last_used, usage_count, state, created_by, cidrs, predecessor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            key.id.to_string(),
            digest.as_bytes().as_slice(),
            key.owner.as_str(),
            key.name.as_str(),
            json(&key.permissions)?,
            from_moment(key.created_at),
            from_moment(key.expires_at),
            from_moment(key.ends_at()),
            key.last_used.map(from_moment),
            from_count(key.usage_count),
            key.state.as_str(),
            key.created_by,
            json(&cidrs)?,
            key.predecessor.map(|id| id.to_string()),
        ]);
    match added {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::Taken("the key"))
        }
        other => other.map(drop).map_err(StoreError::from),
    }
}

/// The key in a row of [`COLUMNS`].
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(super) fn read(row: &Row<'_>) -> Result<ApiKey, StoreError> {
    let corrupt = || StoreError::Corrupt(TABLE);
    let text = |at: usize| row.get::<_, String>(at).map_err(|_| corrupt());
    let permissions: Vec<String> = serde_json::from_str(&text(3)?).map_err(|_| corrupt())?;
    let cidrs: Vec<IpNet> = serde_json::from_str(&text(10)?).map_err(|_| corrupt())?;
    let word = text(8)?;
    Ok(ApiKey {
        id: text(0)?.parse().map_err(|_| corrupt())?,
        owner: Subject::try_from(text(1)?).map_err(|_| corrupt())?,
        name: text(2)?.parse().map_err(|_| corrupt())?,
        permissions,
        created_at: moment(row, 4, TABLE)?,
        expires_at: moment(row, 5, TABLE)?,
        last_used: when(row, 6)?,
        usage_count: count(row, 7, TABLE)?,
        state: KeyState::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(corrupt)?,
        created_by: text(9)?,
        cidrs,
        predecessor: link(row, 11)?,
        rotation: match (link(row, 12)?, when(row, 13)?, when(row, 14)?) {
            (Some(successor), Some(at), Some(grace_until)) => Some(Rotated { successor, at, grace_until }),
            (None, None, None) => None,
            _ => return Err(corrupt()),
        },
    })
}

fn when(row: &Row<'_>, index: usize) -> Result<Option<Timestamp>, StoreError> {
    let there: Option<i64> = row.get(index)?;
    there.map(|_| moment(row, index, TABLE)).transpose()
}

fn link(row: &Row<'_>, index: usize) -> Result<Option<KeyId>, StoreError> {
    let there: Option<String> = row.get(index)?;
    there.map(|id| id.parse().map_err(|_| StoreError::Corrupt(TABLE))).transpose()
}
