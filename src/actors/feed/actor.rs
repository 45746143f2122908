//! Looks, tells, looks again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{Listeners, Shared};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    store::{Change, ChangeKind, FeedWatch, Revocation, StoreError, Stores},
};

/// How often the feed is looked at: ten looks fit into the second that a revocation may take.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the store forgets revocations of tokens that have ended.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Owns the watch on the feed.
pub(super) struct FeedActor {
    pub(super) watch: Box<dyn FeedWatch>,
    pub(super) stores: Stores,
    pub(super) listeners: Listeners,
    pub(super) shared: Arc<Shared>,
    /// What was read and not delivered yet, because its listener was down.
    pub(super) undelivered: Vec<Change>,
    pub(super) _life: Life,
}

impl Actor for FeedActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, Self::look);
        ctx.run_interval(SWEEP_EVERY, |this, ctx| {
            let store = Arc::clone(&this.stores.revocations);
            let sweep = async move { store.forget_ended(Timestamp::now()).await };
            ctx.spawn(
                wrap_future(sweep)
                    .map(|swept, this: &mut Self, _| this.note(swept.map(drop), "forget_ended")),
            );
        });
    }
}

impl FeedActor {
    /// Reads to the end of the feed and tells the listeners.
    fn look(&mut self, ctx: &mut Context<Self>) {
        loop {
            match self.watch.poll() {
                Ok(changes) if changes.is_empty() => break,
                Ok(changes) => self.undelivered.extend(changes),
                Err(error) => return self.note(Err(error), "feed"),
            }
        }
        self.note(Ok(()), "feed");
        if self.undelivered.iter().any(|change| change.what == ChangeKind::Unknown) {
            return self.reload(ctx);
        }
        self.deliver(Vec::new());
    }

    /// Delivers `loaded` and everything undelivered. What a listener does not take is kept for the next look.
    fn deliver(&mut self, loaded: Vec<Revocation>) {
        let revoked = |change: &Change| match &change.what {
            ChangeKind::Revoked(revocation) => Some(revocation.clone()),
            _ => None,
        };
        let revocations = loaded.into_iter().chain(self.undelivered.iter().filter_map(revoked)).collect();
        if self.listeners.tokens.deliver(revocations).is_ok() {
            if let Some(last) = self.undelivered.last() {
                self.shared.last.store(last.id, Ordering::Release);
            }
            self.undelivered.clear();
        }
    }

    /// Rows are missing, or were written by a newer version: only the whole list is complete.
    fn reload(&mut self, ctx: &mut Context<Self>) {
        let store = Arc::clone(&self.stores.revocations);
        let load = async move { store.live(Timestamp::now()).await };
        ctx.wait(wrap_future(load).map(|loaded, this: &mut Self, _| match loaded {
            Ok(all) => this.deliver(all),
            Err(error) => this.note(Err(error), "reload"),
        }));
    }

    /// Counts a failure; logs and records only that the store was lost, and that it is back.
    fn note(&self, result: Result<(), StoreError>, op: &'static str) {
        let reachable = result.is_ok();
        let was = self.shared.reachable.swap(reachable, Ordering::AcqRel);
        if let Err(error) = &result {
            self.listeners.metrics.store_error(op);
            if was {
                tracing::error!(%error, store.op = op, "store lost");
                self.record(EventCode::StoreLost, Outcome::Failed);
            }
        } else if !was {
            tracing::info!("store recovered");
            self.record(EventCode::StoreRecovered, Outcome::Ok);
        }
    }

    fn record(&self, event: EventCode, outcome: Outcome) {
        // Where nothing can be recorded, nothing is served either, and the log has the line above.
        if let Ok(slot) = self.listeners.lane.reserve() {
            drop(slot.write(AuditEvent::new(Timestamp::now(), event, outcome)));
        }
    }
}

impl Handler<Fault> for FeedActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("feed");
    }
}
