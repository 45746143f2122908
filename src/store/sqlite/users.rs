//! The port [`Users`] on SQLite.

use rusqlite::{Connection, OptionalExtension, Row, Rows, params};
use uuid::Uuid;

use super::{
    Sqlite,
    columns::{count, from_count, from_moment, gather, moment},
    families, feed, revocations,
};
use crate::{
    domain::{Subject, Timestamp},
    store::{
        ChangeKind, StoreError, StoreFuture, User, UserChange, Users,
        users::{self, AN_ACCOUNT as TABLE, administers},
    },
    telemetry::StoreFailures,
};

impl Users for Sqlite {
    fn find<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<User>> {
        let username = username.clone();
        self.reader.ask(move |conn| self::find(conn, &username))
    }

    fn page(&self, page: u64, size: u64) -> StoreFuture<'_, (Vec<User>, u64)> {
        let (skipped, shown) = users::window(page, size);
        let failures = self.failures.clone();
        self.reader.ask(move |conn| {
            // One snapshot for the page and the total.
            let snapshot = conn.unchecked_transaction()?;
            let total = snapshot
                .prepare_cached("SELECT count(*) FROM users")?
                .query_row([], |row| Ok(count(row, 0, TABLE)))??;
            Ok((list(&snapshot, (skipped, shown), &failures)?, total))
        })
    }

    fn after<'a>(&'a self, last: Option<&'a Subject>) -> StoreFuture<'a, Vec<User>> {
        // No name is empty, so the empty text is before all of them.
        let last = last.map_or_else(String::new, |last| last.as_str().to_owned());
        let failures = self.failures.clone();
        self.reader.ask(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, username, roles, active, created_at, last_login FROM users
                 WHERE username > ?1 ORDER BY username LIMIT ?2",
            )?;
            read_all(statement.query(params![last, from_count(users::PAGE_SIZE_MAX)])?, &failures)
        })
    }

    fn put<'a>(&'a self, user: &'a User) -> StoreFuture<'a, ()> {
        let user = user.clone();
        self.writer.ask(move |conn| {
            put(conn, &user)?;
            feed::append(conn, &ChangeKind::User(user.username), Timestamp::now())
        })
    }

    fn add<'a>(&'a self, user: &'a User, hash: &'a str, alone: bool) -> StoreFuture<'a, bool> {
        let (user, hash) = (user.clone(), hash.to_owned());
        self.writer.ask(move |conn| {
            let exists = |sql: &str, name: &[&str]| -> Result<bool, StoreError> {
                Ok(conn.prepare_cached(sql)?.exists(rusqlite::params_from_iter(name))?)
            };
            if alone && exists("SELECT 1 FROM users LIMIT 1", &[])? {
                return Ok(false);
            }
            if exists("SELECT 1 FROM users WHERE username = ?1", &[user.username.as_str()])? {
                return Err(StoreError::Taken("the username"));
            }
            put(conn, &user)?;
            set_password(conn, &user.username, &hash)?;
            feed::append(conn, &ChangeKind::User(user.username), Timestamp::now())?;
            Ok(true)
        })
    }

    fn change<'a>(
        &'a self,
        username: &'a Subject,
        change: &'a UserChange,
        administrators: &'a [String],
    ) -> StoreFuture<'a, ()> {
        let (username, change, administrators) =
            (username.clone(), change.clone(), administrators.to_owned());
        self.writer.ask(move |conn| self::change(conn, &username, &change, &administrators))
    }

    fn proof<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<(User, Option<String>)>> {
        let username = username.clone();
        self.reader.ask(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, username, roles, active, created_at, last_login, password_hash
                 FROM users WHERE username = ?1",
            )?;
            let mut rows = statement.query([username.as_str()])?;
            rows.next()?.map(|row| Ok((read(row)?, row.get(6)?))).transpose()
        })
    }

    fn note_login<'a>(
        &'a self,
        username: &'a Subject,
        hash: &'a str,
        at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        let (username, hash) = (username.clone(), hash.to_owned());
        self.writer.ask(move |conn| {
            let sql =
                "UPDATE users SET last_login = ?3 WHERE username = ?1 AND password_hash = ?2 AND active";
            let given = params![username.as_str(), hash, from_moment(at)];
            Ok(conn.prepare_cached(sql)?.execute(given)? == 1)
        })
    }
}

