//! A local client over pipes: the same tools, policy, limits and audit as over HTTP, beside a running server.

use std::{process::Stdio, time::Duration};

use portcullis::{
    actors::audit::Filter,
    app::Additions,
    domain::KeyState,
    tools::{AnyTool, Call, Content, Hints, Said, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    lines::{Lines, cancelled, command, handshake, modern, plain, verifies},
    rpc::VERSION,
    tools::{self, Nothing},
    until,
};

/// Permissions of the key that most tests use.
pub(crate) const READS: [&str; 2] = ["weather:read", "files:read"];

pub(crate) fn weather(id: impl Into<Value>) -> Value {
    modern(id, "tools/call", json!({ "name": "get_weather", "arguments": { "city": "Oslo" } }))
}

fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    modern(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

fn reason(answer: &Value) -> &str {
    answer["error"]["data"]["reason"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_local_client_is_served_in_the_modern_era_and_on_record_without_an_address() {
    let app = TestApp::start();
    let (key, kept) = app.key("desk", &READS);
    let mut client = Lines::beside(&app, &key);

    let discovered = client.modern("d", "server/discover", json!({}));
    assert_eq!(discovered["id"], "d");
    assert_eq!(discovered["result"]["supportedVersions"][0], VERSION);
    let listed = client.modern(2, "tools/list", json!({}));
    let names: Vec<_> = listed["result"]["tools"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert!(names.contains(&&json!("get_weather")) && !names.contains(&&json!("list_users")), "{names:?}");
    let called = client.ask(&weather(3));
    assert_eq!((&called["id"], &called["result"]["structuredContent"]["city"]), (&json!(3), &json!("Oslo")));
    let denied = client.ask(&call(4, "list_users", json!({})));
    assert_eq!((denied["error"]["code"].as_i64(), reason(&denied)), (Some(-31403), "forbidden"));
    assert_eq!(denied["error"]["data"]["missing"], "admin:users");
    assert_eq!(client.end(), Vec::<Value>::new());

    let found = app.records(Filter { tool: Some("get_weather".into()), ..Filter::default() });
    assert_eq!(found.len(), 1);
    let record = serde_json::to_value(&found[0]).unwrap();
    assert_eq!(
        (&record["path"], &record["ip"], &record["outcome"]),
        (&json!("stdio"), &Value::Null, &json!("ok"))
    );
    assert_eq!(record["principal"]["id"], "desk");
    let seen = app.records(Filter { event: Some("auth.succeeded".into()), ..Filter::default() });
    assert_eq!(seen.len(), 1, "the first sight of the key is on record, once");
    let missing = app.records(Filter { event: Some("tool.denied".into()), ..Filter::default() });
    assert_eq!(missing.len(), 1);
    // The look before the first message is a use too.
    until("the count of uses", SOON, || app.key_now(kept.id).usage_count == 5);
    verifies(&app);
}

#[test]
fn a_handshake_settles_the_revision_of_what_follows_and_of_nothing_else() {
    let app = TestApp::start();
    let (key, _) = app.key("desk", &READS);
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let mut client = Lines::beside(&app, &key);
        let agreed = client.ask(&handshake(revision));
        assert_eq!(agreed["result"]["protocolVersion"], revision);
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        assert_eq!(
            client.ask(&plain(1, "ping", json!({}))),
            json!({ "jsonrpc": "2.0", "id": 1, "result": {} })
        );
        let weather = json!({ "name": "get_weather", "arguments": { "city": "Oslo" } });
        let called = client.ask(&plain(2, "tools/call", weather));
        assert_eq!(called["result"].get("structuredContent").is_some(), revision != "2025-03-26");
        assert_eq!(called["result"].get("resultType"), None, "a member of another era: {called}");
        let wrong = json!({ "name": "get_weather", "arguments": { "town": "Oslo" } });
        let wrong = client.ask(&plain(3, "tools/call", wrong));
        assert_eq!(wrong.get("error").is_some(), revision != "2025-11-25", "{wrong}");
        let batch = client.ask(&json!([plain(4, "ping", json!({})), plain(5, "tools/list", json!({}))]));
        match batch.as_array() {
            Some(both) => assert!(revision == "2025-03-26" && both.len() == 2, "{revision}: {batch}"),
            None => assert_eq!(reason(&batch), "invalid_request", "{revision}"),
        }
        // A request that says its revision itself has that one.
        let modern = client.modern(6, "tools/list", json!({}));
        assert_eq!(modern["result"]["resultType"], "complete");
        assert_eq!(client.end(), Vec::<Value>::new());
    }
}

#[test]
fn a_key_that_is_taken_back_is_refused_within_a_second_and_says_why_with_each_id() {
    let app = TestApp::start();
    let (key, kept) = app.key("desk", &READS);
    let mut client = Lines::beside(&app, &key);
    assert!(client.ask(&weather(0)).get("result").is_some());
    app.set_key(kept.id, KeyState::Disabled);
    let mut last = Value::Null;
    until("a refusal", Duration::from_secs(1), || {
        last = client.ask(&weather("again"));
        last.get("error").is_some()
    });
    assert_eq!((&last["id"], last["error"]["code"].as_i64()), (&json!("again"), Some(-31401)));
    assert_eq!(reason(&last), "invalid_api_key");
    let request = last["error"]["data"]["requestId"].as_str().unwrap().to_owned();
    let record = app.records(Filter { request_id: Some(request), ..Filter::default() }).remove(0);
    let record = serde_json::to_value(record).unwrap();
    assert_eq!((&record["event"], &record["path"]), (&json!("auth.failed"), &json!("stdio")));
    // In a batch each request is told under its own id.
    let both = client.ask(&json!([plain(7, "ping", json!({})), plain(8, "ping", json!({}))]));
    let told: Vec<_> = both.as_array().unwrap().iter().map(|one| (&one["id"], reason(one))).collect();
    assert_eq!(told, [(&json!(7), "invalid_api_key"), (&json!(8), "invalid_api_key")]);
    // Notifications are answered in no case.
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    app.set_key(kept.id, KeyState::Active);
    until("an answer", Duration::from_secs(2), || client.ask(&weather(9)).get("result").is_some());
    client.end();
}

#[test]
fn without_a_key_that_holds_nothing_is_served_and_it_is_said_what_to_do() {
    let app = TestApp::start();
    let (revoked, kept) = app.key("desk", &READS);
    app.set_key(kept.id, KeyState::Revoked);
    let token = app.token("desk", "user");
    for (key, why) in [
        (None, "is not set"),
        (Some(""), "is not set"),
        (Some(&*token), "holds no API key"),
        (Some("mcp_short"), "holds no API key"),
        (Some("mcp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "opens nothing"),
        (Some(&*revoked), "opens nothing"),
    ] {
        let child = command(&app, key).stderr(Stdio::piped()).spawn().unwrap();
        let done = child.wait_with_output().unwrap();
        assert_eq!((done.status.code(), &*done.stdout), (Some(1), &b""[..]), "{why}");
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains(&format!("PORTCULLIS_API_KEY {why}")), "{said}");
        assert!(said.contains("portcullis key create"), "{said}");
        assert!(key.is_none_or(|key| key.is_empty() || !said.contains(key)), "the key is shown");
    }
    let failed = app.records(Filter { event: Some("auth.failed".into()), ..Filter::default() });
    assert_eq!(failed.len(), 2, "each try with a key is on record");
}

#[test]
fn the_limits_of_the_principal_hold_and_no_address_has_one() {
    let app = TestApp::start();
    let (key, _) = app.key("desk", &READS);
    let mut command = command(&app, Some(&key));
    command.env("PORTCULLIS__LIMITS__DEFAULT__CAPACITY", "3").env("PORTCULLIS__ROLES__GUEST__CAPACITY", "3");
    command.env("PORTCULLIS__ROLES__GUEST__REFILL_PER_SECOND", "0.01");
    command
        .env("PORTCULLIS__LIMITS__IP__CAPACITY", "1")
        .env("PORTCULLIS__LIMITS__IP__REFILL_PER_SECOND", "0.01");
    let mut client = Lines::of(&mut command);
    for id in 0..3 {
        assert!(client.modern(id, "tools/list", json!({})).get("result").is_some());
    }
    let over = client.modern(3, "tools/list", json!({}));
    assert_eq!((over["error"]["code"].as_i64(), reason(&over)), (Some(-31429), "rate_limited"));
    assert!(over["error"]["data"]["retryAfterMs"].as_u64().unwrap() > 1_000, "{over}");
    client.end();
}

#[test]
fn what_is_cancelled_is_not_answered_and_its_record_says_so() {
    let app = TestApp::start();
    let (key, _) = app.key("desk", &READS);
    let (watched, tools) = tools::all();
    let mut client = Lines::within(&app, &key, Additions { tools, ..Additions::default() });
    for (id, request) in [
        (json!(1), call(1, "waits", json!({}))),
        (json!("two"), plain("two", "tools/call", json!({ "name": "waits", "arguments": {} }))),
    ] {
        let (begun, dropped) = (watched.begun(), watched.dropped());
        client.send(&request);
        until("a call", SOON, || watched.begun() > begun);
        client.send(&cancelled("no such id"));
        client.send(&cancelled(id));
        until("its end", SOON, || watched.dropped() > dropped);
        assert!(client.modern("next", "tools/list", json!({}))["id"] == "next", "nothing is told of it");
    }
    until("the records", SOON, || {
        let filter =
            Filter { tool: Some("waits".into()), outcome: Some("cancelled".into()), ..Filter::default() };
        app.records(filter).len() == 2
    });
    // One that is under way keeps its id to itself.
    client.send(&call(5, "waits", json!({})));
    until("a call", SOON, || watched.begun() == 3);
    let twice = client.modern(5, "tools/list", json!({}));
    assert_eq!((twice.get("id"), reason(&twice)), (None, "invalid_request"));
    watched.go.notify_one();
    assert_eq!(client.next()["result"]["structuredContent"]["done"], true);
    client.end();
}

#[test]
fn a_tool_that_panics_is_an_answer_like_any_other() {
    let app = TestApp::start();
    let (key, _) = app.key("desk", &READS);
    let mut client = Lines::within(&app, &key, Additions { tools: tools::all().1, ..Additions::default() });
    let failed = client.ask(&call("p", "panics", json!({})));
    assert_eq!((&failed["id"], failed["error"]["code"].as_i64()), (&json!("p"), Some(-32603)));
    assert!(client.ask(&weather(1)).get("result").is_some());
    client.end();
}

/// Tells where it is, then asks.
struct Chatty;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

impl Tool for Chatty {
    const SPEC: Spec = Spec {
        name: "chatty",
        title: "Chatty",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(5),
    };
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.progress(1.0, Some(2.0), Some("half"));
        tokio::task::yield_now().await;
        call.progress(2.0, Some(2.0), None);
        let Said::Accepted(Name { name }) = call.elicit("who", "What is your name?")? else {
            return Err(ToolError::Refused("no name".into()));
        };
        Ok(Shown(vec![Content::Text(format!("Hello, {name}!"))]))
    }
}

fn chatty(app: &TestApp, key: &str) -> Lines {
    let tools: Vec<Box<dyn AnyTool>> = vec![Box::new(Chatty)];
    Lines::within(app, key, Additions { tools, ..Additions::default() })
}

#[test]
fn progress_is_told_before_the_answer_and_questions_come_in_rounds() {
    let app = TestApp::start();
    let (key, _) = app.key("desk", &READS);
    let mut client = chatty(&app, &key);
    let meta =
        json!({ "progressToken": "t", "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} } });
    let params = json!({ "name": "chatty", "arguments": {}, "_meta": meta });
    client.send(&modern(1, "tools/call", params.clone()));
    let mut told = Vec::new();
    let asked = loop {
        let message = client.next();
        if message.get("id").is_some() {
            break message;
        }
        assert_eq!(
            (&message["method"], &message["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("t"))
        );
        told.push(message["params"]["progress"].as_f64().unwrap());
    };
    assert!(told.is_sorted() && told.last() == Some(&2.0), "{told:?}");
    assert_eq!(asked["result"]["resultType"], "input_required");
    assert_eq!(asked["result"]["inputRequests"]["who"]["method"], "elicitation/create");

    let mut again = params;
    again["_meta"].as_object_mut().unwrap().remove("progressToken");
    again["requestState"] = asked["result"]["requestState"].clone();
    again["inputResponses"] = json!({ "who": { "action": "accept", "content": { "name": "Ada" } } });
    let answered = client.modern(2, "tools/call", again);
    assert_eq!(answered["result"]["content"][0]["text"], "Hello, Ada!");
    client.end();
}

#[test]
fn a_subscription_is_told_as_lines_under_its_id_until_it_is_cancelled_or_all_ends() {
    let app = TestApp::start();
    let (key, kept) = app.key("desk", &READS);
    std::fs::create_dir_all(app.dir().join("files")).unwrap();
    let mut client = Lines::beside(&app, &key);
    let wishes =
        json!({ "notifications": { "resourceSubscriptions": ["file:///a.txt"], "toolsListChanged": true } });
    for id in [json!(1), json!("one")] {
        let acknowledged = client.modern(id.clone(), "subscriptions/listen", wishes.clone());
        let meta = &acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!(
            (&acknowledged["method"], meta),
            (&json!("notifications/subscriptions/acknowledged"), &id)
        );
    }
    client.send(&cancelled(1));
    assert!(client.modern(9, "tools/list", json!({})).get("result").is_some());
    std::fs::write(app.dir().join("files/a.txt"), "new").unwrap();
    let changed = client.next();
    assert_eq!(changed["method"], "notifications/resources/updated", "{changed}");
    assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "one");
    app.set_key(kept.id, KeyState::Revoked);
    let ended = client.next();
    assert_eq!((&ended["id"], &ended["result"]["resultType"]), (&json!("one"), &json!("complete")));
    assert_eq!(client.end(), Vec::<Value>::new());
}

#[test]
fn what_is_cancelled_in_the_same_breath_leaves_its_id_free() {
    let app = TestApp::start();
    let (key, _) = app.key("desk", &READS);
    let mut client = Lines::beside(&app, &key);
    for round in 0..20 {
        let both = format!("{}\n{}\n", call(7, "get_weather", json!({ "city": "Oslo" })), cancelled(7));
        client.write(both.as_bytes());
        let next = format!("next-{round}");
        // Its answer may have been faster.
        let answers = std::iter::repeat_with({
            client.send(&modern(next.clone(), "tools/list", json!({})));
            || client.next()
        });
        let last = answers.take(2).find(|answer| answer["id"] == next.as_str());
        assert!(last.is_some(), "round {round}");
    }
    let first = client.modern(7, "tools/list", json!({}));
    // The last call's answer may still have been on its way.
    let is_free = first["result"]["tools"].is_array() || client.next()["result"]["tools"].is_array();
    assert!(is_free, "the id is taken for good: {first}");
}

#[test]
fn a_local_client_has_no_session_even_where_there_are_some() {
    let app = TestApp::start_with(|settings| settings.sessions.enabled = true);
    let (key, _) = app.key("desk", &READS);
    let (_, tools) = tools::all();
    let mut client = Lines::within(&app, &key, Additions { tools, ..Additions::default() });
    for _ in 0..20 {
        let agreed = client.ask(&handshake("2025-11-25"));
        let capabilities = &agreed["result"]["capabilities"];
        assert!(capabilities["tools"].is_object() && capabilities.get("logging").is_none(), "{agreed}");
    }
    let refused = client.ask(&plain(9, "logging/setLevel", json!({ "level": "info" })));
    assert_eq!(reason(&refused), "unknown_method");
}
