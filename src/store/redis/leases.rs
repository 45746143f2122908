//! The port [`Leases`] on Redis: one script a bucket, those of one question sent together.

use std::{sync::LazyLock, time::Duration};

use deadpool_redis::redis::Script;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use super::{Redis, db::Db};
use crate::store::{Granted, LEASED_FOR, LeaseAsk, Leases, StoreError, StoreFuture};

/// How long a server that says nothing is taken to be there.
const THERE_FOR_SECS: u64 = 5;

/// Questions that are put at the same time, each over a connection of its own.
const AT_ONCE: usize = 4;

static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lease.lua")));
static BEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("beat.lua")));

impl Leases for Redis {
    fn lease(&self, asks: Vec<LeaseAsk>) -> StoreFuture<'_, Vec<Granted>> {
        self.ask(async move |db| {
            // Some connections are left to others; each question's time begins when it is put.
            let all = asks.iter().map(|ask| lease(&db, ask));
            stream::iter(all).buffered(AT_ONCE).try_collect().await
        })
    }

    fn beat(&self, holder: Uuid) -> StoreFuture<'_, u32> {
        self.ask(async move |db| {
            let mut script = BEAT.prepare_invoke();
            script.key(db.names.servers()).arg(holder.to_string()).arg(THERE_FOR_SECS);
            db.run(&script).await
        })
    }
}

async fn lease(db: &Db, ask: &LeaseAsk) -> Result<Granted, StoreError> {
    let mut script = LEASE.prepare_invoke();
    script.key(db.names.bucket(ask.scope, &ask.id));
    script.arg(ask.holder.to_string()).arg(ask.capacity).arg(ask.per_second);
    script.arg(ask.used).arg(ask.returned).arg(ask.needed).arg(ask.wanted).arg(millis(LEASED_FOR));
    let (calls, left, wait): (u32, u32, u64) = db.run(&script).await?;
    Ok(Granted { calls, left, wait: Duration::from_micros(wait) })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
