//! Looks, tells, looks again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{Listeners, Shared, Upto};
use crate::{
    actors::{
        kit::{self, Fault, Life},
        tokens::surely_past,
    },
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    store::{Change, ChangeKind, FeedWatch, StoreError, Stores},
};

/// How often the feed is looked at: ten looks fit into the second that a revocation may take.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it is asked whether a store that is another one is the right one.
const ASK_EVERY: Duration = Duration::from_millis(500);
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
    /// When it was asked last whether another store has taken the place of ours.
    pub(super) asked_at: Option<Instant>,
    pub(super) _life: Life,
}

impl Actor for FeedActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_EVERY, Self::look);
        ctx.run_interval(SWEEP_EVERY, |this, ctx| {
            let store = Arc::clone(&this.stores.revocations);
            let sweep = async move { store.forget_ended(surely_past()).await };
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
        let mut at;
        loop {
            at = Instant::now();
            match self.watch.poll() {
                Ok(changes) if changes.is_empty() => break,
                Ok(changes) => self.unapplied.extend(changes),
                Err(error) => {
                    if error == StoreError::Replaced {
                        self.go_over(ctx);
                    }
                    return self.note(Err(error), "feed");
                }
            }
        }
        let applied = self.listeners.applied();
        self.unapplied.retain(|change| change.id > applied);
        if self.unapplied.iter().any(|change| change.what == ChangeKind::Unknown) {
            return self.reload(at, ctx);
        }
        self.note(Ok(()), "feed");
        self.deliver(at);
    }

    /// Asks, now and then, whether an operator has let another store take the place of ours.
    fn go_over(&mut self, ctx: &mut Context<Self>) {
        let Some(mover) = self.listeners.mover.clone() else { return };
        if self.asked_at.is_some_and(|at| at.elapsed() < ASK_EVERY) {
            return;
        }
        self.asked_at = Some(Instant::now());
        let go_over = async move { mover.go_over().await };
        ctx.wait(wrap_future(go_over).map(|gone, this: &mut Self, _| {
            if let Err(error) = gone {
                this.stores.failures.count("adopt");
                tracing::warn!(%error, "the store that took the place of the other one cannot be used yet");
            }
        }));
    }

    /// Delivers to everybody what it has not applied. What dies with its listener is delivered again at the
    /// next look: applying twice is harmless, and nothing counts as known before it is applied.
    fn deliver(&self, at: Instant) {
        for copy in &self.listeners.copies {
            let applied = copy.applied();
            let new = self.unapplied.iter().position(|change| change.id > applied);
            let changes = new.and_then(|at| self.unapplied.get(at..)).unwrap_or_default();
            let row = changes.last().map_or(applied, |change| change.id);
            if let Err(error) = copy.deliver(changes, Upto { row, at }) {
                tracing::debug!(%error, "changes wait for their actor");
            }
        }
    }

    /// Rows are missing, or were written by a newer version: only the whole tables are complete.
    fn reload(&mut self, at: Instant, ctx: &mut Context<Self>) {
        let Some(row) = self.unapplied.last().map(|change| change.id) else { return };
        let copies = self.listeners.copies.clone();
        let load = async move {
            for copy in &copies {
                copy.reload(Upto { row, at }).await?;
            }
            Ok(())
        };
        ctx.wait(wrap_future(load).map(|loaded, this: &mut Self, _| this.note(loaded, "reload")));
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
