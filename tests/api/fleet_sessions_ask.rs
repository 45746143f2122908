//! What is asked at one server and answered, or cancelled, at another.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    asking::accept,
    fleet::fleet_having,
    fleet_sessions::{fleet, node},
    nodes::Nodes,
    sessions_ask::{asked, asks, text, tools},
    support::{SOON, app::TestApp, session::Session, until},
};

const NEWEST: &str = "2025-11-25";
/// The promise.
const BOUND: Duration = Duration::from_secs(1);

fn begin(app: &TestApp) -> Session {
    Session::begin(app, NEWEST, &app.token("ada", "user"))
}

#[test]
fn a_question_of_one_server_is_answered_at_any() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster()] {
        let fleet: [TestApp; 3] = fleet(&url);
        let session = begin(&fleet[0]);
        for answering in [[1, 2], [0, 1], [2, 0]] {
            let mut events = asks(&fleet[0], &session, "steps");
            for (at, name) in answering.into_iter().zip(["Ada", "Lovelace"]) {
                let (id, _) = asked(&mut events, "elicitation/create");
                let said = accept(json!({ "name": name }));
                let since = Instant::now();
                let reply = session.answer(&id, said.clone()).send(&fleet[at]);
                assert_eq!((reply.status, reply.body.len()), (202, 0), "{url}");
                assert_eq!(fleet[at].record_of(&reply).detail.unwrap()["answer"], "taken");
                for app in &fleet {
                    session.answer(&id, said.clone()).send(app).refused(400, -32600, "invalid_request");
                }
                assert!(since.elapsed() < SOON);
            }
            assert_eq!(text(&events.result()), "Ada Lovelace", "{url}");
        }
    }
}

#[test]
fn an_answer_is_for_its_question_of_its_session_and_of_somebody_who_may_as_much() {
    let (node, url) = node();
    let fleet: [TestApp; 2] = fleet(&url);
    let session = begin(&fleet[0]);
    let mut events = asks(&fleet[0], &session, "name");
    let (id, _) = asked(&mut events, "elicitation/create");
    let said = || accept(json!({ "name": "Mallory" }));
    let refused = |session: &Session, id: &Value| {
        session.answer(id, said()).send(&fleet[1]).refused(400, -32600, "invalid_request");
    };
    refused(&Session { token: fleet[0].token("ada", "guest"), ..session.clone() }, &id);
    refused(&begin(&fleet[1]), &id);
    refused(&session, &json!("0".repeat(32)));
    refused(&session, &json!("x{}\r\n"));
    let other = Session { token: fleet[0].token("bob", "user"), ..session.clone() };
    other.answer(&id, said()).send(&fleet[1]).refused(404, -32600, "invalid_request");
    let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -1, "message": "nobody is here" } });
    let reply = session.answer(&id, json!({})).raw(error.to_string()).send(&fleet[1]);
    assert_eq!(reply.status, 202, "that it cannot is an answer too");
    events.told("notifications/cancelled");
    assert_eq!(events.result()["isError"], true);
    until("nothing of it is left", BOUND, || node.all("KEYS *question*").is_empty());
}

#[test]
fn of_answers_at_all_servers_at_once_one_is_taken() {
    let (_node, url) = node();
    let fleet: [TestApp; 3] = fleet(&url);
    let session = begin(&fleet[0]);
    for _ in 0..5 {
        let mut events = asks(&fleet[0], &session, "name");
        let (id, _) = asked(&mut events, "elicitation/create");
        let taken: Vec<_> = thread::scope(|threads| {
            let (session, id) = (&session, &id);
            let answer = |(at, app)| {
                let said = accept(json!({ "name": format!("name {at}") }));
                threads.spawn(move || session.answer(id, said).send(app).status)
            };
            let all: Vec<_> = fleet.iter().enumerate().map(answer).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let which: Vec<_> = (0..3).filter(|at| taken[*at] == 202).collect();
        assert_eq!(which.len(), 1, "{taken:?}");
        assert_eq!(text(&events.result()), format!("name {}", which[0]));
    }
}

#[test]
fn what_is_waited_for_no_more_is_answered_nowhere() {
    let (node, url) = node();
    let fleet: [TestApp; 2] = fleet_having(
        &url,
        |settings| {
            settings.sessions.enabled = true;
            settings.sessions.answer_within = Duration::from_millis(300);
        },
        tools,
    );
    let session = begin(&fleet[0]);
    let mut events = asks(&fleet[0], &session, "name");
    let (id, _) = asked(&mut events, "elicitation/create");
    assert_eq!(events.told("notifications/cancelled")["requestId"], id);
    assert_eq!(events.result()["isError"], true);
    until("the question is gone", BOUND, || node.all("KEYS *question*").is_empty());
    let late = session.answer(&id, accept(json!({ "name": "Ada" }))).send(&fleet[1]);
    late.refused(400, -32600, "invalid_request");
}

#[test]
fn a_call_is_cancelled_from_any_server_within_a_second() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster()] {
        let fleet: [TestApp; 3] = fleet(&url);
        let session = begin(&fleet[0]);
        let other = begin(&fleet[0]);
        let [mut events, mut stays] = [&session, &other].map(|session| asks(&fleet[0], session, "name"));
        asked(&mut events, "elicitation/create");
        let (id, _) = asked(&mut stays, "elicitation/create");
        let since = Instant::now();
        let params = json!({ "requestId": 7, "reason": "enough" });
        let told = session.notification("notifications/cancelled", params).send(&fleet[2]);
        assert_eq!(told.status, 202);
        assert_eq!(events.rest(), Vec::<Value>::new(), "{url}: nothing is answered to it");
        assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
        other.answer(&id, accept(json!({ "name": "Ada" }))).send(&fleet[1]);
        assert_eq!(text(&stays.result()), "Ada", "another session's call of the same id goes on");
    }
}
