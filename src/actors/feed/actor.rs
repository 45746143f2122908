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
    /// What was read and is not known to be applied yet.
    pub(super) unapplied: Vec<Change>,
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
                Ok(changes) => self.unapplied.extend(changes),
                Err(error) => return self.note(Err(error), "feed"),
            }
        }
        let applied = self.listeners.tokens.applied();
        self.unapplied.retain(|change| change.id > applied);
        if self.unapplied.iter().any(|change| change.what == ChangeKind::Unknown) {
            return self.reload(ctx);
        }
        self.note(Ok(()), "feed");
        self.deliver(Vec::new());
    }

    /// Delivers `loaded` and everything unapplied. What dies with its listener is delivered again at the
    /// next look: applying twice is harmless, and nothing counts as known before it is applied.
    fn deliver(&self, loaded: Vec<Revocation>) {
        let revoked = |change: &Change| match &change.what {
            ChangeKind::Revoked(revocation) => Some(revocation.clone()),
            _ => None,
        };
        let revocations = loaded.into_iter().chain(self.unapplied.iter().filter_map(revoked)).collect();
        let upto = self.unapplied.last().map_or_else(|| self.listeners.tokens.applied(), |change| change.id);
        if let Err(error) = self.listeners.tokens.deliver(revocations, upto) {
            tracing::debug!(%error, "revocations wait for their actor");
        }
    }

    /// Rows are missing, or were written by a newer version: only the whole list is complete.
    fn reload(&mut self, ctx: &mut Context<Self>) {
        let store = Arc::clone(&self.stores.revocations);
        let load = async move { store.live(Timestamp::now()).await };
        ctx.wait(wrap_future(load).map(|loaded, this: &mut Self, _| match loaded {
            Ok(all) => {
                this.note(Ok(()), "reload");
                this.deliver(all);
            }
            Err(error) => this.note(Err(error), "reload"),
        }));
    }

    /// Counts a failure; logs and records only that the store was lost, and that it is back.
    fn note(&self, result: Result<(), StoreError>, op: &'static str) {
        let reachable = result.is_ok();
        let was = self.shared.reachable.swap(reachable, Ordering::AcqRel);
        if let Err(error) = &result {
            self.stores.failures.count(op);
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
