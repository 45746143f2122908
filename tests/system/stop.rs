//! Signals: the first stops gracefully, the second at once.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tokio::task::{JoinHandle, LocalSet};

use super::{caller::Answer, home::Home, records, server::Server, station::Station};

/// Calls in flight when the signal comes.
const IN_FLIGHT: usize = 16;

#[tokio::test]
async fn sigterm_answers_what_is_in_flight_and_closes_the_log() {
    LocalSet::new().run_until(stop_by(Signal::TERM, "sigterm")).await;
}

#[tokio::test]
async fn sigint_does_the_same() {
    LocalSet::new().run_until(stop_by(Signal::INT, "sigint")).await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_the_log_still_verifies() {
    LocalSet::new().run_until(signal_twice()).await;
}

async fn stop_by(signal: Signal, name: &'static str) {
    let station = Station::slow(Duration::from_millis(800)).await;
    let home = station.serves(Home::for_load(name));
    let server = Server::start(&home).await;
    let calls = call_cities(&server, &home.token("alice", "user").await);
    station.until_asked(IN_FLIGHT).await;

    let told = Instant::now();
    server.signal(signal);
    let status = server.ended().await;

    assert_eq!(status.code(), Some(0), "a graceful stop exits 0");
    assert!(told.elapsed() < Duration::from_secs(5), "it waited for nothing: {:?}", told.elapsed());
    let mut answered = Vec::new();
    for call in calls {
        let answer = call.await.unwrap().expect("in flight, so it is answered");
        assert_eq!(answer.status, 200, "{}", answer.text);
        answered.push(answer.request_id());
    }
    records::hold_each_of(&home, &answered).await;
    assert_eq!(records::query(&home, &["--event", "server.stopped"]).await.len(), 1);
    assert_eq!(last_event(&home), "audit.checkpoint");
    home.audit_verifies().await;
}

async fn signal_twice() {
    let station = Station::slow(Duration::from_secs(6)).await;
    let home = station.serves(Home::for_load("second_signal"));
    let server = Server::start(&home).await;
    let calls = call_cities(&server, &home.token("alice", "user").await);
    station.until_asked(IN_FLIGHT).await;

    server.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = Instant::now();
    server.signal(Signal::TERM);
    let status = server.ended().await;

    assert!(told.elapsed() < Duration::from_secs(1), "at once, not after {:?}", told.elapsed());
    assert!(!status.success(), "an aborted stop does not claim success");
    for call in calls {
        assert!(call.await.unwrap().is_err(), "nothing was left to answer with");
    }
    // The next start repairs what was torn.
    Server::start(&home).await.stopped().await;
    home.audit_verifies().await;
}

/// Calls each of [`IN_FLIGHT`] cities once, all at the same time: a city's first look is not shared.
fn call_cities(server: &Server, token: &str) -> Vec<JoinHandle<Result<Answer, reqwest::Error>>> {
    let call = |n: usize| {
        let caller = server.caller(Some(token));
        tokio::task::spawn_local(async move { caller.weather(&format!("City {n}")).await })
    };
    (0..IN_FLIGHT).map(call).collect()
}

/// The event of the last record in the chain that says the server stopped.
fn last_event(home: &Home) -> String {
    let slots = fs::read_dir(home.data_dir().join("audit")).unwrap().flatten();
    for slot in slots.filter(|entry| entry.path().join("lock").exists()) {
        let mut segments: Vec<_> =
            fs::read_dir(slot.path()).unwrap().flatten().map(|file| file.path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        segments.sort();
        let Some(last) = segments.last() else { continue };
        let text = fs::read_to_string(last).unwrap();
        if text.contains("\"event\":\"server.stopped\"") {
            let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            return record["event"].as_str().unwrap().to_owned();
        }
    }
    panic!("no chain says server.stopped");
}
