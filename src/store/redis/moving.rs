//! The port [`Moving`] on Redis.

use deadpool_redis::redis;

use super::{Redis, db::Db, leases::THERE_FOR_SECS, records, revocations, whole};
use crate::{
    domain::Timestamp,
    store::{
        Revocation, StoreError, StoreFuture,
        moving::{Found, Listing, MOST_LISTED, Mark, Moving, Record, RecordKind, Traits, target_id},
    },
};

/// Records that one transaction writes: nobody else gets a turn meanwhile.
const STEP: usize = 64;

impl Moving for Redis {
    fn list(&self, kind: RecordKind, after: Option<String>, now: Timestamp) -> StoreFuture<'_, Listing> {
        self.ask(async move |db| match kind {
            RecordKind::Ring => {
                let mut ids: Vec<String> = db.ask(redis::cmd("SMEMBERS").arg(db.names.rings())).await?;
                ids.sort_unstable();
                Ok(Listing { ids, next: None })
            }
            RecordKind::User => by_name(&db, &db.names.users(), after).await,
            RecordKind::Key => by_name(&db, &db.names.keys(), after).await,
            RecordKind::Family => by_end(&db, &db.names.families(), after, Some(now)).await,
            RecordKind::Task => by_end(&db, &db.names.tasks(), after, Some(now)).await,
            RecordKind::Report => by_end(&db, &db.names.reports_by_age(), after, None).await,
            RecordKind::Level => {
                let page = by_end(&db, &db.names.levels(), after, Some(now)).await?;
                let ids = page.ids.iter().map(|name| db.names.rest(name, "level:").map(str::to_owned));
                let ids = ids.collect::<Option<_>>().ok_or(StoreError::Corrupt("a level"))?;
                Ok(Listing { ids, ..page })
            }
            RecordKind::Revocation => {
                let page = by_end(&db, &db.names.revocations(), after, Some(now)).await?;
                Ok(Listing { ids: targets(&db, &page.ids).await?, ..page })
            }
        })
    }

    fn look_up(&self, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'_, Found> {
        self.ask(async move |db| whole::find(&db, kind, ids).await)
    }

    fn put_all<'a>(&'a self, mark: &'a Mark, records: Vec<Record>) -> StoreFuture<'a, ()> {
        let mark = mark.clone();
        self.ask(async move |db| {
            for some in records.chunks(STEP) {
                db.settle(async |mut plan| {
                    mark.demand(plan.get(&plan.names().mark()).await?.as_deref())?;
                    whole::put(&mut plan, some).await?;
                    Ok((plan, ()))
                })
                .await?;
            }
            Ok(())
        })
    }

    fn drop_all<'a>(&'a self, mark: &'a Mark, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'a, ()> {
        let mark = mark.clone();
        self.ask(async move |db| {
            for some in ids.chunks(STEP) {
                db.settle(async |mut plan| {
                    mark.demand(plan.get(&plan.names().mark()).await?.as_deref())?;
                    for id in some {
                        whole::remove(&mut plan, kind, id).await?;
                    }
                    Ok((plan, ()))
                })
                .await?;
            }
            Ok(())
        })
    }

    fn mark(&self) -> StoreFuture<'_, Option<Mark>> {
        self.ask(async move |db| db.get(&db.names.mark()).await?.as_deref().map(Mark::parse).transpose())
    }

    fn mark_as<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, Option<Mark>> {
        let mark = mark.clone();
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                let key = plan.names().mark();
                let before = plan.get(&key).await?.as_deref().map(Mark::parse).transpose()?;
                if mark.follows(before.as_ref()) {
                    plan.set(key, mark.after(before.as_ref()).text(), None);
                }
                Ok((plan, before))
            })
            .await
        })
    }

    fn unmark<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, ()> {
        let mark = mark.clone();
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                let key = plan.names().mark();
                mark.demand(plan.get(&key).await?.as_deref())?;
                plan.delete(key);
                Ok((plan, ()))
            })
            .await
        })
    }

    fn traits(&self) -> StoreFuture<'_, Traits> {
        self.ask(async move |db| {
            let names = &db.names;
            let mut questions = redis::pipe();
            questions.mget(&[names.feed_counter(), names.users_version(), names.tasks_version()][..]);
            questions.zcard(names.keys()).zcard(names.families()).zcard(names.revocations());
            let (versions, keys, families, revocations): (Vec<Option<u64>>, u64, u64, u64) =
                db.together(&questions).await?;
            let version = format!("{versions:?} {keys} {families} {revocations}");
            let place = format!("redis {}", db.generation());
            Ok(Traits { place, version, servers: servers(&db).await? })
        })
    }
}

/// How many servers have said of late that they are there, by the clock of the Redis.
async fn servers(db: &Db) -> Result<u64, StoreError> {
    let (now, _micros): (u64, u64) = db.ask(&redis::cmd("TIME")).await?;
    let mut question = redis::cmd("ZCOUNT");
    question.arg(db.names.servers()).arg(now.saturating_sub(THERE_FOR_SECS)).arg("+inf");
    db.ask(&question).await
}

/// A page of an index whose members stand in the order of their names.
async fn by_name(db: &Db, index: &str, after: Option<String>) -> Result<Listing, StoreError> {
    let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
    let mut question = redis::cmd("ZRANGEBYLEX");
    question.arg(index).arg(from).arg("+").arg("LIMIT").arg(0).arg(MOST_LISTED);
    let ids: Vec<String> = db.ask(&question).await?;
    let next = ids.get(MOST_LISTED - 1).cloned();
    Ok(Listing { ids, next })
}

/// A page of an index by time, of what comes after `now`; where it goes on is a number of members.
async fn by_end(
    db: &Db,
    index: &str,
    after: Option<String>,
    now: Option<Timestamp>,
) -> Result<Listing, StoreError> {
    let skipped: usize = after.and_then(|after| after.parse().ok()).unwrap_or(0);
    let from = now.map_or_else(|| "-inf".to_owned(), |now| format!("({}", now.micros()));
    let mut question = redis::cmd("ZRANGEBYSCORE");
    question.arg(index).arg(from).arg("+inf").arg("LIMIT").arg(skipped).arg(MOST_LISTED);
    let ids: Vec<String> = db.ask(&question).await?;
    let next = (ids.len() == MOST_LISTED).then(|| (skipped + MOST_LISTED).to_string());
    Ok(Listing { ids, next })
}

/// The ids of the revocations under these names.
async fn targets(db: &Db, names: &[String]) -> Result<Vec<String>, StoreError> {
    const WHAT: &str = revocations::WHAT;
    let texts = db.get_all(names).await?.into_iter();
    // A list with a hole would let a revoked credential in.
    let read =
        |text: Option<String>| records::read::<Revocation>(&text.ok_or(StoreError::Corrupt(WHAT))?, WHAT);
    texts.map(|text| Ok(target_id(&read(text)?.target))).collect()
}
