//! What a server does of itself for the sessions that it shares: whom it asks, how often, and what it clears up.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Waker,
};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::{
    fleet::{opened, sealed},
    table::Table,
    tests::rules,
    *,
};
use crate::{
    actors::feed::{Listener, Upto},
    domain::{Change, PermissionSet, Timestamp},
    protocol::{LogLevel, Revision},
    store::{
        self, ChangeKind, SessionAnswer, SessionDigest, SessionLook, SessionQuestion, SessionRoom,
        SessionRow, SessionUse, SessionWish, SharedSessions, StoreError, StoreFuture, Stores, Wished,
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn row(id: &SessionId) -> SessionRow {
    SessionRow {
        digest: id.digest(),
        owner: "ada".parse().unwrap(),
        revision: Revision::November2025,
        capabilities: "{}".into(),
        level: LogLevel::Error,
        uris: vec!["a:1".into(), "a:2".into()],
        born: Timestamp::now(),
        lives: rules().lives(),
    }
}

fn adopted(table: &mut Table, now: Instant) -> Arc<Session> {
    let id = SessionId::random().unwrap();
    table.adopt((id, row(&id)), &rules(), now).unwrap()
}

/// A memory store that answers a look only when it may, and loses some of its replies.
struct Slow {
    inner: Arc<dyn SharedSessions>,
    looks: AtomicUsize,
    may: Semaphore,
    /// How many of the next replies to who looks for an answer are lost.
    lost: AtomicUsize,
    /// Whether a newer program has written all sessions anew.
    is_newer: AtomicBool,
}

impl Slow {
    fn on(stores: &Stores, lost: usize) -> Arc<Self> {
        let (inner, lost) = (stores.sessions.clone().unwrap(), AtomicUsize::new(lost));
        let (looks, may, is_newer) = (AtomicUsize::new(0), Semaphore::new(0), AtomicBool::new(false));
        Arc::new(Self { inner, looks, may, lost, is_newer })
    }
}

impl SharedSessions for Slow {
    fn open_session<'a>(&'a self, row: &'a SessionRow, room: SessionRoom) -> StoreFuture<'a, bool> {
        self.inner.open_session(row, room)
    }

    fn find_sessions(&self, digests: Vec<SessionDigest>) -> StoreFuture<'_, Vec<SessionLook>> {
        Box::pin(async move {
            self.looks.fetch_add(1, Ordering::Relaxed);
            let _may = self.may.acquire().await;
            let found = self.inner.find_sessions(digests).await;
            if self.is_newer.load(Ordering::Relaxed) {
                return found.map(|all| all.iter().map(|_| Err(StoreError::Corrupt("a session"))).collect());
            }
            found
        })
    }

    fn use_sessions(&self, uses: Vec<SessionUse>) -> StoreFuture<'_, Vec<bool>> {
        self.inner.use_sessions(uses)
    }

    fn wish(&self, session: SessionDigest, wish: SessionWish) -> StoreFuture<'_, Wished> {
        self.inner.wish(session, wish)
    }

    fn end_session(&self, session: SessionDigest) -> StoreFuture<'_, ()> {
        self.inner.end_session(session)
    }

    fn cancel_call<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, ()> {
        self.inner.cancel_call(session, id)
    }

    fn keep_questions(&self, questions: Vec<SessionQuestion>, within: Duration) -> StoreFuture<'_, ()> {
        self.inner.keep_questions(questions, within)
    }

    fn answer_question(&self, answer: SessionAnswer) -> StoreFuture<'_, bool> {
        self.inner.answer_question(answer)
    }

    fn find_answer<'a>(&'a self, session: SessionDigest, id: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let found = self.inner.find_answer(session, id).await;
            let is_lost =
                self.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if is_lost.is_ok() { Err(StoreError::Unavailable("lost".into())) } else { found }
        })
    }

    fn withdraw_questions(&self, session: SessionDigest, ids: Vec<Box<str>>) -> StoreFuture<'_, ()> {
        self.inner.withdraw_questions(session, ids)
    }
}

