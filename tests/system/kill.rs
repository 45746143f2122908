//! kill -9 under load: what was answered is recorded, what was revoked stays revoked.

use tokio::task::LocalSet;

use super::{home::Home, load::Load, output, records, server::Server};

/// Kills of one home; afterwards a new one, so that reading the log does not grow with the square.
const KILLS_A_HOME: usize = 20;
/// Concurrent callers.
const WIDTH: usize = 64;

#[tokio::test]
async fn every_answered_call_survives_kill_9_and_so_does_every_revocation() {
    let homes = if output::full() { 50 } else { 1 };
    let mut answered = 0;
    for _ in 0..homes {
        answered += LocalSet::new().run_until(kill_repeatedly()).await;
    }
    let kills = homes * KILLS_A_HOME;
    output::figure(&format!("kill -9: {kills} kills, {answered} answered calls, all recorded"));
}

/// Gives the number of calls that were answered.
async fn kill_repeatedly() -> usize {
    let home = Home::for_load("kill");
    let mut tokens = Vec::new();
    for n in 0..8 {
        tokens.push(Some(home.token(&format!("user{n}"), "user").await));
    }
    let mut answered: Vec<String> = Vec::new();
    let mut revoked: Vec<String> = Vec::new();
    for round in 0..KILLS_A_HOME {
        let server = Server::start(&home).await;
        let victim = home.token(&format!("victim{round}"), "user").await;
        assert_eq!(server.caller(Some(&victim)).weather("Oslo").await.unwrap().status, 200);
        let load = Load::start(&server, WIDTH, &tokens);
        load.until_answered(WIDTH).await;
        home.ok(&["token", "revoke", &victim]).await;
        revoked.push(victim);
        // Not always at the same phase of a batch.
        load.until_answered(load.answered() + 37 * (1 + round % 7)).await;
        server.killed().await;
        answered.extend(load.finish().await.answered.take());

        let server = Server::start(&home).await;
        home.audit_verifies().await;
        for token in &revoked {
            let answer = server.caller(Some(token)).weather("Oslo").await.unwrap();
            assert_eq!((answer.status, answer.reason().as_str()), (401, "revoked_token"), "round {round}");
        }
        records::hold_each_of(&home, &answered).await;
        server.killed().await;
    }
    answered.len()
}
