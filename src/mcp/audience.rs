//! Whoever hears of a request before its answer, and the session that it came in.

use std::{rc::Rc, sync::Arc};

use super::{answer::Answer, batch, exchange::Exchange, sessions, stream, via::Via};
use crate::{
    actors::sessions::Session,
    domain::Principal,
    protocol::{self, Revision},
    tools::Progress,
};

/// Whoever hears of a request before its answer.
#[derive(Default)]
pub(super) struct Audience {
    /// Where the tool says what is to be told.
    pub(super) progress: Option<Rc<Progress>>,
    /// The session that the request came in.
    pub(super) session: Option<Arc<Session>>,
    /// Whether what is told can be read later, so that the call may wait for an answer.
    pub(super) may_ask: bool,
    /// What its params say that only sessions read: capabilities, JSON text, or a level.
    pub(super) said: Box<str>,
}

impl<'a> Exchange<'a> {
    /// Where a tool says what is to be told, if the client hears of it.
    pub(super) fn progress(&self) -> Option<&'a Progress> {
        self.audience?.progress.as_deref()
    }

    /// The revision that its session has agreed on.
    pub(super) fn agreed(&self) -> Option<Revision> {
        Some(self.session()?.revision())
    }

    /// Whether it could have come in a session: there are some, and headers that name one.
    pub(super) fn may_have_session(&self) -> bool {
        self.house().services.sessions.is_some() && matches!(self.via, Via::Http(..))
    }

    /// The session that it came in.
    pub(super) fn session(&self) -> Option<&'a Arc<Session>> {
        self.audience?.session.as_ref()
    }

    /// Answers what stands in the body of an older revision's request, and records it.
    pub(super) async fn finish(self, principal: Arc<Principal>, body: &[u8]) -> Answer {
        if self.audience.is_none() && self.house().services.sessions.is_some() {
            return Box::pin(sessions::finish(self, principal, body)).await;
        }
        self.go_on(principal, body).await
    }

    /// The same, once it is known which session it came in.
    pub(super) async fn go_on(mut self, principal: Arc<Principal>, body: &[u8]) -> Answer {
        if protocol::begins_batch(body) {
            return Box::pin(batch::answer(self, principal, body)).await;
        }
        match self.read(principal, body).await {
            Ok(answer) => self.settle(answer).await,
            Err(heard) => Box::pin(stream::answer(self, body, heard)).await,
        }
    }
}
