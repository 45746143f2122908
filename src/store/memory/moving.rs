//! The port [`Moving`] in memory.

use std::sync::Arc;

use super::{Memory, Tables, users::Kept};
use crate::{
    domain::Timestamp,
    store::{
        StoreError, StoreFuture,
        hex::{hex, unhex},
        moving::{
            self, Found, Listing, MOST_LISTED, Mark, Moving, Record, RecordKind, Traits, level_id, level_of,
            target_id,
        },
    },
};

impl Tables {
    fn ids(&self, kind: RecordKind, now: Timestamp) -> Vec<String> {
        match kind {
            RecordKind::Ring => self.rings.keys().cloned().collect(),
            RecordKind::Revocation => self
                .revocations
                .values()
                .filter(|kept| kept.is_live(now))
                .map(|kept| target_id(&kept.target))
                .collect(),
            RecordKind::User => self.users.keys().map(ToString::to_string).collect(),
            RecordKind::Key => self.keys.ids().map(ToString::to_string).collect(),
            RecordKind::Family => self.families.live(now).cloned().collect(),
            RecordKind::Level => {
                let live = self.quotas.values().filter(|level| level.until > now);
                live.map(|level| level_id(&level.scope, &level.id)).collect()
            }
            RecordKind::Report => self.reports.keys().cloned().collect(),
            RecordKind::Task => {
                self.tasks.values().filter(|row| row.until > now).map(|row| hex(&row.digest)).collect()
            }
        }
    }

    fn record(&self, kind: RecordKind, id: &str) -> Option<Record> {
        match kind {
            RecordKind::Ring => {
                self.rings.get(id).map(|secret| Record::Ring { name: id.to_owned(), secret: *secret })
            }
            RecordKind::Revocation => {
                self.revocations.get(&moving::target_of(id).ok()?).cloned().map(Record::Revocation)
            }
            RecordKind::User => {
                let Kept { user, hash } = self.users.get(&id.parse().ok()?)?;
                Some(Record::User { user: user.clone(), hash: hash.clone() })
            }
            RecordKind::Key => {
                let (digest, key, told_ended) = self.keys.whole(id.parse().ok()?)?;
                Some(Record::Key { digest, key: Box::new(key), told_ended })
            }
            RecordKind::Family => self.families.whole(id).map(|whole| Record::Family(Box::new(whole))),
            RecordKind::Level => {
                let (scope, id) = level_of(id).ok()?;
                self.quotas.get(&(scope.to_owned(), id)).cloned().map(Record::Level)
            }
            RecordKind::Report => self.reports.get(id).cloned().map(Record::Report),
            RecordKind::Task => self.tasks.get(&unhex(id)?).map(|row| Record::Task(Box::new(row.clone()))),
        }
    }

    fn keep(&mut self, record: Record) {
        match record {
            Record::Ring { name, secret } => drop(self.rings.insert(name, secret)),
            Record::Revocation(revocation) => {
                self.revocations.insert(revocation.target.clone(), revocation);
            }
            Record::User { user, hash } => {
                self.users.insert(user.username.clone(), Kept { user, hash });
            }
            Record::Key { digest, key, told_ended } => self.keys.put(digest, *key, told_ended),
            Record::Family(whole) => self.families.put(*whole),
            Record::Level(level) => drop(self.quotas.insert((level.scope.clone(), level.id), level)),
            Record::Report(report) => drop(self.reports.insert(report.key(), report)),
            Record::Task(row) => drop(self.tasks.insert(row.digest, *row)),
        }
    }

    fn lose(&mut self, kind: RecordKind, id: &str) -> Option<()> {
        match kind {
            RecordKind::Ring => drop(self.rings.remove(id)),
            RecordKind::Revocation => drop(self.revocations.remove(&moving::target_of(id).ok()?)),
            RecordKind::User => drop(self.users.remove(&id.parse().ok()?)),
            RecordKind::Key => self.keys.remove(id.parse().ok()?),
            RecordKind::Family => self.families.remove(id),
            RecordKind::Level => {
                let (scope, id) = level_of(id).ok()?;
                self.quotas.remove(&(scope.to_owned(), id));
            }
            RecordKind::Report => drop(self.reports.remove(id)),
            RecordKind::Task => drop(self.tasks.remove(&unhex(id)?)),
        }
        Some(())
    }

    fn demand(&self, mark: &Mark) -> Result<(), StoreError> {
        mark.demand(self.mark.as_ref().map(Mark::text).as_deref())
    }
}

impl Moving for Memory {
    fn list(&self, kind: RecordKind, after: Option<String>, now: Timestamp) -> StoreFuture<'_, Listing> {
        Box::pin(async move {
            let mut ids = self.0.lock().ids(kind, now);
            ids.retain(|id| after.as_ref().is_none_or(|after| id > after));
            ids.sort_unstable();
            ids.truncate(MOST_LISTED);
            let next = ids.get(MOST_LISTED - 1).cloned();
            Ok(Listing { ids, next })
        })
    }

    fn look_up(&self, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'_, Found> {
        Box::pin(async move {
            let tables = self.0.lock();
            let records = ids.iter().filter_map(|id| tables.record(kind, id)).collect();
            Ok(Found { records, looked_for: ids.len() })
        })
    }

    fn put_all<'a>(&'a self, mark: &'a Mark, records: Vec<Record>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            tables.demand(mark)?;
            records.into_iter().for_each(|record| tables.keep(record));
            Ok(())
        })
    }

    fn drop_all<'a>(&'a self, mark: &'a Mark, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            tables.demand(mark)?;
            // An id that does not read is nobody's.
            for id in &ids {
                _ = tables.lose(kind, id);
            }
            Ok(())
        })
    }

    fn mark(&self) -> StoreFuture<'_, Option<Mark>> {
        Box::pin(async { Ok(self.0.lock().mark.clone()) })
    }

    fn mark_as<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, Option<Mark>> {
        Box::pin(async {
            let kept = &mut self.0.lock().mark;
            let before = kept.clone();
            if mark.follows(before.as_ref()) {
                *kept = Some(mark.after(before.as_ref()));
            }
            Ok(before)
        })
    }

    fn unmark<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, ()> {
        Box::pin(async {
            let mut tables = self.0.lock();
            tables.demand(mark)?;
            tables.mark = None;
            Ok(())
        })
    }

    fn traits(&self) -> StoreFuture<'_, Traits> {
        Box::pin(async {
            let place = format!("memory {:p}", Arc::as_ptr(&self.0));
            Ok(Traits { place, version: self.0.lock().latest().to_string(), servers: 0 })
        })
    }
}
