//! Whose sessions are, how long they live, and what their streams keep.

use std::task::Waker;

use bytes::Bytes;

use super::{lines::Lines, table::Table, *};
use crate::{
    domain::{Catalogue, Change, PermissionSet},
    protocol::Revision,
    store::{self, Stores},
};

const SECOND: Duration = Duration::from_secs(1);
/// Somebody who may do nothing, as anybody else may.
const NONE: PermissionSet = PermissionSet::EMPTY;

pub(super) fn rules() -> SessionRules {
    SessionRules {
        idle: 10 * SECOND,
        absolute: 30 * SECOND,
        per_principal: 2,
        max: 3,
        buffer: 1_024,
        answer_within: SECOND,
    }
}

fn opening(owner: &str) -> Opening {
    Opening { owner: owner.parse().unwrap(), revision: Revision::November2025, capabilities: "{}".into() }
}

fn session() -> Arc<Session> {
    Table::default().open(opening("ada"), &rules(), Instant::now()).unwrap()
}

fn event(name: &str, text: &str) -> Bytes {
    format!("{name}:{text}").into()
}

/// Everything that there is to be read.
fn rest(session: &Session, reader: &mut Reader) -> Vec<String> {
    let mut all = Vec::new();
    while let Next::Event(bytes) = session.read(reader, Waker::noop()) {
        all.push(String::from_utf8(bytes.to_vec()).unwrap());
    }
    all
}

#[test]
fn a_session_is_there_for_its_owner_alone() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let session = table.open(opening("ada"), &rules, now).unwrap();
    let find = |table: &Table, id: &SessionId, who: &str| {
        table.find(id, &who.parse().unwrap(), (&rules, now)).is_some()
    };
    assert!(find(&table, session.id(), "ada") && !find(&table, session.id(), "bob"));
    assert!(!find(&table, &SessionId::random().unwrap(), "ada"));
    table.end(session.id());
    assert!(!find(&table, session.id(), "ada"));
    assert!(table.is_clean());
}

#[test]
fn one_has_at_most_its_share_all_together_theirs_and_what_has_ended_is_free() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let open = |table: &mut Table, who: &str, after| table.open(opening(who), &rules, now + after);
    for _ in 0..2 {
        open(&mut table, "ada", Duration::ZERO).unwrap();
    }
    assert_eq!(open(&mut table, "ada", Duration::ZERO).unwrap_err(), SessionError::OfOne(2));
    open(&mut table, "bob", 5 * SECOND).unwrap();
    assert_eq!(open(&mut table, "bob", 5 * SECOND).unwrap_err(), SessionError::OfAll);
    assert_eq!(table.len(), 3);
    open(&mut table, "ada", 10 * SECOND).expect("those of ada are idle by now");
    assert_eq!(table.len(), 2);
}

#[test]
fn a_session_ends_when_it_is_idle_or_old_and_to_the_moment() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let session = table.open(opening("ada"), &rules, now).unwrap();
    let ada = "ada".parse().unwrap();
    let found = |after: Duration| table.find(session.id(), &ada, (&rules, now + after)).is_some();
    let short = Duration::from_millis(1);
    assert!(found(10 * SECOND - short), "used then");
    assert!(!found(20 * SECOND - short), "idle for as long as it may be");
    assert!(found(20 * SECOND - 2 * short));
    assert!(found(30 * SECOND - 3 * short));
    assert!(!found(30 * SECOND), "used a moment ago, and too old");
    table.sweep(&rules, now + 30 * SECOND);
    assert!(table.is_clean());
}

#[test]
fn a_session_whose_stream_is_read_is_not_idle_and_still_grows_old() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let session = table.open(opening("ada"), &rules, now).unwrap();
    let _reader = session.attach(COMMON, None, NONE).unwrap();
    table.sweep(&rules, now + 20 * SECOND);
    assert_eq!(table.len(), 1);
    table.sweep(&rules, now + 30 * SECOND);
    assert!(table.is_clean());
}

