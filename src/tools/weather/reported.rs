//! What stations have reported in the last hours, held in memory: looking for a report costs nothing when there
//! is none.
//!
//! The store keeps the reports. This process's own are put here as soon as they are kept; those of others come
//! with the change feed, within a second.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;

use super::Observation;
use crate::{
    actors::{
        feed::{self, Listener, Reloaded, Upto},
        kit::ActorError,
    },
    domain::Timestamp,
    error::Coded,
    store::{Change, ChangeKind, MOST_REPORTS, Report, Reports, StoreError, Stores, city_key},
    telemetry::StoreFailures,
    tools::ToolError,
};

/// How long a report counts.
pub(super) const FRESH: Duration = Duration::from_hours(3);
/// Looks at the feed, ten a second, between two of which reports that count no more leave the table.
const SWEEP_EVERY: u64 = 600;
/// What logs and metrics call the keeping of a report.
const REPORT: &str = "reports.report";
/// What they call the reading of all.
const READ: &str = "reports.reports";

/// The reports that count. Clones share them.
#[derive(Clone)]
pub struct Reported {
    table: Arc<Table>,
    store: Arc<dyn Reports>,
    failures: StoreFailures,
}

#[derive(Debug, Default)]
struct Table {
    by_city: RwLock<HashMap<String, Report>>,
    /// How many there are: all that is looked at where there is none.
    count: AtomicUsize,
    /// The row of the feed up to which the table is complete.
    applied: AtomicU64,
    looks: AtomicU64,
}

impl Reported {
    /// None yet; nothing is read.
    pub fn none(stores: &Stores) -> Self {
        let (store, failures) = (Arc::clone(&stores.reports), stores.failures.clone());
        Self { table: Arc::default(), store, failures }
    }

    /// All that the store has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(stores: &Stores) -> Result<Self, StoreError> {
        let reported = Self::none(stores);
        // The position first: what is written meanwhile comes by the feed.
        let position = feed::position(stores).await?;
        reported.read_all(position).await?;
        Ok(reported)
    }

    /// The latest report of `city` that counts at `now`.
    pub(super) fn latest(&self, city: &str, now: impl FnOnce() -> Timestamp) -> Option<Observation> {
        if self.table.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let by_city = self.table.by_city.read();
        by_city.get(&city_key(city)).filter(|report| counts(report, now())).map(observation)
    }

    /// Keeps a report, made now, and gives the one that its city then has: this, or one that another process
    /// dated a moment later. From the moment this returns it is the latest here.
    ///
    /// # Errors
    /// [`ToolError::Unavailable`] if the store does not keep it.
    pub(super) async fn report(&self, report: Report) -> Result<Observation, ToolError> {
        let kept = self.store.report(&report, report.at.minus(FRESH)).await;
        match self.failures.note(REPORT, kept) {
            Ok(kept) => {
                let observation = observation(&kept);
                self.table.put([kept], report.at);
                Ok(observation)
            }
            Err(error) => {
                tracing::error!(%error, store.op = REPORT, "store error");
                let retry_after = error.retry_after().unwrap_or_default();
                Err(ToolError::Unavailable { code: error.code(), retry_after })
            }
        }
    }

    /// Reads all. Reports that do not read are done without: what else comes by the feed, revocations among it,
    /// must not wait for them.
    async fn read_all(&self, upto: u64) -> Result<(), StoreError> {
        let all = self.store.reports(Timestamp::now().minus(FRESH)).await;
        match self.failures.note(READ, all) {
            Ok(all) => self.table.put(all, Timestamp::now()),
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::error!(%error, store.op = READ, "reports of the weather are done without");
            }
            Err(error) => return Err(error),
        }
        self.table.applied.fetch_max(upto, Ordering::AcqRel);
        Ok(())
    }
}

impl Table {
    /// Takes in reports in any order; the later one of a city stays, and what counts for nothing is left out.
    fn put(&self, reports: impl IntoIterator<Item = Report>, now: Timestamp) {
        let mut by_city = self.by_city.write();
        for report in reports.into_iter().filter(|report| !report.is_ahead(now)) {
            let key = report.key();
            if by_city.get(&key).is_none_or(|known| known.at <= report.at || known.is_ahead(now)) {
                by_city.insert(key, report);
            }
            if by_city.len() as u64 > MOST_REPORTS {
                let oldest = by_city.iter().min_by_key(|(_, kept)| (!kept.is_ahead(now), kept.at));
                let oldest = oldest.map(|(key, _)| key.clone());
                oldest.and_then(|key| by_city.remove(&key));
            }
        }
        self.count.store(by_city.len(), Ordering::Relaxed);
    }

