//! What a batch may cost and what is recorded of it, and calls of older clients that run on.

use std::{sync::atomic::Ordering, time::Duration};

use portcullis::actors::audit::Filter;
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    auth::PASSWORD,
    http::Reply,
    keys::{DAY, rotated},
    legacy::{batch, call, request},
    rpc::Rpc,
    tools, until,
};

fn ping() -> Rpc {
    request("2025-03-26", "ping", json!({}))
}

fn codes(answers: &Value) -> Vec<Option<i64>> {
    answers.as_array().unwrap().iter().map(|one| one["error"]["code"].as_i64()).collect()
}

/// How many records are of the request that `reply` answers.
fn records_of(app: &TestApp, reply: &Reply) -> usize {
    let request_id = reply.header("x-request-id").map(str::to_owned);
    app.records(Filter { request_id, ..Filter::default() }).len()
}

#[test]
fn a_batch_whose_answers_grow_too_large_together_does_not_begin_the_rest() {
    let app = TestApp::start_roomy();
    std::fs::write(app.dir().join("files/large.txt"), "x".repeat(1 << 20)).unwrap();
    let read = || call("2025-03-26", "read_file", json!({ "path": "large.txt" }));
    let reply = batch(&vec![read(); 12]).bearer(&app.token("ada", "user")).send(&app);
    let answers = reply.json();
    let codes = codes(&answers);
    assert_eq!(codes[..8], [None; 8]);
    assert_eq!(codes[8..], [Some(-31503); 4]);
    assert_eq!(answers[11]["error"]["data"]["reason"], "overloaded");
    let limited = Filter { outcome: Some("failed".into()), ..Filter::default() };
    let refused = app.records(limited);
    assert_eq!(refused.len(), 4);
    assert!(
        refused.iter().all(|record| record.tool.is_none() && record.reason.as_deref() == Some("overloaded"))
    );
}

#[test]
fn the_id_of_a_request_finds_every_message_that_came_in_it() {
    let app = TestApp::start_with(|settings| {
        let user = settings.roles.get_mut("user").unwrap();
        (user.capacity, user.refill_per_second) = (Some(3), Some(0.001));
    });
    let token = app.token("ada", "user");
    let changes = call("2025-03-26", "write_file", json!({ "path": "a.txt", "content": "a" }));
    let reply = batch(&[ping(), changes, ping(), ping(), ping()]).bearer(&token).send(&app);
    let answers = reply.json();
    assert_eq!(codes(&answers), [None, Some(-31403), None, Some(-31429), Some(-31429)]);
    let whole = reply.header("x-request-id").unwrap();
    for over in [3, 4] {
        assert_eq!(answers[over]["error"]["data"]["requestId"], whole, "the limiter's record is of this one");
    }
    until("the limiter's record", SOON, || records_of(&app, &reply) == 4 + 1);
    let own = answers[1]["error"]["data"]["requestId"].as_str().unwrap();
    let denied = app.records(Filter { request_id: Some(own.to_owned()), ..Filter::default() });
    let [denied] = &denied[..] else { panic!("{denied:?}") };
    assert_eq!(
        (&*denied.event, &denied.detail.as_ref().unwrap()["http_request_id"]),
        ("tool.denied", &json!(whole))
    );
}

#[test]
fn each_message_is_a_use_of_its_key_and_says_that_the_key_has_a_successor() {
    let app = TestApp::start();
    let (text, key) = app.key("build", &["weather:read"]);
    rotated(&app.stores(), key.id, DAY);
    let reply = batch(&[ping(), ping(), ping()]).header("x-api-key", &text).send(&app);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("deprecation").is_some());
    let served = Filter { event: Some("request.served".into()), ..Filter::default() };
    let records = app.records(served);
    let marked =
        records.iter().filter(|one| one.detail.as_ref().is_some_and(|more| more["deprecated"] == true));
    assert_eq!((records.len(), marked.count()), (3, 3));
    until("the uses are counted", SOON, || app.key_now(key.id).usage_count == 3);
}

#[test]
fn what_runs_on_for_older_clients_takes_no_place_from_those_who_log_in() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|settings| settings.server.max_connections = 4, tools);
    app.person("ann", &["user"]);
    let token = app.token("ada", "user");
    for begun in 1..=4 {
        let mut connection = app.connect();
        connection.send(call("2025-11-25", "changes", json!({})).bearer(&token).bytes());
        until("the tool begins", SOON, || watched.begun() == begun);
        drop(connection);
    }
    until("there is a connection to be had", SOON, || app.login("ann", PASSWORD).status == 200);
    assert_eq!(watched.dropped(), 0, "all four are under way");
    for _ in 0..4 {
        watched.go.notify_one();
    }
    until("they end", SOON, || watched.dropped.load(Ordering::SeqCst) == 4);
}

#[test]
fn nothing_of_a_batch_is_begun_once_its_time_is_up_not_even_what_only_reads() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|settings| settings.server.request_timeout = Duration::from_millis(200), tools);
    let waits = || call("2025-03-26", "waits", json!({}));
    let answers = batch(&[waits(), waits(), waits()]).bearer(&app.token("ada", "user")).send(&app).json();
    assert!(answers.as_array().unwrap().iter().all(|one| one["result"]["isError"] == true), "{answers}");
    assert_eq!(watched.begun(), 1);
    let late = Filter { tool: Some("waits".into()), outcome: Some("timeout".into()), ..Filter::default() };
    assert_eq!(app.records(late).len(), 3);
}
