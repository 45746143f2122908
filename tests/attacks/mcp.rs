//! Rows M: MCP requests that say one thing and mean another.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    legacy, output,
    rpc::{META_CAPABILITIES, META_VERSION, Rpc},
    tools, until,
};

fn weather(app: &TestApp) -> Rpc {
    Rpc::weather().bearer(&app.token("ada", "user"))
}

#[test]
fn m1_what_the_header_says_is_held_against_the_body() {
    let app = TestApp::start();
    for method in ["tools/list", "TOOLS/CALL", "tools/call ;", "server/discover"] {
        let reply = weather(&app).replace("mcp-method", method).send(&app);
        reply.refused(400, -32020, "header_mismatch");
        // The record has what the body said.
        assert_eq!(app.record_of(&reply).method.as_deref(), Some("tools/call"));
    }
    let other = Rpc::list().bearer(&app.token("ada", "user")).replace("mcp-method", "tools/call");
    other.send(&app).refused(400, -32020, "header_mismatch");
}

#[test]
fn m2_a_safe_name_in_the_header_calls_no_dangerous_tool() {
    let app = TestApp::start();
    let sentinel = |name: &str| format!("=?base64?{}?=", STANDARD.encode(name));
    let danger = Rpc::call("list_users", json!({})).bearer(&app.token("root", "admin"));
    for name in [
        "get_weather".to_owned(),
        sentinel("get_weather"),
        "=?base64?bGlzdF91c2Vycw=?=".to_owned(),
        "=?base64?bGlzdF91c2Vycw==".to_owned(),
        "=?base64?!!!!?=".to_owned(),
        "=?base64?/////w==?=".to_owned(),
        sentinel("list_users").replace("base64", "BASE64"),
        "LIST_USERS".to_owned(),
        "list_user".to_owned(),
    ] {
        danger.clone().replace("mcp-name", &name).send(&app).refused(400, -32020, "header_mismatch");
    }
    danger.clone().replace("mcp-name", [0xff, 0xfe]).send(&app).refused(400, -32020, "header_mismatch");
    danger.clone().replace("mcp-name", sentinel("list_users")).send(&app).result();
    danger.send(&app).result();
}

#[test]
fn m3_the_revision_is_said_twice_and_the_same() {
    let app = TestApp::start();
    let said = |header: &str, body: &str| {
        let rpc = weather(&app).replace("mcp-protocol-version", header);
        rpc.meta(|meta| meta[META_VERSION] = json!(body)).send(&app)
    };
    said("2025-11-25", "2026-07-28").refused(400, -32020, "header_mismatch");
    said("2026-07-28", "2025-11-25").refused(400, -32020, "header_mismatch");
    said(&"2".repeat(2_048), "2026-07-28").refused(400, -32020, "header_mismatch");
    weather(&app).without("mcp-protocol-version").send(&app).refused(400, -32020, "header_mismatch");
    for version in ["1999-01-01", "2099-01-01", "2025-11-25", "x", "", "2026-07-28\u{7f}"] {
        let reply = said(version, version);
        if version.contains('\u{7f}') {
            assert_eq!(reply.status, 400);
            continue;
        }
        reply.refused(400, -32022, "unsupported_version");
        assert_eq!(reply.json()["error"]["data"]["supported"], json!(["2026-07-28"]));
    }
    let long = "9".repeat(2_048);
    let reply = said(&long, &long);
    reply.refused(400, -32022, "unsupported_version");
    assert!(reply.body.len() < 1_024, "not sent back whole");
}

