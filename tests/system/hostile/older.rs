//! The same in the older revisions: alone, and several in one body.

use super::{Fair, Hostile};

/// The revision that has batches, and the newest one with a handshake.
const OLDEST: &str = "2025-03-26";
const NEWEST: &str = "2025-11-25";

fn request(credential: &str, revision: &str, body: &str) -> Vec<u8> {
    let version =
        if revision.is_empty() { String::new() } else { format!("mcp-protocol-version: {revision}\r\n") };
    format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{version}{credential}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn message(method: &str, params: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}")
}

fn call(arguments: &str) -> String {
    message("tools/call", &format!("{{\"name\":\"get_weather\",\"arguments\":{arguments}}}"))
}

/// A good call with so much in its `_meta`.
fn good_call(room: usize) -> String {
    let trail = super::trail(room);
    let params = format!(
        "{{\"name\":\"get_weather\",\"arguments\":{{\"city\":\"Oslo\"}},\"_meta\":{{\"example.com/trail\":{trail}}}}}"
    );
    message("tools/call", &params)
}

/// A good call of an older revision, of about that size.
pub(super) fn good(token: &str, size: usize) -> Vec<u8> {
    let credential = super::bearer(token);
    let with = |room| request(&credential, NEWEST, &good_call(room));
    with(size.saturating_sub(with(0).len()))
}

/// A batch of so many good calls, of about that size: the last of them is the long one.
pub(super) fn good_batch(token: &str, size: usize, count: usize) -> Vec<u8> {
    let credential = super::bearer(token);
    let with = |room| {
        let calls = format!("{},", good_call(0)).repeat(count - 1);
        request(&credential, OLDEST, &format!("[{calls}{}]", good_call(room)))
    };
    with(size.saturating_sub(with(0).len()))
}

/// Every kind of them.
pub(super) fn inputs(credential: &str) -> Vec<Hostile> {
    let mut all = singles(credential);
    all.extend(batches(credential));
    all
}

fn singles(credential: &str) -> Vec<Hostile> {
    let one = |name: &'static str, status: u16, (revision, body): (&str, String)| {
        let bytes = request(credential, revision, &body);
        Hostile { fair: Fair::Older, ..super::hostile(name, status, move |_| bytes.clone()) }
    };
    let quotes = "\\\"".repeat(100_000);
    let hello = |version: &str, client: &str| {
        message(
            "initialize",
            &format!("{{\"protocolVersion\":{version},\"capabilities\":{{}},\"clientInfo\":{client}}}"),
        )
    };
    vec![
        one("older: a text of 100 000 quotes", 200, (NEWEST, call(&format!("{{\"city\":\"{quotes}\"}}")))),
        one("oldest: a text of 100 000 quotes", 200, (OLDEST, call(&format!("{{\"city\":\"{quotes}\"}}")))),
        one("older: 4 000 unknown arguments", 200, (NEWEST, call(&super::members(4_000, "city2")))),
        one("oldest: 4 000 unknown arguments", 200, (OLDEST, call(&super::members(4_000, "city2")))),
        one(
            "older: a member doubled among 4 000",
            200,
            (NEWEST, call(&super::members(4_000, "member00000"))),
        ),
        one("older: 9 000 values", 200, (NEWEST, call(&format!("{{\"city\":[{}0]}}", "0,".repeat(9_000))))),
        one("a method of 100 000 quotes", 200, (NEWEST, message(&quotes, "{}"))),
        one(
            "a tool of 100 000 quotes",
            200,
            (NEWEST, message("tools/call", &format!("{{\"name\":\"{quotes}\"}}"))),
        ),
        one(
            "params with a name of 100 000 quotes",
            200,
            (NEWEST, message("ping", &format!("{{\"{quotes}\":1}}"))),
        ),
        one(
            "a log level of 20 000 surrogate pairs",
            200,
            (
                NEWEST,
                message(
                    "ping",
                    &format!(
                        "{{\"_meta\":{{\"io.modelcontextprotocol/logLevel\":\"{}\"}}}}",
                        "\\ud83d\\ude00".repeat(20_000)
                    ),
                ),
            ),
        ),
        one("a handshake of 100 000 quotes", 200, ("", hello(&format!("\"{quotes}\""), "{}"))),
        one(
            "a handshake of a client with 4 000 names",
            200,
            ("", hello("\"2025-11-25\"", &super::members(4_000, "name"))),
        ),
        one("a revision of 8 000 bytes", 400, (&"2025-".repeat(1_600), call("{}"))),
        one("older: an unknown method of 8 000 bytes", 200, (NEWEST, message(&"x/".repeat(4_000), "{}"))),
    ]
}

fn batches(credential: &str) -> Vec<Hostile> {
    let refused = |name: &'static str, status: u16, body: String| {
        let bytes = request(credential, OLDEST, &body);
        Hostile { fair: Fair::Older, ..super::hostile(name, status, move |_| bytes.clone()) }
    };
    let run = |name: &'static str, messages: Vec<String>| {
        let fair = Fair::Batch(messages.len());
        Hostile { fair, ..refused(name, 200, format!("[{}]", messages.join(","))) }
    };
    let ping = || message("ping", "{}");
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}}"#;
    vec![
        refused("a batch of 9 000 numbers", 400, format!("[{}0]", "0,".repeat(9_000))),
        refused("a batch of 9 000 messages", 400, format!("[{}]", vec!["{}"; 9_000].join(","))),
        refused("a batch of 4 MB without an end", 400, format!("[{}", format!("{},", ping()).repeat(70_000))),
        refused("a batch with a modern one at its end", 400, format!("[{},{modern}]", good_call(200_000))),
        refused("a batch nested 100 000 deep", 400, "[".repeat(100_000)),
        run("a batch of 50 unknown tools", vec![message("tools/call", r#"{"name":"nobody"}"#); 50]),
        run("a batch of 50 unknown methods", vec![message("nobody/knows", "{}"); 50]),
        run("a batch of 50 handshakes", vec![message("initialize", "{}"); 50]),
        run(
            "a batch of 50 texts of 4 000 quotes",
            vec![call(&format!("{{\"city\":\"{}\"}}", "\\\"".repeat(4_000))); 50],
        ),
        run(
            "a batch of 50 texts of 2 000 surrogate pairs",
            vec![call(&format!("{{\"city\":\"{}\"}}", "\\ud83d\\ude00".repeat(2_000))); 50],
        ),
        run("a batch of 50 with 80 unknown arguments", vec![call(&super::members(80, "city2")); 50]),
        run("a batch of 50 with a doubled member", vec![call(&super::members(80, "member00000")); 50]),
        run(
            "a batch of 50 with 180 values",
            vec![call(&format!("{{\"city\":[{}0]}}", "0,".repeat(180))); 50],
        ),
        run("a batch of one ping and 49 that are no messages", [vec![ping()], vec!["7".into(); 49]].concat()),
        run(
            "a batch of one ping and 49 texts of 4 000 quotes",
            [vec![ping()], vec![format!("\"{}\"", "\\\"".repeat(4_000)); 49]].concat(),
        ),
    ]
}