#[actix_web::test]
async fn however_many_look_for_a_session_at_once_the_store_is_asked_once() {
    let stores = store::open("memory:").unwrap();
    let slow = Slow::on(&stores, 0);
    let fleet = Fleet::new(Arc::clone(&slow) as Arc<dyn SharedSessions>, stores.failures.clone(), 0);
    let id = SessionId::random().unwrap();
    let room = SessionRoom { of_one: 1, longest: 30 * SECOND };
    assert_eq!(slow.open_session(&row(&id), room).await, Ok(true));
    let looks = join_all((0..20).map(|_| fleet.look(&id)));
    let opens = async { slow.may.add_permits(1) };
    let (found, ()) = futures_util::future::join(looks, opens).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().as_ref().unwrap().digest == id.digest()));
    assert_eq!(slow.looks.load(Ordering::Relaxed), 1);
    fleet.look(&id).await.unwrap();
    assert_eq!(slow.looks.load(Ordering::Relaxed), 2, "nothing of it is kept");
}

#[test]
fn a_use_is_told_when_it_is_worth_it_and_says_how_long_the_session_lives_then() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let session = adopted(&mut table, now);
    let used = |table: &Table, after: Duration| {
        table.used(&rules, now + after).into_iter().map(|(_, used, told)| (used, told.lives)).next()
    };
    assert_eq!(used(&table, SECOND), None);
    session.touch(now + SECOND);
    assert_eq!(used(&table, SECOND), None, "so little is not worth it");
    session.touch(now + 2 * SECOND);
    let (when, lives) = used(&table, 3 * SECOND).unwrap();
    assert!(lives <= rules.lives() - SECOND && lives > rules.lives() - 2 * SECOND, "{lives:?}");
    session.told_used(when);
    assert_eq!(used(&table, 3 * SECOND), None);
    session.touch(now + 25 * SECOND);
    let (_, lives) = used(&table, 25 * SECOND).unwrap();
    assert!(lives <= 5 * SECOND && lives > 4 * SECOND, "it grows no older: {lives:?}");
}

#[test]
fn a_session_is_known_once_also_if_it_was_idle_here_and_anew_when_it_has_ended() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let session = adopted(&mut table, now);
    let again =
        |table: &mut Table, after| table.adopt((*session.id(), row(session.id())), &rules, now + after);
    assert!(Arc::ptr_eq(&again(&mut table, SECOND).unwrap(), &session));
    assert!(Arc::ptr_eq(&again(&mut table, 19 * SECOND).unwrap(), &session), "used elsewhere meanwhile");
    session.end();
    assert!(!Arc::ptr_eq(&again(&mut table, 10 * SECOND).unwrap(), &session));
    assert_eq!((table.len(), table.of_digest(&session.id().digest()).is_some()), (1, true));
    for _ in 0..2 {
        adopted(&mut table, now + 10 * SECOND);
    }
    let id = SessionId::random().unwrap();
    let over = table.adopt((id, row(&id)), &rules, now + 10 * SECOND);
    assert_eq!(over.unwrap_err(), SessionError::OfAll, "one server has only so many places");
    table.sweep(&rules, now + 60 * SECOND);
    assert!(table.is_clean());
}

#[test]
fn a_session_is_used_when_another_server_says_so_and_nobody_is_told_that_again() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let session = adopted(&mut table, now);
    let told = |lives| SessionRow { lives, ..row(session.id()) };
    session.follow(&told(rules.lives() - SECOND), &rules, now + 12 * SECOND);
    assert!(!session.is_over(&rules, now + 20 * SECOND), "it was used a second before");
    assert!(session.is_over(&rules, now + 21 * SECOND));
    session.follow(&told(SECOND), &rules, now + 20 * SECOND);
    assert!(!session.is_over(&rules, now + 20 * SECOND), "what is told late takes nothing back");
    assert!(table.used(&rules, now + 20 * SECOND).is_empty());
}

