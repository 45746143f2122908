//! Row M21: sessions of older revisions, stolen, guessed, fixed, flooded; answers and events that are somebody else's.

use std::{collections::HashSet, fs, time::Duration};

use portcullis::{
    domain::{Change, Timestamp},
    settings::Settings,
    store::{Revocation, RevocationTarget},
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::{TestApp, without_limits},
    block_on,
    events::Events,
    http::Reply,
    legacy,
    rpc::Rpc,
    session::{Session, handshake},
    until,
};

const NEWEST: &str = "2025-11-25";

fn start() -> TestApp {
    TestApp::start_with(|settings: &mut Settings| {
        without_limits(settings);
        settings.sessions.enabled = true;
    })
}

/// There is no such session for whoever asks.
#[track_caller]
fn unknown(reply: &Reply) {
    reply.refused(404, -32600, "invalid_request");
    assert!(reply.text().contains("there is no such session"), "{}", reply.text());
}

/// A call that asks whether the file may be deleted, and its question.
fn deletes(app: &TestApp, session: &Session, name: &str) -> (Events, Value) {
    fs::write(app.dir().join("files").join(name), "kept").unwrap();
    let mut events = Events::open(app, &session.call(json!(1), "delete_file", json!({ "path": name })));
    let asked = events.next().unwrap();
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    (events, asked["id"].clone())
}

fn yes() -> Value {
    json!({ "action": "accept", "content": { "confirmed": true } })
}

#[test]
fn m21_a_session_is_not_there_for_anybody_but_whose_it_is() {
    let app = start();
    let ada = Session::begin(&app, NEWEST, &app.token("ada", "admin"));
    let (mut events, question) = deletes(&app, &ada, "a.txt");
    let mut stream = ada.listen(&app);
    app.changes.tell(Change::Tools);
    stream.told("notifications/tools/list_changed");
    let last = stream.last.clone().unwrap();
    let eve = Session { token: app.token("eve", "admin"), ..ada.clone() };
    let strangers = Session { id: "A".repeat(32), ..eve.clone() };
    for thief in [&eve, &strangers] {
        for rpc in [
            thief.request("ping", json!({})),
            thief.call(json!(1), "get_weather", json!({ "city": "Oslo" })),
            thief.request("logging/setLevel", json!({ "level": "debug" })),
            thief.answer(&question, yes()),
            thief.notification("notifications/cancelled", json!({ "requestId": 1 })),
            thief.sent(legacy::batch(&[thief.request("ping", json!({}))])),
            thief.verb("GET"),
            thief.verb("GET").header("last-event-id", &last),
            thief.verb("DELETE"),
        ] {
            unknown(&rpc.send(&app));
        }
    }
    let reply = eve.verb("DELETE").send(&app);
    let record = app.record_of(&reply);
    assert_eq!((&*record.outcome, record.principal.unwrap().id.as_str()), ("error", "eve"));
    // Nothing of it has happened.
    app.changes.tell(Change::Prompts);
    stream.told("notifications/prompts/list_changed");
    assert!(app.dir().join("files/a.txt").exists());
    assert_eq!(ada.answer(&question, yes()).send(&app).status, 202);
    assert_eq!(events.result()["isError"], Value::Null);
    assert!(!app.dir().join("files/a.txt").exists());
}

#[test]
fn m21_a_session_lets_nobody_in_and_permits_nothing() {
    let app = start();
    let (token, jti) = app.minted("ada", &["admin"], &[], "tests");
    let session = Session::begin(&app, NEWEST, &token);
    session.call(json!(1), "list_users", json!({})).send(&app).result();
    let bare = legacy::request(NEWEST, "ping", json!({})).header("mcp-session-id", &session.id);
    bare.send(&app).refused(401, -31401, "missing_credential");
    for verb in ["GET", "DELETE"] {
        let bare = bare.clone().verb(verb).raw("").without("content-type");
        bare.send(&app).refused(401, -31401, "missing_credential");
    }
    let narrow = Session { token: app.token("ada", "guest"), ..session.clone() };
    narrow.request("ping", json!({})).send(&app).result();
    narrow.call(json!(1), "list_users", json!({})).send(&app).refused(403, -31403, "forbidden");
    let uri = json!({ "uri": "portcullis://audit/24h" });
    session.request("resources/subscribe", uri.clone()).send(&app).result();
    let hidden = narrow.request("resources/subscribe", uri).send(&app);
    hidden.refused(200, -32002, "unknown_resource");
    let now = Timestamp::now();
    let until = now.plus(Duration::from_secs(600));
    let revocation = Revocation { target: RevocationTarget::Jti(jti), at: now, until };
    block_on(app.stores().revocations.revoke(&revocation)).unwrap();
    super::support::until("it is taken back", SOON, || {
        session.request("ping", json!({})).send(&app).status == 401
    });
    session.end(&app).refused(401, -31401, "revoked_token");
    narrow.request("ping", json!({})).send(&app).result();
}

