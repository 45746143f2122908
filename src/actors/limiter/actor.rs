//! The limiter's actor: the only one who makes buckets, forgets them and has them kept.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture, fut::wrap_future};
use tokio::sync::oneshot;

use super::{
    Scope,
    bucket::Bucket,
    fleet::{Asked, Wanted},
    messages::{Close, Lease, Open},
    shared::Shared,
    table::Id,
};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Timestamp,
    store::{Granted, Level, StoreError, Stores},
};

/// How often it is kept what was used up, and refusals are written down.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Most levels that are kept at once; the others follow a second later.
const SAVED_AT_ONCE: usize = 8_192;
/// Posts and asks that may wait.
const MAILBOX: usize = 1_024;

/// Whoever waits for an answer of the shared store.
pub(super) type Waiting = oneshot::Sender<Result<(), StoreError>>;

/// Owns the buckets; every handler is a synchronous state transition.
pub(super) struct LimiterActor {
    pub(super) shared: Arc<Shared>,
    pub(super) stores: Stores,
    /// Whether levels are on their way to the store.
    pub(super) saving: bool,
    /// Whether the last levels were kept; outlives the actor, so that a loss is told once.
    pub(super) kept: Arc<AtomicBool>,
    /// Who waits for which shared bucket.
    pub(super) asking: HashMap<(Scope, Id), Vec<Waiting>>,
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
            this.settle(ctx);
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

impl LimiterActor {
    /// Gives back what nobody takes from any more, and says that this server is there.
    fn settle(&self, ctx: &mut Context<Self>) {
        let (Some(fleet), Some(leases)) = (&self.shared.fleet, self.stores.leases.clone()) else { return };
        let questions = fleet.settle(false, self.shared.clock.moment(Instant::now()));
        let (holder, failures) = (fleet.holder(), self.stores.failures.clone());
        let settling = async move {
            if !questions.is_empty() {
                // What is lost here comes back when the lease ends.
                _ = failures.note("limits.lease", leases.lease(questions).await);
            }
            failures.note("limits.beat", leases.beat(holder).await).ok()
        };
        ctx.spawn(wrap_future(settling).map(|servers, this: &mut Self, _| this.counted(servers)));
    }

    /// Gives every slice back: another server may have it at once.
    fn give_all_back(&self) -> impl Future<Output = ()> + use<> {
        let (shared, leases) = (Arc::clone(&self.shared), self.stores.leases.clone());
        async move {
            let (Some(fleet), Some(leases)) = (&shared.fleet, leases) else { return };
            loop {
                let questions = fleet.settle(true, shared.clock.moment(Instant::now()));
                // What cannot be given back comes back when the lease ends.
                if questions.is_empty() || leases.lease(questions).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Tells once when the shared store is lost or found.
    fn counted(&self, servers: Option<u32>) {
        let is_new = self.shared.fleet.as_ref().is_some_and(|fleet| fleet.counted(servers));
        match (is_new, servers) {
            (true, None) => tracing::warn!("shared limits cannot be asked for; limits.on_store_loss holds"),
            (true, Some(servers)) => tracing::info!(servers, "shared limits can be asked for again"),
            _ => {}
        }
    }

    /// Takes in an answer, and lets those go on who waited for it.
    fn leased(&mut self, wanted: &Wanted, asked: Asked, answer: Result<Vec<Granted>, StoreError>) {
        let answer = answer.and_then(|all| all.first().copied().ok_or(StoreError::Corrupt("a slice")));
        let told = match self.stores.failures.note("limits.lease", answer) {
            Ok(granted) => {
                asked.answered(granted);
                Ok(())
            }
            Err(StoreError::Unavailable(_)) => {
                self.counted(None);
                Ok(())
            }
            // Of all other buckets the store may still be asked.
            Err(error) => Err(error),
        };
        for waiting in self.asking.remove(&(wanted.scope, wanted.id)).into_iter().flatten() {
            // Whoever waited may have given up.
            _ = waiting.send(told.clone());
        }
    }
}

impl Handler<Lease> for LimiterActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, Lease(wanted): Lease, ctx: &mut Self::Context) -> Self::Result {
        let (Some(fleet), Some(leases)) = (&self.shared.fleet, self.stores.leases.clone()) else {
            return Box::pin(async { Ok(()) });
        };
        let wanted = fleet.placed(wanted);
        let (told, answered) = oneshot::channel();
        let waiting = self.asking.entry((wanted.scope, wanted.id)).or_default();
        waiting.push(told);
        if waiting.len() == 1 {
            let mut asked = fleet.ask(&wanted, self.shared.clock.moment(Instant::now()));
            let question = asked.take_question();
            let asking = async move { leases.lease(question).await };
            let taken_in = move |answer, this: &mut Self, _: &mut _| this.leased(&wanted, asked, answer);
            ctx.spawn(wrap_future(asking).map(taken_in));
        }
        // If this actor goes before, its successor is asked.
        Box::pin(async { answered.await.unwrap_or(Ok(())) })
    }
}

impl Handler<Close> for LimiterActor {
    type Result = ();

    fn handle(&mut self, close: Close, ctx: &mut Self::Context) {
        self.shared.tally.close();
        let (levels, all) = self.collect();
        let keeping = keep(self.stores.clone(), levels);
        let giving_back = self.give_all_back();
        let keeping = async move {
            giving_back.await;
            keeping.await
        };
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
