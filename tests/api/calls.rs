//! Tools that misbehave, and clients that leave: what is answered, what is dropped, what is written down.

use std::time::Duration;

use portcullis::actors::audit::Filter;
use serde_json::json;

use super::support::{SOON, app::TestApp, http::Connection, rpc::Rpc, tools, until};

/// The promise: what a client left behind is dropped and recorded within this.
const GONE_WITHIN: Duration = Duration::from_secs(1);

fn call(tool: &str) -> Rpc {
    Rpc::call(tool, json!({}))
}

#[test]
fn a_tool_that_takes_too_long_is_dropped_and_says_so_as_a_result() {
    let app = TestApp::with(|_| {}, tools::all().1);
    let reply = call("dawdles").bearer(&app.token("ada", "user")).send(&app);
    let result = reply.result();
    assert_eq!(result["isError"], true);
    assert!(result["content"][0]["text"].as_str().unwrap().contains("in time"), "{result}");
    let record = app.record_of(&reply);
    assert_eq!(
        (&*record.event, &*record.outcome, record.tool.as_deref()),
        ("tool.called", "timeout", Some("dawdles"))
    );
    assert_eq!(app.metric("portcullis_tool_calls_total{tool=\"dawdles\",outcome=\"timeout\"}"), 1.0);
}

#[test]
fn the_operators_deadline_counts_where_it_is_the_shorter_one() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|settings| settings.server.request_timeout = Duration::from_millis(50), tools);
    let reply = call("waits").bearer(&app.token("ada", "user")).send(&app);
    assert_eq!(reply.result()["isError"], true);
    assert_eq!(app.record_of(&reply).outcome, "timeout");
    assert_eq!((watched.begun(), watched.dropped()), (1, 1));
}

#[test]
fn a_tool_that_panics_fails_its_own_call_only() {
    let app = TestApp::with(|_| {}, tools::all().1);
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    for _ in 0..5 {
        let reply = call("panics").bearer(&token).on(&mut connection);
        reply.refused(200, -32603, "internal");
        assert!(!reply.text().contains("on purpose"), "{}", reply.text());
        assert_eq!(app.record_of(&reply).outcome, "failed");
        Rpc::weather().bearer(&token).on(&mut connection).result();
    }
    assert!(app.is_ready());
    assert_eq!(app.metric("portcullis_tool_calls_total{tool=\"panics\",outcome=\"failed\"}"), 5.0);
}

#[test]
fn a_result_against_the_tools_own_schema_never_leaves() {
    let app = TestApp::with(|_| {}, tools::all().1);
    let reply = call("lies").bearer(&app.token("ada", "user")).send(&app);
    reply.refused(200, -32603, "internal");
    assert_eq!(reply.json()["error"]["message"], "internal error");
    assert_eq!(app.record_of(&reply).outcome, "failed");
}

#[test]
fn a_tool_that_changes_something_is_on_record_before_it_acts() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    connection.send(call("changes").bearer(&token).bytes());
    until("the tool begins", SOON, || watched.begun() == 1);
    // Looked at the very moment that the tool has begun: the record was on disk before.
    let filter =
        |event: &str| Filter { event: Some(event.into()), tool: Some("changes".into()), ..Filter::default() };
    let started = app.records(filter("tool.started"));
    assert_eq!(started.len(), 1);
    assert!(started[0].arguments_digest.as_ref().unwrap().starts_with("hmac-sha256:"));
    assert!(app.records(filter("tool.called")).is_empty());
    watched.go.notify_one();
    let reply = connection.reply();
    reply.result();
    assert_eq!(app.record_of(&reply).request_id, started[0].request_id);
    // One that only reads, and one whose arguments do not fit, have no such record.
    Rpc::weather().bearer(&token).send(&app).result();
    assert_eq!(Rpc::call("changes", json!({ "x": 1 })).bearer(&token).send(&app).result()["isError"], true);
    assert_eq!(app.records(Filter { event: Some("tool.started".into()), ..Filter::default() }).len(), 1);
    assert_eq!(watched.begun(), 1);
}

