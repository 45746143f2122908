//! What servers that share sessions do for each other: each of these is the same on a server that shares none, where
//! it asks nobody.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    MOST_URIS, SessionError, Sessions,
    fleet::{self, Fleet},
    id::SessionId,
    messages::{Adopt, Open, Withdraw},
    questions::{Reply, Waits},
    session::{Opening, Session},
};
use crate::{
    actors::{
        feed::{Listener, Reloaded, Upto},
        kit::ActorError,
    },
    domain::{PermissionSet, Subject, Timestamp},
    protocol::LogLevel,
    store::{
        Change, ChangeKind, SessionAnswer, SessionDigest, SessionQuestion, SessionRoom, SessionRow,
        SessionWish, Wished,
    },
};

/// How much longer than it is waited for a question stands in the store: whoever waits says when it is over.
const STANDS_LONGER: Duration = Duration::from_secs(1);
/// Longest id of a call that other servers are told to end, bytes of JSON text.
const MOST_CALL_BYTES: usize = 256;

/// Whoever answers a question.
#[derive(Debug)]
pub struct Answerer {
    /// What they may.
    pub has: PermissionSet,
    /// The same by its names, which other servers understand.
    pub names: Vec<String>,
}

impl Sessions {
    /// Whether other servers have the same sessions.
    pub fn is_shared(&self) -> bool {
        self.shared.fleet.is_some()
    }

    /// Opens one. Every server knows it before this is answered.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open(&self, opening: Opening) -> Result<Arc<Session>, SessionError> {
        let Some(fleet) = &self.shared.fleet else { return self.seat.ask(Open(opening)).await? };
        let id = SessionId::random().ok_or(SessionError::Random)?;
        let rules = self.rules();
        let row = SessionRow {
            digest: id.digest(),
            owner: opening.owner,
            revision: opening.revision,
            capabilities: opening.capabilities,
            level: LogLevel::Info,
            uris: Vec::new(),
            born: Timestamp::now(),
            lives: rules.lives(),
        };
        let room = SessionRoom { of_one: rules.per_principal.into(), longest: rules.absolute };
        let kept = fleet.store.open_session(&row, room).await;
        if !fleet.failures.note("sessions.open_session", kept)? {
            return Err(SessionError::OfOne(rules.per_principal));
        }
        let digest = row.digest;
        let opened = self.seat.ask(Adopt(id, row)).await.unwrap_or_else(|error| Err(error.into()));
        if opened.is_err() {
            // What is not answered for takes nobody's place; if this fails too, it is over when it was idle.
            _ = fleet.failures.note("sessions.end_session", fleet.store.end_session(digest).await);
        }
        opened
    }

    /// Looks at other servers' sessions for one that is not [found](Self::find) here; it is used then. `None` if
    /// `owner` has no such session.
    ///
    /// # Errors
    /// [`SessionError`]: nobody knows.
    pub async fn seek(&self, id: &SessionId, owner: &Subject) -> Result<Option<Arc<Session>>, SessionError> {
        let Some(fleet) = &self.shared.fleet else { return Ok(None) };
        let found = fleet.look(id).await?.filter(|row| row.owner == *owner);
        let Some(row) = found.filter(|row| row.age(Timestamp::now()) < self.rules().absolute) else {
            return Ok(None);
        };
        self.seat.ask(Adopt(*id, row)).await??;
        Ok(self.find(id, owner, Instant::now()))
    }

    /// Has the client of `session` see log messages that are at least as grave as `level`, at every server.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn set_level(&self, session: &Session, level: LogLevel) -> Result<(), SessionError> {
        self.wish(session, SessionWish::Level(level)).await?;
        session.set_level(level);
        Ok(())
    }

    /// Has it told of the resource `uri`, by every server; `false` if it is told of too many.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn subscribe(&self, session: &Session, uri: &str) -> Result<bool, SessionError> {
        let has_room = self.wish(session, SessionWish::Subscribe(uri.into(), MOST_URIS)).await?;
        Ok(has_room && session.subscribe(uri))
    }

    /// Has it told of that no more.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn unsubscribe(&self, session: &Session, uri: &str) -> Result<(), SessionError> {
        self.wish(session, SessionWish::Unsubscribe(uri.into())).await?;
        session.unsubscribe(uri);
        Ok(())
    }

    /// `false` if it is one too many.
    async fn wish(&self, session: &Session, wish: SessionWish) -> Result<bool, SessionError> {
        let Some(fleet) = &self.shared.fleet else { return Ok(true) };
        let wished = fleet.store.wish(session.id().digest(), wish).await;
        match fleet.failures.note("sessions.wish", wished)? {
            Wished::Done => Ok(true),
            Wished::TooMany => Ok(false),
            Wished::Gone => {
                self.end_here(session).await?;
                Err(SessionError::Over)
            }
        }
    }

    /// Ends one, at every server.
    ///
    /// # Errors
    /// [`SessionError`]: it has not ended.
    pub async fn end(&self, session: &Session) -> Result<(), SessionError> {
        if let Some(fleet) = &self.shared.fleet {
            let ended = fleet.store.end_session(session.id().digest()).await;
            fleet.failures.note("sessions.end_session", ended)?;
        }
        Ok(self.end_here(session).await?)
    }

    /// Has every other server end the call `id`, JSON text, of `session`, if it runs there.
    pub async fn cancel_elsewhere(&self, session: &Session, id: &str) {
        if let Some(fleet) = &self.shared.fleet
            && id.len() <= MOST_CALL_BYTES
        {
            // Whoever sends a notification is told nothing of it; the call ends without it too.
            let told = fleet.store.cancel_call(session.id().digest(), id).await;
            _ = fleet.failures.note("sessions.cancel_call", told);
        }
    }

    /// Has other servers take answers to the questions `ids`, which `session` waits for here on behalf of whoever has
    /// the permissions `needs`. If they cannot, an answer has to come here.
    pub async fn publish(&self, session: &Arc<Session>, ids: &[Box<str>], needs: &[String]) -> Published {
        let mut published =
            Published { sessions: self.clone(), session: Arc::clone(session), ids: Vec::new() };
        let Some(fleet) = &self.shared.fleet else { return published };
        let digest = session.id().digest();
        // From here on they are to be taken away, even if nobody hears that they are kept.
        published.ids = ids.to_vec();
        let within = self.rules().answer_within + STANDS_LONGER;
        let question = |id| SessionQuestion { session: digest, id, needs: needs.to_vec() };
        let kept = fleet.store.keep_questions(ids.iter().cloned().map(question).collect(), within).await;
        if fleet.failures.note("sessions.keep_questions", kept).is_ok() {
            ids.iter().for_each(|id| session.is_asked_everywhere(id));
        }
        published
    }

    /// Brings the answer to the question `id` to whoever waits for it, at any server; `false` if nobody does, or not
    /// for that of somebody who may as little. One is taken once.
    ///
    /// # Errors
    /// [`SessionError`]: nobody knows.
    pub async fn answer(
        &self,
        session: &Session,
        (id, reply): (&str, Reply),
        answerer: Answerer,
    ) -> Result<bool, SessionError> {
        let Answerer { has, names } = answerer;
        let (fleet, sealed) = match (&self.shared.fleet, session.waits_for(id, has)) {
            (None, _) | (_, Waits::Here) => return Ok(session.answer(id, reply, has)),
            (_, Waits::InVain) => return Ok(false),
            (Some(fleet), Waits::Everywhere) => (fleet, None),
            (Some(_), Waits::Elsewhere) if !is_question(id) => return Ok(false),
            (Some(fleet), Waits::Elsewhere) => {
                (fleet, Some(fleet::sealed(session, id, &reply).ok_or(SessionError::Random)?))
            }
        };
        let is_here = sealed.is_none();
        let answer = SessionAnswer { session: session.id().digest(), id: id.into(), has: names, sealed };
        let taken =
            fleet.failures.note("sessions.answer_question", fleet.store.answer_question(answer).await);
        match taken {
            Ok(true) if is_here => Ok(session.answer(id, reply, has)),
            // Nobody else can have taken one either.
            Err(_lost) if is_here => Ok(session.answer(id, reply, has)),
            taken => Ok(taken?),
        }
    }
}

