//! Calls that go on as tasks: who gets one, what it says meanwhile, what it asks, and what it comes to.

use std::time::Duration;

use portcullis::{
    actors::audit::Filter,
    settings::{Settings, ToolLimitSettings},
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    events::listen,
    legacy,
    rpc::Rpc,
    tasks::{EXTENSION, about, awaited, begun, got, knowing, tools, update},
    until,
};

fn with(change: impl FnOnce(&mut Settings)) -> (std::sync::Arc<super::support::tools::Watched>, TestApp) {
    let (watched, tools) = tools();
    (watched, TestApp::with(change, tools))
}

fn texts(result: &Value) -> Vec<&str> {
    result["content"].as_array().unwrap().iter().map(|block| block["text"].as_str().unwrap()).collect()
}

#[test]
fn a_call_goes_on_as_a_task_and_comes_to_what_the_call_would_have() {
    let (watched, app) = with(|_| {});
    let token = app.token("ada", "user");
    let reply = knowing(Rpc::call("job", json!({}))).bearer(&token).send(&app);
    let seed = reply.result();
    let id = seed["taskId"].as_str().unwrap();
    assert!(id.len() >= 43, "256 bits");
    assert_eq!((&seed["ttlMs"], &seed["pollIntervalMs"]), (&json!(3_600_000), &json!(1_000)));
    for absent in ["result", "error", "inputRequests", "requestState", "task"] {
        assert!(seed.get(absent).is_none(), "{seed}");
    }
    until("it says how far it is", SOON, || got(&app, &token, id)["statusMessage"] == "half way");
    until("it runs", SOON, || watched.begun() == 1);
    assert_eq!(app.metric("portcullis_tasks_running"), 1.0);

    watched.go.notify_one();
    let ended = awaited(&app, &token, id, "completed");
    assert_eq!(texts(&ended["result"]), ["done"]);
    assert_eq!(ended["createdAt"], seed["createdAt"]);
    assert!(ended["lastUpdatedAt"].as_str() > seed["lastUpdatedAt"].as_str());
    // The same as at once, for a client that knows no tasks.
    watched.go.notify_one();
    assert_eq!(Rpc::call("job", json!({})).bearer(&token).send(&app).result(), ended["result"]);
    assert_eq!(app.metric("portcullis_tasks_total{status=\"completed\"}"), 1.0);
    assert_eq!(app.metric("portcullis_tasks_running"), 0.0);

    let request = reply.header("x-request-id").unwrap();
    let mut records = app.records(Filter { request_id: Some(request.into()), ..Filter::default() });
    records.retain(|record| record.event != "auth.succeeded");
    let told: Vec<_> = records.iter().map(|record| (&*record.event, &*record.outcome)).collect();
    assert_eq!(told, [("tool.called", "ok"), ("task.ended", "ok")]);
    assert!(records.iter().all(|record| record.tool.as_deref() == Some("job")));
    let all = app.records(Filter::default());
    assert!(all.iter().any(|record| record.method.as_deref() == Some("tasks/get")));
}

#[test]
fn a_client_that_does_not_say_that_it_knows_tasks_sees_none() {
    let (watched, app) = with(|_| {});
    let token = app.token("ada", "user");
    watched.go.notify_one();
    let result = Rpc::call("job", json!({})).bearer(&token).send(&app).result();
    assert_eq!((&result["resultType"], texts(&result)), (&json!("complete"), vec!["done"]));

    let id = begun(&app, &token, "job");
    let unknowing =
        |rpc: Rpc| rpc.meta(|meta| meta["io.modelcontextprotocol/clientCapabilities"] = json!({}));
    for rpc in [
        Rpc::call("only_task", json!({})),
        unknowing(about("tasks/get", &id)),
        unknowing(update(&id, json!({}))),
        unknowing(about("tasks/cancel", &id)),
        listen(json!(1), &json!({ "taskIds": [id] })),
    ] {
        let reply = rpc.bearer(&token).send(&app);
        reply.refused(400, -32021, "missing_capability");
        let required = &reply.json()["error"]["data"]["requiredCapabilities"];
        assert_eq!(required, &json!({ "extensions": { EXTENSION: {} } }));
    }
    assert_eq!(got(&app, &token, &id)["status"], "working");
}

