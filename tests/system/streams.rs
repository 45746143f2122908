//! A thousand idle subscriptions: what one takes, that all are told within a second, and that nothing is left.

use std::time::{Duration, Instant};

use super::{home::Home, output, process, raw::Raw, server::Server};

/// A tenth of what one server is meant to hold.
const STREAMS: usize = 1_000;
/// Streams of one principal.
const OF_ONE: usize = 16;
/// Most memory of one idle stream, connection included, KiB.
const MOST_KIB: u64 = 24;
/// How long they are all looked at while nothing happens.
const IDLE: Duration = Duration::from_secs(3);

fn listen(token: &str) -> Vec<u8> {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{{"toolsListChanged":true}},{meta}}}}}"#
    );
    format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n\
         mcp-method: subscriptions/listen\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_thousand_idle_streams_take_little_and_end_when_the_server_stops() {
    let home = Home::for_load("idle_streams");
    let server = Server::start(&home).await;
    let mut tokens = Vec::new();
    for n in 0..STREAMS.div_ceil(OF_ONE) {
        tokens.push(home.token(&format!("listener{n}"), "user").await);
    }
    // What the first of all takes is no stream's own.
    let mut first = Raw::open(server.address()).await;
    first.send(&listen(&tokens[0])).await.unwrap();
    first.holds(b"acknowledged").await;
    let before = process::rss_kib(server.pid());
    let mut streams = vec![first];
    for n in 1..STREAMS {
        let mut stream = Raw::open(server.address()).await;
        stream.send(&listen(&tokens[n / OF_ONE])).await.unwrap();
        stream.holds(b"acknowledged").await;
        streams.push(stream);
    }
    let each = process::rss_kib(server.pid()).saturating_sub(before) / (STREAMS as u64 - 1);
    assert!((server.metric("portcullis_streams_open").await - STREAMS as f64).abs() < 0.5);
    let (cpu, began) = (process::cpu(server.pid()), Instant::now());
    tokio::time::sleep(IDLE).await;
    let share = (process::cpu(server.pid()) - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    output::figure(&format!(
        "{STREAMS} idle streams: {each} KiB each, {:.1} % of a core together",
        share * 100.0
    ));
    assert!(each <= MOST_KIB, "{each} KiB each");
    server.stopped().await;
    for stream in &mut streams {
        stream.holds(b"\"resultType\":\"complete\"").await;
    }
}

#[tokio::test]
async fn whoever_sends_on_behind_an_open_stream_costs_nothing_and_holds_nobody_up() {
    let home = Home::for_load("behind_a_stream").with("SERVER__WORKERS", "1");
    let server = Server::start(&home).await;
    let (token, other) = (home.token("eve", "user").await, home.token("ada", "user").await);
    let mut stream = Raw::open(server.address()).await;
    stream.send(&listen(&token)).await.unwrap();
    stream.holds(b"acknowledged").await;
    // More than is read ahead, in requests and in bytes.
    let more = listen(&token).repeat(1_000);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < Duration::from_secs(1) {
        let Ok(taken) = stream.push(&more[sent % more.len()..]) else { break };
        sent += taken;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (cpu, began) = (process::cpu(server.pid()), Instant::now());
    tokio::time::sleep(IDLE).await;
    let share = (process::cpu(server.pid()) - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    output::figure(&format!("{sent} bytes behind an open stream: {:.1} % of a core", share * 100.0));
    assert!(share < 0.1, "{share:.2} of a core while nothing happens");
    assert!(
        server.metric("portcullis_streams_open").await > 0.5,
        "what it sends is not read, its stream goes on"
    );
    assert_eq!(server.caller(Some(&other)).weather("Oslo").await.unwrap().status, 200);
    server.stopped().await;
}
