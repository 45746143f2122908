//! What a server keeps of sessions that it shares with others: the way to their store, and what it has to read again.
//!
//! A session that is known here asks nobody. What another server does to it comes by the feed, which names it alone:
//! it is read again then. All of this outlives the actor.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{Shared, id::SessionId, questions::Reply, session::Session};
use crate::{
    store::{Seal, SessionDigest, SessionRow, SessionUse, SharedSessions, StoreError},
    telemetry::StoreFailures,
};

/// What the key of a sealed answer is for.
const PURPOSE: &[u8] = b"portcullis session answer 1";
/// Sessions whose use is told in one go.
const USED_AT_ONCE: usize = 1_024;

/// What is known of a session once somebody has looked.
type Look = OnceCell<Result<Option<SessionRow>, StoreError>>;

/// A session, and a question that is waited for in it.
type Asked = (Arc<Session>, Box<str>);

/// The sessions of all servers, as far as this one has to do with them.
pub(super) struct Fleet {
    pub(super) store: Arc<dyn SharedSessions>,
    pub(super) failures: StoreFailures,
    /// Looks that are under way: whoever wants the same waits for the same.
    looks: Mutex<HashMap<SessionId, Arc<Look>>>,
    doubts: Mutex<Doubts>,
    /// The row of the feed up to which all is applied or doubted.
    applied: AtomicU64,
}

/// What may not be as it is known here any more.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Everything.
    all: bool,
    /// These sessions.
    sessions: HashSet<SessionDigest>,
    /// Whether these questions have been answered.
    questions: HashSet<(SessionDigest, Box<str>)>,
}

impl Doubts {
    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.sessions.is_empty() && self.questions.is_empty()
    }
}

impl Fleet {
    /// One that has followed the feed up to row `applied`.
    pub(super) fn new(store: Arc<dyn SharedSessions>, failures: StoreFailures, applied: u64) -> Self {
        let (looks, doubts) = (Mutex::default(), Mutex::default());
        Self { store, failures, looks, doubts, applied: AtomicU64::new(applied) }
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Everything up to `row` is applied or doubted.
    pub(super) fn mark(&self, row: u64) {
        self.applied.fetch_max(row, Ordering::AcqRel);
    }

    /// A session is to be read again.
    pub(super) fn doubt(&self, session: SessionDigest) {
        self.doubts.lock().sessions.insert(session);
    }

    /// A question that is waited for here may have been answered.
    pub(super) fn doubt_question(&self, session: SessionDigest, id: &str) {
        self.doubts.lock().questions.insert((session, id.into()));
    }

    /// Nothing is certain any more.
    pub(super) fn doubt_all(&self) {
        self.doubts.lock().all = true;
    }

    /// What is in doubt; whoever takes it clears it up, or puts it back.
    pub(super) fn take_doubts(&self) -> Doubts {
        std::mem::take(&mut *self.doubts.lock())
    }

    fn put_back(&self, doubts: Doubts) {
        let mut kept = self.doubts.lock();
        kept.all |= doubts.all;
        kept.sessions.extend(doubts.sessions);
        kept.questions.extend(doubts.questions);
    }

    /// The session of that id as the store has it. However many ask at the same time, it is asked once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn look(&self, id: &SessionId) -> Result<Option<SessionRow>, StoreError> {
        let look = Arc::clone(self.looks.lock().entry(*id).or_default());
        let looking = Looking { fleet: self, id, look };
        let digest = id.digest();
        let ask = async || {
            let found = self.store.find_sessions(vec![digest]).await;
            let found = self.failures.note("sessions.find_sessions", found);
            found?.pop().unwrap_or(Ok(None))
        };
        looking.look.get_or_init(ask).await.clone()
    }
}

/// Somebody who waits for a look; it is forgotten with the first of them who goes.
struct Looking<'a> {
    fleet: &'a Fleet,
    id: &'a SessionId,
    look: Arc<Look>,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let mut looks = self.fleet.looks.lock();
        if looks.get(self.id).is_some_and(|known| Arc::ptr_eq(known, &self.look)) {
            looks.remove(self.id);
        }
    }
}

