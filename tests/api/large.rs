//! Large answers: made ready beside the workers, and bounded together.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::support::{
    app::{TestApp, without_limits},
    http::Connection,
    rpc::Rpc,
    until,
};

/// Size of the large file.
const LARGE: usize = 8 << 20;
/// Longest wait for something that needs an answer of that size first.
const LATER: Duration = Duration::from_secs(30);

/// A server with one large file, and room for `room` bytes of answers.
fn with_a_large_file(room: usize) -> TestApp {
    let app = TestApp::start_with(|settings| {
        without_limits(settings);
        settings.server.workers = 1;
        settings.server.max_answers = room;
        settings.tools.files.max_size = 16 << 20;
    });
    std::fs::write(app.dir().join("files/large.txt"), "x".repeat(LARGE)).unwrap();
    app
}

fn read() -> Rpc {
    Rpc::call("read_file", json!({ "path": "large.txt" }))
}

#[test]
fn while_a_large_answer_is_made_the_worker_serves_others() {
    let app = with_a_large_file(256 << 20);
    let token = app.token("ada", "user");
    let done = AtomicBool::new(false);
    let (took, longest) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let started = Instant::now();
            assert_eq!(read().bearer(&token).send(&app).result()["structuredContent"]["size"], LARGE);
            done.store(true, Ordering::SeqCst);
            started.elapsed()
        });
        let mut longest = Duration::ZERO;
        let mut connection = app.connect();
        while !done.load(Ordering::SeqCst) {
            let asked = Instant::now();
            connection.send(Rpc::weather().bearer(&token).bytes());
            connection.reply().result();
            longest = longest.max(asked.elapsed());
        }
        (reading.join().unwrap(), longest)
    });
    assert!(longest < took / 4, "a call waited {longest:?} beside one that took {took:?}");
}

/// Holds that answers to `read` take room, and that `size_of` one of them is the file's.
fn are_bounded(read: impl Fn() -> Rpc, size_of: impl Fn(&Value) -> usize) {
    let app = with_a_large_file(96 << 20);
    let (ada, bob) = (app.token("ada", "user"), app.token("bob", "user"));
    let ask = |token: &str| -> Connection {
        let mut connection = app.connect();
        connection.send(read().bearer(token).bytes());
        connection
    };
    // Larger than what the system holds for a connection; nobody reads it.
    let mut first = ask(&ada);
    until("the first one is on its way", LATER, || first.has_answer());
    let mut others: Vec<Connection> = (0..3).map(|_| ask(&ada)).collect();
    until("one waits, and the others need not", LATER, || {
        others.iter_mut().filter_map(|other| other.has_answer().then_some(())).count() == 2
    });
    let (mut told, mut waiting) = (Vec::new(), Vec::new());
    for mut other in others {
        if other.has_answer() { told.push(other) } else { waiting.push(other) }
    }
    for mut refused in told {
        let refusal = refused.reply();
        refusal.refused(503, -31503, "overloaded");
        assert!(refusal.header("retry-after").is_some());
    }
    assert_eq!(size_of(&read().bearer(&bob).send(&app).result()), LARGE, "others have room");
    Rpc::weather().bearer(&ada).send(&app).result();
    drop(first);
    let served = waiting.pop().unwrap().reply().result();
    assert_eq!(size_of(&served), LARGE, "it had waited for room");
    until("all places are free again", LATER, || read().bearer(&ada).send(&app).status == 200);
}

#[test]
fn large_answers_that_nobody_takes_are_bounded_together_and_for_each_caller() {
    are_bounded(read, |result| result["structuredContent"]["size"].as_u64().map_or(0, |size| size as usize));
}

#[test]
fn large_resources_are_bounded_like_the_answers_of_tools() {
    are_bounded(
        || Rpc::read("file:///large.txt"),
        |result| result["contents"][0]["text"].as_str().map_or(0, str::len),
    );
}
