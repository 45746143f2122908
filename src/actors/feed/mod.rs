//! What other processes changed in the store, brought to the actors that own it here.
//!
//! One actor on a thread of its own looks ten times a second (microseconds when nothing is new) and
//! posts what it finds. As long as it does, revocations are fresh; when it cannot, they are stale, and
//! whoever relies on them knows.

mod actor;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use actix::ArbiterHandle;

use self::actor::FeedActor;
use super::{
    audit::Lane,
    kit::{self, ActorError, Fault, Seat, Vitals},
};
use crate::store::{Change, StoreError, Stores};

/// State that outlives the actor: whether the store answered. How far the feed was read is what its
/// listeners have applied.
#[derive(Debug)]
struct Shared {
    reachable: AtomicBool,
}

/// How far the feed was read, and when: whoever has applied everything up to there knew everything then.
#[derive(Debug, Clone, Copy)]
pub struct Upto {
    /// The last row.
    pub row: u64,
    /// A moment just before it was found to be the last.
    pub at: Instant,
}

/// What a [`Listener`] answers when it has read everything again.
pub type Reloaded<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;

/// Somebody who holds a copy of something that the store keeps.
pub trait Listener: Send + Sync {
    /// The row of the feed up to which its copy is complete.
    fn applied(&self) -> u64;

    /// Brings `changes`, oldest first: everything between what is [applied](Self::applied) and `upto`.
    /// Also called when nothing is new, to say that everything up to `upto` is known.
    ///
    /// # Errors
    /// [`ActorError`] while its actor is down. Success says only that they were left in a mailbox, which
    /// dies with the actor: they are brought again until they are applied, and applying twice is harmless.
    fn deliver(&self, changes: &[Change], upto: Upto) -> Result<(), ActorError>;

    /// Reads everything again from the store, because the feed has a hole before `upto`.
    ///
    /// # Errors
    /// [`StoreError`]: the copy is as old as it was, and this is called again.
    fn reload(&self, upto: Upto) -> Reloaded<'_>;
}

/// What [`Mover::go_over`] answers.
pub type GoneOver<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;

/// Somebody who knows whether another store has taken the place of ours with an operator's consent.
pub trait Mover: Send + Sync {
    /// Goes over to it, if that is so. What copies hold is read again then.
    ///
    /// # Errors
    /// [`StoreError`]: all is as before, and this is called again.
    fn go_over(&self) -> GoneOver<'_>;
}

/// Where the feed's changes go.
#[derive(Clone)]
pub struct Listeners {
    /// Everybody who holds a copy.
    pub copies: Vec<Arc<dyn Listener>>,
    /// Records of the store being lost and found.
    pub lane: Lane,
    /// Whoever is asked when the store is another one.
    pub mover: Option<Arc<dyn Mover>>,
}

impl Listeners {
    /// The row up to which every copy is complete.
    fn applied(&self) -> u64 {
        self.copies.iter().map(|copy| copy.applied()).min().unwrap_or(0)
    }
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
            let watch = stores.feed.watch(listeners.applied());
            let (stores, listeners, shared) = (stores.clone(), listeners.clone(), Arc::clone(&state));
            Ok::<_, ActorError>(FeedActor {
                watch,
                stores,
                listeners,
                shared,
                unapplied: Vec::new(),
                asked_at: None,
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
