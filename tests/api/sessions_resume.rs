//! Streams of sessions that are come back to: what is told again, what is not, and to whom.

use std::{fs, sync::Arc, time::Duration};

use portcullis::{
    actors::audit::Filter,
    domain::Change,
    settings::Settings,
    tools::{Call, Content, Hints, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};

use super::{
    sessions_ask::{asked, asks, start, text},
    support::{
        SOON,
        app::{TestApp, without_limits},
        events::Events,
        session::Session,
        tools::{Nothing, Waits, Watched},
        until,
    },
};

const NEWEST: &str = "2025-11-25";

/// Tells how far it is, lets its client go, and goes on when it is let go itself.
struct Pauses(Arc<Watched>);

impl Tool for Pauses {
    const SPEC: Spec = Spec {
        name: "pauses",
        title: "Pauses",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(20),
    };
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.progress(1.0, Some(2.0), None);
        call.pause();
        self.0.go.notified().await;
        call.progress(2.0, Some(2.0), None);
        Ok(Shown(vec![Content::Text("done".into())]))
    }
}

fn with_tools() -> (TestApp, Arc<Watched>) {
    with_tools_and(|_| {})
}

fn with_tools_and(change: impl FnOnce(&mut Settings)) -> (TestApp, Arc<Watched>) {
    let watched = Arc::new(Watched::default());
    let change = |settings: &mut Settings| {
        without_limits(settings);
        settings.sessions.enabled = true;
        change(settings);
    };
    let tools: Vec<Box<dyn portcullis::tools::AnyTool>> =
        vec![Box::new(Pauses(Arc::clone(&watched))), Box::new(Waits(Arc::clone(&watched)))];
    (TestApp::with(change, tools), watched)
}

fn pauses(app: &TestApp, session: &Session, id: u32) -> Events {
    let call = session.call(json!(id), "pauses", json!({}));
    Events::open(app, &call.edit(|body| body["params"]["_meta"] = json!({ "progressToken": id })))
}

#[test]
fn a_call_lets_its_client_go_and_whoever_comes_back_hears_the_rest() {
    let (app, watched) = with_tools();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = pauses(&app, &session, 5);
    assert_eq!(events.told("notifications/progress")["progress"], 1);
    assert_eq!(events.next(), None, "it was let go");
    assert!(events.is_primed);
    let last = events.last.clone().unwrap();
    let mut back = session.resume(&app, &last);
    watched.go.notify_one();
    assert_eq!(back.told("notifications/progress")["progress"], 2);
    let head = back.head.clone();
    let answer = back.next().unwrap();
    assert_eq!((&answer["id"], text(&answer["result"])), (&json!(5), "done".to_owned()));
    assert_eq!(back.next(), None);
    assert_eq!(app.record_of(&head).detail.unwrap()["stream"]["resumed"], true);

    let (line, _) = last.split_once('-').unwrap();
    let again = session.resume(&app, &format!("{line}-0")).rest();
    assert_eq!(again.len(), 3, "all of it, and nothing twice: {again:?}");
    assert_eq!(session.resume(&app, &back.last.unwrap()).rest(), Vec::<Value>::new());
}

#[test]
fn calls_that_tell_nothing_take_no_stream_of_their_session() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut connection = app.connect();
    for _ in 0..40 {
        let reply = session.call(json!(1), "get_weather", json!({ "city": "Oslo" })).on(&mut connection);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        reply.result();
    }
    let mut events = asks(&app, &session, "name");
    let (id, _) = asked(&mut events, "elicitation/create");
    session.answer(&id, json!({ "action": "decline" })).send(&app);
    assert_eq!(text(&events.result()), "declined");
}

#[test]
fn older_clients_are_not_let_go_and_one_that_hangs_up_finds_the_answer_all_the_same() {
    let (app, watched) = with_tools();
    let session = Session::begin(&app, "2025-06-18", &app.token("ada", "user"));
    let mut events = pauses(&app, &session, 5);
    events.told("notifications/progress");
    assert!(!events.is_primed && !events.has_more());
    let last = events.last.clone().unwrap();
    drop(events);
    watched.go.notify_one();
    let mut back = session.resume(&app, &last);
    back.told("notifications/progress");
    assert_eq!(text(&back.result()), "done");
}

