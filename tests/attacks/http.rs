//! Rows H: requests that are HTTP, and still no good.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{app::TestApp, http::Reply, pause, rpc::Rpc};

/// Slowest answer to a body that is built to be expensive; the figure of the table is for release builds.
const QUICK: Duration = Duration::from_secs(1);

/// A good call for a server.
fn good(app: &TestApp) -> Rpc {
    Rpc::weather().bearer(&app.token("ada", "user"))
}

/// Sends it and holds that the answer came quickly.
fn quickly(app: &TestApp, rpc: &Rpc) -> Reply {
    let started = Instant::now();
    let reply = rpc.send(app);
    assert!(started.elapsed() < QUICK, "{:?}", started.elapsed());
    reply
}

#[test]
fn h3_a_foreign_host_is_refused_wherever_it_stands() {
    let app = TestApp::start();
    let rpc = good(&app);
    for host in [
        "evil.com",
        "localhost.evil.com",
        "evil.com:80",
        "127.0.0.1.evil.com",
        "localhost@evil.com",
        "[::2]",
        "",
    ] {
        rpc.clone().replace("host", host).send(&app).refused(403, -31403, "host_forbidden");
    }
    // Two of them and none are refused by the parser already.
    for rpc in [rpc.clone().header("host", "localhost"), rpc.clone().without("host")] {
        let reply = rpc.send(&app);
        assert_eq!((reply.status, reply.body.len()), (400, 0));
    }
    for target in ["http://evil.com/mcp", "http://localhost.evil.com/mcp", "http://user@evil.com/mcp"] {
        rpc.clone().target(target).send(&app).refused(403, -31403, "host_forbidden");
    }
    let port = app.main.port();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", &format!("localhost:{port}"), "localhost:1"]
    {
        rpc.clone().replace("host", host).send(&app).result();
    }
    let reply = rpc.replace("host", "evil.com").send(&app);
    assert_eq!(app.record_of(&reply).reason.as_deref(), Some("host_forbidden"));
}

#[test]
fn h4_a_page_from_elsewhere_is_refused() {
    let app = TestApp::start_with(|s| s.server.allowed_origins = vec!["https://gw.example.com".into()]);
    let rpc = good(&app);
    for origin in [
        "http://evil.com",
        "null",
        "https://gw.example.com.evil",
        "https://GW.example.com",
        "https://gw.example.com:444",
        "https://gw.example.com/",
        "http://gw.example.com",
        "http://localhost.evil.com",
        "file://",
        "",
    ] {
        rpc.clone().header("origin", origin).send(&app).refused(403, -31403, "origin_forbidden");
    }
    let two = rpc.clone().header("origin", "https://gw.example.com").header("origin", "http://evil.com");
    two.send(&app).refused(403, -31403, "origin_forbidden");
    rpc.clone().header("origin", "https://gw.example.com").send(&app).result();
    rpc.send(&app).result();
}

#[test]
fn h5_a_mirrored_header_stands_once() {
    let app = TestApp::start();
    for (name, value, joined) in [
        ("mcp-protocol-version", "2026-07-28", "2026-07-28, 2026-07-28"),
        ("mcp-method", "tools/call", "tools/call, tools/call"),
        ("mcp-name", "get_weather", "get_weather, get_weather"),
    ] {
        good(&app).header(name, value).send(&app).refused(400, -32020, "header_mismatch");
        good(&app).replace(name, joined).send(&app).refused(400, -32020, "header_mismatch");
        good(&app).without(name).send(&app).refused(400, -32020, "header_mismatch");
        good(&app).replace(name, "").send(&app).refused(400, -32020, "header_mismatch");
    }
}

