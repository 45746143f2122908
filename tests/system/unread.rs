//! Six hundred clients that send requests without end and read nothing: whoever behaves keeps being served, memory
//! is bounded, and each of them is gone once it has taken nothing for long enough (threat H8).

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
};

use super::{
    home::Home,
    hostile, output, process,
    raw::Raw,
    server::{LOOK_EVERY, Server},
    slow::{GOOD, KEPT, raise_files, rate},
};

/// Clients that read nothing.
const ALL: usize = 600;
/// Most memory that all of them may cost, KiB.
const MOST_KIB: u64 = 100 * 1024;
/// How long one is borne at the most: thirty-five seconds if it has been answered little and says no more, ten if an
/// answer waits for it; and what a busy machine adds.
const BORNE: Duration = Duration::from_secs(35 + 10);
/// Pause before one that was ended comes again. Whoever sends calls behind each other is answered about a dozen before
/// actix-http ends the connection: work that was asked for. At a pause of a second that alone is a tenth of what the
/// server can do, and what their not reading costs cannot be told from it.
const AGAIN: Duration = Duration::from_secs(5);
/// How long memory is looked at: every one of them has been ended once by then.
const LOOK_FOR: Duration = Duration::from_secs(20);
/// Size of the file that some of them ask for.
const FILE: usize = 1 << 20;

/// Clients on a thread of their own that ask and ask; each that is ended comes again until they are told to stop.
struct Deaf {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Deaf {
    /// As many of each kind of request.
    fn start(address: SocketAddr, kinds: Vec<Vec<u8>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let kinds: Vec<Rc<[u8]>> = kinds.into_iter().map(Into::into).collect();
                let mut clients = Vec::new();
                for number in 0..ALL {
                    let (asks, told) = (Rc::clone(&kinds[number % kinds.len()]), Arc::clone(&told));
                    clients.push(spawn_local(async move {
                        let mut borne = Vec::new();
                        while !told.load(Ordering::Relaxed) {
                            borne.extend(ask(address, &asks, &told).await);
                            tokio::time::sleep(AGAIN).await;
                        }
                        borne
                    }));
                }
                let mut borne = Vec::new();
                for client in clients {
                    borne.extend(client.await.unwrap());
                }
                borne
            })
        });
        Self { stop, thread }
    }

    async fn gone(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(|| self.thread.join().unwrap()).await.unwrap()
    }
}

/// One client; how long the server bore it, if it was the server that ended it.
async fn ask(address: SocketAddr, asks: &[u8], told: &AtomicBool) -> Option<Duration> {
    let connection = Raw::narrow(address).await.ok()?;
    let (started, mut sent) = (Instant::now(), 0);
    let mut rounds = tokio::time::interval(Duration::from_millis(100));
    while !told.load(Ordering::Relaxed) {
        rounds.tick().await;
        loop {
            match connection.push(&asks[sent.min(asks.len())..]) {
                Ok(0) => break,
                Ok(more) => sent += more,
                Err(_gone) => return Some(started.elapsed()),
            }
        }
    }
    None
}

/// What they ask for, each far more than is answered to whoever reads nothing: calls, notifications that get no
/// body, the smallest thing that there is; and one file.
async fn kinds(server: &Server, home: &Home) -> Vec<Vec<u8>> {
    let writer = home.token("dora", "premium").await;
    let caller = server.caller(Some(&writer));
    let file = json!({ "path": "large.txt", "content": "x".repeat(FILE) });
    let written = caller.call("write_file", file).await.unwrap();
    assert_eq!(written.status, 200, "{}", written.text);
    let notified = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let notification = format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {writer}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: 2025-06-18\r\ncontent-length: {}\r\n\r\n{notified}",
        notified.len()
    );
    vec![
        hostile::good(&writer, 0).repeat(5_000),
        hostile::file(&writer, "large.txt"),
        notification.into_bytes().repeat(5_000),
        b"GET / HTTP/1.1\r\nhost:a\r\n\r\n".repeat(200_000),
    ]
}

#[tokio::test]
async fn six_hundred_clients_that_never_read_cost_little_and_take_little_from_those_who_behave() {
    raise_files();
    let home = Home::new("unread").in_profile("loadtest");
    let server = Server::start(&home).await;
    let (address, token) = (server.address(), home.token("alice", "user").await);
    let kinds = kinds(&server, &home).await;
    LocalSet::new()
        .run_until(async {
            rate(address, &token).await;
            // Whoever shares the machine takes calls from one of two runs that follow each other, too.
            let mut kept = 0.0;
            for _ in 0..3 {
                kept = share_beside_the_deaf(&server, &token, kinds.clone()).await.max(kept);
                if kept >= KEPT {
                    return;
                }
            }
            panic!("{kept:.2} of the calls at best");
        })
        .await;
    server.stopped().await;
}

/// The share of their calls that good callers keep beside those who never read, of whom nothing is left afterwards.
async fn share_beside_the_deaf(server: &Server, token: &str, kinds: Vec<Vec<u8>>) -> f64 {
    let address = server.address();
    let alone = rate(address, token).await.max(rate(address, token).await);
    let (before, sockets) = (process::rss_kib(server.pid()), process::sockets(server.pid()));

    let deaf = Deaf::start(address, kinds);
    let (came, mut most) = (Instant::now(), 0);
    while process::sockets(server.pid()) < ALL / 2 {
        assert!(came.elapsed() < Duration::from_secs(20), "they do not all get in");
        most = process::rss_kib(server.pid()).max(most);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // Whoever shares the machine takes calls as well.
    let mut beside = 0.0_f64;
    for _ in 0..4 {
        beside = rate(address, token).await.max(beside);
        most = process::rss_kib(server.pid()).max(most);
    }
    while came.elapsed() < LOOK_FOR {
        most = process::rss_kib(server.pid()).max(most);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let borne = deaf.gone().await;

    let longest = borne.iter().max().unwrap();
    output::figure(&format!(
        "beside {ALL} clients that never read: {beside:.0} calls/s of {alone:.0}, {before} to {most} KiB; \
         {} were ended, after {longest:?} at most",
        borne.len()
    ));
    assert!(most.saturating_sub(before) <= MOST_KIB, "{before} to {most} KiB");
    assert!(borne.len() >= ALL / 2, "only {} were ended", borne.len());
    assert!(*longest <= BORNE, "one was borne for {longest:?}");
    while process::sockets(server.pid()) > sockets + GOOD {
        assert!(came.elapsed() < Duration::from_secs(120), "sockets are left over");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    beside / alone
}