#[test]
fn m5_an_older_revision_dodges_no_rule() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|_| {}, tools);
    let guest = app.token("ada", "guest");
    // Whatever its headers pretend, what the body calls is what is asked for and recorded.
    for revision in legacy::LEGACY {
        let danger = legacy::call(revision, "list_users", json!({})).bearer(&guest);
        let dressed = danger.header("mcp-method", "tools/call").header("mcp-name", "get_weather");
        let reply = dressed.send(&app);
        reply.refused(403, -31403, "forbidden");
        let record = app.record_of(&reply);
        assert_eq!((&*record.event, record.tool.as_deref()), ("tool.denied", Some("list_users")));
        let nobody = legacy::call(revision, "changes", json!({}));
        nobody.send(&app).refused(401, -31401, "missing_credential");
    }
    // What claims nothing under a header of the modern era is of no era.
    let bare = legacy::call("2025-11-25", "changes", json!({})).bearer(&guest);
    bare.replace("mcp-protocol-version", "2026-07-28").send(&app).refused(400, -32602, "invalid_params");
    assert_eq!(watched.begun(), 0);
    let incapable = weather(&app).meta(|meta| drop(meta.as_object_mut().unwrap().remove(META_CAPABILITIES)));
    let reply = incapable.send(&app);
    reply.refused(400, -32602, "invalid_params");
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains(META_CAPABILITIES));
}

#[test]
fn m6_a_batch_is_no_request_of_the_modern_era_and_bounded_in_the_older_one() {
    let app = TestApp::start();
    let one = weather(&app).text();
    for count in [0, 1, 2, 500] {
        let batch = format!("[{}]", vec![&*one; count].join(","));
        let reply = weather(&app).raw(batch).send(&app);
        reply.refused(400, -32600, "invalid_request");
        assert!(reply.json().get("id").is_none());
    }
    let many = format!("[{}]", vec![&*one; 10_000].join(","));
    assert_eq!(weather(&app).raw(many).send(&app).status, 400);
    let pings = |count| vec![legacy::request("2025-03-26", "ping", json!({})); count];
    let send = |count| legacy::batch(&pings(count)).bearer(&app.token("ada", "user")).send(&app);
    assert_eq!(send(50).json().as_array().unwrap().len(), 50);
    for count in [0, 51, 500] {
        send(count).refused(400, -32600, "invalid_request");
    }
}

#[test]
fn m7_an_id_that_not_everybody_can_hold_is_refused() {
    let app = TestApp::start();
    let text = weather(&app).text();
    let long = format!("\"{}\"", "x".repeat(10_000));
    for id in [
        "null",
        "1.5",
        "1e3",
        "1.0",
        "18446744073709551616",
        "9007199254740992",
        "-0.0",
        "true",
        "{}",
        "[1]",
        &long,
    ] {
        let reply = weather(&app).raw(text.replacen("\"id\":1", &format!("\"id\":{id}"), 1)).send(&app);
        reply.refused(400, -32600, "invalid_request");
        assert!(reply.json().get("id").is_none(), "{id}");
    }
    weather(&app).raw(text.replacen("\"id\":1", "\"id\":1e400", 1)).send(&app).refused(
        400,
        -32700,
        "parse_error",
    );
    // The same id twice is two requests.
    let mut connection = app.connect();
    let twice = [weather(&app).bytes(), weather(&app).bytes()].concat();
    connection.send(twice);
    connection.reply().result();
    connection.reply().result();
}

#[test]
fn m8_an_answer_is_no_request() {
    let app = TestApp::start();
    for body in [
        json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": 1, "message": "x" } }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": {}, "error": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "result": {} }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "error": null }),
    ] {
        weather(&app).raw(body.to_string()).send(&app).refused(400, -32600, "invalid_request");
    }
}

#[test]
fn m9_a_notification_runs_nothing() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    for method in ["tools/call", "notifications/cancelled", "notifications/initialized", "nothing"] {
        let rpc = Rpc::call("changes", json!({})).bearer(&token).edit(|body| {
            body["method"] = json!(method);
            body.as_object_mut().unwrap().remove("id");
        });
        let reply = rpc.send(&app);
        assert_eq!((reply.status, &*reply.body), (202, &b""[..]), "{method}");
        let record = app.record_of(&reply);
        assert_eq!((&*record.event, &record.tool), ("request.served", &None));
    }
    assert_eq!(watched.begun(), 0);
    let nobody = Rpc::weather().edit(|body| drop(body.as_object_mut().unwrap().remove("id"))).send(&app);
    nobody.refused(401, -31401, "missing_credential");
}

