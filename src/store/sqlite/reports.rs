//! The port [`Reports`] on SQLite.

use rusqlite::{Connection, Row, params};

use super::{
    Sqlite,
    columns::{from_count, from_moment, moment},
    feed,
};
use crate::{
    domain::Timestamp,
    store::{ChangeKind, MOST_AHEAD, MOST_REPORTS, Report, Reports, StoreError, StoreFuture},
};

/// Where a column that does not read was found.
const TABLE: &str = "a weather report";

impl Reports for Sqlite {
    fn report<'a>(&'a self, report: &'a Report, oldest: Timestamp) -> StoreFuture<'a, Report> {
        let report = report.clone();
        self.writer.ask(move |conn| {
            conn.prepare_cached("DELETE FROM weather_reports WHERE at <= ?1")?
                .execute([from_moment(oldest)])?;
            let key = report.key();
            match kept(conn, &key) {
                Ok(Some(known)) if known.outlasts(&report) => return Ok(known),
                // What does not read is written over.
                Ok(Some(_)) | Err(StoreError::Corrupt(_)) => {}
                Ok(None) => make_room(conn, report.at)?,
                Err(error) => return Err(error),
            }
            conn.prepare_cached(
                "INSERT OR REPLACE INTO weather_reports (key, city, hundredths, condition, at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                key,
                report.city,
                report.hundredths,
                report.condition,
                from_moment(report.at)
            ])?;
            feed::append(conn, &ChangeKind::Weather(report.clone()), Timestamp::now())?;
            Ok(report)
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

/// The report that is kept under `key`.
///
/// # Errors
/// [`StoreError`].
pub(super) fn kept(conn: &Connection, key: &str) -> Result<Option<Report>, StoreError> {
    let sql = "SELECT city, hundredths, condition, at FROM weather_reports WHERE key = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(read).transpose()
}

/// For one more report, made now.
fn make_room(conn: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let count: i64 =
        conn.prepare_cached("SELECT count(*) FROM weather_reports")?.query_row([], |row| row.get(0))?;
    if count >= from_count(MOST_REPORTS) {
        conn.prepare_cached(
            "DELETE FROM weather_reports WHERE key =
               (SELECT key FROM weather_reports ORDER BY at <= ?1, at LIMIT 1)",
        )?
        .execute([from_moment(now.plus(MOST_AHEAD))])?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Report, StoreError> {
    Ok(Report {
        city: row.get(0)?,
        hundredths: row.get(1)?,
        condition: row.get(2)?,
        at: moment(row, 3, TABLE)?,
    })
}
