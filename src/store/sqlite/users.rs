//! The port [`Users`] on SQLite.

use rusqlite::{Connection, OptionalExtension, Row, Rows, params};
use uuid::Uuid;

use super::{
    Sqlite,
    columns::{count, from_count, from_moment, moment},
    feed,
};
use crate::{
    domain::{Subject, Timestamp},
    store::{ChangeKind, StoreError, StoreFuture, User, Users, users},
};

/// Where a column that does not read was found.
const TABLE: &str = "an account";

impl Users for Sqlite {
    fn find<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<User>> {
        let username = username.clone();
        self.reader.ask(move |conn| {
            let sql =
                "SELECT id, username, roles, active, created_at, last_login FROM users WHERE username = ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([username.as_str()])?;
            rows.next()?.map(read).transpose()
        })
    }

    fn page(&self, page: u64, size: u64) -> StoreFuture<'_, (Vec<User>, u64)> {
        let (skipped, shown) = users::window(page, size);
        self.reader.ask(move |conn| {
            // One snapshot for the page and the total.
            let snapshot = conn.unchecked_transaction()?;
            let total = snapshot
                .prepare_cached("SELECT count(*) FROM users")?
                .query_row([], |row| Ok(count(row, 0, TABLE)))??;
            Ok((list(&snapshot, skipped, shown)?, total))
        })
    }

    fn after<'a>(&'a self, last: Option<&'a Subject>) -> StoreFuture<'a, Vec<User>> {
        // No name is empty, so the empty text is before all of them.
        let last = last.map_or_else(String::new, |last| last.as_str().to_owned());
        self.reader.ask(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, username, roles, active, created_at, last_login FROM users
                 WHERE username > ?1 ORDER BY username LIMIT ?2",
            )?;
            gather(statement.query(params![last, from_count(users::PAGE_SIZE_MAX)])?)
        })
    }

    fn put<'a>(&'a self, user: &'a User) -> StoreFuture<'a, ()> {
        let user = user.clone();
        self.writer.ask(move |conn| {
            put(conn, &user)?;
            feed::append(conn, &ChangeKind::User(user.username), Timestamp::now())
        })
    }
}

fn list(conn: &Connection, skipped: u64, shown: u64) -> Result<Vec<User>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, username, roles, active, created_at, last_login FROM users
         ORDER BY username LIMIT ?1 OFFSET ?2",
    )?;
    gather(statement.query([from_count(shown), from_count(skipped)])?)
}

fn gather(mut rows: Rows<'_>) -> Result<Vec<User>, StoreError> {
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        list.push(read(row)?);
    }
    Ok(list)
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

fn read(row: &Row<'_>) -> Result<User, StoreError> {
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
