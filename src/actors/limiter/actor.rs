//! The limiter's actor: the only one who makes buckets, forgets them and has them kept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{
    Scope,
    bucket::Bucket,
    messages::{Close, Open},
    shared::Shared,
    table::Id,
};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Timestamp,
    store::{Level, Stores},
};

/// How often it is kept what was used up, and refusals are written down.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Most levels that are kept at once; the others follow a second later.
const SAVED_AT_ONCE: usize = 8_192;
/// Posts and asks that may wait.
const MAILBOX: usize = 1_024;

/// Owns the buckets; every handler is a synchronous state transition.
pub(super) struct LimiterActor {
    pub(super) shared: Arc<Shared>,
    pub(super) stores: Stores,
    /// Whether levels are on their way to the store.
    pub(super) saving: bool,
    /// Whether the last levels were kept; outlives the actor, so that a loss is told once.
    pub(super) kept: Arc<AtomicBool>,
    pub(super) _life: Life,
}

impl Actor for LimiterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SAVE_EVERY, |this, ctx| {
            this.shared.tally.flush(Timestamp::now());
            if !this.saving {
                this.save(ctx);
            }
        });
    }
}

impl LimiterActor {
    /// Has kept what was used up since the last time, and forgets what is full.
    fn save(&mut self, ctx: &mut Context<Self>) {
        let (levels, _) = self.collect();
        self.saving = true;
        let keeping = keep(self.stores.clone(), levels);
        ctx.spawn(wrap_future(keeping).map(|unkept, this: &mut Self, _| this.saved(&unkept)));
    }

    /// The levels that have changed, and whether these are all. Also forgets buckets that are full.
    fn collect(&self) -> (Vec<Level>, bool) {
        let (now, at) = (self.shared.clock.moment(Instant::now()), Timestamp::now());
        let mut levels = Vec::new();
        let mut all = true;
        self.shared.sweep(now, |scope, id, bucket| {
            if levels.len() < SAVED_AT_ONCE {
                levels.extend(self.level((scope, id, bucket), at));
            } else {
                all = false;
            }
        });
        self.shared.forget_restored(now);
        (levels, all)
    }

    fn level(&self, (scope, id, bucket): (Scope, &Id, &Bucket), at: Timestamp) -> Option<Level> {
        let now = self.shared.clock.moment(Instant::now());
        let spent = bucket.changed_level(&self.shared.limits, now)?;
        let until = self.shared.slowest.end_of((scope, id), spent, at)?;
        Some(Level { scope: scope.as_str().into(), id: id.0, spent, at, until })
    }

    /// What was not kept is told again next time.
    fn saved(&mut self, unkept: &[(Scope, Id)]) {
        self.saving = false;
        let were_kept = self.kept.swap(unkept.is_empty(), Ordering::AcqRel);
        if were_kept && !unkept.is_empty() {
            tracing::warn!("what is used up of the limits cannot be kept; a restart would forgive it");
        }
        for (scope, id) in unkept {
            self.shared.touch(*scope, id);
        }
    }
}

/// Has `levels` kept; gives those that could not be.
async fn keep(stores: Stores, levels: Vec<Level>) -> Vec<(Scope, Id)> {
    let scope = |word: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
    let owners: Vec<_> =
        levels.iter().filter_map(|level| Some((scope(&level.scope)?, Id(level.id)))).collect();
    let saved = stores.quota.save(levels, Timestamp::now()).await;
    if stores.failures.note("quota.save", saved).is_ok() { Vec::new() } else { owners }
}

impl Handler<Open> for LimiterActor {
    type Result = Option<Arc<Bucket>>;

    fn handle(&mut self, open: Open, _: &mut Self::Context) -> Self::Result {
        self.shared.open(open.scope, open.id, open.class)
    }
}

impl Handler<Close> for LimiterActor {
    type Result = ();

    fn handle(&mut self, close: Close, ctx: &mut Self::Context) {
        self.shared.tally.close();
        let (levels, all) = self.collect();
        let keeping = keep(self.stores.clone(), levels);
        ctx.spawn(wrap_future(keeping).map(move |unkept, this: &mut Self, ctx| {
            this.saved(&unkept);
            // With a store that takes nothing there is no end to wait for.
            if all || !unkept.is_empty() {
                // Whoever waited may have given up.
                let _told = close.done.send(());
            } else {
                this.handle(close, ctx);
            }
        }));
    }
}

impl Handler<Fault> for LimiterActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("limiter");
    }
}