#[test]
fn older_revisions_know_nothing_of_tasks() {
    let (watched, app) = with(|_| {});
    let token = app.token("ada", "user");
    let offered = Rpc::discover().bearer(&token).send(&app).result();
    assert_eq!(offered["capabilities"]["extensions"], json!({ EXTENSION: {} }));
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let offered = legacy::handshake(revision).bearer(&token).send(&app).result();
        assert!(offered["capabilities"].get("extensions").is_none(), "{offered}");
        assert!(offered["capabilities"].get("tasks").is_none(), "{offered}");
        watched.go.notify_one();
        let called = legacy::call(revision, "job", json!({})).bearer(&token).send(&app).result();
        assert!(called.get("taskId").is_none() && called.get("resultType").is_none(), "{called}");
        for method in ["tasks/get", "tasks/update", "tasks/cancel", "tasks/list", "tasks/result"] {
            let rpc = legacy::request(revision, method, json!({ "taskId": "x" })).bearer(&token);
            assert_eq!(rpc.send(&app).code(), -32601, "{method}");
        }
        let bound = legacy::call(revision, "only_task", json!({})).bearer(&token).send(&app);
        assert_eq!((bound.status, bound.code()), (200, -32600), "no code of the modern era");
    }
    for method in ["tasks/list", "tasks/result"] {
        about(method, "x").bearer(&token).send(&app).refused(404, -32601, "unknown_method");
    }
}

