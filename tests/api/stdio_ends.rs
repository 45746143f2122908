//! How serving a local client ends: with its input, with a signal, and with what still runs.

use std::time::Duration;

use portcullis::{actors::audit::Filter, app::Additions};
use serde_json::{Value, json};

use super::{
    stdio::{READS, weather},
    support::{
        SOON,
        app::TestApp,
        lines::{Lines, command, modern, verifies},
        tasks, until,
    },
};

#[test]
fn the_end_of_the_input_lets_all_that_was_asked_be_answered() {
    let app = TestApp::start_roomy();
    let (key, _) = app.key("desk", &READS);
    let mut command = command(&app, Some(&key));
    command.args(["--profile", "loadtest"]);
    let mut client = Lines::of(&mut command);
    let all: String = (0..200).map(|id| format!("{}\n", weather(id))).collect();
    client.write(all.as_bytes());
    // The last one has no line end.
    client.write(weather(200).to_string().as_bytes());
    let mut ids: Vec<_> = client.end().iter().map(|answer| answer["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..=200).collect::<Vec<_>>());
    verifies(&app);
}

#[test]
fn a_signal_stops_it_in_order() {
    let app = TestApp::start();
    let (key, _) = app.key("desk", &READS);
    let mut client = Lines::beside(&app, &key);
    assert!(client.ask(&weather(1)).get("result").is_some());
    client.send(&modern(
        "s",
        "subscriptions/listen",
        json!({ "notifications": { "toolsListChanged": true } }),
    ));
    assert_eq!(client.next()["method"], "notifications/subscriptions/acknowledged");
    let pid = rustix::process::Pid::from_raw(client.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (said, status) = client.rest();
    assert_eq!(status.unwrap().code(), Some(0));
    assert_eq!(
        (said.len(), &said[0]["id"], &said[0]["result"]["resultType"]),
        (1, &json!("s"), &json!("complete"))
    );
    let stopped = app.records(Filter { event: Some("server.stopped".into()), ..Filter::default() });
    assert_eq!(stopped.len(), 1);
    verifies(&app);
}

#[test]
fn the_end_of_the_input_lets_tasks_end_within_the_grace() {
    let app = TestApp::with(|settings| settings.server.shutdown_grace = Duration::from_secs(5), Vec::new());
    let (key, _) = app.key("desk", &READS);
    let (watched, tools) = tasks::tools();
    let mut client = Lines::within(&app, &key, Additions { tools, ..Additions::default() });
    let capabilities = json!({ "elicitation": {}, "extensions": { tasks::EXTENSION: {} } });
    for tool in ["job", "asker"] {
        let meta = json!({ "io.modelcontextprotocol/clientCapabilities": capabilities });
        let begun =
            client.modern(tool, "tools/call", json!({ "name": tool, "arguments": {}, "_meta": meta }));
        assert_eq!(begun["result"]["resultType"], "task", "{begun}");
    }
    until("it runs", SOON, || watched.begun() == 1);
    client.hang_up();
    // Nobody can answer any more what it asks; once it has ended for that, the end has begun.
    assert_eq!(app.awaited("task.ended", "failed", SOON).tool.as_deref(), Some("asker"));
    client.is_silent(Duration::from_millis(300));
    assert_eq!(watched.dropped(), 0, "it may still end by itself");
    watched.go.notify_one();
    assert_eq!(client.rest().0, Vec::<Value>::new());
    assert_eq!(app.awaited("task.ended", "ok", SOON).tool.as_deref(), Some("job"));
    verifies(&app);
}