#[actix_web::test]
async fn one_that_is_idle_here_alone_does_not_end_before_it_is_looked_at() {
    let (arbiter, mut stores) = (actix::Arbiter::new(), store::open("memory:").unwrap());
    let slow = Slow::on(&stores, 0);
    slow.may.add_permits(1);
    stores.sessions = Some(Arc::clone(&slow) as Arc<dyn SharedSessions>);
    let rules = SessionRules { idle: Duration::from_millis(1), ..rules() };
    let changes = Changes::default();
    let one = Sessions::start(&arbiter.handle(), rules, (&stores, 0), changes).await.unwrap();
    let opening =
        Opening { owner: "ada".parse().unwrap(), revision: Revision::June2025, capabilities: "{}".into() };
    let session = one.open(opening).await.unwrap();
    // The first look is due to its beginning.
    while slow.looks.load(Ordering::Relaxed) < 2 {
        assert_eq!(one.count(), 1);
        tokio::task::yield_now().await;
    }
    let known = one.seek(session.id(), session.owner()).await.unwrap();
    assert!(known.is_none_or(|known| Arc::ptr_eq(&known, &session)), "it goes on for whoever comes");
    stores.sessions.as_ref().unwrap().end_session(session.id().digest()).await.unwrap();
    while one.count() > 0 {
        tokio::task::yield_now().await;
    }
    arbiter.stop();
}

#[actix_web::test]
async fn of_one_that_a_newer_server_has_written_anew_nobody_here_knows_whether_it_ended() {
    let (arbiter, mut stores) = (actix::Arbiter::new(), store::open("memory:").unwrap());
    let slow = Slow::on(&stores, 0);
    slow.may.add_permits(1);
    stores.sessions = Some(Arc::clone(&slow) as Arc<dyn SharedSessions>);
    let start =
        async || Sessions::start(&arbiter.handle(), rules(), (&stores, 0), Changes::default()).await.unwrap();
    let (one, other) = (start().await, start().await);
    let opening =
        Opening { owner: "ada".parse().unwrap(), revision: Revision::June2025, capabilities: "{}".into() };
    let session = one.open(opening).await.unwrap();
    slow.is_newer.store(true, Ordering::Relaxed);
    let looked = slow.looks.load(Ordering::Relaxed);
    one.reload(Upto { row: 1, at: Instant::now() }).await.unwrap();
    while slow.looks.load(Ordering::Relaxed) == looked {
        tokio::task::yield_now().await;
    }
    let unknown = SessionError::Store(StoreError::Corrupt("a session"));
    assert_eq!(other.seek(session.id(), session.owner()).await.map(|_| ()), Err(unknown));
    slow.is_newer.store(false, Ordering::Relaxed);
    let found = other.seek(session.id(), session.owner()).await.unwrap();
    assert!(found.is_some() && one.count() == 1, "it is where it was");
    arbiter.stop();
}

#[test]
fn a_session_follows_what_its_client_wants_elsewhere() {
    let (mut table, now) = (Table::default(), Instant::now());
    let session = adopted(&mut table, now);
    assert_eq!((session.level(), session.revision()), (LogLevel::Error, Revision::November2025));
    let mut reader = session.attach(COMMON, None, PermissionSet::EMPTY).unwrap();
    let mut told = |uris: &[&str]| {
        let changes: Vec<_> = uris.iter().map(|uri| Change::Resource((*uri).into())).collect();
        session.hear(Some(&changes));
        match session.read(&mut reader, Waker::noop()) {
            Next::Changes(changes) => changes.len(),
            _ => 0,
        }
    };
    assert_eq!(told(&["a:1", "a:2", "a:3"]), 2);
    let now_wanted = SessionRow { level: LogLevel::Debug, uris: vec!["a:3".into()], ..row(session.id()) };
    session.follow(&now_wanted, &rules(), now);
    assert_eq!((told(&["a:1", "a:2"]), told(&["a:3"]), session.level()), (0, 1, LogLevel::Debug));
}

