//! A thousand idle sessions of older revisions, and a stream for each: what one takes, and that all end.

use super::{home::Home, output, process, raw::Raw, server::Server};

/// A tenth of what one server holds by default.
const SESSIONS: usize = 1_008;
/// Sessions of one principal.
const OF_ONE: usize = 16;
/// Most memory of one idle session, bytes.
const MOST: u64 = 4 * 1024;
/// Most memory of one idle stream of a session, connection included, KiB.
const MOST_STREAM_KIB: u64 = 24;

fn initialize(token: &str) -> Vec<u8> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{},"sampling":{},"roots":{}},"clientInfo":{"name":"tests","version":"1"}}}"#;
    format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn listen(token: &str, session: &str) -> Vec<u8> {
    format!(
        "GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\n\
         mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn a_thousand_idle_sessions_and_their_streams_take_little_and_end_when_the_server_stops() {
    let home = Home::for_load("idle_sessions").with("SESSIONS__ENABLED", "true");
    let server = Server::start(&home).await;
    let mut tokens = Vec::new();
    for n in 0..SESSIONS / OF_ONE {
        tokens.push(home.token(&format!("client{n}"), "user").await);
    }
    let mut connection = Raw::open(server.address()).await;
    let mut sessions = Vec::with_capacity(SESSIONS);
    let mut before = 0;
    for round in 0..OF_ONE {
        for token in &tokens {
            connection.send(&initialize(token)).await.unwrap();
            let id = connection.behind(b"mcp-session-id: ", 32).await;
            connection.holds(b"\"serverInfo\"").await;
            sessions.push((token, String::from_utf8(id).unwrap()));
        }
        if round == 0 {
            // What the credentials take is no session's own.
            before = process::rss_kib(server.pid());
        }
    }
    let own = (SESSIONS - tokens.len()) as u64;
    let each = process::rss_kib(server.pid()).saturating_sub(before) * 1024 / own;
    assert!((server.metric("portcullis_sessions_open").await - SESSIONS as f64).abs() < 0.5);
    let before = process::rss_kib(server.pid());
    let mut streams = Vec::with_capacity(SESSIONS);
    for (token, session) in &sessions {
        let mut stream = Raw::open(server.address()).await;
        stream.send(&listen(token, session)).await.unwrap();
        stream.holds(b"retry: ").await;
        streams.push(stream);
    }
    let stream = process::rss_kib(server.pid()).saturating_sub(before) / SESSIONS as u64;
    assert!((server.metric("portcullis_streams_open").await - SESSIONS as f64).abs() < 0.5);
    output::figure(&format!(
        "{SESSIONS} idle sessions: {each} B each, {stream} KiB more for a stream of one"
    ));
    assert!(each <= MOST && stream <= MOST_STREAM_KIB, "{each} B and {stream} KiB each");
    server.stopped().await;
    for stream in &mut streams {
        // The end of a chunked answer: it has ended as it should.
        stream.holds(b"0\r\n\r\n").await;
    }
}