#[test]
fn h7_a_body_that_does_not_come_is_waited_for_ten_seconds() {
    let app = TestApp::start();
    let mut connection = app.connect();
    let mut head = good(&app).head();
    head.extend_from_slice(b"content-length: 1000\r\n\r\n{");
    let started = Instant::now();
    connection.send(head);
    let reply = connection.reply();
    let waited = started.elapsed();
    reply.refused(408, -32601, "request_timeout");
    assert!((9..12).contains(&waited.as_secs()), "{waited:?}");
    assert!(connection.is_closed());
    assert_eq!(app.record_of(&reply).outcome, "timeout");
}

#[test]
fn h9_too_many_and_too_large_headers_are_refused() {
    let app = TestApp::start();
    let many = (0..97).fold(good(&app), |rpc, n| rpc.header(&format!("x-{n}"), "y"));
    assert_eq!(many.send(&app).status, 431);
    good(&app).header("x", "y".repeat(100_000)).send(&app).refused(431, -32600, "headers_too_large");
    let split = (0..17).fold(good(&app), |rpc, n| rpc.header(&format!("x-{n}"), "y".repeat(1_000)));
    split.send(&app).refused(431, -32600, "headers_too_large");
    let mut connection = app.connect();
    connection.try_send(good(&app).header("x", "y".repeat(140_000)).bytes());
    assert!(connection.try_reply().is_none_or(|reply| reply.status == 431));
    good(&app).send(&app).result();
}

#[test]
fn h10_one_byte_too_many_ends_the_connection() {
    let app = TestApp::start_with(|settings| settings.server.max_body = 2_048);
    let mut connection = app.connect();
    let mut bytes = good(&app).head();
    bytes.extend_from_slice(
        format!("transfer-encoding: chunked\r\n\r\n801\r\n{}\r\n", " ".repeat(0x801)).as_bytes(),
    );
    connection.send(bytes);
    // The end of the body never comes, and is not waited for.
    connection.reply().refused(413, -32600, "body_too_large");
    assert!(connection.is_closed());
    let mut connection = app.connect();
    let mut bytes = good(&app).head();
    bytes.extend_from_slice(b"content-length: 2049\r\n\r\n");
    connection.send(bytes);
    connection.reply().refused(413, -32600, "body_too_large");
    assert!(connection.is_closed());
}