#[actix_web::test]
async fn a_session_in_which_somebody_is_asked_or_a_call_runs_is_not_idle() {
    let (mut table, rules, now) = (Table::default(), rules(), Instant::now());
    let session = table.open(opening("ada"), &rules, now).unwrap();
    let found =
        |table: &Table, after| table.find(session.id(), session.owner(), (&rules, now + after)).is_some();
    let question = session.ask(NONE).unwrap();
    assert!(found(&table, 10 * SECOND));
    table.sweep(&rules, now + 12 * SECOND);
    drop(question);
    assert!(found(&table, 20 * SECOND), "idle since nobody is asked any more");
    let call = actix_web::rt::spawn(std::future::pending::<()>());
    session.begin("1", call.abort_handle());
    table.sweep(&rules, now + 29 * SECOND);
    session.done("1", &call.abort_handle());
    assert!(found(&table, 29 * SECOND));
    table.sweep(&rules, now + 30 * SECOND);
    assert!(table.is_clean(), "and it still grows old");
}

#[test]
fn an_event_is_read_once_and_again_only_by_whoever_comes_back_for_it() {
    let session = session();
    let line = session.open_line(NONE).unwrap();
    let mut first = session.attach(line, None, NONE).unwrap();
    for text in ["a", "b", "c"] {
        assert!(session.push(line, true, |name| event(name, text)));
    }
    assert_eq!(rest(&session, &mut first), ["1-0:a", "1-1:b", "1-2:c"]);
    assert!(!session.has_more(&first));
    let mut again = session.attach(line, Some(0), NONE).unwrap();
    assert_eq!(session.read(&mut first, Waker::noop()), Next::Over, "somebody else reads it now");
    assert_eq!(rest(&session, &mut again), ["1-1:b", "1-2:c"]);
    let mut new = session.attach(line, None, NONE).unwrap();
    assert_eq!(rest(&session, &mut new), Vec::<String>::new());
    assert!(session.attach(line, Some(3), NONE).is_none(), "there is no such event");
    assert!(session.attach(line + 1, None, NONE).is_none(), "there is no such line");
    session.close_line(line, Instant::now(), Vec::new());
    assert_eq!(session.read(&mut new, Waker::noop()), Next::Over);
    assert!(!session.push(line, true, |name| event(name, "late")));
}

#[test]
fn what_was_written_makes_room_and_what_need_not_be_read_does_not_grow() {
    let session = session();
    let line = session.open_line(NONE).unwrap();
    let long = "x".repeat(400);
    assert!(session.push(line, false, |name| event(name, &long)));
    assert!(session.push(line, false, |name| event(name, &long)));
    assert!(!session.push(line, false, |name| event(name, &long)), "1 KiB holds two");
    assert!(session.push(line, true, |name| event(name, "the answer")));
    let mut reader = session.attach(line, None, NONE).unwrap();
    assert_eq!(rest(&session, &mut reader).len(), 3);
    assert!(session.push(line, false, |name| event(name, &long)), "what was written makes room");
    let mut again = session.attach(line, Some(0), NONE).unwrap();
    let names: Vec<_> = rest(&session, &mut again).iter().map(|text| text[..3].to_owned()).collect();
    assert_eq!(names, ["1-1", "1-2", "1-3"]);
}

#[test]
fn lines_are_bounded_and_only_one_that_has_ended_makes_room() {
    let mut lines = Lines::new(1_024, 0);
    let all: Vec<_> = (1..MOST_LINES).map(|_| lines.open(NONE).unwrap()).collect();
    assert_eq!(lines.open(NONE), None);
    let now = Instant::now();
    lines.close(all[3], now, vec![Box::new(())]);
    let new = lines.open(NONE).unwrap();
    assert!(lines.attach(all[3], None, NONE).is_none() && lines.attach(new, None, NONE).is_some());
    lines.close(new, now, Vec::new());
    let reader = lines.attach(new, None, NONE).unwrap();
    lines.sweep(now + 60 * SECOND);
    lines.detach(&reader);
    lines.sweep(now + 60 * SECOND);
    assert!(lines.attach(new, None, NONE).is_none());
}

#[test]
fn a_line_that_lets_its_reader_go_can_be_come_back_to() {
    let session = session();
    let line = session.open_line(NONE).unwrap();
    let mut reader = session.attach(line, None, NONE).unwrap();
    session.push(line, true, |name| event(name, "a"));
    session.let_go(line);
    assert_eq!(rest(&session, &mut reader), ["1-0:a"], "not before it has read what is there");
    assert_eq!(session.read(&mut reader, Waker::noop()), Next::Over);
    session.push(line, true, |name| event(name, "b"));
    let mut back = session.attach(line, Some(0), NONE).unwrap();
    assert_eq!(rest(&session, &mut back), ["1-1:b"]);
}

