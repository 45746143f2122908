//! The port [`Revocations`] on Redis.

use deadpool_redis::redis;

use super::{
    Redis,
    db::{Db, SWEPT_AT_ONCE, Swept},
    families,
    plan::Plan,
    records,
};
use crate::{
    domain::Timestamp,
    store::{ChangeKind, Revocation, Revocations, StoreError, StoreFuture},
};

/// What a record that does not read is.
const WHAT: &str = "a revocation";
/// How many are read at a time.
const STEP: usize = 256;

impl Revocations for Redis {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> StoreFuture<'a, ()> {
        let revocation = revocation.clone();
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                revoke(&mut plan, &revocation).await?;
                families::end_all_of(&mut plan, &revocation).await?;
                Ok((plan, ()))
            })
            .await
        })
    }

    fn live(&self, now: Timestamp) -> StoreFuture<'_, Vec<Revocation>> {
        self.ask(async move |db| live(&db, now).await)
    }

    fn forget_ended(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        self.ask(async move |db| db.sweep(async |plan| forget(plan, now).await).await)
    }
}

/// Adds `revocation` to the plan, widening one of the same target, and tells of it.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn revoke(plan: &mut Plan<'_>, revocation: &Revocation) -> Result<(), StoreError> {
    let (key, index) = (plan.names().revocation(&revocation.target), plan.names().revocations());
    let mut kept = match plan.get(&key).await? {
        Some(text) => records::read(&text, WHAT)?,
        None => revocation.clone(),
    };
    kept.widen(revocation);
    plan.set(key.clone(), records::write(&kept, WHAT)?, Some(kept.until));
    plan.then(["ZADD", &index, &kept.until.micros().to_string(), &key]);
    plan.tell(&ChangeKind::Revoked(kept))
}

async fn live(db: &Db, now: Timestamp) -> Result<Vec<Revocation>, StoreError> {
    let mut question = redis::cmd("ZRANGEBYSCORE");
    question.arg(db.names.revocations()).arg(format!("({}", now.micros())).arg("+inf");
    let keys: Vec<String> = db.ask(&question).await?;
    let mut all = Vec::with_capacity(keys.len());
    for some in keys.chunks(STEP) {
        for text in db.get_all(some).await? {
            // A list with a hole would let a revoked credential in.
            all.push(records::read(&text.ok_or(StoreError::Corrupt(WHAT))?, WHAT)?);
        }
    }
    Ok(all)
}

async fn forget(mut plan: Plan<'_>, now: Timestamp) -> Result<(Plan<'_>, Swept), StoreError> {
    let index = plan.names().revocations();
    let keys = plan.db().due(&index, now, SWEPT_AT_ONCE).await?;
    let mut dropped = 0;
    // One that is widened meanwhile is planned anew.
    plan.look_at(keys.clone()).await?;
    for key in &keys {
        // The index was read first: one that was widened in between counts on, and is put where it belongs.
        let kept = plan.get(key).await?.and_then(|text| records::read::<Revocation>(&text, WHAT).ok());
        if let Some(kept) = kept.filter(|kept| kept.is_live(now)) {
            plan.then(["ZADD", &index, &kept.until.micros().to_string(), key]);
        } else {
            plan.then(["ZREM", &index, key]);
            plan.delete(key.clone());
            dropped += 1;
        }
    }
    Ok((plan, Swept { found: keys.len(), dropped }))
}
