//! The schema, and how an older file becomes a present one.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::store::StoreError;

/// Marks the file as ours (`PRAGMA application_id`): "Port".
const APPLICATION_ID: i64 = 0x506F_7274;

/// Step `n` (from 0) leads from schema `n` to `n + 1`, which stands in `PRAGMA user_version`.
///
/// A step that was released is never changed; what it did wrong is a further step.
const STEPS: [&str; 8] = [FIRST, QUOTAS, FAMILIES, KEYS, REPORTS, LAST_USE, TASKS, MARKS];

const FIRST: &str = "
    CREATE TABLE revocations (
        kind   TEXT NOT NULL CHECK (kind IN ('jti', 'subject', 'client')),
        target TEXT NOT NULL,
        at     INTEGER NOT NULL CHECK (at >= 0),
        until  INTEGER NOT NULL CHECK (until >= 0),
        PRIMARY KEY (kind, target)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX revocations_by_end ON revocations (until);

    CREATE TABLE users (
        username      TEXT NOT NULL PRIMARY KEY,
        id            TEXT NOT NULL UNIQUE,
        roles         TEXT NOT NULL CHECK (json_valid(roles)),
        active        INTEGER NOT NULL CHECK (active IN (0, 1)),
        created_at    INTEGER NOT NULL CHECK (created_at >= 0),
        last_login    INTEGER CHECK (last_login >= 0),
        password_hash TEXT
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE feed (
        id   INTEGER PRIMARY KEY AUTOINCREMENT,
        at   INTEGER NOT NULL CHECK (at >= 0),
        what TEXT NOT NULL
    ) STRICT;

    CREATE TABLE rings (
        name   TEXT NOT NULL PRIMARY KEY,
        secret BLOB NOT NULL CHECK (length(secret) = 32)
    ) STRICT, WITHOUT ROWID;
";

/// How much of each limit is used up.
const QUOTAS: &str = "
    CREATE TABLE quotas (
        scope TEXT NOT NULL,
        id    BLOB NOT NULL CHECK (length(id) = 16),
        spent INTEGER NOT NULL CHECK (spent >= 0),
        at    INTEGER NOT NULL CHECK (at >= 0),
        until INTEGER NOT NULL CHECK (until >= 0),
        PRIMARY KEY (scope, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX quotas_by_end ON quotas (until);
";

/// Refresh families, what of each was exchanged a moment ago, and its access tokens.
const FAMILIES: &str = "
    CREATE TABLE families (
        id          TEXT NOT NULL PRIMARY KEY,
        subject     TEXT NOT NULL,
        client      TEXT NOT NULL,
        roles       TEXT NOT NULL CHECK (json_valid(roles)),
        permissions TEXT NOT NULL CHECK (json_valid(permissions)),
        has_account INTEGER NOT NULL CHECK (has_account IN (0, 1)),
        refresh     TEXT NOT NULL,
        expires_at  INTEGER NOT NULL CHECK (expires_at >= 0)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX families_by_subject ON families (subject);
    CREATE INDEX families_by_client ON families (client);
    CREATE INDEX families_by_end ON families (expires_at);
    CREATE INDEX families_by_refresh ON families (refresh);

    CREATE TABLE family_used (
        jti     TEXT NOT NULL PRIMARY KEY,
        family  TEXT NOT NULL,
        used_at INTEGER NOT NULL CHECK (used_at >= 0),
        sealed  BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX family_used_by_family ON family_used (family);

    CREATE TABLE family_access (
        jti    TEXT NOT NULL PRIMARY KEY,
        family TEXT NOT NULL,
        until  INTEGER NOT NULL CHECK (until >= 0)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX family_access_by_family ON family_access (family);
";

/// API keys, found by digest; the number of each counter's last batch, so that none counts twice.
const KEYS: &str = "
    CREATE TABLE api_keys (
        id          TEXT NOT NULL PRIMARY KEY,
        digest      BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        owner       TEXT NOT NULL,
        name        TEXT NOT NULL,
        permissions TEXT NOT NULL CHECK (json_valid(permissions)),
        created_at  INTEGER NOT NULL CHECK (created_at >= 0),
        expires_at  INTEGER NOT NULL CHECK (expires_at >= 0),
        ends_at     INTEGER NOT NULL CHECK (ends_at >= 0),
        last_used   INTEGER CHECK (last_used >= 0),
        usage_count INTEGER NOT NULL DEFAULT 0 CHECK (usage_count >= 0),
        state       TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'revoked')),
        created_by  TEXT NOT NULL,
        cidrs       TEXT NOT NULL CHECK (json_valid(cidrs)),
        predecessor TEXT,
        successor   TEXT,
        rotated_at  INTEGER CHECK (rotated_at >= 0),
        grace_until INTEGER CHECK (grace_until >= 0),
        end_told    INTEGER NOT NULL DEFAULT 0 CHECK (end_told IN (0, 1))
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX api_keys_by_end ON api_keys (ends_at) WHERE end_told = 0;

    CREATE TABLE key_batches (
        writer TEXT NOT NULL PRIMARY KEY,
        number INTEGER NOT NULL CHECK (number > 0),
        at     INTEGER NOT NULL CHECK (at >= 0)
    ) STRICT, WITHOUT ROWID;
";

/// The latest report of the weather of each city.
const REPORTS: &str = "
    CREATE TABLE weather_reports (
        key        TEXT NOT NULL PRIMARY KEY,
        city       TEXT NOT NULL,
        hundredths INTEGER NOT NULL,
        condition  TEXT NOT NULL,
        at         INTEGER NOT NULL CHECK (at >= 0)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX weather_reports_by_time ON weather_reports (at);
";

/// Calls that go on after their answer, found by the digest of their id.
const TASKS: &str = "
    CREATE TABLE tasks (
        digest     BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
        owner      TEXT NOT NULL,
        tool       TEXT NOT NULL,
        runner     TEXT NOT NULL,
        created_at INTEGER NOT NULL CHECK (created_at >= 0),
        due        INTEGER NOT NULL CHECK (due >= 0),
        until      INTEGER NOT NULL CHECK (until >= 0),
        ended      TEXT CHECK (ended IN ('completed', 'failed', 'cancelled')),
        ended_at   INTEGER CHECK (ended_at >= 0),
        message    TEXT,
        body       TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tasks_by_owner ON tasks (owner, until);
    CREATE INDEX tasks_by_end ON tasks (until);
    CREATE INDEX tasks_running ON tasks (runner) WHERE ended IS NULL;
";

/// Words about the file as a whole, for example that a copy into it is under way.
const MARKS: &str = "
    CREATE TABLE marks (
        name TEXT NOT NULL PRIMARY KEY,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The schema that this program writes.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

/// Checks that the file is empty or ours, and not of a newer program; changes nothing.
///
/// # Errors
/// [`StoreError::Newer`], or [`StoreError::Config`] for somebody else's database.
pub(super) fn admit(conn: &Connection) -> Result<(), StoreError> {
    // One snapshot: another process may be making the tables right now.
    let snapshot = conn.unchecked_transaction()?;
    let owner: i64 = snapshot.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if owner != APPLICATION_ID && (owner, tables) != (0, 0) {
        return Err(StoreError::Config("names a database of another program".into()));
    }
    let found = version(&snapshot)?;
    if found > KNOWN { Err(StoreError::Newer { found, known: KNOWN }) } else { Ok(()) }
}

/// When a family was last used: what was used before is older than everything since.
const LAST_USE: &str = "
    ALTER TABLE families ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0 CHECK (used_at >= 0);
";

/// Takes the steps that the file lacks, each whole or not at all.
///
/// # Errors
/// [`StoreError`]; the file is then at one of the versions in between, and whole.
pub(super) fn up(conn: &Connection) -> Result<(), StoreError> {
    while version(conn)? < KNOWN {
        // The lock comes first, then the version again: another process may have been faster.
        let step = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let present = version(&step)?;
        let Some(sql) = usize::try_from(present).ok().and_then(|index| STEPS.get(index)) else {
            break;
        };
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", present + 1)?;
        step.commit()?;
    }
    admit(conn)
}

fn version(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_comes_to_the_present_schema_once() {
        let conn = Connection::open_in_memory().unwrap();
        admit(&conn).unwrap();
        up(&conn).unwrap();
        up(&conn).unwrap();
        assert_eq!(version(&conn), Ok(KNOWN));
        assert_eq!(conn.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused_with_both_versions() {
        let conn = Connection::open_in_memory().unwrap();
        up(&conn).unwrap();
        conn.pragma_update(None, "user_version", KNOWN + 1).unwrap();
        let refused = admit(&conn).unwrap_err();
        assert_eq!(refused, StoreError::Newer { found: KNOWN + 1, known: KNOWN });
        assert!(refused.to_string().contains("use the newer program"));
        assert_eq!(up(&conn), Err(refused));
    }

    #[test]
    fn somebody_elses_database_is_not_touched() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE bills (sum INTEGER)").unwrap();
        assert!(matches!(admit(&conn), Err(StoreError::Config(_))));
        conn.execute_batch("DROP TABLE bills; PRAGMA application_id = 7").unwrap();
        assert!(matches!(admit(&conn), Err(StoreError::Config(_))));
    }
}
