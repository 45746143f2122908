//! Sessions of older revisions: how one begins and ends, whose it is, and what its stream tells.

use std::time::{Duration, Instant};

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
    legacy::{self, LEGACY},
    rpc::{Rpc, VERSION},
    session::{Session, handshake},
    until,
};

const NEWEST: &str = "2025-11-25";
const BOUND: Duration = Duration::from_secs(1);

fn enabled(settings: &mut Settings) {
    without_limits(settings);
    settings.sessions.enabled = true;
}

fn start() -> TestApp {
    TestApp::start_with(enabled)
}

/// There is no such session for whoever asks.
#[track_caller]
pub(super) fn unknown(reply: &Reply) {
    reply.refused(404, -32600, "invalid_request");
}

#[track_caller]
fn ends(mut events: Events) {
    let began = Instant::now();
    assert_eq!(events.rest(), Vec::<Value>::new());
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
}

#[test]
fn without_the_setting_there_are_no_sessions() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for revision in LEGACY {
        let reply = handshake(revision, &token, json!({})).send(&app);
        assert_eq!(reply.header("mcp-session-id"), None);
        let session = Session { id: "a".repeat(32), token: token.clone(), revision: "2025-11-25" };
        session.verb("GET").send(&app).refused(405, -32601, "method_not_allowed");
        session.end(&app).refused(405, -32601, "method_not_allowed");
        session.request("ping", json!({})).send(&app).result();
        let uri = json!({ "uri": "file:///a.txt" });
        for (method, params) in [
            ("resources/subscribe", &uri),
            ("resources/unsubscribe", &uri),
            ("logging/setLevel", &json!({ "level": "info" })),
        ] {
            session.request(method, params.clone()).send(&app).refused(200, -32601, "unknown_method");
        }
    }
    assert_eq!(app.admin("POST", "/admin/faults/sessions").status, 404);
}

#[test]
fn a_session_begins_with_the_handshake_and_ends_when_its_client_says_so() {
    let app = start();
    let token = app.token("ada", "user");
    for revision in LEGACY {
        let reply = handshake(revision, &token, json!({})).send(&app);
        let capabilities = &reply.result()["capabilities"];
        let list = json!({ "listChanged": true });
        let expected = json!({ "completions": {}, "logging": {}, "prompts": list, "tools": list,
            "resources": { "listChanged": true, "subscribe": true } });
        assert_eq!(*capabilities, expected, "{revision}");
        let id = reply.header("mcp-session-id").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|b| (0x21..0x7f).contains(&b)), "{id}");
        assert_eq!(app.record_of(&reply).detail.unwrap()["session"], "begun");

        let session = Session::begin(&app, revision, &token);
        assert_ne!(session.id, id);
        session.request("ping", json!({})).send(&app).result();
        let ended = session.end(&app);
        assert_eq!((ended.status, ended.body.len(), ended.header("content-type")), (204, 0, None));
        assert_eq!(app.record_of(&ended).detail.unwrap()["session"], "ended");
        unknown(&session.request("ping", json!({})).send(&app));
        unknown(&session.end(&app));
        unknown(&session.verb("GET").send(&app));
        let late = session.notification("notifications/initialized", json!({})).send(&app);
        assert_eq!(late.status, 404);
        assert_eq!(app.record_of(&late).detail.unwrap()["session"], "refused");
    }
}

#[test]
fn what_needs_a_session_is_refused_without_one_and_everything_else_is_served() {
    let app = start();
    let token = app.token("ada", "user");
    for revision in LEGACY {
        let send = |method, params| legacy::request(revision, method, params).bearer(&token).send(&app);
        send("ping", json!({})).result();
        send("tools/list", json!({})).result();
        for (method, params) in [
            ("resources/subscribe", json!({ "uri": "file:///a.txt" })),
            ("resources/unsubscribe", json!({ "uri": "file:///a.txt" })),
            ("logging/setLevel", json!({ "level": "info" })),
        ] {
            send(method, params).refused(400, -32600, "invalid_request");
        }
        let bare = legacy::request(revision, "", Value::Null).bearer(&token).raw("");
        bare.clone().verb("GET").send(&app).refused(400, -32600, "invalid_request");
        bare.clone().verb("DELETE").send(&app).refused(400, -32600, "invalid_request");
        bare.verb("PUT").send(&app).refused(405, -32601, "method_not_allowed");
    }
}