#[test]
fn h10_a_body_without_end_holds_no_connection_whatever_it_is_sent_to() {
    let app = TestApp::start();
    let rpc = good(&app);
    let started = Instant::now();
    let mut open: Vec<_> = [
        rpc.clone().without("authorization"),
        rpc.clone().verb("PUT"),
        rpc.clone().replace("host", "evil.example"),
        rpc.clone().target("/health").verb("GET"),
        rpc.clone().target("/nothing"),
        rpc.clone().target("/.well-known/oauth-protected-resource").verb("GET"),
    ]
    .iter()
    .map(|rpc| {
        let mut connection = app.connect();
        connection.send([&rpc.head()[..], b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"].concat());
        connection
    })
    .collect();
    for connection in &mut open {
        connection.reply();
        // It goes on with its body for as long as anybody listens.
        while connection.try_send("5\r\nhello\r\n") && started.elapsed() < Duration::from_secs(5) {
            pause(Duration::from_millis(50));
        }
        assert!(started.elapsed() < Duration::from_secs(4), "somebody still listens");
    }
    // One that ends is read to its end, and the connection kept.
    let mut connection = app.connect();
    let unknown = rpc.without("authorization");
    connection
        .send([&unknown.head()[..], b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"].concat());
    connection.reply().refused(401, -31401, "missing_credential");
    unknown.on(&mut connection).refused(401, -31401, "missing_credential");
}

#[test]
fn h11_an_encoded_body_is_not_decoded() {
    let app = TestApp::start();
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(1_000);
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, gzip", "identity", "GZIP", ""] {
        let rpc = good(&app).header("content-encoding", encoding).raw(&bomb);
        rpc.send(&app).refused(415, -32600, "unsupported_media_type");
    }
    for kind in ["text/plain", "application/xml", "multipart/form-data", "application/jsonp", ""] {
        good(&app).replace("content-type", kind).send(&app).refused(415, -32600, "unsupported_media_type");
    }
    good(&app).without("content-type").send(&app).refused(415, -32600, "unsupported_media_type");
    for kind in ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"] {
        good(&app).replace("content-type", kind).send(&app).result();
    }
}

#[test]
fn h12_a_body_nested_without_end_is_refused_quickly() {
    let app = TestApp::start();
    for levels in [129, 2_000_000] {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let text = good(&app).text().replace("\"Oslo\"", &deep);
        quickly(&app, &good(&app).raw(text)).refused(400, -32700, "parse_error");
    }
    let objects = "{\"a\":".repeat(700_000);
    quickly(&app, &good(&app).raw(objects)).refused(400, -32700, "parse_error");
}

#[test]
fn h13_a_member_that_two_readers_might_read_differently_is_refused() {
    let app = TestApp::start();
    let text = good(&app).text();
    for (once, twice) in [
        (r#""method":"tools/call""#, r#""method":"tools/list","method":"tools/call""#),
        (r#""method":"tools/call""#, r#""method":"tools/call","Method":"tools/list""#),
        (r#""method":"tools/call""#, r#""method":"tools/call","method\u0000":"tools/list""#),
        (r#""method":"tools/call""#, r#""method":"tools/call","m\u0065thod":"tools/list""#),
        (r#""name":"get_weather""#, r#""name":"list_users","name":"get_weather""#),
        (r#""name":"get_weather""#, r#""name":"get_weather","NAME":"list_users""#),
        (r#""name":"get_weather""#, r#""name":"get_weather"," name":"list_users""#),
        (r#""id":1"#, r#""id":1,"id":2"#),
        (r#""_meta":{"#, r#""_meta":{},"_meta":{"#),
        (r#""city":"Oslo""#, r#""city":"Oslo","city":"Bergen""#),
        (r#""arguments":{"#, r#""arguments":{},"arguments":{"#),
        (
            "\"io.modelcontextprotocol/protocolVersion\":",
            "\"io.modelcontextprotocol/protocolVersion\":\"x\",\"io.modelcontextprotocol/protocolVersion\":",
        ),
    ] {
        assert!(text.contains(once), "{once} is not in {text}");
        let reply = good(&app).raw(text.replacen(once, twice, 1)).send(&app);
        reply.refused(400, -32600, "invalid_request");
    }
}

#[test]
fn h14_what_is_no_json_text_is_refused() {
    let app = TestApp::start();
    let text = good(&app).text();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let with = |city: &[u8]| {
        let (before, after) = text.split_once("Oslo").unwrap();
        [before.as_bytes(), city, after.as_bytes()].concat()
    };
    let number = |number: &str| text.replace("\"Oslo\"", number).into_bytes();
    for body in [
        with(b"\xff"),
        with(b"\xc0\xaf"),
        with(b"\xed\xa0\x80"),
        with(b"\\ud800"),
        with(b"\\udc00\\ud800"),
        with(b"\n"),
        with(b"\\x41"),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        utf16,
        number("NaN"),
        number("Infinity"),
        number("1e400"),
        number("01"),
        number("0x10"),
        number("'Oslo'"),
        format!("/* */{text}").into_bytes(),
        format!("{text}{{").into_bytes(),
        format!("{text}{text}").into_bytes(),
        text[..text.len() - 1].to_owned().into_bytes(),
        text.replacen(':', "=", 1).into_bytes(),
        format!("{},}}", &text[..text.len() - 1]).into_bytes(),
        b"".to_vec(),
        b" ".to_vec(),
        b"\0".to_vec(),
    ] {
        good(&app).raw(body).send(&app).refused(400, -32700, "parse_error");
    }
}

#[test]
fn h15_a_body_that_is_built_to_cost_is_refused_quickly() {
    let app = TestApp::start();
    let text = good(&app).text();
    let keys: Vec<String> = (0..300_000).map(|n| format!("\"{n}\":0")).collect();
    for (value, status) in [
        (format!("{{{}}}", keys.join(",")), 400),
        (format!("[{}]", vec!["[]"; 500_000].join(",")), 400),
        ("1".repeat(1_000_000), 400),
        ("1e400".to_owned(), 400),
        (format!("1e{}", "9".repeat(1_000_000)), 400),
        (format!("\"{}\"", "e".repeat(1_000_000)), 200),
        ("e".repeat(1_000_000), 400),
        ("1e1".repeat(300_000), 400),
    ] {
        let shown: String = value.chars().take(20).collect();
        let reply = quickly(&app, &good(&app).raw(text.replace("\"Oslo\"", &value)));
        // A text of a million letters is JSON; it fits no argument.
        assert_eq!(reply.status, status, "{shown}: {}", reply.text());
        assert!(reply.body.len() < 5_000, "{shown}");
    }
}

#[test]
fn h19_no_spelling_of_a_path_leads_to_administration() {
    let app = TestApp::start();
    for path in [
        "/mcp/../admin",
        "/%2e%2e/admin",
        "//mcp",
        "/mcp;x",
        "/mcp%00",
        "/mcp%2f..%2fmetrics",
        "/metrics",
        "//metrics",
        "/./metrics",
        "/health/../metrics",
        "/%6detrics",
        "/admin/faults/tokens",
        "/MCP",
        "/mcp/",
    ] {
        for verb in ["GET", "POST"] {
            let mut connection = app.connect();
            connection
                .send(format!("{verb} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"));
            let reply = connection.reply();
            assert_eq!((reply.status, &*reply.reason()), (404, "not_found"), "{verb} {path}");
        }
    }
}

#[test]
fn h20_every_answer_is_hardened_and_tells_nothing_of_us() {
    let app = TestApp::start();
    let replies = [
        good(&app).send(&app),
        Rpc::weather().send(&app),
        Rpc::list().verb("PUT").send(&app),
        app.get("/health"),
        app.get("/health/ready"),
        app.get("/.well-known/oauth-protected-resource"),
        app.get("/.well-known/oauth-protected-resource/mcp"),
        app.get("/oauth/jwks"),
        app.get("/nothing"),
        app.admin("GET", "/metrics"),
        app.admin("GET", "/nothing"),
        app.admin("POST", "/admin/faults/tokens"),
    ];
    for reply in replies {
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
        let policy = reply.header("content-security-policy").expect("a content policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        let cached = reply.header("cache-control").unwrap();
        assert!(cached == "no-store" || cached == "public, max-age=300", "{cached}");
        let id = reply.header("x-request-id").expect("an id");
        assert_eq!(id.len(), 36);
        assert!(reply.header("server").is_none() && reply.header("x-powered-by").is_none());
    }
}

#[test]
fn h21_no_page_is_invited_in() {
    let app = TestApp::start_with(|s| s.server.allowed_origins = vec!["https://gw.example.com".into()]);
    for (origin, status) in [("https://evil.example", 403), ("https://gw.example.com", 405)] {
        let preflight = Rpc::weather()
            .verb("OPTIONS")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .raw("");
        for reply in [preflight.send(&app), good(&app).header("origin", origin).send(&app)] {
            let shown = reply.headers.iter().any(|(name, _)| name.starts_with("access-control-"));
            assert!(!shown, "{reply:?}");
        }
        assert_eq!(preflight.send(&app).status, status);
    }
    // What is open to everybody may be read by pages too, never with credentials.
    let metadata = app.get("/.well-known/oauth-protected-resource");
    assert_eq!(metadata.header("access-control-allow-origin"), Some("*"));
    assert!(metadata.header("access-control-allow-credentials").is_none());
    assert_eq!(metadata.json()["bearer_methods_supported"], json!(["header"]));
}
