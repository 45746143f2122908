//! The port [`Tasks`] on SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Sqlite,
    columns::{from_count, from_moment, moment},
};
use crate::{
    domain::Timestamp,
    store::{EndedTask, LostTask, StoreError, StoreFuture, TaskEnd, TaskMade, TaskRoom, TaskRow, Tasks},
};

/// Where a column that does not read was found.
const TABLE: &str = "a task";
/// Tasks that one transaction forgets.
const FORGOTTEN_AT_ONCE: u32 = 512;

impl Tasks for Sqlite {
    fn create_task<'a>(&'a self, row: &'a TaskRow, room: TaskRoom) -> StoreFuture<'a, TaskMade> {
        let row = row.clone();
        self.writer.ask(move |conn| {
            let now = from_moment(row.created_at);
            let has_room = |sql: &str, owner: &str, most: u64| -> Result<bool, StoreError> {
                let kept: i64 = conn
                    .prepare_cached(sql)?
                    .query_row(params![now, owner, from_count(most)], |row| row.get(0))?;
                Ok(kept < from_count(most))
            };
            // No more are counted than it takes to know.
            let all = "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE until > ?1 AND ?2 = '' LIMIT ?3)";
            if !has_room(all, "", room.of_all)? {
                return Ok(TaskMade::OfAll);
            }
            let of_one =
                "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE until > ?1 AND owner = ?2 LIMIT ?3)";
            if !has_room(of_one, row.owner.as_str(), room.of_one)? {
                return Ok(TaskMade::OfOne);
            }
            insert(conn, &row)?;
            Ok(TaskMade::Kept)
        })
    }

    fn end_task<'a>(&'a self, digest: &'a [u8; 32], end: EndedTask) -> StoreFuture<'a, bool> {
        let digest = *digest;
        self.writer.ask(move |conn| {
            let ended = conn
                .prepare_cached(
                    "UPDATE tasks SET ended = ?2, ended_at = ?3, message = ?4, body = ?5
                     WHERE digest = ?1 AND ended IS NULL",
                )?
                .execute(params![digest, word(end.how), from_moment(end.at), end.message, end.body])?;
            Ok(ended > 0)
        })
    }

    fn find_task<'a>(&'a self, digest: &'a [u8; 32], now: Timestamp) -> StoreFuture<'a, Option<TaskRow>> {
        let digest = *digest;
        self.reader.ask(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT digest, owner, tool, runner, created_at, due, until, ended, ended_at, message, body
                 FROM tasks WHERE digest = ?1 AND until > ?2",
            )?;
            let row =
                statement.query_row(params![digest, from_moment(now)], |row| Ok(read(row))).optional()?;
            row.transpose()
        })
    }

    fn end_tasks_of<'a>(&'a self, runner: &'a str, end: EndedTask) -> StoreFuture<'a, Vec<LostTask>> {
        let runner = runner.to_owned();
        self.writer.ask(move |conn| {
            let mut statement = conn.prepare_cached(
                "UPDATE tasks SET ended = ?2, ended_at = ?3, message = ?4, body = ?5
                 WHERE runner = ?1 AND ended IS NULL RETURNING digest, owner, tool",
            )?;
            let end = params![runner, word(end.how), from_moment(end.at), end.message, end.body];
            let lost = statement.query_map(end, |row| Ok(read_lost(row)))?;
            lost.map(|lost| lost?).collect()
        })
    }

    fn forget_tasks(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        let now = from_moment(now);
        self.writer.in_steps(FORGOTTEN_AT_ONCE, move |conn| {
            let gone = conn
                .prepare_cached(
                    "DELETE FROM tasks WHERE digest IN (SELECT digest FROM tasks WHERE until <= ?1 LIMIT ?2)",
                )?
                .execute(params![now, FORGOTTEN_AT_ONCE])?;
            Ok(u32::try_from(gone).unwrap_or(u32::MAX))
        })
    }
}

/// Adds a task that is not there, with its end if it has ended.
///
/// # Errors
/// [`StoreError`].
pub(super) fn insert(conn: &Connection, row: &TaskRow) -> Result<(), StoreError> {
    let ended = row.ended.as_ref();
    conn.prepare_cached(
        "INSERT INTO tasks
           (digest, owner, tool, runner, created_at, due, until, ended, ended_at, message, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        row.digest,
        row.owner.as_str(),
        row.tool,
        row.runner,
        from_moment(row.created_at),
        from_moment(row.due),
        from_moment(row.until),
        ended.map(|end| word(end.how)),
        ended.map(|end| from_moment(end.at)),
        ended.and_then(|end| end.message.as_deref()),
        ended.map(|end| end.body.as_str()),
    ])?;
    Ok(())
}

/// The word for it in a row.
const fn word(how: TaskEnd) -> &'static str {
    match how {
        TaskEnd::Completed => "completed",
        TaskEnd::Failed => "failed",
        TaskEnd::Cancelled => "cancelled",
    }
}

fn read_lost(row: &Row<'_>) -> Result<LostTask, StoreError> {
    let corrupt = || StoreError::Corrupt(TABLE);
    let digest: Vec<u8> = row.get(0)?;
    let owner: String = row.get(1)?;
    Ok(LostTask {
        digest: digest.try_into().map_err(|_length| corrupt())?,
        owner: owner.parse().map_err(|_| corrupt())?,
        tool: row.get(2)?,
    })
}

/// The task in a row of all columns, in their order.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(super) fn read(row: &Row<'_>) -> Result<TaskRow, StoreError> {
    let corrupt = || StoreError::Corrupt(TABLE);
    let digest: Vec<u8> = row.get(0)?;
    let owner: String = row.get(1)?;
    let ended = match row.get::<_, Option<String>>(7)?.as_deref() {
        None => None,
        Some(ended) => {
            let all = [TaskEnd::Completed, TaskEnd::Failed, TaskEnd::Cancelled];
            let how = all.into_iter().find(|how| word(*how) == ended).ok_or_else(corrupt)?;
            let body = row.get::<_, Option<String>>(10)?.unwrap_or_default();
            Some(EndedTask { how, at: moment(row, 8, TABLE)?, message: row.get(9)?, body })
        }
    };
    Ok(TaskRow {
        digest: digest.try_into().map_err(|_length| corrupt())?,
        owner: owner.parse().map_err(|_| corrupt())?,
        tool: row.get(2)?,
        runner: row.get(3)?,
        created_at: moment(row, 4, TABLE)?,
        due: moment(row, 5, TABLE)?,
        until: moment(row, 6, TABLE)?,
        ended,
    })
}
