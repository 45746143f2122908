//! What a server occupies: idle, and after many requests.
//!
//! `PORTCULLIS_FULL=1` sends a million.

use tokio::task::LocalSet;

use super::{home::Home, load::Load, output, process, server::Server};

/// What it may occupy before the first request, KiB. More than half of it is the program itself.
const IDLE_KIB: u64 = 30 * 1024;
/// What it may occupy after many requests, KiB.
const LOADED_KIB: u64 = 80 * 1024;
/// Connections, each with an identity of its own.
const WIDTH: usize = 64;
/// Requests that are waited for together.
const TOGETHER: usize = 20_000;

#[tokio::test]
async fn a_server_occupies_no_more_than_is_said() {
    let times = if output::full() { 50 } else { 1 };
    let home = Home::new("memory").in_profile("loadtest");
    let mut tokens = Vec::new();
    for n in 0..WIDTH {
        tokens.push(Some(home.token(&format!("user{n}"), "user").await));
    }
    let server = Server::start(&home).await;
    let idle = process::rss_kib(server.pid());
    let requests = TOGETHER * times;
    LocalSet::new()
        .run_until(async {
            let load = Load::start(&server, WIDTH, &tokens);
            for n in 1..=times {
                load.until_answered(n * TOGETHER).await;
            }
            load.finish().await;
        })
        .await;
    let loaded = process::rss_kib(server.pid());
    output::figure(&format!("memory: {idle} KiB idle, {loaded} KiB after {requests} requests"));
    assert!(idle <= IDLE_KIB, "{idle} KiB before the first request");
    assert!(loaded <= LOADED_KIB, "{loaded} KiB after {requests} requests");
    server.stopped().await;
}
