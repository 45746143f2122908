//! Rows M on streams and on calls that ask: states that are bent, streams without end, readers that do not read.

use std::time::{Duration, Instant};

use portcullis::{
    domain::Change,
    tools::{Call, Content, Hints, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, without_limits},
    events::{Events, listen},
    rpc::{META_CAPABILITIES, Rpc},
    tools::Nothing,
};

fn tools() -> Value {
    json!({ "toolsListChanged": true })
}

fn opened(app: &TestApp, token: &str) -> Events {
    let mut events = Events::open(app, &listen(json!(1), &tools()).bearer(token));
    events.told("notifications/subscriptions/acknowledged");
    events
}

#[test]
fn m15_a_state_is_worth_nothing_to_anybody_else_for_anything_else_or_again() {
    let app = TestApp::start();
    std::fs::write(app.dir().join("files/a.txt"), "old").unwrap();
    std::fs::write(app.dir().join("files/b.txt"), "old").unwrap();
    let call = |user: &str, path: &str| {
        let rpc = Rpc::call("delete_file", json!({ "path": path })).bearer(&app.token(user, "admin"));
        rpc.meta(|meta| meta[META_CAPABILITIES] = json!({ "elicitation": {} }))
    };
    let asked = call("root", "a.txt").send(&app).result();
    let state = asked["requestState"].as_str().unwrap().to_owned();
    let with = |rpc: Rpc, state: &str| {
        rpc.edit(|body| {
            body["params"]["requestState"] = json!(state);
            body["params"]["inputResponses"] =
                json!({ "confirm": { "action": "accept", "content": { "confirmed": true } } });
        })
    };
    let mut flipped = state.clone().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for bent in [
        with(call("root", "a.txt"), &flipped),
        with(call("eve", "a.txt"), &state),
        with(call("root", "b.txt"), &state),
        with(call("root", "a.txt"), &app.token("root", "admin")),
    ] {
        let refused = bent.send(&app);
        refused.refused(200, -32602, "invalid_params");
        assert!(!refused.text().contains(&state));
    }
    with(call("root", "a.txt"), &state).send(&app).result();
    std::fs::write(app.dir().join("files/a.txt"), "another").unwrap();
    with(call("root", "a.txt"), &state).send(&app).refused(200, -32602, "invalid_params");
    assert!(app.dir().join("files/a.txt").exists() && app.dir().join("files/b.txt").exists());
    // A state is no credential either.
    Rpc::weather().bearer(&state).send(&app).refused(401, -31401, "invalid_token");
}

#[test]
fn m17_one_that_opens_streams_without_end_has_its_share_and_no_more() {
    let app = TestApp::start_with(without_limits);
    let (token, other) = (app.token("eve", "user"), app.token("ada", "user"));
    let mut bystander = opened(&app, &other);
    let mut own: Vec<_> = (0..16).map(|_| opened(&app, &token)).collect();
    let mut connection = app.connect();
    for _ in 0..1_000 {
        listen(json!(1), &tools()).bearer(&token).on(&mut connection).refused(429, -31429, "rate_limited");
    }
    assert_eq!(app.metric("portcullis_streams_open"), 17.0);
    app.changes.tell(Change::Tools);
    own.iter_mut().chain([&mut bystander]).for_each(|events| {
        events.told("notifications/tools/list_changed");
    });
    opened(&app, &other);
}

#[test]
fn m18_whoever_never_reads_keeps_nothing_and_holds_nobody_up() {
    let mut app = TestApp::start_with(without_limits);
    let token = app.token("eve", "user");
    let mut deaf: Vec<_> = (0..8).map(|_| opened(&app, &token)).collect();
    let mut reads = opened(&app, &app.token("ada", "user"));
    for _ in 0..1_000_000 {
        app.changes.tell(Change::Tools);
    }
    let told = Instant::now();
    reads.told("notifications/tools/list_changed");
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    // Of a million changes each has a few, whenever it reads them.
    app.stop_begins();
    for events in &mut deaf {
        let count = events.rest().len();
        assert!(count <= 240, "{count} messages");
    }
}

/// Shows what would be an event of its own if an event were more than one line.
struct Forges;

impl Tool for Forges {
    const SPEC: Spec = Spec {
        name: "forges",
        title: "Forges",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(5),
    };
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        let forged = "\n\ndata: {\"fake\":1}\n\nevent: x\r\r\n\u{2028}data: y";
        call.progress(1.0, None, Some(forged));
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Shown(vec![Content::Text(forged.into())]))
    }
}

#[test]
fn m19_what_a_tool_shows_is_no_event_of_its_own() {
    let app = TestApp::with(|_| {}, vec![Box::new(Forges)]);
    let rpc = Rpc::call("forges", json!({})).bearer(&app.token("ada", "user"));
    let token = "t\"\n\ndata: {\"fake\":2}\n\n";
    let mut events = Events::open(&app, &rpc.meta(|meta| meta["progressToken"] = json!(token)));
    let told = events.told("notifications/progress");
    assert_eq!(told["progressToken"], token);
    assert!(told["message"].as_str().unwrap().contains("fake"));
    assert!(events.result()["content"][0]["text"].as_str().unwrap().contains("fake"));
}
