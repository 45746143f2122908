//! What every backend that servers share promises of sessions.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use portcullis::{
    domain::Timestamp,
    protocol::{LogLevel, Revision},
    store::{
        self, ChangeKind, SessionAnswer, SessionDigest, SessionQuestion, SessionRoom, SessionRow, SessionUse,
        SessionWish, SharedSessions, StoreError, Wished,
    },
};

use super::{
    Backend, backends, next,
    nodes::{Node, until},
    wait,
};

const MINUTE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(40);
const ROOM: SessionRoom = SessionRoom { of_one: 2, longest: Duration::from_secs(600) };

fn digest(n: u8) -> SessionDigest {
    SessionDigest::of(&[n; 24])
}

fn row(n: u8, owner: &str, lives: Duration) -> SessionRow {
    SessionRow {
        digest: digest(n),
        owner: owner.parse().unwrap(),
        revision: Revision::June2025,
        capabilities: "{\"roots\":{}}".into(),
        level: LogLevel::Info,
        uris: Vec::new(),
        born: Timestamp::from_micros(1_234_567),
        lives,
    }
}

/// Those that share sessions: their names, stores and sessions.
fn shared() -> Vec<(Backend, Arc<dyn SharedSessions>)> {
    let shared = |backend: Backend| {
        let sessions = backend.stores.sessions.clone();
        assert_eq!(sessions.is_none(), backend.name == "sqlite");
        Some((backend, sessions?))
    };
    backends().into_iter().filter_map(shared).collect()
}

fn open(sessions: &dyn SharedSessions, row: &SessionRow) -> bool {
    wait(sessions.open_session(row, ROOM)).unwrap()
}

fn find(sessions: &dyn SharedSessions, n: u8) -> Option<SessionRow> {
    wait(sessions.find_sessions(vec![digest(n)])).unwrap().remove(0).unwrap()
}

fn wish(sessions: &dyn SharedSessions, n: u8, wish: SessionWish) -> Wished {
    wait(sessions.wish(digest(n), wish)).unwrap()
}

#[test]
fn a_session_is_found_as_it_was_opened_until_it_ends() {
    for (Backend { name, stores, .. }, sessions) in shared() {
        let mut watch = stores.feed.watch(0);
        assert!(
            open(&*sessions, &row(1, "ada", MINUTE)) && open(&*sessions, &row(2, "bob", SHORT)),
            "{name}"
        );
        let found = find(&*sessions, 1).unwrap();
        assert!(found.lives <= MINUTE && found.lives > MINUTE / 2, "{name}: {:?}", found.lives);
        assert_eq!(SessionRow { lives: MINUTE, ..found }, row(1, "ada", MINUTE), "{name}");
        until(|| find(&*sessions, 2).is_none());
        let all = wait(sessions.find_sessions(vec![digest(3), digest(1), digest(2)])).unwrap();
        let there: Vec<_> = all.into_iter().map(|one| one.unwrap().is_some()).collect();
        assert_eq!(there, [false, true, false], "{name}");
        assert_eq!(wait(sessions.find_sessions(Vec::new())), Ok(Vec::new()), "{name}");
        wait(sessions.end_session(digest(1))).unwrap();
        wait(sessions.end_session(digest(1))).unwrap();
        assert_eq!(find(&*sessions, 1), None, "{name}");
        let told = next(watch.as_mut(), MINUTE);
        assert_eq!(told, [ChangeKind::Session(digest(1))], "{name}: its end alone, and once");
    }
}

#[test]
fn one_has_so_many_sessions_at_all_servers_and_what_is_over_takes_no_place() {
    for (Backend { name, .. }, sessions) in shared() {
        assert!(
            open(&*sessions, &row(1, "ada", MINUTE)) && open(&*sessions, &row(2, "ada", SHORT)),
            "{name}"
        );
        assert!(open(&*sessions, &row(4, "bob", MINUTE)), "{name}: another's");
        until(|| find(&*sessions, 2).is_none());
        assert!(open(&*sessions, &row(3, "ada", MINUTE)), "{name}: one was over");
        assert!(!open(&*sessions, &row(5, "ada", MINUTE)), "{name}");
        assert_eq!(find(&*sessions, 5), None, "{name}");
        wait(sessions.end_session(digest(3))).unwrap();
        assert!(open(&*sessions, &row(5, "ada", MINUTE)), "{name}: one has ended");
    }
}

