//! How a connection is opened, and what it promises.

use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::{migrations, place::Place};
use crate::store::StoreError;

/// Longest wait for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts to turn WAL on; SQLite does not wait by itself there.
const WAL_PAUSE: Duration = Duration::from_millis(5);
/// What a fully folded log may keep on disk, bytes.
const LOG_BYTES: i64 = 16 * 1024 * 1024;

/// Opens the one connection that writes; brings the schema up to date first.
///
/// `synchronous` follows the promise: all that is written here (revocations, accounts, shared
/// secrets) must survive a loss of power once it was answered, hence `FULL`, one fsync of the log per
/// commit. `NORMAL` would survive a crash of the process but may lose the last commits with the power.
///
/// # Errors
/// As [`store::open`](crate::store::open).
pub(super) fn for_writing(place: &Place) -> Result<Connection, StoreError> {
    let conn = open(place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    migrations::admit(&conn)?;
    turn_wal_on(&conn)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    migrations::up(&conn)?;
    Ok(conn)
}

/// Opens a connection that cannot write.
///
/// # Errors
/// [`StoreError::Unavailable`], also if the file is no longer the one that was prepared.
pub(super) fn for_reading(place: &Place) -> Result<Connection, StoreError> {
    let conn = open(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    migrations::admit(&conn)?;
    Ok(conn)
}

fn open(place: &Place, access: OpenFlags) -> Result<Connection, StoreError> {
    // No URI and no CREATE: the path is a path, and the file was made with its mode already.
    let conn = Connection::open_with_flags(place.path(), access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    place.check()?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    Ok(conn)
}

/// Where another process holds the write lock, SQLite says busy here at once, whatever its timeout (seen).
fn turn_wal_on(conn: &Connection) -> Result<(), StoreError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_other) => {
                return Err(StoreError::Config("is on a file system that cannot hold it (no WAL)".into()));
            }
            Err(e) if is_busy(&e) && Instant::now() < deadline => thread::park_timeout(WAL_PAUSE),
            Err(e) => return Err(e.into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