/// Whether this may be the id of a question of ours: of anything else the store is not asked.
fn is_question(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Questions that other servers take answers to, for as long as this is held.
pub struct Published {
    sessions: Sessions,
    session: Arc<Session>,
    ids: Vec<Box<str>>,
}

impl Drop for Published {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            let ids = std::mem::take(&mut self.ids);
            // Else they are gone with their time.
            _ = self.sessions.seat.post(Withdraw(self.session.id().digest(), ids));
        }
    }
}

impl Listener for Sessions {
    fn applied(&self) -> u64 {
        // Whoever shares nothing has nothing to apply.
        self.shared.fleet.as_deref().map_or(u64::MAX, Fleet::applied)
    }

    fn deliver(&self, changes: &[Change], upto: Upto) -> Result<(), ActorError> {
        let Some(fleet) = &self.shared.fleet else { return Ok(()) };
        let known = |digest: &SessionDigest| self.shared.table.read().of_digest(digest);
        let mut is_news = false;
        for change in changes {
            match &change.what {
                ChangeKind::Session(digest) if known(digest).is_some() => {
                    fleet.doubt(*digest);
                    is_news = true;
                }
                ChangeKind::SessionAnswer { session, question }
                    if known(session).is_some_and(|session| session.is_asking(question)) =>
                {
                    fleet.doubt_question(*session, question);
                    is_news = true;
                }
                ChangeKind::SessionCall { session, call } => {
                    known(session).into_iter().for_each(|session| _ = session.cancel(call));
                }
                _ => {}
            }
        }
        fleet.mark(upto.row);
        if is_news {
            self.look_again();
        }
        Ok(())
    }

    fn reload(&self, upto: Upto) -> Reloaded<'_> {
        Box::pin(async move {
            if let Some(fleet) = &self.shared.fleet {
                fleet.doubt_all();
                fleet.mark(upto.row);
                self.look_again();
            }
            Ok(())
        })
    }
}
