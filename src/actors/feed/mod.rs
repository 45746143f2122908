//! What other processes changed in the store, brought to the actors that own it here.
//!
//! One actor on a thread of its own looks ten times a second (microseconds when nothing is new) and
//! posts what it finds. As long as it does, revocations are fresh; when it cannot, they are stale, and
//! whoever relies on them knows.

mod actor;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix::ArbiterHandle;

use self::actor::FeedActor;
use super::{
    audit::Lane,
    kit::{self, ActorError, Fault, Seat, Vitals},
    tokens::Tokens,
};
use crate::store::{StoreError, Stores};

/// State that outlives the actor: whether the store answered. How far the feed was read is what its
/// listeners have applied.
#[derive(Debug)]
struct Shared {
    reachable: AtomicBool,
}

/// Where the feed's changes go.
#[derive(Clone)]
pub struct Listeners {
    /// Revocations.
    pub tokens: Tokens,
    /// Records of the store being lost and found.
    pub lane: Lane,
}

/// A handle to the feed. Clones share it.
#[derive(Clone)]
pub struct FeedReader {
    shared: Arc<Shared>,
    seat: Arc<Seat<FeedActor>>,
}

/// The row up to which everything loaded afterwards is complete: ask for it before loading.
///
/// # Errors
/// [`StoreError`].
pub async fn position(stores: &Stores) -> Result<u64, StoreError> {
    stores.feed.latest().await
}

impl FeedReader {
    /// Follows the feed from what the listeners have applied on.
    ///
    /// # Errors
    /// [`ActorError`] if the actor cannot be started.
    pub async fn start(
        arbiter: &ArbiterHandle,
        stores: Stores,
        listeners: Listeners,
    ) -> Result<Self, ActorError> {
        let shared = Arc::new(Shared { reachable: AtomicBool::new(true) });
        let state = Arc::clone(&shared);
        let build = move |life| {
            let watch = stores.feed.watch(listeners.tokens.applied());
            let (stores, listeners, shared) = (stores.clone(), listeners.clone(), Arc::clone(&state));
            Ok::<_, ActorError>(FeedActor {
                watch,
                stores,
                listeners,
                shared,
                unapplied: Vec::new(),
                _life: life,
            })
        };
        Ok(Self { shared, seat: kit::keep("feed", arbiter, build).await? })
    }

    /// Whether the store answered the last look.
    pub fn is_reachable(&self) -> bool {
        self.shared.reachable.load(Ordering::Acquire)
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