#[test]
fn each_stream_is_come_back_to_by_its_own_events_alone() {
    let (app, watched) = with_tools();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let names: Vec<_> = [5, 6]
        .map(|id| {
            let mut events = pauses(&app, &session, id);
            assert_eq!(events.told("notifications/progress")["progressToken"], id);
            assert_eq!(events.next(), None);
            events.last.unwrap()
        })
        .into();
    assert_ne!(names[0], names[1], "no name stands for two events");
    let mut common = session.listen(&app);
    watched.go.notify_one();
    watched.go.notify_waiters();
    for (name, id) in names.iter().zip([5, 6]) {
        watched.go.notify_one();
        let told = session.resume(&app, name).rest();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!((&told[0]["params"]["progressToken"], &told[1]["id"]), (&json!(id), &json!(id)));
    }
    app.changes.tell(Change::Tools);
    common.told("notifications/tools/list_changed");
    assert!(!common.has_more(), "answers are on the streams of their calls");
}

#[test]
fn what_has_changed_is_told_again_only_to_whoever_has_missed_it() {
    let (app, _) = with_tools();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut stream = session.listen(&app);
    app.changes.tell(Change::Tools);
    stream.told("notifications/tools/list_changed");
    let first = stream.last.clone().unwrap();
    app.changes.tell(Change::Prompts);
    stream.told("notifications/prompts/list_changed");
    let second = stream.last.clone().unwrap();
    drop(stream);
    let mut back = session.resume(&app, &first);
    back.told("notifications/prompts/list_changed");
    drop(back);
    app.changes.tell(Change::Resources);
    let mut back = session.resume(&app, &second);
    back.told("notifications/resources/list_changed");
    assert!(!back.has_more());
}

#[test]
fn there_is_nothing_behind_an_event_that_this_session_never_had() {
    let (app, _) = with_tools();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    for name in ["0-7", "1-0", "x", "", "-", "0", "99999999999-0", "0-0-0"] {
        let reply = session.verb("GET").header("last-event-id", name).send(&app);
        reply.refused(400, -32600, "invalid_request");
    }
    let json = session.verb("GET").replace("accept", "application/json").send(&app);
    json.refused(406, -32601, "not_acceptable");
}

#[test]
fn a_question_reaches_a_client_that_was_gone_when_it_was_asked() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = asks(&app, &session, "steps");
    let (first, _) = asked(&mut events, "elicitation/create");
    let last = events.last.clone().unwrap();
    drop(events);
    let named = |name: &str| super::asking::accept(json!({ "name": name }));
    session.answer(&first, named("Ada")).send(&app);
    let mut back = session.resume(&app, &last);
    let (second, _) = asked(&mut back, "elicitation/create");
    session.answer(&second, named("Lovelace")).send(&app);
    assert_eq!(text(&back.result()), "Ada Lovelace");
}

#[test]
fn a_call_that_is_cancelled_ends_and_no_other_does() {
    let (app, watched) = with_tools();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let call = |id: Value| session.call(id, "waits", json!({}));
    let mut connections: Vec<_> = [json!(1), json!("1"), json!(2)]
        .into_iter()
        .map(|id| {
            let mut connection = app.connect();
            connection.send(call(id).bytes());
            connection
        })
        .collect();
    until("they run", SOON, || watched.begun() == 3);
    let cancel = |id: Value| {
        let told =
            session.notification("notifications/cancelled", json!({ "requestId": id, "reason": "enough" }));
        assert_eq!(told.send(&app).status, 202);
    };
    for nobody in [json!(3), json!("2"), Value::Null, json!([1])] {
        cancel(nobody);
    }
    cancel(json!("1"));
    let silent = connections[1].reply();
    let recorded = Filter { outcome: Some("cancelled".into()), ..Filter::default() };
    assert_eq!(app.records(recorded).len(), 1, "it is answered once that is on disk");
    assert_eq!(
        (silent.status, silent.header("content-type"), silent.body.len()),
        (200, Some("text/event-stream"), 0)
    );
    until("its tool has ended", SOON, || watched.dropped() == 1);
    assert_eq!(&*app.record_of(&silent).outcome, "cancelled");
    for _ in 0..2 {
        watched.go.notify_one();
    }
    for at in [0, 2] {
        connections[at].reply().result();
    }

    let mut events = asks_in(&app, &session);
    events.told("notifications/progress");
    let last = events.last.clone().unwrap();
    cancel(json!(9));
    assert_eq!(events.next(), None, "no answer to what was cancelled");
    assert_eq!(session.resume(&app, &last).rest(), Vec::<Value>::new());
}

