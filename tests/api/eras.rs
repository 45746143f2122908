//! Clients of every revision on the same endpoint: each is answered in its own way, and none in another's.

use std::time::Duration;

use portcullis::{
    actors::audit::Filter,
    domain::Timestamp,
    store::{Revocation, RevocationTarget},
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    block_on,
    http::Connection,
    legacy::{LEGACY, batch, call, handshake, notification, request},
    rpc::{META_CAPABILITIES, META_VERSION, Rpc},
    tools, until,
};

const OSLO: &str = "Oslo";

fn weather(revision: &str) -> Rpc {
    call(revision, "get_weather", json!({ "city": OSLO }))
}

#[test]
fn a_handshake_agrees_on_what_it_asks_for_or_on_our_newest_and_never_on_the_modern_revision() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for (wanted, agreed) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        let reply = handshake(wanted).bearer(&token).send(&app);
        let result = reply.result();
        assert_eq!(result["protocolVersion"], agreed, "{wanted}");
        assert_eq!(
            (&result["capabilities"], &result["serverInfo"]["name"]),
            (
                &json!({ "completions": {}, "prompts": {}, "resources": {}, "tools": {} }),
                &json!("Portcullis")
            )
        );
        assert_eq!(
            (reply.header("mcp-session-id"), app.record_of(&reply).method.as_deref()),
            (None, Some("initialize"))
        );
    }
    let unsaid = handshake("x").edit(|body| body["params"]["protocolVersion"] = json!(7)).bearer(&token);
    unsaid.send(&app).refused(200, -32602, "invalid_params");
    handshake("2025-11-25").send(&app).refused(401, -31401, "missing_credential");
    assert_eq!(app.metric("portcullis_requests_total{method=\"initialize\",outcome=\"ok\"}"), 7.0);
}

#[test]
fn each_revision_lists_and_calls_with_the_members_that_it_knows() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for revision in LEGACY {
        let mut connection = app.connect();
        let taken = notification(revision, "notifications/initialized").bearer(&token).on(&mut connection);
        assert_eq!((taken.status, taken.body.len()), (202, 0));
        assert_eq!(
            request(revision, "ping", json!({})).bearer(&token).on(&mut connection).result(),
            json!({})
        );
        let structured = revision != "2025-03-26";
        let list = request(revision, "tools/list", json!({})).bearer(&token).on(&mut connection).result();
        assert_eq!(list.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
        let tool = &list["tools"][0];
        assert_eq!(
            (tool.get("outputSchema").is_some(), tool.get("title").is_some()),
            (structured, structured)
        );
        assert_eq!((&tool["name"], &tool["inputSchema"]["type"]), (&json!("get_weather"), &json!("object")));
        let called = weather(revision).bearer(&token).on(&mut connection).result();
        let text: Value = serde_json::from_str(called["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text["city"], OSLO);
        assert_eq!(
            called.get("structuredContent").map(|content| &content["city"]),
            structured.then_some(&json!(OSLO))
        );
    }
    let versions = Rpc::discover().bearer(&token).send(&app).result()["supportedVersions"].take();
    assert_eq!(versions, json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]));
}

#[test]
fn what_goes_wrong_is_told_as_each_revision_tells_it() {
    let app = TestApp::start();
    let token = app.token("ada", "guest");
    for revision in LEGACY {
        let send = |rpc: Rpc| rpc.bearer(&token).send(&app);
        send(request(revision, "server/discover", json!({}))).refused(200, -32601, "unknown_method");
        send(request(revision, "logging/setLevel", json!({}))).refused(200, -32601, "unknown_method");
        send(call(revision, "nothing", json!({}))).refused(200, -32602, "unknown_tool");
        send(call(revision, "get_weather", json!([]))).refused(200, -32602, "invalid_params");
        send(request(revision, "tools/call", json!({}))).refused(200, -32602, "invalid_params");
        send(request(revision, "tools/list", json!({ "cursor": "x" }))).refused(
            200,
            -32602,
            "invalid_params",
        );
        let bad = send(call(revision, "get_weather", json!({ "town": OSLO })));
        if revision == "2025-11-25" {
            let result = bad.result();
            assert_eq!(result["isError"], true);
            assert!(result["content"][0]["text"].as_str().unwrap().contains("city"));
        } else {
            bad.refused(200, -32602, "invalid_params");
            assert!(bad.json()["error"]["message"].as_str().unwrap().contains("city"));
        }
        assert_eq!(app.record_of(&bad).outcome, "error");
        // Who may what is no matter of revisions, nor is its status.
        let denied = send(call(revision, "list_users", json!({})));
        denied.refused(403, -31403, "forbidden");
        assert_eq!(app.record_of(&denied).event, "tool.denied");
        weather(revision).bearer("x").send(&app).refused(401, -31401, "invalid_token");
    }
}

