//! The disk is slow, then it fails: a durable reply waits for its record, and nothing unrecorded is answered.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::task::LocalSet;

use super::{
    home::Home,
    load::Load,
    output, records,
    server::{LOOK_EVERY, Server},
    strace::Strace,
};

/// How long each `fdatasync` is held.
const HELD: Duration = Duration::from_millis(300);
/// How soon the service is back once the disk is.
const HEALS_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn every_durable_reply_waits_for_its_fdatasync() {
    let home = Home::for_load("held");
    let server = Server::start(&home).await;
    let (alice, guest) = (home.token("alice", "user").await, home.token("gert", "guest").await);
    let trace = output::folder().join("held.strace");
    let strace = Strace::attach(&server, &format!("delay_enter={}", HELD.as_micros()), &trace);

    let mut replies = Vec::new();
    let caller = server.caller(Some(&alice));
    for _ in 0..4 {
        replies.push(caller.weather("Oslo").await.unwrap());
    }
    let (guest, nobody) = (caller.with_token(&guest), server.caller(None));
    let (a, b, c, d) = tokio::join!(
        caller.weather("Oslo"),
        guest.weather("Oslo"),
        guest.call("list_users", serde_json::json!({})),
        nobody.weather("Oslo"),
    );
    replies.extend([a, b, c, d].map(Result::unwrap));
    strace.detach();

    for reply in &replies {
        assert!(reply.took >= HELD, "{} was answered after {:?}: {}", reply.status, reply.took, reply.text);
    }
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 403, 401], "allow and deny alike");
    let quickest = replies.iter().map(|reply| reply.took).min().unwrap();
    output::figure(&format!(
        "fdatasync held {HELD:?}: quickest of {} durable replies {quickest:?}",
        replies.len()
    ));
    assert!(fs::read_to_string(&trace).unwrap().contains("fdatasync("), "the server did call fdatasync");
    home.audit_verifies().await;
}

#[tokio::test]
async fn a_failing_fdatasync_refuses_every_call_and_heals_alone() {
    LocalSet::new().run_until(fail_and_heal()).await;
}

async fn fail_and_heal() {
    let home = Home::for_load("eio");
    let server = Server::start(&home).await;
    let token = home.token("alice", "user").await;
    let caller = server.caller(Some(&token));
    assert_eq!(caller.weather("Oslo").await.unwrap().status, 200);
    let strace = Strace::attach(&server, "error=EIO", &output::folder().join("eio.strace"));

    let load = Load::start(&server, 16, &[Some(token.clone())]);
    for _ in 0..20 {
        let answer = caller.weather("Oslo").await.unwrap();
        assert_eq!((answer.status, answer.reason().as_str()), (503, "audit_unavailable"));
        assert!(answer.headers.contains_key("retry-after"));
    }
    let stranger = server.caller(None).weather("Oslo").await.unwrap();
    assert_eq!(stranger.status, 503, "a refusal that cannot be recorded is not given either");
    assert!(!server.is_ready().await, "/health/ready says so");
    let refused = load.finish().await;
    strace.detach();

    let kinds: Vec<_> = refused.kinds.borrow().keys().cloned().collect();
    assert_eq!(kinds, ["503 audit_unavailable"], "no call slipped through");
    let (healed, answered) = back(&server, &token).await;
    output::figure(&format!("fdatasync failed with EIO: back {healed:?} after the disk was"));
    records::hold_each_of(&home, &[answered]).await;
    server.stopped().await;
    home.audit_verifies().await;
}

/// Waits for the first 200; gives how long that took and its request id.
pub(crate) async fn back(server: &Server, token: &str) -> (Duration, String) {
    let freed = Instant::now();
    loop {
        let answer = server.caller(Some(token)).weather("Oslo").await.unwrap();
        if answer.status == 200 {
            return (freed.elapsed(), answer.request_id());
        }
        assert_eq!((answer.status, answer.reason().as_str()), (503, "audit_unavailable"));
        assert!(freed.elapsed() < HEALS_WITHIN, "not back within {HEALS_WITHIN:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
