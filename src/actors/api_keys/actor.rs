//! The actor of the keys: closes handles, and carries what was counted to the store.

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{
    Shared,
    messages::{Apply, NoteEnded},
};
use crate::{
    actors::{
        audit::{Lane, Slot},
        epoch::Epoch,
        kit::{self, Fault, Life},
    },
    domain::{ApiKey, AuditEvent, EventCode, Outcome, Timestamp},
};

/// How often counts go to the store: what a crash loses at most.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often the store is asked which keys have ended.
const LOOK_FOR_ENDED_EVERY: Duration = Duration::from_secs(5);
/// Ended keys of which one look takes note.
const ENDED_AT_ONCE: usize = 64;
/// Idle time after which a handle may go, once there are too many.
const IDLE: Duration = Duration::from_secs(2);
/// Posts that may wait: a feed of ten batches a second, for a minute.
const MAILBOX: usize = 1_024;

/// Closes handles and flushes counts. Everything it knows is in the table, which outlives it.
pub(super) struct ApiKeysActor {
    pub(super) shared: Arc<Shared>,
    pub(super) epoch: Epoch,
    pub(super) lane: Lane,
    /// Whether a flush, or a look for ended keys, is under way.
    pub(super) flushing: bool,
    pub(super) looking: bool,
    pub(super) _life: Life,
}

impl Actor for ApiKeysActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(FLUSH_EVERY, Self::flush);
        ctx.run_interval(LOOK_FOR_ENDED_EVERY, Self::look_for_ended);
    }
}

impl ApiKeysActor {
    fn flush(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.flushing, true) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let flush = async move { shared.flush().await };
        ctx.spawn(wrap_future(flush).map(|flushed, this: &mut Self, _| {
            this.flushing = false;
            if let Err(error) = flushed {
                tracing::warn!(%error, "uses of API keys wait for the store");
            }
            this.shared.table.shrink(Timestamp::now().minus(IDLE));
        }));
    }

    /// Notes which keys have ended. Their places in the log come first: the store tells each key once.
    fn look_for_ended(&mut self, ctx: &mut Context<Self>) {
        let slots: Result<Vec<Slot>, _> = (0..ENDED_AT_ONCE).map(|_| self.lane.reserve()).collect();
        let Ok(slots) = slots else { return };
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let look = async move {
            let store = &shared.stores.keys;
            let ended = store.newly_ended(Timestamp::now(), slots.len() as u64).await;
            (shared.stores.failures.note("keys.newly_ended", ended), slots)
        };
        ctx.spawn(wrap_future(look).map(|(ended, slots), this: &mut Self, _| {
            this.looking = false;
            for (key, slot) in ended.unwrap_or_default().iter().zip(slots) {
                drop(slot.write(expired(key)));
            }
        }));
    }
}

/// The record of a key's end.
fn expired(key: &ApiKey) -> AuditEvent {
    let mut event = AuditEvent::new(Timestamp::now(), EventCode::KeyExpired, Outcome::Ok);
    let detail = serde_json::json!({
        "key_id": key.id, "user_id": key.owner, "ended_at": key.ends_at().to_string(),
        "successor": key.rotation.map(|rotated| rotated.successor),
    });
    event.detail = Some(detail.to_string().into());
    event
}

impl Handler<Apply> for ApiKeysActor {
    type Result = ();

    fn handle(&mut self, apply: Apply, _: &mut Self::Context) {
        if apply.keys.as_ref().is_none_or(|keys| !keys.is_empty()) {
            self.shared.table.forget(apply.keys.as_ref());
            self.epoch.advance();
        }
        if let Some(upto) = apply.upto {
            self.shared.fresh.mark(upto);
        }
    }
}

impl Handler<NoteEnded> for ApiKeysActor {
    type Result = ();

    fn handle(&mut self, _: NoteEnded, ctx: &mut Self::Context) {
        self.look_for_ended(ctx);
    }
}

impl Handler<Fault> for ApiKeysActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("api_keys");
    }
}
