//! The port [`Adoption`] on Redis: a hash names the stores that this one stands in for.

use std::sync::Arc;

use deadpool_redis::redis;

use super::{Inner, Redis, revocations, rings, survey};
use crate::{
    domain::Timestamp,
    store::{
        Adoption, IDENTITY_RING, Kept, Moved, Revocation, StoreError, StoreFuture, identity, rings::fresh,
    },
};

impl Adoption for Redis {
    fn kept(&self) -> StoreFuture<'_, Kept> {
        self.ask(async move |db| {
            let names = &db.names;
            let mut questions = redis::pipe();
            for index in [names.users(), names.keys(), names.families(), names.revocations()] {
                questions.cmd("ZCARD").arg(index);
            }
            let (accounts, keys, families, revocations) = db.together(&questions).await?;
            Ok(Kept { accounts, keys, families, revocations })
        })
    }

    fn adopt<'a>(&'a self, old: &'a str) -> StoreFuture<'a, ()> {
        let old = old.to_owned();
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                let now = Timestamp::now().micros().to_string();
                plan.then(["HSET", &plan.names().adopted(), &old, &now]);
                Ok((plan, ()))
            })
            .await
        })
    }

    fn stands_in_for<'a>(&'a self, old: &'a str) -> StoreFuture<'a, bool> {
        let old = old.to_owned();
        self.ask(async move |db| db.ask(redis::cmd("HEXISTS").arg(db.names.adopted()).arg(old)).await)
    }

    fn go_over<'a>(&'a self, own: &'a str, known: &'a [Revocation]) -> StoreFuture<'a, Option<Moved>> {
        let (inner, own, known) = (Arc::clone(&self.0), own.to_owned(), known.to_vec());
        self.ask(async move |_| go_over(&inner, &own, &known).await)
    }

    fn survey(&self) -> StoreFuture<'_, Vec<String>> {
        self.ask(async move |db| survey::survey(&db).await)
    }
}

async fn go_over(inner: &Inner, own: &str, known: &[Revocation]) -> Result<Option<Moved>, StoreError> {
    // Bound to what is there now; everybody else goes on refusing it.
    let there = (inner.another)()?;
    let mut questions = redis::pipe();
    questions.get(there.names.generation()).cmd("HEXISTS").arg(there.names.adopted()).arg(own);
    let (found, is_adopted): (Option<String>, bool) = there.first(&questions).await?;
    let Some(found) = found.filter(|_| is_adopted) else { return Ok(None) };
    super::check_schema(&found)?;
    there.bind(&found);
    let revocations = revocations::restore(&there, known).await?;
    let given: Vec<_> = inner.rings.lock().iter().map(|(name, secret)| (name.clone(), *secret)).collect();
    let mut foreign_rings = 0;
    // That one makes it another store: it is never carried over.
    for (name, secret) in given.into_iter().filter(|(name, _)| name != IDENTITY_RING) {
        foreign_rings += u64::from(rings::place(&there, &name, secret).await? != secret);
    }
    // The last question: once it is the store in use there is nothing left that could fail.
    let secret = rings::place(&there, IDENTITY_RING, fresh()?).await?;
    inner.rings.lock().insert(IDENTITY_RING.to_owned(), secret);
    inner.db.bind(&found);
    inner.watched.bind(&found);
    Ok(Some(Moved { identity: identity(&secret), revocations, foreign_rings }))
}