    /// Drops what counts no more at `now`.
    fn sweep(&self, now: Timestamp) {
        let mut by_city = self.by_city.write();
        by_city.retain(|_, report| counts(report, now));
        self.count.store(by_city.len(), Ordering::Relaxed);
    }
}

impl Listener for Reported {
    fn applied(&self) -> u64 {
        self.table.applied.load(Ordering::Acquire)
    }

    fn deliver(&self, changes: &[Change], upto: Upto) -> Result<(), ActorError> {
        let new: Vec<_> = changes.iter().filter_map(reported).collect();
        if !new.is_empty() {
            self.table.put(new, Timestamp::now());
        }
        self.table.applied.fetch_max(upto.row, Ordering::AcqRel);
        let looks = self.table.looks.fetch_add(1, Ordering::Relaxed);
        if looks.is_multiple_of(SWEEP_EVERY) && self.table.count.load(Ordering::Relaxed) > 0 {
            self.table.sweep(Timestamp::now());
        }
        Ok(())
    }

    fn reload(&self, upto: Upto) -> Reloaded<'_> {
        Box::pin(self.read_all(upto.row))
    }
}

fn reported(change: &Change) -> Option<Report> {
    match &change.what {
        ChangeKind::Weather(report) => Some(report.clone()),
        _ => None,
    }
}

fn counts(report: &Report, now: Timestamp) -> bool {
    report.at > now.minus(FRESH) && !report.is_ahead(now)
}