#[test]
fn no_server_has_the_name_of_an_event_of_another() {
    let (mut table, now) = (Table::default(), Instant::now());
    let [one, other] = [(); 2].map(|()| adopted(&mut table, now));
    let may = PermissionSet::EMPTY;
    let line = one.open_line(may).unwrap();
    assert!(other.attach(line, None, may).is_none(), "no line of the same number");
    let reader = one.attach(COMMON, None, may).unwrap();
    let (_, number) = event_of(&one.first(&reader).unwrap()).unwrap();
    assert!(one.attach(COMMON, Some(number), may).is_some());
    assert!(other.attach(COMMON, Some(number), may).is_none(), "no event of the same number");
}

#[test]
fn an_answer_in_the_store_is_readable_for_its_question_of_its_session_alone() {
    let (mut table, now) = (Table::default(), Instant::now());
    let [one, other] = [(); 2].map(|()| adopted(&mut table, now));
    for reply in [Reply::Result("{\"name\":\"hunter2\"}".into()), Reply::Error] {
        let kept = sealed(&one, "q", &reply).unwrap();
        assert!(!kept.windows(7).any(|some| some == b"hunter2"));
        assert_eq!(opened(&one, "q", &kept), Some(reply));
        assert_eq!((opened(&one, "p", &kept), opened(&other, "q", &kept)), (None, None));
    }
}

#[actix_web::test]
async fn an_answer_is_brought_though_replies_of_the_store_are_lost_and_the_actor_ends() {
    let (arbiter, mut stores) = (actix::Arbiter::new(), store::open("memory:").unwrap());
    let slow = Slow::on(&stores, 3);
    stores.sessions = Some(Arc::clone(&slow) as Arc<dyn SharedSessions>);
    let changes = Changes::default();
    let one = Sessions::start(&arbiter.handle(), rules(), (&stores, 0), changes).await.unwrap();
    slow.may.add_permits(1);
    let opening =
        Opening { owner: "ada".parse().unwrap(), revision: Revision::June2025, capabilities: "{}".into() };
    let session = one.open(opening).await.unwrap();
    let question = session.ask(PermissionSet::EMPTY).unwrap();
    let (digest, id) = (session.id().digest(), Box::<str>::from(question.id()));
    let published = one.publish(&session, std::slice::from_ref(&id), &[]).await;
    let reply = Reply::Result("{}".into());
    let sealed = sealed(&session, &id, &reply);
    let answer = SessionAnswer { session: digest, id: id.clone(), has: Vec::new(), sealed };
    assert_eq!(slow.answer_question(answer).await, Ok(true));
    let what = ChangeKind::SessionAnswer { session: digest, question: id.clone() };
    let told = store::Change { id: 1, at: Timestamp::now(), what };
    one.deliver(&[told], Upto { row: 1, at: Instant::now() }).unwrap();
    while slow.lost.load(Ordering::Relaxed) > 1 {
        tokio::task::yield_now().await;
    }
    one.fault().unwrap();
    assert_eq!(question.answered().await, Some(reply));
    drop(published);
    while slow.find_answer(digest, &id).await != Ok(None) {
        tokio::task::yield_now().await;
    }
    arbiter.stop();
}

#[actix_web::test]
async fn what_was_told_while_there_was_no_actor_is_cleared_up() {
    let (arbiter, stores) = (actix::Arbiter::new(), store::open("memory:").unwrap());
    let start =
        async || Sessions::start(&arbiter.handle(), rules(), (&stores, 0), Changes::default()).await.unwrap();
    let (one, other) = (start().await, start().await);
    let opening =
        Opening { owner: "ada".parse().unwrap(), revision: Revision::June2025, capabilities: "{}".into() };
    let session = one.open(opening).await.unwrap();
    let known = other.seek(session.id(), session.owner()).await.unwrap().unwrap();
    assert_eq!(known.revision(), Revision::June2025);
    one.set_level(&session, LogLevel::Alert).await.unwrap();
    other.fault().unwrap();
    while known.level() != LogLevel::Alert {
        tokio::task::yield_now().await;
    }
    one.end(&session).await.unwrap();
    assert_eq!(one.seek(session.id(), session.owner()).await.unwrap().map(|_| ()), None);
    other.fault().unwrap();
    while other.count() > 0 {
        tokio::task::yield_now().await;
    }
    arbiter.stop();
}
