//! The port [`SharedSessions`] in memory.

use std::{collections::HashMap, time::Duration};

use super::{Memory, Tables};
use crate::{
    domain::Timestamp,
    store::{
        ChangeKind, SessionAnswer, SessionDigest, SessionLook, SessionQuestion, SessionRoom, SessionRow,
        SessionUse, SessionWish, SharedSessions, StoreFuture, Wished,
    },
};

/// Sessions and questions, each with its end.
#[derive(Default)]
pub(super) struct SessionTables {
    rows: HashMap<SessionDigest, (SessionRow, Timestamp)>,
    questions: HashMap<(SessionDigest, Box<str>), Kept>,
}

struct Kept {
    needs: Vec<String>,
    until: Timestamp,
    sealed: Option<Vec<u8>>,
}

impl SessionTables {
    /// Drops what has ended.
    fn sweep(&mut self, now: Timestamp) {
        self.rows.retain(|_, (_, until)| *until > now);
        self.questions.retain(|_, kept| kept.until > now);
    }

    fn find(&self, digest: SessionDigest, now: Timestamp) -> Option<SessionRow> {
        let (row, until) = self.rows.get(&digest)?;
        let lives = Duration::from_micros(until.micros().saturating_sub(now.micros()));
        Some(SessionRow { lives, ..row.clone() })
    }
}

impl Tables {
    /// The sessions that have not ended.
    fn sessions(&mut self, now: Timestamp) -> &mut SessionTables {
        self.sessions.sweep(now);
        &mut self.sessions
    }

    fn wish(&mut self, digest: SessionDigest, wish: &SessionWish) -> Wished {
        let now = Timestamp::now();
        let Some((row, _)) = self.sessions(now).rows.get_mut(&digest) else { return Wished::Gone };
        match row.wish(wish) {
            Ok(Some(())) => self.tell(ChangeKind::Session(digest), now),
            Ok(None) => {}
            Err(refused) => return refused,
        }
        Wished::Done
    }

    fn answer(&mut self, answer: SessionAnswer) -> bool {
        let now = Timestamp::now();
        let SessionAnswer { session, id, has, sealed } = answer;
        let name = (session, id);
        let questions = &mut self.sessions(now).questions;
        let open = questions.get_mut(&name).filter(|kept| kept.sealed.is_none());
        let Some(kept) = open.filter(|kept| kept.needs.iter().all(|need| has.contains(need))) else {
            return false;
        };
        if sealed.is_none() {
            questions.remove(&name);
            return true;
        }
        kept.sealed = sealed;
        self.tell(ChangeKind::SessionAnswer { session, question: name.1 }, now);
        true
    }
}

impl SharedSessions for Memory {
    fn open_session<'a>(&'a self, row: &'a SessionRow, room: SessionRoom) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let (now, mut tables) = (Timestamp::now(), self.0.lock());
            let rows = &mut tables.sessions(now).rows;
            let own = rows.values().filter(|(kept, _)| kept.owner == row.owner).count() as u64;
            let has_room = own < room.of_one;
            if has_room {
                rows.insert(row.digest, (row.clone(), now.plus(row.lives)));
            }
            Ok(has_room)
        })
    }

    fn find_sessions(&self, digests: Vec<SessionDigest>) -> StoreFuture<'_, Vec<SessionLook>> {
        Box::pin(async move {
            let (now, mut tables) = (Timestamp::now(), self.0.lock());
            let sessions = tables.sessions(now);
            Ok(digests.into_iter().map(|digest| Ok(sessions.find(digest, now))).collect())
        })
    }

    fn use_sessions(&self, uses: Vec<SessionUse>) -> StoreFuture<'_, Vec<bool>> {
        Box::pin(async move {
            let (now, mut tables) = (Timestamp::now(), self.0.lock());
            let rows = &mut tables.sessions(now).rows;
            let mut renew = |one: SessionUse| {
                let kept = rows.get_mut(&one.digest);
                kept.map(|(_, until)| *until = (*until).max(now.plus(one.lives))).is_some()
            };
            Ok(uses.into_iter().map(&mut renew).collect())
        })
    }

    fn wish(&self, session: SessionDigest, wish: SessionWish) -> StoreFuture<'_, Wished> {
        Box::pin(async move { Ok(self.0.lock().wish(session, &wish)) })
    }

    fn end_session(&self, session: SessionDigest) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let (now, mut tables) = (Timestamp::now(), self.0.lock());
            if tables.sessions(now).rows.remove(&session).is_some() {
                tables.tell(ChangeKind::Session(session), now);
            }
            Ok(())
        })
    }

    fn cancel_call<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.0.lock().tell(ChangeKind::SessionCall { session, call: id.into() }, Timestamp::now());
            Ok(())
        })
    }

    fn keep_questions(&self, questions: Vec<SessionQuestion>, within: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let (now, mut tables) = (Timestamp::now(), self.0.lock());
            let until = now.plus(within);
            let kept = questions.into_iter().map(|question| {
                let SessionQuestion { session, id, needs } = question;
                ((session, id), Kept { needs, until, sealed: None })
            });
            tables.sessions(now).questions.extend(kept);
            Ok(())
        })
    }

    fn answer_question(&self, answer: SessionAnswer) -> StoreFuture<'_, bool> {
        Box::pin(async move { Ok(self.0.lock().answer(answer)) })
    }

    fn find_answer<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            let kept = tables.sessions(Timestamp::now()).questions.get(&(session, id.into()));
            Ok(kept.and_then(|kept| kept.sealed.clone()))
        })
    }

    fn withdraw_questions(&self, session: SessionDigest, ids: Vec<Box<str>>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            ids.into_iter().for_each(|id| drop(tables.sessions.questions.remove(&(session, id))));
            Ok(())
        })
    }
}
