//! Six hundred clients that send requests without end and read nothing: whoever behaves keeps being served, memory
//! is bounded, and each of them is gone once it has taken nothing for long enough (threat H8).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
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
    slow::{GOOD, KEPT, raise_files, rate, settled},
};

/// Clients that read nothing.
const ALL: usize = 600;
/// Most memory that all of them may cost, KiB.
const MOST_KIB: u64 = 100 * 1024;
/// How long one is borne that takes nothing, at the least and at the most: ten seconds, a second for the look,
/// and what a busy machine adds before it has been answered more than the system holds for it.
const BORNE: (Duration, Duration) = (Duration::from_secs(9), Duration::from_secs(30));
/// Until when as many have been ended as there are, who come again and again.
const ENDED_WITHIN: Duration = Duration::from_secs(90);
/// Size of the file that some of them ask for.
const FILE: usize = 1 << 20;

/// Clients on a thread of their own that ask and ask; each that is ended comes again until they are told to stop.
struct Deaf {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Deaf {
    /// As many of each kind of request.
    fn start(address: SocketAddr, kinds: Vec<Vec<u8>>) -> Self {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let mut clients = Vec::new();
                for number in 0..ALL {
                    // Requests without end: what is cut off in one round goes on in the next.
                    let asks = kinds[number % kinds.len()].repeat(200);
                    let (told, count) = (Arc::clone(&told), Arc::clone(&count));
                    clients.push(spawn_local(async move {
                        let mut borne = Vec::new();
                        while !told.load(Ordering::Relaxed) {
                            borne.extend(ask(address, &asks, &told).await);
                            count.fetch_add(1, Ordering::Relaxed);
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
        Self { stop, ended, thread }
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
            match connection.push(&asks[sent % asks.len()..]) {
                Ok(0) => break,
                Ok(more) => sent += more,
                Err(_gone) => return Some(started.elapsed()),
            }
        }
    }
    None
}

/// What they ask for: a call, a file, a notification that gets no body, and the smallest thing that there is.
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
        hostile::good(&writer, 0),
        hostile::file(&writer, "large.txt"),
        notification.into_bytes(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
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
            let alone = rate(address, &token).await;
            let (before, sockets) = (process::rss_kib(server.pid()), process::sockets(server.pid()));

            let deaf = Deaf::start(address, kinds);
            let came = Instant::now();
            while process::sockets(server.pid()) < sockets + ALL * 9 / 10 {
                assert!(came.elapsed() < Duration::from_secs(20), "they do not all get in");
                tokio::time::sleep(LOOK_EVERY).await;
            }
            settled(&server).await;
            // Whoever shares the machine takes calls as well.
            let mut beside = 0.0_f64;
            for _ in 0..3 {
                beside = rate(address, &token).await.max(beside);
                if beside >= alone * KEPT {
                    break;
                }
            }
            let mut most = 0;
            while deaf.ended.load(Ordering::Relaxed) < ALL {
                assert!(came.elapsed() < ENDED_WITHIN, "whoever reads nothing is not ended");
                most = process::rss_kib(server.pid()).max(most);
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let borne = deaf.gone().await;

            let (least, longest) = (borne.iter().min().unwrap(), borne.iter().max().unwrap());
            output::figure(&format!(
                "beside {ALL} clients that never read: {beside:.0} calls/s of {alone:.0}, {before} to {most} KiB; \
                 they were borne {least:?} to {longest:?}"
            ));
            assert!(most.saturating_sub(before) <= MOST_KIB, "{before} to {most} KiB");
            assert!(*least >= BORNE.0, "one was ended after {least:?}");
            assert!(*longest <= BORNE.1, "one was borne for {longest:?}");
            assert!(beside >= alone * KEPT, "{beside:.0} calls/s of {alone:.0}");
            while process::sockets(server.pid()) > sockets + GOOD {
                assert!(came.elapsed() < ENDED_WITHIN * 2, "sockets are left over");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
        .await;
    server.stopped().await;
}