#[test]
fn a_request_is_of_the_revision_that_its_session_has_agreed_on() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let list = |rpc: Rpc| rpc.send(&app).result()["tools"][0].clone();
    let own = list(session.request("tools/list", json!({})));
    assert!(own.get("outputSchema").is_some());
    let silent = session.request("tools/list", json!({})).without("mcp-protocol-version");
    assert_eq!(list(silent), own, "without a header");
    let other = session.request("tools/list", json!({})).replace("mcp-protocol-version", "2025-03-26");
    assert_eq!(list(other), own, "with that of another one");
    let nonsense = session.request("tools/list", json!({})).replace("mcp-protocol-version", "2025-01-01");
    nonsense.send(&app).refused(400, -32600, "invalid_request");
    let batch = session.sent(legacy::batch(&[session.request("ping", json!({}))]));
    batch.send(&app).refused(400, -32600, "invalid_request");
    let old = Session::begin(&app, "2025-03-26", &app.token("ada", "user"));
    let batch = old.sent(legacy::batch(&[old.request("ping", json!({}))]));
    assert_eq!(batch.send(&app).json(), json!([{ "jsonrpc": "2.0", "id": 1, "result": {} }]));
}

#[test]
fn the_modern_era_knows_no_sessions() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    for id in [session.id.as_str(), "nonsense", ""] {
        let reply = Rpc::weather().bearer(&session.token).header("mcp-session-id", id).send(&app);
        reply.result();
        assert_eq!(reply.header("mcp-session-id"), None);
    }
    for verb in ["GET", "DELETE"] {
        let modern = session.verb(verb).replace("mcp-protocol-version", VERSION);
        modern.send(&app).refused(405, -32601, "method_not_allowed");
    }
    let subscribe = Rpc::new("resources/subscribe", json!({ "uri": "file:///a.txt" }));
    let subscribe = subscribe.header("mcp-session-id", &session.id).bearer(&session.token);
    subscribe.send(&app).refused(404, -32601, "unknown_method");
    session.request("ping", json!({})).send(&app).result();
}

#[test]
fn a_session_that_is_not_used_ends_and_so_does_one_that_is_old() {
    let app = TestApp::start_with(|settings| {
        enabled(settings);
        settings.sessions.idle = Duration::from_millis(400);
        settings.sessions.absolute = Duration::from_millis(1_500);
    });
    let token = app.token("ada", "user");
    let idle = Session::begin(&app, NEWEST, &token);
    let began = Instant::now();
    let used = Session::begin(&app, NEWEST, &token);
    let is_there = |session: &Session| session.request("ping", json!({})).send(&app).status == 200;
    let stream = used.listen(&app);
    until("the old one has ended", SOON, || !is_there(&used));
    let lived = began.elapsed();
    assert!((Duration::from_millis(1_400)..Duration::from_millis(2_500)).contains(&lived), "{lived:?}");
    ends(stream);
    unknown(&idle.request("ping", json!({})).send(&app));
}

#[test]
fn a_stream_that_is_open_keeps_its_session() {
    let app = TestApp::start_with(|settings| {
        enabled(settings);
        settings.sessions.idle = Duration::from_millis(300);
    });
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut stream = session.listen(&app);
    // Sessions are swept every second: this is behind two of them.
    super::support::pause(Duration::from_millis(2_200));
    app.changes.tell(Change::Tools);
    stream.told("notifications/tools/list_changed");
    drop(stream);
    until("without it, it ends", SOON, || {
        super::support::pause(Duration::from_millis(400));
        session.request("ping", json!({})).send(&app).status == 404
    });
}

#[test]
fn one_caller_has_so_many_sessions_and_all_have_theirs() {
    let app = TestApp::start_with(|settings| {
        enabled(settings);
        (settings.sessions.per_principal, settings.sessions.max) = (2, 3);
    });
    let (ada, bob) = (app.token("ada", "user"), app.token("bob", "user"));
    let first = Session::begin(&app, NEWEST, &ada);
    let _second = Session::begin(&app, NEWEST, &ada);
    let over = handshake(NEWEST, &ada, json!({})).send(&app);
    over.refused(429, -31429, "rate_limited");
    assert_eq!(over.header("retry-after"), Some("5"));
    assert_eq!(app.record_of(&over).reason.as_deref(), Some("rate_limited"));
    let _third = Session::begin(&app, NEWEST, &bob);
    handshake(NEWEST, &bob, json!({})).send(&app).refused(503, -31503, "overloaded");
    first.end(&app);
    Session::begin(&app, NEWEST, &bob);
}

