//! Attacks over pipes: whatever a local client writes, or does not read.

use std::{
    io::{Read, Write},
    os::fd::AsFd,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    lines::{Lines, command, modern, unread, verifies},
    pause, until,
};

const READS: [&str; 2] = ["weather:read", "files:read"];

fn reason(answer: &Value) -> &str {
    answer["error"]["data"]["reason"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn m7_no_line_however_hostile_is_more_than_one_refusal() {
    let app = TestApp::start_roomy();
    let (key, _) = app.key("desk", &READS);
    let mut command = command(&app, Some(&key));
    command.args(["--profile", "loadtest"]).env("PORTCULLIS__SERVER__MAX_BODY", "64KiB");
    let mut client = Lines::of(&mut command);
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let deep_params = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{"x":{deep}}}}}"#);
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}"#;
    let args_twice = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"Oslo","city":"Rome"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let long = vec![b'x'; 200 * 1024];
    let just_too_long = format!(r#"{{"jsonrpc":"2.0","id":9,"method":"{}"}}"#, "x".repeat(64 * 1024 - 35));
    assert_eq!(just_too_long.len(), 64 * 1024 + 1);
    let cases: [(&[u8], &str, Option<i64>); 12] = [
        (b"nope", "parse_error", None),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1", "parse_error", None),
        (b"\xff\xfe\x00", "parse_error", None),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc0\xaf\"}", "parse_error", None),
        (b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", "parse_error", None),
        (deep.as_bytes(), "parse_error", None),
        (deep_params.as_bytes(), "parse_error", None),
        (twice.as_bytes(), "invalid_request", None),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", "invalid_request", None),
        (args_twice.as_bytes(), "invalid_request", Some(2)),
        (&long, "body_too_large", None),
        (just_too_long.as_bytes(), "body_too_large", None),
    ];
    for (line, expected, id) in cases {
        let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
        client.write(line);
        client.write(b"\n");
        let refused = client.next();
        assert_eq!((reason(&refused), refused["id"].as_i64()), (expected, id), "{shown}: {refused}");
        assert!(refused.get("id") != Some(&Value::Null), "an id that is null: {refused}");
    }
    // What is answered in no case: responses, notifications, blank lines.
    client.write(
        b"\n\r\n  \n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n",
    );
    assert_eq!(client.modern("last", "tools/list", json!({}))["id"], "last");
    assert_eq!(client.end(), Vec::<Value>::new());
}

#[test]
fn m19_nothing_that_is_answered_breaks_a_line() {
    let app = TestApp::start();
    std::fs::create_dir_all(app.dir().join("files")).unwrap();
    let hostile = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\r\n\u{2028}\u{85}\x0b{\"id\":2}";
    std::fs::write(app.dir().join("files/a.txt"), hostile).unwrap();
    let (key, _) = app.key("desk", &READS);
    let mut client = Lines::beside(&app, &key);
    // White space between values of the client's own, which is repeated nowhere as it came.
    let mut request =
        modern(1, "tools/call", json!({ "name": "read_file", "arguments": { "path": "a.txt" } }));
    let read = client.ask(&request);
    assert_eq!(read["result"]["structuredContent"]["content"], json!(hostile));
    request["method"] = json!("tools/call\n{}");
    assert_eq!(reason(&client.ask(&request)), "unknown_method");
    request["method"] = json!("tools/call");
    request["params"]["name"] = json!("a\n{\"jsonrpc\":\"2.0\"}");
    request["id"] = json!("\n\r\n");
    let refused = client.ask(&request);
    assert_eq!((reason(&refused), &refused["id"]), ("unknown_tool", &json!("\n\r\n")));
    assert_eq!(client.end(), Vec::<Value>::new(), "each answer was one line");
}

#[test]
fn m18_whoever_never_reads_is_not_read_and_costs_little() {
    let app = TestApp::start_roomy();
    let (key, _) = app.key("desk", &READS);
    let mut command = command(&app, Some(&key));
    command.args(["--profile", "loadtest"]).env("PORTCULLIS__SERVER__SHUTDOWN_GRACE", "1s");
    let mut child = command.spawn().unwrap();
    let mut output = unread(&mut child);
    let mut input = child.stdin.take().unwrap();
    rustix::fs::fcntl_setfl(input.as_fd(), rustix::fs::OFlags::NONBLOCK).unwrap();
    let line = format!("{}\n", modern(1, "tools/list", json!({}))).replace("\"id\":1", "\"id\":%");
    let (mut sent, mut stalled, mut written) = (0_usize, 0, 0_usize);
    let mut waiting: Vec<u8> = Vec::new();
    // Until nothing is taken for a second.
    while stalled < 250 {
        if waiting.is_empty() {
            sent += 1;
            waiting = line.replace('%', &sent.to_string()).into_bytes();
        }
        match input.write(&waiting) {
            Ok(bytes) => {
                waiting.drain(..bytes);
                written += bytes;
                stalled = 0;
            }
            Err(_full) => {
                stalled += 1;
                pause(Duration::from_millis(4));
            }
        }
        assert!(written < 8 * 1024 * 1024, "it reads on for one who does not read");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: usize = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 256 * 1024, "{kib} KiB");
    // It is no prisoner of who does not read: the first signal stops it, within its grace.
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    until("its end", Duration::from_secs(30), || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // What had been written until then are whole lines but for the last one.
    let mut said = Vec::new();
    output.read_to_end(&mut said).unwrap();
    let said = String::from_utf8(said).unwrap();
    let lines: Vec<_> = said.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
    assert!(!lines.is_empty());
    for line in lines {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert!(answer.get("result").is_some() || answer.get("error").is_some(), "{answer}");
    }
    verifies(&app);
}

#[test]
fn a9_killed_in_the_midst_of_calls_it_leaves_a_log_that_verifies_and_the_next_goes_on() {
    let app = TestApp::start_roomy();
    let (key, _) = app.key("desk", &READS);
    let mut client = Lines::beside(&app, &key);
    let weather =
        |id: i64| modern(id, "tools/call", json!({ "name": "get_weather", "arguments": { "city": "Oslo" } }));
    for id in 0..20 {
        client.send(&weather(id));
    }
    assert!(client.next().get("result").is_some());
    let pid = Pid::from_raw(client.pid().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let (answered, _) = client.rest();
    verifies(&app);
    // Every answer that left had its record on disk before.
    let filter = portcullis::actors::audit::Filter { tool: Some("get_weather".into()), ..Default::default() };
    until("the records", SOON, || app.records(filter.clone()).len() > answered.len());
    let mut next = Lines::beside(&app, &key);
    assert!(next.ask(&weather(0)).get("result").is_some());
    next.end();
    verifies(&app);
}

#[test]
fn k11_a_key_that_is_bound_to_networks_opens_nothing_where_there_are_none() {
    let app = TestApp::start();
    let mut request = super::support::keys::request("desk", &READS);
    request.cidrs = vec!["127.0.0.0/8".parse().unwrap()];
    let (key, _) = super::support::keys::made(&app.stores(), request, portcullis::domain::Timestamp::now());
    let done = command(&app, Some(&key)).output().unwrap();
    assert_eq!((done.status.code(), &*done.stdout), (Some(1), &b""[..]));
}