#[test]
fn a_first_event_has_a_name_of_its_own_and_is_not_told_again() {
    let session = session();
    let mut reader = session.attach(COMMON, None, NONE).unwrap();
    assert_eq!(session.first(&reader).as_deref(), Some("0-0"));
    assert!(!session.has_more(&reader));
    session.push(COMMON, true, |name| event(name, "a"));
    assert_eq!(session.first(&reader), None, "there is something to read");
    assert_eq!(rest(&session, &mut reader), ["0-1:a"]);
    let mut back = session.attach(COMMON, Some(0), NONE).unwrap();
    assert_eq!(session.first(&reader), None, "it is read by somebody else");
    assert_eq!(rest(&session, &mut back), ["0-1:a"]);
}

#[test]
fn the_name_of_an_event_has_one_form() {
    assert_eq!(event_of("3-17"), Some((3, 17)));
    for wrong in
        ["", "-", "3", "3-", "-1", "3-1-1", "+3-1", "3-+1", " 3-1", "4294967296-0", "1-18446744073709551616"]
    {
        assert_eq!(event_of(wrong), None, "{wrong}");
    }
}

#[test]
fn what_has_changed_is_told_once_on_the_common_line_and_only_what_is_wanted() {
    let session = session();
    let mut reader = session.attach(COMMON, None, NONE).unwrap();
    assert!(session.subscribe("a:1") && session.subscribe("a:2") && session.subscribe("a:1"));
    let resource = |uri: &str| Change::Resource(uri.into());
    session.hear(Some(&[Change::Tools, resource("a:2"), resource("a:3"), Change::Tools]));
    let mut told = || session.read(&mut reader, Waker::noop());
    assert_eq!(told(), Next::Changes(vec![Change::Tools, resource("a:2")]));
    assert_eq!(told(), Next::Nothing);
    session.hear(Some(&[resource("a:1"), resource("a:2")]));
    session.unsubscribe("a:2");
    assert_eq!(told(), Next::Changes(vec![resource("a:1")]));
    session.hear(None);
    let everything = vec![Change::Tools, Change::Prompts, Change::Resources, resource("a:1")];
    assert_eq!(told(), Next::Changes(everything));
}

#[test]
fn subscriptions_are_bounded_and_a_place_that_ends_is_free() {
    let session = session();
    let uri = |n: usize| format!("a:{n}");
    assert!((0..MOST_URIS).all(|n| session.subscribe(&uri(n))));
    assert!(!session.subscribe(&uri(MOST_URIS)));
    session.unsubscribe(&uri(7));
    assert!(session.subscribe(&uri(MOST_URIS)));
    session.hear(Some(&[Change::Resource(uri(7).into())]));
    let mut reader = session.attach(COMMON, None, NONE).unwrap();
    assert_eq!(session.read(&mut reader, Waker::noop()), Next::Nothing, "its place is another's");
}

#[actix_web::test]
async fn an_answer_is_taken_once_and_by_its_id() {
    let session = session();
    let (one, other) = (session.ask(NONE).unwrap(), session.ask(NONE).unwrap());
    assert_ne!(one.id(), other.id());
    assert!(one.id().len() == 32 && !session.answer("0", Reply::Error, NONE));
    let id = one.id().to_owned();
    assert!(session.answer(&id, Reply::Result("{}".into()), NONE));
    assert!(!session.answer(&id, Reply::Error, NONE), "it was answered");
    assert_eq!(one.answered().await, Some(Reply::Result("{}".into())));
    let id = other.id().to_owned();
    drop(other);
    assert!(!session.answer(&id, Reply::Error, NONE), "nobody waits any more");
    assert_eq!(session.asked(), 0);
    let last = session.ask(NONE).unwrap();
    session.end();
    assert_eq!(last.answered().await, None);
    assert!(session.ask(NONE).is_none());
}

#[test]
fn questions_are_bounded() {
    let session = session();
    let asked: Vec<_> = std::iter::from_fn(|| session.ask(NONE)).collect();
    assert_eq!(asked.len(), 32);
}

