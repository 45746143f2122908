//! Rows A: nobody writes into the log but us, nothing happens without it, nothing is changed in it unseen.

use std::fs;

use portcullis::{
    actors::audit::{self, Filter},
    domain::Timestamp,
};
use serde_json::json;

use super::support::{SOON, app::TestApp, rpc::Rpc, until};

/// Every line of the log as it lies on the disk.
fn lines(app: &TestApp) -> Vec<String> {
    let mut lines = Vec::new();
    for slot in fs::read_dir(app.dir().join("audit")).unwrap().flatten() {
        for file in fs::read_dir(slot.path()).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|kind| kind == "jsonl") {
                // By line feeds alone: what else a terminal takes for a new line must not be there.
                let bytes = fs::read(file.path()).unwrap();
                lines.extend(
                    bytes.split(|b| *b == b'\n').map(|line| String::from_utf8(line.to_vec()).unwrap()),
                );
            }
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// The one file of a small log.
fn segment(app: &TestApp) -> std::path::PathBuf {
    let files = fs::read_dir(app.dir().join("audit/00")).or_else(|_| fs::read_dir(app.dir().join("audit/0")));
    let mut files: Vec<_> = files.unwrap().flatten().map(|file| file.path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "jsonl"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// A stopped server with some calls on record.
fn stopped() -> TestApp {
    let mut app = TestApp::start();
    let token = app.token("ada", "user");
    (0..20).for_each(|_| drop(Rpc::weather().bearer(&token).send(&app).result()));
    app.stop();
    assert!(audit::verify(app.dir(), None).unwrap().ok());
    app
}

#[test]
fn a1_nobody_writes_a_line_of_the_log_by_a_name() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let forged = "\n{\"event\":\"fake.event\"}\r\u{2028}\u{1b}[2J\u{202e}\u{0}\u{85}";
    let before = lines(&app).len();
    let called = Rpc::call(forged, json!({})).bearer(&token).without("mcp-name");
    let sentinel = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, forged);
    let reply = called
        .header("mcp-name", format!("=?base64?{sentinel}?="))
        .header("user-agent", "agent \u{202e}\u{2028}{\"event\":\"fake.event\"}")
        .send(&app);
    reply.refused(200, -32602, "unknown_tool");
    let record = app.record_of(&reply);
    assert!(forged.starts_with(record.tool.as_deref().unwrap()));
    let method =
        Rpc::new("x\n{\"event\":\"fake.event\"}", json!({})).bearer(&token).without("mcp-method").send(&app);
    method.refused(400, -32020, "header_mismatch");
    app.record_of(&method);
    let lines = lines(&app);
    // The sight of the token, and one line for each request.
    assert_eq!(lines.len(), before + 3);
    for line in &lines {
        assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')), "{line:?}");
        let event = serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].clone();
        assert_ne!(event, "fake.event");
    }
}

#[test]
fn a3_large_arguments_make_a_small_record() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let large = json!({ "city": "x".repeat(3 << 20) });
    let first = Rpc::call("get_weather", large.clone()).bearer(&token).send(&app);
    let again =
        Rpc::call("get_weather", large).bearer(&token).header("user-agent", "u".repeat(9_000)).send(&app);
    let (first, again) = (app.record_of(&first), app.record_of(&again));
    assert_eq!(first.arguments_digest, again.arguments_digest, "the digest is of all of it");
    assert_eq!(again.user_agent.unwrap().len(), 256);
    assert!(lines(&app).iter().all(|line| line.len() < 16 * 1024 && !line.contains("xxxxxxxx")));
}

#[test]
fn a4_every_kind_of_change_is_found() {
    for (what, change) in [
        (
            "a byte",
            (|all: &mut Vec<String>| all[9] = all[9].replacen("ada", "bob", 1)) as fn(&mut Vec<String>),
        ),
        ("a line less", |all| drop(all.remove(9))),
        ("two lines changed over", |all| all.swap(9, 10)),
        ("a line more", |all| all.insert(9, all[8].clone())),
        ("a shorter log", |all| all.truncate(12)),
    ] {
        let app = stopped();
        let place = segment(&app);
        let mut all: Vec<String> = fs::read_to_string(&place).unwrap().lines().map(str::to_owned).collect();
        change(&mut all);
        fs::write(&place, all.join("\n") + "\n").unwrap();
        let report = audit::verify(app.dir(), None).unwrap();
        assert!(!report.ok(), "{what} is not found");
        // Of a log that was cut, what is named is the end that it should have.
        let cut = report.problems[0].what.contains("tail was cut") && what == "a shorter log";
        let named = report.problems[0].seq.unwrap_or_default();
        assert!(cut || (8..=12).contains(&named), "{what}: {:?}", report.problems);
    }
}

#[test]
fn a6_where_nothing_can_be_recorded_nothing_happens() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    Rpc::weather().bearer(&token).send(&app).result();
    let (log, aside) = (app.dir().join("audit"), app.dir().join("aside"));
    fs::rename(&log, &aside).unwrap();
    // A file where the folder was: nothing can be made anew either.
    fs::write(&log, "").unwrap();
    let mut served = 0;
    until("calls are refused", SOON, || {
        let reply = Rpc::weather().bearer(&token).send(&app);
        served += u32::from(reply.status == 200);
        reply.status == 503
    });
    assert_eq!(served, 0, "answered without a record");
    for rpc in [
        Rpc::weather().bearer(&token),
        Rpc::list().bearer(&token),
        Rpc::weather(),
        Rpc::weather().bearer("x"),
    ] {
        let reply = rpc.send(&app);
        reply.refused(503, -31503, "audit_unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    let ready = app.get("/health/ready");
    assert_eq!((ready.status, &ready.json()["checks"]["audit"]), (503, &json!(false)));
    fs::remove_file(&log).unwrap();
    fs::rename(&aside, &log).unwrap();
    until("calls are served again", SOON, || Rpc::weather().bearer(&token).send(&app).status == 200);
    until("all is well", SOON, || app.is_ready());
    assert!(audit::verify(app.dir(), None).unwrap().ok());
}

#[test]
fn a11_a_hostile_search_finds_nothing_and_breaks_nothing() {
    let app = stopped();
    let now = Timestamp::now();
    let find = |filter: Filter| app.records(filter).len();
    let all = find(Filter::default());
    for text in ["' OR 1=1--", "%", "*", "(a+)+$", "ada\0", ""] {
        assert_eq!(find(Filter { user: Some(text.into()), ..Filter::default() }), 0, "{text:?}");
        assert_eq!(find(Filter { tool: Some(text.into()), ..Filter::default() }), 0, "{text:?}");
        assert_eq!(find(Filter { request_id: Some(text.into()), ..Filter::default() }), 0, "{text:?}");
    }
    assert_eq!(find(Filter { limit: Some(usize::MAX), ..Filter::default() }), all);
    assert_eq!(find(Filter { limit: Some(0), ..Filter::default() }), 0);
    let upside_down = Filter { since: Some(now), until: Some(Timestamp::from_secs(0)), ..Filter::default() };
    assert_eq!(find(upside_down), 0);
    let all_of_time = Filter {
        since: Some(Timestamp::from_secs(0)),
        until: Some(Timestamp::from_micros(u64::MAX)),
        ..Filter::default()
    };
    assert!(find(all_of_time) <= all);
}
