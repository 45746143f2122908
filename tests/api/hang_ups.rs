//! Clients that hang up on `/auth/…`, and servers that stop or take too long meanwhile: what was begun is done,
//! and on record.

use std::time::{Duration, Instant};

use portcullis::{
    actors::audit::{Filter, Record},
    domain::Timestamp,
};
use serde_json::json;

use super::support::{
    SOON,
    app::TestApp,
    auth::{PASSWORD, Pair, refused},
    http::Connection,
    keys::{DAY, made, request},
    legacy::call,
    output,
    rpc::Rpc,
    tools, until,
};

/// Holds the store's file as another process could: whoever writes waits until it is let go, 5 s at most.
fn hold(app: &TestApp) -> rusqlite::Connection {
    let holder = rusqlite::Connection::open(app.dir().join("portcullis.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    holder
}

fn let_go(holder: &rusqlite::Connection) {
    holder.execute_batch("ROLLBACK").unwrap();
}

/// Sends a request of which the handler has certainly begun: it was told that the body may come. The address
/// must be known: a new one is asked for at the limiter before any handler begins.
fn begun(app: &TestApp, path: &str, body: &str) -> Connection {
    let mut connection = app.connect();
    connection.send(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    ));
    let told = connection.some().unwrap();
    assert!(told.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&told));
    connection
}

/// Sends `body` and leaves; returns once the server has closed its side too, so that no handler is left.
fn send_and_leave(mut connection: Connection, body: &str) {
    connection.send(body);
    connection.half_close();
    assert!(connection.is_closed(), "an answer for whoever has left");
}

/// A server on which a used refresh token is a copy at once, and the body that shows such a token.
fn with_a_copy(change: impl FnOnce(&mut portcullis::settings::Settings)) -> (TestApp, String) {
    let app = TestApp::start_with(|settings| {
        settings.jwt.refresh_grace = Duration::ZERO;
        change(settings);
    });
    app.person("ann", &["user"]);
    let first = Pair::of(&app.login("ann", PASSWORD));
    Pair::of(&app.refresh(&first.refresh));
    (app, json!({ "refresh_token": first.refresh }).to_string())
}

fn of_path(path: &'static str) -> impl Fn(&Record) -> bool {
    move |record| record.path.as_deref() == Some(path) && record.duration_us.is_some()
}

#[test]
fn a_copied_refresh_token_is_on_record_although_whoever_showed_it_left_at_once() {
    let (app, body) = with_a_copy(|_| {});
    let holder = hold(&app);
    send_and_leave(begun(&app, "/auth/refresh", &body), &body);
    let_go(&holder);
    let record = app.awaited("token.reuse_detected", "denied", SOON);
    assert_eq!(record.reason.as_deref(), Some("revoked_token"));
    assert_eq!(record.detail.unwrap()["account"], "ann");
    let all = app.records(Filter { request_id: record.request_id, ..Filter::default() });
    assert_eq!(all.len(), 1, "{all:?}");
    let failed = r#"portcullis_auth_total{kind="refresh",outcome="failed",reason="revoked_token"}"#;
    assert_eq!(app.metric(failed), 1.0);
}

#[test]
fn a_key_has_a_successor_and_a_record_of_it_although_whoever_asked_left_at_once() {
    let app = TestApp::start();
    let (text, key) =
        made(&app.stores(), request("ada", &["weather:read"]), Timestamp::now().minus(80 * DAY));
    let holder = hold(&app);
    let mut connection = app.connect();
    connection.send(format!(
        "POST /auth/key/rotate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nx-api-key: {text}\r\n\r\n"
    ));
    app.awaited("auth.succeeded", "ok", SOON);
    connection.half_close();
    assert!(connection.is_closed());
    assert!(app.key_now(key.id).rotation.is_none(), "not yet");
    let_go(&holder);
    let record = app.awaited("key.rotated", "ok", SOON);
    let successor = app.key_now(key.id).rotation.unwrap().successor;
    assert_eq!(record.detail.unwrap()["key_id"], json!(successor));
    assert_eq!(record.principal.unwrap().credential, key.id.to_string());
}

#[test]
fn a_body_that_breaks_off_ends_its_request_at_once() {
    let app = TestApp::start();
    app.get("/auth/login");
    let mut connection = begun(&app, "/auth/login", &" ".repeat(500));
    connection.send("{");
    connection.reset();
    let mut found = Vec::new();
    until("its record", Duration::from_secs(1), || {
        found = app.records(Filter::default()).into_iter().filter(of_path("/auth/login")).collect();
        !found.is_empty()
    });
    assert_eq!((&*found[0].outcome, found[0].reason.as_deref()), ("error", Some("invalid_request")));
}

