//! Row M16 on tasks: ids that were seen, guessed and tried in masses.

use serde_json::{Value, json};

use super::support::{
    SOON,
    app::{TestApp, without_limits},
    http::Reply,
    tasks::{about, awaited, begun, got, tools, update},
    until,
};

/// An answer without what every answer has of its own.
fn bare(reply: &Reply) -> (u16, Value) {
    let mut body = reply.json();
    body["error"]["data"].as_object_mut().unwrap().remove("requestId");
    (reply.status, body)
}

#[test]
fn m16_a_task_of_somebody_else_is_one_that_does_not_exist() {
    let (watched, tools) = tools();
    let app = TestApp::with(without_limits, tools);
    let (ada, eve) = (app.token("ada", "user"), app.token("eve", "admin"));
    let (runs, asks, done) =
        (begun(&app, &ada, "job"), begun(&app, &ada, "asker"), begun(&app, &ada, "only_task"));
    let before = awaited(&app, &ada, &asks, "input_required");
    let result = awaited(&app, &ada, &done, "completed");
    let yes = json!({ "one": { "action": "cancel" }, "two": { "action": "cancel" } });
    for id in [&runs, &asks, &done] {
        let never = "A".repeat(id.len());
        for (theirs, nobodys) in [
            (about("tasks/get", id), about("tasks/get", &never)),
            (about("tasks/cancel", id), about("tasks/cancel", &never)),
            (update(id, yes.clone()), update(&never, yes.clone())),
        ] {
            let (theirs, nobodys) = (theirs.bearer(&eve).send(&app), nobodys.bearer(&eve).send(&app));
            theirs.refused(200, -32602, "invalid_params");
            assert_eq!(bare(&theirs), bare(&nobodys));
            assert!(!theirs.text().contains(&**id));
        }
    }
    assert_eq!(got(&app, &ada, &asks), before);
    assert_eq!(got(&app, &ada, &done), result);
    assert_eq!(got(&app, &ada, &runs)["status"], "working");
    watched.go.notify_one();
    awaited(&app, &ada, &runs, "completed");
}

#[test]
fn m16_guessed_and_bent_ids_of_tasks_open_nothing() {
    let (_, tools) = tools();
    let app = TestApp::with(without_limits, tools);
    let ada = app.token("ada", "user");
    let id = begun(&app, &ada, "only_task");
    awaited(&app, &ada, &id, "completed");
    let mut connection = app.connect();
    let long = "A".repeat(4_000);
    let bent = [
        id[1..].to_owned(),
        format!("{id}A"),
        id.to_lowercase(),
        id.to_uppercase(),
        format!(" {id}"),
        "' OR 1=1 --".to_owned(),
        "../../etc/passwd".to_owned(),
        "0".to_owned(),
        long,
    ];
    for bent in bent {
        let rpc = about("tasks/get", &bent).replace("mcp-name", super::support::rpc::encoded(&bent));
        rpc.bearer(&ada).on(&mut connection).refused(200, -32602, "invalid_params");
    }
    about("tasks/get", &id).replace("mcp-name", "other").bearer(&ada).on(&mut connection).refused(
        400,
        -32020,
        "header_mismatch",
    );
    about("tasks/get", &id)
        .edit(|body| body["params"]["taskId"] = json!(7))
        .bearer(&ada)
        .on(&mut connection)
        .refused(200, -32602, "invalid_params");
    // An id is found in no record and no log of the server, only what it is known by.
    let records = app.records(portcullis::actors::audit::Filter::default());
    assert!(records.iter().any(|record| record.event == "task.ended"));
    assert!(records.iter().all(|record| !format!("{record:?}").contains(&id)));
}

#[test]
fn m16_a_flood_of_guesses_and_of_tasks_is_limited_and_keeps_nobody_else_out() {
    let (watched, tools) = tools();
    let app = TestApp::with(
        |settings| {
            without_limits(settings);
            settings.tasks.max_running_of_one = 4;
        },
        tools,
    );
    let (mallory, ada) = (app.token("mallory", "user"), app.token("ada", "user"));
    let mut connection = app.connect();
    let mut refused = 0;
    for _ in 0..50 {
        let call = super::support::tasks::knowing(super::support::rpc::Rpc::call("job", json!({})));
        refused += u32::from(call.bearer(&mallory).on(&mut connection).status == 429);
    }
    assert_eq!(refused, 46);
    until("four of them run", SOON, || watched.begun() == 4);
    let id = begun(&app, &ada, "only_task");
    awaited(&app, &ada, &id, "completed");

    let limited = TestApp::start();
    let token = limited.token("mallory", "guest");
    let guesses = (0..80).map(|n| {
        let id = format!("{n:043}");
        about("tasks/get", &id).bearer(&token).send(&limited).status
    });
    let guesses: Vec<u16> = guesses.collect();
    assert!(guesses.iter().filter(|status| **status == 429).count() >= 20, "{guesses:?}");
}
