//! Each actor panics under load: nobody unauthorised passes, nothing is forgotten, service is back at once.

use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::{
    caller::forged,
    home::Home,
    load::Load,
    output, records,
    server::{LOOK_EVERY, Server},
};

/// Panics of one actor in one run.
const FAULTS: u32 = 100;
/// The promise: back within this of the fault.
const BACK_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_tokens_actor_may_panic_under_load() {
    LocalSet::new().run_until(panic_under_load("tokens", "fault_tokens")).await;
}

#[tokio::test]
async fn the_users_actor_may_panic_under_load() {
    LocalSet::new().run_until(panic_under_load("users", "fault_users")).await;
}

#[tokio::test]
async fn the_audit_actor_may_panic_under_load() {
    LocalSet::new().run_until(panic_under_load("audit", "fault_audit")).await;
}

#[tokio::test]
async fn the_limiter_may_panic_under_load() {
    LocalSet::new().run_until(panic_under_load("limiter", "fault_limiter")).await;
}

#[tokio::test]
async fn faults_cannot_be_asked_for_unless_the_setting_says_so() {
    let home = Home::new("fault_off");
    let server = Server::start(&home).await;
    let url = format!("{}/admin/faults/tokens", server.admin());
    assert_eq!(super::caller::http().post(url).send().await.unwrap().status(), 404);
    assert!(server.metric("portcullis_actor_restarts_total{actor=\"tokens\"}").await < 1.0);
}

async fn panic_under_load(actor: &str, name: &'static str) {
    let home = Home::for_load(name).with("ADMIN__UNSAFE_FAULTS", "true");
    let server = Server::start(&home).await;
    let (good, revoked) = (home.token("alice", "user").await, home.token("mallory", "user").await);
    assert_eq!(server.caller(Some(&revoked)).weather("Oslo").await.unwrap().status, 200);
    home.ok(&["token", "revoke", &revoked]).await;
    refused_at_last(&server, &revoked).await;
    let load = Load::start(&server, 24, &[Some(good.clone())]);
    let strangers = Load::start(&server, 6, &[None, Some(revoked), Some(forged(&good))]);
    load.until_answered(50).await;

    let mut slowest = Duration::ZERO;
    for n in 1..=FAULTS {
        slowest = slowest.max(one_fault(&server, actor, n, &load).await);
    }

    let (seen, strangers) = (load.finish().await, strangers.finish().await);
    assert!(strangers.answered.borrow().is_empty(), "let in: {:?}", strangers.kinds);
    assert!(strangers.kinds.borrow().values().sum::<u64>() > 0, "the strangers did call");
    for kind in seen.kinds.borrow().keys().chain(strangers.kinds.borrow().keys()) {
        assert!(["200", "401", "503"].contains(&&kind[..3]), "{kind}");
    }
    let unsaid = seen.kinds.borrow().keys().any(|kind| kind.starts_with("401"));
    assert!(!unsaid, "a good token was refused: {:?}", seen.kinds);
    assert_eq!(seen.broken.get(), 0, "connections were cut");
    let answered = seen.answered.take();
    records::hold_each_of(&home, &answered).await;
    server.stopped().await;
    home.audit_verifies().await;
    output::figure(&format!(
        "{actor} panicked {FAULTS} times: slowest return {slowest:?}, {} calls answered, others {:?}",
        answered.len(),
        seen.kinds.borrow()
    ));
}

/// Makes the actor panic once; gives the time until it was counted, the house ready and a call answered.
async fn one_fault(server: &Server, actor: &str, n: u32, load: &Load) -> Duration {
    let series = format!("portcullis_actor_restarts_total{{actor=\"{actor}\"}}");
    let faulted = Instant::now();
    server.fault(actor).await;
    while server.metric(&series).await < f64::from(n) || !server.is_ready().await {
        assert!(faulted.elapsed() < BACK_WITHIN, "{actor} not back after fault {n}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let before = load.answered();
    while load.answered() == before {
        assert!(faulted.elapsed() < BACK_WITHIN, "no call answered after fault {n} of {actor}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!((server.metric(&series).await - f64::from(n)).abs() < 0.5, "one panic, one restart");
    faulted.elapsed()
}

async fn refused_at_last(server: &Server, token: &str) {
    let started = Instant::now();
    while server.caller(Some(token)).weather("Oslo").await.unwrap().status != 401 {
        assert!(started.elapsed() < BACK_WITHIN, "the revocation did not arrive");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
