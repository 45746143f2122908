//! The sessions of clients of older revisions: what such a client has subscribed to, what it was asked, and the
//! streams that it can come back to.
//!
//! A session lives in the process that made it, or, on a store that servers share, in all of them: each that is asked
//! for it knows it from then on ([`fleet`]), but for its streams, which are their server's. It is found by its id together with whose it is; it is never a reason
//! to let anybody do anything: the credential of each request decides that.

mod actor;
mod due;
mod error;
mod fleet;
mod id;
mod lines;
mod messages;
mod questions;
mod session;
mod shared;
mod table;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::ArbiterHandle;
use parking_lot::RwLock;

use self::{
    actor::SessionsActor,
    fleet::Fleet,
    messages::{End, LookAgain},
    table::Table,
};
pub use self::{
    due::MOST_URIS,
    error::SessionError,
    id::SessionId,
    lines::{COMMON, Held, MOST_LINES, Reader, event_of},
    questions::{Question, Reply},
    session::{Next, Opening, Session},
    shared::{Answerer, Published},
};
use super::{
    changes::Changes,
    kit::{self, ActorError, Fault, Seat, Vitals},
};
use crate::{domain::Subject, settings::SessionsSettings, store::Stores};

/// How far apart other servers are told that a session is used, at most.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// How long it takes until they are told, at most.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// How long a session lives and what it may hold.
#[derive(Debug, Clone, Copy)]
pub struct SessionRules {
    /// How long without a request, an open stream, a question that waits and a call that runs.
    pub idle: Duration,
    /// How long at most.
    pub absolute: Duration,
    /// Most of one caller, at all servers that share them.
    pub per_principal: u32,
    /// Most of all, at this server.
    pub max: u32,
    /// Bytes of events that one keeps.
    pub buffer: usize,
    /// How long an answer to a question may take.
    pub answer_within: Duration,
}

impl SessionRules {
    /// The rules of these settings; `None` if there are no sessions.
    pub fn of(settings: &SessionsSettings) -> Option<Self> {
        settings.enabled.then_some(Self {
            idle: settings.idle,
            absolute: settings.absolute,
            per_principal: settings.per_principal,
            max: settings.max,
            buffer: settings.buffer,
            answer_within: settings.answer_within,
        })
    }

    /// How far apart other servers are told that one is used.
    fn told_every(&self) -> Duration {
        (self.idle / 8).min(TOLD_EVERY)
    }

    /// How long other servers let one live that is used now: the next use may be told that much later.
    fn lives(&self) -> Duration {
        self.idle + self.told_every() + TOLD_WITHIN
    }
}

/// State that outlives the actor.
struct Shared {
    table: RwLock<Table>,
    rules: SessionRules,
    /// Where servers share them.
    fleet: Option<Arc<Fleet>>,
}

/// A handle to the sessions. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
    seat: Arc<Seat<SessionsActor>>,
}

impl Sessions {
    /// None so far; they are told of `changes`. If `stores` shares them, those of other servers are here too, as of row
    /// `position` of its feed.
    ///
    /// # Errors
    /// [`ActorError`] if the actor cannot be started.
    pub async fn start(
        arbiter: &ArbiterHandle,
        rules: SessionRules,
        (stores, position): (&Stores, u64),
        changes: Changes,
    ) -> Result<Self, ActorError> {
        let fleet = |store| Arc::new(Fleet::new(store, stores.failures.clone(), position));
        let fleet = stores.sessions.clone().map(fleet);
        let shared = Arc::new(Shared { table: RwLock::default(), rules, fleet });
        let state = Arc::clone(&shared);
        let build = move |life| {
            let shared = Arc::clone(&state);
            let changes = changes.listen();
            Ok::<_, ActorError>(SessionsActor {
                shared,
                changes,
                is_looking: false,
                is_telling: false,
                _life: life,
            })
        };
        Ok(Self { shared, seat: kit::keep("sessions", arbiter, build).await? })
    }

    /// What holds for them.
    pub fn rules(&self) -> &SessionRules {
        &self.shared.rules
    }

    /// The session of that name that `owner` has, if it is known here and has not ended; it is used then. One that somebody else has,
    /// one that has ended and one that never was are the same.
    pub fn find(&self, id: &SessionId, owner: &Subject, now: Instant) -> Option<Arc<Session>> {
        self.shared.table.read().find(id, owner, (&self.shared.rules, now))
    }

    /// Ends one here.
    async fn end_here(&self, session: &Session) -> Result<(), ActorError> {
        self.seat.ask(End(*session.id())).await
    }

    /// Has what is in doubt looked at now.
    fn look_again(&self) {
        // The actor looks by itself, a little later.
        _ = self.seat.post(LookAgain);
    }

    /// How many are known here.
    pub fn count(&self) -> usize {
        self.shared.table.read().len()
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

#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