fn change(
    conn: &Connection,
    username: &Subject,
    change: &UserChange,
    administrators: &[String],
) -> Result<(), StoreError> {
    let before = find(conn, username)?.ok_or(StoreError::Missing("such account"))?;
    let mut user = before.clone();
    match change {
        UserChange::Roles(roles) => user.roles.clone_from(roles),
        UserChange::Active(active) => user.active = *active,
        UserChange::Password { hash, revocation } => {
            set_password(conn, username, hash)?;
            revocations::revoke(conn, revocation)?;
            families::end_of(conn, &revocation.target, revocation.at)?;
        }
    }
    let resigns = administers(&before, administrators) && !administers(&user, administrators);
    if resigns && !has_other_administrator(conn, username, administrators)? {
        return Err(StoreError::LastAdministrator);
    }
    put(conn, &user)?;
    feed::append(conn, &ChangeKind::User(user.username), Timestamp::now())
}

fn has_other_administrator(
    conn: &Connection,
    username: &Subject,
    administrators: &[String],
) -> Result<bool, StoreError> {
    let roles = serde_json::to_string(administrators).map_err(|_unwritable| StoreError::Corrupt(TABLE))?;
    let sql = "SELECT 1 FROM users, json_each(users.roles) AS role
               WHERE users.active = 1 AND users.username <> ?1
                 AND role.value IN (SELECT value FROM json_each(?2)) LIMIT 1";
    Ok(conn.prepare_cached(sql)?.exists(params![username.as_str(), roles])?)
}

fn set_password(conn: &Connection, username: &Subject, hash: &str) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE users SET password_hash = ?2 WHERE username = ?1")?
        .execute(params![username.as_str(), hash])?;
    Ok(())
}

fn find(conn: &Connection, username: &Subject) -> Result<Option<User>, StoreError> {
    let sql = "SELECT id, username, roles, active, created_at, last_login FROM users WHERE username = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([username.as_str()])?;
    rows.next()?.map(read).transpose()
}

fn list(
    conn: &Connection,
    (skipped, shown): (u64, u64),
    failures: &StoreFailures,
) -> Result<Vec<User>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, username, roles, active, created_at, last_login FROM users
         ORDER BY username LIMIT ?1 OFFSET ?2",
    )?;
    read_all(statement.query([from_count(shown), from_count(skipped)])?, failures)
}

/// Leaves `password_hash` as it is: replacing an account's data must not end its password.
fn put(conn: &Connection, user: &User) -> Result<(), StoreError> {
    let id = user.id.to_string();
    let owner: Option<String> = conn
        .prepare_cached("SELECT username FROM users WHERE id = ?1")?
        .query_row([&id], |row| row.get(0))
        .optional()?;
    if owner.is_some_and(|owner| owner != user.username.as_str()) {
        return Err(StoreError::Taken("the user's id"));
    }
    let roles = serde_json::to_string(&user.roles).map_err(|_unwritable| StoreError::Corrupt(TABLE))?;
    conn.prepare_cached(
        "INSERT INTO users (username, id, roles, active, created_at, last_login) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (username) DO UPDATE SET id = excluded.id, roles = excluded.roles,
           active = excluded.active, created_at = excluded.created_at, last_login = excluded.last_login",
    )?
    .execute(params![
        user.username.as_str(),
        id,
        roles,
        user.active,
        from_moment(user.created_at),
        user.last_login.map(from_moment)
    ])?;
    Ok(())
}

/// All of these rows. An account that does not read keeps nobody else out: it is as one that is disabled.
fn read_all(rows: Rows<'_>, failures: &StoreFailures) -> Result<Vec<User>, StoreError> {
    let read = |row: &Row<'_>| match read(row) {
        Err(StoreError::Corrupt(what)) => {
            tracing::warn!(store.record = what, "a record in the store does not read: it is passed over");
            failures.unreadable(what);
            Ok(users::disabled(row.get_ref(1)?.as_str().unwrap_or_default()))
        }
        user => user.map(Some),
    };
    Ok(gather(rows, read)?.into_iter().flatten().collect())
}

/// The account in a row of id, username, roles, active, created_at, last_login.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(super) fn read(row: &Row<'_>) -> Result<User, StoreError> {
    columns(row).map_err(|_of_a_column| StoreError::Corrupt(TABLE))
}

fn columns(row: &Row<'_>) -> Result<User, StoreError> {
    let corrupt = || StoreError::Corrupt(TABLE);
    let id: String = row.get(0)?;
    let username: String = row.get(1)?;
    let roles: String = row.get(2)?;
    let last_login: Option<i64> = row.get(5)?;
    Ok(User {
        id: Uuid::try_parse(&id).map_err(|_| corrupt())?,
        username: Subject::try_from(username).map_err(|_| corrupt())?,
        roles: serde_json::from_str(&roles).map_err(|_| corrupt())?,
        active: row.get(3)?,
        created_at: moment(row, 4, TABLE)?,
        last_login: last_login.map(|_| moment(row, 5, TABLE)).transpose()?,
    })
}
