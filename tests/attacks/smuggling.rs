//! Rows H1, H2, H17, H18: bytes that two readers might take for different requests.

use super::support::{app::TestApp, http::Connection, rpc::Rpc};

/// A whole second request, to be hidden in the body of the first.
const SMUGGLED: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Sends bytes, reads to the end; gives every status that was answered. The server must close.
fn statuses(app: &TestApp, bytes: impl AsRef<[u8]>) -> Vec<u16> {
    let mut connection = app.connect();
    connection.try_send(bytes);
    let mut statuses = Vec::new();
    while let Some(reply) = connection.try_reply() {
        statuses.push(reply.status);
    }
    statuses
}

/// A call with its own framing headers; behind the head comes `body` as it stands.
fn framed(app: &TestApp, version: &str, framing: &str, body: &str) -> Vec<u8> {
    let mut bytes = Rpc::weather().bearer(&app.token("ada", "user")).head();
    bytes.extend_from_slice(framing.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    let text = String::from_utf8(bytes).unwrap();
    text.replacen("HTTP/1.1", version, 1).into_bytes()
}

#[test]
fn h1_a_body_of_two_lengths_is_refused_and_nothing_behind_it_served() {
    let app = TestApp::start();
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    for (framing, body) in [
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n", &*chunked),
        ("transfer-encoding: chunked\r\ncontent-length: 5\r\n", &chunked),
        ("content-length: 5\r\ncontent-length: 6\r\n", SMUGGLED),
        ("content-length: 5\r\ncontent-length: 5\r\n", SMUGGLED),
        ("content-length: 5, 5\r\n", SMUGGLED),
        ("content-length: +5\r\n", SMUGGLED),
        ("content-length: -5\r\n", SMUGGLED),
        ("content-length: 0x5\r\n", SMUGGLED),
        ("content-length: \r\n", SMUGGLED),
        ("transfer-encoding: xchunked\r\n", &chunked),
        ("transfer-encoding: chunked, identity\r\n", &chunked),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", &chunked),
        ("transfer-encoding : chunked\r\n", &chunked),
        ("x: y\r\n transfer-encoding: chunked\r\n", &chunked),
    ] {
        assert_eq!(statuses(&app, framed(&app, "HTTP/1.1", framing, body)), [400], "{framing:?}");
    }
    let old = framed(&app, "HTTP/1.0", "content-length: 5\r\ntransfer-encoding: chunked\r\n", &chunked);
    assert_eq!(statuses(&app, old), [400]);
}

#[test]
fn h2_a_broken_chunk_ends_the_connection() {
    let app = TestApp::start();
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "\r\nhello\r\n".to_owned(),
        "10000000000000000\r\nhello\r\n".to_owned(),
        "-1\r\nhello\r\n".to_owned(),
        "5\r\nhelloX\r\n0\r\n\r\n".to_owned(),
        "5 5\r\nhello\r\n0\r\n\r\n".to_owned(),
        format!("5;ext={}", "x".repeat(200_000)),
    ] {
        let shown = body.chars().take(20).collect::<String>();
        let bytes = framed(&app, "HTTP/1.1", "transfer-encoding: chunked\r\n", &format!("{body}{SMUGGLED}"));
        let statuses = statuses(&app, bytes);
        assert!(matches!(statuses[..], [] | [400 | 413]), "{shown:?}: {statuses:?}");
    }
    // A long extension that ends is passed over unread: what follows the body is a request of its own.
    let extended = format!("5;ext={}\r\nhello\r\n0\r\n\r\n{SMUGGLED}", "x".repeat(60_000));
    let mut connection = app.connect();
    connection.send(framed(&app, "HTTP/1.1", "transfer-encoding: chunked\r\n", &extended));
    connection.reply().refused(400, -32700, "parse_error");
    assert_eq!(connection.reply().json(), serde_json::json!({ "status": "ok" }));
}

#[test]
fn h17_who_asks_whether_to_send_too_much_is_refused_and_left() {
    let app = TestApp::start();
    let rpc = Rpc::weather().bearer(&app.token("ada", "user")).header("expect", "100-continue");
    let mut connection = app.connect();
    let mut head = rpc.head();
    head.extend_from_slice(b"content-length: 1073741824\r\n\r\n");
    connection.send(head);
    connection.reply().refused(413, -32600, "body_too_large");
    assert!(connection.is_closed());
    // And who asks for what is allowed is served.
    let mut connection = app.connect();
    let mut head = rpc.head();
    head.extend_from_slice(format!("content-length: {}\r\n\r\n", rpc.body().len()).as_bytes());
    connection.send(head);
    connection.send(rpc.body());
    connection.reply().result();
}

#[test]
fn h18_other_languages_are_not_spoken() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for verb in ["PUT", "PATCH", "TRACE", "HEAD", "PROPFIND"] {
        let reply = Rpc::weather().bearer(&token).verb(verb).bytes();
        let mut connection = app.connect();
        connection.send(reply);
        let mut head = Vec::new();
        // A HEAD has a length and no body, which a plain reader would wait for.
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            head.extend(connection.some().expect("an answer"));
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 405 "), "{verb}: {head}");
        assert!(head.contains("allow: POST"), "{verb}: {head}");
    }
    let get = "\r\nhost: localhost\r\n\r\n";
    for bytes in [
        format!("{} /mcp HTTP/1.1{get}", "M".repeat(10_000)).into_bytes(),
        format!("POST * HTTP/1.1{get}").into_bytes(),
        format!("CONNECT evil.example:443 HTTP/1.1{get}").into_bytes(),
        format!("GET /mcp HTTP/9.9{get}").into_bytes(),
        b"GET /mcp\r\n\r\n".to_vec(),
        format!("GET /mcp  HTTP/1.1{get}").into_bytes(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nx\x00y: 1\r\n\r\n".to_vec(),
    ] {
        let shown: String = bytes.escape_ascii().to_string().chars().take(40).collect();
        let mut connection = app.connect();
        connection.try_send(&bytes);
        connection.half_close();
        let answered = Connection::rest(connection);
        let status = answered.get(9..12).map(|digits| String::from_utf8_lossy(digits).into_owned());
        let fair = ["400", "403", "404", "405", "431", "505"];
        assert!(status.as_deref().is_none_or(|status| fair.contains(&status)), "{shown}: {status:?}");
    }
    assert!(app.is_ready());
}