#[test]
fn a_session_that_has_ended_ends_its_streams() {
    let session = session();
    let mut reader = session.attach(COMMON, None, NONE).unwrap();
    session.end();
    assert_eq!(session.read(&mut reader, Waker::noop()), Next::Over);
    assert!(session.open_line(NONE).is_none() && session.attach(COMMON, None, NONE).is_none());
}

#[actix_web::test]
async fn sessions_outlive_their_actor_and_hear_what_it_has_missed() {
    let arbiter = actix::Arbiter::new();
    let (changes, stores) = (Changes::default(), store::open("memory:").unwrap());
    let stores = Stores { sessions: None, ..stores };
    let sessions = Sessions::start(&arbiter.handle(), rules(), (&stores, 0), changes.clone()).await.unwrap();
    let session = sessions.open(opening("ada")).await.unwrap();
    let mut reader = session.attach(COMMON, None, NONE).unwrap();
    sessions.fault().unwrap();
    while sessions.vitals().restarts == 0 {
        tokio::task::yield_now().await;
    }
    assert!(sessions.find(session.id(), session.owner(), Instant::now()).is_some());
    let heard = loop {
        match session.read(&mut reader, Waker::noop()) {
            Next::Nothing => tokio::task::yield_now().await,
            told => break told,
        }
    };
    assert_eq!(heard, Next::Changes(vec![Change::Tools, Change::Prompts, Change::Resources]));
    sessions.end(&session).await.unwrap();
    assert_eq!(sessions.count(), 0);
    arbiter.stop();
}

#[test]
fn an_idle_session_takes_little() {
    // Beside it stand its entries in two tables and what its client has said.
    assert!(size_of::<Session>() <= 512, "{}", size_of::<Session>());
}

#[test]
fn what_is_kept_on_the_common_line_is_told_to_nobody_who_may_not_know_it() {
    let catalogue = Catalogue::new::<&str>(&[]).unwrap();
    let reads = NONE.with(catalogue.find("files:read").unwrap());
    let session = session();
    let mut more = session.attach(COMMON, None, reads).unwrap();
    session.push(COMMON, true, |name| event(name, "list"));
    session.tell(reads, |name| event(name, "secret"));
    assert_eq!(rest(&session, &mut more).len(), 2);
    session.tell(reads, |name| event(name, "unread"));
    for after in [Some(0), None] {
        let mut less = session.attach(COMMON, after, NONE).unwrap();
        assert!(!session.has_more(&less) && session.first(&less).is_some());
        assert_eq!(rest(&session, &mut less), Vec::<String>::new());
    }
    let mut less = session.attach(COMMON, None, NONE).unwrap();
    session.push(COMMON, true, |name| event(name, "list again"));
    assert!(session.has_more(&less));
    assert_eq!(rest(&session, &mut less), ["0-5:list again"]);
    less.may(reads);
    session.tell(reads, |name| event(name, "by now"));
    assert_eq!(rest(&session, &mut less), ["0-6:by now"]);
    less.may(NONE);
    session.tell(reads, |name| event(name, "no longer"));
    assert_eq!(rest(&session, &mut less), Vec::<String>::new());
    let mut more = session.attach(COMMON, Some(0), reads).unwrap();
    assert_eq!(rest(&session, &mut more).len(), 5, "whoever may know comes back to all of it");
}

#[test]
fn whoever_may_less_comes_back_to_nothing_and_answers_nothing() {
    let catalogue = Catalogue::new::<&str>(&[]).unwrap();
    let may = |name: &str| PermissionSet::EMPTY.with(catalogue.find(name).unwrap());
    let (reads, writes) = (may("files:read"), may("files:write"));
    let session = session();
    let line = session.open_line(reads).unwrap();
    session.push(line, true, |name| event(name, "secret"));
    assert!(session.attach(line, None, writes).is_none() && session.attach(line, None, NONE).is_none());
    let mut reader = session.attach(line, None, reads.union(writes)).unwrap();
    assert_eq!(rest(&session, &mut reader).len(), 1);
    let question = session.ask(writes).unwrap();
    let id = question.id().to_owned();
    assert!(!session.answer(&id, Reply::Error, reads), "by somebody who may not do what was asked for");
    assert!(session.answer(&id, Reply::Error, writes), "and it still waits");
}