#[test]
fn the_body_decides_the_era_and_the_header_only_confirms_it() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let with =
        |rpc: Rpc, version: &str| rpc.replace("mcp-protocol-version", version).bearer(&token).send(&app);
    // No claim, and a header of the modern era: what is missing is named.
    for version in ["2026-07-28", "2099-01-01"] {
        with(weather("2025-11-25"), version).refused(400, -32602, "invalid_params");
        with(handshake("2025-11-25"), version).refused(400, -32020, "header_mismatch");
        assert_eq!(with(notification("2025-11-25", "notifications/initialized"), version).status, 202);
    }
    // No claim, and a header that names nothing of ours.
    for version in ["2024-11-05", "1999-01-01", "x", "", "2025-11-25x", "zzzz-zz-zz"] {
        for rpc in [
            weather("2025-11-25"),
            handshake("2025-11-25"),
            notification("2025-11-25", "notifications/initialized"),
        ] {
            with(rpc, version).refused(400, -32600, "invalid_request");
        }
    }
    let twice = weather("2025-11-25").header("mcp-protocol-version", "2025-11-25").bearer(&token).send(&app);
    twice.refused(400, -32600, "invalid_request");
    // Headers of the modern era that older clients send all the same mean nothing.
    let stray = weather("2025-06-18").header("mcp-method", "tools/list").header("mcp-name", "list_users");
    stray.bearer(&token).send(&app).result();
    // A claim is modern, whatever the method and the header say.
    for method in ["initialize", "ping", "notifications/initialized"] {
        Rpc::new(method, json!({})).bearer(&token).send(&app).refused(404, -32601, "unknown_method");
    }
    with(Rpc::weather(), "2025-11-25").refused(400, -32020, "header_mismatch");
    let odd = weather("2025-11-25").edit(|body| body["params"]["_meta"] = json!({ META_VERSION: 7 }));
    odd.bearer(&token).send(&app).refused(400, -32602, "invalid_params");
    let half = weather("2025-11-25").edit(|body| body["params"]["_meta"] = json!({ META_CAPABILITIES: {} }));
    half.bearer(&token).send(&app).result();
    let claimed = Rpc::weather().meta(|meta| meta[META_VERSION] = json!("2025-11-25"));
    let refused = with(claimed, "2025-11-25");
    refused.refused(400, -32022, "unsupported_version");
    assert_eq!(refused.json()["error"]["data"]["supported"], json!(["2026-07-28"]));
}

#[test]
fn a_batch_is_so_many_requests_with_so_many_records_in_one_answer() {
    let app = TestApp::start();
    let token = app.token("ada", "guest");
    let id = |rpc: Rpc, id: Value| rpc.edit(|body| body["id"] = id);
    let messages = [
        id(weather("2025-03-26"), json!("a")),
        notification("2025-03-26", "notifications/initialized"),
        id(call("2025-03-26", "list_users", json!({})), json!(2)),
        id(request("2025-03-26", "ping", json!({})), json!(3)),
        id(handshake("2025-03-26"), json!(4)),
        request("2025-03-26", "x", json!({})).edit(|body| body["id"] = json!(1.5)),
    ];
    let reply = batch(&messages).bearer(&token).send(&app);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answers = reply.json();
    let answers = answers.as_array().unwrap();
    let told: Vec<_> =
        answers.iter().map(|answer| (&answer["id"], answer["error"]["code"].as_i64())).collect();
    let null = Value::Null;
    assert_eq!(
        told,
        [
            (&json!("a"), None),
            (&json!(2), Some(-31403)),
            (&json!(3), None),
            (&json!(4), Some(-32600)),
            (&null, Some(-32600))
        ]
    );
    assert!(answers[4].get("id").is_none() && answers[0]["result"].get("structuredContent").is_none());
    let of_ada = || Filter { user: Some("ada".into()), ..Filter::default() };
    let mut records = app.records(of_ada());
    records.retain(|record| record.duration_us.is_some());
    let seen: Vec<_> = records.iter().map(|record| (&*record.event, record.method.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("tool.called", Some("tools/call")),
            ("request.served", Some("notifications/initialized")),
            ("tool.denied", Some("tools/call")),
            ("request.served", Some("ping")),
            ("request.served", Some("initialize")),
            ("request.served", None)
        ]
    );
    let mut ids: Vec<_> = records.iter().map(|record| record.request_id.clone()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 6, "each has an id of its own");
    assert_eq!(answers[1]["error"]["data"]["requestId"].as_str(), ids[2].as_deref());
    // Notifications alone have nothing to be told.
    let quiet =
        batch(&[notification("2025-03-26", "notifications/initialized"), notification("2025-03-26", "y")]);
    let quiet = quiet.bearer(&token).send(&app);
    assert_eq!((quiet.status, quiet.body.len()), (202, 0));
}

