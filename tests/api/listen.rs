//! `subscriptions/listen`: who is told of what, for how long, and how it ends.

use std::time::{Duration, Instant};

use portcullis::{
    domain::{Change, KeyState, Timestamp},
    store::{Revocation, RevocationTarget},
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    block_on,
    events::{Events, listen},
    legacy,
    tasks::knowing,
    until,
};

const ID: &str = "io.modelcontextprotocol/subscriptionId";
const TOOLS: &str = "notifications/tools/list_changed";
/// The promise for whatever takes a credential back.
const BOUND: Duration = Duration::from_secs(1);

fn tools() -> Value {
    json!({ "toolsListChanged": true })
}

/// A stream of `token` that is told of tools, acknowledged.
#[track_caller]
fn opened(app: &TestApp, token: &str) -> Events {
    let mut events = Events::open(app, &listen(json!("s1"), &tools()).bearer(token));
    events.told("notifications/subscriptions/acknowledged");
    events
}

/// Holds that the stream ends well, within the bound for revocations; says what came before.
#[track_caller]
fn ends(mut events: Events) -> Vec<Value> {
    let began = Instant::now();
    let mut told = events.rest();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    let last = told.pop().expect("no result");
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!("s1"), &json!("complete")), "{last}");
    assert_eq!(last["result"]["_meta"][ID], "s1");
    assert!(last["result"]["_meta"]["io.modelcontextprotocol/serverInfo"].is_object());
    told
}

#[test]
fn a_stream_begins_with_what_is_honoured_and_tells_only_of_that_under_its_id() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for id in [json!("s1"), json!(7)] {
        let wished = json!({ "toolsListChanged": true, "taskIds": ["x"] });
        // What becomes of a task is asked for, so none is honoured.
        let mut events = Events::open(&app, &knowing(listen(id.clone(), &wished)).bearer(&token));
        let acknowledged = events.told("notifications/subscriptions/acknowledged");
        assert_eq!(acknowledged, json!({ "notifications": tools(), "_meta": { ID: id } }));
        let record = app.record_of(&events.head);
        assert_eq!((&*record.event, &*record.outcome), ("request.served", "ok"));
        assert_eq!(
            (record.method.as_deref(), &record.detail.unwrap()["stream"]),
            (Some("subscriptions/listen"), &tools())
        );
        app.changes.tell(Change::Prompts);
        app.changes.tell(Change::Resource("file:///a".into()));
        app.changes.tell(Change::Tools);
        assert_eq!(events.told(TOOLS), json!({ "_meta": { ID: id } }));
        assert!(!events.has_more());
    }
}