#[test]
fn however_many_open_at_once_one_has_no_session_too_many() {
    for (Backend { name, .. }, sessions) in shared() {
        let opened: usize = thread::scope(|threads| {
            let open = |n| {
                let sessions = &sessions;
                threads.spawn(move || usize::from(open(&**sessions, &row(n, "ada", MINUTE))))
            };
            let all: Vec<_> = (0..8).map(open).collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(opened, 2, "{name}");
    }
}

#[test]
fn a_session_that_is_used_lives_longer_and_never_shorter() {
    for (Backend { name, .. }, sessions) in shared() {
        let of = |n, lives| SessionUse { digest: digest(n), owner: "ada".parse().unwrap(), lives };
        assert!(open(&*sessions, &row(1, "ada", SHORT * 100)), "{name}");
        let uses = vec![of(1, MINUTE), of(9, MINUTE), of(1, SHORT)];
        assert_eq!(wait(sessions.use_sessions(uses)), Ok(vec![true, false, true]), "{name}");
        assert!(find(&*sessions, 1).unwrap().lives > MINUTE / 2, "{name}");
        assert_eq!(find(&*sessions, 9), None, "{name}: what has ended is not used to life");
        assert!(open(&*sessions, &row(2, "ada", MINUTE)), "{name}");
        assert!(!open(&*sessions, &row(3, "ada", MINUTE)), "{name}: it takes its place for as long");
    }
}

#[test]
fn wishes_are_kept_and_told_if_they_change_anything() {
    for (Backend { name, stores, .. }, sessions) in shared() {
        open(&*sessions, &row(1, "ada", MINUTE));
        let mut watch = stores.feed.watch(0);
        let subscribe = |uri: &str| SessionWish::Subscribe(uri.into(), 2);
        for (made, comes_to, tells) in [
            (SessionWish::Level(LogLevel::Info), Wished::Done, false),
            (SessionWish::Level(LogLevel::Error), Wished::Done, true),
            (subscribe("a:1"), Wished::Done, true),
            (subscribe("a:1"), Wished::Done, false),
            (subscribe("a:2"), Wished::Done, true),
            (subscribe("a:3"), Wished::TooMany, false),
            (SessionWish::Unsubscribe("a:3".into()), Wished::Done, false),
            (SessionWish::Unsubscribe("a:1".into()), Wished::Done, true),
        ] {
            assert_eq!(wish(&*sessions, 1, made.clone()), comes_to, "{name}: {made:?}");
            let told = next(watch.as_mut(), if tells { MINUTE } else { Duration::ZERO });
            let expected = tells.then_some(ChangeKind::Session(digest(1)));
            assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{name}: {made:?}");
        }
        let found = find(&*sessions, 1).unwrap();
        assert_eq!((found.level, &*found.uris), (LogLevel::Error, &["a:2".into()][..]), "{name}");
        assert!(found.lives > MINUTE / 2, "{name}: it lives as long as before");
        assert_eq!(wish(&*sessions, 2, subscribe("a:1")), Wished::Gone, "{name}");
        wait(sessions.cancel_call(digest(1), "\"é\"")).unwrap();
        let told = next(watch.as_mut(), MINUTE);
        assert_eq!(told, [ChangeKind::SessionCall { session: digest(1), call: "\"é\"".into() }], "{name}");
    }
}

/// Whether an answer of somebody with these permissions is taken.
fn answer(sessions: &dyn SharedSessions, id: &str, has: &[&str], sealed: Option<&[u8]>) -> bool {
    let has = has.iter().map(|&name| name.to_owned()).collect();
    let sealed = sealed.map(<[u8]>::to_vec);
    wait(sessions.answer_question(SessionAnswer { session: digest(1), id: id.into(), has, sealed })).unwrap()
}

fn ask(sessions: &dyn SharedSessions, ids: &[&str], within: Duration) {
    let needs = vec!["files:read".to_owned(), "files:write".to_owned()];
    let question = |&id: &&str| SessionQuestion { session: digest(1), id: id.into(), needs: needs.clone() };
    wait(sessions.keep_questions(ids.iter().map(question).collect(), within)).unwrap();
}

#[test]
fn a_question_is_answered_once_by_somebody_who_may_and_its_answer_stays_until_it_is_taken_away() {
    for (Backend { name, stores, .. }, sessions) in shared() {
        let mut watch = stores.feed.watch(0);
        let all = ["weather:read", "files:write", "files:read"];
        ask(&*sessions, &["a", "b", "c"], MINUTE);
        let found = |id| wait(sessions.find_answer(digest(1), id)).unwrap();
        assert_eq!(found("a"), None, "{name}: nobody has answered");
        assert!(!answer(&*sessions, "a", &["files:read"], Some(b"x")), "{name}: who may less");
        assert!(!answer(&*sessions, "z", &all, Some(b"x")), "{name}: what nobody has asked");
        assert!(next(watch.as_mut(), Duration::ZERO).is_empty(), "{name}");
        assert!(answer(&*sessions, "a", &all, Some(b"\0x")), "{name}");
        assert!(!answer(&*sessions, "a", &all, Some(b"y")), "{name}: it was answered");
        assert!(!answer(&*sessions, "a", &all, None), "{name}: it was answered");
        let told = next(watch.as_mut(), MINUTE);
        assert_eq!(told, [ChangeKind::SessionAnswer { session: digest(1), question: "a".into() }], "{name}");
        for _ in 0..2 {
            assert_eq!(found("a").as_deref(), Some(&b"\0x"[..]), "{name}: a reply may be lost");
        }
        assert!(!answer(&*sessions, "a", &all, Some(b"y")), "{name}: nobody answers it anew");
        wait(sessions.withdraw_questions(digest(1), vec!["a".into()])).unwrap();
        assert_eq!(found("a"), None, "{name}: it is gone");
        assert!(answer(&*sessions, "b", &all, None), "{name}: by whoever has it at hand");
        assert!(!answer(&*sessions, "b", &all, Some(b"x")), "{name}");
        assert!(next(watch.as_mut(), Duration::ZERO).is_empty(), "{name}: nobody else needs it");
        wait(sessions.withdraw_questions(digest(1), vec!["c".into(), "z".into()])).unwrap();
        wait(sessions.withdraw_questions(digest(1), Vec::new())).unwrap();
        assert!(!answer(&*sessions, "c", &all, Some(b"x")), "{name}: nobody waits any more");
        ask(&*sessions, &["d"], SHORT);
        let over = Instant::now() + SHORT * 3;
        until(|| Instant::now() > over);
        assert!(!answer(&*sessions, "d", &all, Some(b"x")), "{name}: its time is over");
    }
}

#[test]
fn of_several_who_answer_at_once_one_is_heard() {
    for (Backend { name, .. }, sessions) in shared() {
        ask(&*sessions, &["a"], MINUTE);
        let taken: usize = thread::scope(|threads| {
            let answer = |_| {
                let sessions = &sessions;
                let all = ["files:read", "files:write"];
                threads.spawn(move || usize::from(answer(&**sessions, "a", &all, Some(b"x"))))
            };
            let all: Vec<_> = (0..6).map(answer).collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(taken, 1, "{name}");
    }
}

#[test]
fn of_a_session_that_does_not_read_nobody_knows_and_it_stays_until_it_is_ended() {
    let node = Node::start("save \"\"", &[]);
    let stores = store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap();
    let sessions = stores.sessions.as_deref().unwrap();
    let key = |n| format!("portcullis:session:{}", digest(n).encode());
    for n in 1..=4 {
        assert!(open(sessions, &row(n, &format!("ada{n}"), MINUTE)));
    }
    node.ask(&format!("SET {} x", key(1))).unwrap();
    node.ask(&format!("SET {} \"{{\\\"v\\\":1}}\"", key(2))).unwrap();
    node.ask(&format!("DEL {}", key(3))).unwrap();
    node.ask(&format!("RPUSH {} x", key(3))).unwrap();
    let found = wait(sessions.find_sessions((1..=4).map(digest).collect())).unwrap();
    let known: Vec<_> = found.into_iter().map(|one| one.map(|row| row.is_some())).collect();
    let unknown = Err(StoreError::Corrupt("a session"));
    assert_eq!(known, [unknown.clone(), unknown.clone(), Ok(false), Ok(true)], "a list is none of ours");
    for (n, there) in [(1, ":1"), (2, ":1"), (3, ":0")] {
        assert_eq!(node.ask(&format!("EXISTS {}", key(n))).as_deref(), Some(there), "{n}");
    }
    node.ask(&format!("SET {} x", key(4))).unwrap();
    let level = SessionWish::Level(LogLevel::Error);
    assert_eq!(wait(sessions.wish(digest(4), level)).map(|_| ()), unknown.map(|_| ()));
    wait(sessions.end_session(digest(4))).unwrap();
    assert_eq!(node.ask(&format!("EXISTS {}", key(4))).as_deref(), Some(":0"));
}