#[test]
fn m21_an_id_is_random_and_what_is_only_like_one_is_none() {
    let app = TestApp::start_with(|settings| {
        without_limits(settings);
        settings.sessions.enabled = true;
        settings.sessions.per_principal = 1_000;
    });
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    let ids: HashSet<String> = (0..300)
        .map(|_| {
            let reply = handshake(NEWEST, &token, json!({})).on(&mut connection);
            reply.header("mcp-session-id").unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 300);
    for at in 0..32 {
        let letters: HashSet<u8> = ids.iter().map(|id| id.as_bytes()[at]).collect();
        assert!(letters.len() > 32, "{} letters at {at}", letters.len());
    }
    let session = Session::begin(&app, NEWEST, &token);
    let other = if session.id.starts_with('A') { "B" } else { "A" };
    for like in [
        format!("{other}{}", &session.id[1..]),
        session.id[..31].to_owned(),
        format!("{}=", session.id),
        format!("{}A", session.id),
        session.id.to_lowercase() + "-",
        "../admin".to_owned(),
        "x".repeat(4_096),
        String::new(),
    ] {
        let session = Session { id: like.clone(), ..session.clone() };
        unknown(&session.request("ping", json!({})).send(&app));
    }
    let twice = session.request("ping", json!({})).header("mcp-session-id", &session.id);
    twice.send(&app).refused(400, -32600, "invalid_request");
}

#[test]
fn m21_no_client_chooses_its_id() {
    let app = start();
    let fixed = "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy";
    let token = app.token("ada", "user");
    let victim = handshake(NEWEST, &token, json!({})).header("mcp-session-id", fixed).send(&app);
    victim.result();
    assert_ne!(victim.header("mcp-session-id").unwrap(), fixed);
    let session = Session { id: fixed.into(), token, revision: NEWEST };
    unknown(&session.request("ping", json!({})).send(&app));
    // One that was given up is not taken up again.
    let ended = Session::begin(&app, NEWEST, &session.token);
    ended.end(&app);
    let again = handshake(NEWEST, &session.token, json!({})).header("mcp-session-id", &ended.id).send(&app);
    assert_ne!(again.header("mcp-session-id").unwrap(), ended.id);
    unknown(&ended.request("ping", json!({})).send(&app));
}

#[test]
fn m21_an_answer_counts_once_in_its_session_and_for_its_question() {
    let app = start();
    let token = app.token("root", "admin");
    let (one, other) = (Session::begin(&app, NEWEST, &token), Session::begin(&app, NEWEST, &token));
    let (mut first, question) = deletes(&app, &one, "a.txt");
    let (second, _) = deletes(&app, &one, "b.txt");
    let refused = |rpc: Rpc| {
        rpc.send(&app).refused(400, -32600, "invalid_request");
        assert!(app.dir().join("files/a.txt").exists());
    };
    refused(other.answer(&question, yes()));
    refused(one.answer(&json!("0".repeat(32)), yes()));
    refused(one.answer(&json!(1), yes()));
    refused(one.answer(&question, json!([])));
    let with = |body: Value| one.answer(&question, yes()).raw(body.to_string());
    refused(with(json!({ "jsonrpc": "2.0", "result": yes() })));
    refused(with(
        json!({ "jsonrpc": "2.0", "id": question, "result": yes(), "error": { "code": 1, "message": "" } }),
    ));
    let doubled = format!(
        r#"{{"jsonrpc":"2.0","id":{question},"result":{{"action":"decline","action":"accept","content":{{"confirmed":true}}}}}}"#
    );
    refused(one.answer(&question, yes()).raw(doubled));
    let bare = legacy::request(NEWEST, "", Value::Null).bearer(&token);
    refused(bare.raw(json!({ "jsonrpc": "2.0", "id": question, "result": yes() }).to_string()));
    assert_eq!(one.answer(&question, yes()).send(&app).status, 202);
    first.result();
    assert!(!app.dir().join("files/a.txt").exists() && app.dir().join("files/b.txt").exists());
    one.answer(&question, yes()).send(&app).refused(400, -32600, "invalid_request");
    drop(second);
    one.end(&app);
    assert!(app.dir().join("files/b.txt").exists());
}

#[test]
fn m21_the_events_of_a_session_are_told_in_no_other() {
    let app = start();
    let token = app.token("root", "admin");
    let (one, other) = (Session::begin(&app, NEWEST, &token), Session::begin(&app, NEWEST, &token));
    let (events, _) = deletes(&app, &one, "a.txt");
    let last = events.last.clone().unwrap();
    let (line, _) = last.split_once('-').unwrap();
    for name in [last.clone(), format!("{line}-0")] {
        let reply = other.verb("GET").header("last-event-id", &name).send(&app);
        reply.refused(400, -32600, "invalid_request");
    }
    // A line of its own under the same number has nothing of the other's.
    let (own, _) = deletes(&app, &other, "b.txt");
    assert_eq!(own.last.as_ref(), Some(&last));
    drop(own);
    let mut resumed = other.resume(&app, &format!("{line}-0"));
    let told = resumed.next().unwrap().to_string();
    assert!(told.contains("b.txt") && !told.contains("a.txt"), "{told}");
    drop(events);
    one.end(&app);
    assert!(app.dir().join("files/a.txt").exists());
}

#[test]
fn m21_a_flood_of_sessions_takes_its_own_places_only() {
    let app = TestApp::start_with(|settings| {
        without_limits(settings);
        settings.sessions.enabled = true;
        (settings.sessions.per_principal, settings.sessions.max) = (3, 100);
    });
    let eve = app.token("eve", "user");
    let mut connection = app.connect();
    let begun =
        (0..200).filter(|_| handshake(NEWEST, &eve, json!({})).on(&mut connection).status == 200).count();
    assert_eq!(begun, 3);
    Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let strangers = handshake(NEWEST, "none", json!({})).on(&mut connection);
    strangers.refused(401, -31401, "invalid_token");
}

#[test]
fn m21_whoever_opens_streams_and_reads_none_has_one() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let deaf: Vec<_> = (0..40)
        .map(|_| {
            let mut connection = app.connect();
            connection.send(session.verb("GET").bytes());
            connection
        })
        .collect();
    until("one is left of them", SOON, || app.metric("portcullis_streams_open") == 1.0);
    for _ in 0..100_000 {
        app.changes.tell(Change::Tools);
    }
    session.request("ping", json!({})).send(&app).result();
    drop(deaf);
}