#[test]
fn many_changes_are_told_as_one_and_not_more_often_than_four_times_a_second() {
    let app = TestApp::start();
    let mut events = opened(&app, &app.token("ada", "user"));
    let began = Instant::now();
    for _ in 0..100_000 {
        app.changes.tell(Change::Tools);
    }
    let telling = began.elapsed();
    events.told(TOOLS);
    let mut more = 0;
    app.changes.tell(Change::Tools);
    while began.elapsed() < telling + Duration::from_millis(700) {
        if events.has_more() {
            events.told(TOOLS);
            more += 1;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let most = began.elapsed().as_millis() / 250 + 1;
    assert!(more >= 1 && more < most, "{more} of {most}");
}

#[test]
fn each_stream_is_told_what_it_has_asked_for_whichever_worker_has_it() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let mut told: Vec<_> = (0..8).map(|_| opened(&app, &token)).collect();
    let mut deaf = Events::open(&app, &listen(json!(0), &json!({})).bearer(&token));
    assert_eq!(deaf.told("notifications/subscriptions/acknowledged")["notifications"], json!({}));
    assert_eq!(app.metric("portcullis_streams_open"), 9.0);
    app.changes.tell(Change::Tools);
    told.iter_mut().for_each(|events| drop(events.told(TOOLS)));
    assert!(!deaf.has_more());
    drop(told);
    until("their places are free", SOON, || app.metric("portcullis_streams_open") == 1.0);
}

#[test]
fn a_token_that_is_taken_back_ends_its_streams_within_a_second_and_no_other() {
    let app = TestApp::start();
    let (token, jti) = app.minted("ada", &["user"], &[], "tests");
    let (lost, mut stays) = (opened(&app, &token), opened(&app, &app.token("bob", "user")));
    let now = Timestamp::now();
    let revocation =
        Revocation { target: RevocationTarget::Jti(jti), at: now, until: now.plus(Duration::from_secs(600)) };
    block_on(app.stores().revocations.revoke(&revocation)).unwrap();
    assert_eq!(ends(lost), Vec::<Value>::new());
    app.changes.tell(Change::Tools);
    stays.told(TOOLS);
}

#[test]
fn a_token_that_ends_ends_its_streams() {
    let app = TestApp::start_with(|settings| settings.jwt.leeway = Duration::ZERO);
    let exp = Timestamp::now().secs() + 2;
    let token = app.bent(|claims| claims["exp"] = json!(exp));
    let mut events = opened(&app, &token);
    let told = events.rest();
    let late = Timestamp::now().secs() - exp;
    assert!((0..=1).contains(&late), "{late} s late");
    assert_eq!((told.len(), &told[0]["result"]["resultType"]), (1, &json!("complete")));
}

#[test]
fn a_key_that_is_taken_back_ends_its_streams_and_a_disabled_owner_too() {
    let app = TestApp::start();
    let (text, key) = app.key("ada", &["weather:read"]);
    let by_key = || {
        let mut events = Events::open(&app, &listen(json!("s1"), &tools()).key(&text));
        events.told("notifications/subscriptions/acknowledged");
        events
    };
    let events = by_key();
    app.set_key(key.id, KeyState::Disabled);
    ends(events);
    app.set_key(key.id, KeyState::Active);
    until("the key holds again", SOON, || {
        super::support::rpc::Rpc::weather().key(&text).send(&app).status == 200
    });
    let events = by_key();
    app.account("ada", &["user"], false);
    ends(events);
}

#[test]
fn whoever_gains_a_role_is_told_of_other_tools_and_whoever_loses_one_begins_anew() {
    let app = TestApp::start();
    app.account("ada", &["user"], true);
    app.account("bob", &["user"], true);
    until("they are known", SOON, || app.users.find("ada").is_some() && app.users.find("bob").is_some());
    let token = app.minted("ada", &["user", "premium"], &[], "tests").0;
    let (mut events, mut other) = (opened(&app, &token), opened(&app, &app.token("bob", "user")));
    app.account("ada", &["user", "premium"], true);
    events.told(TOOLS);
    app.account("ada", &["guest"], true);
    let told = ends(events);
    assert_eq!((told.len(), &told[0]["method"]), (1, &json!(TOOLS)), "{told:?}");
    assert!(!other.has_more(), "nothing has changed for anybody else");
    app.changes.tell(Change::Tools);
    other.told(TOOLS);
}

#[test]
fn a_server_that_stops_ends_every_stream_as_it_should() {
    let mut app = TestApp::start();
    let events: Vec<_> = (0..4).map(|_| opened(&app, &app.token("ada", "user"))).collect();
    app.stop_begins();
    events.into_iter().for_each(|events| assert_eq!(ends(events), Vec::<Value>::new()));
    app.stop();
}

#[test]
fn where_nobody_can_say_what_was_revoked_no_stream_goes_on() {
    let app = TestApp::start();
    let events = opened(&app, &app.token("ada", "user"));
    // The feed reader dies again and again, and so nothing is heard of revocations.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stops = super::support::Stops(&stop);
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let _status = app.admin("POST", "/admin/faults/feed").status;
            }
        });
        let mut events = events;
        let told = events.rest();
        assert_eq!(told.last().unwrap()["result"]["resultType"], "complete");
        drop(stops);
    });
    until("the house is ready", SOON, || app.is_ready());
}

