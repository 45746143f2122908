//! What an attack on a running server once found: each would have been a breach, each stays closed.

use std::{sync::atomic::Ordering, thread, time::Duration};

use portcullis::{
    actors::audit::{self, Filter},
    domain::Timestamp,
    store::{self, Revocation, RevocationTarget, Stores},
};

use super::support::{app::TestApp, block_on, rpc::Rpc, tools, until};

fn revoke(stores: &Stores, user: &str) {
    let now = Timestamp::now();
    let target = RevocationTarget::Subject(user.to_owned());
    block_on(stores.revocations.revoke(&Revocation {
        target,
        at: now,
        until: now.plus(Duration::from_secs(600)),
    }))
    .unwrap();
}

fn elsewhere(app: &TestApp) -> Stores {
    store::open(&app.settings.store.url.to_string()).unwrap()
}

/// An `Apply` in the mailbox of a dying actor dies with it, and once counted as delivered: of 120 users who
/// were revoked while the actor kept dying, 46 still got in.
#[test]
fn no_revocation_is_lost_while_its_actor_keeps_dying() {
    let app = TestApp::start_roomy();
    let users: Vec<String> = (0..60).map(|n| format!("u{n}")).collect();
    let tokens: Vec<String> = users.iter().map(|user| app.token(user, "user")).collect();
    let mut connection = app.connect();
    for token in &tokens {
        Rpc::weather().bearer(token).on(&mut connection).result();
    }
    let stores = elsewhere(&app);
    thread::scope(|scope| {
        let storm = scope.spawn(|| {
            for _ in 0..400 {
                app.admin("POST", "/admin/faults/tokens");
            }
        });
        for user in &users {
            revoke(&stores, user);
        }
        storm.join().unwrap();
    });
    until("every one of them is refused", Duration::from_secs(2), || {
        let refused = |token: &String| Rpc::weather().bearer(token).send(&app).status == 401;
        tokens.iter().all(refused)
    });
    assert!(app.metric("portcullis_actor_restarts_total{actor=\"tokens\"}") >= 1.0);
}

/// The credential is looked at before the body is there, and once was not looked at again: a body that took
/// its time carried a revoked token past the promised second.
#[test]
fn a_token_revoked_while_its_body_drips_runs_nothing() {
    let app = TestApp::start_roomy();
    let token = app.token("bob", "user");
    let bytes = Rpc::weather().bearer(&token).bytes();
    let (last, most) = bytes.split_last().unwrap();
    let mut slow = app.connect();
    slow.send(most);
    revoke(&elsewhere(&app), "bob");
    until("it is revoked", Duration::from_secs(1), || Rpc::weather().bearer(&token).send(&app).status == 401);
    let ran = || app.metric("portcullis_tool_calls_total{tool=\"get_weather\",outcome=\"ok\"}");
    let before = ran();
    slow.send([*last]);
    slow.reply().refused(401, -31401, "revoked_token");
    assert_eq!(ran(), before);
}

/// Requests that the end of the grace cuts off are dropped on their workers while the log is being ended:
/// once 148 of 300 left no record.
#[test]
fn every_call_that_the_end_of_the_grace_cuts_off_is_on_record() {
    let (watched, all) = tools::all();
    let mut app = TestApp::with(|settings| settings.server.shutdown_grace = Duration::from_secs(1), all);
    let token = app.token("ada", "user");
    let mut connections: Vec<_> = (0..100).map(|_| app.connect()).collect();
    for connection in &mut connections {
        connection.send(Rpc::call("waits", serde_json::json!({})).bearer(&token).bytes());
    }
    until("all of them run", Duration::from_secs(10), || watched.begun.load(Ordering::SeqCst) == 100);
    app.stop();
    let calls = app.records(Filter { event: Some("tool.called".into()), ..Filter::default() });
    assert_eq!(calls.iter().filter(|record| record.outcome == "cancelled").count(), 100);
    let stopped = app.records(Filter { event: Some("server.stopped".into()), ..Filter::default() });
    assert!(calls.iter().all(|call| call.chain != stopped[0].chain || call.seq < stopped[0].seq));
    assert!(audit::verify(app.dir(), None).unwrap().ok());
}

/// A page in an operator's browser that rebinds its name must not read the metrics.
#[test]
fn the_admin_listener_answers_only_to_its_own_names() {
    let app = TestApp::start();
    let ask = |host: &str, origin: &str| {
        let mut connection = super::support::http::Connection::open(app.admin);
        connection.send(format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\n{origin}\r\n"));
        connection.reply().status
    };
    assert_eq!(ask("127.0.0.1:9090", ""), 200);
    assert_eq!(ask("evil.example", ""), 403);
    assert_eq!(ask("localhost", "origin: http://evil.example\r\n"), 403);
}