#[test]
fn m10_a_tool_that_is_not_there_and_one_that_is_not_allowed() {
    let app = TestApp::start();
    let token = app.token("ada", "guest");
    let call = |name: &str| Rpc::call(name, json!({})).bearer(&token).send(&app);
    call("list_users").refused(403, -31403, "forbidden");
    for name in ["nope", "get_weather2", "GET_WEATHER", "get_weather\\u0000"] {
        call(name).refused(200, -32602, "unknown_tool");
    }
    let long = call(&"x".repeat(5_000));
    long.refused(200, -32602, "unknown_tool");
    assert!(long.body.len() < 1_024);
    assert!(app.record_of(&long).tool.unwrap().len() <= 128);
}

#[test]
fn m11_a_thousand_mistakes_make_a_short_answer_without_values() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let call = |arguments: Value| {
        let result = Rpc::call("get_weather", arguments).bearer(&token).send(&app).result();
        assert_eq!(result["isError"], true);
        let text = result["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.len() <= 4 * 1024, "{} bytes", text.len());
        text
    };
    assert!(call(json!({})).contains("city"));
    let secret = "hunter2-hunter2-hunter2";
    let shown = call(json!({ "city": { "password": secret }, "token": secret }));
    assert!(!shown.contains("hunter2"), "{shown}");
    let many: Value =
        (0..9_000).map(|n| (format!("wrong{n:05}"), json!(secret))).collect::<serde_json::Map<_, _>>().into();
    let shown = call(many);
    assert!(shown.matches("wrong").count() <= 10 && !shown.contains("hunter2"), "{shown}");
    assert!(!call(json!({ "city": "x".repeat(1_000_000) })).contains("xxxxxxxxxx"));
    let name = "n".repeat(1_000_000);
    assert!(call(json!({ name: 1 })).len() < 4_096);
    let escaping = call(json!({ "city": "Oslo", "\u{1b}[2J\u{202e}\nx": 1 }));
    assert!(!escaping.contains(['\u{1b}', '\u{202e}', '\n']), "{escaping:?}");
}

#[test]
fn m13_a_pattern_takes_no_longer_for_text_that_is_meant_to_be_slow() {
    let app = TestApp::with(|_| {}, tools::all().1);
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    let mut took = |text: String| {
        let rpc = Rpc::call("matches", json!({ "text": text })).bearer(&token);
        let started = Instant::now();
        let reply = rpc.on(&mut connection);
        (started.elapsed(), reply.result()["isError"] == true)
    };
    assert!(!took("a".repeat(40_000)).1);
    let (long, refused) = took(format!("{}!", "a".repeat(40_000)));
    assert!(refused && long < Duration::from_millis(500), "{long:?}");
}

#[test]
fn m14_no_cursor_is_one_of_ours() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for cursor in [json!("x"), json!(""), json!("x".repeat(1 << 20)), json!(7), json!(null), json!({})] {
        let rpc = Rpc::list().bearer(&token).edit(|body| body["params"]["cursor"] = cursor);
        rpc.send(&app).refused(200, -32602, "invalid_params");
    }
}

#[test]
fn m20_a_client_that_leaves_takes_its_call_with_it() {
    let (watched, tools) = tools::all();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    let mut connections: Vec<_> = (0..8).map(|_| app.connect()).collect();
    for connection in &mut connections {
        connection.send(Rpc::call("waits", json!({})).bearer(&token).bytes());
    }
    until("all run", SOON, || watched.begun() == 8);
    drop(connections);
    until("all are dropped", Duration::from_secs(1), || watched.dropped() == 8);
    let filter =
        portcullis::actors::audit::Filter { outcome: Some("cancelled".into()), ..Default::default() };
    until("all are on record", Duration::from_secs(1), || app.records(filter.clone()).len() == 8);
}