fn observation(report: &Report) -> Observation {
    Observation {
        city: report.city.clone(),
        temperature: f64::from(report.hundredths) / 100.0,
        condition: report.condition.clone(),
        timestamp: report.at.to_string(),
        source: "station".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::store::{self, MOST_AHEAD};

    fn report(city: &str, hundredths: i32, at: Timestamp) -> Report {
        Report { city: city.into(), hundredths, condition: "Rain".into(), at }
    }

    fn temperature(reported: &Reported, city: &str, now: Timestamp) -> Option<f64> {
        reported.latest(city, || now).map(|seen| seen.temperature)
    }

    fn upto(row: u64) -> Upto {
        Upto { row, at: Instant::now() }
    }

    #[tokio::test]
    async fn a_report_is_the_latest_at_once_and_for_three_hours() {
        let stores = store::open("memory:").unwrap();
        let reported = Reported::load(&stores).await.unwrap();
        let at = Timestamp::now();
        assert_eq!(temperature(&reported, "Oslo", at), None);
        let seen = reported.report(report("Oslo", -1_234, at)).await.unwrap();
        assert_eq!((seen.temperature, &*seen.source, seen.timestamp), (-12.34, "station", at.to_string()));
        for (after, expected) in [
            (Duration::ZERO, Some(-12.34)),
            (FRESH.saturating_sub(Duration::from_micros(1)), Some(-12.34)),
            (FRESH, None),
        ] {
            assert_eq!(temperature(&reported, " oSLO ", at.plus(after)), expected, "{after:?}");
        }
        assert_eq!(temperature(&reported, "Bergen", at), None);
        reported.report(report("OSLO", 500, at.plus(Duration::from_secs(1)))).await.unwrap();
        assert_eq!(temperature(&reported, "Oslo", at), Some(5.0));
    }

    #[tokio::test]
    async fn where_nothing_is_reported_nothing_is_looked_up() {
        let reported = Reported::none(&store::open("memory:").unwrap());
        let looked = reported.latest("Oslo", || panic!("even the clock is left alone"));
        assert!(looked.is_none());
    }

    #[tokio::test]
    async fn others_reports_come_by_the_feed_and_an_older_one_changes_nothing() {
        let stores = store::open("memory:").unwrap();
        let (one, other) = (Reported::load(&stores).await.unwrap(), Reported::load(&stores).await.unwrap());
        let at = Timestamp::now().minus(Duration::from_secs(60));
        let later = at.plus(Duration::from_secs(30));
        one.report(report("Oslo", 100, at)).await.unwrap();
        one.report(report("Rome", 2_000, at)).await.unwrap();
        let changes = stores.feed.changes_after(0).await.unwrap();
        assert_eq!(temperature(&other, "Oslo", at), None, "not told yet");
        other.deliver(&changes, upto(2)).unwrap();
        assert_eq!(temperature(&other, "Oslo", at), Some(1.0));
        assert_eq!(other.applied(), 2);

        one.report(report("Oslo", 300, later)).await.unwrap();
        one.deliver(&changes, upto(2)).unwrap();
        assert_eq!(temperature(&one, "Oslo", later), Some(3.0), "told twice, and late");

        let third = Reported::load(&stores).await.unwrap();
        assert_eq!((temperature(&third, "Oslo", later), third.applied()), (Some(3.0), 3));
        other.reload(upto(3)).await.unwrap();
        assert_eq!(temperature(&other, "Oslo", later), Some(3.0), "a hole in the feed is read over");
    }

    #[tokio::test]
    async fn a_report_that_does_not_read_holds_up_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let stores = store::open(&format!("sqlite:{}", file.display())).unwrap();
        Reported::none(&stores).report(report("Oslo", 100, Timestamp::now())).await.unwrap();
        let broken = "UPDATE weather_reports SET hundredths = 99999999999";
        rusqlite::Connection::open(&file).unwrap().execute_batch(broken).unwrap();
        assert!(matches!(
            stores.reports.reports(Timestamp::from_micros(0)).await,
            Err(StoreError::Corrupt(_))
        ));
        let reported = Reported::load(&stores).await.unwrap();
        reported.reload(upto(7)).await.unwrap();
        assert_eq!((temperature(&reported, "Oslo", Timestamp::now()), reported.applied()), (None, 7));
    }

    #[tokio::test]
    async fn what_a_wrong_clock_dated_counts_for_nothing_and_gives_way() {
        let (stores, now) = (store::open("memory:").unwrap(), Timestamp::now());
        let ahead = |ahead: Duration| now.plus(ahead);
        let far = ahead(Duration::from_hours(24));
        stores.reports.report(&report("Oslo", 100, far), now.minus(FRESH)).await.unwrap();
        let reported = Reported::load(&stores).await.unwrap();
        assert_eq!(temperature(&reported, "Oslo", now), None);
        reported.deliver(&stores.feed.changes_after(0).await.unwrap(), upto(1)).unwrap();
        assert_eq!(temperature(&reported, "Oslo", now), None);
        let seen = reported.report(report("Oslo", 200, now)).await.unwrap();
        assert_eq!((seen.temperature, temperature(&reported, "Oslo", now)), (2.0, Some(2.0)));
        // A little ahead is how clocks are: that one stays, and it is what is told.
        stores.reports.report(&report("Rome", 300, ahead(MOST_AHEAD)), now.minus(FRESH)).await.unwrap();
        let seen = reported.report(report("Rome", 400, now)).await.unwrap();
        assert_eq!((seen.temperature, temperature(&reported, "Rome", now)), (3.0, Some(3.0)));
    }

    #[tokio::test]
    async fn of_more_cities_than_there_may_be_the_oldest_leaves_the_memory() {
        let reported = Reported::none(&store::open("memory:").unwrap());
        let now = Timestamp::now();
        let at = |n: u64| Timestamp::from_micros(now.micros() - MOST_REPORTS + n);
        reported.table.put((0..=MOST_REPORTS).map(|n| report(&format!("c{n}"), 100, at(n))), now);
        assert_eq!(reported.table.count.load(Ordering::Relaxed) as u64, MOST_REPORTS);
        assert_eq!(temperature(&reported, "c0", now), None);
        assert_eq!(temperature(&reported, "c1", now), Some(1.0));
    }

    #[tokio::test]
    async fn reports_that_count_no_more_leave_the_memory() {
        let reported = Reported::none(&store::open("memory:").unwrap());
        let old = Timestamp::now().minus(FRESH);
        reported.table.put([report("Oslo", 1, old)], old);
        assert_eq!(reported.table.count.load(Ordering::Relaxed), 1);
        for _ in 0..=SWEEP_EVERY {
            reported.deliver(&[], upto(0)).unwrap();
        }
        assert_eq!(reported.table.count.load(Ordering::Relaxed), 0);
    }
}
