//! A server that is about to stop: not ready any more, and serving everything until load balancers have seen that.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::json;

use super::support::{
    SOON,
    app::TestApp,
    http::{Connection, Reply},
    rpc::Rpc,
    until,
};

const DELAY: Duration = Duration::from_millis(1500);

/// A server that serves on for [`DELAY`] after it was told to stop.
fn draining() -> TestApp {
    TestApp::start_with(|settings| settings.server.drain_delay = DELAY)
}

fn is_last(reply: &Reply) -> bool {
    reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

#[test]
fn a_server_that_drains_is_not_ready_and_serves_on() {
    let mut app = draining();
    let token = app.token("ada", "user");
    assert!(app.is_ready());
    let told = Instant::now();

    app.stop_begins();

    until("it is not ready", SOON, || app.get("/health/ready").status == 503);
    let ready = app.get("/health/ready").json();
    assert_eq!((&ready["ready"], &ready["reason"]), (&json!(false), &json!("shutting_down")));
    assert_eq!(ready["checks"]["store"], true, "nothing is lost: {ready}");
    assert_eq!(app.get("/health").status, 200, "it lives");
    Rpc::weather().bearer(&token).on(&mut app.connect()).result();
    assert!(told.elapsed() < DELAY, "too slow to have seen it drain");
    app.stop();
    assert!(told.elapsed() >= DELAY, "it stopped before its time: {:?}", told.elapsed());
    assert!(TcpStream::connect(app.main).is_err());
}

#[test]
fn a_connection_that_is_kept_ends_with_its_next_answer() {
    let mut app = draining();
    let token = app.token("ada", "user");
    let (mut calls, mut logs_in, mut idle) = (app.connect(), app.connect(), app.connect());
    for kept in [&mut calls, &mut idle] {
        let reply = Rpc::weather().bearer(&token).on(kept);
        reply.result();
        assert!(!is_last(&reply), "nobody has asked it to stop: {reply:?}");
    }
    assert_eq!(logs_in.get("/.well-known/oauth-protected-resource").status, 200);

    app.stop_begins();
    until("it is not ready", SOON, || app.get("/health/ready").status == 503);

    let last = Rpc::weather().bearer(&token).on(&mut calls);
    last.result();
    assert!(is_last(&last), "{last:?}");
    let last = logs_in.get("/.well-known/oauth-protected-resource");
    assert_eq!((last.status, is_last(&last)), (200, true), "{last:?}");
    for ended in [&mut calls, &mut logs_in] {
        assert!(ended.is_closed());
    }
    // Who says nothing keeps its connection until the server stops.
    Rpc::weather().bearer(&token).on(&mut idle).result();
    app.stop();
}

#[test]
fn without_a_delay_it_stops_at_once() {
    let mut app = TestApp::start();
    assert!(Connection::open(app.main).get("/health/ready").status == 200);
    let told = Instant::now();
    app.stop();
    assert!(told.elapsed() < DELAY, "{:?}", told.elapsed());
}
