//! How tasks end that nobody lets end by themselves: given up, taken away, cut off, killed.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use portcullis::{
    actors::{audit::Filter, tokens::MintRequest},
    app,
    domain::{KeyState, Timestamp},
    store::{EndedTask, RevocationTarget, TaskEnd, TaskMade, TaskRoom},
};
use serde_json::json;
use sha2::Digest;

use super::support::{
    SOON,
    app::{TestApp, settings},
    block_on,
    http::Connection,
    output,
    rpc::Rpc,
    tasks::{about, awaited, begun, got, kept_row, knowing, tools, update},
    until,
};

/// Where a server shall serve until it is killed.
const KILLED_IN: &str = "PORTCULLIS_TEST_KILLED_IN";

#[test]
fn a_task_that_is_given_up_is_dropped_and_one_that_has_ended_stays() {
    let (watched, tools) = tools();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "job");
    until("it runs", SOON, || watched.begun() == 1);
    for _ in 0..2 {
        let result = about("tasks/cancel", &id).bearer(&token).send(&app).result();
        assert_eq!(result["resultType"], "complete");
        assert!(result.get("taskId").is_none());
    }
    let cancelled = awaited(&app, &token, &id, "cancelled");
    assert!(cancelled.get("result").is_none() && cancelled.get("error").is_none(), "{cancelled}");
    assert_eq!(watched.dropped(), 1, "the tool runs no more");
    assert_eq!(app.awaited("task.ended", "cancelled", SOON).tool.as_deref(), Some("job"));

    let done = begun(&app, &token, "only_task");
    let ended = awaited(&app, &token, &done, "completed");
    about("tasks/cancel", &done).bearer(&token).send(&app).result();
    assert_eq!(got(&app, &token, &done), ended);
}

#[test]
fn a_task_does_not_outlive_the_credential_that_it_was_begun_with() {
    let (watched, tools) = tools();
    let app = TestApp::with(|_| {}, tools);
    app.account("bob", &["user"], true);
    let (other, kept) = (app.token("ada", "user"), app.token("ada", "user"));
    let (token, jti) = app.minted("ada", &["user"], &[], "tests");
    let (key, made) = app.key("ada", &["files:read"]);
    let bob = app.token("bob", "user");
    let by_key = knowing(Rpc::call("job", json!({}))).key(&key).send(&app).result();
    let tasks =
        [(begun(&app, &token, "job"), &other), (by_key["taskId"].as_str().unwrap().to_owned(), &other)];
    let (lives, of_bob) = (begun(&app, &kept, "job"), begun(&app, &bob, "job"));
    until("all of them run", SOON, || watched.begun() == 4);
    block_on(app.tokens.revoke(RevocationTarget::Jti(jti), Duration::from_secs(600))).unwrap();
    app.set_key(made.id, KeyState::Revoked);
    app.account("bob", &["user"], false);
    for (id, owner) in &tasks {
        let ended = awaited(&app, owner, id, "cancelled");
        assert!(ended["statusMessage"].as_str().unwrap().contains("credential"), "{ended}");
    }
    until("that of the disabled account ends too", SOON, || watched.dropped() == 3);
    about("tasks/get", &of_bob).bearer(&bob).send(&app).refused(401, -31401, "revoked_token");
    assert_eq!(got(&app, &other, &lives)["status"], "working", "another credential of the same caller holds");
}

#[test]
fn whoever_may_not_call_the_tool_any_more_gets_nothing_of_its_tasks() {
    let (watched, tools) = tools();
    let app = TestApp::with(|_| {}, tools);
    app.account("bob", &["user"], true);
    let bob = app.token("bob", "user");
    let (done, runs) = (begun(&app, &bob, "only_task"), begun(&app, &bob, "job"));
    awaited(&app, &bob, &done, "completed");
    until("it runs", SOON, || watched.begun() == 1);
    app.account("bob", &["guest"], true);
    until("the tool is stopped", SOON, || watched.dropped() == 1);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let reply = about(method, &done).bearer(&bob).send(&app);
        reply.refused(403, -31403, "forbidden");
        assert_eq!(reply.json()["error"]["data"]["missing"], "files:read");
        assert_eq!(app.record_of(&reply).event, "tool.denied");
    }
    app.account("bob", &["user"], true);
    until("with the role the result is back", SOON, || {
        about("tasks/get", &done).bearer(&bob).send(&app).status == 200
    });
    assert_eq!(got(&app, &bob, &runs)["status"], "cancelled");
}