#[test]
fn m23_there_is_no_stream_to_resume() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for verb in ["GET", "DELETE"] {
        let rpc =
            Rpc::list().verb(verb).bearer(&token).header("last-event-id", "7").header("mcp-session-id", "x");
        let reply = rpc.send(&app);
        reply.refused(405, -32601, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    let reply = weather(&app).header("last-event-id", "7").header("mcp-session-id", "stolen").send(&app);
    reply.result();
    assert!(reply.header("mcp-session-id").is_none());
}

#[test]
fn m24_a_forged_trace_is_dropped() {
    let app = TestApp::start();
    let marker = "forged-trace-5a1e";
    for parent in
        [json!(format!("{marker}{}", "x".repeat(10_000))), json!(7), json!(format!("00-{marker}\n{{}}-01"))]
    {
        let rpc = weather(&app).meta(|meta| {
            meta["traceparent"] = parent;
            meta["tracestate"] = json!(marker);
            meta["baggage"] = json!(marker);
        });
        let reply = rpc.send(&app);
        reply.result();
        assert!(!serde_json::to_string(&app.record_of(&reply)).unwrap().contains(marker));
    }
    assert!(output::logged(&[marker]).is_empty());
}

#[test]
fn m25_what_differs_by_caller_is_private() {
    let app = TestApp::start();
    for role in ["guest", "user", "admin"] {
        let reply = Rpc::list().bearer(&app.token("ada", role)).send(&app);
        assert_eq!(reply.result()["cacheScope"], "private");
        assert_eq!(
            (reply.header("cache-control"), reply.header("vary")),
            (Some("no-store"), Some("authorization"))
        );
    }
    let discovered = |role: &str| Rpc::discover().bearer(&app.token("ada", role)).send(&app).result();
    assert_eq!(discovered("guest"), discovered("admin"));
    assert_eq!(discovered("guest")["cacheScope"], "public");
}

#[test]
fn m26_no_client_turns_the_log_up() {
    let app = TestApp::start();
    let before = tracing::level_filters::LevelFilter::current();
    for level in ["debug", "emergency"] {
        weather(&app)
            .meta(|meta| meta["io.modelcontextprotocol/logLevel"] = json!(level))
            .send(&app)
            .result();
    }
    for level in [json!("trace"), json!(7), json!("DEBUG"), json!("")] {
        let rpc = weather(&app).meta(|meta| meta["io.modelcontextprotocol/logLevel"] = level);
        rpc.send(&app).refused(200, -32602, "invalid_params");
    }
    assert_eq!(tracing::level_filters::LevelFilter::current(), before);
    let set = Rpc::new("logging/setLevel", json!({ "level": "debug" })).bearer(&app.token("ada", "admin"));
    set.send(&app).refused(404, -32601, "unknown_method");
}

#[test]
fn m27_a_progress_token_is_short_and_stands_once() {
    let app = TestApp::start();
    for token in [json!("x".repeat(128)), json!(7), json!("")] {
        weather(&app).meta(|meta| meta["progressToken"] = token).send(&app).result();
    }
    for token in
        [json!("x".repeat(129)), json!("x".repeat(100_000)), json!(1.5), json!({}), json!(null), json!(true)]
    {
        weather(&app).meta(|meta| meta["progressToken"] = token).send(&app).refused(
            200,
            -32602,
            "invalid_params",
        );
    }
    let twice = weather(&app).text().replacen(
        "\"_meta\":{",
        "\"_meta\":{\"progressToken\":1,\"progressToken\":2,",
        1,
    );
    weather(&app).raw(twice).send(&app).refused(400, -32600, "invalid_request");
}