#[test]
fn one_has_so_many_streams_and_no_more_and_a_place_comes_back() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let mut own: Vec<_> = (0..16).map(|_| opened(&app, &token)).collect();
    let over = listen(json!(1), &tools()).bearer(&app.token("ada", "premium")).send(&app);
    over.refused(429, -31429, "rate_limited");
    assert!(over.header("retry-after").is_some());
    let record = app.record_of(&over);
    assert_eq!((&*record.outcome, record.reason.as_deref()), ("limited", Some("rate_limited")));
    let other = opened(&app, &app.token("bob", "user"));
    drop(own.pop());
    until("a place is free", SOON, || app.metric("portcullis_streams_open") == 16.0);
    own.push(opened(&app, &token));
    app.changes.tell(Change::Tools);
    own.into_iter().chain([other]).for_each(|mut events| drop(events.told(TOOLS)));
}

#[test]
fn what_is_no_subscription_is_refused() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for wrong in [
        json!(null),
        json!([]),
        json!({ "toolsListChanged": "yes" }),
        json!({ "resourceSubscriptions": [7] }),
    ] {
        listen(json!(1), &wrong).bearer(&token).send(&app).refused(200, -32602, "invalid_params");
    }
    let only_json = listen(json!(1), &tools()).bearer(&token).replace("accept", "application/json");
    only_json.send(&app).refused(406, -32601, "not_acceptable");
    listen(json!(1), &tools()).send(&app).refused(401, -31401, "missing_credential");
    for revision in legacy::LEGACY {
        let old = legacy::request(revision, "subscriptions/listen", json!({ "notifications": tools() }));
        old.bearer(&token).send(&app).refused(200, -32601, "unknown_method");
    }
    assert_eq!(app.metric("portcullis_streams_open"), 0.0);
}

#[test]
fn the_capability_is_said_to_those_who_can_listen() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let discovered = super::support::rpc::Rpc::discover().bearer(&token).send(&app).result();
    assert_eq!(discovered["capabilities"]["tools"], json!({ "listChanged": true }));
    let agreed = legacy::handshake("2025-11-25").bearer(&token).send(&app).result();
    assert_eq!(agreed["capabilities"]["tools"], json!({}));
}

#[test]
fn resources_and_prompts_are_told_to_those_who_may_read_them() {
    let app = TestApp::start();
    let uri = "file:///a.txt";
    let wished = json!({
        "promptsListChanged": true,
        "resourcesListChanged": true,
        "resourceSubscriptions": [uri, "portcullis://audit/24h", "test://nothing"],
    });
    let opened = |role: &str, seen: &Value| {
        let token = app.token(role, role);
        let mut events = Events::open(&app, &listen(json!("s1"), &wished).bearer(&token));
        let acknowledged = events.told("notifications/subscriptions/acknowledged");
        assert_eq!(acknowledged["notifications"]["resourceSubscriptions"], *seen, "{role}");
        assert_eq!(acknowledged["notifications"]["resourcesListChanged"], true);
        events
    };
    let mut guest = opened("guest", &Value::Null);
    let mut user = opened("user", &json!([uri]));
    opened("admin", &json!([uri, "portcullis://audit/24h"]));
    std::fs::write(app.dir().join("files/a.txt"), "x").unwrap();
    assert_eq!(guest.told("notifications/resources/list_changed")["_meta"][ID], "s1");
    assert_eq!(user.told("notifications/resources/list_changed")["_meta"][ID], "s1");
    assert_eq!(user.told("notifications/resources/updated"), json!({ "uri": uri, "_meta": { ID: "s1" } }));
    app.changes.tell(Change::Prompts);
    guest.told("notifications/prompts/list_changed");
    user.told("notifications/prompts/list_changed");
}