#[test]
fn a_stopping_server_waits_for_what_nobody_waits_for_any_more() {
    let (mut app, body) = with_a_copy(|settings| settings.server.shutdown_grace = Duration::from_secs(10));
    let holder = hold(&app);
    send_and_leave(begun(&app, "/auth/refresh", &body), &body);
    app.stop_begins();
    // Nothing that would wait for the store, should it still be begun.
    until("nothing new is begun", SOON, || app.post_text("/auth/login", "{}").status == 503);
    for _ in 0..50 {
        // It listens: with nothing under way it would be gone by now.
        refused(&app.login("ann", PASSWORD), 503, "shutting_down");
    }
    let_go(&holder);
    app.stop();
    let reused = Filter { event: Some("token.reuse_detected".into()), ..Filter::default() };
    let found = app.records(reused);
    assert_eq!((found.len(), &*found[0].outcome), (1, "denied"));
    assert!(portcullis::actors::audit::verify(app.dir(), None).unwrap().ok());
}

#[test]
fn what_takes_too_long_is_refused_in_time_and_what_it_comes_to_is_on_record_all_the_same() {
    let (app, body) = with_a_copy(|settings| settings.server.request_timeout = Duration::from_secs(1));
    let holder = hold(&app);
    let reply = app.post_text("/auth/refresh", &body);
    refused(&reply, 503, "overloaded");
    assert_eq!((reply.header("retry-after"), reply.header("connection")), (Some("1"), Some("close")));
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("request.served", "failed"));
    assert!(record.duration_us.unwrap() >= 1_000_000, "{record:?}");
    let_go(&holder);
    let found = app.awaited("token.reuse_detected", "denied", SOON);
    assert_eq!(found.request_id.as_deref(), reply.header("x-request-id"));
}

#[test]
fn whoever_leaves_again_and_again_takes_no_more_than_the_places_there_are() {
    let (app, body) = with_a_copy(|settings| {
        settings.server.workers = 1;
        settings.server.max_connections = 4;
    });
    let holder = hold(&app);
    for _ in 0..4 {
        send_and_leave(begun(&app, "/auth/refresh", &body), &body);
    }
    let over = app.post_text("/auth/refresh", &body);
    refused(&over, 503, "overloaded");
    let record = app.record_of(&over);
    assert_eq!((&*record.outcome, record.reason.as_deref()), ("failed", Some("overloaded")));
    let_go(&holder);
    until("places are free again", SOON, || app.login("ann", PASSWORD).status == 200);
    app.awaited("token.reuse_detected", "denied", SOON);
}

#[test]
fn a_panic_is_a_failure_of_ours_and_what_had_happened_by_then_is_on_record() {
    let (app, body) = with_a_copy(|_| {});
    output::panic_at("a refresh token was used twice");
    let reply = app.post_text("/auth/refresh", &body);
    refused(&reply, 500, "internal");
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("token.reuse_detected", "failed"));
    assert_eq!(record.reason.as_deref(), Some("internal"));
    Pair::of(&app.login("ann", PASSWORD));
}

#[test]
fn a_stop_takes_no_longer_than_its_grace_whatever_runs_on() {
    let (watched, tools) = tools::all();
    let grace = Duration::from_secs(3);
    let mut app = TestApp::with(|settings| settings.server.shutdown_grace = grace, tools);
    let token = app.token("ada", "user");
    // One that has lost its client, and one that has not.
    let mut left = app.connect();
    left.send(call("2025-11-25", "changes", json!({})).bearer(&token).bytes());
    until("it begins", SOON, || watched.begun() == 1);
    drop(left);
    let mut stays = app.connect();
    stays.send(Rpc::call("waits", json!({})).bearer(&token).bytes());
    until("the other one begins", SOON, || watched.begun() == 2);
    let began = Instant::now();
    app.stop();
    let took = began.elapsed();
    assert!(took >= grace && took < grace + Duration::from_millis(1_500), "{took:?}");
    assert_eq!(watched.dropped(), 2);
    let cancelled = Filter { outcome: Some("cancelled".into()), ..Filter::default() };
    let tools: Vec<_> = app.records(cancelled).into_iter().map(|record| record.tool.unwrap()).collect();
    assert_eq!(tools.len(), 2, "{tools:?}");
    assert!(portcullis::actors::audit::verify(app.dir(), None).unwrap().ok());
}
