//! The port [`Reports`] on SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Sqlite,
    columns::{from_count, from_moment, moment},
    feed,
};
use crate::{
    domain::Timestamp,
    store::{ChangeKind, MOST_REPORTS, Report, Reports, StoreError, StoreFuture},
};

/// Where a column that does not read was found.
const TABLE: &str = "a weather report";

impl Reports for Sqlite {
    fn report<'a>(&'a self, report: &'a Report, oldest: Timestamp) -> StoreFuture<'a, bool> {
        let report = report.clone();
        self.writer.ask(move |conn| {
            conn.prepare_cached("DELETE FROM weather_reports WHERE at <= ?1")?
                .execute([from_moment(oldest)])?;
            let key = report.key();
            if !has_room(conn, &key)? {
                return Ok(false);
            }
            // Of two at once the later one stays, whichever is written last.
            let kept = conn
                .prepare_cached(
                    "INSERT INTO weather_reports (key, city, hundredths, condition, at)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET city = excluded.city, hundredths = excluded.hundredths,
                       condition = excluded.condition, at = excluded.at WHERE excluded.at >= at",
                )?
                .execute(params![
                    key,
                    report.city,
                    report.hundredths,
                    report.condition,
                    from_moment(report.at)
                ])?;
            if kept > 0 {
                feed::append(conn, &ChangeKind::Weather(report), Timestamp::now())?;
            }
            Ok(true)
        })
    }

    fn reports(&self, oldest: Timestamp) -> StoreFuture<'_, Vec<Report>> {
        self.reader.ask(move |conn| {
            let sql = "SELECT city, hundredths, condition, at FROM weather_reports WHERE at > ?1";
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([from_moment(oldest)])?;
            let mut reports = Vec::new();
            while let Some(row) = rows.next()? {
                reports.push(read(row)?);
            }
            Ok(reports)
        })
    }
}

/// Whether the city has a report already, or one more may have.
fn has_room(conn: &Connection, key: &str) -> Result<bool, StoreError> {
    let known = conn
        .prepare_cached("SELECT 1 FROM weather_reports WHERE key = ?1")?
        .query_row([key], |_| Ok(()))
        .optional()?;
    let count: i64 =
        conn.prepare_cached("SELECT count(*) FROM weather_reports")?.query_row([], |row| row.get(0))?;
    Ok(known.is_some() || count < from_count(MOST_REPORTS))
}

fn read(row: &Row<'_>) -> Result<Report, StoreError> {
    Ok(Report {
        city: row.get(0)?,
        hundredths: row.get(1)?,
        condition: row.get(2)?,
        at: moment(row, 3, TABLE)?,
    })
}
