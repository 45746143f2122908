//! Two thousand clients that drip heads and bodies: whoever behaves keeps being served, memory is bounded, and
//! each of them is gone at its deadline. Those that ask on and never read are in `unread.rs`.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
};

use super::{
    home::Home,
    hostile, output, process,
    raw::Raw,
    server::{LOOK_EVERY, Server},
};

/// Slow clients of each kind: 2 000 in all.
const KINDS: [(Kind, usize); 2] = [(Kind::Head, 1_000), (Kind::Body, 1_000)];
const ALL: usize = 2_000;
/// Descriptors that this process and the server need each.
const FILES: u64 = 6_000;
/// Callers that behave.
pub(crate) const GOOD: usize = 16;
/// How long calls are counted.
const WINDOW: Duration = Duration::from_secs(4);
/// Least share of their calls that good callers keep.
pub(crate) const KEPT: f64 = 0.8;
/// Most memory of the server for one slow client, KiB.
const MOST_KIB: u64 = 32;
/// How often each sends one more byte.
const DRIP_EVERY: Duration = Duration::from_secs(1);

/// What a slow client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sends its head byte by byte.
    Head,
    /// Sends its body byte by byte.
    Body,
}

impl Kind {
    /// The bytes that it begins with.
    fn begins(self, token: &str) -> Vec<u8> {
        match self {
            Self::Head => b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ".to_vec(),
            Self::Body => hostile::head(token, 4_000),
        }
    }

    /// Until when it is borne at the least and at the most: its deadline, and what a busy machine adds.
    const fn borne(self) -> (Duration, Duration) {
        let (least, most) = match self {
            Self::Head => (4, 5 + 4),
            Self::Body => (9, 10 + 4),
        };
        (Duration::from_secs(least), Duration::from_secs(most))
    }
}

/// How long each slow client was borne.
type Borne = Vec<(Kind, Duration)>;

/// Two thousand slow clients on a thread of their own; each that is ended comes again until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Borne>,
}

impl Crowd {
    fn start(address: SocketAddr, token: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, token) = (Arc::clone(&stop), token.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let borne = Rc::new(RefCell::new(Borne::new()));
                let mut clients = Vec::new();
                for (kind, count) in KINDS {
                    let begins: Rc<[u8]> = kind.begins(&token).into();
                    for _ in 0..count {
                        let (begins, told, borne) =
                            (Rc::clone(&begins), Arc::clone(&told), Rc::clone(&borne));
                        clients.push(spawn_local(async move {
                            while !told.load(Ordering::Relaxed) {
                                let spent = drip(address, &begins).await;
                                borne.borrow_mut().push((kind, spent));
                            }
                        }));
                    }
                }
                for client in clients {
                    client.await.unwrap();
                }
                borne.take()
            })
        });
        Self { stop, thread }
    }

    /// Has none come again; waits until the server has ended every one that is there.
    async fn gone(self) -> Borne {
        self.stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(|| self.thread.join().unwrap()).await.unwrap()
    }
}

/// One slow client; how long the server bore it.
async fn drip(address: SocketAddr, begins: &[u8]) -> Duration {
    let Ok(connection) = Raw::narrow(address).await else { return Duration::MAX };
    let started = Instant::now();
    let mut sent = connection.push(begins).unwrap_or_default();
    let mut drops = tokio::time::interval(DRIP_EVERY);
    drops.tick().await;
    loop {
        drops.tick().await;
        let next = begins.get(sent..sent + 1).unwrap_or(b"x");
        match connection.push(next) {
            Ok(more) => sent += more,
            Err(_gone) => return started.elapsed(),
        }
        if connection.is_over() {
            return started.elapsed();
        }
    }
}

