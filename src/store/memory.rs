//! The in-memory backend: for tests, and the plainest statement of what every backend must do.

mod families;
mod keys;
mod moving;
mod sessions;
mod tasks;
mod users;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use self::{families::FamilyTables, keys::KeyTables, sessions::SessionTables, users::Kept};
use super::{
    Change, ChangeKind, FEED_PAGE, Feed, FeedWatch, Level, MOST_REPORTS, Quota, Report, Reports, Revocation,
    RevocationTarget, Revocations, Rings, StoreError, StoreFuture, TaskRow, feed, moving::Mark, rings,
};
use crate::domain::{Subject, Timestamp};

/// A store that ends with the process.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Tables>>);

#[derive(Default)]
struct Tables {
    revocations: HashMap<RevocationTarget, Revocation>,
    keys: KeyTables,
    users: BTreeMap<Subject, Kept>,
    families: FamilyTables,
    quotas: HashMap<(String, [u8; 16]), Level>,
    reports: HashMap<String, Report>,
    feed: VecDeque<Change>,
    rings: HashMap<String, [u8; 32]>,
    tasks: HashMap<[u8; 32], TaskRow>,
    sessions: SessionTables,
    mark: Option<Mark>,
}

impl Tables {
    fn revoke(&mut self, revocation: &Revocation) {
        let kept = self.revocations.entry(revocation.target.clone()).or_insert_with(|| revocation.clone());
        kept.widen(revocation);
        let kept = kept.clone();
        self.tell(ChangeKind::Revoked(kept), Timestamp::now());
    }

    fn tell(&mut self, what: ChangeKind, at: Timestamp) {
        self.feed.push_back(Change { id: self.latest().saturating_add(1), at, what });
        let oldest_kept = at.minus(feed::KEPT);
        for _ in 0..feed::PRUNED_PER_WRITE {
            if self.feed.pop_front_if(|oldest| oldest.at < oldest_kept).is_none() {
                return;
            }
        }
    }

    fn report(&mut self, report: &Report, oldest: Timestamp) -> Report {
        self.reports.retain(|_, kept| kept.at > oldest);
        let key = report.key();
        match self.reports.get(&key) {
            Some(known) if known.outlasts(report) => return known.clone(),
            Some(_) => {}
            None => self.make_report_room(report.at),
        }
        self.reports.insert(key, report.clone());
        self.tell(ChangeKind::Weather(report.clone()), Timestamp::now());
        report.clone()
    }

    /// For one more report, made now.
    fn make_report_room(&mut self, now: Timestamp) {
        if self.reports.len() as u64 >= MOST_REPORTS {
            let rank = |kept: &Report| (!kept.is_ahead(now), kept.at);
            let oldest = self.reports.iter().min_by_key(|(_, kept)| rank(kept));
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|key| self.reports.remove(&key));
        }
    }

    fn latest(&self) -> u64 {
        self.feed.back().map_or(0, |newest| newest.id)
    }

    fn changes_after(&self, last: u64) -> Result<Vec<Change>, StoreError> {
        if self.latest() < last {
            return Err(feed::went_backwards());
        }
        let rows = self.feed.iter().filter(|row| row.id > last).take(FEED_PAGE).cloned().collect();
        Ok(feed::bridge(last, rows))
    }

    fn secret(&mut self, name: &str) -> Result<[u8; 32], StoreError> {
        let fresh = rings::fresh()?;
        Ok(*self.rings.entry(name.into()).or_insert(fresh))
    }
}

impl Revocations for Memory {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> StoreFuture<'a, ()> {
        Box::pin(async {
            let mut tables = self.0.lock();
            tables.revoke(revocation);
            tables.end_families_of(&revocation.target, revocation.at);
            Ok(())
        })
    }

    fn live(&self, now: Timestamp) -> StoreFuture<'_, Vec<Revocation>> {
        Box::pin(async move {
            Ok(self.0.lock().revocations.values().filter(|kept| kept.is_live(now)).cloned().collect())
        })
    }

    fn forget_ended(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let ended = self.0.lock().revocations.extract_if(|_, kept| !kept.is_live(now)).count();
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
    }
}

impl Quota for Memory {
    fn save(&self, levels: Vec<Level>, now: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let quotas = &mut self.0.lock().quotas;
            quotas.retain(|_, kept| kept.until > now);
            quotas.extend(levels.into_iter().map(|level| ((level.scope.clone(), level.id), level)));
            Ok(())
        })
    }

    fn levels(&self) -> StoreFuture<'_, Vec<Level>> {
        Box::pin(async { Ok(self.0.lock().quotas.values().cloned().collect()) })
    }
}

impl Reports for Memory {
    fn report<'a>(&'a self, report: &'a Report, oldest: Timestamp) -> StoreFuture<'a, Report> {
        Box::pin(async move { Ok(self.0.lock().report(report, oldest)) })
    }

    fn reports(&self, oldest: Timestamp) -> StoreFuture<'_, Vec<Report>> {
        Box::pin(async move {
            Ok(self.0.lock().reports.values().filter(|kept| kept.at > oldest).cloned().collect())
        })
    }
}

impl Feed for Memory {
    fn changes_after(&self, last: u64) -> StoreFuture<'_, Vec<Change>> {
        Box::pin(async move { self.0.lock().changes_after(last) })
    }

    fn latest(&self) -> StoreFuture<'_, u64> {
        Box::pin(async { Ok(self.0.lock().latest()) })
    }

    fn watch(&self, from: u64) -> Box<dyn FeedWatch> {
        Box::new(MemoryWatch { tables: Arc::clone(&self.0), last: from })
    }
}

impl Rings for Memory {
    fn secret<'a>(&'a self, name: &'a str) -> StoreFuture<'a, [u8; 32]> {
        Box::pin(async { self.0.lock().secret(name) })
    }
}

struct MemoryWatch {
    tables: Arc<Mutex<Tables>>,
    last: u64,
}

impl FeedWatch for MemoryWatch {
    fn poll(&mut self) -> Result<Vec<Change>, StoreError> {
        let changes = self.tables.lock().changes_after(self.last)?;
        self.last = changes.last().map_or(self.last, |newest| newest.id);
        Ok(changes)
    }
}