/// Calls `tool`, lets the client leave, and holds that nothing of it stays and the record says so.
fn leaves(tool: &str, leave: impl FnOnce(Connection)) {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|_| {}, tools);
    let mut connection = app.connect();
    connection.send(call(tool).bearer(&app.token("ada", "user")).bytes());
    until("the tool begins", SOON, || watched.begun() == 1);
    assert_eq!(watched.dropped(), 0);
    leave(connection);
    until("the tool is dropped", GONE_WITHIN, || watched.dropped() == 1);
    let record = app.awaited("tool.called", "cancelled", GONE_WITHIN);
    assert_eq!((record.tool.as_deref(), record.principal.unwrap().id), (Some(tool), "ada".into()));
    let counted = r#"portcullis_requests_total{method="tools/call",outcome="cancelled"}"#;
    until("it is counted", GONE_WITHIN, || app.metric(counted) > 0.5);
    assert_eq!(
        app.records(Filter {
            request_id: record.request_id,
            event: Some("tool.called".into()),
            ..Filter::default()
        })
        .len(),
        1
    );
}

#[test]
fn a_client_that_closes_takes_its_call_with_it() {
    leaves("waits", drop);
}

#[test]
fn a_client_that_resets_takes_its_call_with_it() {
    leaves("waits", Connection::reset);
}

#[test]
fn a_client_that_ends_its_side_only_has_left_too() {
    let mut kept = None;
    leaves("waits", |connection| {
        connection.half_close();
        kept = Some(connection);
    });
}

#[test]
fn a_client_that_leaves_a_changing_tool_leaves_both_records() {
    leaves("changes", Connection::reset);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_on_record() {
    let app = TestApp::start();
    let mut connection = app.connect();
    let mut head = Rpc::weather().bearer(&app.token("ada", "user")).head();
    head.extend_from_slice(b"content-length: 500\r\n\r\n{\"jsonrpc\"");
    connection.send(head);
    until("the request is at its body", SOON, || {
        !app.records(Filter { event: Some("auth.succeeded".into()), ..Filter::default() }).is_empty()
    });
    drop(connection);
    let filter =
        Filter { event: Some("request.served".into()), user: Some("ada".into()), ..Filter::default() };
    until("its record", GONE_WITHIN, || !app.records(filter.clone()).is_empty());
    let record = app.records(filter).remove(0);
    assert!(["cancelled", "error"].contains(&&*record.outcome), "{record:?}");
}

#[test]
fn the_record_of_a_call_says_who_what_and_from_where_and_nothing_of_the_arguments() {
    let app = TestApp::start();
    let (token, jti) = app.minted("ada", &["user"], &[], "desk");
    let reply = Rpc::call("get_weather", json!({ "city": "Reykjavik" }))
        .bearer(&token)
        .header("user-agent", "test/1")
        .send(&app);
    let result = reply.result();
    assert_eq!(
        (&result["structuredContent"]["city"], &result["resultType"]),
        (&json!("Reykjavik"), &json!("complete"))
    );
    let record = app.record_of(&reply);
    let principal = record.principal.clone().unwrap();
    assert_eq!(
        (&*principal.id, &*principal.kind, &*principal.client, &*principal.credential),
        ("ada", "jwt", "desk", &*jti)
    );
    assert_eq!((record.ip.as_deref(), record.user_agent.as_deref()), (Some("127.0.0.1"), Some("test/1")));
    assert_eq!((record.path.as_deref(), record.method.as_deref()), (Some("/mcp"), Some("tools/call")));
    assert!(!serde_json::to_string(&record).unwrap().contains("Reykjavik"));
    // The same arguments have the same digest, others another one.
    let again = |city: &str| {
        let reply = Rpc::call("get_weather", json!({ "city": city })).bearer(&token).send(&app);
        app.record_of(&reply).arguments_digest
    };
    assert_eq!(again("Reykjavik"), record.arguments_digest);
    assert_ne!(again("Reykjavík"), record.arguments_digest);
}