#[test]
fn whoever_is_over_a_limit_cancels_nothing() {
    let (app, watched) = with_tools_and(|settings| {
        let guest = settings.roles.get_mut("guest").unwrap();
        // The handshake, its end, and one call.
        (guest.capacity, guest.refill_per_second) = (Some(3), Some(0.001));
    });
    let session = Session::begin(&app, NEWEST, &app.token("ada", "guest"));
    let mut connection = app.connect();
    connection.send(session.call(json!(1), "waits", json!({})).bytes());
    until("it runs", SOON, || watched.begun() == 1);
    let cancel = session.notification("notifications/cancelled", json!({ "requestId": 1 }));
    assert_eq!(cancel.send(&app).status, 429);
    assert_eq!(watched.dropped(), 0, "it runs still");
    watched.go.notify_one();
    connection.reply().result();
}

fn asks_in(app: &TestApp, session: &Session) -> Events {
    let mut events = pauses(app, session, 9);
    events.told("notifications/progress");
    let last = events.last.clone().unwrap();
    let (line, _) = last.split_once('-').unwrap();
    session.resume(app, &format!("{line}-0"))
}

#[test]
fn whoever_may_less_than_who_asked_does_not_come_back_to_the_answer() {
    let (app, watched) = with_tools();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = pauses(&app, &session, 5);
    assert_eq!(events.next().unwrap()["method"], "notifications/progress");
    assert_eq!(events.next(), None, "it was let go");
    let last = events.last.clone().unwrap();
    watched.go.notify_one();
    // The same person with a token that is good for next to nothing.
    let (weak, _) = app.minted("ada", &[], &[], "tests");
    let other = Session { token: weak, ..session.clone() };
    assert_eq!(other.verb("GET").header("last-event-id", &last).send(&app).status, 400);
    let mut back = session.resume(&app, &last);
    assert_eq!(back.told("notifications/progress")["progress"], 2);
}

#[test]
fn whoever_may_not_read_a_resource_is_not_told_of_it_by_coming_back() {
    let app = start();
    fs::write(app.dir().join("files/a.txt"), "a").unwrap();
    let app = app.restart();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let listed = session.request("resources/list", json!({})).send(&app).result();
    let uri = listed["resources"][0]["uri"].as_str().unwrap().to_owned();
    session.request("resources/subscribe", json!({ "uri": uri })).send(&app).result();
    let mut stream = session.listen(&app);
    let until = |stream: &mut Events, method: &str| {
        let told = std::iter::from_fn(|| stream.next()).map(|one| one["method"].as_str().unwrap().to_owned());
        let mut all = Vec::new();
        told.take_while(|told| told != method).for_each(|told| all.push(told));
        all
    };
    let updated = "notifications/resources/updated";
    app.changes.tell(Change::Tools);
    until(&mut stream, "notifications/tools/list_changed");
    let first = stream.last.clone().unwrap();
    app.changes.tell(Change::Resource(uri.as_str().into()));
    until(&mut stream, updated);
    let lesser = Session { token: app.token("ada", "guest"), ..session.clone() };
    let mut back = lesser.resume(&app, &first);
    app.changes.tell(Change::Prompts);
    let told = until(&mut back, "notifications/prompts/list_changed");
    assert!(!told.iter().any(|told| told == updated), "{told:?}");
    let mut back = session.resume(&app, &first);
    until(&mut back, updated);
}

#[test]
fn a_server_that_stops_lets_a_call_tell_its_answer_first() {
    let (mut app, watched) = with_tools();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = pauses(&app, &session, 7);
    assert_eq!(events.next().unwrap()["method"], "notifications/progress");
    assert_eq!(events.next(), None, "it was let go");
    let last = events.last.clone().unwrap();
    let mut events = session.resume(&app, &last);
    app.stop_begins();
    // Longer than it takes streams without an end of their own to be told.
    super::support::pause(Duration::from_millis(600));
    watched.go.notify_one();
    let answer = std::iter::from_fn(|| events.next()).find(|message| message["id"] == 7);
    assert!(answer.is_some_and(|answer| answer["result"].is_object()), "its answer is lost");
}
