//! A revoked token is refused within one second on every worker, and after a restart.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::LocalSet;

use super::{caller::Caller, home::Home, output, server::Server};

/// More connections than workers: actix hands connections to its workers in turn.
const CONNECTIONS: usize = 16;
/// The promise.
const WITHIN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_revoked_token_ends_within_a_second_on_every_worker_and_for_good() {
    LocalSet::new().run_until(revoke_by("token")).await;
}

#[tokio::test]
async fn a_revoked_user_ends_within_a_second_on_every_worker_and_for_good() {
    LocalSet::new().run_until(revoke_by("user")).await;
}

async fn revoke_by(what: &'static str) {
    let home = Home::for_load(if what == "token" { "revoke_token" } else { "revoke_user" })
        .with("SERVER__WORKERS", "4");
    let server = Server::start(&home).await;
    let token = home.token("mallory", "user").await;
    let bystander = home.token("alice", "user").await;
    let last_good: Rc<Cell<Instant>> = Rc::new(Cell::new(Instant::now()));
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        let caller = server.caller(Some(&token));
        assert_eq!(caller.weather("Oslo").await.unwrap().status, 200, "known to its worker beforehand");
        callers.push(tokio::task::spawn_local(until_refused(caller, Rc::clone(&last_good))));
    }

    match what {
        "token" => home.ok(&["token", "revoke", &token]).await,
        _ => home.ok(&["token", "revoke", "--user", "mallory"]).await,
    };
    let said = Instant::now();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "revoked_token");
    }

    let lag = last_good.get().saturating_duration_since(said);
    assert!(lag <= WITHIN, "still let in {lag:?} after the verb had ended");
    output::figure(&format!(
        "revocation by {what}: last use {lag:?} after the verb, {CONNECTIONS} connections"
    ));
    assert_eq!(server.caller(Some(&bystander)).weather("Oslo").await.unwrap().status, 200);
    server.stopped().await;
    let server = Server::start(&home).await;
    let answer = server.caller(Some(&token)).weather("Oslo").await.unwrap();
    assert_eq!((answer.status, answer.reason().as_str()), (401, "revoked_token"));
    assert_eq!(server.caller(Some(&bystander)).weather("Oslo").await.unwrap().status, 200);
}

/// Calls until refused; notes when the last call that was let in had been sent. Gives the reason.
async fn until_refused(caller: Caller, last_good: Rc<Cell<Instant>>) -> String {
    let started = Instant::now();
    loop {
        let sent = Instant::now();
        let answer = caller.weather("Oslo").await.unwrap();
        if answer.status != 200 {
            assert_eq!(answer.status, 401, "{}", answer.text);
            return answer.reason();
        }
        last_good.set(last_good.get().max(sent));
        assert!(started.elapsed() < Duration::from_secs(30), "never refused");
    }
}
