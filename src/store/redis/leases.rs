//! The port [`Leases`] on Redis: one script a bucket, those of one question sent together.

use std::{
    sync::{LazyLock, atomic::Ordering},
    time::Duration,
};

use deadpool_redis::redis::Script;
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use super::{Redis, db::Db};
use crate::store::{Granted, LEASED_FOR, LeaseAsk, Leases, StoreError, StoreFuture};

/// What a record that does not read is.
const WHAT: &str = "a bucket";
/// How long a server that says nothing is taken to be there.
pub(super) const THERE_FOR_SECS: u64 = 5;

/// Questions that are put at the same time, each over a connection of its own.
const AT_ONCE: usize = 4;

static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lease.lua")));
static BEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("beat.lua")));

impl Leases for Redis {
    fn lease(&self, asks: Vec<LeaseAsk>) -> StoreFuture<'_, Vec<Granted>> {
        if self.0.replaced.load(Ordering::Acquire) {
            // On a cluster a bucket and the generation lie in two slots: what the feed saw last has to do.
            return Box::pin(async { Err(StoreError::Replaced) });
        }
        self.ask(async move |db| {
            // Some connections are left to others; each question's time begins when it is put.
            let all = asks.iter().map(|ask| lease(&db, ask));
            let all: Vec<Result<Granted, StoreError>> = stream::iter(all).buffered(AT_ONCE).collect().await;
            // All were put: what one bucket has become is nothing to the others.
            all.into_iter().collect()
        })
    }

    fn beat(&self, holder: Uuid) -> StoreFuture<'_, u32> {
        self.ask(async move |db| {
            let mut script = BEAT.prepare_invoke();
            script.key(db.names.servers()).key(db.names.generation());
            script.arg(holder.to_string()).arg(THERE_FOR_SECS).arg(db.generation().as_str());
            db.counted(&script).await
        })
    }
}

async fn lease(db: &Db, ask: &LeaseAsk) -> Result<Granted, StoreError> {
    let put = |(used, returned): (u32, u32)| {
        let mut script = LEASE.prepare_invoke();
        script.key(db.names.bucket(ask.scope, &ask.id));
        script.arg(ask.holder.to_string()).arg(ask.capacity).arg(ask.per_second);
        script.arg(used).arg(returned).arg(ask.needed).arg(ask.wanted).arg(millis(LEASED_FOR));
        script
    };
    // What may have been told is not told twice: at worst it stays the holder's until its slice ends.
    let (told, untold) = (put((ask.used, ask.returned)), put((0, 0)));
    let (calls, left, wait): (i64, u32, u64) = db.run_or(&told, &untold).await?;
    let Ok(calls) = u32::try_from(calls) else {
        db.unreadable(WHAT);
        return Err(StoreError::Corrupt(WHAT));
    };
    Ok(Granted { calls, left, wait: Duration::from_micros(wait) })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
