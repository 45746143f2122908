//! The port [`Revocations`] on Redis.

use deadpool_redis::redis;

use super::{
    Redis,
    db::{Db, SWEPT_AT_ONCE, Swept},
    family_ends,
    plan::Plan,
    records,
};
use crate::{
    domain::Timestamp,
    store::{ChangeKind, Revocation, Revocations, StoreError, StoreFuture},
};

/// What a record that does not read is.
pub(super) const WHAT: &str = "a revocation";
/// How many are read at a time.
const STEP: usize = 256;
/// How many are restored in one transaction.
const RESTORED_AT_ONCE: usize = 64;

impl Revocations for Redis {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> StoreFuture<'a, ()> {
        let revocation = revocation.clone();
        self.ask(async move |db| {
            let mut ending = db
                .settle(async |mut plan| {
                    revoke(&mut plan, &revocation).await?;
                    family_ends::end_of_tokens(&mut plan, &[&revocation]).await?;
                    let ending = family_ends::of_subject(&mut plan, &revocation).await?;
                    Ok((plan, ending))
                })
                .await?;
            ending.extend(family_ends::of_client(&db, &revocation).await?);
            // It holds by now, however long this takes.
            family_ends::end_in_steps(&db, &ending).await
        })
    }

    fn restore<'a>(&'a self, known: &'a [Revocation]) -> StoreFuture<'a, u64> {
        let known = known.to_vec();
        self.ask(async move |db| restore(&db, &known).await)
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
    let key = plan.names().revocation(&revocation.target);
    let mut kept = read(plan, &key).await?.unwrap_or_else(|| revocation.clone());
    kept.widen(revocation);
    keep(plan, &kept)?;
    plan.tell(&ChangeKind::Revoked(kept))
}

/// Adds all of these to the plan, as [`revoke`].
///
/// # Errors
/// [`StoreError`].
pub(super) async fn revoke_each(plan: &mut Plan<'_>, all: &[Revocation]) -> Result<(), StoreError> {
    plan.look_at(all.iter().map(|one| plan.names().revocation(&one.target)).collect()).await?;
    for one in all {
        revoke(plan, one).await?;
    }
    Ok(())
}

/// Adds those of `known` that are not there, in small transactions: many servers may do this at the same time, and what
/// one has added the next one finds. Says how many it added.
///
/// # Errors
/// [`StoreError`]; some may be there already.
pub(super) async fn restore(db: &Db, known: &[Revocation]) -> Result<u64, StoreError> {
    let mut all = 0;
    for some in known.chunks(RESTORED_AT_ONCE) {
        all += db
            .settle(async |mut plan| {
                plan.look_at(some.iter().map(|one| plan.names().revocation(&one.target)).collect()).await?;
                let mut added = Vec::new();
                for one in some {
                    let key = plan.names().revocation(&one.target);
                    let kept = read(&mut plan, &key).await?;
                    if kept.is_none_or(|kept| !kept.covers(one)) {
                        revoke(&mut plan, one).await?;
                        added.push(one);
                    }
                }
                family_ends::end_of_tokens(&mut plan, &added).await?;
                Ok((plan, added.len() as u64))
            })
            .await?;
    }
    family_ends::end_in_steps(db, &family_ends::older_of(db, known).await?).await?;
    Ok(all)
}

/// The revocation under `key`.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn read(plan: &mut Plan<'_>, key: &str) -> Result<Option<Revocation>, StoreError> {
    plan.get(key).await?.map(|text| records::read(&text, WHAT)).transpose()
}

/// Puts a revocation into its place.
///
/// # Errors
/// [`StoreError`].
pub(super) fn keep(plan: &mut Plan<'_>, kept: &Revocation) -> Result<(), StoreError> {
    let (key, index) = (plan.names().revocation(&kept.target), plan.names().revocations());
    plan.set(key.clone(), records::write(kept, WHAT)?, Some(kept.until));
    plan.then(["ZADD", &index, &kept.until.micros().to_string(), &key]);
    Ok(())
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
