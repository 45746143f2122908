//! The port [`Rings`] on SQLite.

use rusqlite::params;

use super::Sqlite;
use crate::store::{Rings, StoreError, StoreFuture, rings};

impl Rings for Sqlite {
    fn secret<'a>(&'a self, name: &'a str) -> StoreFuture<'a, [u8; 32]> {
        let name = name.to_owned();
        // Through the writer: whoever comes second reads what the first committed.
        self.writer.ask(move |conn| {
            let fresh = rings::fresh()?;
            conn.prepare_cached("INSERT OR IGNORE INTO rings (name, secret) VALUES (?1, ?2)")?
                .execute(params![name, fresh])?;
            let kept: Vec<u8> = conn
                .prepare_cached("SELECT secret FROM rings WHERE name = ?1")?
                .query_row([&name], |row| row.get(0))?;
            kept.try_into().map_err(|_length| StoreError::Corrupt("a shared secret"))
        })
    }
}