/// Calls a second that callers get who behave.
pub(crate) async fn rate(address: SocketAddr, token: &str) -> f64 {
    let call: Rc<[u8]> = hostile::good(token, 0).into();
    let (stop, served) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0_u32)));
    let callers: Vec<_> = (0..GOOD)
        .map(|_| {
            let (call, stop, served) = (Rc::clone(&call), Rc::clone(&stop), Rc::clone(&served));
            spawn_local(async move {
                let mut connection = Raw::open(address).await;
                while !stop.get() {
                    connection.send(&call).await.unwrap();
                    assert_eq!(connection.reply().await.unwrap().status, 200);
                    served.set(served.get() + 1);
                }
            })
        })
        .collect();
    let started = Instant::now();
    tokio::time::sleep(WINDOW).await;
    let rate = f64::from(served.get()) / started.elapsed().as_secs_f64();
    stop.set(true);
    for caller in callers {
        caller.await.unwrap();
    }
    rate
}

/// Waits until the server has done what the crowd asked for at once: that was work like any other.
async fn settled(server: &Server) {
    let look = Duration::from_millis(250);
    for _ in 0..240 {
        let before = process::cpu(server.pid());
        tokio::time::sleep(look).await;
        if process::cpu(server.pid()) - before < look / 2 {
            return;
        }
    }
    panic!("the server never comes to rest beside slow clients");
}

/// Lets this process, and with it the server that it starts, hold enough descriptors.
pub(crate) fn raise_files() {
    let files = getrlimit(Resource::Nofile);
    assert!(files.maximum.is_none_or(|most| most >= FILES), "this test needs `ulimit -Hn` of {FILES}");
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }).unwrap();
}

#[tokio::test]
async fn two_thousand_slow_clients_take_little_from_those_who_behave_and_are_gone_in_time() {
    raise_files();
    let home = Home::new("slow").in_profile("loadtest");
    let server = Server::start(&home).await;
    let (address, token) = (server.address(), home.token("alice", "user").await);
    LocalSet::new()
        .run_until(async {
            rate(address, &token).await;
            // Whoever shares the machine takes calls from one of two runs that follow each other, too.
            let mut kept = 0.0;
            for _ in 0..3 {
                kept = share_beside_a_crowd(&server, &token).await.max(kept);
                if kept >= KEPT {
                    return;
                }
            }
            panic!("{kept:.2} of the calls at best");
        })
        .await;
    server.stopped().await;
}

/// The share of their calls that good callers keep beside the slow ones, of whom nothing is left afterwards.
async fn share_beside_a_crowd(server: &Server, token: &str) -> f64 {
    let address = server.address();
    let alone = rate(address, token).await;
    let (before, sockets) = (process::rss_kib(server.pid()), process::sockets(server.pid()));

    let crowd = Crowd::start(address, token);
    let came = Instant::now();
    // Those who have behaved may have been there a moment ago.
    while process::sockets(server.pid()) < ALL {
        assert!(came.elapsed() < Duration::from_secs(20), "they do not all get in");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    settled(server).await;
    let beside = rate(address, token).await;
    let after = process::rss_kib(server.pid());
    let borne = crowd.gone().await;

    output::figure(&format!(
        "beside {ALL} slow clients: {beside:.0} calls/s of {alone:.0}, {before} to {after} KiB"
    ));
    assert!(after.saturating_sub(before) <= MOST_KIB * ALL as u64, "{before} to {after} KiB");
    for (kind, _) in KINDS {
        let spans = borne.iter().filter(|(known, _)| *known == kind).map(|(_, span)| *span);
        let (least, most) = (spans.clone().min().unwrap(), spans.max().unwrap());
        output::figure(&format!("a slow client ({kind:?}) was borne {least:?} to {most:?}"));
        let (expected, deadline) = kind.borne();
        assert!(least >= expected, "{kind:?} was ended after {least:?}: not slow at all");
        assert!(most <= deadline, "{kind:?} was borne for {most:?}");
    }
    while process::sockets(server.pid()) > sockets + GOOD {
        assert!(came.elapsed() < Duration::from_secs(120), "sockets are left over");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    beside / alone
}