impl Shared {
    /// Clears up `doubts`: reads sessions again and takes answers. Which sessions there are no more. What could not be
    /// read stays in doubt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn clear_up(
        &self,
        fleet: &Fleet,
        doubts: Doubts,
    ) -> Result<Vec<SessionDigest>, StoreError> {
        let (sessions, questions) = self.known_of(&doubts);
        let cleared = async {
            let mut gone = Vec::new();
            let digests: Vec<_> = sessions.iter().map(|session| session.id().digest()).collect();
            let rows =
                if digests.is_empty() { Vec::new() } else { fleet.store.find_sessions(digests).await? };
            for (session, row) in sessions.iter().zip(rows) {
                match row {
                    Ok(Some(row)) => session.follow(&row, &self.rules, Instant::now()),
                    Ok(None) => gone.push(session.id().digest()),
                    // What is known of it here goes on.
                    Err(error) => tracing::debug!(%error, "a shared session stays as it is known"),
                }
            }
            for (session, id) in questions {
                let sealed = fleet.store.find_answer(session.id().digest(), &id).await?;
                let reply = sealed.and_then(|sealed| opened(&session, &id, &sealed));
                reply.into_iter().for_each(|reply| session.answered_elsewhere(&id, reply));
            }
            Ok(gone)
        };
        let cleared = fleet.failures.note("sessions.read_again", cleared.await);
        if cleared.is_err() {
            fleet.put_back(doubts);
        }
        cleared
    }

    /// What of `doubts` there is here.
    fn known_of(&self, doubts: &Doubts) -> (Vec<Arc<Session>>, Vec<Asked>) {
        let table = self.table.read();
        if doubts.all {
            let all: Vec<_> = table.all().map(Arc::clone).collect();
            let asked = |session: &Arc<Session>| {
                session.asked_elsewhere().into_iter().map({
                    let session = Arc::clone(session);
                    move |id| (Arc::clone(&session), id)
                })
            };
            let questions = all.iter().flat_map(asked).collect();
            return (all, questions);
        }
        let sessions = doubts.sessions.iter().filter_map(|digest| table.of_digest(digest)).collect();
        let question =
            |(digest, id): &(SessionDigest, Box<str>)| Some((table.of_digest(digest)?, id.clone()));
        (sessions, doubts.questions.iter().filter_map(question).collect())
    }

    /// Tells the store of sessions that were used. Which of them there are no more.
    ///
    /// # Errors
    /// [`StoreError`]; they are told of again.
    pub(super) async fn tell_used(
        &self,
        fleet: &Fleet,
        used: Vec<(Arc<Session>, u64, SessionUse)>,
    ) -> Result<Vec<SessionDigest>, StoreError> {
        let mut gone = Vec::new();
        for some in used.chunks(USED_AT_ONCE) {
            let uses = some.iter().map(|(_, _, used)| used.clone()).collect();
            let there = fleet.store.use_sessions(uses).await;
            let there = fleet.failures.note("sessions.use_sessions", there)?;
            for ((session, when, used), is_there) in some.iter().zip(there) {
                if is_there { session.told_used(*when) } else { gone.push(used.digest) }
            }
        }
        Ok(gone)
    }
}

/// Seals an answer, which may hold a secret: the store has the key nowhere, since it knows no session's id. `None`
/// without random bytes.
pub(super) fn sealed(session: &Session, question: &str, reply: &Reply) -> Option<Vec<u8>> {
    let text = match reply {
        Reply::Result(text) => text,
        // No object is as short as that.
        Reply::Error => "",
    };
    let id = session.id().encode();
    Seal { purpose: PURPOSE, known: id.as_bytes(), of: question }.seal(text)
}

/// What [`sealed`] was given; `None` if it is not an answer to that question of that session.
pub(super) fn opened(session: &Session, question: &str, sealed: &[u8]) -> Option<Reply> {
    let id = session.id().encode();
    let text = Seal { purpose: PURPOSE, known: id.as_bytes(), of: question }.open(sealed)?;
    Some(if text.is_empty() { Reply::Error } else { Reply::Result(text.into()) })
}