#[test]
fn what_breaks_in_a_task_stays_in_it() {
    let (_, tools) = tools();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "breaks");
    let failed = awaited(&app, &token, &id, "failed");
    assert_eq!(
        (&failed["error"]["code"], &failed["error"]["message"]),
        (&json!(-32603), &json!("internal error"))
    );
    assert!(!failed.to_string().contains("on purpose"));
    assert_eq!(app.awaited("task.ended", "failed", SOON).tool.as_deref(), Some("breaks"));
    let next = begun(&app, &token, "only_task");
    awaited(&app, &token, &next, "completed");
}

#[test]
fn tasks_go_on_when_their_actor_panics_and_others_begin_soon_again() {
    let (watched, tools) = tools();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "job");
    until("it runs", SOON, || watched.begun() == 1);
    app.fault("tasks");
    until("it is there again", SOON, || {
        app.metric("portcullis_actor_restarts_total{actor=\"tasks\"}") == 1.0
    });
    until("and ready", SOON, || app.is_ready());
    let other = begun(&app, &token, "only_task");
    awaited(&app, &token, &other, "completed");
    watched.go.notify_one();
    awaited(&app, &token, &id, "completed");
}

#[test]
fn without_the_store_no_task_begins() {
    let (watched, tools) = tools();
    let app = TestApp::with(
        |settings| settings.revocation.on_store_loss = portcullis::settings::OnStoreLoss::UnsafeAllow,
        tools,
    );
    let token = app.token("ada", "user");
    Rpc::weather().bearer(&token).send(&app).result();
    let (file, aside) = (app.dir().join("portcullis.db"), app.dir().join("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    let refused = knowing(Rpc::call("job", json!({}))).bearer(&token).send(&app);
    refused.refused(503, -31503, "store_unavailable");
    assert_eq!(watched.begun(), 0);
    std::fs::rename(&aside, &file).unwrap();
    until("tasks begin again", SOON, || {
        knowing(Rpc::call("only_task", json!({}))).bearer(&token).send(&app).status == 200
    });
}

#[test]
fn a_task_whose_credential_nobody_can_look_at_any_more_is_stopped() {
    let (watched, tools) = tools();
    let app = TestApp::with(|_| {}, tools);
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "job");
    until("it runs", SOON, || watched.begun() == 1);
    let (file, aside) = (app.dir().join("portcullis.db"), app.dir().join("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    until("the tool is stopped", SOON, || watched.dropped() == 1);
    std::fs::rename(&aside, &file).unwrap();
    until("the store is there again", SOON, || app.is_ready());
    let ended = awaited(&app, &token, &id, "cancelled");
    assert!(ended["statusMessage"].as_str().unwrap().starts_with("nobody can say any more"), "{ended}");
}

#[test]
fn under_unsafe_allow_a_lost_store_stops_no_task() {
    let (watched, tools) = tools();
    let app = TestApp::with(
        |settings| settings.revocation.on_store_loss = portcullis::settings::OnStoreLoss::UnsafeAllow,
        tools,
    );
    let token = app.token("ada", "user");
    let id = begun(&app, &token, "job");
    until("it runs", SOON, || watched.begun() == 1);
    let (file, aside) = (app.dir().join("portcullis.db"), app.dir().join("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    until("the loss is old", SOON, || app.metric("portcullis_revocation_staleness_seconds") > 1.8);
    assert_eq!(watched.dropped(), 0);
    std::fs::rename(&aside, &file).unwrap();
    watched.go.notify_one();
    awaited(&app, &token, &id, "completed");
}

#[test]
fn nothing_is_acknowledged_of_a_task_that_another_server_runs() {
    let (_, tools) = tools();
    let app = TestApp::with(|_| {}, tools);
    let (token, now) = (app.token("ada", "user"), Timestamp::now());
    let row = kept_row(sha2::Sha256::digest("theirs").into(), "asker", "there".into());
    let room = TaskRoom { of_one: 9, of_all: 9 };
    assert_eq!(block_on(app.stores().tasks.create_task(&row, room)), Ok(TaskMade::Kept));
    for rpc in [about("tasks/cancel", "theirs"), update("theirs", json!({ "one": {} }))] {
        let reply = rpc.bearer(&token).send(&app);
        reply.refused(503, -31503, "overloaded");
        assert_eq!(reply.json()["error"]["message"], "another server runs this task; try again");
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
    assert_eq!(got(&app, &token, "theirs")["status"], "working");
    let end = EndedTask { how: TaskEnd::Cancelled, at: now, message: None, body: String::new() };
    assert_eq!(block_on(app.stores().tasks.end_task(&row.digest, end)), Ok(true));
    for rpc in [about("tasks/cancel", "theirs"), update("theirs", json!({ "one": {} }))] {
        assert_eq!(rpc.bearer(&token).send(&app).result()["resultType"], "complete", "it is over");
    }
}

#[test]
fn a_stopping_server_lets_tasks_end_within_its_grace_and_says_of_the_others_that_it_stopped() {
    let (watched, tools) = tools();
    let mut app = TestApp::with(|settings| settings.server.shutdown_grace = Duration::from_secs(2), tools);
    let token = app.token("ada", "user");
    let (one, other, asks) =
        (begun(&app, &token, "job"), begun(&app, &token, "job"), begun(&app, &token, "asker"));
    awaited(&app, &token, &asks, "input_required");
    until("they run", SOON, || watched.begun() == 2);
    app.stop_begins();
    watched.go.notify_one();
    app.stop();
    let app = app.restart();
    let token = app.token("ada", "user");
    // The tool is not there any more after the restart, so the store itself is asked.
    about("tasks/get", &one).bearer(&token).send(&app).refused(200, -32602, "invalid_params");
    let mut ended: Vec<_> = [&one, &other, &asks].map(|id| kept(&app, id)).into();
    ended.sort_unstable();
    let stopped =
        "the server stopped before the task had ended; whether it has changed anything is not known";
    assert_eq!(ended, ["", stopped, stopped], "one has ended by itself");
    let records = app.records(Filter { event: Some("task.ended".into()), ..Filter::default() });
    assert_eq!(records.len(), 3);
}

/// What the store says of how a task ended.
fn kept(app: &TestApp, id: &str) -> String {
    let digest: [u8; 32] = sha2::Sha256::digest(id).into();
    let row = block_on(app.stores().tasks.find_task(&digest, Timestamp::now())).unwrap();
    row.unwrap().ended.expect("it has not ended").message.unwrap_or_default()
}

/// Run again by the test below as a process of its own: serves, and says where and for whom.
fn serve_until_killed(dir: &Path) {
    let (_, tools) = tools();
    actix::System::new().block_on(async {
        let server = app::start(&settings(dir), tools).await.unwrap();
        let minted = MintRequest {
            subject: "ada".parse().unwrap(),
            client: "tests".into(),
            roles: vec!["user".into()],
            permissions: Vec::new(),
            ttl: Duration::from_secs(600),
        };
        let token = server.tokens().mint(minted).await.unwrap().token;
        println!("\nSERVES {} {token}", server.mcp_url());
        server.run().await.unwrap();
    });
}

#[test]
fn a_task_of_a_server_that_was_killed_has_failed_after_the_next_start() {
    if let Some(dir) = std::env::var_os(KILLED_IN) {
        return serve_until_killed(Path::new(&dir));
    }
    let home = tempfile::tempdir().unwrap();
    let name = "tasks_end::a_task_of_a_server_that_was_killed_has_failed_after_the_next_start";
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(KILLED_IN, home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line =
        lines.find_map(|line| line.unwrap().strip_prefix("SERVES ").map(str::to_owned)).expect("it serves");
    let (url, token) = line.split_once(' ').unwrap();
    output::secret(token);
    let address = url.trim_start_matches("http://").trim_end_matches("/mcp").parse().unwrap();
    let mut connection = Connection::open(address);
    let mut result = |rpc: Rpc| rpc.bearer(token).on(&mut connection).result();
    let ids = ["job", "asker", "only_task"].map(|tool| {
        let task = result(knowing(Rpc::call(tool, json!({}))));
        task["taskId"].as_str().unwrap().to_owned()
    });
    for (id, status) in ids.iter().zip(["working", "input_required", "completed"]) {
        until(status, SOON, || result(about("tasks/get", id))["status"] == status);
    }
    server.kill().unwrap();
    server.wait().unwrap();

    let (watched, tools) = tools();
    let app = TestApp::at(home, tools);
    let token = app.token("ada", "user");
    for id in &ids[..2] {
        let failed = got(&app, &token, id);
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!(-31503)),
            "{failed}"
        );
        assert!(failed["statusMessage"].as_str().unwrap().contains("was not resumed"));
    }
    assert_eq!(got(&app, &token, &ids[2])["result"]["content"][0]["text"], "x".repeat(2_000));
    assert_eq!(watched.begun(), 0, "nothing is run again");
    let records = app.records(Filter { event: Some("task.ended".into()), ..Filter::default() });
    let mut told: Vec<_> = records.iter().map(|record| serde_json::to_value(record).unwrap()).collect();
    told.retain(|record| record["outcome"] == "failed");
    for (id, tool) in ids.iter().zip(["job", "asker"]) {
        let short = portcullis::actors::tasks::recorded_as(id);
        let of_it: Vec<_> = told.iter().filter(|record| record["detail"]["task"] == *short).collect();
        let [record] = of_it[..] else { panic!("{tool}: {told:?}") };
        assert_eq!((&record["tool"], &record["principal"]["id"]), (&json!(tool), &json!("ada")), "{record}");
    }
    assert_eq!(told.len(), 2, "{told:?}");
}
