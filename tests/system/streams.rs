//! Idle subscriptions, a thousand or ten thousand: what one takes, that others notice nothing of them, that changes
//! which nobody reads take no memory, and that all are told in the end.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit};

use super::{caller::Caller, home::Home, output, process, raw::Raw, server::Server, slow::raise_files};

/// Streams of one principal.
const OF_ONE: usize = 16;
/// Most memory of one idle stream, connection included, KiB.
const MOST_KIB: u64 = 24;
/// Most memory that all changes together may add to one stream whose client reads nothing, KiB.
const UNREAD_KIB: u64 = 2;
/// How long they are all looked at while nothing happens.
const IDLE: Duration = Duration::from_secs(3);
/// So often something changes while nobody reads.
const CHANGES: usize = 5;
/// Calls whose typical time is looked at, and how often they may be made anew on a busy machine.
const CALLS: (usize, usize) = (200, 3);

/// How many streams there are: in the long version half of what one server is meant to hold.
fn many() -> usize {
    if output::full() { 10_000 } else { 1_000 }
}

fn listen(token: &str) -> Vec<u8> {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"notifications":{{"toolsListChanged":true,"promptsListChanged":true}},{meta}}}}}"#
    );
    format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n\
         mcp-method: subscriptions/listen\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The typical time of a call; every one must succeed.
async fn typical(caller: &Caller) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..CALLS.1 {
        let mut times = Vec::with_capacity(CALLS.0);
        for _ in 0..CALLS.0 {
            let answer = caller.weather("Oslo").await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text);
            times.push(answer.took);
        }
        times.sort_unstable();
        best = best.min(times[CALLS.0 / 2]);
    }
    best
}

/// Opens `count` streams, each acknowledged.
async fn opened(server: &Server, tokens: &[String], count: usize) -> Vec<Raw> {
    let mut streams = Vec::with_capacity(count);
    for n in 0..count {
        let mut stream = Raw::open(server.address()).await;
        stream.send(&listen(&tokens[n / OF_ONE])).await.unwrap();
        stream.holds(b"acknowledged").await;
        streams.push(stream);
    }
    streams
}

/// Has the prompts change, again and again; each change has come to the one who reads before the next one is made.
async fn change_prompts(home: &Home, reader: &mut Raw) {
    let folder = home.data_dir().parent().unwrap().join("settings/prompts");
    fs::create_dir_all(&folder).unwrap();
    for n in 0..CHANGES {
        let text =
            format!("about = \"Change {n}.\"\nneeds = \"weather:read\"\n[[messages]]\ntext = \"{n}\"\n");
        // In one step, as an operator's editor does it: half a file would be refused.
        let written = folder.join("new");
        fs::write(&written, text).unwrap();
        fs::rename(written, folder.join(format!("change{n}.toml"))).unwrap();
        reader.holds(b"notifications/prompts/list_changed").await;
    }
}

#[tokio::test]
async fn many_idle_streams_take_little_disturb_nobody_and_are_told_in_the_end() {
    raise_files();
    let many = many();
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(files > many as u64 + 256, "{many} streams need `ulimit -Hn` above {files}");
    let home = Home::for_load("idle_streams");
    let server = Server::start(&home).await;
    let mut tokens = Vec::new();
    for n in 0..many.div_ceil(OF_ONE) {
        tokens.push(home.token(&format!("listener{n}"), "user").await);
    }
    let (own, other) = (home.token("reader", "user").await, home.token("ada", "user").await);
    let caller = server.caller(Some(&other));
    let alone = typical(&caller).await;
    // What the first of all takes is no stream's own.
    let mut reader = opened(&server, &[own], 1).await.remove(0);
    let before = process::rss_kib(server.pid());
    let mut streams = opened(&server, &tokens, many).await;
    let each = process::rss_kib(server.pid()).saturating_sub(before) / many as u64;
    assert!((server.metric("portcullis_streams_open").await - (many + 1) as f64).abs() < 0.5);
    let (cpu, began) = (process::cpu(server.pid()), Instant::now());
    tokio::time::sleep(IDLE).await;
    let share = (process::cpu(server.pid()) - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    let beside = typical(&caller).await;
    output::figure(&format!(
        "{many} idle streams: {each} KiB each, {:.1} % of a core together; a call beside them {beside:?}, alone {alone:?}",
        share * 100.0
    ));
    assert!(each <= MOST_KIB, "{each} KiB each");
    assert!(beside <= alone * 2 + Duration::from_millis(2), "{beside:?} beside them, {alone:?} alone");
    let before = process::rss_kib(server.pid());
    change_prompts(&home, &mut reader).await;
    let grown = process::rss_kib(server.pid()).saturating_sub(before) / many as u64;
    output::figure(&format!("{CHANGES} changes that {many} streams do not read: {grown} KiB each"));
    assert!(grown <= UNREAD_KIB, "{grown} KiB each for what nobody reads");
    assert_eq!(caller.weather("Oslo").await.unwrap().status, 200);
    server.stopped().await;
    for stream in &mut streams {
        stream.holds(b"notifications/prompts/list_changed").await;
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
