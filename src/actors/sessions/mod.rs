//! The sessions of clients of older revisions: what such a client has subscribed to, what it was asked, and the
//! streams that it can come back to.
//!
//! A session lives in the process that made it. It is found by its id together with whose it is; it is never a reason
//! to let anybody do anything: the credential of each request decides that.

mod actor;
mod due;
mod error;
mod id;
mod lines;
mod messages;
mod session;
mod table;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::ArbiterHandle;
use parking_lot::RwLock;

use self::{
    actor::SessionsActor,
    messages::{End, Open},
    table::Table,
};
pub use self::{
    due::MOST_URIS,
    error::SessionError,
    id::SessionId,
    lines::{COMMON, Held, MOST_LINES, Reader, event_of},
    session::{Next, Opening, Question, Reply, Session},
};
use super::{
    changes::Changes,
    kit::{self, ActorError, Fault, Seat, Vitals},
};
use crate::{domain::Subject, settings::SessionsSettings};

/// How long a session lives and what it may hold.
#[derive(Debug, Clone, Copy)]
pub struct SessionRules {
    /// How long without a request and without an open stream.
    pub idle: Duration,
    /// How long at most.
    pub absolute: Duration,
    /// Most of one caller.
    pub per_principal: u32,
    /// Most of all.
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
}

/// State that outlives the actor.
#[derive(Debug)]
struct Shared {
    table: RwLock<Table>,
    rules: SessionRules,
}

/// A handle to the sessions. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
    seat: Arc<Seat<SessionsActor>>,
}

impl Sessions {
    /// None so far; they are told of `changes`.
    ///
    /// # Errors
    /// [`ActorError`] if the actor cannot be started.
    pub async fn start(
        arbiter: &ArbiterHandle,
        rules: SessionRules,
        changes: Changes,
    ) -> Result<Self, ActorError> {
        let shared = Arc::new(Shared { table: RwLock::default(), rules });
        let state = Arc::clone(&shared);
        let build = move |life| {
            let shared = Arc::clone(&state);
            Ok::<_, ActorError>(SessionsActor { shared, changes: changes.listen(), _life: life })
        };
        Ok(Self { shared, seat: kit::keep("sessions", arbiter, build).await? })
    }

    /// What holds for them.
    pub fn rules(&self) -> &SessionRules {
        &self.shared.rules
    }

    /// Opens one.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open(&self, opening: Opening) -> Result<Arc<Session>, SessionError> {
        self.seat.ask(Open(opening)).await?
    }

    /// The session of that name that `owner` has, if it has not ended; it is used then. One that somebody else has,
    /// one that has ended and one that never was are the same.
    pub fn find(&self, id: &SessionId, owner: &Subject, now: Instant) -> Option<Arc<Session>> {
        self.shared.table.read().find(id, owner, (&self.shared.rules, now))
    }

    /// Ends one.
    ///
    /// # Errors
    /// [`ActorError`]: it has not ended.
    pub async fn end(&self, session: &Session) -> Result<(), ActorError> {
        self.seat.ask(End(*session.id())).await
    }

    /// How many there are.
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
mod tests;