#[test]
fn the_stream_tells_of_lists_and_of_resources_that_were_asked_for() {
    let app = start();
    std::fs::write(app.dir().join("files/a.txt"), "a").unwrap();
    // Whatever watches the folder has nothing new to say of the file itself.
    let app = app.restart();
    let token = app.token("ada", "user");
    for revision in LEGACY {
        let session = Session::begin(&app, revision, &token);
        let mut stream = session.listen(&app);
        assert_eq!(app.record_of(&stream.head).detail.unwrap()["stream"]["resumed"], false);
        let listed = session.request("resources/list", json!({})).send(&app).result();
        let text = listed["resources"][0]["uri"].as_str().unwrap();
        let uri = json!({ "uri": text });
        let subscribed = session.request("resources/subscribe", uri.clone()).send(&app);
        assert_eq!(subscribed.result(), json!({}));
        app.changes.tell(Change::Resource(text.into()));
        app.changes.tell(Change::Resource("file:///other".into()));
        assert_eq!(told(&mut stream, "notifications/resources/updated"), uri);
        for (change, method) in [
            (Change::Tools, "notifications/tools/list_changed"),
            (Change::Prompts, "notifications/prompts/list_changed"),
            (Change::Resources, "notifications/resources/list_changed"),
        ] {
            app.changes.tell(change);
            assert_eq!(told(&mut stream, method), Value::Null);
        }
        assert_eq!(stream.is_primed, revision == NEWEST, "others know no event without a message");
        assert_eq!(session.request("resources/unsubscribe", uri).send(&app).result(), json!({}));
        app.changes.tell(Change::Resource(text.into()));
        app.changes.tell(Change::Tools);
        told(&mut stream, "notifications/tools/list_changed");
        session.end(&app);
        ends(stream);
    }
}

/// The next message, which must be of `method`, but for what the watch on the folder has found by itself; its params.
#[track_caller]
fn told(stream: &mut Events, method: &str) -> Value {
    let found = "notifications/resources/list_changed";
    loop {
        let message = stream.next().expect("the stream has ended");
        if message["method"] != found || method == found {
            assert_eq!(message["method"], method, "{message}");
            return message["params"].clone();
        }
    }
}

#[test]
fn what_may_not_be_read_is_not_told_of_and_looks_as_if_it_were_not_there() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("gert", "guest"));
    let subscribe = |uri: &str| session.request("resources/subscribe", json!({ "uri": uri })).send(&app);
    let (hidden, absent) = (subscribe("portcullis://audit/overview"), subscribe("nothing://at/all"));
    for reply in [&hidden, &absent] {
        reply.refused(200, -32002, "unknown_resource");
    }
    for wrong in [json!("no uri"), json!(7), Value::Null, json!(format!("file:///{}", "x".repeat(2_048)))] {
        let reply = session.request("resources/subscribe", json!({ "uri": wrong })).send(&app);
        reply.refused(200, -32602, "invalid_params");
    }
}

#[test]
fn a_second_stream_takes_the_place_of_the_first() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let first = session.listen(&app);
    let mut second = session.listen(&app);
    ends(first);
    app.changes.tell(Change::Tools);
    second.told("notifications/tools/list_changed");
    assert_eq!(app.metric("portcullis_streams_open"), 1.0);
}

#[test]
fn a_stream_ends_within_a_second_of_its_token_and_the_session_stays() {
    let app = start();
    let (token, jti) = app.minted("ada", &["user"], &[], "tests");
    let session = Session::begin(&app, NEWEST, &token);
    let stream = session.listen(&app);
    let now = Timestamp::now();
    let revocation =
        Revocation { target: RevocationTarget::Jti(jti), at: now, until: now.plus(Duration::from_secs(600)) };
    block_on(app.stores().revocations.revoke(&revocation)).unwrap();
    ends(stream);
    session.request("ping", json!({})).send(&app).refused(401, -31401, "revoked_token");
    let other = Session { token: app.token("ada", "user"), ..session };
    other.request("ping", json!({})).send(&app).result();
    ends_with_the_role(&app);
}

fn ends_with_the_role(app: &TestApp) {
    app.account("bob", &["premium"], true);
    until("it is known", SOON, || app.users.find("bob").is_some());
    let session = Session::begin(app, NEWEST, &app.token("bob", "premium"));
    let stream = session.listen(app);
    app.account("bob", &["guest"], true);
    let began = Instant::now();
    let mut stream = stream;
    let told = stream.rest();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert!(told.iter().all(|message| message["method"] == "notifications/tools/list_changed"), "{told:?}");
}

#[test]
fn a_panic_of_the_actor_costs_no_session() {
    let app = start();
    let token = app.token("ada", "user");
    let session = Session::begin(&app, NEWEST, &token);
    let mut stream = session.listen(&app);
    app.fault("sessions");
    let restarts = r#"portcullis_actor_restarts_total{actor="sessions"}"#;
    until("it is back", BOUND, || app.metric(restarts) == 1.0 && app.is_ready());
    session.request("ping", json!({})).send(&app).result();
    Session::begin(&app, NEWEST, &token);
    // What nobody has heard meanwhile counts as changed.
    for list in ["tools", "prompts", "resources"] {
        stream.told(&format!("notifications/{list}/list_changed"));
    }
    assert_eq!(app.metric(r#"portcullis_mailbox_depth{actor="sessions"}"#), 0.0);
}

#[test]
fn a_stopping_server_ends_its_streams() {
    let mut app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let stream = session.listen(&app);
    app.stop_begins();
    ends(stream);
    app.stop();
}