#[test]
fn a_tool_that_has_to_be_a_task_is_listed_only_where_it_can_be_called() {
    let listed = |rpc: Rpc, app: &TestApp, token: &str| {
        let list = rpc.bearer(token).send(app).result();
        list["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "only_task")
    };
    for enabled in [true, false] {
        let (_, app) = with(|settings| settings.tasks.enabled = enabled);
        let token = app.token("ada", "user");
        assert!(listed(Rpc::new("tools/list", json!({})), &app, &token));
        for revision in legacy::LEGACY {
            let list = legacy::request(revision, "tools/list", json!({}));
            assert_eq!(listed(list, &app, &token), !enabled, "{revision}");
        }
    }
}

#[test]
fn without_the_setting_there_are_no_tasks() {
    let (watched, app) = with(|settings| settings.tasks.enabled = false);
    let token = app.token("ada", "user");
    assert!(Rpc::discover().bearer(&token).send(&app).result()["capabilities"].get("extensions").is_none());
    watched.go.notify_one();
    for tool in ["job", "only_task"] {
        let result = knowing(Rpc::call(tool, json!({}))).bearer(&token).send(&app).result();
        assert_eq!(result["resultType"], "complete", "{tool}");
    }
    about("tasks/get", "x").bearer(&token).send(&app).refused(404, -32601, "unknown_method");
}

#[test]
fn what_a_task_asks_is_answered_by_updates_and_never_twice_by_one_name() {
    let (_, app) = with(|_| {});
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "asker");
    let keys = |task: &Value| task["inputRequests"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let named = |name: &str| json!({ "action": "accept", "content": { "name": name } });
    let answer = |answers: Value| {
        let result = update(&id, answers).bearer(&token).send(&app).result();
        assert_eq!(result["resultType"], "complete");
        assert!(result.get("taskId").is_none(), "{result}");
    };
    let asks = awaited(&app, &token, &id, "input_required");
    assert_eq!(keys(&asks), ["one", "two"]);
    assert_eq!(asks["inputRequests"]["one"]["method"], "elicitation/create");

    answer(json!({ "one": named("Ada"), "three": named("Eve") }));
    assert_eq!(keys(&got(&app, &token, &id)), ["two"], "the other one still waits");
    answer(json!({ "two": { "action": "accept", "content": { "name": 7 } }, "one": named("Eve") }));
    until("what does not fit is asked again", SOON, || {
        let task = got(&app, &token, &id);
        task["status"] == "input_required" && keys(&task) == ["two#2"]
    });
    answer(json!({ "two": named("Eve") }));
    assert_eq!(keys(&got(&app, &token, &id)), ["two#2"], "an old answer answers nothing new");
    answer(json!({ "two#2": named("Bob") }));
    until("the next question", SOON, || {
        let task = got(&app, &token, &id);
        task["status"] == "input_required" && keys(&task) == ["sure"]
    });
    answer(json!({ "sure": { "action": "accept", "content": { "confirmed": true } } }));
    let ended = awaited(&app, &token, &id, "completed");
    assert_eq!(texts(&ended["result"]), ["Ada Bob true"]);
    answer(json!({ "sure": { "action": "decline" } }));
    assert_eq!(got(&app, &token, &id), ended, "an ended task stays as it is");

    for wrong in [json!([]), json!("x"), Value::Null, json!({ "one": "x".repeat(64 * 1024) })] {
        update(&id, wrong).bearer(&token).send(&app).refused(200, -32602, "invalid_params");
    }
    about("tasks/update", &id).bearer(&token).send(&app).refused(200, -32602, "invalid_params");
}

#[test]
fn a_task_that_cannot_ask_fails_with_what_is_missing_and_one_that_asks_without_end_is_ended() {
    let (_, app) = with(|_| {});
    let token = app.token("ada", "user");
    let dumb = json!({ "extensions": { EXTENSION: {} } });
    let rpc = Rpc::call("asker", json!({}));
    let rpc = rpc.meta(|meta| meta["io.modelcontextprotocol/clientCapabilities"] = dumb);
    let id = rpc.bearer(&token).send(&app).result()["taskId"].as_str().unwrap().to_owned();
    let failed = awaited(&app, &token, &id, "failed");
    assert_eq!(failed["error"]["code"], -32021);
    assert_eq!(failed["error"]["data"]["requiredCapabilities"], json!({ "elicitation": {} }));
    assert!(failed.get("result").is_none());

    let id = begun(&app, &token, "asker");
    let mut asked = 0;
    until("it is ended", SOON, || {
        let task = got(&app, &token, &id);
        if let Some(requests) = task["inputRequests"].as_object() {
            asked += 1;
            let nonsense: serde_json::Map<_, _> =
                requests.keys().map(|key| (key.clone(), json!(1))).collect();
            update(&id, Value::Object(nonsense)).bearer(&token).send(&app).result();
        }
        task["status"] == "completed"
    });
    assert_eq!(got(&app, &token, &id)["result"]["isError"], true);
    assert!((8..=10).contains(&asked), "{asked}");
}

#[test]
fn one_caller_has_so_many_tasks_at_once_and_another_one_its_own() {
    let (watched, app) = with(|settings| {
        (settings.tasks.max_running_of_one, settings.tasks.max_running) = (2, 3);
    });
    let (ada, bob) = (app.token("ada", "user"), app.token("bob", "user"));
    let job = |token: &str| knowing(Rpc::call("job", json!({}))).bearer(token).send(&app);
    let _tasks = [begun(&app, &ada, "job"), begun(&app, &ada, "job")];
    let refused = job(&ada);
    refused.refused(429, -31429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("5"));
    let last = begun(&app, &bob, "job");
    job(&bob).refused(503, -31503, "overloaded");
    until("all of them run", SOON, || watched.begun() == 3);
    about("tasks/cancel", &last).bearer(&bob).send(&app).result();
    awaited(&app, &bob, &last, "cancelled");
    begun(&app, &bob, "job");
}

#[test]
fn one_caller_keeps_so_many_tasks_whether_or_not_they_have_ended() {
    let (_, app) = with(|settings| (settings.tasks.max_kept_of_one, settings.tasks.max_kept) = (2, 3));
    let (ada, bob) = (app.token("ada", "user"), app.token("bob", "user"));
    let call = |token: &str| knowing(Rpc::call("only_task", json!({}))).bearer(token).send(&app);
    for _ in 0..2 {
        let id = begun(&app, &ada, "only_task");
        awaited(&app, &ada, &id, "completed");
    }
    call(&ada).refused(429, -31429, "rate_limited");
    begun(&app, &bob, "only_task");
    call(&bob).refused(503, -31503, "overloaded");
}

#[test]
fn a_tool_of_which_so_many_run_at_once_counts_its_tasks() {
    let (watched, app) = with(|settings| {
        let one = ToolLimitSettings { max_in_flight: Some(1), ..ToolLimitSettings::default() };
        settings.limits.tools.insert("job".into(), one);
    });
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "job");
    until("it runs", SOON, || watched.begun() == 1);
    let other = knowing(Rpc::call("job", json!({}))).bearer(&token).send(&app);
    assert_eq!(other.status, 429, "{}", other.text());
    watched.go.notify_one();
    awaited(&app, &token, &id, "completed");
    begun(&app, &token, "job");
}

#[test]
fn a_result_that_is_too_large_to_be_kept_is_told_as_such() {
    let (_, app) = with(|settings| settings.tasks.max_result = 1_024);
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "only_task");
    let ended = awaited(&app, &token, &id, "completed");
    assert_eq!(ended["result"]["isError"], true);
    assert!(texts(&ended["result"])[0].contains("1024 bytes"));
}

#[test]
fn a_task_is_forgotten_at_the_end_of_its_life() {
    let short = Duration::from_secs(1);
    let (_, app) = with(|settings| (settings.tasks.max_run, settings.tasks.ttl) = (short, 2 * short));
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "job");
    let failed = awaited(&app, &token, &id, "failed");
    assert_eq!(failed["error"]["data"]["reason"], "request_timeout");
    until("it is forgotten", SOON, || {
        let reply = about("tasks/get", &id).bearer(&token).send(&app);
        reply.json()["error"]["code"] == -32602
    });
}
