//! The limiter: who has had how much, exact across workers.
//!
//! A [`Bucket`](bucket::Bucket) is one moment behind a small lock; workers hold those of whom they serve in a
//! [`Turnstile`] and take from them without a message. The actor alone makes buckets, forgets them and has
//! them kept: what was used up survives a restart, a crash loses the last second of it. Tables outlive the
//! actor, so whoever is known is served, and limited, while it is rebuilt; only a new identity is asked to
//! come back.
//!
//! A principal has one bucket for all that it shows, a key one of its own beside it, a tool one for everybody;
//! all or none are taken from. In memory a bucket with its place in the table takes at most 128 bytes, and a
//! scope has at most [`MAX_BUCKETS`]; all further identities share one, and none that is there goes for them.

mod actor;
mod bucket;
mod config;
mod error;
mod fleet;
mod messages;
mod restored;
mod shared;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod turnstile;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use actix::ArbiterHandle;
pub use config::{LimiterConfig, MAX_BUCKETS, Mode, OnLoss, Rate, ToolRule};
pub use error::{Exceeded, LimitError, Scope};
pub use shared::InFlight;
use tokio::{sync::oneshot, time::timeout};
pub use turnstile::{Turnstile, Visit};

use self::{
    actor::LimiterActor,
    messages::Close,
    restored::{Restored, Slowest},
    shared::Shared,
};
use super::{
    audit::Lane,
    kit::{self, ActorError, Fault, Seat, Vitals},
};
use crate::{domain::Timestamp, store::Stores, telemetry::Metrics};

/// Longest wait for the last levels to be kept.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// A handle to the limiter. Clones share everything.
#[derive(Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
    seat: Arc<Seat<LimiterActor>>,
    metrics: Arc<Metrics>,
}

impl Limiter {
    /// Reads what was used up before and starts the actor on `arbiter`. Refusals are recorded on `lane` and
    /// counted in `metrics`.
    ///
    /// # Errors
    /// [`LimitError::Store`] if it cannot be read, or kept for longer: a start would forgive it.
    pub async fn start(
        arbiter: &ArbiterHandle,
        config: &LimiterConfig,
        stores: &Stores,
        (lane, metrics): (Lane, &Arc<Metrics>),
    ) -> Result<Self, LimitError> {
        let now = Timestamp::now();
        let slowest = Slowest::of(config);
        let (restored, prolonged) = Restored::read(stores.quota.levels().await?, &slowest, now);
        if !prolonged.is_empty() {
            // Else the store drops them when the limits of before would have them full.
            stores.quota.save(prolonged, now).await?;
        }
        let shared = Arc::new(Shared::new(config, (restored, slowest), lane, stores.leases.is_some()));
        let (table, stores) = (Arc::clone(&shared), stores.clone());
        let kept = Arc::new(AtomicBool::new(true));
        let build = move |life| {
            let (shared, stores, kept) = (Arc::clone(&table), stores.clone(), Arc::clone(&kept));
            Ok::<_, ActorError>(LimiterActor {
                shared,
                stores,
                saving: false,
                kept,
                asking: HashMap::new(),
                _life: life,
            })
        };
        let seat = kit::keep("limiter", arbiter, build).await?;
        Ok(Self { shared, seat, metrics: Arc::clone(metrics) })
    }

    /// A worker's way through the limits.
    pub fn turnstile(&self) -> Turnstile {
        Turnstile::new(self.clone())
    }

    /// A place among the running calls of `tool` for one that goes on when its request has ended; `None` if the tool
    /// has no limit of that kind.
    pub fn go_on(&self, tool: &str) -> Option<InFlight> {
        self.shared.go_on(tool)
    }

    /// Writes down every refusal and has kept everything that was used up. For the shutdown: limits hold on.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        // The actor does the same; without it at least the records are written.
        let asked = self.seat.post(Close { done });
        let closed = async { asked.is_ok() && closed.await.is_ok() };
        if !timeout(CLOSE_DEADLINE, closed).await.unwrap_or(false) {
            self.shared.tally.close();
            tracing::error!("what is used up of the limits was not kept; the next start forgives it");
        }
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`ActorError`] if it is down already.
    pub fn fault(&self) -> Result<(), ActorError> {
        self.seat.post(Fault)
    }

    /// What health and metrics read.
    pub fn vitals(&self) -> Vitals {
        self.seat.vitals()
    }
}