#[test]
fn a_batch_belongs_to_one_revision_and_has_bounds() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let one = request("2025-03-26", "ping", json!({}));
    let send = |rpc: Rpc| rpc.bearer(&token).send(&app);
    assert_eq!(send(batch(&vec![one.clone(); 50])).json().as_array().unwrap().len(), 50);
    assert_eq!(
        send(batch(std::slice::from_ref(&one)).header("mcp-protocol-version", "2025-03-26")).status,
        200
    );
    for refused in [
        batch(&vec![one.clone(); 51]),
        batch(&[]),
        batch(&[one.clone(), Rpc::list()]),
        batch(std::slice::from_ref(&one)).header("mcp-protocol-version", "2025-06-18"),
        batch(std::slice::from_ref(&one)).header("mcp-protocol-version", "2025-11-25"),
        batch(std::slice::from_ref(&one)).header("mcp-protocol-version", "2026-07-28"),
        batch(std::slice::from_ref(&one)).header("mcp-protocol-version", "x"),
    ] {
        send(refused).refused(400, -32600, "invalid_request");
    }
    send(one.raw("[{]")).refused(400, -32700, "parse_error");
}

#[test]
fn each_message_of_a_batch_is_paid_for() {
    let app = TestApp::start_with(|settings| {
        let user = settings.roles.get_mut("user").unwrap();
        (user.capacity, user.refill_per_second) = (Some(3), Some(0.001));
    });
    let token = app.token("ada", "user");
    let answers = batch(&vec![request("2025-03-26", "ping", json!({})); 5]).bearer(&token).send(&app).json();
    let codes: Vec<_> = answers.as_array().unwrap().iter().map(|one| one["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [None, None, None, Some(-31429), Some(-31429)]);
    request("2025-11-25", "ping", json!({})).bearer(&token).send(&app).refused(429, -31429, "rate_limited");
    let nothing = batch(&vec![request("2025-03-26", "ping", json!({})); 2]).bearer(&token).send(&app);
    assert_eq!((nothing.status, nothing.json().as_array().unwrap().len()), (429, 2));
    assert!(nothing.header("retry-after").is_some());
}

#[test]
fn a_token_that_is_revoked_while_a_batch_runs_runs_nothing_more_of_it() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|_| {}, tools);
    let (token, jti) = app.minted("ada", &["user"], &[], "tests");
    let mut connection = app.connect();
    let messages = [call("2025-03-26", "waits", json!({})), weather("2025-03-26")];
    connection.send(batch(&messages).bearer(&token).bytes());
    until("the first one runs", SOON, || watched.begun() == 1);
    let (at, target) = (Timestamp::now(), RevocationTarget::Jti(jti));
    let revocation = Revocation { target, at, until: at.plus(Duration::from_secs(600)) };
    block_on(app.stores().revocations.revoke(&revocation)).unwrap();
    until("the revocation is in force", SOON, || {
        weather("2025-11-25").bearer(&token).send(&app).status == 401
    });
    watched.go.notify_one();
    let answers = connection.reply().json();
    assert_eq!(
        (&answers[0]["result"]["content"][0]["type"], &answers[1]["error"]["code"]),
        (&json!("text"), &json!(-31401))
    );
}

#[test]
fn what_an_older_client_asked_for_runs_on_when_it_hangs_up() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    for (at, leave) in [drop, Connection::reset].into_iter().enumerate() {
        let mut connection = app.connect();
        connection.send(call("2025-11-25", "changes", json!({})).bearer(&token).bytes());
        until("the tool begins", SOON, || watched.begun() == 2 * at + 1);
        leave(connection);
        // One of the modern era that leaves after it is gone already.
        let mut modern = app.connect();
        modern.send(Rpc::call("waits", json!({})).bearer(&token).bytes());
        until("the other one begins", SOON, || watched.begun() == 2 * at + 2);
        drop(modern);
        until("the other one is dropped", SOON, || watched.dropped() == 2 * at + 1);
        watched.go.notify_one();
        until("its record", SOON, || {
            let done = Filter {
                event: Some("tool.called".into()),
                tool: Some("changes".into()),
                ..Filter::default()
            };
            let found = app.records(done);
            found.len() == at + 1 && found.iter().all(|record| record.outcome == "ok")
        });
    }
}

#[test]
fn what_runs_on_has_the_operators_deadline_all_the_same() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|settings| settings.server.request_timeout = Duration::from_millis(50), tools);
    let mut connection = app.connect();
    connection.send(call("2025-06-18", "waits", json!({})).bearer(&app.token("ada", "user")).bytes());
    until("the tool begins", SOON, || watched.begun() == 1);
    drop(connection);
    assert_eq!(app.awaited("tool.called", "timeout", SOON).tool.as_deref(), Some("waits"));
    assert_eq!(watched.dropped(), 1);
}
