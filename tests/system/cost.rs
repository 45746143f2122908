//! Bad input costs at most five times the processor time of a good request of its size, and leaves nothing behind.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    home::Home,
    hostile::{self, Fair, Hostile},
    output, process,
    raw::Raw,
    server::Server,
};

/// Most that bad input may cost, in good requests of its size.
const MOST: f64 = 5.0;
/// Most that memory may grow by, KiB.
const MOST_GROWTH_KIB: u64 = 10 * 1024;
/// Longest until it has been given back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(20);

/// Sends `count` requests one after the other, each answered with `status`.
async fn send(
    address: SocketAddr,
    count: u64,
    from: u64,
    (status, name): (u16, &str),
    bytes: &dyn Fn(u64) -> Vec<u8>,
) {
    let mut connection = Raw::open(address).await;
    for n in from..from + count {
        // A server that refuses a head or a body may close before it has read everything.
        let _sent = connection.send(&bytes(n)).await;
        let reply = connection.reply().await.unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(reply.status, status, "{name}");
        if reply.closes {
            connection = Raw::open(address).await;
        }
    }
}

/// Processor time that each of `count` requests takes; the lesser of three runs, since others disturb.
async fn cost(server: &Server, count: u64, answer: (u16, &str), bytes: &dyn Fn(u64) -> Vec<u8>) -> Duration {
    let address = server.address();
    send(address, count.div_ceil(4), 1_000_000, answer, bytes).await;
    let mut least = Duration::MAX;
    for run in 1..=3 {
        let before = process::cpu(server.pid());
        send(address, count, run * count, answer, bytes).await;
        least = least.min((process::cpu(server.pid()) - before) / u32::try_from(count).unwrap());
    }
    least
}

/// How many of that size and kind make a run that can be measured and does not take long. A batch leaves a record
/// for each of its messages, and a run must not bring more of them than can wait to be written on a busy machine.
fn count_for(size: usize, kind: Fair) -> u64 {
    let count = match size {
        500_001.. => 12,
        50_001.. => 60,
        _ => 400,
    };
    match kind {
        Fair::Batch(messages) => count.min(1_600 / messages as u64),
        Fair::Modern | Fair::Older => count,
    }
}

#[tokio::test]
async fn bad_input_costs_at_most_five_good_requests_of_its_size() {
    let home = Home::new("cost").in_profile("loadtest");
    let server = Server::start(&home).await;
    let token = home.token("alice", "user").await;
    let mut good: BTreeMap<(Fair, usize), Duration> = BTreeMap::new();
    let mut dear = Vec::new();
    for Hostile { name, bytes, status, fair: kind } in hostile::inputs(&token) {
        let size = bytes(1).len();
        let count = count_for(size, kind);
        // A good one of a few bytes more or less costs the same, and none is larger than a body may be.
        let as_good = kind.good(&token, size.next_multiple_of(256).min(4 << 20));
        let fair = match good.get(&(kind, as_good.len())) {
            Some(known) => *known,
            None => {
                let fair = cost(&server, count, (200, "good"), &|_| as_good.clone()).await;
                *good.entry((kind, as_good.len())).or_insert(fair)
            }
        };
        let mut spent = cost(&server, count, (status, name), &bytes).await;
        for _ in 0..2 {
            // Whoever shares the machine makes a run dearer, never cheaper.
            if spent.as_secs_f64() > MOST * fair.as_secs_f64() {
                spent = cost(&server, count, (status, name), &bytes).await.min(spent);
            }
        }
        let ratio = spent.as_secs_f64() / fair.as_secs_f64();
        output::figure(&format!(
            "cost of {name} ({size} bytes): {ratio:.2} good ones ({spent:?} to {fair:?})"
        ));
        if ratio > MOST {
            dear.push(format!("{name}: {ratio:.2}"));
        }
    }
    assert!(dear.is_empty(), "cost more than {MOST} good requests: {dear:?}");
    server.stopped().await;
    home.audit_verifies().await;
}

#[tokio::test]
async fn hostile_input_leaves_no_memory_behind() {
    let home = Home::new("growth").in_profile("loadtest");
    let server = Server::start(&home).await;
    let token = home.token("alice", "user").await;
    let address = server.address();
    let replay = async |from: u64, times: u64| {
        for Hostile { name, bytes, status, fair } in hostile::inputs(&token) {
            let count = (times * count_for(bytes(1).len(), fair) / 400).max(2);
            send(address, count, from, (status, name), &bytes).await;
        }
        send(address, times, from, (200, "good"), &|_| hostile::good(&token, 0)).await;
    };
    // What is made once for each worker and each kind of request is no growth.
    for round in 0..3 {
        replay(1 + round * 1_000, 400).await;
    }
    let before = process::rss_kib(server.pid());
    for round in 1..=5 {
        replay(round * 10_000, 400).await;
    }
    // An allocator gives back with some delay, and only while it is used.
    let mut after = process::rss_kib(server.pid());
    let end = Instant::now() + GIVEN_BACK_WITHIN;
    while after > before + MOST_GROWTH_KIB && Instant::now() < end {
        send(address, 100, 900_000, (200, "good"), &|_| hostile::good(&token, 0)).await;
        after = process::rss_kib(server.pid());
    }
    output::figure(&format!("memory after five replays of every hostile input: {before} to {after} KiB"));
    assert!(after.saturating_sub(before) <= MOST_GROWTH_KIB, "{before} to {after} KiB");
    assert!(server.is_ready().await);
    assert_eq!(
        server.metric("portcullis_requests_total{method=\"tools/call\",outcome=\"failed\"} ").await,
        0.0
    );
    server.stopped().await;
}
