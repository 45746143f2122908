//! What a call costs in pieces of memory: each kind of request has a budget, counted in a whole server.
//!
//! Everything in the process is counted: the worker's part and the audit log's.
//! Five of each are the test's own log, which has colours; a server that logs JSON does without them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

#[allow(dead_code, reason = "shared with tests/api; neither uses all of it")]
#[path = "api/support/mod.rs"]
mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use portcullis::settings::Durability;
use serde_json::json;
use support::{
    app::{TestApp, without_limits},
    rpc::Rpc,
};

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

/// Calls that are counted together, behind as many that are not.
const CALLS: usize = 25;
/// How often they are counted. The least counts: what beats by itself only ever adds to it, and on a slow machine it beats
/// in all but the shortest rounds.
const ROUNDS: usize = 80;

/// What one request of a kind may take.
struct Budget {
    says: &'static str,
    request: Vec<u8>,
    status: &'static [u8],
    /// Pieces of memory, and their bytes.
    most: (f64, f64),
}

/// Sends the same request over and over without any allocation of its own.
fn send(socket: &mut TcpStream, request: &[u8], status: &[u8], times: usize) {
    let mut answer = [0; 16 * 1024];
    for _ in 0..times {
        socket.write_all(request).unwrap();
        let mut read = 0;
        loop {
            read += socket.read(&mut answer[read..]).unwrap();
            if is_whole(&answer[..read]) {
                break;
            }
        }
        assert!(answer.starts_with(status), "{}", String::from_utf8_lossy(&answer[..read]));
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let find = |needle: &[u8]| answer.windows(needle.len()).position(|part| part == needle);
    let Some(end) = find(b"\r\n\r\n") else { return false };
    let from = find(b"content-length: ").unwrap() + b"content-length: ".len();
    let digits = answer[from..].split(|byte| *byte == b'\r').next().unwrap();
    let length: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
    answer.len() >= end + 4 + length
}

/// Pieces of memory and their bytes that each of the [`CALLS`] of `send` takes.
fn counted(send: impl FnOnce()) -> (f64, f64) {
    let before = dhat::HeapStats::get();
    send();
    let after = dhat::HeapStats::get();
    let each = |new: u64, old: u64| (new - old) as f64 / CALLS as f64;
    (each(after.total_blocks, before.total_blocks), each(after.total_bytes, before.total_bytes))
}

#[test]
fn a_request_takes_no_more_pieces_of_memory_than_its_budget() {
    let _counting = dhat::Profiler::builder().testing().build();
    let app = TestApp::start_with(|settings| {
        without_limits(settings);
        settings.server.workers = 1;
        settings.audit.durability = Durability::Buffered;
    });
    let (user, guest) = (app.token("ada", "user"), app.token("gert", "guest"));
    let (key, _) = app.key("ci", &["weather:read"]);
    let forged = format!("{}AAAA", &user[..user.len() - 4]);
    let budgets = [
        Budget {
            says: "a call with a token",
            request: Rpc::weather().bearer(&user).bytes(),
            status: b"HTTP/1.1 200",
            most: (32.0, 7_200.0),
        },
        Budget {
            says: "a call with an API key",
            request: Rpc::weather().key(&key).bytes(),
            status: b"HTTP/1.1 200",
            most: (33.0, 6_700.0),
        },
        Budget {
            says: "a denied tool",
            request: Rpc::call("list_users", json!({})).bearer(&guest).bytes(),
            status: b"HTTP/1.1 403",
            most: (25.0, 7_000.0),
        },
        Budget {
            says: "a bad token",
            request: Rpc::weather().bearer(&forged).bytes(),
            status: b"HTTP/1.1 401",
            most: (22.0, 7_400.0),
        },
    ];
    for Budget { says, request, status, most } in budgets {
        let mut socket = TcpStream::connect(app.main).unwrap();
        send(&mut socket, &request, status, CALLS);
        let took = (0..ROUNDS).map(|_| counted(|| send(&mut socket, &request, status, CALLS)));
        let took = took.reduce(|one, other| (one.0.min(other.0), one.1.min(other.1))).unwrap();
        println!("{says}: {:.1} pieces of memory, {:.0} bytes", took.0, took.1);
        assert!(took.0 <= most.0 && took.1 <= most.1, "{says}: {took:?} of {most:?}");
    }
}
